package outbox

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/store"
	"kakehashi/store/sqlite"
	"kakehashi/store/storetest"
)

const tokyo = "tokyo"

var quick = []time.Duration{time.Millisecond}

func queue(t testing.TB, db store.DB, change func(*Config)) *Queue {
	t.Helper()
	c := Config{DB: db, Backoff: quick}
	if change != nil {
		change(&c)
	}
	return New(c)
}

// run starts q and gives the function that stops it and waits.
func run(t testing.TB, q *Queue) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func put(t testing.TB, q *Queue, jobs ...Job) {
	t.Helper()
	if err := q.cfg.DB.Update(context.Background(), func(tx store.Tx) error {
		for _, j := range jobs {
			if err := q.Put(tx, j); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatalf("put: %v", err)
	}
}

func job(lane, id string) Job {
	return Job{Participant: tokyo, Lane: lane, ID: id, Kind: "k", Data: []byte(`{}`)}
}

func rows(t testing.TB, db store.DB) (ids []string) {
	t.Helper()
	if err := db.View(context.Background(), func(tx store.Tx) error {
		ids = nil
		r, err := tx.Query(`SELECT id FROM outbox_jobs WHERE participant = $1 ORDER BY created`, tokyo)
		if err != nil {
			return err
		}
		defer r.Close()
		for r.Next() {
			var id string
			if err := r.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return r.Err()
	}); err != nil {
		t.Fatal(err)
	}
	return ids
}

func get[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing happened")
		panic("unreachable")
	}
}

// settled is a handler whose jobs report on c when their unit is durable.
func settled(c chan<- string) Handler {
	return func(_ context.Context, j Job) (func(store.Tx) error, error) {
		return func(tx store.Tx) error {
			tx.AfterCommit(func() { c <- j.ID })
			return nil
		}, nil
	}
}

func TestJobsOfALaneRunInOrderAndOnlyAfterWake(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	q := queue(t, db, func(c *Config) { c.Hold = time.Hour })
	done := make(chan string, 10)
	q.Handle("k", settled(done))
	run(t, q)
	put(t, q, job("a", "1"), job("a", "2"), job("other", "x"))
	put(t, q, job("a", "3"))
	q.Wake("other")
	if got := get(t, done); got != "x" {
		t.Fatalf("%s ran, but only x's lane was woken", got)
	}
	if l := q.Lanes(tokyo); l[0].Name != "a" || l[0].State != Held || l[0].Open != 3 {
		t.Fatalf("lanes %+v", l)
	}
	q.Wake("a")
	var got []string
	for range 3 {
		got = append(got, get(t, done))
	}
	if !slices.Equal(got, []string{"1", "2", "3"}) {
		t.Fatalf("order %v", got)
	}
	if left := rows(t, db); len(left) != 0 {
		t.Fatalf("rows left: %v", left)
	}
}

func TestLanesDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	q := queue(t, storetest.Open(t, Schema), nil)
	began, release := make(chan string, 2), make(chan struct{})
	q.Handle("k", func(_ context.Context, j Job) (func(store.Tx) error, error) {
		began <- j.Lane
		<-release
		return nil, nil
	})
	run(t, q)
	put(t, q, job("a", "1"), job("b", "2"))
	q.Wake("a")
	q.Wake("b")
	get(t, began)
	get(t, began) // both run at the same time
	close(release)
}

func TestOnePeerTakesNoMoreThanHalf(t *testing.T) {
	t.Parallel()
	q := queue(t, storetest.Open(t, Schema), func(c *Config) { c.Parallel = 4 })
	began, done, release := make(chan string, 20), make(chan string, 20), make(chan struct{})
	q.Handle("k", func(_ context.Context, j Job) (func(store.Tx) error, error) {
		if j.Peer == "slow" {
			began <- j.ID
			<-release
		}
		return func(tx store.Tx) error {
			tx.AfterCommit(func() { done <- j.ID })
			return nil
		}, nil
	})
	run(t, q)
	for i := range 8 {
		j := job(fmt.Sprint("lane", i), fmt.Sprint(i))
		j.Peer = "slow"
		put(t, q, j)
		q.Wake(j.Lane)
	}
	get(t, began)
	get(t, began)
	quick := job("quick", "quick")
	quick.Peer = "quick"
	put(t, q, quick)
	q.Wake("quick")
	if got := get(t, done); got != "quick" {
		t.Fatalf("%s ended first", got)
	}
	if n := len(began); n != 0 {
		t.Errorf("%d more of the slow peer run, its share is 2", n)
	}
	close(release)
	for range 8 {
		get(t, done)
	}
}

func TestRestartRunsWhatWasLeft(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "o.db")
	open := func() *sqlite.DB {
		db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Schemas: []store.Schema{Schema}})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := open()
	first := queue(t, db, func(c *Config) { c.Grace = time.Millisecond })
	sent := make(chan Job, 10)
	first.Handle("k", func(ctx context.Context, j Job) (func(store.Tx) error, error) {
		sent <- j
		<-ctx.Done() // sent, not settled: the crash
		return nil, ctx.Err()
	})
	stop := run(t, first)
	put(t, first, job("a", "1"), job("a", "2"), job("b", "3"))
	first.Wake("a")
	if j := get(t, sent); j.ID != "1" || j.Again {
		t.Fatalf("got %+v", j)
	}
	stop()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	db = open()
	t.Cleanup(func() { db.Close() })
	second := queue(t, db, nil)
	again := make(chan Job, 10)
	second.Handle("k", func(_ context.Context, j Job) (func(store.Tx) error, error) {
		again <- j
		return nil, nil
	})
	stop = run(t, second) // no Wake: nobody waits for a reply any more
	var a []string
	for range 3 {
		j := get(t, again)
		if !j.Again {
			t.Errorf("%s does not say that it may have been sent before", j.ID)
		}
		if string(j.Data) != `{}` || j.Participant != tokyo || j.Attempts != 0 {
			t.Errorf("came back as %+v", j)
		}
		if j.Lane == "a" {
			a = append(a, j.ID)
		}
	}
	if !slices.Equal(a, []string{"1", "2"}) {
		t.Errorf("lane a ran as %v", a)
	}
	stop()
	if left := rows(t, db); len(left) != 0 {
		t.Errorf("rows left: %v", left)
	}
}

func TestSettleAndRemovalAreOneUnit(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	q := queue(t, db, nil)
	var tries int
	done := make(chan string, 4)
	q.Handle("child", settled(done))
	q.Handle("k", func(_ context.Context, j Job) (func(store.Tx) error, error) {
		tries++
		n := tries
		return func(tx store.Tx) error {
			next := job("a", fmt.Sprint("child", n))
			next.Kind = "child"
			elsewhere := job("b", fmt.Sprint("elsewhere", n))
			elsewhere.Kind = "child"
			if err := errors.Join(q.Put(tx, next), q.Put(tx, elsewhere)); err != nil {
				return err
			}
			if n == 1 {
				return errors.New("no")
			}
			return nil
		}, nil
	})
	run(t, q)
	put(t, q, job("a", "1"))
	q.Wake("a")
	got := []string{get(t, done), get(t, done)}
	slices.Sort(got)
	if !slices.Equal(got, []string{"child2", "elsewhere2"}) {
		t.Fatalf("children %v: those of the undone settle must not exist, the others run without Wake", got)
	}
	if left := rows(t, db); len(left) != 0 {
		t.Fatalf("rows left: %v", left)
	}
}

func TestDropCancelsTheRunningAttemptAndTheLaneGoesOn(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	q := queue(t, db, func(c *Config) { c.Hold = time.Hour })
	began, cause, done := make(chan string, 1), make(chan error, 1), make(chan string, 4)
	q.Handle("k", func(ctx context.Context, j Job) (func(store.Tx) error, error) {
		began <- j.ID
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return nil, ctx.Err()
	})
	q.Handle("k2", settled(done))
	stop := run(t, q)
	put(t, q, job("a", "1"))
	q.Wake("a")
	get(t, began)
	next := job("a", "2")
	next.Kind = "k2"
	if err := db.Update(t.Context(), func(tx store.Tx) error {
		return errors.Join(q.Drop(tx, tokyo, "a", "1"), q.Put(tx, next))
	}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, cause); !errors.Is(got, ErrGone) {
		t.Fatalf("cancelled because %v", got)
	}
	select {
	case id := <-done:
		t.Fatalf("%s ran before Wake", id)
	default:
	}
	q.Wake("a")
	get(t, done)
	stop()
	if s := q.Stats(); s.Open != 0 || s.Lanes != 0 || s.Failed != 0 {
		t.Fatalf("%+v", s)
	}
}

func TestASettleThatFindsItsJobDroppedIsUndone(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	q := queue(t, db, nil)
	began, release, done := make(chan struct{}), make(chan struct{}), make(chan string, 2)
	q.Handle("k", func(context.Context, Job) (func(store.Tx) error, error) {
		close(began)
		<-release // it was sent and does not look at its context
		return func(tx store.Tx) error { return q.Put(tx, job("b", "wrong")) }, nil
	})
	q.Handle("k2", settled(done))
	stop := run(t, q)
	put(t, q, job("a", "1"))
	q.Wake("a")
	get(t, began)
	if err := db.Update(t.Context(), func(tx store.Tx) error { return q.Drop(tx, tokyo, "a", "1") }); err != nil {
		t.Fatal(err)
	}
	close(release)
	next := job("a", "2")
	next.Kind = "k2"
	put(t, q, next)
	q.Wake("a")
	get(t, done)
	stop()
	if left := rows(t, db); len(left) != 0 {
		t.Fatalf("rows %v: the settle of a dropped job had an effect", left)
	}
}

func TestAParkedJobHoldsItsLaneIsSeenAndRetried(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	q := queue(t, db, nil)
	tried, done := make(chan int, 10), make(chan string, 4)
	ok := false
	q.Handle("k", func(ctx context.Context, j Job) (func(store.Tx) error, error) {
		tried <- j.Attempts
		if !ok {
			return nil, Permanent(errors.New("the peer says 422"))
		}
		return settled(done)(ctx, j)
	})
	run(t, q)
	put(t, q, job("a", "1"), job("a", "2"))
	q.Wake("a")
	get(t, tried)
	var parked []Job
	for len(parked) == 0 {
		runtime.Gosched()
		var err error
		if parked, err = q.Parked(t.Context(), tokyo); err != nil {
			t.Fatal(err)
		}
	}
	if len(parked) != 1 || parked[0].ID != "1" || parked[0].LastError != "the peer says 422" || parked[0].Attempts != 1 {
		t.Fatalf("parked %+v", parked)
	}
	for q.Lanes(tokyo)[0].State != Parked {
		runtime.Gosched()
	}
	if err := q.Retry(t.Context(), tokyo, "nope"); !errors.Is(err, fault.JobUnknown) {
		t.Fatalf("got %v", err)
	}
	ok = true
	if err := q.Retry(t.Context(), tokyo, "1"); err != nil {
		t.Fatal(err)
	}
	if a, b := get(t, done), get(t, done); a != "1" || b != "2" {
		t.Fatalf("ran %s, %s", a, b)
	}
}

func TestParkedStaysParkedOverARestart(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	q := queue(t, db, nil)
	run(t, q)
	put(t, q, job("a", "1")) // kind k has no handler
	q.Wake("a")
	for {
		if p, err := q.Parked(t.Context(), tokyo); err != nil {
			t.Fatal(err)
		} else if len(p) == 1 {
			break
		}
	}
	second := queue(t, db, nil)
	tried := make(chan string, 4)
	second.Handle("k", settled(tried))
	run(t, second)
	put(t, second, job("a", "2"), job("b", "3"))
	second.Wake("a")
	second.Wake("b")
	if got := get(t, tried); got != "3" {
		t.Fatalf("%s ran behind a parked job", got)
	}
	if err := db.Update(t.Context(), func(tx store.Tx) error { return second.Drop(tx, tokyo, "a", "1") }); err != nil {
		t.Fatal(err)
	}
	if got := get(t, tried); got != "2" {
		t.Fatalf("%s ran", got)
	}
}

func TestWhatFollowsAFailureIsInTheUnitThatRemovesTheJob(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	q := queue(t, db, nil)
	done := make(chan string, 1)
	q.Handle("k", func(context.Context, Job) (func(store.Tx) error, error) {
		return nil, fmt.Errorf("send: %w", Permanent(fault.NotFound.At("", "what", "process")))
	}, OnFail(func(j Job, err error) func(store.Tx) error {
		return func(tx store.Tx) error {
			end := job(j.Lane, "end")
			end.Kind, end.Data = "end", []byte(fault.Of(err).Kind.Code)
			return q.Put(tx, end)
		}
	}))
	q.Handle("end", func(_ context.Context, j Job) (func(store.Tx) error, error) {
		done <- string(j.Data)
		return nil, nil
	})
	run(t, q)
	put(t, q, job("a", "1"))
	q.Wake("a")
	if got := get(t, done); got != fault.NotFound.Code {
		t.Fatalf("the failure came as %q", got)
	}
}

func TestAFailedUnitPutsNothing(t *testing.T) {
	t.Parallel()
	q := queue(t, storetest.Open(t, Schema), nil)
	run(t, q)
	put(t, q, job("a", "1"))
	err := q.cfg.DB.Update(t.Context(), func(tx store.Tx) error {
		return errors.Join(q.Put(tx, job("b", "2")), q.Put(tx, job("a", "1")))
	})
	if !errors.Is(err, store.ErrConflict) {
		t.Fatalf("the same id twice: %v", err)
	}
	if s := q.Stats(); s.Open != 1 || s.Lanes != 1 {
		t.Fatalf("%+v", s)
	}
	if err := q.cfg.DB.Update(t.Context(), func(tx store.Tx) error { return q.Put(tx, Job{Participant: tokyo}) }); err == nil {
		t.Fatal("a job without lane, id and kind was taken")
	}
}

func TestAPanicIsAFailedAttempt(t *testing.T) {
	t.Parallel()
	q := queue(t, storetest.Open(t, Schema), nil)
	done := make(chan Job, 1)
	q.Handle("k", func(_ context.Context, j Job) (func(store.Tx) error, error) {
		if j.Attempts == 0 {
			panic("no")
		}
		done <- j
		return nil, nil
	})
	run(t, q)
	put(t, q, job("a", "1"))
	q.Wake("a")
	if j := get(t, done); !j.Again || j.LastError == "" {
		t.Fatalf("got %+v", j)
	}
}

func TestTheSweepFindsWhatMemoryForgot(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	q := queue(t, db, func(c *Config) {
		c.Sweep, c.Hold = time.Millisecond, time.Nanosecond
	})
	done := make(chan string, 4)
	q.Handle("k", settled(done))
	run(t, q)
	put(t, q, job("first", "1"))
	q.Wake("first")
	get(t, done) // Run has loaded
	forgetful := queue(t, db, nil)
	put(t, forgetful, job("a", "2"), job("b", "3")) // the same owner, another memory
	get(t, done)
	get(t, done)
	if s := q.Stats(); s.Swept != 2 {
		t.Fatalf("%+v", s)
	}
}
