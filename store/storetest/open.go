// Package storetest opens stores for tests and holds the suite that every
// engine must pass. It is for tests only.
//
// Tests run on SQLite; with the environment variable KAKEHASHI_TEST_POSTGRES,
// the URL of a PostgreSQL database that may be filled, they run there, each in a
// schema of its own. make postgres sets it.
package storetest

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"kakehashi/store"
	"kakehashi/store/postgres"
	"kakehashi/store/sqlite"
)

// Environment names the variable that has tests run on PostgreSQL.
const Environment = "KAKEHASHI_TEST_POSTGRES"

// Again names the variable that has each unit of a test run twice: first undone,
// then for good, as one does that met another. A room whose tests fail with it
// keeps something from the run that was undone.
const Again = "KAKEHASHI_TEST_AGAIN"

// Open gives a new store with these schemas in it. It is closed and removed when
// t ends.
func Open(t testing.TB, schemas ...store.Schema) store.DB {
	t.Helper()
	db := func() store.DB {
		if os.Getenv(Environment) != "" {
			return OpenPostgres(t, schemas...)
		}
		return OpenSQLite(t, schemas...)
	}()
	if os.Getenv(Again) != "" {
		return twice{db}
	}
	return db
}

// OpenSQLite is Open on a file, whatever the environment says.
func OpenSQLite(t testing.TB, schemas ...store.Schema) store.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db"), Schemas: schemas, Log: logger(t)})
	if err != nil {
		t.Fatalf("open a store: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return db
}

// OpenPostgres is Open on PostgreSQL; without the variable it skips the test.
func OpenPostgres(t testing.TB, schemas ...store.Schema) store.DB {
	t.Helper()
	at := URL(t)
	if at == "" {
		t.Skipf("%s is not set: see make postgres", Environment)
	}
	db, err := postgres.Open(t.Context(), postgres.Config{URL: at, Schemas: schemas, Log: logger(t), Conns: 8})
	if err != nil {
		t.Fatalf("open a store: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return db
}

// URL gives the address of a schema of PostgreSQL that only t uses and that is
// removed when t ends; "" when the variable is not set. It is what a node's
// setting store takes.
func URL(t testing.TB) string {
	t.Helper()
	base := os.Getenv(Environment)
	if base == "" {
		return ""
	}
	ctx := context.WithoutCancel(t.Context()) // it ends before what cleans up
	at, drop, err := postgres.Apart(ctx, base)
	if err != nil {
		t.Fatalf("make a schema in the database of the tests: %v", err)
	}
	t.Cleanup(func() {
		if err := drop(ctx); err != nil {
			t.Errorf("remove the schema of the test: %v", err)
		}
	})
	return at
}

// Flags adds the setting store to a node's flags when tests run on PostgreSQL.
func Flags(t testing.TB, flags map[string]string) map[string]string {
	t.Helper()
	if at := URL(t); at != "" {
		flags["store"] = at
	}
	return flags
}

func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
}

type twice struct{ store.DB }

var errUndone = errors.New("this run is undone")

func (d twice) Update(ctx context.Context, fn func(store.Tx) error) error {
	err := d.DB.Update(ctx, func(tx store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errUndone
	})
	if !errors.Is(err, errUndone) {
		return err
	}
	return d.DB.Update(context.WithoutCancel(ctx), fn)
}
