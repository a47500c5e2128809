package sqlite_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"kakehashi/internal/fault"
	"kakehashi/store"
	"kakehashi/store/sqlite"
)

// together runs units so that they share one batch, and gives their errors.
func together(db *sqlite.DB, units ...func(store.Tx) error) []error {
	begun, end := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		db.Update(context.Background(), func(store.Tx) error { close(begun); <-end; return nil })
	})
	<-begun
	errs := make([]error, len(units))
	for i, u := range units {
		queued := make(chan struct{})
		group.Go(func() { close(queued); errs[i] = db.Update(context.Background(), u) })
		<-queued
	}
	close(end)
	group.Wait()
	return errs
}

func TestAFullDiskFailsWhatItCannotKeepAndNothingLater(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	db := open(t, path, schema)
	pragma := func(text string) {
		if err := db.Update(t.Context(), func(tx store.Tx) error { return sqlite.Script(tx, text) }); err != nil {
			t.Fatal(err)
		}
	}
	pragma("PRAGMA max_page_count=50")
	acknowledged := 0
	for i := range 100 {
		err := put(db, i, 10000)
		if err == nil {
			acknowledged++
			continue
		}
		if !errors.Is(err, fault.Unavailable) {
			t.Fatalf("a full disk gave %v", err)
		}
		break
	}
	if acknowledged == 0 || acknowledged > 20 || count(t, db) != acknowledged {
		t.Fatalf("%d acknowledged, %d kept", acknowledged, count(t, db))
	}
	// In company: who was acknowledged is kept, who was not is not.
	units := make([]func(store.Tx) error, 20)
	for i := range units {
		units[i] = func(tx store.Tx) error {
			return tx.Exec("INSERT INTO t_rows VALUES ($1, $2, $3)", "osaka", i, make([]byte, 100+i%2*100000))
		}
	}
	for i, err := range together(db, units...) {
		if err == nil {
			acknowledged++
		} else if !errors.Is(err, fault.Unavailable) {
			t.Errorf("unit %d: %v", i, err)
		}
	}
	if n := count(t, db); n != acknowledged {
		t.Errorf("%d acknowledged, %d kept", acknowledged, n)
	}
	pragma("PRAGMA max_page_count=1000000") // somebody freed space
	if err := put(db, 1000, 100000); err != nil {
		t.Errorf("still failing with space free: %v", err)
	}
	db.Close()
	if n := count(t, open(t, path, schema)); n != acknowledged+1 {
		t.Errorf("%d rows after reopening, want %d", n, acknowledged+1)
	}
}

func TestACommitThatIsRefusedFailsOnlyWhoBrokeTheRule(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "store.db"), store.Schema{Owner: "t", Files: files("0001_init.sql", `
CREATE TABLE t_rows (participant TEXT NOT NULL, id BIGINT NOT NULL, PRIMARY KEY (participant, id));
CREATE TABLE t_parts (participant TEXT NOT NULL, id BIGINT NOT NULL, PRIMARY KEY (participant, id),
	FOREIGN KEY (participant, id) REFERENCES t_rows (participant, id) DEFERRABLE INITIALLY DEFERRED);`)})
	ran := 0
	good := func(id int) func(store.Tx) error {
		return func(tx store.Tx) error {
			tx.AfterCommit(func() { ran++ })
			return tx.Exec("INSERT INTO t_rows VALUES ($1, $2)", "tokyo", id)
		}
	}
	bad := func(tx store.Tx) error {
		tx.AfterCommit(func() { ran = -100 })
		return tx.Exec("INSERT INTO t_parts VALUES ($1, $2)", "tokyo", 77)
	}
	errs := together(db, good(1), bad, good(2), good(3))
	if errs[0] != nil || errs[1] == nil || errs[2] != nil || errs[3] != nil {
		t.Errorf("got %v", errs)
	}
	if n := count(t, db); n != 3 || ran != 3 {
		t.Errorf("%d rows kept, %d told of it, want 3", n, ran)
	}
	if err := db.Update(t.Context(), bad); err == nil {
		t.Error("alone, a broken rule was kept")
	}
}

func TestAnyStatementTheEngineEndsTheTransactionWithFailsTheBatch(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "store.db"), schema)
	good := func(id int) func(store.Tx) error {
		return func(tx store.Tx) error {
			return tx.Exec("INSERT INTO t_rows (participant, id) VALUES ($1, $2)", "tokyo", id)
		}
	}
	acknowledged := 0
	for _, err := range together(db, good(1), func(tx store.Tx) error { return tx.Exec("ROLLBACK") }, good(2)) {
		if err == nil {
			acknowledged++
		}
	}
	if err := db.Update(t.Context(), func(tx store.Tx) error { return tx.Exec("COMMIT") }); err == nil {
		t.Error("a unit committed by itself")
	}
	if n := count(t, db); n != acknowledged {
		t.Errorf("%d acknowledged, %d kept", acknowledged, n)
	}
}
