package negotiation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kakehashi/agreement"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/ids"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/process"
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
	leaves  []evidence.Leaf
	bodies  []evidence.Body
	jobs    []outbox.Job
	drops   []string
	ends    agreementEnd
	reached *process.Pending // our message that this unit counts as acknowledged
	// decision is what our going along with the terms rests on, nil for nothing that
	// the counterpart had to prove.
	decision []byte
}

type agreementEnd int

const (
	untouched agreementEnd = iota
	conclude
	annul
)

func (r *Room) change(q Process) *change {
	return &change{p: q, was: q.Version, over: q.State.Final(), waited: q.Turn(), now: r.c.Now()}
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
			if err := r.compose(c); err != nil {
				return err
			}
		case process.Drop:
			c.drops = append(c.drops, f.Job)
		case process.Reached:
			c.reached = before
		case Conclude:
			c.ends = conclude
		case Annul:
			c.ends = annul
		case process.Repeat:
		}
	}
	return nil
}

// compose builds the message that the machine wants sent, keeps its bytes and
// puts its job. It is the same message on each try.
func (r *Room) compose(c *change) error {
	who, ok := r.c.Participants.Get(c.p.Participant)
	if !ok {
		return fmt.Errorf("send %s: participant %q is not hosted here", c.p.Pending.Kind, c.p.Participant)
	}
	pending := *c.p.Pending
	pending.ID, pending.Job = ids.New(), ids.Short()
	body, err := message(&c.p, who, pending.Kind, pending.ID, c.now)
	if err != nil {
		return fmt.Errorf("write %s: %w", pending.Kind, err)
	}
	pending.Digest = evidence.Digest(body)
	if pending.Kind == KindAgreement || pending.Kind == KindVerification || pending.Kind == KindFinalized {
		c.p.Last = &process.Last{Kind: pending.Kind, Digest: pending.Digest, From: c.p.State}
	}
	c.p.Pending = &pending
	c.bodies = append(c.bodies, evidence.Body{Digest: pending.Digest, Bytes: body, Class: evidence.ClassMessage})
	return c.put(process.Job{Process: c.p.ID, Kind: pending.Kind, Digest: pending.Digest}, pending.Job)
}

func (c *change) put(j process.Job, id string) error {
	job, err := c.p.Put(JobSend, id, j)
	c.jobs = append(c.jobs, job)
	return err
}

// record adds the leaf of a step: in for what came, out for what was
// acknowledged, "" for what we decided by ourselves.
func (c *change) record(q Process, direction string, hashes, facts map[string]string) {
	consumer, provider := q.Pids()
	correlation := map[string]string{}
	for name, v := range map[string]string{"consumerPid": consumer, "providerPid": provider, "agreement": q.Agreement} {
		if v != "" {
			correlation[name] = v
		}
	}
	typ := "kh.negotiation.sending"
	if q.State != None {
		typ = "kh.negotiation." + strings.ToLower(string(q.State))
	}
	if facts == nil {
		facts = map[string]string{}
	}
	facts["state"] = string(q.State)
	if c.decision != nil {
		hashes["decision"] = evidence.Digest(c.decision)
		c.bodies = append(c.bodies, evidence.Body{Digest: hashes["decision"], Bytes: c.decision, Class: evidence.ClassDecision})
		c.decision = nil
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

// note puts the message that follows on record beside what caused it.
func (c *change) note(hashes, facts map[string]string) {
	if c.p.Pending != nil && len(c.jobs) > 0 {
		hashes["sending"] = c.p.Pending.Digest
		facts["sending"] = c.p.Pending.Kind.Type()
	}
	if c.p.State == Terminated {
		facts["by"] = string(c.p.TerminatedBy)
		if c.p.Code != "" {
			facts["code"] = process.Clip(c.p.Code)
		}
	}
}

// commit writes the change in one unit.
func (r *Room) commit(ctx context.Context, c *change) error {
	err := r.db.Update(ctx, func(tx store.Tx) error { return r.write(tx, c) })
	if errors.Is(err, process.ErrMoved) {
		r.book.Forget(c.p.Participant, c.p.ID)
	}
	return err
}

// write is the unit: spend, save, drop, record, put, ask, conclude.
func (r *Room) write(tx store.Tx, c *change) error {
	who := c.p.Participant
	var err error
	if c.p.Updated, err = r.book.Stamp(tx, who, r.c.Now()); err != nil { // here and not before, so that the feed has the order of the commits
		return err
	}
	if c.caller != nil {
		if err := r.c.Identity.Spend(tx, who, *c.caller); err != nil {
			return err
		}
	}
	if c.fresh {
		if err := r.book.Insert(tx, c.p); err != nil {
			return err
		}
	} else if err := r.book.Save(tx, c.p, c.was); err != nil {
		return err
	}
	for _, id := range c.drops {
		if err := r.c.Outbox.Drop(tx, who, c.p.ID, id); err != nil {
			return fmt.Errorf("drop a message that is settled otherwise: %w", err)
		}
	}
	for i, l := range c.leaves {
		var bodies []evidence.Body
		if i == len(c.leaves)-1 {
			bodies = c.bodies
		}
		if err := r.c.Evidence.Append(tx, who, l, bodies...); err != nil {
			return err
		}
	}
	for _, j := range c.jobs {
		if err := r.c.Outbox.Put(tx, j); err != nil {
			return fmt.Errorf("put a message into the outbox: %w", err)
		}
	}
	if c.asks != c.waited {
		if err := r.book.Wait(tx, who, c.p.ID, c.asks); err != nil {
			return err
		}
	}
	if c.asks && r.c.Asker != nil {
		lane, err := r.c.Asker.Ask(tx, who, "negotiation", c.p.ID, c.p.Version)
		c.asking = lane
		if err != nil {
			return fmt.Errorf("ask for a decision: %w", err)
		}
	}
	switch c.ends {
	case conclude:
		if err := r.c.Agreements.Conclude(tx, who, agreed(c.p, r.self(who))); err != nil {
			return err
		}
	case annul:
		if err := r.c.Agreements.End(tx, who, c.p.Agreement, "the negotiation was terminated"); err != nil {
			return err
		}
	}
	tx.AfterCommit(func() {
		for _, b := range c.bodies {
			if b.Class == evidence.ClassMessage && len(c.jobs) > 0 && c.p.Pending != nil && b.Digest == c.p.Pending.Digest {
				r.sender.Hold(b.Digest, b.Bytes)
			}
		}
		r.ring(c)
	})
	return nil
}

func (r *Room) self(p participant.ID) string {
	who, _ := r.c.Participants.Get(p)
	return who.DID
}

func agreed(p Process, self string) agreement.Agreement {
	a := agreement.Agreement{
		ID: p.Agreement, Role: agreement.Role(p.Role), Counterparty: p.Counterparty,
		Assigner: self, Assignee: p.Counterparty,
		Dataset: p.Dataset, DatasetVersion: p.DatasetVersion, Offer: p.OfferID,
		Policy: p.Terms, Body: p.AgreementBody, Negotiation: p.ID, Signed: time.UnixMicro(p.Signed).UTC(),
	}
	if p.Role == Consumer {
		a.Assigner, a.Assignee = p.Counterparty, self
	}
	return a
}
