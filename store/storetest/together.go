package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"kakehashi/store"
)

// hold occupies db with a unit until the function it returns is called, so that
// what is asked for meanwhile waits together.
func hold(t *testing.T, db store.DB) (release func()) {
	t.Helper()
	begun, end, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var once sync.Once
	go func() {
		ended <- db.Update(context.Background(), func(store.Tx) error {
			once.Do(func() { close(begun) })
			<-end
			return nil
		})
	}()
	<-begun
	return func() {
		close(end)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func panics(t *testing.T, db store.DB) {
	err := db.Update(t.Context(), func(tx store.Tx) error {
		if err := tx.Exec(insert, "tokyo", "a", 1); err != nil {
			return err
		}
		panic("on purpose")
	})
	if err == nil {
		t.Error("no error after a panic")
	}
	if err := db.View(t.Context(), func(store.Tx) error { panic("on purpose") }); err == nil {
		t.Error("no error after a panic in a view")
	}
	update(t, db, func(tx store.Tx) error {
		tx.AfterCommit(func() { panic("on purpose") })
		return tx.Exec(insert, "tokyo", "b", 1)
	})
	expect(t, db, "b")
}

func goexit(t *testing.T, db store.DB) {
	release := hold(t, db)
	var group sync.WaitGroup
	for _, id := range []string{"a", "bad", "c", "d"} {
		group.Go(func() {
			err := db.Update(context.Background(), func(tx store.Tx) error {
				if id == "bad" {
					runtime.Goexit()
				}
				if id == "d" {
					tx.AfterCommit(runtime.Goexit)
				}
				return tx.Exec(insert, "tokyo", id, 1)
			})
			if (err != nil) != (id == "bad") {
				t.Errorf("%s: %v", id, err)
			}
		})
	}
	release()
	group.Wait()
	update(t, db, func(tx store.Tx) error { return tx.Exec(insert, "tokyo", "z", 1) })
	expect(t, db, "a c d z")
}

func cancelled(t *testing.T, db store.DB) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	never := func(store.Tx) error { t.Error("a unit ran for an ended context"); return nil }
	if err := db.Update(ended, never); !errors.Is(err, context.Canceled) {
		t.Errorf("update: %v", err)
	}
	if err := db.View(ended, never); !errors.Is(err, context.Canceled) {
		t.Errorf("view: %v", err)
	}
	// A context that ends inside a unit does not end the unit.
	inside, cancel := context.WithCancel(context.Background())
	err := db.Update(inside, func(tx store.Tx) error {
		cancel()
		return tx.Exec(insert, "tokyo", "a", 1)
	})
	if err != nil {
		t.Error(err)
	}
	// One that ends while the unit waits: whichever came first, the answer and
	// what is kept agree.
	release := hold(t, db)
	waits, cancel := context.WithCancel(context.Background())
	answer := make(chan error)
	go func() {
		answer <- db.Update(waits, func(tx store.Tx) error { return tx.Exec(insert, "tokyo", "b", 1) })
	}()
	cancel()
	err = <-answer
	release()
	update(t, db, func(tx store.Tx) error { return tx.Exec(insert, "tokyo", "c", 1) })
	if err == nil {
		expect(t, db, "a b c")
	} else {
		expect(t, db, "a c")
	}
}

func after(t *testing.T, db store.DB) {
	var got []int
	note := func(tx store.Tx, n int) { tx.AfterCommit(func() { got = append(got, n) }) }
	update(t, db, func(tx store.Tx) error {
		for n := range 5 {
			note(tx, n)
		}
		if len(got) != 0 {
			t.Error("ran before the commit")
		}
		return nil
	})
	if !slices.Equal(got, []int{0, 1, 2, 3, 4}) {
		t.Errorf("ran as %v", got)
	}
	err := db.Update(t.Context(), func(tx store.Tx) error { note(tx, 9); return errors.New("no") })
	if err == nil || len(got) != 5 {
		t.Errorf("ran although the unit failed: %v", got)
	}
	var seen string
	update(t, db, func(tx store.Tx) error {
		tx.AfterCommit(func() { seen = ids(t, db) })
		return tx.Exec(insert, "tokyo", "a", 1)
	})
	if seen != "a" {
		t.Errorf("AfterCommit saw %q", seen)
	}
}

func between(t *testing.T, db store.DB) {
	update(t, db, func(tx store.Tx) error { return tx.Exec(insert, "tokyo", "taken", 1) })
	release := hold(t, db)
	var group sync.WaitGroup
	bad := errors.New("bad")
	for i := range 30 {
		group.Go(func() {
			err := db.Update(context.Background(), func(tx store.Tx) error {
				if err := tx.Exec(insert, "tokyo", fmt.Sprintf("i%02d", i), i); err != nil {
					return err
				}
				switch i % 5 {
				case 1:
					return bad
				case 2:
					return tx.Exec(insert, "tokyo", "taken", 1)
				case 3:
					panic("on purpose")
				}
				return nil
			})
			switch want := i % 5; {
			case want == 1 && !errors.Is(err, bad), want == 2 && !errors.Is(err, store.ErrConflict),
				want == 3 && err == nil, (want == 0 || want == 4) && err != nil:
				t.Errorf("unit %d: %v", i, err)
			}
		})
	}
	release()
	group.Wait()
	expect(t, db, "i00 i04 i05 i09 i10 i14 i15 i19 i20 i24 i25 i29 taken")
}

func racing(t *testing.T, db store.DB) {
	const units, goroutines = 640, 64
	update(t, db, func(tx store.Tx) error { return tx.Exec(insert, "tokyo", "counter", 0) })
	var group sync.WaitGroup
	committed := 0 // AfterCommit runs never two at a time for one counter
	var mu sync.Mutex
	for g := range goroutines {
		group.Go(func() {
			for i := range units / goroutines {
				err := db.Update(context.Background(), func(tx store.Tx) error {
					var n int64
					if err := tx.QueryRow("SELECT n FROM suite_items WHERE participant = $1 AND id = $2", "tokyo", "counter").Scan(&n); err != nil {
						return err
					}
					if err := tx.Exec("UPDATE suite_items SET n = $3 WHERE participant = $1 AND id = $2", "tokyo", "counter", n+1); err != nil {
						return err
					}
					if err := tx.Exec(insert, "osaka", fmt.Sprint(g, "-", i), n); err != nil {
						return err
					}
					tx.AfterCommit(func() { mu.Lock(); committed++; mu.Unlock() })
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				// What was acknowledged is there for the next view.
				err = db.View(context.Background(), func(tx store.Tx) error {
					return tx.QueryRow("SELECT n FROM suite_items WHERE participant = $1 AND id = $2", "osaka", fmt.Sprint(g, "-", i)).Scan(new(int64))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	var n, rows int
	if err := db.View(t.Context(), func(tx store.Tx) error {
		return errors.Join(
			tx.QueryRow("SELECT n FROM suite_items WHERE participant = $1 AND id = $2", "tokyo", "counter").Scan(&n),
			tx.QueryRow("SELECT COUNT(*), COUNT(DISTINCT n) FROM suite_items WHERE participant = $1", "osaka").Scan(&rows, new(int)))
	}); err != nil {
		t.Fatal(err)
	}
	if n != units || rows != units || committed != units {
		t.Errorf("counter %d, rows %d, AfterCommit %d, want %d", n, rows, committed, units)
	}
}
