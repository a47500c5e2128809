package bound

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// Connections bounds how many connections a server holds. One too many ends the
// one that has waited longest between requests or before its first; only when all
// are at work is the new one closed.
type Connections struct {
	most int

	mu   sync.Mutex
	open map[net.Conn]*connection
	wait list.List // of *connection, longest first
}

type connection struct {
	net.Conn
	at *list.Element // in wait; nil while a request is worked on
}

type connectionKey struct{}

// NewConnections makes a bound of most connections; 0 is none.
func NewConnections(most int) *Connections {
	return &Connections{most: most, open: map[net.Conn]*connection{}}
}

// Serve has a server keep to the bound; next is its ConnContext until now, or nil.
func (c *Connections) Serve(s *http.Server, next func(context.Context, net.Conn) context.Context) {
	s.ConnState = c.state
	s.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		if next != nil {
			ctx = next(ctx, conn)
		}
		return context.WithValue(ctx, connectionKey{}, conn)
	}
	handler := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, ok := r.Context().Value(connectionKey{}).(net.Conn); ok {
			c.works(conn)
		}
		handler.ServeHTTP(w, r)
	})
}

// Open is how many there are.
func (c *Connections) Open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// works takes a connection whose request is complete off the list.
func (c *Connections) works(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.open[conn]; k != nil && k.at != nil {
		c.wait.Remove(k.at)
		k.at = nil
	}
}

func (c *Connections) state(conn net.Conn, s http.ConnState) {
	var end *connection
	c.mu.Lock()
	switch k := c.open[conn]; s {
	case http.StateNew:
		k = &connection{Conn: conn}
		c.open[conn] = k
		if c.most > 0 && len(c.open) > c.most {
			if end = k; c.wait.Len() > 0 {
				end = c.wait.Front().Value.(*connection)
			}
			c.drop(end)
		}
		if end != k {
			k.at = c.wait.PushBack(k)
		}
	case http.StateIdle:
		if k != nil && k.at == nil {
			k.at = c.wait.PushBack(k)
		}
	case http.StateClosed, http.StateHijacked:
		if k != nil {
			c.drop(k)
		}
	}
	c.mu.Unlock()
	if end != nil {
		raw := end.Conn
		if t, ok := raw.(*tls.Conn); ok {
			raw = t.NetConn() // its own Close would wait for the peer
		}
		raw.Close()
	}
}

// drop forgets a connection.
func (c *Connections) drop(k *connection) {
	if k.at != nil {
		c.wait.Remove(k.at)
		k.at = nil
	}
	delete(c.open, k.Conn)
}
