package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// A connection speaks the protocol itself once pgx has opened it: a unit's
// statements are collected and written together, which neither the pools nor
// the batches of pgx allow while fn still decides what comes next.

const (
	keptStatements = 512      // on each connection
	keptBuffer     = 64 << 10 // bytes a connection keeps for what it sends
	manyPending    = 128      // statements that are sent without waiting for a read
	muchPending    = 1 << 20  // bytes of them
	askWithin      = 2 * time.Second
)

// conn is one connection. One goroutine at a time uses it.
type conn struct {
	net      net.Conn
	in       *pgproto3.Frontend
	patience time.Duration
	out      []byte   // not written yet
	queue    []string // the statements that were asked for, in order
	head     int      // how many of them are answered
	kept     map[string]*stmt
	fresh    []string // kept since the last answer without an error
	names    int
	mark     string // begins the names of its statements, so that they are never another's
	owed     int    // answers to Sync that nobody waited for
	writes   int    // how often something was written
	partly   bool   // broken while writing: what arrived is not known
	status   byte   // of the transaction, as the server said last
	tag      []byte // of the last statement that ended
	armed    time.Time
	born     time.Time
	used     time.Time
	broken   error
}

// stmt is a statement that the server has under a name.
type stmt struct {
	name string
	*shape
}

// shape is what every connection knows of a statement.
type shape struct {
	params  []uint32 // types of the arguments
	cols    []uint32 // types of what it answers
	formats []int16  // in which it answers: 1 is binary
	reads   bool     // the text is a plain SELECT
}

// failure is an error of one statement.
type failure struct {
	query string
	err   error
}

func (f *failure) Error() string {
	if f.query == "" {
		return f.err.Error()
	}
	return f.query + ": " + f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

var errProtocol = errors.New("postgres: the server answers out of order")

func (c *conn) close() {
	if c.broken == nil {
		c.broken = net.ErrClosed
		c.net.SetDeadline(time.Now().Add(time.Second))
		c.net.Write([]byte{'X', 0, 0, 0, 4})
	}
	c.net.Close()
}

func (c *conn) fail(err error) error {
	if c.broken == nil {
		c.broken = err
		c.net.Close()
	}
	return &lost{err}
}

// lost tells that the connection is gone, and with it what was not committed.
type lost struct{ error }

func (l *lost) Unwrap() error { return l.error }

// message begins a message and gives where its length goes.
func (c *conn) message(kind byte) int {
	c.out = append(c.out, kind, 0, 0, 0, 0)
	return len(c.out) - 4
}

func (c *conn) end(at int) {
	binary.BigEndian.PutUint32(c.out[at:], uint32(len(c.out)-at))
}

func (c *conn) text(s string) { c.out = append(append(c.out, s...), 0) }

func (c *conn) short(n int) { c.out = binary.BigEndian.AppendUint16(c.out, uint16(n)) }

// parse asks the server to keep query as name.
func (c *conn) parse(name, query string) {
	at := c.message('P')
	c.text(name)
	c.text(query)
	c.short(0)
	c.end(at)
}

// run asks for s with args; the answer comes with a later sync.
func (c *conn) run(s *stmt, query string, args []any) error {
	if len(args) != len(s.params) {
		return fmt.Errorf("store: %d arguments for $1 to $%d", len(args), len(s.params))
	}
	before := len(c.out)
	at := c.message('B')
	c.text("")
	c.text(s.name)
	c.short(len(args))
	for i := range args {
		c.short(int(format(s.params[i])))
	}
	c.short(len(args))
	for i, a := range args {
		if err := c.argument(s.params[i], a); err != nil {
			c.out = c.out[:before]
			return fmt.Errorf("store: argument $%d: %w", i+1, err)
		}
	}
	c.short(len(s.formats))
	for _, f := range s.formats {
		c.short(int(f))
	}
	c.end(at)
	at = c.message('E')
	c.out = append(c.out, 0, 0, 0, 0, 0) // no portal's name, no limit
	c.end(at)
	c.queue = append(c.queue, query)
	return nil
}

// flush writes what was asked for, and a Sync after it.
func (c *conn) flush() error {
	if c.broken != nil {
		return &lost{c.broken}
	}
	c.end(c.message('S'))
	c.arm(time.Now())
	n, err := c.net.Write(c.out)
	c.writes++
	if cap(c.out) > keptBuffer {
		c.out = nil
	}
	c.out = c.out[:0]
	if err != nil {
		c.partly = n > 0
		return c.fail(err)
	}
	return nil
}

// arm gives the server its time to answer.
func (c *conn) arm(now time.Time) {
	c.armed = now
	c.net.SetDeadline(now.Add(c.patience))
}

// next gives the server's next message that is an answer.
func (c *conn) next() (pgproto3.BackendMessage, error) {
	for {
		if now := time.Now(); now.Sub(c.armed) > c.patience/4 { // long answers take long
			c.arm(now)
		}
		m, err := c.in.Receive()
		if err != nil {
			return nil, c.fail(err)
		}
		switch m := m.(type) {
		case *pgproto3.NoticeResponse, *pgproto3.ParameterStatus, *pgproto3.NotificationResponse:
			continue
		case *pgproto3.ReadyForQuery:
			c.status = m.TxStatus
			if c.owed > 0 {
				c.owed--
				continue
			}
		case *pgproto3.ErrorResponse:
			if m.Severity == "FATAL" || m.SeverityUnlocalized == "FATAL" || c.owed > 0 {
				return nil, c.fail(pgconn.ErrorResponseToPgError(m))
			}
		default:
			if c.owed > 0 {
				continue
			}
		}
		return m, nil
	}
}

// done takes the statement that has ended off the queue.
func (c *conn) done(tag []byte) error {
	if c.due() == 0 {
		return c.fail(errProtocol)
	}
	c.head++
	c.tag = append(c.tag[:0], tag...)
	return nil
}

func (c *conn) due() int { return len(c.queue) - c.head }

// settled forgets what was asked for; ok tells that the server has it all.
func (c *conn) settled(ok bool) {
	clear(c.queue)
	c.queue, c.head = c.queue[:0], 0
	if !ok { // whether the server keeps the new statements is not known
		for _, q := range c.fresh {
			delete(c.kept, q)
		}
	}
	c.fresh = c.fresh[:0]
}

// sorry reads to the end of an answer that holds an error.
func (c *conn) sorry(m *pgproto3.ErrorResponse) error {
	failed := &failure{err: pgconn.ErrorResponseToPgError(m)}
	if c.due() > 0 {
		failed.query = c.queue[c.head]
	}
	c.settled(false)
	for {
		m, err := c.next()
		if err != nil {
			return err
		}
		if _, ok := m.(*pgproto3.ReadyForQuery); ok {
			return failed
		}
	}
}

// sync has the server do all that was asked for and waits for the end of it.
func (c *conn) sync() error {
	if err := c.flush(); err != nil {
		return err
	}
	return c.drain()
}

// drain reads to the end of the answer.
func (c *conn) drain() error {
	for {
		m, err := c.next()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.CommandComplete:
			if err := c.done(m.CommandTag); err != nil {
				return err
			}
		case *pgproto3.EmptyQueryResponse:
			if err := c.done(nil); err != nil {
				return err
			}
		case *pgproto3.ErrorResponse:
			return c.sorry(m)
		case *pgproto3.ReadyForQuery:
			return c.ready()
		}
	}
}

func (c *conn) ready() error {
	if c.due() > 0 {
		return c.fail(errProtocol)
	}
	c.settled(true)
	return nil
}

// leave writes what was asked for without waiting: whoever uses the connection
// next reads the answer first.
func (c *conn) leave() error {
	err := c.flush()
	c.owed++
	c.settled(true)
	return err
}

// rests tells that the server has said nothing that was not asked for.
func (c *conn) rests() bool {
	c.arm(time.Now())
	for c.owed > 0 {
		m, err := c.in.Receive()
		if err != nil {
			return false
		}
		switch m := m.(type) {
		case *pgproto3.ReadyForQuery:
			c.status = m.TxStatus
			c.owed--
		case *pgproto3.ErrorResponse:
			return false
		}
	}
	return c.in.ReadBufferLen() == 0 && !spoke(c.net)
}

// answers asks whether the server is still there.
func (c *conn) answers() bool {
	whole := c.patience
	c.patience = min(whole, askWithin)
	defer func() { c.patience = whole }()
	return c.sync() == nil
}

// first reads until the last statement that was asked for answers: values of a
// row, which hold until the next message is read, or nil when it has none.
func (c *conn) first() ([][]byte, error) {
	for {
		m, err := c.next()
		if err != nil {
			return nil, err
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			if c.due() == 1 {
				return m.Values, nil
			}
		case *pgproto3.CommandComplete:
			if err := c.done(m.CommandTag); err != nil {
				return nil, err
			}
			if c.due() == 0 {
				return nil, c.drain()
			}
		case *pgproto3.ErrorResponse:
			return nil, c.sorry(m)
		case *pgproto3.ReadyForQuery:
			return nil, c.fail(errProtocol)
		}
	}
}

// describe has the server keep query as name and tell its shape.
func (c *conn) describe(name, query string) (*shape, error) {
	c.parse(name, query)
	at := c.message('D')
	c.out = append(c.out, 'S')
	c.text(name)
	c.end(at)
	if err := c.flush(); err != nil {
		return nil, err
	}
	s := &shape{reads: plainRead(query)}
	for {
		m, err := c.next()
		if err != nil {
			return nil, err
		}
		switch m := m.(type) {
		case *pgproto3.CommandComplete:
			if err := c.done(m.CommandTag); err != nil {
				return nil, err
			}
		case *pgproto3.ParameterDescription:
			s.params = append([]uint32(nil), m.ParameterOIDs...)
		case *pgproto3.RowDescription:
			for _, f := range m.Fields {
				s.cols = append(s.cols, f.DataTypeOID)
				s.formats = append(s.formats, format(f.DataTypeOID))
			}
		case *pgproto3.ErrorResponse:
			if c.due() == 0 {
				c.queue = append(c.queue, query)
			}
			return nil, c.sorry(m)
		case *pgproto3.ReadyForQuery:
			return s, c.ready()
		}
	}
}

// script runs every statement of text and drops what they answer.
func (c *conn) script(text string) error {
	at := c.message('Q')
	c.text(text)
	c.end(at)
	c.arm(time.Now())
	_, err := c.net.Write(c.out)
	c.out = c.out[:0]
	if err != nil {
		return c.fail(err)
	}
	for {
		m, err := c.next()
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			return c.sorry(m)
		case *pgproto3.ReadyForQuery:
			return nil
		}
	}
}
