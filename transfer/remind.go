package transfer

import (
	"context"

	"kakehashi/outbox"
	"kakehashi/process"
	"kakehashi/store"
)

// JobRemind is the kind of the jobs that repeat our start to a counterpart which
// has lost it.
const JobRemind = "transfer.remind"

// remind is the handler of JobRemind. A consumer that repeats its request may
// store the answer over our start, which it had taken (EDC does): it then shows
// REQUESTED, and waits for a start for ever. It gets the same one again.
func (r *Room) remind(ctx context.Context, j outbox.Job) (func(store.Tx) error, error) {
	d, err := process.ReadJob(j)
	if err != nil {
		return nil, err
	}
	r.reminders.End(d.Process)
	q, err := r.Get(ctx, j.Participant, d.Process)
	if err != nil || q.State != Started || q.Last == nil {
		return nil, err
	}
	j.Again = true // its state is read first
	_, err = r.sender.Attempt(ctx, j, q.Reminder(*q.Last, address(q, q.Last.Kind), stateAddress(q)))
	return nil, err
}
