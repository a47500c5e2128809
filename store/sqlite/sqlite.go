// Package sqlite is the unit of work on one SQLite file: the engine that runs
// with no other program beside it.
//
// One goroutine writes. It takes the units that wait, up to 256, runs them in
// one transaction, each so that it can fail alone, and answers their callers
// when the disk has it (write-ahead log, synchronous=FULL). So the rate grows
// with the number of callers and a lone caller waits for nobody. Views read
// from a pool of other connections and never wait for the writer.
//
// It is not for several programs on one file: a lock file keeps the second out.
package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"kakehashi/internal/lock"
	"kakehashi/store"

	lib "modernc.org/sqlite/lib"
)

// Config says what to open. Path is required.
type Config struct {
	// Path of the file. Its folder is made when it is missing, readable by
	// its owner only; beside the file appear -wal, -shm and .lock.
	Path string
	// Schemas are brought up to date in this order before Open returns.
	Schemas []store.Schema
	// Log gets slow units, panics and failed commits; slog.Default when nil.
	Log *slog.Logger
	// Now stamps migrations and measures units; time.Now when nil.
	Now func() time.Time
	// Cache is how many KiB of pages the writer keeps, and the most that a reader
	// does; what the allocator takes is about twice that. 0: 32 MiB, and 8 MiB for
	// each reader.
	Cache int
}

// DB is a store.DB on one file. All methods can be used by many goroutines.
type DB struct {
	path  string
	log   *slog.Logger
	now   func() time.Time
	cache int
	lock  *lock.File // nil: another program may write, this one only reads

	// The writer. mu guards queue and closed; conn belongs to the goroutine
	// that runs write.
	mu     sync.Mutex
	some   sync.Cond // queue is not empty, or closed
	queue  []*request
	closed bool
	conn   *conn
	gone   chan struct{} // closed when the writer has ended

	// The readers. idle holds those that nobody uses; room limits how many
	// there are.
	readMu sync.Mutex
	idle   []*conn
	room   chan struct{}
}

// Both kinds of connection. busy_timeout comes first: it also covers the
// change to write-ahead logging. The log is moved into the file when it has 2000
// pages (8 MB): later moves a hot row fewer times, sooner stops the writer for
// less long.
var (
	common = []string{"busy_timeout=5000", "foreign_keys=ON", "temp_store=MEMORY", "trusted_schema=OFF"}
	writes = []string{"journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=2000", "journal_size_limit=67108864"}
	reads  = []string{"query_only=ON"}
)

var patch = sync.OnceFunc(lib.PatchIssue199)

// Open opens the file, makes it if it is missing, and brings every schema up
// to date. It fails with fault.StoreInUse while another program has the file
// open, fault.StoreNewer when a newer program has used it, fault.StoreChanged
// when a migration that was applied reads differently now, and
// fault.Unavailable when the disk refuses.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	patch()
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(cfg.Path)
	if err != nil || cfg.Path == "" {
		return nil, fmt.Errorf("open store %q: no path", cfg.Path)
	}
	held, err := claim(path)
	if err != nil {
		return nil, err
	}
	db := &DB{path: path, cache: cfg.Cache, log: cfg.Log, now: cfg.Now, lock: held, gone: make(chan struct{}),
		room: make(chan struct{}, min(max(4, 2*runtime.GOMAXPROCS(0)), 32))}
	db.some.L = &db.mu
	if db.conn, err = db.openWriter(); err == nil {
		if err = migrate(ctx, db.conn, cfg.Schemas, cfg.Now); err != nil {
			db.conn.close()
		}
	}
	if err != nil {
		_ = held.Release()
		return nil, fmt.Errorf("open store %s: %w", path, translate(err))
	}
	go db.write(&batch{db: db})
	return db, nil
}

func (db *DB) openWriter() (*conn, error) {
	// IMMEDIATE takes the write lock at once, so no unit fails half way for want of it.
	return db.connect("BEGIN IMMEDIATE", writes, cmp.Or(db.cache, 32<<10))
}

// Close lets the units that wait finish, then ends. Later units get
// store.ErrClosed. Views that run are waited for.
func (db *DB) Close() error {
	db.mu.Lock()
	first := !db.closed
	db.closed = true
	if db.lock == nil && first {
		close(db.gone)
	}
	db.some.Broadcast()
	db.mu.Unlock()
	<-db.gone
	if !first {
		return nil
	}
	for range cap(db.room) { // no view runs, and none begins
		db.room <- struct{}{}
	}
	for _, c := range db.idle {
		c.close()
	}
	db.idle = nil
	if db.conn != nil { // last, so that it moves the log into the file
		db.conn.close()
	}
	if db.lock == nil {
		return nil
	}
	return db.lock.Release()
}

func (db *DB) isClosed() bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.closed
}

// View runs fn on one snapshot: what was durable when fn first read.
func (db *DB) View(ctx context.Context, fn func(store.Tx) error) (err error) {
	if db.isClosed() {
		return store.ErrClosed
	}
	select {
	case db.room <- struct{}{}:
	default:
		select {
		case db.room <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		case <-db.gone:
			return store.ErrClosed
		}
	}
	defer func() { <-db.room }()
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := db.reader()
	if err != nil {
		return translate(err)
	}
	if err := c.begin.run(); err != nil {
		c.close()
		return translate(err)
	}
	t := &tx{c: c, view: true}
	defer func() { // also when fn ends its goroutine
		if c.end.run() != nil {
			c.close()
			return
		}
		db.readMu.Lock()
		db.idle = append(db.idle, c)
		db.readMu.Unlock()
	}()
	if err = db.call(fn, t, 0); err == nil {
		err = t.failed
	}
	if err == nil {
		for _, f := range t.after {
			f()
		}
	}
	return err
}

func (db *DB) reader() (*conn, error) {
	db.readMu.Lock()
	if n := len(db.idle); n > 0 {
		c := db.idle[n-1] // the last one used has the warmest cache
		db.idle = db.idle[:n-1]
		db.readMu.Unlock()
		return c, nil
	}
	db.readMu.Unlock()
	return db.connect("BEGIN", reads, min(cmp.Or(db.cache, 8<<10), 8<<10))
}

func (db *DB) connect(begin string, kind []string, cache int) (*conn, error) {
	return open(db.path, begin, slices.Concat(common, kind, []string{fmt.Sprintf("cache_size=-%d", cache)})...)
}
