package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/store"
)

// Subject is what a job is about, for people.
type Subject struct {
	Process string // negotiation or transfer that an end of the job ends
	Message string // of the protocol; "" when the job sends none
}

// About tells the subject of jobs of a kind. Without it the process is the lane.
func About(f func(Job) Subject) Option { return func(k *kind) { k.about = f } }

// Late is a job that did not go through at the first try, or that waits behind
// such a one in its lane.
type Late struct {
	Job
	Subject
	Parked bool // no attempt is made until Retry
}

// maxLate is the most that Backlog returns.
const maxLate = 1000

const lateOf = `SELECT ` + columns + ` FROM outbox_jobs WHERE participant = $1 AND ($2 = '' OR peer = $2)
AND lane IN (SELECT lane FROM outbox_jobs WHERE participant = $1 AND (attempts > 0 OR parked = TRUE))
ORDER BY created, id LIMIT $3`

// Backlog lists what is late for one counterpart, or for all with "", oldest
// first and at most 1000; more says that there is more.
func (q *Queue) Backlog(ctx context.Context, p participant.ID, peer string) (late []Late, more bool, err error) {
	var items []*item
	err = q.cfg.DB.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(lateOf, string(p), peer, int64(maxLate)+1)
		if err != nil {
			return err
		}
		items, err = collect(rows, nil)
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("list late jobs: %w", err)
	}
	if more = len(items) > maxLate; more {
		items = items[:maxLate]
	}
	late = make([]Late, len(items))
	for i, it := range items {
		late[i] = Late{Job: it.job, Subject: q.subject(it.job), Parked: it.parked}
	}
	return late, more, nil
}

func (q *Queue) subject(j Job) Subject {
	q.mu.Lock()
	about := q.kinds[j.Kind].about
	q.mu.Unlock()
	if about == nil {
		return Subject{Process: j.Lane}
	}
	return about(j)
}

// End gives a job up for good, parked or not: what its kind does about a failure
// is done in the unit that removes it, with a fault.GivenUp, and a running
// attempt is cancelled. A kind without OnFail loses the job only.
// fault.JobUnknown if it is not there.
func (q *Queue) End(ctx context.Context, p participant.ID, id string) error {
	var found []*item
	err := q.cfg.DB.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(anyOf, string(p), id)
		if err != nil {
			return err
		}
		found, err = collect(rows, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("find job %s: %w", id, err)
	}
	if len(found) == 0 {
		return fault.JobUnknown.At("", "job", id)
	}
	j := found[0].job
	q.mu.Lock()
	fail := q.kinds[j.Kind].fail
	q.mu.Unlock()
	var settle func(store.Tx) error
	if fail != nil {
		span := q.cfg.Now().Sub(j.Created).Round(time.Second)
		settle = q.failing(fail, j, fault.GivenUp.At(j.Lane, "attempts", j.Attempts, "span", span))
	}
	err = q.cfg.DB.Update(ctx, func(tx store.Tx) error {
		if err := q.end(tx, j); err != nil {
			return err
		}
		tx.AfterCommit(func() {
			if !q.forget(key{p, id}) {
				q.moved(p, j.Lane)
			}
		})
		if settle == nil {
			return nil
		}
		return settle(&settling{tx})
	})
	if errors.Is(err, ErrGone) {
		return fault.JobUnknown.At("", "job", id)
	}
	if err != nil {
		return fmt.Errorf("end job %s: %w", id, err)
	}
	q.cfg.Log.InfoContext(ctx, "job given up by people", "participant", string(p), "process_id", j.Lane, "counterparty", j.Peer,
		"kind", j.Kind, "job", id, "attempt", j.Attempts, "err", j.LastError)
	return nil
}
