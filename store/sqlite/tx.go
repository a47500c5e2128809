package sqlite

import (
	"errors"
	"fmt"

	"kakehashi/store"
)

// tx is one unit on one connection. The goroutine that runs the unit owns it.
type tx struct {
	c      *conn
	view   bool
	over   bool
	failed error // first error of a statement; the unit cannot succeed after it
	open   []*stmt
	after  []func()
}

// start prepares, binds and makes the first step.
func (t *tx) start(query string, args []any) (s *stmt, row bool, err error) {
	if t.over {
		return nil, false, errOver
	}
	if t.failed != nil {
		return nil, false, t.failed
	}
	if s, err = t.c.statement(query); err != nil {
		return nil, false, t.fail(query, err)
	}
	if t.view && !s.readOnly {
		s.release()
		return nil, false, t.fail(query, errWriteInView)
	}
	if err = s.bind(args); err == nil {
		row, err = s.step()
	}
	if err != nil {
		s.release()
		return nil, false, t.fail(query, err)
	}
	return s, row, nil
}

// fail remembers the first error: PostgreSQL would not go on after it either.
func (t *tx) fail(query string, err error) error {
	t.failed = fmt.Errorf("%s: %w", query, translate(err))
	return t.failed
}

func (t *tx) Exec(query string, args ...any) error {
	s, more, err := t.start(query, args)
	if err != nil {
		return err
	}
	for more && err == nil {
		more, err = s.step()
	}
	s.release()
	if err != nil {
		return t.fail(query, err)
	}
	return nil
}

func (t *tx) QueryRow(query string, args ...any) store.Row {
	s, ok, err := t.start(query, args)
	if err != nil {
		return &row{err: err}
	}
	if !ok {
		s.release()
		return &row{err: store.ErrNotFound}
	}
	t.open = append(t.open, s)
	return &row{t: t, s: s, query: query}
}

func (t *tx) Query(query string, args ...any) (store.Rows, error) {
	s, ok, err := t.start(query, args)
	if err != nil {
		return nil, err
	}
	if !ok {
		s.release()
		return &rows{t: t, done: true}, nil
	}
	t.open = append(t.open, s)
	return &rows{t: t, s: s, query: query, first: true}, nil
}

func (t *tx) AfterCommit(f func()) {
	if f != nil {
		t.after = append(t.after, f)
	}
}

// done releases s; the last one opened is nearly always the one.
func (t *tx) done(s *stmt) {
	for i := len(t.open) - 1; i >= 0; i-- {
		if t.open[i] == s {
			t.open = append(t.open[:i], t.open[i+1:]...)
			s.release()
			return
		}
	}
}

// finish ends the use of t and releases what fn left open.
func (t *tx) finish() {
	t.over = true
	for _, s := range t.open {
		s.release()
	}
	t.open = nil
}

type row struct {
	t     *tx
	s     *stmt
	query string
	err   error
}

func (r *row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	if r.s == nil || r.t.over {
		return errOver
	}
	err := r.s.scan(dest)
	if !r.s.readOnly { // RETURNING: the change ends with its last row
		for more, e := r.s.step(); ; more, e = r.s.step() {
			if e != nil {
				err = r.t.fail(r.query, e)
			}
			if e != nil || !more {
				break
			}
		}
	}
	r.t.done(r.s)
	r.s = nil
	return err
}

type rows struct {
	t     *tx
	s     *stmt
	query string
	first bool // the first row was read already
	done  bool
	err   error
}

func (r *rows) Next() bool {
	if r.s == nil || r.t.over {
		r.done = true
		if r.err == nil && r.s != nil {
			r.err = errOver
		}
		return false
	}
	if r.first {
		r.first = false
		return true
	}
	if r.done {
		return false
	}
	more, err := r.s.step()
	if err != nil {
		r.err = r.t.fail(r.query, err)
	}
	r.done = !more
	if r.done {
		r.t.done(r.s)
		r.s = nil
	}
	return more
}

func (r *rows) Scan(dest ...any) error {
	if r.t.over {
		return errOver
	}
	if r.s == nil || r.first || r.done {
		return errors.New("store: Scan without a row")
	}
	return r.s.scan(dest)
}

func (r *rows) Err() error { return r.err }

func (r *rows) Close() error {
	if r.s != nil && !r.t.over {
		for more := !r.s.readOnly && !r.done; more; more = r.Next() {
		}
		if r.s != nil {
			r.t.done(r.s)
		}
	}
	r.s = nil
	return r.err
}
