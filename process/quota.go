package process

import (
	"context"
	"sync"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/participant"
)

// Quota bounds how many processes one counterpart may hold open with one of our
// participants. It counts in memory what commits tell; the first question about a
// counterpart reads the count. It is read again, once a second at most, before
// one is refused, for another replica may have ended what was opened here; and
// while there are other replicas once a second in any case, for they open more.
//
// It bounds memory and disk, not to the last one: messages that arrive at the
// same time, or within a second at several replicas, may pass together.
type Quota struct {
	most  int
	count func(ctx context.Context, p participant.ID, counterparty string) (int, error)

	shared func() bool // other replicas open processes too

	now func() time.Time // replaced by tests

	mu   sync.Mutex
	open map[held]tally
}

// tally is what one counterpart holds open, and when that was read last.
type tally struct {
	n    int
	read time.Time
}

// countAgain is how long a count is believed that is full, or that others change.
const countAgain = time.Second

type held struct {
	p            participant.ID
	counterparty string
}

// maxHeld bounds the counterparts that are counted; past it counting starts anew.
const maxHeld = 10_000

// NewQuota makes a quota of most open processes, 0 for none; count reads how many
// a counterpart has open, and shared says that there are other replicas.
func NewQuota(most int, count func(ctx context.Context, p participant.ID, counterparty string) (int, error), shared func() bool) *Quota {
	return &Quota{most: most, count: count, shared: shared, now: time.Now, open: map[held]tally{}}
}

// Admit refuses a further process with fault.TooManyOpen.
func (q *Quota) Admit(ctx context.Context, p participant.ID, counterparty string) error {
	if q.most == 0 {
		return nil
	}
	k, now := held{p, counterparty}, q.now()
	q.mu.Lock()
	t, known := q.open[k]
	again := known && now.Sub(t.read) >= countAgain && (t.n >= q.most || q.shared())
	if again { // the others who ask meanwhile go by the old count
		q.open[k] = tally{t.n, now}
	}
	q.mu.Unlock()
	if !known || again {
		// Unlocked: what is opened meanwhile may be missed, never what was open.
		n, err := q.count(ctx, p, counterparty)
		if err != nil {
			return err
		}
		t = tally{n, now}
		q.mu.Lock()
		if _, by := q.open[k]; !by && len(q.open) >= maxHeld {
			clear(q.open)
		}
		q.open[k] = t
		q.mu.Unlock()
	}
	if t.n >= q.most {
		return fault.TooManyOpen.At("", "limit", q.most)
	}
	return nil
}

// Moved tells after a commit that a process was opened or has ended.
func (q *Quota) Moved(p participant.ID, counterparty string, opened, ended bool) {
	if opened == ended || q.most == 0 {
		return
	}
	k := held{p, counterparty}
	q.mu.Lock()
	defer q.mu.Unlock()
	t, known := q.open[k]
	switch {
	case !known:
		return
	case opened:
		t.n++
	default:
		t.n = max(t.n-1, 0)
	}
	q.open[k] = t
}
