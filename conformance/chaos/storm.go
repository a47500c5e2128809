package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"kakehashi/store/storetest/cluster"
)

// storm kills and stops what it is given, again and again, until it is calmed.
// Whatever it stopped runs again when blow returns.
type storm struct {
	dice *dice
	log  func(format string, args ...any)

	mu    sync.Mutex
	kinds map[string]int
	back  []time.Duration // from a kill to the first answer
	err   error           // something did not come back
}

func (s *storm) note(kind, what string, took time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kinds[kind]++
	if err != nil {
		s.err = errors.Join(s.err, fmt.Errorf("%s, %s: %w", what, kind, err))
		return
	}
	s.back = append(s.back, took)
	s.log("%s: %s, back after %s", what, kind, took.Round(time.Millisecond))
}

// Times between two blows, and of what they do.
const (
	leastCalm, mostCalm   = 2 * time.Second, 12 * time.Second
	leastDown, mostDown   = 0 * time.Second, 1500 * time.Millisecond
	leastStill, mostStill = 5500 * time.Millisecond, 8 * time.Second // past the five seconds of a lease
	leastBase, mostBase   = 8 * time.Second, 20 * time.Second        // between two deaths of the database
)

const (
	comesBack = time.Minute
	tryAgain  = 200 * time.Millisecond
)

// nodes strikes replicas of a side until ctx ends.
func (s *storm) nodes(ctx context.Context, of *side) {
	for {
		wait(ctx, nil, s.dice.between(leastCalm, mostCalm))
		if ctx.Err() != nil {
			return
		}
		r := of.replicas[s.dice.pick(len(of.replicas))]
		how := s.dice.roll()
		r.alone.Lock()
		began := time.Now()
		switch {
		case how < 0.6 || len(of.replicas) == 1 && how < 0.8:
			<-r.signal(syscall.SIGKILL)
			s.again(ctx, r, "kill -9", began)
		case how < 0.8 || len(of.replicas) == 1:
			if err := r.stop(); errors.Is(err, errHangs) { // it may complain when the database is away
				s.note("stopped", r.name, 0, err)
			}
			s.again(ctx, r, "stopped", began)
		default: // a replica that others take for gone, and that comes back
			r.signal(syscall.SIGSTOP)
			wait(ctx, nil, s.dice.between(leastStill, mostStill))
			r.signal(syscall.SIGCONT)
			_, err := r.api.Node(context.WithoutCancel(ctx))
			s.note("stood still", r.name, time.Since(began), err)
		}
		r.alone.Unlock()
	}
}

func (s *storm) again(ctx context.Context, r *replica, kind string, began time.Time) {
	wait(ctx, nil, s.dice.between(leastDown, mostDown))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), comesBack)
	defer cancel()
	err := r.start(ctx)
	for err != nil && ctx.Err() == nil { // the database may be down just then: a supervisor tries again
		wait(ctx, nil, tryAgain)
		err = r.start(ctx)
	}
	s.note(kind, r.name, time.Since(began), err)
}

// database kills the server until ctx ends.
func (s *storm) database(ctx context.Context, c *cluster.Cluster) {
	for {
		wait(ctx, nil, s.dice.between(leastBase, mostBase))
		if ctx.Err() != nil {
			return
		}
		began := time.Now()
		err := c.Kill()
		if err == nil {
			wait(ctx, nil, s.dice.between(leastDown, mostDown))
			err = c.Run(context.WithoutCancel(ctx))
		}
		s.note("database killed", "PostgreSQL", time.Since(began), err)
	}
}

// recovery gives median and maximum of the times to the first answer.
func (s *storm) recovery() (median, most time.Duration) {
	if len(s.back) == 0 {
		return 0, 0
	}
	sorted := slices.Sorted(slices.Values(s.back))
	return sorted[len(sorted)/2], sorted[len(sorted)-1]
}
