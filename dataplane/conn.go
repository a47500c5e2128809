package dataplane

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

type connKey struct{}

// ConnContext is for http.Server.ConnContext of the server that carries
// Handler. With it a cut resets an HTTP/1 connection, which also drops what
// still waits in the kernel. Without it net/http closes the connection itself
// when a write fails, and what waits is delivered before an end that HTTP/1.0
// cannot tell from the whole: so HTTP/1.0 is refused then.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// connection is what a cut may do to the connection of one response, and only
// while that response runs: afterwards it may carry another one.
type connection struct {
	ctl *http.ResponseController
	raw *net.TCPConn // of HTTP/1 with ConnContext; else nil
	in  bool         // the request has a body that may be waited for

	mu    sync.Mutex
	ended bool
	freed bool
}

func newConnection(w http.ResponseWriter, r *http.Request) *connection {
	c := &connection{ctl: http.NewResponseController(w), in: r.Method == http.MethodPost || r.Method == http.MethodPut}
	if r.ProtoMajor == 1 { // an HTTP/2 connection carries others' responses too
		conn, _ := r.Context().Value(connKey{}).(net.Conn)
		c.raw = tcp(conn)
	}
	return c
}

// tcp finds the connection below TLS: its Close says no close_notify, which
// would be a clean end.
func tcp(c net.Conn) *net.TCPConn {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	t, _ := c.(*net.TCPConn)
	return t
}

// patient lets the next read wait for d and no longer, unless it was freed.
func (c *connection) patient(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended && !c.freed {
		_ = c.ctl.SetReadDeadline(time.Now().Add(d)) // not supported: as without
	}
}

// cut says that it was freed.
func (c *connection) cut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.freed
}

// free ends a blocked write at once. The linger comes first: net/http closes the
// connection as soon as a write fails, and from then on that is a reset.
func (c *connection) free() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.freed = true
	if c.raw != nil {
		_ = c.raw.SetLinger(0) // it fails on a closed connection only
	}
	if c.in {
		_ = c.ctl.SetReadDeadline(time.Unix(1, 0))
	}
	_ = c.ctl.SetWriteDeadline(time.Unix(1, 0)) // not supported: the next write sees the cut
}

// done ends what a cut may do.
func (c *connection) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
}

// unfree lets a refusal be written after a cut that came before the first byte.
func (c *connection) unfree() error {
	if !c.freed {
		return nil
	}
	if c.raw != nil {
		if err := c.raw.SetLinger(-1); err != nil {
			return err
		}
	}
	return c.ctl.SetWriteDeadline(time.Time{})
}

// abort ends the response by reset, so that nobody takes a part for the whole:
// RST of the connection for HTTP/1, RST_STREAM for HTTP/2. done was called.
func (c *connection) abort() {
	if c.raw != nil {
		_ = c.raw.SetLinger(0)
	}
	_ = c.ctl.SetWriteDeadline(time.Unix(1, 0)) // hijacking flushes, and must not wait for the receiver
	conn, _, err := c.ctl.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if t := tcp(conn); t != nil {
		_ = t.SetLinger(0) // then Close sends RST
		_ = t.Close()
		return
	}
	_ = conn.Close()
}
