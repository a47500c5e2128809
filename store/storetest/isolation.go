package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"kakehashi/store"
)

const (
	readN = "SELECT n FROM suite_items WHERE participant = $1 AND id = $2"
	addN  = "UPDATE suite_items SET n = n + 1 WHERE participant = $1 AND id = $2"
)

func number(t *testing.T, db store.DB, query string, args ...any) (n int64) {
	t.Helper()
	if err := db.View(t.Context(), func(tx store.Tx) error { return tx.QueryRow(query, args...).Scan(&n) }); err != nil {
		t.Fatal(err)
	}
	return n
}

// Units that take the same rows in opposite orders would wait for each other for
// ever on an engine that lets them run side by side.
func circles(t *testing.T, db store.DB) {
	update(t, db, func(tx store.Tx) error {
		return errors.Join(tx.Exec(insert, "tokyo", "a", 0), tx.Exec(insert, "tokyo", "b", 0))
	})
	const rounds = 20
	var group sync.WaitGroup
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}, {"a", "b"}, {"b", "a"}} {
		group.Go(func() {
			for range rounds {
				err := db.Update(context.Background(), func(tx store.Tx) error {
					for _, id := range order {
						var n int64
						if err := tx.QueryRow(addN+" RETURNING n", "tokyo", id).Scan(&n); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if a, b := number(t, db, readN, "tokyo", "a"), number(t, db, readN, "tokyo", "b"); a != 4*rounds || b != 4*rounds {
		t.Errorf("a is %d and b is %d, want %d", a, b, 4*rounds)
	}
}

// A key that was taken after the unit looked is no conflict for it: it runs again
// and finds the row, as it would have with one unit after the other.
func lookFirst(t *testing.T, db store.DB) {
	for round := range 10 {
		id := fmt.Sprint("r", round)
		var made, found atomic.Int64
		var group sync.WaitGroup
		for range 16 {
			group.Go(func() {
				var mine bool
				err := db.Update(context.Background(), func(tx store.Tx) error {
					mine = false
					err := tx.QueryRow(readN, "tokyo", id).Scan(new(int64))
					if !errors.Is(err, store.ErrNotFound) {
						return err
					}
					mine = true
					return tx.Exec(insert, "tokyo", id, 1)
				})
				switch {
				case err != nil:
					t.Error(err)
				case mine:
					made.Add(1)
				default:
					found.Add(1)
				}
			})
		}
		group.Wait()
		if made.Load() != 1 || found.Load() != 15 {
			t.Errorf("%d made the row and %d found it", made.Load(), found.Load())
		}
	}
}

// A unit decides on one consistent state, however many others write meanwhile:
// the two rows are always changed together.
func consistent(t *testing.T, db store.DB) {
	update(t, db, func(tx store.Tx) error {
		return errors.Join(tx.Exec(insert, "tokyo", "a", 0), tx.Exec(insert, "tokyo", "b", 0))
	})
	both := func(tx store.Tx) (a, b int64, err error) {
		if err := tx.QueryRow(readN, "tokyo", "a").Scan(&a); err != nil {
			return 0, 0, err
		}
		err = tx.QueryRow(readN, "tokyo", "b").Scan(&b)
		return a, b, err
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 25 {
				if err := db.Update(context.Background(), func(tx store.Tx) error {
					a, b, err := both(tx)
					if err != nil {
						return err
					}
					if a != b {
						t.Errorf("a unit saw %d and %d", a, b)
					}
					return errors.Join(tx.Exec(addN, "tokyo", "a"), tx.Exec(addN, "tokyo", "b"))
				}); err != nil {
					t.Error(err)
				}
				if err := db.View(context.Background(), func(tx store.Tx) error {
					a, b, err := both(tx)
					if a != b {
						t.Errorf("a view saw %d and %d", a, b)
					}
					return err
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if n := number(t, db, readN, "tokyo", "b"); n != 100 {
		t.Errorf("%d changes were kept of 100", n)
	}
}

// Bulk writers keep nobody out: short units and views come through beside them,
// and each of the bulk units is there wholly.
func bulk(t *testing.T, db store.DB) {
	const units, rows = 8, 500
	var short, group sync.WaitGroup
	stop := make(chan struct{})
	for w := range 2 {
		group.Go(func() {
			for u := range units {
				if err := db.Update(context.Background(), func(tx store.Tx) error {
					for i := range rows {
						if err := tx.Exec(insert, fmt.Sprint("bulk", w), fmt.Sprint(u, "-", i), u); err != nil {
							return err
						}
					}
					return nil
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var done atomic.Int64
	for s := range 2 {
		short.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := db.Update(context.Background(), func(tx store.Tx) error { return tx.Exec(insert, "tokyo", fmt.Sprint(s, "-", i), i) }); err != nil {
					t.Error(err)
					return
				}
				done.Add(1)
				if n := number(t, db, "SELECT COUNT(*) FROM suite_items WHERE participant = $1", "bulk0"); n%rows != 0 {
					t.Errorf("a view saw %d rows of a bulk writer", n)
				}
			}
		})
	}
	group.Wait()
	close(stop)
	short.Wait()
	for w := range 2 {
		if n := number(t, db, "SELECT COUNT(*) FROM suite_items WHERE participant = $1", fmt.Sprint("bulk", w)); n != units*rows {
			t.Errorf("%d rows of %d", n, units*rows)
		}
	}
	if n := number(t, db, "SELECT COUNT(*) FROM suite_items WHERE participant = $1", "tokyo"); n != done.Load() {
		t.Errorf("%d short units were acknowledged, %d are kept", done.Load(), n)
	}
}

// A unit of very many statements is one as well, also when its last one fails.
func many(t *testing.T, db store.DB) {
	const rows = 3000
	write := func(last string) error {
		return db.Update(t.Context(), func(tx store.Tx) error {
			for i := range rows {
				if err := tx.Exec(insert, "tokyo", fmt.Sprint("m", i), i); err != nil {
					return err
				}
			}
			return tx.Exec(insert, "tokyo", last, 0)
		})
	}
	if err := write("m0"); !errors.Is(err, store.ErrConflict) {
		t.Errorf("got %v", err)
	}
	expect(t, db, "")
	if err := write("last"); err != nil {
		t.Error(err)
	}
	if n := number(t, db, "SELECT COUNT(*) FROM suite_items WHERE participant = $1", "tokyo"); n != rows+1 {
		t.Errorf("%d rows are kept", n)
	}
}

// An error that travels with the next read or the commit is the unit's, also
// when fn hears nothing of it.
func late(t *testing.T, db store.DB) {
	update(t, db, func(tx store.Tx) error { return tx.Exec(insert, "tokyo", "a", 1) })
	read := db.Update(t.Context(), func(tx store.Tx) error {
		if err := tx.Exec(insert, "tokyo", "a", 2); err != nil {
			return err
		}
		if err := tx.QueryRow(readN, "tokyo", "a").Scan(new(int64)); err != nil {
			return err
		}
		t.Error("the read did not hear of the conflict before it")
		return nil
	})
	commit := db.Update(t.Context(), func(tx store.Tx) error {
		tx.AfterCommit(func() { t.Error("something followed a commit that failed") })
		tx.Exec(insert, "tokyo", "b", 2)
		tx.Exec(insert, "tokyo", "a", 2)
		return nil
	})
	if !errors.Is(read, store.ErrConflict) || !errors.Is(commit, store.ErrConflict) {
		t.Errorf("at the read %v, at the commit %v", read, commit)
	}
	expect(t, db, "a")
}

// Text is in the order of its bytes on every engine, whatever the language of
// the database: pages go on where the last one ended.
func order(t *testing.T, db store.DB) {
	want := []string{"-a", "10", "9", "A", "B", "Z", "_", "a", "a b", "ab", "e\u0301", "z", "Å", "é", "あ", "ア", "亜", "\U0001f309"}
	slices.Sort(want)
	update(t, db, func(tx store.Tx) error {
		for i := range want {
			if err := tx.Exec(insert, "tokyo", want[(i*7)%len(want)], i); err != nil {
				return err
			}
		}
		return nil
	})
	var got []string
	for from := ""; ; {
		var page []string
		if err := db.View(t.Context(), func(tx store.Tx) error {
			page = nil
			rows, err := tx.Query("SELECT id FROM suite_items WHERE (participant, id) > ($1, $2) ORDER BY participant, id LIMIT $3", "tokyo", from, 5)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var id string
				if err := rows.Scan(&id); err != nil {
					return err
				}
				page = append(page, id)
			}
			return rows.Err()
		}); err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		got, from = append(got, page...), page[len(page)-1]
	}
	if !slices.Equal(got, want) {
		t.Errorf("the order is %q\nwant %q", strings.Join(got, " "), strings.Join(want, " "))
	}
}

// computed is what a query makes of columns, in the types that rooms read.
func computed(t *testing.T, db store.DB) {
	update(t, db, func(tx store.Tx) error {
		return errors.Join(tx.Exec(insert, "tokyo", "a", int64(1)<<61), tx.Exec(insert, "tokyo", "b", 3), tx.Exec(insert, "tokyo", "c", nil))
	})
	err := db.View(t.Context(), func(tx store.Tx) error {
		var sum, count, most int64
		var none float64
		var some, more, is bool
		var which string
		var null *int64
		err := tx.QueryRow(`SELECT SUM(n), COUNT(n), MAX(n), COALESCE(SUM(part), 0), COUNT(*) > 2, EXISTS (SELECT 1 FROM suite_items WHERE participant = $2),
			MIN(CASE WHEN n > 3 THEN 'many' ELSE 'few' END), MIN(part), MAX(n) IS NOT NULL FROM suite_items WHERE participant = $1`, "tokyo", "osaka").
			Scan(&sum, &count, &most, &none, &some, &more, &which, &null, &is)
		if sum != int64(1)<<61+3 || count != 2 || most != int64(1)<<61 || none != 0 || !some || more || which != "few" || null != nil || !is {
			t.Errorf("computed %d %d %d %v %v %v %q %v %v", sum, count, most, none, some, more, which, null, is)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	update(t, db, func(tx store.Tx) error {
		return tx.Exec(`INSERT INTO suite_items (participant, id, n) SELECT participant, id || $2, n FROM suite_items WHERE participant = $1 AND n IS NOT NULL
			ON CONFLICT (participant, id) DO NOTHING`, "tokyo", "+")
	})
	expect(t, db, "a a+ b b+ c")
}
