package evidence

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"kakehashi/internal/fault"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

// exchanges appends n processes of five leaves each, with bodies, and numbers them.
func exchanges(t testing.TB, l *Log, n int) {
	t.Helper()
	for i := range n {
		process := fmt.Sprintf("urn:uuid:%04d", i)
		err := l.c.DB.Update(t.Context(), func(tx store.Tx) error {
			for _, v := range []int64{1, 2, 4, 5, 6} {
				body := fmt.Appendf(nil, "message %d of %d", v, i)
				leaf := Leaf{Type: "kh.negotiation.agreed", Process: process, Version: v, Hashes: map[string]string{"message": Digest(body)}}
				bodies := []Body{{Bytes: body, Class: ClassMessage}}
				if v == 4 { // came and was answered in one unit: two versions
					answer := fmt.Appendf(nil, "answer of %d", i)
					leaf.Hashes["sending"] = Digest(answer)
					bodies = append(bodies, Body{Bytes: answer, Class: ClassMessage})
				}
				if err := l.Append(tx, tokyo, leaf, bodies...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(t.Context(), tokyo); err != nil {
		t.Fatal(err)
	}
}

// sound fails when a log does not hold together or some leaves have no position.
func sound(t testing.TB, l *Log, leaves int64) {
	t.Helper()
	r, err := l.Check(t.Context(), tokyo)
	if err != nil {
		t.Fatal(err)
	}
	if r.Err() != nil || r.Leaves != leaves || r.Waiting != 0 {
		t.Fatalf("%d leaves numbered, want %d; %d wait; %v", r.Leaves, leaves, r.Waiting, r.Err())
	}
}

func TestCheckFindsASoundLogSound(t *testing.T) {
	t.Parallel()
	l := open(t, config(t, storetest.Open(t, Schema)))
	sound(t, l, 0)
	exchanges(t, l, 70) // beyond a full tile
	err := l.c.DB.Update(t.Context(), func(tx store.Tx) error {
		for range 3 { // of no process; nothing orders them
			if err := l.Append(tx, tokyo, Leaf{Type: "kh.catalog.requested"}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Check(t.Context(), tokyo)
	if err != nil || r.Err() != nil || r.Leaves != 350 || r.Waiting != 3 || r.Bodies != 420 || !r.Oldest.Equal(l.c.Now().Truncate(1000)) {
		t.Fatalf("%+v, %v", r, err)
	}
	if all, err := Logs(t.Context(), l.c.DB); err != nil || len(all) != 1 || all[0] != tokyo {
		t.Fatalf("%v, %v", all, err)
	}
	if r, err := Check(t.Context(), l.c.DB, "nobody", "", nil); err != nil || r.Err() != nil || r.Leaves != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestCheckFindsWhatDoesNotBelongTogether(t *testing.T) {
	t.Parallel()
	const first = `participant = 'tokyo' AND process = 'urn:uuid:0000'`
	for _, c := range []struct {
		name string
		sql  []string
		want *fault.Kind
	}{
		{"a position is left out", []string{`UPDATE evidence_leaves SET position = NULL WHERE participant = 'tokyo' AND position = 100`}, fault.LogHole},
		{"a leaf is gone", []string{`DELETE FROM evidence_leaves WHERE ` + first + ` AND version = 5`}, fault.LogVersion},
		{"the first leaf is gone", []string{`DELETE FROM evidence_leaves WHERE ` + first + ` AND version = 1`, `DELETE FROM evidence_leaves WHERE ` + first + ` AND version = 2`}, fault.LogVersion},
		{"two leaves out of order", []string{`UPDATE evidence_leaves SET position = 1000 WHERE ` + first + ` AND version = 2`,
			`UPDATE evidence_leaves SET position = 1 WHERE ` + first + ` AND version = 4`, `UPDATE evidence_leaves SET position = 2 WHERE ` + first + ` AND version = 2`}, fault.LogOrder},
		{"an earlier version waits", []string{`UPDATE evidence_leaves SET position = NULL WHERE ` + first + ` AND version = 1`}, fault.LogOrder},
		{"another leaf stands there", []string{`UPDATE evidence_leaves SET data = (SELECT s.data FROM evidence_leaves s WHERE s.participant = 'tokyo' AND s.position = 8) WHERE participant = 'tokyo' AND position = 7`}, fault.LogDamaged},
		{"a row says another type", []string{`UPDATE evidence_leaves SET type = 'kh.x' WHERE ` + first + ` AND version = 2`}, fault.LogDamaged},
		{"a tile of others", []string{`UPDATE evidence_tiles SET data = (SELECT s.root FROM evidence_logs s WHERE s.participant = 'tokyo') WHERE participant = 'tokyo' AND level = 1`}, fault.LogDamaged},
		{"a tile is gone", []string{`DELETE FROM evidence_tiles WHERE participant = 'tokyo' AND level = 0 AND n = 0`}, fault.LogDamaged},
		{"a tile too many", []string{`INSERT INTO evidence_tiles (participant, level, n, data) SELECT participant, level, 7, data FROM evidence_tiles WHERE participant = 'tokyo' AND level = 0 AND n = 0`}, fault.LogDamaged},
		{"the head is behind", []string{`UPDATE evidence_logs SET size = 10 WHERE participant = 'tokyo'`}, fault.LogRolledBack},
		{"the head is ahead", []string{`UPDATE evidence_logs SET size = 1000 WHERE participant = 'tokyo'`}, fault.LogDamaged},
		{"another root", []string{`UPDATE evidence_logs SET root = checkpoint WHERE participant = 'tokyo'`}, fault.LogDamaged},
		{"no signature", []string{`UPDATE evidence_logs SET checkpoint = root WHERE participant = 'tokyo'`}, fault.LogDamaged},
		{"a body is gone", []string{`DELETE FROM evidence_bodies WHERE participant = 'tokyo' AND digest = '` + Digest([]byte("answer of 3")) + `'`}, fault.BodyMissing},
		{"a body past its retention", []string{`UPDATE evidence_bodies SET sealed = $1, keep_until = 1 WHERE participant = 'tokyo' AND digest = '` + Digest([]byte("answer of 3")) + `'`}, nil},
		{"a body is emptied before it", []string{`UPDATE evidence_bodies SET sealed = $1 WHERE participant = 'tokyo' AND digest = '` + Digest([]byte("answer of 3")) + `'`}, fault.BodyMissing},
		{"a body is damaged", []string{`UPDATE evidence_bodies SET sealed = (SELECT root FROM evidence_logs WHERE participant = 'tokyo') WHERE participant = 'tokyo' AND digest = '` + Digest([]byte("answer of 3")) + `'`}, fault.BodyDamaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := storetest.Open(t, Schema)
			l := open(t, config(t, db))
			exchanges(t, l, 60)
			sound(t, l, 300)
			for _, q := range c.sql {
				if strings.Contains(q, "$1") {
					exec(t, db, q, []byte{})
				} else {
					exec(t, db, q)
				}
			}
			r, err := l.Check(t.Context(), tokyo)
			if err != nil {
				t.Fatal(err)
			}
			if c.want == nil {
				if r.Err() != nil {
					t.Fatal(r.Err())
				}
				return
			}
			if !errors.Is(r.Err(), c.want) {
				t.Fatalf("got %v, want %v", r.Err(), c.want)
			}
		})
	}
}

func TestCheckTellsNoMoreThanItCanHold(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	l := open(t, config(t, db))
	exchanges(t, l, 60)
	exec(t, db, `DELETE FROM evidence_bodies WHERE participant = $1`, string(tokyo))
	r, err := l.Check(t.Context(), tokyo)
	if err != nil || len(r.Findings) != mostFindings || r.More != 360-mostFindings {
		t.Fatalf("%d findings and %d more, %v", len(r.Findings), r.More, err)
	}
}

// BenchmarkCheck reads a log of 100,000 leaves.
func BenchmarkCheck(b *testing.B) {
	l := open(b, config(b, storetest.Open(b, Schema)))
	const n = 100_000
	fill(b, l, n)
	for b.Loop() {
		r, err := l.Check(b.Context(), tokyo)
		if err != nil || r.Err() != nil || r.Leaves != n {
			b.Fatal(r.Leaves, err, r.Err())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/leaf")
}

// fill appends and numbers n leaves, 5 a process, each with a body.
func fill(b testing.TB, l *Log, n int) {
	b.Helper()
	for from := 0; from < n; from += unitLeaves {
		err := l.c.DB.Update(b.Context(), func(tx store.Tx) error {
			for i := from; i < from+unitLeaves; i++ {
				body := fmt.Appendf(nil, "message %d", i)
				leaf := sample(i)
				leaf.Process, leaf.Version, leaf.Hashes = fmt.Sprintf("urn:uuid:p%07d", i/5), int64(i%5+1), map[string]string{"message": Digest(body)}
				if err := l.Append(tx, tokyo, leaf, Body{Bytes: body, Class: ClassMessage}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Flush(b.Context(), tokyo); err != nil {
		b.Fatal(err)
	}
}
