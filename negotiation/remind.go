package negotiation

import (
	"context"

	"kakehashi/outbox"
	"kakehashi/process"
	"kakehashi/store"
)

// JobRemind is the kind of the jobs that repeat our newest message to a
// counterpart which has lost it.
const JobRemind = "negotiation.remind"

// remind is the handler of JobRemind. A counterpart that repeats a message may
// store the answer over our next step, which it had taken (EDC does): it then
// shows the state before, and waits for ever. It gets the same message again.
func (r *Room) remind(ctx context.Context, j outbox.Job) (func(store.Tx) error, error) {
	d, err := process.ReadJob(j)
	if err != nil {
		return nil, err
	}
	r.reminders.End(d.Process)
	q, err := r.Get(ctx, j.Participant, d.Process)
	if err != nil || q.State == Terminated || q.Pending != nil || q.Last == nil {
		return nil, err
	}
	j.Again = true // its state is read first
	_, err = r.sender.Attempt(ctx, j, q.Reminder(*q.Last, address(q, q.Last.Kind), stateAddress(q)))
	return nil, err
}
