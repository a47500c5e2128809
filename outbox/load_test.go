package outbox

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kakehashi/store"
	"kakehashi/store/storetest"
)

// 10,000 jobs over 1,000 lanes, put by 16 at once, some attempts failing, some
// jobs dropped: each lane in its order, nothing left over, no goroutine either.
func TestManyLanes(t *testing.T) {
	t.Parallel()
	const lanes, each = 1000, 10
	db := storetest.Open(t, Schema)
	q := queue(t, db, func(c *Config) { c.Parallel = 64; c.Jitter = func() float64 { return 0.5 } })
	var last [lanes]atomic.Int64
	var running [lanes]atomic.Int32
	var done atomic.Int64
	all := make(chan struct{})
	q.Handle("k", func(_ context.Context, j Job) (func(store.Tx) error, error) {
		var lane, n int64
		if _, err := fmt.Sscanf(j.ID, "%d-%d", &lane, &n); err != nil {
			return nil, Permanent(err)
		}
		if running[lane].Add(1) != 1 {
			t.Errorf("two jobs of lane %d at once", lane)
		}
		defer running[lane].Add(-1)
		if j.Attempts == 0 && n == 3 && lane%50 == 0 {
			return nil, fmt.Errorf("not yet")
		}
		if got := last[lane].Swap(n); got != n-1 {
			t.Errorf("lane %d: %d after %d", lane, n, got)
		}
		return func(tx store.Tx) error {
			tx.AfterCommit(func() {
				if done.Add(1) == lanes*each {
					close(all)
				}
			})
			return nil
		}, nil
	})
	stop := run(t, q)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for lane := w; lane < lanes; lane += 16 {
				name := fmt.Sprint("lane", lane)
				for n := 1; n <= each; n++ {
					put(t, q, job(name, fmt.Sprintf("%d-%d", lane, n)))
					if n%3 == 0 {
						q.Wake(name)
					}
				}
				q.Wake(name)
			}
		})
	}
	wg.Wait()
	select {
	case <-all:
	case <-time.After(time.Minute):
		t.Fatalf("%d of %d done, %+v", done.Load(), lanes*each, q.Stats())
	}
	stop()
	if s := q.Stats(); s.Open != 0 || s.Lanes != 0 || s.Running != 0 || s.Swept != 0 {
		t.Errorf("left over: %+v", s)
	}
	if left := rows(t, db); len(left) != 0 {
		t.Errorf("%d rows left", len(left))
	}
	// A worker is done before its goroutine has left the stack.
	for until := time.Now().Add(10 * time.Second); stacks(q); runtime.Gosched() {
		if time.Now().After(until) {
			t.Fatal("a worker is still there")
		}
	}
}

// stacks says whether a goroutine still works for q.
func stacks(q *Queue) bool {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	return strings.Contains(string(buf), fmt.Sprintf("(*Queue).work(%p", q))
}

func BenchmarkJob(b *testing.B) {
	for _, side := range []int{1, 64} {
		b.Run(fmt.Sprintf("lanes=%d", side), func(b *testing.B) {
			db := storetest.Open(b, Schema)
			q := New(Config{DB: db})
			var waiting sync.Map
			q.Handle("k", func(_ context.Context, j Job) (func(store.Tx) error, error) {
				c, _ := waiting.Load(j.ID)
				return func(tx store.Tx) error {
					tx.AfterCommit(func() { close(c.(chan struct{})) })
					return nil
				}, nil
			})
			run(b, q)
			var n atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range side {
				wg.Go(func() {
					for {
						i := n.Add(1)
						if i > int64(b.N) {
							return
						}
						id := fmt.Sprint(i)
						c := make(chan struct{})
						waiting.Store(id, c)
						put(b, q, job(id, id))
						q.Wake(id)
						<-c
						waiting.Delete(id)
					}
				})
			}
			wg.Wait()
		})
	}
}

// The queue's own share, without an engine below it.
func BenchmarkJobInMemory(b *testing.B) {
	q := New(Config{DB: still{}})
	done := make(chan struct{}, 1)
	q.Handle("k", func(context.Context, Job) (func(store.Tx) error, error) {
		return func(tx store.Tx) error {
			tx.AfterCommit(func() { done <- struct{}{} })
			return nil
		}, nil
	})
	run(b, q)
	b.ReportAllocs()
	for i := range b.N {
		j := job("lane", fmt.Sprint(i))
		if err := q.cfg.DB.Update(context.Background(), func(tx store.Tx) error { return q.Put(tx, j) }); err != nil {
			b.Fatal(err)
		}
		q.Wake("lane")
		<-done
	}
}
