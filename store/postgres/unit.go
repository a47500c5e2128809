package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"kakehashi/store"
)

const (
	slowUnit   = 250 * time.Millisecond
	alone      = 4  // lost so often, a unit has this program for itself
	mostRuns   = 64 // then it gives up: fault.StoreBusy
	mostBreaks = 3  // connections that broke under one unit
	longWait   = 20 * time.Millisecond
)

// Update runs fn in a transaction and returns when that is durable.
func (db *DB) Update(ctx context.Context, fn func(store.Tx) error) error {
	if err := db.enter(ctx, db.writers); err != nil {
		return err
	}
	var pc [1]uintptr
	runtime.Callers(2, pc[:])
	caller := pc[0]
	var after []func()
	err := func() error {
		defer func() { <-db.writers }()
		began := db.now()
		var err error
		after, err = db.repeat(ctx, fn, caller)
		if took := db.now().Sub(began); took > slowUnit {
			db.log.Warn("slow unit of work", "caller", where(caller), "took", took)
		}
		return err
	}()
	if err != nil {
		return err
	}
	for _, f := range after {
		db.notify(f, caller)
	}
	return nil
}

// repeat runs fn until it is kept or fails for a reason of its own. Once fn has
// run, ctx ends nothing any more.
func (db *DB) repeat(ctx context.Context, fn func(store.Tx) error, caller uintptr) ([]func(), error) {
	breaks, twice := 0, false
	for n := 1; ; n++ {
		t, err := db.attempt(ctx, fn, caller, n > alone)
		if err == nil {
			return t.after, nil
		}
		if t == nil { // no connection
			return nil, err
		}
		ctx = context.WithoutCancel(ctx)
		cause := t.failed
		if cause == nil {
			return nil, err
		}
		var l *lost
		switch {
		case errors.As(cause, &l) || stale(cause):
			if breaks++; breaks >= mostBreaks {
				return nil, err
			}
		case serial(state(cause)):
			if n >= mostRuns {
				return nil, err
			}
			// A short wait of random length, so that the same units do not meet again.
			if most := min(time.Duration(n*n)*100*time.Microsecond, longWait); n > 1 {
				time.Sleep(rand.N(most))
			}
		case errors.Is(cause, store.ErrConflict) && t.read && !twice:
			// The key may have been taken after fn looked: on a newer snapshot fn may
			// decide otherwise, as it would have with one unit after the other.
			twice = true
		default:
			return nil, err
		}
	}
}

// attempt runs fn once. t is nil when it did not run.
func (db *DB) attempt(ctx context.Context, fn func(store.Tx) error, caller uintptr, alone bool) (t *tx, err error) {
	c, err := db.take(ctx)
	if err != nil {
		return nil, err
	}
	if alone {
		db.turn.Lock()
		defer db.turn.Unlock()
	} else {
		db.turn.RLock()
		defer db.turn.RUnlock()
	}
	t = &tx{db: db, c: c}
	returned := false
	defer func() { // also when fn ends its goroutine
		if !returned {
			t.end(errOver)
		}
		db.leave(t)
	}()
	err = db.call(fn, t, caller)
	returned = true
	return t, t.end(err)
}

// View runs fn on one snapshot: what was durable when fn first read.
func (db *DB) View(ctx context.Context, fn func(store.Tx) error) error {
	if err := db.enter(ctx, db.readers); err != nil {
		return err
	}
	defer func() { <-db.readers }()
	c, err := db.take(ctx)
	if err != nil {
		return err
	}
	t := &tx{db: db, c: c, view: true}
	func() {
		returned := false
		defer func() { // also when fn ends its goroutine
			if !returned {
				t.end(errOver)
			}
			db.leave(t)
		}()
		err = db.call(fn, t, 0)
		returned = true
		err = t.end(err)
	}()
	if err != nil {
		return err
	}
	for _, f := range t.after {
		f()
	}
	return nil
}

// leave takes the connection of a unit back, and forgets what is known of
// statements when that does not hold any more.
func (db *DB) leave(t *tx) {
	if stale(t.failed) {
		t.c.close()
		db.shapes.Clear()
	} else if t.c.broken != nil {
		db.distrust()
	}
	db.give(t.c)
}

// call runs fn and turns its panic into an error.
func (db *DB) call(fn func(store.Tx) error, t *tx, caller uintptr) (err error) {
	defer func() {
		if p := recover(); p != nil {
			db.log.Error("panic in a unit of work", "caller", where(caller), "err", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("store: panic in the unit at %s: %v", where(caller), p)
		}
	}()
	return fn(t)
}

func (db *DB) notify(f func(), caller uintptr) {
	defer func() {
		if p := recover(); p != nil {
			db.log.Error("panic after a commit", "caller", where(caller), "err", fmt.Sprint(p), "stack", string(debug.Stack()))
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
