package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/store"
	"kakehashi/store/sqlite"
	"kakehashi/store/storetest"
)

func TestTheEngineKeepsThePromisesOfTheStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.OpenSQLite)
}

func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

const table = "CREATE TABLE t_rows (\n participant TEXT NOT NULL, id BIGINT NOT NULL, body BYTEA, PRIMARY KEY (participant, id));"

var schema = store.Schema{Owner: "t", Files: files("0001_init.sql", table)}

func openAt(path string, log *slog.Logger, schemas ...store.Schema) (*sqlite.DB, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return sqlite.Open(context.Background(), sqlite.Config{Path: path, Schemas: schemas, Log: log})
}

func open(t *testing.T, path string, schemas ...store.Schema) *sqlite.DB {
	t.Helper()
	db, err := openAt(path, nil, schemas...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func put(db *sqlite.DB, id int, size int) error {
	return db.Update(context.Background(), func(tx store.Tx) error {
		return tx.Exec("INSERT INTO t_rows VALUES ($1, $2, $3)", "tokyo", id, make([]byte, size))
	})
}

func count(t *testing.T, db *sqlite.DB) (n int) {
	t.Helper()
	if err := db.View(context.Background(), func(tx store.Tx) error {
		return tx.QueryRow("SELECT COUNT(*) FROM t_rows").Scan(&n)
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWhatUpdateReturnedIsInTheFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "b", "store.db")
	db := open(t, path, schema)
	for i := range 3 {
		if err := put(db, i, 100); err != nil {
			t.Fatal(err)
		}
		// The files as they are now, as after a sudden end of the program.
		copied := filepath.Join(t.TempDir(), "copy.db")
		for _, suffix := range []string{"", "-wal"} {
			b, err := os.ReadFile(path + suffix)
			if err == nil {
				err = os.WriteFile(copied+suffix, b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if n := count(t, open(t, copied, schema)); n != i+1 {
			t.Errorf("%d rows in the copy, want %d", n, i+1)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if n := count(t, open(t, path, schema)); n != 3 {
		t.Errorf("%d rows after reopening, want 3", n)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("others can read the file: %v %v", info.Mode(), err)
	}
}

func TestASecondProgramIsKeptOut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	db := open(t, path)
	_, err := openAt(path, nil)
	if !errors.Is(err, fault.StoreInUse) {
		t.Fatalf("got %v", err)
	}
	if what := fault.Of(err).What("en"); !strings.Contains(what, filepath.Dir(path)) {
		t.Errorf("%q does not name the folder", what)
	}
	db.Close()
	open(t, path)
}

func TestAfterCloseThereIsNothing(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "store.db"), schema)
	var group sync.WaitGroup
	var kept atomic.Int64
	for i := range 50 {
		group.Go(func() {
			switch err := put(db, i, 10); {
			case err == nil:
				kept.Add(1)
			case !errors.Is(err, store.ErrClosed):
				t.Error(err)
			}
		})
		group.Go(func() {
			err := db.View(context.Background(), func(tx store.Tx) error {
				return tx.QueryRow("SELECT COUNT(*) FROM t_rows").Scan(new(int))
			})
			if err != nil && !errors.Is(err, store.ErrClosed) {
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
	if err := put(db, 99, 1); !errors.Is(err, store.ErrClosed) {
		t.Errorf("update: %v", err)
	}
	if err := db.View(context.Background(), func(store.Tx) error { return nil }); !errors.Is(err, store.ErrClosed) {
		t.Errorf("view: %v", err)
	}
}

func TestSchemasOnlyGoForward(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	storetest.RunSchemas(t, func(schemas ...store.Schema) (interface {
		store.DB
		io.Closer
	}, error) {
		return openAt(path, nil, schemas...)
	})
}

func TestSlowUnitsAndPanicsAreLoggedByTheirCaller(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer // the writer writes it before it answers
	var clock atomic.Int64
	db, err := sqlite.Open(t.Context(), sqlite.Config{
		Path: filepath.Join(t.TempDir(), "store.db"),
		Log:  slog.New(slog.NewTextHandler(&out, nil)),
		Now:  func() time.Time { return time.UnixMilli(clock.Load()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	nothing := func(store.Tx) error { return nil }
	if err := db.Update(t.Context(), nothing); err != nil || out.Len() != 0 {
		t.Fatalf("a quick unit was logged: %v %s", err, &out)
	}
	if err := db.Update(t.Context(), func(store.Tx) error { clock.Add(6); return nil }); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); !strings.Contains(s, "level=WARN") || !strings.Contains(s, "sqlite_test.go:") {
		t.Errorf("log of a slow unit: %s", s)
	}
	out.Reset()
	err = db.Update(t.Context(), func(store.Tx) error { panic("on purpose") })
	if err == nil || !strings.Contains(err.Error(), "sqlite_test.go:") {
		t.Errorf("a panic gave %v", err)
	}
	if s := out.String(); !strings.Contains(s, "on purpose") || !strings.Contains(s, "TestSlowUnits") {
		t.Errorf("log of a panic: %s", s)
	}
}
