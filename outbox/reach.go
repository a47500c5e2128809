package outbox

import (
	"errors"
	"time"
)

// A counterpart that was away is often back long before the next attempt that the
// schedule has. Whatever shows that it is there again, a job of its that is done or
// a message of its that came, lets those try that did not reach it.

// soonest is how long after an attempt that did not reach the counterpart the
// next one is made at the soonest.
const soonest = time.Second

type unreached struct{ error }

func (u unreached) Unwrap() error { return u.error }

// Unreached marks err as that of a counterpart that was not reached: the next
// attempt is made as soon as it shows itself, or when the schedule has it.
func Unreached(err error) error {
	if err == nil {
		return nil
	}
	return unreached{err}
}

// Reached says that a counterpart is there. It reads nothing and returns at once.
func (q *Queue) Reached(peer string) {
	if q.cut.Load() == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.reached(peer, q.cfg.Now())
}

// reached is Reached with q.mu held.
func (q *Queue) reached(peer string, now time.Time) {
	lanes := q.away[peer]
	if len(lanes) == 0 {
		return
	}
	delete(q.away, peer)
	q.cut.Add(-int64(len(lanes)))
	for name, soon := range lanes {
		l := q.lanes[name]
		if l == nil || l.busy || l.ready || len(l.items) == 0 {
			continue
		}
		if it := l.items[0]; it.job.Peer == peer && !it.held && !it.parked && it.at.After(soon) {
			it.at = later(soon, now)
			q.line(l, now)
		}
	}
	q.spread(now)
}

// unreached notes that the first job of a lane waits for its counterpart. q.mu is
// held.
func (q *Queue) unreached(l *lane, it *item, least time.Duration, now time.Time) {
	if it.job.Peer == "" || it.parked {
		return
	}
	lanes := q.away[it.job.Peer]
	if lanes == nil {
		lanes = map[string]time.Time{}
		q.away[it.job.Peer] = lanes
	}
	if _, known := lanes[l.name]; !known {
		q.cut.Add(1)
	}
	lanes[l.name] = now.Add(max(least, soonest))
}

// waits notes a job that was read from the table and had failed before. Why it did
// is not known any more, so it counts as one whose counterpart was not reached. q.mu
// is held.
func (q *Queue) waits(it *item, now time.Time) {
	if it.job.Attempts > 0 && it.at.After(now) && it.lane.items[0] == it {
		q.unreached(it.lane, it, 0, now)
	}
}

// patience tells whether a failure was that of a counterpart that was not reached,
// and the least wait that it asks for.
func patience(err error) (away bool, least time.Duration) {
	var u unreached
	var r retryAfter
	if errors.As(err, &r) {
		least = min(r.after, maxRetryAfter)
	}
	return errors.As(err, &u), least
}
