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

func remindLane(q Process) string { return "remind:" + q.ID }

// remind is the handler of JobRemind. A consumer that repeats its request may
// store the answer to the repeat over our start, which it had taken (EDC does):
// it then shows REQUESTED, and waits for a start for ever. It gets the same one
// again, the same bytes under the same @id. Any other state is left alone.
func (r *Room) remind(ctx context.Context, j outbox.Job) (func(store.Tx) error, error) {
	q, err := r.ofJob(ctx, j)
	if err != nil || q.Role != Provider || q.State != Started || q.Start == "" {
		return nil, err
	}
	j.Again = true // its state is read first
	_, err = r.sender.Attempt(ctx, j, process.Letter{
		Head: q.Head, Job: process.Job{Process: q.ID, Kind: KindStart, Digest: q.Start}, URL: address(q, KindStart), State: stateAddress(q), Pids: pids,
		Reached: func(peer State, _ bool) (process.What, Kind) {
			if peer == Requested {
				return "", ""
			}
			return process.Acknowledged, ""
		},
	})
	return nil, err
}
