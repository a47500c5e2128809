package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"kakehashi/internal/fault"
	"kakehashi/store"
	"kakehashi/store/postgres"
	"kakehashi/store/storetest"
	"kakehashi/store/storetest/cluster"
)

var rowsSchema = store.Schema{Owner: "t", Files: fstest.MapFS{"0001_init.sql": {Data: []byte(
	"CREATE TABLE t_rows (participant TEXT NOT NULL, id BIGINT NOT NULL, body BYTEA, PRIMARY KEY (participant, id));")}}}

// server gives the address of a schema of the shared server, or skips.
func server(t *testing.T) string {
	t.Helper()
	at := storetest.URL(t)
	if at == "" {
		t.Skipf("%s is not set: see make postgres", storetest.Environment)
	}
	return at
}

// own starts a server that a test may stop and kill.
func own(t *testing.T, settings ...string) *cluster.Cluster {
	t.Helper()
	if os.Getenv(storetest.Environment) == "" {
		t.Skipf("%s is not set: see make postgres", storetest.Environment)
	}
	c, err := cluster.Start(t.Context(), settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func openAt(at string, conns int, schemas ...store.Schema) (*postgres.DB, error) {
	return postgres.Open(context.Background(), postgres.Config{URL: at, Schemas: schemas, Conns: conns, Log: slog.New(slog.DiscardHandler)})
}

func open(t *testing.T, at string, conns int, schemas ...store.Schema) *postgres.DB {
	t.Helper()
	db, err := openAt(at, conns, schemas...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func put(db store.DB, id int) error {
	return db.Update(context.Background(), func(tx store.Tx) error {
		return tx.Exec("INSERT INTO t_rows VALUES ($1, $2, $3)", "tokyo", id, make([]byte, 500))
	})
}

func kept(t *testing.T, db store.DB) map[int]bool {
	t.Helper()
	all := map[int]bool{}
	err := db.View(context.Background(), func(tx store.Tx) error {
		rows, err := tx.Query("SELECT id FROM t_rows WHERE participant = $1", "tokyo")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int
			if err := rows.Scan(&id); err != nil {
				return err
			}
			all[id] = true
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func at(text string) storetest.Place {
	return func(schemas ...store.Schema) (interface {
		store.DB
		io.Closer
	}, error) {
		return openAt(text, 2, schemas...)
	}
}

func TestSchemasOnlyGoForward(t *testing.T) {
	t.Parallel()
	storetest.RunSchemas(t, at(server(t)))
}

func TestSeveralMigratorsAtOnceApplyEachStepOnce(t *testing.T) {
	t.Parallel()
	storetest.RunMigrators(t, at(server(t)))
}

// A server that is killed as its machine would be has all that was acknowledged,
// and nothing that was told to have failed; the store goes on without being
// opened again.
func TestNothingAcknowledgedIsLostWhenTheServerIsKilled(t *testing.T) {
	t.Parallel()
	c := own(t)
	db := open(t, c.URL(), 16, rowsSchema)
	const goroutines = 64
	var mu sync.Mutex
	told, unsure := map[int]bool{}, map[int]bool{}
	for round := range 3 {
		var group sync.WaitGroup
		enough := make(chan struct{})
		for g := range goroutines {
			group.Go(func() {
				for i := 0; ; i++ {
					id := round*10_000_000 + g*100_000 + i
					err := put(db, id)
					mu.Lock()
					switch {
					case err == nil:
						told[id] = true
						if len(told) == 400*(round+1) {
							close(enough)
						}
					case errors.Is(err, fault.StoreUnknown):
						unsure[id] = true
					case !errors.Is(err, fault.StoreAway) || !errors.Is(err, fault.Unavailable):
						t.Errorf("a unit failed with %v", err)
					}
					mu.Unlock()
					if err != nil {
						return
					}
				}
			})
		}
		<-enough
		if err := c.Kill(); err != nil {
			t.Fatal(err)
		}
		group.Wait()
		if err := put(db, -1-round); !errors.Is(err, fault.StoreAway) {
			t.Errorf("without a server: %v", err)
		}
		if err := c.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		have := kept(t, db)
		for id := range told {
			if !have[id] {
				t.Errorf("%d was acknowledged and is not there", id)
			}
		}
		for id := range have {
			if !told[id] && !unsure[id] {
				t.Errorf("%d was told to have failed and is there", id)
			}
		}
	}
}

// After a stop in order every connection is dead; no unit may notice.
func TestARestartedServerIsFoundAgainWithoutAnError(t *testing.T) {
	t.Parallel()
	c := own(t)
	db := open(t, c.URL(), 8, rowsSchema)
	warm(t, db, 8) // so that each has a connection of its own
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := db.View(t.Context(), func(store.Tx) error { return nil }); !errors.Is(err, fault.StoreAway) {
		t.Errorf("a view without a server: %v", err)
	}
	if err := c.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := put(db, 100+i); err != nil {
			t.Errorf("unit %d after the restart: %v", i, err)
		}
	}
	if n := len(kept(t, db)); n != 28 {
		t.Errorf("%d rows", n)
	}
}

// A connection that breaks under a unit that has not asked to commit costs that
// unit a second run, no error.
func TestAUnitWhoseConnectionBreaksRunsAgain(t *testing.T) {
	t.Parallel()
	db := open(t, server(t), 4, rowsSchema)
	runs := 0
	err := db.Update(t.Context(), func(tx store.Tx) error {
		runs++
		var pid int64
		if err := tx.QueryRow("SELECT pg_backend_pid()").Scan(&pid); err != nil {
			return err
		}
		if err := tx.Exec("INSERT INTO t_rows (participant, id) VALUES ($1, $2)", "tokyo", runs); err != nil {
			return err
		}
		if runs == 1 {
			if err := db.View(t.Context(), func(tx store.Tx) error {
				return tx.QueryRow("SELECT pg_terminate_backend($1, 5000)", pid).Scan(new(bool))
			}); err != nil {
				return err
			}
		}
		return tx.QueryRow("SELECT COUNT(*) FROM t_rows WHERE participant = $1", "tokyo").Scan(new(int))
	})
	if all := kept(t, db); err != nil || runs != 2 || len(all) != 1 || !all[2] {
		t.Errorf("%v after %d runs; kept %v", err, runs, all)
	}
}

// Two units that hold what the other wants: one of them runs again.
func TestACircleIsBroken(t *testing.T) {
	t.Parallel()
	db := open(t, server(t), 4, rowsSchema)
	for id := range 2 {
		if err := put(db, id); err != nil {
			t.Fatal(err)
		}
	}
	var group, both sync.WaitGroup
	both.Add(2)
	var runs atomic.Int64
	for g := range 2 {
		group.Go(func() {
			first := true
			err := db.Update(context.Background(), func(tx store.Tx) error {
				runs.Add(1)
				for i := range 2 {
					var id int64
					if err := tx.QueryRow("UPDATE t_rows SET body = NULL WHERE participant = $1 AND id = $2 RETURNING id", "tokyo", (g+i)%2).Scan(&id); err != nil {
						return err
					}
					if first {
						first = false
						both.Done()
						both.Wait()
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := runs.Load(); n < 3 {
		t.Errorf("%d runs: they never met", n)
	}
}

func TestAServerThatTakesNoChangesIsNamed(t *testing.T) {
	t.Parallel()
	at := server(t)
	open(t, at, 1, rowsSchema)
	db := open(t, at+"&default_transaction_read_only=on", 2, rowsSchema)
	if err := put(db, 1); !errors.Is(err, fault.StoreReadOnly) || !errors.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
	if n := len(kept(t, db)); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func TestWhoIsNotLetInIsToldWhyAndNoSecretIsShown(t *testing.T) {
	t.Parallel()
	base, err := url.Parse(server(t))
	if err != nil {
		t.Fatal(err)
	}
	const secret = "k4k3h4sh1"
	change := func(f func(*url.URL)) string {
		u := *base
		u.User = url.UserPassword(base.User.Username(), secret)
		f(&u)
		return u.String()
	}
	for name, c := range map[string]struct {
		at   string
		want error
	}{
		"no such database": {change(func(u *url.URL) { u.User = base.User; u.Path = "/nowhere" }), fault.StoreRefused},
		"no such user":     {change(func(u *url.URL) { u.User = url.UserPassword("nobody-at-all", secret) }), fault.StoreRefused},
		"nobody listens":   {change(func(u *url.URL) { u.Host = "127.0.0.1:1" }), fault.StoreAway},
		"no TLS there":     {change(func(u *url.URL) { u.RawQuery = "sslmode=require" }), fault.StoreRefused},
	} {
		_, err := openAt(c.at, 1)
		if !errors.Is(err, c.want) || !errors.Is(err, fault.Unavailable) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		f := fault.Of(err)
		for _, said := range []string{err.Error(), f.What("en"), f.What("ja"), f.Remedy("en")} {
			if strings.Contains(said, secret) || strings.Contains(said, "{") {
				t.Errorf("%s: it says %s", name, said)
			}
		}
	}
}

// More texts than a connection keeps, and tables that change under prepared
// statements, are no trouble.
func TestStatementsAreKeptOnlyAsLongAsTheyHold(t *testing.T) {
	t.Parallel()
	at := server(t)
	db := open(t, at, 1, rowsSchema)
	if err := put(db, 1); err != nil {
		t.Fatal(err)
	}
	for i := range 1200 {
		if err := db.View(t.Context(), func(tx store.Tx) error {
			var n int
			err := tx.QueryRow(fmt.Sprintf("SELECT id + %d FROM t_rows WHERE participant = $1", i), "tokyo").Scan(&n)
			if n != i+1 {
				t.Errorf("statement %d gave %d", i, n)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	columns := func() (n int) {
		if err := db.Update(t.Context(), func(tx store.Tx) error {
			dest := []any{new(string), new(int64), new([]byte), new(*string)}
			err := tx.QueryRow("SELECT * FROM t_rows WHERE participant = $1", "tokyo").Scan(dest[:3]...)
			n = 3
			if err != nil && strings.Contains(err.Error(), "4 columns") {
				n, err = 4, nil
			}
			return err
		}); err != nil {
			t.Error(err)
		}
		return n
	}
	if n := columns(); n != 3 {
		t.Errorf("%d columns", n)
	}
	newer := store.Schema{Owner: "t", Files: fstest.MapFS{"0001_init.sql": rowsSchema.Files.(fstest.MapFS)["0001_init.sql"],
		"0002_more.sql": {Data: []byte("ALTER TABLE t_rows ADD COLUMN note TEXT")}}}
	open(t, at, 1, newer)
	if n := columns(); n != 4 {
		t.Errorf("%d columns after a column was added", n)
	}
}

func TestAfterCloseThereIsNothing(t *testing.T) {
	t.Parallel()
	at := server(t)
	db := open(t, at, 4, rowsSchema)
	var group sync.WaitGroup
	var told atomic.Int64
	for i := range 50 {
		group.Go(func() {
			switch err := put(db, i); {
			case err == nil:
				told.Add(1)
			case !errors.Is(err, store.ErrClosed):
				t.Error(err)
			}
		})
	}
	for range 2 {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	group.Wait()
	if err := put(db, 99); !errors.Is(err, store.ErrClosed) {
		t.Errorf("update: %v", err)
	}
	if err := db.View(t.Context(), func(store.Tx) error { return nil }); !errors.Is(err, store.ErrClosed) {
		t.Errorf("view: %v", err)
	}
	if n := len(kept(t, open(t, at, 1, rowsSchema))); n != int(told.Load()) {
		t.Errorf("%d acknowledged, %d kept", told.Load(), n)
	}
}
