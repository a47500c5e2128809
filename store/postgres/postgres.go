// Package postgres is the unit of work on a PostgreSQL server, for nodes that
// have outgrown one file or run as several replicas.
//
// A unit is one transaction at REPEATABLE READ on one connection. Exec does not
// wait: what it asks for travels with the next read or the commit, so that a
// unit that reads once takes two round trips and one that only writes takes one.
// A unit that met another one (SQLSTATE 40001, 40P01) runs again, at last alone
// in this program. Nothing here rests on advisory locks, LISTEN or sequences.
//
// REPEATABLE READ lets two units each decide on a row that the other changes: a
// unit that decides on a row writes that row, or leaves it to a unique key.
package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"kakehashi/internal/fault"
	"kakehashi/store"
)

// Config says what to open. URL is required.
type Config struct {
	// URL is postgres://user:password@host:port/database?options as libpq has it.
	// What it leaves out comes from the environment variables of libpq (PGPASSWORD,
	// PGPASSFILE and others).
	URL string
	// Schemas are brought up to date in this order before Open returns.
	Schemas []store.Schema
	// Log gets slow units and panics; slog.Default when nil.
	Log *slog.Logger
	// Now stamps migrations and measures units; time.Now when nil.
	Now func() time.Time
	// Conns is how many units write at a time, and how many views read: each has a
	// connection of its own. 0: 16.
	Conns int
	// Patience is how long the server may be silent before a connection is given up.
	// 0: 30 s.
	Patience time.Duration
}

// DB is a store.DB on one database. All methods can be used by many goroutines.
type DB struct {
	conf     *pgconn.Config
	place    string // host, port and database, for errors
	log      *slog.Logger
	now      func() time.Time
	patience time.Duration
	bytewise bool     // the server sorts text by its bytes anyway
	fresh    bool     // Open found none of its tables
	channel  string   // of its Signals
	shapes   sync.Map // query -> *shape

	writers, readers chan struct{} // room for units that run
	turn             sync.RWMutex  // held alone by a unit that has lost too often

	mu     sync.Mutex
	idle   []*conn       // the one that rested longest first
	freed  chan struct{} // capacity 1: one came back
	closed chan struct{}
	once   sync.Once
}

const (
	connectWithin = 10 * time.Second
	briefRest     = 10 * time.Millisecond // a connection that rested longer is looked at
	longRest      = time.Second           // and this one is asked: the line may be cut
	longestLife   = 30 * time.Minute      // then it is replaced, so that servers behind one name share the load
	longestRest   = time.Minute           // what rests longer is ended: others may want the server's room
	roomWithin    = 5 * time.Second       // how long a unit waits at a server that takes no more connections
	lookAgain     = 100 * time.Millisecond
	aliveAfter    = 30 * time.Second // what stands between must not forget a connection that rests
)

// Parse reads a URL and fills in what the environment of libpq says. Where neither
// says how the line is protected, a server on another machine must prove its name
// (sslmode=verify-full). Its error holds no secret.
func Parse(text string) (*pgconn.Config, error) {
	bad := errors.New("not a URL of the form postgres://user@host:port/database")
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, bad
	}
	conf, err := pgconn.ParseConfig(text)
	if err != nil { // its text masks a password by a guess only
		return nil, bad
	}
	if u.Query().Has("sslmode") || os.Getenv("PGSSLMODE") != "" || near(conf.Host) {
		return conf, nil
	}
	q := u.Query()
	q.Set("sslmode", "verify-full")
	u.RawQuery = q.Encode()
	if conf, err = pgconn.ParseConfig(u.String()); err != nil {
		return nil, bad
	}
	return conf, nil
}

// near tells of a server on this machine.
func near(host string) bool {
	a, err := netip.ParseAddr(host)
	return strings.HasPrefix(host, "/") || host == "localhost" || err == nil && a.IsLoopback()
}

// Open connects and brings every schema up to date. It fails with
// fault.StoreAway, fault.StoreRefused when the server does not let it in,
// fault.StoreReadOnly, fault.StoreNewer when a newer program has used the
// database, and fault.StoreChanged when a migration that was applied reads
// differently now.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Conns <= 0 {
		cfg.Conns = 16
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 30 * time.Second
	}
	conf, err := Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	db := &DB{conf: conf, place: place(conf), log: cfg.Log, now: cfg.Now, patience: cfg.Patience,
		writers: make(chan struct{}, cfg.Conns), readers: make(chan struct{}, cfg.Conns), closed: make(chan struct{}), freed: make(chan struct{}, 1)}
	conf.RuntimeParams["client_encoding"] = "UTF8"
	if conf.RuntimeParams["application_name"] == "" {
		conf.RuntimeParams["application_name"] = "kakehashi"
	}
	if most := min(connectWithin, cfg.Patience); conf.ConnectTimeout == 0 || conf.ConnectTimeout > most {
		conf.ConnectTimeout = most
	}
	conf.DialFunc = (&net.Dialer{Timeout: conf.ConnectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: aliveAfter, Interval: aliveAfter / 3, Count: 3}}).DialContext
	c, err := db.take(ctx)
	if err == nil {
		if err = db.check(c); err == nil {
			err = db.migrate(ctx, c, cfg.Schemas)
		}
		db.give(c)
	}
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("open store %s: %w", db.place, err)
	}
	return db, nil
}

// connect opens one connection. What a session needs is set here, since a server
// in between may refuse it as a parameter of the start.
func (db *DB) connect(ctx context.Context) (*conn, error) {
	pc, err := pgconn.ConnectConfig(ctx, db.conf)
	if err != nil {
		return nil, db.refusedEntry(err)
	}
	if enc := pc.ParameterStatus("server_encoding"); enc != "" && enc != "UTF8" {
		pc.Close(ctx)
		f := store.Refused(fault.StoreRefused, db.place, fmt.Errorf("server_encoding is %s", enc))
		f.Args = map[string]string{"reason": "its encoding is " + enc + ", not UTF8"}
		return nil, f
	}
	h, err := pc.Hijack()
	if err != nil {
		return nil, err
	}
	c := &conn{net: h.Conn, in: h.Frontend, patience: db.patience, kept: map[string]*stmt{}, status: h.TxStatus, mark: rand.Text()[:8] + "_"}
	c.born = time.Now()
	c.used = c.born
	// A unit that died with its program must not hold its rows for long. Who waits
	// for a row longer than units take is in a circle: the server finds that out
	// after a second only. Nothing is durable with synchronous_commit off.
	if err := c.script(`SET idle_in_transaction_session_timeout = '60s';
SET lock_timeout = '200ms';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`); err != nil {
		c.close()
		return nil, db.translate(err, false)
	}
	return c, nil
}

// check learns what kind of server it is, and where our tables are.
func (db *DB) check(c *conn) error {
	t := &tx{db: db, c: c, view: true}
	var version string
	var schema *string
	err := t.QueryRow("SELECT version(), CAST(current_schema() AS TEXT)").Scan(&version, &schema)
	db.bytewise = sortsBytes(version)
	if schema == nil {
		schema = new(string)
	}
	db.channel = channel(*schema)
	return t.end(err)
}

// take gives a connection that lives. Where the server has no room for one more,
// it waits for one of ours to come back.
func (db *DB) take(ctx context.Context) (*conn, error) {
	began := time.Now()
	for {
		c := db.rested()
		if c == nil {
			c, err := db.connect(ctx)
			if err == nil || state(err) != full || time.Since(began) > min(roomWithin, db.patience) {
				return c, err
			}
			select {
			case <-db.freed:
			case <-time.After(lookAgain): // another program may have left
			case <-ctx.Done():
				return nil, err
			}
			continue
		}
		rested := time.Since(c.used)
		switch {
		case time.Since(c.born) > longestLife || rested > briefRest && !c.rests():
			c.close()
		case rested > longRest && !c.answers():
			c.close()
			db.distrust()
		default:
			return c, nil
		}
	}
}

// rested gives the connection that was used last, or nil.
func (db *DB) rested() *conn {
	db.mu.Lock()
	defer db.mu.Unlock()
	n := len(db.idle)
	if n == 0 {
		return nil
	}
	c := db.idle[n-1]
	db.idle[n-1] = nil
	db.idle = db.idle[:n-1]
	return c
}

// give takes a connection back.
func (db *DB) give(c *conn) {
	var old *conn
	if c.broken == nil {
		now := time.Now()
		db.mu.Lock()
		if !db.isClosed() {
			c.used = now
			db.idle = append(db.idle, c)
			c = nil
			if now.Sub(db.idle[0].used) > longestRest {
				old = db.idle[0]
				db.idle = slices.Delete(db.idle, 0, 1)
			}
		}
		db.mu.Unlock()
	}
	for _, c := range []*conn{c, old} {
		if c != nil {
			c.close()
		}
	}
	select {
	case db.freed <- struct{}{}:
	default:
	}
}

// distrust ends the connections that rest: one broke, so the line may be cut for
// all, and each would let a unit wait.
func (db *DB) distrust() {
	db.mu.Lock()
	idle := db.idle
	db.idle = nil
	db.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}

// Fresh tells that Open found no table of its schemas: the database is new.
func (db *DB) Fresh() bool { return db.fresh }

// Place names what a URL leads to, without secrets: host, port, database, and the
// schema in it if it is not the usual one.
func Place(text string) (string, error) {
	conf, err := Parse(text)
	if err != nil {
		return "", err
	}
	at := place(conf)
	if path := conf.RuntimeParams["search_path"]; path != "" {
		at += "?search_path=" + path
	}
	return at, nil
}

// Place is host, port and database, without secrets.
func (db *DB) Place() string { return db.place }

func (db *DB) isClosed() bool {
	select {
	case <-db.closed:
		return true
	default:
		return false
	}
}

// Close waits for the units and views that run and ends the connections. Later
// units get store.ErrClosed.
func (db *DB) Close() error {
	db.once.Do(func() {
		db.mu.Lock()
		close(db.closed)
		db.mu.Unlock()
		for _, room := range []chan struct{}{db.writers, db.readers} {
			for range cap(room) {
				room <- struct{}{}
			}
		}
		db.mu.Lock()
		defer db.mu.Unlock()
		for _, c := range db.idle {
			c.close()
		}
		db.idle = nil
	})
	return nil
}

// enter waits for room, and as long as ctx says.
func (db *DB) enter(ctx context.Context, room chan struct{}) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if db.isClosed() {
		return store.ErrClosed
	}
	select {
	case room <- struct{}{}:
	default:
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		case <-db.closed:
			return store.ErrClosed
		}
	}
	if db.isClosed() {
		<-room
		return store.ErrClosed
	}
	return nil
}
