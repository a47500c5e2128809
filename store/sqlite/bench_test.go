package sqlite_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"kakehashi/store"
	"kakehashi/store/sqlite"
)

var benchSchema = store.Schema{Owner: "bench", Files: fstest.MapFS{"0001_init.sql": {Data: []byte(`
CREATE TABLE bench_rows (participant TEXT NOT NULL, id BIGINT NOT NULL, state TEXT NOT NULL, next BIGINT NOT NULL, body BYTEA NOT NULL, PRIMARY KEY (participant, id));
CREATE INDEX bench_rows_next ON bench_rows (participant, state, next);
CREATE TABLE bench_log (participant TEXT NOT NULL, id TEXT NOT NULL, body BYTEA NOT NULL, PRIMARY KEY (participant, id));
`)}}}

const benchRows = 5000

func openBench(b *testing.B) *sqlite.DB {
	db, err := sqlite.Open(b.Context(), sqlite.Config{Path: filepath.Join(b.TempDir(), "bench.db"), Schemas: []store.Schema{benchSchema},
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	body := make([]byte, 1024)
	err = db.Update(b.Context(), func(tx store.Tx) error {
		for i := range benchRows {
			if err := tx.Exec("INSERT INTO bench_rows VALUES ($1, $2, $3, $4, $5)", "tokyo", i, "open", i, body); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return db
}

// BenchmarkUpdate is one durable unit: a row of 1 KB changed and one inserted.
func BenchmarkUpdate(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			db := openBench(b)
			body, leaf := make([]byte, 1024), make([]byte, 300)
			took := make([]time.Duration, b.N)
			var next atomic.Int64
			var group sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range writers {
				group.Go(func() {
					for {
						n := next.Add(1)
						if n > int64(b.N) {
							return
						}
						began := time.Now()
						id := fmt.Sprintf("leaf-%d", n)
						err := db.Update(context.Background(), func(tx store.Tx) error {
							if err := tx.Exec("UPDATE bench_rows SET state = $3, next = $4, body = $5 WHERE participant = $1 AND id = $2",
								"tokyo", n*7919%benchRows, "open", n, body); err != nil {
								return err
							}
							return tx.Exec("INSERT INTO bench_log VALUES ($1, $2, $3)", "tokyo", id, leaf)
						})
						if err != nil {
							b.Error(err)
							return
						}
						took[n-1] = time.Since(began)
					}
				})
			}
			group.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "units/s")
			slices.Sort(took)
			for name, at := range map[string]int{"p50-ms": b.N / 2, "p99-ms": b.N * 99 / 100, "max-ms": b.N - 1} {
				b.ReportMetric(float64(took[at])/float64(time.Millisecond), name)
			}
		})
	}
}

// BenchmarkView is one snapshot that reads one row of 1 KB.
func BenchmarkView(b *testing.B) {
	db := openBench(b)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for n := int64(0); p.Next(); n++ {
			var state string
			var next int64
			var body []byte
			err := db.View(context.Background(), func(tx store.Tx) error {
				return tx.QueryRow("SELECT state, next, body FROM bench_rows WHERE participant = $1 AND id = $2",
					"tokyo", n%benchRows).Scan(&state, &next, &body)
			})
			if err != nil || len(body) != 1024 {
				b.Fatal(err, len(body))
			}
		}
	})
}
