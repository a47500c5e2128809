// Package transfer is the transfer process of DSP 2025-1 for both roles: a pure
// table of states, one unit of work for each step, and jobs that carry our
// messages out. The provider's side opens and closes grants of the data plane in
// the same units.
//
// A push is a job of its own, beside the messages. It moves no bytes (dataplane
// does) and speaks no HTTP (dsphttp does).
package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"kakehashi/agreement"
	"kakehashi/dataplane"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/internal/format"
	"kakehashi/internal/watch"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/process"
	"kakehashi/store"
)

// Config is what a Room needs. All members are required but Decider, Asker,
// Patience and MaxOpen.
type Config struct {
	DB           store.DB
	Participants process.Participants
	Identity     process.Identity
	Agreements   Agreements
	Sources      Sources
	Gate         Gate
	Plane        Plane
	Evidence     process.Evidence
	Outbox       process.Outbox
	Wire         process.Wire
	Watch        process.Watch
	Decider      Decider          // nil: StartAtOnce
	Asker        process.Asker    // nil: nobody is told that a process waits
	Patience     process.Patience // nil: nothing is learned
	Finish       time.Duration    // how long after a pushed body arrived we leave the completion to the provider; 0: a minute
	Remind       time.Duration    // how long after a repeated request we look whether our start was lost; 0: process.RemindAfter
	MaxOpen      int              // open processes of one counterpart; 0: no limit
	Now          func() time.Time
	Log          *slog.Logger
}

// Agreements finds what a transfer rests on; an unknown one is a fault.
type Agreements interface {
	Get(ctx context.Context, p participant.ID, id string) (agreement.Agreement, error)
	// Hold refuses in the unit of a start what another replica has ended.
	Hold(tx store.Tx, p participant.ID, id string) error
}

// Gate says whether an agreement permits a transfer now.
type Gate interface {
	dataplane.Gate
	// Renewed is Access for a message of the counterpart's, which is asked for what
	// it has to prove.
	Renewed(ctx context.Context, p participant.ID, agreement string, now time.Time) (until time.Time, err error)
}

// Source is how a dataset is served.
type Source struct {
	Service string
	Formats []string // Word-PULL or Word-PUSH
	Asking  process.Asking
	Source  json.RawMessage // for the service; never shown
}

// Sources finds how a dataset under agreement is served, also when its offers
// were withdrawn since.
type Sources interface {
	Source(ctx context.Context, p participant.ID, dataset string) (Source, error)
}

// Plane opens and closes grants in the caller's unit.
type Plane interface {
	Open(tx store.Tx, g dataplane.Grant) (dataplane.Access, error)
	Suspend(tx store.Tx, p participant.ID, grant, why string) error
	Resume(tx store.Tx, p participant.ID, grant string) (dataplane.Access, error)
	Reissue(tx store.Tx, p participant.ID, grant string) (dataplane.Access, error)
	Reopen(tx store.Tx, p participant.ID, grant string) error
	Stop(tx store.Tx, p participant.ID, grant, why string) error
	Push(ctx context.Context, p participant.ID, grant string, t dataplane.Target) (dataplane.Moved, error)
}

// Decider decides what the provider does with a request that passed all checks:
// a start that is Decided at once, or process.ErrAsk: then the transfer waits for
// Room.Decide, and the Asker is told.
type Decider interface {
	Decide(ctx context.Context, p Process) (Event, error)
}

// StartAtOnce is the default rule: what the agreement allows is started, unless
// the dataset asks about each step.
type StartAtOnce struct{}

// Decide implements Decider.
func (StartAtOnce) Decide(_ context.Context, p Process) (Event, error) {
	if p.Asking == process.EachStep && p.State == Requested {
		return Event{}, process.ErrAsk
	}
	return Event{What: process.Decided, Kind: KindStart}, nil
}

// Room is the transfers of all participants of a node.
type Room struct {
	c       Config
	db      store.DB
	decider Decider
	book    *process.Book[Process]
	sender  *process.Sender
	ends    *ends
	quota   *process.Quota

	reminders process.Reminders
}

// Open makes the room and names its handler to the outbox, which must not run
// yet; the tables exist by Schema.
func Open(c Config) (*Room, error) {
	if c.DB == nil || c.Participants == nil || c.Identity == nil || c.Agreements == nil || c.Sources == nil || c.Gate == nil ||
		c.Plane == nil || c.Evidence == nil || c.Outbox == nil || c.Wire == nil || c.Watch == nil || c.Now == nil || c.Log == nil {
		return nil, errors.New("open transfer: a member of the config is missing")
	}
	r := &Room{
		c: c, db: c.DB, decider: c.Decider,
		book:   process.NewBook("transfer", c.DB, c.Watch, decode),
		sender: process.NewSender(c.Wire, c.Evidence, c.Patience, c.Now),
		ends:   newEnds(),
	}
	if r.decider == nil {
		r.decider = StartAtOnce{}
	}
	if r.c.Finish <= 0 {
		r.c.Finish = time.Minute
	}
	if r.c.Remind <= 0 {
		r.c.Remind = process.RemindAfter
	}
	r.quota = process.NewQuota(c.MaxOpen, r.book.CountOpen, c.Watch.Shared)
	c.Outbox.Handle(JobSend, r.send, outbox.OnFail(r.failed), outbox.About(process.About))
	c.Outbox.Handle(JobPush, r.push, outbox.OnFail(r.unpushed), outbox.About(process.About))
	c.Outbox.Handle(JobFinish, r.finish, outbox.About(process.About))
	c.Outbox.Handle(JobEnded, r.ended, outbox.About(aboutEnded))
	c.Outbox.Handle(JobRemind, r.remind, outbox.About(process.About), outbox.OnFail(func(outbox.Job, error) func(store.Tx) error {
		return func(store.Tx) error { return nil } // the counterpart may ask again
	}))
	return r, nil
}

// Show answers the counterpart's GET of a process: the state before a message
// of ours that is in flight, except a termination. Whoever is not its
// counterpart gets fault.NotFound.
func (r *Room) Show(ctx context.Context, p participant.ID, caller identity.Caller, id string) (process.Reply, error) {
	q, err := r.Get(ctx, p, id)
	if err != nil {
		return process.Reply{}, err
	}
	if q.Counterparty != caller.ID {
		return process.Reply{}, r.book.Gone(id)
	}
	return reply(q, 200)
}

// Decide answers a request that waits for us. version is the one that was decided
// on; another one now is fault.DecidedOn, 0 is any. fault.NotYourTurn when it does
// not wait.
func (r *Room) Decide(ctx context.Context, p participant.ID, id string, version int64, d process.Decision) (Process, error) {
	kind := KindStart
	if d.Choice == process.Refuse {
		kind = KindTermination
	}
	return r.move(ctx, p, id, kind, func(q Process, c *change) error {
		switch {
		case version != 0 && q.Version != version:
			return fault.DecidedOn.At(id, "process", id)
		case !q.Waits() || d.Choice == process.Counter:
			return fault.NotYourTurn.At(id, "state", q.State.Name(), "message", string(d.Choice))
		}
		return r.act(ctx, q, c, kind, d.Code, d.Reason)
	})
}

// Act sends a message by decision of a person, a webhook or a script: a start
// (first, resumed or with a new token), a suspension or a completion.
// fault.NotYourTurn if the state does not allow it, or a message is in flight.
func (r *Room) Act(ctx context.Context, p participant.ID, id string, kind Kind, code, reason string) (Process, error) {
	return r.move(ctx, p, id, kind, func(q Process, c *change) error { return r.act(ctx, q, c, kind, code, reason) })
}

func (r *Room) act(ctx context.Context, q Process, c *change, kind Kind, code, reason string) error {
	if kind == KindStart && q.Role == Provider {
		until, err := r.c.Gate.Access(ctx, q.Participant, q.Agreement, c.now)
		if err != nil {
			return err
		}
		c.until = until
		if err := r.source(ctx, &q, c); err != nil {
			return err
		}
	}
	return r.step(c, q, Event{What: process.Decided, Kind: kind, Code: code, Reason: process.Clip(reason)})
}

// Complete ends a transfer whose bytes have all arrived. As consumer f says what
// arrived and goes into the message; else it is the zero Facts. One that is complete
// already, or whose completion is on its way, is returned as it is: who did not see
// the first answer asks again.
func (r *Room) Complete(ctx context.Context, p participant.ID, id string, f Facts) (Process, error) {
	q, err := r.move(ctx, p, id, KindCompletion, func(q Process, c *change) error {
		if f != (Facts{}) {
			q.Facts = &f
		}
		return r.step(c, q, Event{What: process.Decided, Kind: KindCompletion})
	})
	if errors.Is(err, fault.NotYourTurn) && (q.State == Completed || q.Pending != nil && q.Pending.Kind == KindCompletion) {
		return q, nil
	}
	return q, err
}

// Suspend halts a started transfer; a provider closes its tap at once.
func (r *Room) Suspend(ctx context.Context, p participant.ID, id, code, reason string) (Process, error) {
	return r.Act(ctx, p, id, KindSuspension, code, reason)
}

// Resume asks for or brings about the start of a suspended transfer.
func (r *Room) Resume(ctx context.Context, p participant.ID, id string) (Process, error) {
	return r.Act(ctx, p, id, KindStart, "", "")
}

// Terminate ends a transfer that is not final, at once for us; the counterpart
// is told in the background. code and reason may be empty.
func (r *Room) Terminate(ctx context.Context, p participant.ID, id, code, reason string) (Process, error) {
	return r.Act(ctx, p, id, KindTermination, code, reason)
}

// OnAgreementEnded terminates all transfers under an agreement in the unit that
// ends it; their lanes are woken after the commit. A job looks again for one
// that was begun at the same time, since units may run side by side.
func (r *Room) OnAgreementEnded(tx store.Tx, p participant.ID, agreement, why string) error {
	if err := r.lookAgain(tx, p, agreement, why); err != nil {
		return err
	}
	return r.endAll(tx, p, agreement, why)
}

func (r *Room) endAll(tx store.Tx, p participant.ID, agreement, why string) error {
	open, err := r.underway(tx, p, agreement)
	if err != nil {
		return fmt.Errorf("find the transfers under agreement %s: %w", agreement, err)
	}
	for _, q := range open {
		if err := format.Check("transfer", q.ID, q.Format); err != nil {
			return err // whoever reads it ends the agreement
		}
		c := r.change(q)
		err := r.step(c, q, Event{What: process.Decided, Kind: KindTermination, Code: "agreement-ended", Reason: process.Clip(why)})
		if errors.Is(err, process.ErrIllegal) {
			continue // its completion is on the way
		}
		if err != nil {
			return fmt.Errorf("terminate transfer %s: %w", q.ID, err)
		}
		c.record(c.p, "", map[string]string{}, map[string]string{})
		if err := r.write(tx, c); err != nil {
			return err
		}
		tx.AfterCommit(func() { r.c.Outbox.Wake(q.ID) })
	}
	return nil
}

// move applies one step of our own in one unit and wakes the lane.
func (r *Room) move(ctx context.Context, p participant.ID, id string, kind Kind, step func(Process, *change) error) (Process, error) {
	for {
		q, err := r.Get(ctx, p, id)
		if err != nil {
			return q, err
		}
		c := r.change(q)
		err = step(q, c)
		if errors.Is(err, process.ErrIllegal) {
			return q, fault.NotYourTurn.At(id, "state", q.State.Name(), "message", string(kind))
		}
		if err != nil {
			return q, err
		}
		c.record(c.p, "", map[string]string{}, map[string]string{})
		err = r.commit(ctx, c)
		if errors.Is(err, process.ErrMoved) {
			continue
		}
		if err != nil {
			return q, err
		}
		r.c.Outbox.Wake(id)
		return c.p, nil
	}
}

// Get reads one transfer by our pid; fault.NotFound if there is none.
func (r *Room) Get(ctx context.Context, p participant.ID, id string) (Process, error) {
	return r.book.Get(ctx, p, id)
}

// Await returns the process as soon as done says so, or ctx's error with the
// newest that was seen.
func (r *Room) Await(ctx context.Context, p participant.ID, id string, done func(Process) bool) (Process, error) {
	return r.book.Await(ctx, p, id, done)
}

// Waiting gives what waits for a decision of ours, oldest first, at most limit (1
// to 1000, else 100); more says that there is more.
func (r *Room) Waiting(ctx context.Context, p participant.ID, limit int) (out []Process, more bool, err error) {
	return r.book.Waiting(ctx, p, limit)
}

// Changed lists what is newer than a moment, in the order of the changes: each
// process once, at its newest state; see process.Book.
func (r *Room) Changed(ctx context.Context, p participant.ID, id string, since time.Time, after string) ([]watch.Change, error) {
	return r.book.Changed(ctx, p, id, since, after)
}

// ring runs after a commit.
func (r *Room) ring(c *change) {
	q := c.p
	switch {
	case q.Role != Provider:
	case q.State.Final():
		r.ends.set(key{q.Participant, q.ID}, time.Time{})
	case !c.until.IsZero():
		r.ends.set(key{q.Participant, q.ID}, c.until)
	}
	if c.fresh || q.State.Final() {
		r.quota.Moved(q.Participant, q.Counterparty, c.fresh, q.State.Final() && !c.over)
	}
	r.book.Ring(q)
}
