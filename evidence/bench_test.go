package evidence

import (
	"bytes"
	"fmt"
	"testing"

	"kakehashi/store"
	"kakehashi/store/storetest"
)

// nowhere is a unit that keeps nothing: what remains is the cost of Append itself.
type nowhere struct{ store.Tx }

func (nowhere) Exec(string, ...any) error { return nil }
func (nowhere) AfterCommit(func())        {}

func BenchmarkAppendBesidesSQL(b *testing.B) {
	l := blank(config(b, nil))
	message := bytes.Repeat([]byte("x"), 1500)
	leaf := sample(1)
	leaf.Hashes["message"] = Digest(message)
	b.Run("leaf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := l.Append(nowhere{}, tokyo, leaf); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("leaf and a body of 1500 bytes", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := l.Append(nowhere{}, tokyo, leaf, Body{Digest: leaf.Hashes["message"], Bytes: message, Class: ClassMessage}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkBulk is from leaf value to durable, numbered and covered by a signed
// checkpoint: appended 500 a unit, then numbered.
func BenchmarkBulk(b *testing.B) {
	const n = 20_000
	for b.Loop() {
		l := open(b, config(b, storetest.Open(b, Schema)))
		var sql [2]float64
		for from := 0; from < n; from += unitLeaves {
			at := b.Elapsed()
			err := l.c.DB.Update(b.Context(), func(tx store.Tx) error {
				for i := range unitLeaves {
					leaf := sample(from + i)
					leaf.Process = fmt.Sprintf("urn:uuid:p%07d", (from+i)/5)
					if err := l.Append(tx, tokyo, leaf); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			sql[0] += float64((b.Elapsed() - at).Nanoseconds())
		}
		at := b.Elapsed()
		if err := l.Flush(b.Context(), tokyo); err != nil {
			b.Fatal(err)
		}
		sql[1] = float64((b.Elapsed() - at).Nanoseconds())
		b.ReportMetric(sql[0]/n, "append-ns/leaf")
		b.ReportMetric(sql[1]/n, "number-ns/leaf")
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "leaves/s")
}
