package cluster

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"time"
)

// Line stands between a program and its server and makes what lines do: it is
// slow, silent or cut. It reads the protocol, so it works without TLS only.
type Line struct {
	l  net.Listener
	to string

	mu     sync.Mutex
	open   map[net.Conn]bool
	tamper func(Message) Verdict
	delay  time.Duration
	refuse bool
	moved  chan struct{} // closed when silence ends; nil: nobody is silent
	age    int           // how often Forget was called
	ended  chan struct{}
	once   sync.Once
	group  sync.WaitGroup
}

const mostMessage = 64 << 20 // bytes; more is no message

// Message is one that passes.
type Message struct {
	FromServer bool
	Kind       byte   // as the protocol has it; 0 is the start of a connection
	Query      string // that a Bind or a Parse of the program speaks of
	Body       []byte // valid during the call
}

// Verdict is what becomes of a message.
type Verdict int

const (
	Pass Verdict = iota
	Drop         // it never comes, what follows does
	Cut          // the connection breaks instead of it
)

// NewLine opens a line to the server at address to.
func NewLine(to string) (*Line, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	n := &Line{l: l, to: to, open: map[net.Conn]bool{}, ended: make(chan struct{})}
	n.group.Go(n.accept)
	return n, nil
}

// URL is base by way of the line.
func (n *Line) URL(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return base
	}
	u.Host = n.l.Addr().String()
	return u.String()
}

// Tamper has f decide on each message from now on, at any time on several
// goroutines; nil passes all.
func (n *Line) Tamper(f func(Message) Verdict) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tamper = f
}

// Delay holds messages that come together up for d.
func (n *Line) Delay(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delay = d
}

// Refuse has new connections ended at once, or not any more.
func (n *Line) Refuse(yes bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refuse = yes
}

// Silence lets nothing through while connections stay open, as a firewall does
// that has forgotten them.
func (n *Line) Silence(yes bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case yes && n.moved == nil:
		n.moved = make(chan struct{})
	case !yes && n.moved != nil:
		close(n.moved)
		n.moved = nil
	}
}

// Forget is Silence for the connections that there are, for good; new ones are
// carried.
func (n *Line) Forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.age++
}

// Cut breaks all connections; new ones are taken.
func (n *Line) Cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.open {
		broken(c)
	}
}

// Close ends the line with all that runs over it.
func (n *Line) Close() error {
	var err error
	n.once.Do(func() {
		close(n.ended)
		err = n.l.Close()
	})
	n.Cut()
	n.group.Wait()
	return err
}

// broken ends a connection with a reset, as one ends that breaks.
func broken(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}

func (n *Line) accept() {
	for {
		c, err := n.l.Accept()
		if err != nil {
			return
		}
		n.mu.Lock()
		refuse := n.refuse
		n.mu.Unlock()
		if refuse {
			broken(c)
			continue
		}
		n.group.Go(func() { n.carry(c) })
	}
}

func (n *Line) carry(program net.Conn) {
	server, err := net.Dial("tcp", n.to)
	if err != nil {
		broken(program)
		return
	}
	n.mu.Lock()
	n.open[program], n.open[server] = true, true
	age := n.age
	n.mu.Unlock()
	select {
	case <-n.ended:
		broken(program)
		broken(server)
	default:
	}
	var both sync.WaitGroup
	both.Go(func() { n.pass(program, server, false, age) })
	both.Go(func() { n.pass(server, program, true, age) })
	both.Wait()
	n.mu.Lock()
	delete(n.open, program)
	delete(n.open, server)
	n.mu.Unlock()
}

// pass carries messages one way until an end breaks.
func (n *Line) pass(from, to net.Conn, fromServer bool, age int) {
	defer broken(from)
	defer broken(to)
	in := bufio.NewReaderSize(from, 64<<10)
	out := bufio.NewWriterSize(to, 64<<10)
	queries := map[string]string{} // by the names of statements
	start := !fromServer
	for {
		together := in.Buffered() > 0 // with the last one, so they are late together
		head := make([]byte, 5)
		size := head[1:]
		if start { // has no kind
			if _, err := io.ReadFull(in, size); err != nil {
				return
			}
		} else if _, err := io.ReadFull(in, head); err != nil {
			return
		}
		length := binary.BigEndian.Uint32(size)
		if length < 4 || length > mostMessage {
			return
		}
		whole := make([]byte, length)
		copy(whole, size)
		if _, err := io.ReadFull(in, whole[4:]); err != nil {
			return
		}
		m := Message{FromServer: fromServer, Kind: head[0], Body: whole[4:]}
		if !fromServer && !start {
			m.Query = queryOf(m, queries)
		}
		switch n.judge(m, together, age) {
		case Cut:
			out.Flush()
			return
		case Pass:
			if !start {
				out.WriteByte(head[0])
			}
			out.Write(whole)
		}
		start = false
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
	}
}

// queryOf remembers what a Parse names, and finds it again for a Bind.
func queryOf(m Message, queries map[string]string) string {
	fields := bytes.SplitN(m.Body, []byte{0}, 3)
	if len(fields) < 3 {
		return ""
	}
	switch m.Kind {
	case 'P':
		queries[string(fields[0])] = string(fields[1])
		return string(fields[1])
	case 'B':
		return queries[string(fields[1])]
	}
	return ""
}

// judge waits as the line is slow or silent, and asks what becomes of m.
func (n *Line) judge(m Message, together bool, age int) Verdict {
	n.mu.Lock()
	tamper, delay := n.tamper, n.delay
	n.mu.Unlock()
	if delay > 0 && !together {
		select {
		case <-time.After(delay):
		case <-n.ended:
			return Cut
		}
	}
	verdict := Pass
	if tamper != nil {
		verdict = tamper(m)
	}
	n.mu.Lock()
	moved, forgotten := n.moved, n.age != age
	n.mu.Unlock()
	if forgotten {
		return Drop
	}
	if moved != nil {
		select {
		case <-moved:
		case <-n.ended:
			return Cut
		}
	}
	return verdict
}
