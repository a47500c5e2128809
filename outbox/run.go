package outbox

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"kakehashi/participant"
)

// Run loads what is open, does jobs until ctx ends, gives running attempts a
// moment, cancels them and returns when all have ended. A job that was not
// settled then is done again by the next Run on the same tables. Only one Run in
// the life of a Queue.
func (q *Queue) Run(ctx context.Context) error {
	q.mu.Lock()
	if q.running {
		q.mu.Unlock()
		return errors.New("outbox: Run was called before")
	}
	q.running = true
	q.mu.Unlock()

	items, err := q.load(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	q.start(base, items)

	timer := time.NewTimer(q.jittered(q.cfg.Sweep))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			err := q.sweep(ctx)
			if err == nil && !q.cfg.Replicas.Alone() {
				err = q.Reload(ctx)
			}
			if err != nil && ctx.Err() == nil {
				q.cfg.Log.Error("sweep of the outbox failed", "err", err)
			}
			timer.Reset(q.jittered(q.cfg.Sweep))
		case <-q.hints:
			if err := q.follow(ctx); err != nil && ctx.Err() == nil {
				q.cfg.Log.Error("what other replicas changed cannot be read", "err", err)
			}
		case <-ctx.Done():
			q.stop(cancel)
			return nil
		}
	}
}

// start puts what was loaded beside what was put meanwhile, and lets lanes run.
func (q *Queue) start(base context.Context, items []*item) {
	now := q.cfg.Now()
	var last int64
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range items {
		it.at = resumes(it.job, now)
		last = max(last, it.job.Created.UnixMicro())
		if q.add(it, now) { // not when AfterCommit placed it first
			q.waits(it, now)
		}
	}
	for at := q.stamp.Load(); at < last && !q.stamp.CompareAndSwap(at, last); at = q.stamp.Load() {
	}
	q.base = base
	for _, l := range q.lanes {
		q.judge(l, now)
	}
	q.arm(now)
}

// stop lets nothing begin any more and waits for what runs.
func (q *Queue) stop(cancel func()) {
	q.mu.Lock()
	q.stopped = true
	if q.clock.timer != nil {
		q.clock.timer.Stop()
	}
	q.mu.Unlock()
	grace := time.AfterFunc(q.cfg.Grace, cancel)
	q.workers.Wait()
	grace.Stop()
}

func (q *Queue) jittered(d time.Duration) time.Duration {
	return d + time.Duration((q.cfg.Jitter()*0.4-0.2)*float64(d))
}

// sweep is the safety net below the memory: jobs of ours that are due and that
// nobody has in mind. It should never find one.
func (q *Queue) sweep(ctx context.Context) error {
	before := q.cfg.Now().Add(-2 * q.cfg.Hold)
	var from key
	for {
		keys, err := q.overdue(ctx, before, from)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := q.rescue(ctx, k); err != nil {
				return err
			}
		}
		if len(keys) < batch {
			return nil
		}
		from = keys[len(keys)-1]
	}
}

func (q *Queue) rescue(ctx context.Context, k key) error {
	if q.has(k) {
		return nil
	}
	// It may have been settled after the list was read: only a row that is there
	// after memory was asked is a lost one.
	owner := q.cfg.Replicas.ID()
	items, err := q.one(ctx, k, owner)
	if err != nil || len(items) == 0 {
		return err
	}
	now := q.cfg.Now()
	it := items[0]
	it.owner, it.at = owner, now
	q.mu.Lock()
	lost := q.add(it, now)
	if lost {
		q.swept++
	}
	q.mu.Unlock()
	if lost {
		q.cfg.Log.Warn("the sweep of the outbox found a forgotten job", "participant", k.participant,
			"process_id", it.job.Lane, "kind", it.job.Kind, "job", k.id)
	}
	return nil
}

func (q *Queue) has(k key) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.jobs[k] != nil
}

// LaneState is what a lane does at the moment.
type LaneState string

const (
	Held    LaneState = "held"    // waits for Wake
	Ready   LaneState = "ready"   // waits for a slot
	Running LaneState = "running" // its first job is being done
	Waiting LaneState = "waiting" // for the time of its first job
	Parked  LaneState = "parked"  // its first job waits for a person
)

// Lane is one lane with open jobs, as Lanes shows it.
type Lane struct {
	Participant participant.ID
	Name        string
	State       LaneState
	Open        int // jobs
	First       Job
}

// Lanes lists the lanes of p that have open jobs, by name.
func (q *Queue) Lanes(p participant.ID) []Lane {
	q.mu.Lock()
	defer q.mu.Unlock()
	var all []Lane
	for _, l := range q.lanes {
		if len(l.items) == 0 || l.items[0].job.Participant != p {
			continue
		}
		it := l.items[0]
		s := Lane{Participant: p, Name: l.name, Open: len(l.items), First: it.job, State: Waiting}
		switch {
		case l.busy:
			s.State = Running
		case it.parked:
			s.State = Parked
		case l.ready:
			s.State = Ready
		case it.held:
			s.State = Held
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Lane) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Stats are the queue's numbers, for metrics.
type Stats struct {
	Open, Lanes, Running int   // now
	Done, Failed, Swept  int64 // since the start: jobs done or dropped while running, failed attempts, jobs that the sweep found
}

// Stats reads the numbers.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Stats{Open: len(q.jobs), Lanes: len(q.lanes), Running: q.active, Done: q.done, Failed: q.failures, Swept: q.swept}
}
