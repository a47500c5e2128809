package storetest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"kakehashi/internal/fault"
	"kakehashi/store"
)

// Opener gives a new, empty store with these schemas, closed when t ends.
type Opener func(t testing.TB, schemas ...store.Schema) store.DB

var suite = store.Schema{Owner: "suite", Files: fstest.MapFS{"0001_init.sql": {Data: []byte(`
-- a comment; with a semicolon
CREATE TABLE suite_items (participant TEXT NOT NULL, id TEXT NOT NULL, n BIGINT, body BYTEA, flag BOOLEAN, part DOUBLE PRECISION, note TEXT, long TEXT, PRIMARY KEY (participant, id));
CREATE UNIQUE INDEX suite_items_note ON suite_items (participant, note);
`)}}}

const insert = "INSERT INTO suite_items (participant, id, n) VALUES ($1, $2, $3)"

// Run holds an engine to what package store promises.
func Run(t *testing.T, open Opener) {
	for name, test := range map[string]func(*testing.T, store.DB){
		"a unit is there wholly or not at all":        wholly,
		"a failed statement fails its unit":           sticky,
		"a taken key is a conflict":                   conflict,
		"a view is one snapshot and cannot write":     view,
		"values come back as they went in":            values,
		"text that one engine cannot keep is refused": badText,
		"rows can be read, left open and misused":     manyRows,
		"a change can answer its rows":                returning,
		"a panic keeps nothing and harms nobody":      panics,
		"a unit that ends its goroutine fails alone":  goexit,
		"an ended context ends only the wait":         cancelled,
		"what follows a commit runs in order":         after,
		"one unit fails between good ones":            between,
		"placeholders count by their number":          placeholders,
		"a unit may run again":                        again,
		"640 racing units lose nothing":               racing,
		"a transaction cannot be used after its unit": over,
		"units in opposite orders all get through":    circles,
		"a key taken after a look is no conflict":     lookFirst,
		"a unit sees one consistent state":            consistent,
		"bulk writers keep nobody out":                bulk,
		"a unit of many statements is one":            many,
		"an error that comes late is the unit's":      late,
		"text is in the order of its bytes":           order,
		"what a query computes is read":               computed,
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			test(t, open(t, suite))
		})
	}
}

func update(t *testing.T, db store.DB, fn func(store.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// ids lists what is kept, in order.
func ids(t *testing.T, db store.DB) string {
	t.Helper()
	var all []string
	err := db.View(t.Context(), func(tx store.Tx) error {
		all = nil
		rows, err := tx.Query("SELECT id FROM suite_items WHERE participant = $1 ORDER BY id", "tokyo")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			all = append(all, id)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func expect(t *testing.T, db store.DB, want string) {
	t.Helper()
	if got := ids(t, db); got != want {
		t.Errorf("kept %q, want %q", got, want)
	}
}

func wholly(t *testing.T, db store.DB) {
	mine := errors.New("mine")
	err := db.Update(t.Context(), func(tx store.Tx) error {
		if err := tx.Exec(insert, "tokyo", "a", 1); err != nil {
			return err
		}
		return fmt.Errorf("wrapped: %w", mine)
	})
	if !errors.Is(err, mine) {
		t.Errorf("got %v, want the error of the unit", err)
	}
	expect(t, db, "")
	update(t, db, func(tx store.Tx) error {
		return errors.Join(tx.Exec(insert, "tokyo", "a", 1), tx.Exec(insert, "tokyo", "b", 1))
	})
	expect(t, db, "a b")
}

func sticky(t *testing.T, db store.DB) {
	err := db.Update(t.Context(), func(tx store.Tx) error {
		if err := tx.Exec(insert, "tokyo", "a", 1); err != nil {
			return err
		}
		_ = tx.Exec("INSERT INTO suite_nowhere VALUES (1)")
		return nil
	})
	if err == nil {
		t.Error("a unit hid the error of a statement")
	}
	err = db.Update(t.Context(), func(tx store.Tx) error {
		return tx.Exec(insert, "tokyo", "a") // too few arguments
	})
	if err == nil {
		t.Error("a statement ran with too few arguments")
	}
	expect(t, db, "")
}

func conflict(t *testing.T, db store.DB) {
	update(t, db, func(tx store.Tx) error { return tx.Exec(insert, "tokyo", "a", 1) })
	err := db.Update(t.Context(), func(tx store.Tx) error {
		if err := tx.Exec(insert, "tokyo", "b", 1); err != nil {
			return err
		}
		return tx.Exec(insert, "tokyo", "a", 2)
	})
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("primary key: %v", err)
	}
	const note = "INSERT INTO suite_items (participant, id, note) VALUES ($1, $2, $3)"
	err = db.Update(t.Context(), func(tx store.Tx) error {
		return errors.Join(tx.Exec(note, "tokyo", "c", "same"), tx.Exec(note, "tokyo", "d", "same"))
	})
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("unique index: %v", err)
	}
	err = db.Update(t.Context(), func(tx store.Tx) error {
		return tx.Exec("INSERT INTO suite_items (participant) VALUES ($1)", "tokyo")
	})
	if err == nil || errors.Is(err, store.ErrConflict) {
		t.Errorf("a missing value is no conflict: %v", err)
	}
	expect(t, db, "a")
	update(t, db, func(tx store.Tx) error {
		return tx.Exec(insert+" ON CONFLICT (participant, id) DO UPDATE SET n = excluded.n", "tokyo", "a", 9)
	})
}

func view(t *testing.T, db store.DB) {
	update(t, db, func(tx store.Tx) error { return tx.Exec(insert, "tokyo", "a", 1) })
	const read = "SELECT n FROM suite_items WHERE participant = $1 AND id = $2"
	err := db.View(t.Context(), func(tx store.Tx) error {
		var before, behind int64
		if err := tx.QueryRow(read, "tokyo", "a").Scan(&before); err != nil {
			return err
		}
		// A second unit while this view is open: it neither waits nor shows.
		update(t, db, func(tx store.Tx) error {
			return tx.Exec("UPDATE suite_items SET n = 2 WHERE participant = $1 AND id = $2", "tokyo", "a")
		})
		if err := tx.QueryRow(read, "tokyo", "a").Scan(&behind); err != nil {
			return err
		}
		if before != 1 || behind != 1 {
			t.Errorf("the snapshot moved from %d to %d", before, behind)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	// A unit that is not over does not show either, and holds no view up.
	update(t, db, func(tx store.Tx) error {
		if err := tx.Exec(insert, "tokyo", "b", 1); err != nil {
			return err
		}
		expect(t, db, "a")
		return nil
	})
	expect(t, db, "a b")
	err = db.View(t.Context(), func(tx store.Tx) error { return tx.Exec(insert, "tokyo", "c", 1) })
	if err == nil {
		t.Error("a view wrote")
	}
	if err = db.View(t.Context(), func(tx store.Tx) error {
		return tx.QueryRow(insert+" RETURNING n", "tokyo", "c", 1).Scan(new(int64))
	}); err == nil {
		t.Error("a view wrote")
	}
	expect(t, db, "a b")
}

type name string

func values(t *testing.T, db store.DB) {
	texts := []string{"", "架け橋 🌉 e\u0301 \U0010ffff", strings.Repeat("大", 1<<20), "'; DROP TABLE suite_items; --"}
	bodies := [][]byte{nil, {}, {0, 1, 255}, bytes.Repeat([]byte{7, 0}, 4<<20)}
	const put = "INSERT INTO suite_items (participant, id, n, body, flag, part, long) VALUES ($1, $2, $3, $4, $5, $6, $7)"
	for i, text := range texts {
		id := fmt.Sprint("v", i)
		update(t, db, func(tx store.Tx) error {
			return tx.Exec(put, name("tokyo"), id, int64(-1)<<62, bodies[i], i%2 == 0, 0.1, &text)
		})
		for range 2 { // the second time with a statement that was used before
			err := db.View(t.Context(), func(tx store.Tx) error {
				var (
					who       name
					n         int64
					body      []byte
					flag      bool
					part      float64
					note      string
					maybe     *string
					maybeBody any
				)
				err := tx.QueryRow("SELECT participant, n, body, flag, part, long, long, body FROM suite_items WHERE participant = $1 AND id = $2",
					"tokyo", id).Scan(&who, &n, &body, &flag, &part, &note, &maybe, &maybeBody)
				if err != nil {
					return err
				}
				if who != "tokyo" || n != int64(-1)<<62 || flag != (i%2 == 0) || part != 0.1 || note != text || *maybe != text {
					t.Errorf("%s: another value came back", id)
				}
				if !bytes.Equal(body, bodies[i]) || (body == nil) != (bodies[i] == nil) || (maybeBody == nil) != (bodies[i] == nil) {
					t.Errorf("%s: other bytes came back: %d, nil %v", id, len(body), body == nil)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	update(t, db, func(tx store.Tx) error {
		return tx.Exec(put, "tokyo", "nulls", nil, nil, (*bool)(nil), sql.NullFloat64{}, sql.NullString{})
	})
	err := db.View(t.Context(), func(tx store.Tx) error {
		var n sql.NullInt64
		var flag *bool
		var part *float64
		q := "SELECT n, flag, part FROM suite_items WHERE participant = $1 AND id = $2"
		if err := tx.QueryRow(q, "tokyo", "nulls").Scan(&n, &flag, &part); err != nil {
			return err
		}
		if n.Valid || flag != nil || part != nil {
			t.Error("NULL came back as a value")
		}
		var plain int64
		if err := tx.QueryRow(q, "tokyo", "nulls").Scan(&plain, &flag, &part); err == nil {
			t.Error("NULL was read into an int64")
		}
		if err := tx.QueryRow(q, "tokyo", "none").Scan(&n, &flag, &part); err != store.ErrNotFound {
			t.Errorf("no row: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func badText(t *testing.T, db store.DB) {
	for _, id := range []any{"a\x00b", "a\xff", name("\x00")} {
		err := db.Update(t.Context(), func(tx store.Tx) error { return tx.Exec(insert, "tokyo", id, 1) })
		if !errors.Is(err, fault.StoreText) {
			t.Errorf("%q: %v", id, err)
		}
	}
	update(t, db, func(tx store.Tx) error { return tx.Exec(insert, "tokyo", "\u0001\ufffd", 1) })
}

func manyRows(t *testing.T, db store.DB) {
	update(t, db, func(tx store.Tx) error {
		for i := range 10 {
			if err := tx.Exec(insert, "tokyo", fmt.Sprint("r", i), i); err != nil {
				return err
			}
		}
		return nil
	})
	const read = "SELECT id, n FROM suite_items WHERE participant = $1 ORDER BY id"
	for range 3 {
		update(t, db, func(tx store.Tx) error {
			open, err := tx.Query(read, "tokyo")
			if err != nil {
				return err
			}
			var id string
			var n int
			if err := open.Scan(&id, &n); err == nil {
				t.Error("Scan before Next")
			}
			for i := 0; open.Next(); i++ {
				if err := open.Scan(&id, &n); err != nil || n != i {
					t.Errorf("row %d: %d %v", i, n, err)
				}
				if i == 5 {
					break
				}
			}
			if err := open.Close(); err != nil || open.Close() != nil || open.Next() {
				t.Errorf("close: %v", err)
			}
			_, err = tx.Query(read, "tokyo") // left open: the unit ends it
			return err
		})
	}
	update(t, db, func(tx store.Tx) error {
		rows, err := tx.Query(read, "osaka")
		if err != nil {
			return err
		}
		if rows.Next() || rows.Err() != nil || rows.Close() != nil {
			t.Error("rows where there are none")
		}
		return nil
	})
}

func returning(t *testing.T, db store.DB) {
	update(t, db, func(tx store.Tx) error {
		var n int64
		if err := tx.QueryRow(insert+" RETURNING n", "tokyo", "a", 5).Scan(&n); err != nil || n != 5 {
			t.Errorf("insert: %d %v", n, err)
		}
		rows, err := tx.Query("UPDATE suite_items SET n = n + 1 WHERE participant = $1 RETURNING n", "tokyo")
		if err != nil {
			return err
		}
		return rows.Close() // without reading: the change holds
	})
	update(t, db, func(tx store.Tx) error {
		var n int64
		err := tx.QueryRow("DELETE FROM suite_items WHERE participant = $1 AND id = $2 RETURNING n", "tokyo", "a").Scan(&n)
		if n != 6 {
			t.Errorf("n is %d, want 6", n)
		}
		return err
	})
	expect(t, db, "")
}

func placeholders(t *testing.T, db store.DB) {
	update(t, db, func(tx store.Tx) error {
		return errors.Join(tx.Exec(insert, "tokyo", "a", 1),
			tx.Exec("UPDATE suite_items SET n = $3, note = $2 WHERE participant = $1 AND id = $2 AND id = $2", "tokyo", "a", 7))
	})
	if err := db.View(t.Context(), func(tx store.Tx) error {
		var n int
		var note string
		err := tx.QueryRow("SELECT n, note FROM suite_items WHERE id = $2 AND participant = $1", "tokyo", "a").Scan(&n, &note)
		if n != 7 || note != "a" {
			t.Errorf("got %d %q", n, note)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

func again(t *testing.T, db store.DB) {
	runs := 0
	update(t, db, func(tx store.Tx) error {
		runs++
		return tx.Exec(insert, "tokyo", "a", runs)
	})
	expect(t, db, "a")
	var n int
	if err := db.View(context.Background(), func(tx store.Tx) error {
		return tx.QueryRow("SELECT n FROM suite_items WHERE participant = $1 AND id = $2", "tokyo", "a").Scan(&n)
	}); err != nil || n != runs {
		t.Errorf("run %d of %d was kept: %v", n, runs, err)
	}
}

func over(t *testing.T, db store.DB) {
	var kept store.Tx
	update(t, db, func(tx store.Tx) error { kept = tx; return nil })
	if err := kept.Exec(insert, "tokyo", "a", 1); err == nil {
		t.Error("a transaction was used after its unit")
	}
	expect(t, db, "")
}
