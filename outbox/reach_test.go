package outbox

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"kakehashi/store"
)

func TestWhoShowsItselfIsTriedAgainBeforeTheSchedule(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		err  error
		peer string // that shows itself ten seconds after the failure
		want time.Duration
	}{
		{"not reached", Unreached(errors.New("reset")), "p", 10 * time.Second},
		{"not reached, and asked to wait", RetryAfter(Unreached(errors.New("busy")), 20*time.Second), "p", 20 * time.Second},
		{"another counterpart", Unreached(errors.New("reset")), "q", time.Hour},
		{"refused", errors.New("409"), "p", time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := New(Config{DB: still{}, Backoff: []time.Duration{time.Hour}, Jitter: func() float64 { return 0.5 }})
				var at []time.Time
				q.Handle("k", func(context.Context, Job) (func(store.Tx) error, error) {
					if at = append(at, time.Now()); len(at) == 1 {
						return nil, c.err
					}
					return nil, nil
				})
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- q.Run(ctx) }()
				synctest.Wait()
				j := job("lane", "1")
				j.Peer = "p"
				put(t, q, j)
				q.Wake("lane")
				synctest.Wait()
				time.Sleep(10 * time.Second)
				q.Reached(c.peer)
				time.Sleep(2 * time.Hour)
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if len(at) != 2 || at[1].Sub(at[0]) != c.want {
					t.Errorf("attempts at %v, want the second after %s", at, c.want)
				}
				if n := q.cut.Load(); n != 0 && c.peer == "p" {
					t.Errorf("%d lanes are still noted", n)
				}
			})
		})
	}
}

func TestAFlappingCounterpartIsNotTriedAllTheTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := New(Config{DB: still{}, Backoff: []time.Duration{time.Hour}, Jitter: func() float64 { return 0.5 }})
		n := 0
		q.Handle("k", func(context.Context, Job) (func(store.Tx) error, error) {
			n++
			return nil, Unreached(errors.New("reset"))
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- q.Run(ctx) }()
		synctest.Wait()
		j := job("lane", "1")
		j.Peer = "p"
		put(t, q, j)
		q.Wake("lane")
		for range 100 {
			synctest.Wait()
			q.Reached("p")
			time.Sleep(100 * time.Millisecond)
		}
		cancel()
		<-ended
		if n < 5 || n > 11 {
			t.Errorf("%d attempts in ten seconds", n)
		}
	})
}
