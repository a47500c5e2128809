package postgres

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"kakehashi/store"
)

// tx is one unit on one connection. The goroutine that runs the unit owns it.
type tx struct {
	db     *DB
	c      *conn
	view   bool
	over   bool
	begun  bool // BEGIN is sent or about to be
	before int  // writes of the connection before it
	wrote  bool // something other than a plain SELECT was asked for
	read   bool // fn has seen rows, so what it does may rest on them
	failed error
	open   *rows // whose rows are still on the wire
	after  []func()
}

const (
	beginUpdate = "BEGIN ISOLATION LEVEL REPEATABLE READ"
	beginView   = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	commit      = "COMMIT"
	rollback    = "ROLLBACK"
)

var nothing = &shape{}

func plainRead(query string) bool {
	q := strings.TrimLeft(query, " \t\r\n")
	return len(q) > 6 && strings.EqualFold(q[:6], "SELECT")
}

// control asks for a statement that takes and answers nothing.
func (c *conn) control(query string) {
	s := c.kept[query]
	if s == nil {
		s = c.keep(query, nothing)
		c.parse(s.name, query)
	}
	c.run(s, query, nil)
}

func (c *conn) keep(query string, sh *shape) *stmt {
	if len(c.kept) >= keptStatements {
		for q, old := range c.kept { // any will do: this many is a mistake somewhere
			at := c.message('C')
			c.out = append(c.out, 'S')
			c.text(old.name)
			c.end(at)
			delete(c.kept, q)
			break
		}
	}
	c.names++
	s := &stmt{name: c.mark + strconv.Itoa(c.names), shape: sh}
	c.kept[query] = s
	c.fresh = append(c.fresh, query)
	return s
}

// statement gives query as the connection has it, with BEGIN before it.
func (t *tx) statement(query string) (*stmt, error) {
	switch {
	case t.over:
		return nil, errOver
	case t.failed != nil:
		return nil, t.failed
	}
	if !t.begun {
		t.begun, t.before = true, t.c.writes
		if t.view {
			t.c.control(beginView)
		} else {
			t.c.control(beginUpdate)
		}
	}
	if s := t.c.kept[query]; s != nil {
		return s, nil
	}
	if sh, ok := t.db.shapes.Load(query); ok {
		s := t.c.keep(query, sh.(*shape))
		t.c.parse(s.name, query)
		return s, nil
	}
	if err := t.settle(); err != nil {
		return nil, err
	}
	s := t.c.keep(query, nil)
	sh, err := t.c.describe(s.name, query)
	if err != nil {
		delete(t.c.kept, query)
		return nil, t.fail(err)
	}
	s.shape = sh
	t.db.shapes.Store(query, sh)
	return s, nil
}

// fail remembers the first error: the server does not go on after it either.
func (t *tx) fail(err error) error {
	if t.failed == nil {
		t.failed = t.db.translate(err, t.view)
	}
	return t.failed
}

// ask is a statement on its way.
func (t *tx) ask(query string, args []any) (*stmt, error) {
	s, err := t.statement(query)
	if err != nil {
		return nil, err
	}
	if err := t.c.run(s, query, args); err != nil {
		return nil, t.fail(&failure{query, err})
	}
	if !s.reads {
		t.wrote = true
	}
	return s, nil
}

func (t *tx) Exec(query string, args ...any) error {
	if _, err := t.ask(query, args); err != nil {
		return err
	}
	t.wrote = true // its answer is waited for
	if t.c.due() < manyPending && len(t.c.out) < muchPending {
		return nil
	}
	if err := t.settle(); err != nil {
		return err
	}
	if err := t.c.sync(); err != nil {
		return t.fail(err)
	}
	return nil
}

// query asks and reads to the first row.
func (t *tx) query(query string, args []any) (*rows, error) {
	// The rows of an earlier read are taken in first: their answer ends where
	// this one begins.
	if err := t.settle(); err != nil {
		return nil, err
	}
	s, err := t.ask(query, args)
	if err != nil {
		return nil, err
	}
	t.read = true
	if err := t.c.flush(); err != nil {
		return nil, t.fail(err)
	}
	first, err := t.c.first()
	if err != nil {
		return nil, t.fail(err)
	}
	r := &rows{t: t, s: s, cur: first}
	if first != nil {
		r.live, r.first = true, true
		t.open = r
	}
	return r, nil
}

func (t *tx) QueryRow(query string, args ...any) store.Row {
	r, err := t.query(query, args)
	switch {
	case err != nil:
		return &row{err: err}
	case !r.Next():
		return &row{err: store.ErrNotFound}
	}
	return &row{r: r}
}

func (t *tx) Query(query string, args ...any) (store.Rows, error) {
	r, err := t.query(query, args)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (t *tx) AfterCommit(f func()) {
	if f != nil {
		t.after = append(t.after, f)
	}
}

// settle takes rows that are still on the wire into memory.
func (t *tx) settle() error {
	if t.open == nil {
		return nil
	}
	r := t.open
	keep := func(row [][]byte) [][]byte {
		out := make([][]byte, len(row))
		for i, v := range row {
			if v != nil {
				out[i] = append([]byte{}, v...)
			}
		}
		return out
	}
	r.cur = keep(r.cur)
	for {
		more, err := r.receive()
		if err != nil {
			return err
		}
		if more == nil {
			return nil
		}
		r.held = append(r.held, keep(more))
	}
}

type row struct {
	r   *rows
	err error
}

func (r *row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	if r.r.t.over || r.r.done {
		return errOver
	}
	err := r.r.Scan(dest...)
	if e := r.r.Close(); e != nil {
		return e
	}
	return err
}

type rows struct {
	t     *tx
	s     *stmt
	live  bool       // more may come from the wire
	first bool       // cur was read but Next has not told of it
	cur   [][]byte   // nil: no row
	held  [][][]byte // taken in by settle
	done  bool
	err   error
}

// receive gives the next row from the wire, nil at the end.
func (r *rows) receive() ([][]byte, error) {
	next, err := r.t.c.first()
	if next == nil {
		r.live = false
		r.t.open = nil
	}
	if err != nil {
		r.err = r.t.fail(err)
	}
	return next, r.err
}

func (r *rows) Next() bool {
	switch {
	case r.done || r.err != nil:
		return false
	case r.t.over:
		r.done = true
		if r.live {
			r.err = errOver
		}
		return false
	case r.first:
		r.first = false
		return true
	case len(r.held) > 0:
		r.cur, r.held = r.held[0], r.held[1:]
		return true
	case !r.live:
		r.done = true
		return false
	}
	r.cur, _ = r.receive()
	r.done = r.cur == nil
	return !r.done
}

func (r *rows) Scan(dest ...any) error {
	if r.t.over {
		return errOver
	}
	if r.cur == nil || r.first || r.done {
		return errors.New("store: Scan without a row")
	}
	return r.s.scan(r.cur, dest)
}

func (r *rows) Err() error { return r.err }

func (r *rows) Close() error {
	if r.done {
		return r.err
	}
	r.done, r.held = true, nil
	if r.live && !r.t.over {
		r.live, r.t.open = false, nil
		if err := r.t.c.drain(); err != nil {
			r.err = r.t.fail(err)
		}
	}
	return r.err
}

// end commits what fn did, or undoes it when err says so, and tells what the
// unit came to. Only for a commit that changes something it waits.
func (t *tx) end(err error) error {
	t.over = true
	c := t.c
	if err == nil {
		err = t.failed
	}
	if !t.begun || c.broken != nil {
		return err
	}
	if t.open != nil {
		t.open = nil
		if e := c.drain(); e != nil && err == nil {
			err = t.fail(e)
		}
	}
	switch {
	case c.broken != nil:
	case err != nil:
		t.undo()
	case !t.wrote:
		c.control(commit)
		c.leave()
	default:
		c.control(commit)
		if e := c.flush(); e != nil {
			return t.fail(doubt(e, c.partly))
		}
		if e := c.drain(); e != nil {
			err = t.fail(doubt(e, true))
			if c.broken == nil {
				t.undo()
			}
			return err
		}
		if string(c.tag) != "COMMIT" {
			return t.fail(fmt.Errorf("store: the commit answered %q", c.tag))
		}
	}
	return err
}

// doubt marks the error of a commit that may have reached the server.
func doubt(err error, reached bool) error {
	var l *lost
	if !reached || !errors.As(err, &l) {
		return err
	}
	return &unknown{fmt.Errorf("whether the unit was kept is not known: %w", l.error)}
}

// undo ends the transaction; what was not written never is.
func (t *tx) undo() {
	c := t.c
	written := c.writes != t.before
	c.out = c.out[:0]
	c.settled(false)
	if written {
		c.control(rollback)
		c.leave()
	}
}
