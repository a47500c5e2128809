package outbox

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

// still is a store that takes everything and keeps nothing. Only the tests of
// times use it: a real engine's goroutines cannot live in a bubble of synctest.
type still struct{}

type stillTx struct{ after []func() }

type stillRow struct{}

func (still) Update(_ context.Context, fn func(store.Tx) error) error {
	tx := &stillTx{}
	if err := fn(tx); err != nil {
		return err
	}
	for _, f := range tx.after {
		f()
	}
	return nil
}
func (still) View(_ context.Context, fn func(store.Tx) error) error { return fn(&stillTx{}) }
func (*stillTx) Exec(string, ...any) error                          { return nil }
func (*stillTx) QueryRow(string, ...any) store.Row                  { return stillRow{} }
func (*stillTx) Query(string, ...any) (store.Rows, error)           { return stillRow{}, nil }
func (t *stillTx) AfterCommit(f func())                             { t.after = append(t.after, f) }
func (stillRow) Next() bool                                         { return false }
func (stillRow) Scan(...any) error                                  { return nil }
func (stillRow) Err() error                                         { return nil }
func (stillRow) Close() error                                       { return nil }

// timed runs q in a bubble with the handler h and stops it at the end.
func timed(t *testing.T, change func(*Config), h Handler, fail Fail, do func(*Queue)) {
	synctest.Test(t, func(t *testing.T) {
		c := Config{DB: still{}, Jitter: func() float64 { return 0.5 }}
		if change != nil {
			change(&c)
		}
		q := New(c)
		q.Handle("k", h, OnFail(fail))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- q.Run(ctx) }()
		synctest.Wait()
		do(q)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestTheScheduleOfRetries(t *testing.T) {
	t.Parallel()
	var began time.Time
	var at []time.Duration
	var last error
	timed(t, nil, func(context.Context, Job) (func(store.Tx) error, error) {
		at = append(at, time.Since(began))
		return nil, errors.New("no")
	}, func(_ Job, err error) func(store.Tx) error {
		last = err
		return func(store.Tx) error { return nil }
	}, func(q *Queue) {
		began = time.Now()
		put(t, q, job("a", "1"))
		q.Wake("a")
		time.Sleep(25 * time.Hour)
	})
	var waits []time.Duration
	for i := 1; i < len(at); i++ {
		waits = append(waits, at[i]-at[i-1])
	}
	want := []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, time.Second, 3 * time.Second,
		5 * time.Second, 10 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second, 30 * time.Second,
		time.Minute, time.Minute, 2 * time.Minute, 5 * time.Minute, 5 * time.Minute}
	if len(waits) < len(want) || !slices.Equal(waits[:len(want)], want) {
		t.Fatalf("waited %v", waits[:min(len(waits), 20)])
	}
	if end := at[len(at)-1]; end < 23*time.Hour || end > 24*time.Hour {
		t.Errorf("the last attempt came after %v", end)
	}
	if !errors.Is(last, fault.GaveUp) {
		t.Errorf("ended with %v", last)
	}
}

func TestAHeldJobRunsByItselfAfterTwoSeconds(t *testing.T) {
	t.Parallel()
	var at atomic.Int64
	timed(t, nil, func(context.Context, Job) (func(store.Tx) error, error) {
		at.Store(time.Now().UnixNano())
		return nil, nil
	}, nil, func(q *Queue) {
		began := time.Now()
		put(t, q, job("a", "1"))
		time.Sleep(1900 * time.Millisecond)
		synctest.Wait()
		if at.Load() != 0 {
			t.Error("sent before anybody woke it")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if d := time.Unix(0, at.Load()).Sub(began); d != 2*time.Second {
			t.Errorf("ran after %v", d)
		}
	})
}

func TestAPauseADueTimeAndWhatThePeerAsksForAreKept(t *testing.T) {
	t.Parallel()
	var began time.Time
	var mu sync.Mutex
	at := map[string][]time.Duration{}
	timed(t, nil, func(_ context.Context, j Job) (func(store.Tx) error, error) {
		mu.Lock()
		at[j.ID] = append(at[j.ID], time.Since(began))
		mu.Unlock()
		if j.ID == "asks" && j.Attempts == 0 {
			return nil, RetryAfter(errors.New("503"), 7*time.Second)
		}
		if j.ID == "greedy" && j.Attempts == 0 {
			return nil, RetryAfter(errors.New("503"), 1000*time.Hour)
		}
		return nil, nil
	}, nil, func(q *Queue) {
		began = time.Now()
		due := job("due", "due")
		due.Due = began.Add(10 * time.Second)
		put(t, q, job("pause", "pause"), due, job("asks", "asks"), job("greedy", "greedy"))
		q.WakeAfter("pause", 20*time.Millisecond)
		for _, l := range []string{"due", "asks", "greedy"} {
			q.Wake(l)
		}
		time.Sleep(time.Second)
		q.Wake("asks") // does not cut the wait short
		time.Sleep(2 * time.Hour)
	})
	for id, want := range map[string][]time.Duration{
		"pause": {20 * time.Millisecond}, "due": {10 * time.Second}, "asks": {0, 7 * time.Second}, "greedy": {0, time.Hour},
	} {
		if !slices.Equal(at[id], want) {
			t.Errorf("%s ran at %v, want %v", id, at[id], want)
		}
	}
}

func TestJitterIsAFifthUpOrDown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		roll float64
		want time.Duration
	}{{0, 80 * time.Millisecond}, {0.5, 100 * time.Millisecond}, {1, 120 * time.Millisecond}} {
		q := New(Config{Jitter: func() float64 { return c.roll }})
		if got := q.pause(0, nil); got != c.want {
			t.Errorf("roll %v waits %v, want %v", c.roll, got, c.want)
		}
	}
}

func TestStoppingGivesRunningAttemptsAMomentThenCancels(t *testing.T) {
	t.Parallel()
	var took time.Duration
	var cause error
	timed(t, nil, func(ctx context.Context, j Job) (func(store.Tx) error, error) {
		if j.ID == "quick" {
			time.Sleep(300 * time.Millisecond)
			cause = ctx.Err()
			return nil, nil
		}
		began := time.Now()
		<-ctx.Done()
		took = time.Since(began)
		return nil, ctx.Err()
	}, nil, func(q *Queue) {
		put(t, q, job("a", "quick"), job("b", "slow"))
		q.Wake("a")
		q.Wake("b")
		synctest.Wait()
	})
	if took != 500*time.Millisecond || cause != nil {
		t.Errorf("the slow one was cancelled after %v, the quick one had %v", took, cause)
	}
}

// A clock that was set back while the program was off, by a day or by a year,
// makes no job wait for as long.
func TestAClockSetBackMakesNobodyWait(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	put(t, queue(t, db, nil), job("lane", "1"), job("lane", "2"))
	for _, back := range []time.Duration{24 * time.Hour, 365 * 24 * time.Hour} {
		done := make(chan string, 2)
		q := queue(t, db, func(c *Config) { c.Now = func() time.Time { return time.Now().Add(-back) } })
		q.Handle("k", func(_ context.Context, j Job) (func(store.Tx) error, error) { done <- j.ID; return nil, nil })
		stop := run(t, q)
		for _, want := range []string{"1", "2"} {
			if got := <-done; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		stop()
		put(t, queue(t, db, nil), job("lane", "1"), job("lane", "2"))
	}

	now := time.Now()
	for name, c := range map[string]struct {
		j    Job
		want time.Duration
	}{
		"due":                         {Job{Created: now.Add(-time.Hour), Due: now.Add(-time.Hour)}, 0},
		"later on purpose":            {Job{Created: now.Add(-time.Minute), Due: now.Add(time.Minute)}, time.Minute},
		"late on purpose, clock back": {Job{Created: now.Add(24 * time.Hour), Due: now.Add(24*time.Hour + time.Minute)}, time.Minute},
		"at once, clock back":         {Job{Created: now.Add(24 * time.Hour), Due: now.Add(24 * time.Hour)}, 0},
		"failed":                      {Job{Created: now, Due: now.Add(5 * time.Minute), Attempts: 9}, 5 * time.Minute},
		"failed, clock back":          {Job{Created: now.Add(24 * time.Hour), Due: now.Add(24*time.Hour + time.Second), Attempts: 1}, maxRetryAfter},
	} {
		if got := resumes(c.j, now).Sub(now); got != c.want {
			t.Errorf("%s: waits %v, want %v", name, got, c.want)
		}
	}
}
