package transfer

import (
	"context"
	"errors"
	"sync"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/store"
)

// TermsEnded is the code with which a transfer is terminated when its terms end.
const TermsEnded = "terms-ended"

// CredentialLacking is the code with which a transfer is suspended while a
// credential that its terms ask for does not count.
const CredentialLacking = "credential-lacking"

// again is how long the end of a transfer waits when something is in its way: a
// message of ours in flight, or the store.
const again = 5 * time.Second

// key names a process among those of all participants.
type key struct {
	p  participant.ID
	id string
}

// ends knows until when the terms of each open transfer hold that we provide. It
// is made anew at each start, so no step of a transfer writes it.
type ends struct {
	mu   sync.Mutex
	at   map[key]time.Time
	wake chan struct{} // capacity 1: an earlier end than all before
	read chan struct{} // capacity 1: some are known to the tables only
	next time.Time
}

func newEnds() *ends {
	return &ends{at: map[key]time.Time{}, wake: make(chan struct{}, 1), read: make(chan struct{}, 1)}
}

// Reload has Run read the ends of all open transfers again: those of a replica that
// is gone were in its memory. It does not wait. Several replicas may end the same
// transfer then; one does, and the others find it ended.
func (r *Room) Reload() {
	select {
	case r.ends.read <- struct{}{}:
	default:
	}
}

// set notes an end; zero is none.
func (e *ends) set(k key, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if at.IsZero() {
		delete(e.at, k)
		return
	}
	e.at[k] = at
	if e.next.IsZero() || at.Before(e.next) {
		e.next = at
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
}

// due takes out what has ended and tells when the next one does, zero for none.
func (e *ends) due(now time.Time) (over []key, next time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for k, at := range e.at {
		switch {
		case !now.Before(at):
			over = append(over, k)
			delete(e.at, k)
		case next.IsZero() || at.Before(next):
			next = at
		}
	}
	e.next = next
	return over, next
}

// Run ends the transfers that these participants provide when their terms do,
// until ctx ends: a started pull is completed, since not every consumer does that
// (decisions 25); any other is terminated with the reason. One whose consumer has
// to show a credential is suspended instead, until it shows one (decisions 12).
func (r *Room) Run(ctx context.Context, hosted []participant.ID) {
	r.readEnds(ctx, hosted)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.ends.wake:
		case <-r.ends.read:
			r.readEnds(ctx, hosted)
		}
		now := r.c.Now()
		over, next := r.ends.due(now)
		for _, k := range over {
			r.expire(ctx, k)
		}
		if next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(next.Sub(now))
		}
	}
}

// readEnds reads all, until it succeeds.
func (r *Room) readEnds(ctx context.Context, hosted []participant.ID) {
	for _, p := range hosted {
		for err := r.findEnds(ctx, p); err != nil && ctx.Err() == nil; err = r.findEnds(ctx, p) {
			r.c.Log.ErrorContext(ctx, "when the terms of transfers end cannot be read; trying again", "participant", string(p), "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(again):
			}
		}
	}
}

// findEnds reads what is open.
func (r *Room) findEnds(ctx context.Context, p participant.ID) error {
	after := ""
	for {
		var some []Process
		err := r.db.View(ctx, func(tx store.Tx) error {
			var err error
			some, err = r.provided(tx, p, after)
			return err
		})
		if err != nil || len(some) == 0 {
			return err
		}
		now := r.c.Now()
		for _, q := range some {
			until, err := r.c.Gate.Access(ctx, p, q.Agreement, now)
			if err != nil {
				until = now
			}
			r.ends.set(key{p, q.ID}, until)
		}
		after = some[len(some)-1].ID
	}
}

// expire ends a transfer whose terms no longer permit it.
func (r *Room) expire(ctx context.Context, k key) {
	q, err := r.Get(ctx, k.p, k.id)
	if err != nil || q.State.Final() || q.Role != Provider {
		if err != nil && !q.State.Final() && !errors.Is(err, fault.NotFound) && ctx.Err() == nil {
			r.later(ctx, k, q, err)
		}
		return
	}
	now := r.c.Now()
	until, why := r.c.Gate.Access(ctx, k.p, q.Agreement, now)
	switch {
	case why == nil:
		r.ends.set(k, until)
		return
	case fault.OfCredential(why):
		// It can be mended: the consumer resumes once it has another to show.
		if q.State == Started && q.Pending == nil {
			_, err = r.Suspend(ctx, k.p, k.id, CredentialLacking, fault.Of(why).What("en"))
		} else if q.Pending != nil {
			err = why // what is on its way comes first
		}
		if err != nil && ctx.Err() == nil {
			r.later(ctx, k, q, err)
		}
		return
	case !errors.Is(why, fault.TermsDeny) && !errors.Is(why, fault.AgreementEnded):
		r.later(ctx, k, q, why)
		return
	}
	if q.State == Started && !isPush(q.As) {
		_, err = r.Act(ctx, k.p, k.id, KindCompletion, "", "")
	} else {
		_, err = r.Terminate(ctx, k.p, k.id, TermsEnded, fault.Of(why).What("en"))
	}
	if err != nil && ctx.Err() == nil {
		if now, lost := r.Get(ctx, k.p, k.id); lost == nil && now.State.Final() {
			return // another replica ended it
		}
		r.later(ctx, k, q, err)
	}
}

func (r *Room) later(ctx context.Context, k key, q Process, err error) {
	r.c.Log.InfoContext(ctx, "a transfer whose terms have ended cannot be ended yet", "participant", string(k.p), "process_id", k.id,
		"counterparty", q.Counterparty, "state", string(q.State), "err", err)
	r.ends.set(k, r.c.Now().Add(again))
}
