package transfer

import (
	"context"
	"errors"
	"fmt"
	"kakehashi/process"
	"maps"
	"strconv"
	"strings"
	"time"

	"kakehashi/dataplane"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/ids"
	"kakehashi/outbox"
	"kakehashi/store"
)

// change is all that one unit of work writes. It is built outside of the unit
// from a process as it was read; save refuses it if the process moved since.
type change struct {
	p       Process
	was     int64  // version that was read
	fresh   bool   // p is new
	over    bool   // it was final before
	waited  bool   // the process waited for Decide
	asks    bool   // it does now
	asking  string // lane of whoever is asked
	now     time.Time
	caller  *identity.Caller // whose token the unit spends
	leaves  []evidence.Leaf  // the last one is of the step that the unit is about
	bodies  []evidence.Body
	jobs    []outbox.Job
	drops   []string
	reached *process.Pending // our message that this unit counts as acknowledged
	tap     process.Do       // Pause or Close, "" for neither
	start   bool             // our message is written in the unit, with the token that it makes
	source  Source           // for a start of ours
	finish  time.Duration    // Config.Finish
	until   time.Time        // provider: when the terms end, as far as this step asked
}

func (r *Room) change(q Process) *change {
	return &change{p: q, was: q.Version, over: q.State.Final(), waited: q.Waits(), now: r.c.Now(), finish: r.c.Finish}
}

// step moves the change's process from q by one event and takes up what the
// machine asks for. Nothing is kept on an error.
func (r *Room) step(c *change, q Process, e Event) error {
	before := q.Pending
	n, fx, err := Step(q, e)
	if err != nil {
		return err
	}
	c.p = n
	for _, f := range fx {
		switch f.Do {
		case process.Send:
			if f.Kind == KindStart && c.p.Role == Provider || f.Kind == KindRequest && isPush(c.p.As) {
				c.start = true // the token exists in the unit only
				continue
			}
			body, err := r.compose(&c.p, nil)
			if err != nil {
				return err
			}
			c.bodies = append(c.bodies, body)
			j, err := jobOf(c.p)
			if err != nil {
				return err
			}
			c.jobs = append(c.jobs, j)
		case process.Drop:
			c.drops = append(c.drops, f.Job)
			c.start = false
		case process.Reached:
			c.reached = before
		case Pause, Close:
			if c.tap != Close {
				c.tap = f.Do
			}
		case process.Repeat:
		}
	}
	return nil
}

// compose builds the message that is pending and names it in p. It is the same
// message on each try.
func (r *Room) compose(p *Process, access *dataplane.Access) (evidence.Body, error) {
	who, ok := r.c.Participants.Get(p.Participant)
	if !ok {
		return evidence.Body{}, fmt.Errorf("send %s: participant %q is not hosted here", p.Pending.Kind, p.Participant)
	}
	pending := *p.Pending
	pending.ID, pending.Job = ids.New(), ids.Short()
	body, err := message(*p, who, pending.Kind, pending.ID, access)
	if err != nil {
		return evidence.Body{}, fmt.Errorf("write %s: %w", pending.Kind, err)
	}
	pending.Digest = evidence.Digest(body)
	p.Pending = &pending
	class := evidence.ClassMessage
	if access != nil {
		class = evidence.ClassSecret
	}
	return evidence.Body{Digest: pending.Digest, Bytes: body, Class: class}, nil
}

func jobOf(p Process) (outbox.Job, error) {
	return put(p, process.Job{Process: p.ID, Kind: p.Pending.Kind, Digest: p.Pending.Digest}, p.Pending.Job)
}

func put(p Process, j process.Job, id string) (outbox.Job, error) {
	return p.Put(JobSend, id, j)
}

// record adds the leaf of a step: in for what came, out for what was
// acknowledged, "" for what we decided by ourselves. The message that follows,
// if any, is named in it when the unit writes it.
func (c *change) record(q Process, direction string, hashes, facts map[string]string) {
	consumer, provider := q.Pids()
	correlation := map[string]string{}
	for name, v := range map[string]string{"consumerPid": consumer, "providerPid": provider, "agreement": q.Agreement} {
		if v != "" {
			correlation[name] = v
		}
	}
	typ := "kh.transfer.sending"
	if q.State != None {
		typ = "kh.transfer." + strings.ToLower(string(q.State))
	}
	facts["state"] = string(q.State)
	if q.State == Terminated || q.State == Suspended {
		if q.Code != "" {
			facts["code"] = process.Clip(q.Code)
		}
		if q.TerminatedBy != "" {
			facts["by"] = string(q.TerminatedBy)
		}
	}
	if f := q.Facts; f != nil && (q.State == Completed || q.Pending != nil && q.Pending.Kind == KindCompletion) {
		facts["bytes"] = strconv.FormatInt(f.Bytes, 10)
		if f.Digest != "" {
			hashes["payload"] = f.Digest
		}
	}
	l := evidence.Leaf{
		Type: typ, Process: q.ID, Version: q.Version, At: c.now, Counterparty: q.Counterparty,
		Direction: direction, Correlation: correlation, Hashes: hashes, Facts: facts,
	}
	if direction == evidence.In {
		l.Actor = q.Counterparty
	}
	c.leaves = append(c.leaves, l)
}

// commit writes the change in one unit.
func (r *Room) commit(ctx context.Context, c *change) error {
	err := r.db.Update(ctx, func(tx store.Tx) error { return r.write(tx, c) })
	if errors.Is(err, process.ErrMoved) {
		r.book.Forget(c.p.Participant, c.p.ID)
	}
	return err
}

// write is the unit: spend, save, tap, drop, record, put, ask. It may run again, so
// it changes c only by setting what it sets each time.
func (r *Room) write(tx store.Tx, c *change) error {
	q := c.p
	who := q.Participant
	var err error
	if q.Updated, err = r.book.Stamp(tx, q.Participant, r.c.Now()); err != nil { // here and not before, so that the feed has the order of the commits
		return err
	}
	bodies, jobs := c.bodies, c.jobs
	if c.caller != nil {
		if err := r.c.Identity.Spend(tx, who, *c.caller); err != nil {
			return err
		}
	}
	if c.fresh || c.start {
		if err := r.c.Agreements.Hold(tx, who, q.Agreement); err != nil {
			return err
		}
	}
	turn := r.turn(c, &q)
	if c.start {
		access, err := r.open(tx, c, &q)
		if err != nil {
			return err
		}
		body, err := r.compose(&q, access)
		if err != nil {
			return err
		}
		j, err := jobOf(q)
		if err != nil {
			return err
		}
		if q.Role == Provider {
			q.Last = &process.Last{Kind: KindStart, Digest: q.Pending.Digest, From: Requested}
		}
		bodies, jobs = append(bodies[:len(bodies):len(bodies)], body), append(jobs[:len(jobs):len(jobs)], j)
	}
	if c.fresh {
		if err := r.book.Insert(tx, q); err != nil {
			return err
		}
	} else if err := r.book.Save(tx, q, c.was); err != nil {
		return err
	}
	if err := turn(tx); err != nil {
		return err
	}
	for _, id := range c.drops {
		if err := r.c.Outbox.Drop(tx, who, q.ID, id); err != nil {
			return fmt.Errorf("drop a message that is settled otherwise: %w", err)
		}
	}
	for i, l := range c.leaves {
		var with []evidence.Body
		if i == len(c.leaves)-1 {
			with = bodies
			if q.Pending != nil && len(jobs) > 0 {
				l.Hashes, l.Facts = maps.Clone(l.Hashes), maps.Clone(l.Facts)
				l.Hashes["sending"], l.Facts["sending"] = q.Pending.Digest, string(q.Pending.Kind)
			}
		}
		if err := r.c.Evidence.Append(tx, who, l, with...); err != nil {
			return err
		}
	}
	for _, j := range jobs {
		if err := r.c.Outbox.Put(tx, j); err != nil {
			return fmt.Errorf("put a message into the outbox: %w", err)
		}
	}
	if c.asks != c.waited {
		if err := r.book.Wait(tx, who, q.ID, c.asks); err != nil {
			return err
		}
	}
	if c.asks && r.c.Asker != nil {
		lane, err := r.c.Asker.Ask(tx, who, "transfer", q.ID, q.Version)
		c.asking = lane
		if err != nil {
			return fmt.Errorf("ask for a decision: %w", err)
		}
	}
	tx.AfterCommit(func() {
		c.p = q
		if q.Pending != nil && len(jobs) > 0 {
			for _, b := range bodies {
				if b.Digest == q.Pending.Digest {
					r.sender.Hold(b.Digest, b.Bytes)
				}
			}
		}
		r.ring(c)
	})
	return nil
}

// turn notes in q that the tap is closed as the machine wants it, or as the state
// of a push that we receive wants it, and gives what does it.
func (r *Room) turn(c *change, q *Process) func(store.Tx) error {
	why := q.Reason
	if why == "" {
		why = "the transfer is " + strings.ToLower(string(q.State))
	}
	grant := q.Grant
	if grant != "" && q.Role == Consumer && !c.start {
		return r.receiving(q, why)
	}
	switch {
	case grant == "" || c.start:
	case c.tap == Close && q.Tap != TapClosed:
		q.Tap = TapClosed
		return func(tx store.Tx) error { return r.c.Plane.Stop(tx, q.Participant, grant, why) }
	case c.tap == Pause && q.Tap == TapOpen:
		q.Tap = TapPaused
		return func(tx store.Tx) error { return r.c.Plane.Suspend(tx, q.Participant, grant, why) }
	}
	return func(store.Tx) error { return nil }
}

// open gives the address and a new token for a message of ours: the start of a
// pull, the request of a push. The start of a push has none.
func (r *Room) open(tx store.Tx, c *change, q *Process) (*dataplane.Access, error) {
	if isPush(q.As) {
		return r.openPush(tx, c, q)
	}
	var a dataplane.Access
	var err error
	switch q.Tap {
	case TapOpen:
		a, err = r.c.Plane.Reissue(tx, q.Participant, q.Grant)
	case TapPaused:
		a, err = r.c.Plane.Resume(tx, q.Participant, q.Grant)
	default:
		a, err = r.c.Plane.Open(tx, dataplane.Grant{
			Participant: q.Participant, Transfer: q.ID, Counterparty: q.Counterparty, Agreement: q.Agreement,
			Dataset: q.Dataset, Service: c.source.Service, Format: q.As, Source: c.source.Source,
		})
		q.Grant = a.Grant
	}
	q.Tap = TapOpen
	return &a, err
}
