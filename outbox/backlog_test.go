package outbox

import (
	"context"
	"errors"
	"slices"
	"testing"

	"kakehashi/internal/fault"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

// late waits until the backlog is as wanted: id, or id! for a parked one.
func late(t *testing.T, q *Queue, peer string, want ...string) []Late {
	t.Helper()
	for {
		jobs, more, err := q.Backlog(t.Context(), tokyo, peer)
		if err != nil || more {
			t.Fatal(more, err)
		}
		var got []string
		for _, j := range jobs {
			if j.Parked {
				j.ID += "!"
			}
			got = append(got, j.ID)
		}
		if slices.Equal(got, want) {
			return jobs
		}
		if t.Context().Err() != nil {
			t.Fatalf("late: %v, not %v", got, want)
		}
	}
}

func TestWhatIsLateIsSeenAndCanBeGivenUp(t *testing.T) {
	t.Parallel()
	q := queue(t, storetest.Open(t, Schema), nil)
	hangs := make(chan string, 1)
	done, ended := make(chan string, 8), make(chan error, 8)
	q.Handle("k", func(ctx context.Context, j Job) (func(store.Tx) error, error) {
		switch j.Lane {
		case "parked":
			return nil, Permanent(errors.New("the peer says 422"))
		case "hangs":
			if j.Attempts == 0 {
				return nil, errors.New("no answer")
			}
			hangs <- j.ID
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return nil, ctx.Err()
		}
		return settled(done)(ctx, j)
	}, About(func(j Job) Subject { return Subject{Process: "urn:" + j.Lane, Message: "M"} }))
	q.Handle("f", func(context.Context, Job) (func(store.Tx) error, error) { return nil, errors.New("not now") },
		OnFail(func(j Job, err error) func(store.Tx) error {
			return func(tx store.Tx) error {
				tx.AfterCommit(func() { ended <- err })
				return q.Put(tx, job("after", "sequel"))
			}
		}))
	run(t, q)
	of := func(peer, lane, id, kind string) Job {
		j := job(lane, id)
		j.Peer, j.Kind = peer, kind
		return j
	}
	put(t, q, of("a", "parked", "1", "k"), of("a", "parked", "2", "k"), of("b", "hangs", "3", "k"), of("b", "retries", "4", "f"), of("a", "works", "5", "k"))
	for _, l := range []string{"parked", "hangs", "retries", "works"} {
		q.Wake(l)
	}
	if got := get(t, done); got != "5" {
		t.Fatalf("%s ran", got)
	}
	jobs := late(t, q, "", "1!", "2", "3", "4")
	if j := jobs[0]; j.Process != "urn:parked" || j.Message != "M" || j.LastError != "the peer says 422" || j.Attempts != 1 {
		t.Errorf("the parked one: %+v", j)
	}
	if j := jobs[1]; j.Attempts != 0 {
		t.Errorf("what waits behind it: %+v", j)
	}
	if j := jobs[3]; j.Process != "retries" { // its kind tells nothing
		t.Errorf("what is tried again: %+v", j)
	}
	late(t, q, "a", "1!", "2")
	late(t, q, "c")

	// Given up while it runs: the attempt is cancelled.
	if got := get(t, hangs); got != "3" {
		t.Fatalf("%s hangs", got)
	}
	if err := q.End(t.Context(), tokyo, "3"); err != nil {
		t.Fatal(err)
	}
	if err := get(t, ended); !errors.Is(err, ErrGone) {
		t.Errorf("the attempt ended with %v", err)
	}
	// With what its kind does about a failure, in the same unit.
	if err := q.End(t.Context(), tokyo, "4"); err != nil {
		t.Fatal(err)
	}
	if err := get(t, ended); !errors.Is(err, fault.GivenUp) {
		t.Errorf("failed with %v", err)
	}
	if got := get(t, done); got != "sequel" {
		t.Errorf("%s ran", got)
	}
	// Parked: the lane goes on, and parks again at the next.
	if err := q.End(t.Context(), tokyo, "1"); err != nil {
		t.Fatal(err)
	}
	late(t, q, "", "2!")
	for _, id := range []string{"1", "3", "nope"} {
		if err := q.End(t.Context(), tokyo, id); !errors.Is(err, fault.JobUnknown) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if err := q.End(t.Context(), "osaka", "2"); !errors.Is(err, fault.JobUnknown) {
		t.Errorf("another participant's: %v", err)
	}
}

func TestAJobWhoseEndCannotBeKeptStays(t *testing.T) {
	t.Parallel()
	q := queue(t, storetest.Open(t, Schema), nil)
	q.Handle("k", func(context.Context, Job) (func(store.Tx) error, error) { return nil, errors.New("not now") },
		OnFail(func(Job, error) func(store.Tx) error { return func(store.Tx) error { return errors.New("disk full") } }))
	run(t, q)
	put(t, q, job("a", "1"))
	q.Wake("a")
	late(t, q, "", "1")
	if err := q.End(t.Context(), tokyo, "1"); err == nil {
		t.Fatal("ended")
	}
	late(t, q, "", "1")
}
