package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"path/filepath"
	"testing"
)

// BenchmarkDriver is why a connection drives the engine directly: the same two
// statements (a row of 1 KB changed, then read) in one open transaction, by
// database/sql, by its driver alone, and by conn.
func BenchmarkDriver(b *testing.B) {
	const (
		make_  = "CREATE TABLE t (a TEXT, id BIGINT, state TEXT, next BIGINT, body BYTEA, PRIMARY KEY (a, id)); INSERT INTO t VALUES ('x', 1, 'open', 1, x'00')"
		change = "UPDATE t SET state = $3, next = $4, body = $5 WHERE a = $1 AND id = $2"
		read   = "SELECT state, next, body FROM t WHERE a = $1 AND id = $2"
	)
	ctx, body := context.Background(), make([]byte, 1024)
	database := func(b *testing.B) *sql.Conn {
		db, err := sql.Open("sqlite", filepath.Join(b.TempDir(), "t.db"))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { db.Close() })
		c, err := db.Conn(ctx)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.ExecContext(ctx, make_+"; BEGIN"); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		return c
	}
	b.Run("database-sql", func(b *testing.B) {
		c := database(b)
		w, _ := c.PrepareContext(ctx, change)
		r, _ := c.PrepareContext(ctx, read)
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			if _, err := w.ExecContext(ctx, "x", 1, "open", n, body); err != nil {
				b.Fatal(err)
			}
			var state string
			var next int64
			var got []byte
			if err := r.QueryRowContext(ctx, "x", 1).Scan(&state, &next, &got); err != nil {
				b.Fatal(err)
			}
		}
		w.Close()
		r.Close()
	})
	b.Run("driver", func(b *testing.B) {
		database(b).Raw(func(raw any) error {
			w, _ := raw.(driver.ConnPrepareContext).PrepareContext(ctx, change)
			r, _ := raw.(driver.ConnPrepareContext).PrepareContext(ctx, read)
			dest := make([]driver.Value, 3)
			b.ReportAllocs()
			for n := int64(0); b.Loop(); n++ {
				if _, err := w.(driver.StmtExecContext).ExecContext(ctx, []driver.NamedValue{{Ordinal: 1, Value: "x"}, {Ordinal: 2, Value: int64(1)},
					{Ordinal: 3, Value: "open"}, {Ordinal: 4, Value: n}, {Ordinal: 5, Value: body}}); err != nil {
					b.Fatal(err)
				}
				rows, err := r.(driver.StmtQueryContext).QueryContext(ctx, []driver.NamedValue{{Ordinal: 1, Value: "x"}, {Ordinal: 2, Value: int64(1)}})
				if err == nil {
					err = rows.Next(dest)
				}
				if err != nil {
					b.Fatal(err)
				}
				rows.Close()
			}
			w.Close()
			return r.Close()
		})
	})
	b.Run("direct", func(b *testing.B) {
		c, err := open(filepath.Join(b.TempDir(), "t.db"), "BEGIN")
		if err != nil {
			b.Fatal(err)
		}
		defer c.close()
		if err := c.script(make_ + "; BEGIN"); err != nil {
			b.Fatal(err)
		}
		t := &tx{c: c}
		defer t.finish()
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			if err := t.Exec(change, "x", 1, "open", n, body); err != nil {
				b.Fatal(err)
			}
			var state string
			var next int64
			var got []byte
			if err := t.QueryRow(read, "x", 1).Scan(&state, &next, &got); err != nil {
				b.Fatal(err)
			}
		}
	})
}
