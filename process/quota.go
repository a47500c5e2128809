package process

import (
	"context"
	"sync"

	"kakehashi/internal/fault"
	"kakehashi/participant"
)

// Quota bounds how many processes one counterpart may hold open with one of our
// participants. It counts in memory what commits tell; the first question about a
// counterpart reads the count once.
type Quota struct {
	most  int
	count func(ctx context.Context, p participant.ID, counterparty string) (int, error)

	mu   sync.Mutex
	open map[held]int
}

type held struct {
	p            participant.ID
	counterparty string
}

// maxHeld bounds the counterparts that are counted; past it counting starts anew.
const maxHeld = 10_000

// NewQuota makes a quota of most open processes, 0 for none; count reads how many
// a counterpart has open.
func NewQuota(most int, count func(ctx context.Context, p participant.ID, counterparty string) (int, error)) *Quota {
	return &Quota{most: most, count: count, open: map[held]int{}}
}

// Admit refuses a further process with fault.TooManyOpen.
func (q *Quota) Admit(ctx context.Context, p participant.ID, counterparty string) error {
	if q.most == 0 {
		return nil
	}
	k := held{p, counterparty}
	q.mu.Lock()
	n, known := q.open[k]
	q.mu.Unlock()
	if !known {
		// Unlocked: what is opened meanwhile may be missed, never what was open.
		var err error
		if n, err = q.count(ctx, p, counterparty); err != nil {
			return err
		}
		q.mu.Lock()
		if len(q.open) >= maxHeld {
			clear(q.open)
		}
		q.open[k] = n
		q.mu.Unlock()
	}
	if n >= q.most {
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
	n, known := q.open[k]
	switch {
	case !known:
	case opened:
		q.open[k] = n + 1
	default:
		q.open[k] = max(n-1, 0)
	}
}
