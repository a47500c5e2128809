package partner

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

func checkpoint(size int64) []byte {
	return fmt.Appendf(nil, "peer.example\n%d\nqINS1GRFhWHwdkUeqLEoP4yEMkTBBzxBkGwGQlVlVcs=\n\n— peer.example sig\n", size)
}

const other = "did:web:peer.example"

func TestTheLargestCheckpointIsKept(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	r := room(t, db, nil)
	for _, n := range [][]byte{checkpoint(5), checkpoint(9), checkpoint(7), []byte("nonsense"), []byte("a\n-3\n"), nil, []byte("a\n99\n" + strings.Repeat("x", maxNote))} {
		r.SawCheckpoint(tokyo, other, n)
	}
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := func(r *Room, size int64) {
		t.Helper()
		all, err := r.List(t.Context(), tokyo)
		if err != nil || len(all) != 1 || string(all[0].Checkpoint) != string(checkpoint(size)) || all[0].Seen.IsZero() {
			t.Fatalf("%+v, %v", all, err)
		}
	}
	want(r, 9)
	r.SawCheckpoint(tokyo, other, checkpoint(12))
	want(r, 12) // not written yet
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}

	// A later start has no memory, and the counterpart's node came back from an
	// old copy.
	var log strings.Builder
	again := room(t, db, nil)
	again.c.Log = slog.New(slog.NewTextHandler(&log, nil))
	again.SawCheckpoint(tokyo, other, checkpoint(3))
	if err := again.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(again, 12)
	if !strings.Contains(log.String(), "shorter than it was") {
		t.Errorf("nobody is told: %q", log.String())
	}
}

func TestThePauseIsLearnedAndForgottenSlowly(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	r := room(t, db, nil)
	r.LearnPause(tokyo, other, false)
	if d := r.Pause(tokyo, other); d != 0 {
		t.Fatalf("a pause of %v from nothing", d)
	}
	for _, want := range []int{20, 40, 80, 160, 320, 500, 500} {
		r.LearnPause(tokyo, other, true)
		if d := r.Pause(tokyo, other); d != time.Duration(want)*time.Millisecond {
			t.Fatalf("pause %v, want %d ms", d, want)
		}
	}
	if d := r.Pause("osaka", other); d != 0 {
		t.Fatalf("another participant waits %v", d)
	}
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := room(t, db, nil)
	if d := again.Pause(tokyo, other); d != maxPause {
		t.Fatalf("after a restart %v", d)
	}
	for range decayAfter - 1 {
		again.LearnPause(tokyo, other, false)
	}
	if d := again.Pause(tokyo, other); d != maxPause {
		t.Fatalf("fell to %v too soon", d)
	}
	again.LearnPause(tokyo, other, false)
	if d := again.Pause(tokyo, other); d != 375*time.Millisecond {
		t.Fatalf("fell to %v", d)
	}
	for range 20 * decayAfter {
		again.LearnPause(tokyo, other, false)
	}
	if d := again.Pause(tokyo, other); d != 0 {
		t.Fatalf("still %v", d)
	}
}

// counting is a store that counts its units; only the test of the timer uses it,
// since an engine's goroutines cannot live in a bubble of synctest.
type counting struct {
	mu    sync.Mutex
	units int
	rows  int
}

func (c *counting) Update(_ context.Context, fn func(store.Tx) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.units++
	return fn(c)
}
func (c *counting) View(_ context.Context, fn func(store.Tx) error) error { return fn(c) }
func (c *counting) Exec(string, ...any) error                             { return nil }
func (c *counting) QueryRow(string, ...any) store.Row                     { c.rows++; return none{} }
func (c *counting) Query(string, ...any) (store.Rows, error)              { return none{}, nil }
func (c *counting) AfterCommit(func())                                    {}

type none struct{}

func (none) Next() bool        { return false }
func (none) Scan(...any) error { return nil }
func (none) Err() error        { return nil }
func (none) Close() error      { return nil }

func TestWhatIsSeenIsWrittenOnceASecondInOneUnit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := &counting{}
		r, err := Open(Config{DB: db})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				for n := range int64(95) {
					r.SawCheckpoint(participant.ID(tokyo), fmt.Sprintf("did:web:p%d", i), checkpoint(n))
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Minute)
		synctest.Wait()
		if db.units > 10 || db.units < 9 || db.rows != 20*db.units {
			t.Errorf("%d units, %d rows for 9.5 s of 20 counterparts", db.units, db.rows)
		}
		if r.seen.timer != nil {
			t.Error("a timer is set and nothing is to be written")
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkSawCheckpoint(b *testing.B) {
	r, err := Open(Config{DB: &counting{}})
	if err != nil {
		b.Fatal(err)
	}
	note := checkpoint(1000)
	b.ReportAllocs()
	for range b.N {
		r.SawCheckpoint(tokyo, other, note)
	}
}

// FuzzCheckpoint reads any note that a counterpart shows.
func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte("node.example\n12\nAAAA\n\n— node.example AAAA\n"))
	f.Add([]byte("node.example\n-1\n"))
	f.Add([]byte("\n9223372036854775808\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, ok := noteSize(b); ok && n < 0 {
			t.Fatalf("%q has %d leaves", b, n)
		}
	})
}
