package sqlite

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/store"
)

const (
	batchLimit = 256
	slowUnit   = 5 * time.Millisecond
)

// request is a unit on its way: waiting, then begun or abandoned.
type request struct {
	fn     func(store.Tx) error
	caller uintptr // program counter, for the log
	state  atomic.Int32
	answer chan error // one answer, unless abandoned
	after  []func()
}

const (
	waiting = iota
	begun
	abandoned
)

var requests = sync.Pool{New: func() any { return &request{answer: make(chan error, 1)} }}

// Update runs fn in the next transaction and returns when that is durable.
func (db *DB) Update(ctx context.Context, fn func(store.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if db.lock == nil {
		return store.Refused(fault.StoreReadOnly, db.path, errWriteInView)
	}
	r := requests.Get().(*request)
	r.fn, r.after = fn, nil
	r.state.Store(waiting)
	var pc [1]uintptr
	runtime.Callers(2, pc[:])
	r.caller = pc[0]

	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return store.ErrClosed
	}
	db.queue = append(db.queue, r)
	db.some.Signal()
	db.mu.Unlock()

	if done := ctx.Done(); done != nil {
		select {
		case err := <-r.answer:
			return r.put(err)
		case <-done:
			if r.state.CompareAndSwap(waiting, abandoned) {
				return ctx.Err() // the writer still holds r: it is not reused
			}
		}
	}
	return r.put(<-r.answer)
}

func (r *request) put(err error) error {
	r.fn, r.after = nil, nil
	requests.Put(r)
	return err
}

// batch is one transaction in the making.
type batch struct {
	db    *DB
	open  bool       // BEGIN was done
	work  []*request // taken from the queue, not begun
	now   *request   // the one that runs
	kept  []*request // ran well; they succeed if the commit does
	again []*request // to be run a second time, each alone
	saved []*request // durable, to be told
	slots int        // units begun since BEGIN
}

// write is the writer goroutine. It ends when the store is closed and nothing
// waits any more.
func (db *DB) write(b *batch) {
	clean := false
	defer func() {
		if clean {
			close(db.gone)
			return
		}
		// A unit ended this goroutine (runtime.Goexit, as t.FailNow does).
		if b.now != nil {
			b.now.answer <- errExit
		}
		b.tell()
		b.again, b.kept = append(b.kept, b.again...), nil
		b.abort(nil)
		db.mu.Lock()
		db.queue = append(b.work, db.queue...)
		db.mu.Unlock()
		b.work, b.now = nil, nil
		go db.write(b)
	}()
	b.alone()
	var spare []*request
	for {
		db.mu.Lock()
		for len(db.queue) == 0 && !db.closed {
			db.some.Wait()
		}
		if len(db.queue) == 0 {
			db.mu.Unlock()
			clean = true
			return
		}
		for {
			taken := db.queue
			b.work, db.queue = taken, spare[:0]
			db.mu.Unlock()
			for len(b.work) > 0 {
				r := b.work[0]
				b.work[0], b.work = nil, b.work[1:]
				if !r.state.CompareAndSwap(waiting, begun) {
					continue
				}
				b.run(r)
				if b.slots >= batchLimit {
					b.commit()
				}
			}
			spare = taken
			// What came in meanwhile travels along: it costs the first ones
			// less than a second flush would cost the last ones.
			db.mu.Lock()
			if len(db.queue) == 0 {
				db.mu.Unlock()
				break
			}
		}
		b.commit()
	}
}

// run runs one unit inside the batch, and answers it if it failed.
func (b *batch) run(r *request) {
	b.now = r
	began := b.db.now()
	t, err := b.unit(r)
	b.now = nil
	if took := b.db.now().Sub(began); took > slowUnit {
		b.db.log.Warn("slow unit of work", "caller", where(r.caller), "took", took)
	}
	if err != nil {
		r.answer <- err
		return
	}
	r.after = t.after
	b.kept = append(b.kept, r)
}

func (b *batch) unit(r *request) (*tx, error) {
	c, err := b.begin()
	if err != nil {
		return nil, translate(err)
	}
	// The first unit needs no savepoint: undoing it is undoing everything.
	first := len(b.kept) == 0
	b.slots++
	if !first {
		if err := b.save(c, "SAVEPOINT u"); err != nil {
			return nil, err
		}
	}
	t := &tx{c: c}
	if err = b.db.call(r.fn, t, r.caller); err == nil {
		err = t.failed // a unit cannot hide it
	}
	switch {
	case c.idle(): // the engine undid everything, as it does when the disk is full
		if err == nil {
			err = fmt.Errorf("store: the transaction ended inside a unit at %s", where(r.caller))
		}
		b.open = false
		b.abort(err)
	case err != nil && first:
		b.abort(err)
	case err != nil:
		if e := b.save(c, "ROLLBACK TO u"); e != nil {
			return nil, err
		}
		if e := b.save(c, "RELEASE u"); e != nil {
			return nil, err
		}
	case !first:
		err = b.save(c, "RELEASE u")
	}
	return t, err
}

// begin gives the connection with a transaction open on it.
func (b *batch) begin() (*conn, error) {
	db := b.db
	if db.conn == nil {
		c, err := db.openWriter()
		if err != nil {
			return nil, err
		}
		db.conn = c
	}
	if !b.open {
		if err := db.conn.begin.run(); err != nil {
			b.abort(err)
			return nil, err
		}
		b.open, b.slots = true, 0
	}
	return db.conn, nil
}

// save runs a savepoint's statement; when it fails the whole batch does.
func (b *batch) save(c *conn, query string) error {
	s, err := c.statement(query)
	if err == nil {
		err = s.run()
		s.release()
	}
	if err != nil {
		err = translate(err)
		b.abort(err)
	}
	return err
}

// commit makes the batch durable and answers its callers.
func (b *batch) commit() {
	if !b.open {
		return
	}
	if len(b.kept) == 0 {
		b.abort(nil)
		return
	}
	if err := b.db.conn.end.run(); err != nil {
		if len(b.kept) > 1 && refused(err) {
			b.again, b.kept = append(b.kept, b.again...), nil
			b.abort(nil)
			b.alone()
			return
		}
		b.db.log.Error("commit failed", "units", len(b.kept), "err", err)
		b.abort(translate(err))
		return
	}
	b.open = false
	b.saved, b.kept = b.kept, b.saved[:0]
	b.tell()
}

// tell runs what follows the commit and answers, in the order of the units.
func (b *batch) tell() {
	for i, r := range b.saved {
		if r == nil {
			continue
		}
		for len(r.after) > 0 {
			f := r.after[0]
			r.after = r.after[1:]
			b.notify(f, r.caller)
		}
		b.saved[i] = nil
		r.answer <- nil
	}
	b.saved = b.saved[:0]
}

// alone runs the units of an undone batch again, each in a transaction of its
// own: one of them breaks a constraint that is checked at the commit, or ended
// the goroutine, and only that one is to fail.
func (b *batch) alone() {
	for len(b.again) > 0 {
		r := b.again[0]
		b.again = b.again[1:]
		b.run(r)
		b.commit()
	}
}

// abort undoes what is open and answers err to every unit that ran well. When
// the connection cannot even do that it is dropped; the next batch opens
// another.
func (b *batch) abort(err error) {
	if c := b.db.conn; c != nil && !c.idle() {
		if e := c.undo.run(); e != nil || !c.idle() {
			b.db.log.Error("rollback failed, opening the store anew", "err", e)
			c.close()
			b.db.conn = nil
		}
	}
	b.open = false
	for i, r := range b.kept {
		b.kept[i] = nil
		r.answer <- err
	}
	b.kept = b.kept[:0]
}

// call runs fn, turns its panic into an error, and ends the use of t, also when
// fn ends its goroutine.
func (db *DB) call(fn func(store.Tx) error, t *tx, caller uintptr) (err error) {
	defer t.finish()
	defer func() {
		if p := recover(); p != nil {
			db.log.Error("panic in a unit of work", "caller", where(caller), "err", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("store: panic in the unit at %s: %v", where(caller), p)
		}
	}()
	return fn(t)
}

func (b *batch) notify(f func(), caller uintptr) {
	defer func() {
		if p := recover(); p != nil {
			b.db.log.Error("panic after a commit", "caller", where(caller), "err", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	f()
}

func where(pc uintptr) string {
	if pc == 0 {
		return "?"
	}
	f, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	return f.File + ":" + strconv.Itoa(f.Line)
}
