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
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/internal/recent"
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
	Participants Participants
	Identity     Identity
	Agreements   Agreements
	Sources      Sources
	Gate         dataplane.Gate
	Plane        Plane
	Evidence     Evidence
	Outbox       Outbox
	Wire         Wire
	Watch        Watch
	Decider      Decider          // nil: StartAtOnce
	Asker        process.Asker    // nil: nobody is told that a process waits
	Patience     process.Patience // nil: nothing is learned
	Finish       time.Duration    // how long after a pushed body arrived we leave the completion to the provider; 0: a minute
	MaxOpen      int              // open processes of one counterpart; 0: no limit
	Now          func() time.Time
	Log          *slog.Logger
}

// Participants says whom we host.
type Participants interface {
	Get(participant.ID) (participant.Participant, bool)
}

// Identity spends the token of a message in the unit that applies it.
type Identity interface {
	Spend(store.Tx, participant.ID, identity.Caller) error
}

// Agreements finds what a transfer rests on; an unknown one is a fault.
type Agreements interface {
	Get(ctx context.Context, p participant.ID, id string) (agreement.Agreement, error)
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

// Evidence puts leaves and bodies on record.
type Evidence interface {
	Append(tx store.Tx, p participant.ID, leaf evidence.Leaf, bodies ...evidence.Body) error
	Body(ctx context.Context, p participant.ID, digest string) ([]byte, error)
}

// Outbox carries our messages out.
type Outbox interface {
	Put(store.Tx, outbox.Job) error
	Drop(tx store.Tx, p participant.ID, lane, id string) error
	Wake(lane string)
	Handle(kind string, h outbox.Handler, opts ...outbox.Option)
}

// Wire speaks to counterparts. dsphttp.Client is the one over HTTPS.
type Wire interface {
	// Send posts body, a message of type message, authorized afresh as p. err is
	// for an attempt without an answer; any status is no error.
	Send(ctx context.Context, p participant.ID, counterparty, url, message string, body []byte) (status int, reply []byte, err error)
	// State reads the state of the counterpart's process at url.
	State(ctx context.Context, p participant.ID, counterparty, url string) (state string, status int, err error)
}

// Watch tells of each change after its commit; watch.Hub is one.
type Watch interface {
	Publish(watch.Change)
	Subscribe(watch.Filter) *watch.Sub
}

// Decider decides what the provider does with a request that passed all checks:
// Event{What: process.Decided, Kind: KindStart} at once, or process.ErrAsk: then the
// transfer waits for Room.Decide, and the Asker is told.
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
	known   *recent.Of[key, Process] // as last written or read; save checks the version
	bodies  *recent.Of[string, []byte]
	ends    *ends
	quota   *process.Quota
}

type key struct {
	p  participant.ID
	id string
}

// Sizes of the two memories: of processes under way, and of messages between
// their unit and their sending.
const (
	maxKnown  = 4096
	maxBodies = 512
)

// Open makes the room and names its handler to the outbox, which must not run
// yet; the tables exist by Schema.
func Open(c Config) (*Room, error) {
	if c.DB == nil || c.Participants == nil || c.Identity == nil || c.Agreements == nil || c.Sources == nil || c.Gate == nil ||
		c.Plane == nil || c.Evidence == nil || c.Outbox == nil || c.Wire == nil || c.Watch == nil || c.Now == nil || c.Log == nil {
		return nil, errors.New("open transfer: a member of the config is missing")
	}
	r := &Room{
		c: c, db: c.DB, decider: c.Decider,
		known:  recent.New[key, Process](maxKnown),
		bodies: recent.New[string, []byte](maxBodies),
		ends:   newEnds(),
	}
	if r.decider == nil {
		r.decider = StartAtOnce{}
	}
	if r.c.Finish <= 0 {
		r.c.Finish = time.Minute
	}
	r.quota = process.NewQuota(c.MaxOpen, r.countOpen)
	c.Outbox.Handle(JobSend, r.send, outbox.OnFail(r.failed))
	c.Outbox.Handle(JobPush, r.push, outbox.OnFail(r.unpushed))
	c.Outbox.Handle(JobFinish, r.finish)
	return r, nil
}

// Get reads one transfer by our pid; fault.NotFound if there is none.
func (r *Room) Get(ctx context.Context, p participant.ID, id string) (Process, error) {
	var q Process
	err := r.db.View(ctx, func(tx store.Tx) error {
		var err error
		q, err = load(tx, p, id)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return q, gone(id)
	}
	if err != nil {
		return q, fmt.Errorf("read transfer %s: %w", id, err)
	}
	r.remember(q)
	return q, nil
}

// find is Get from memory; fresh says that memory was not used.
func (r *Room) find(ctx context.Context, p participant.ID, id string) (q Process, fresh bool, err error) {
	if q, ok := r.known.Get(key{p, id}); ok {
		return q, false, nil
	}
	q, err = r.Get(ctx, p, id)
	return q, true, err
}

// remember keeps what was read or written, unless it knows better already.
func (r *Room) remember(q Process) {
	r.known.PutNewer(key{q.Participant, q.ID}, q, func(old Process) bool { return q.Version < old.Version })
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
		return process.Reply{}, gone(id)
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
// arrived and goes into the message; else it is the zero Facts.
func (r *Room) Complete(ctx context.Context, p participant.ID, id string, f Facts) (Process, error) {
	return r.move(ctx, p, id, KindCompletion, func(q Process, c *change) error {
		if f != (Facts{}) {
			q.Facts = &f
		}
		return r.step(c, q, Event{What: process.Decided, Kind: KindCompletion})
	})
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
// ends it; their lanes are woken after the commit.
func (r *Room) OnAgreementEnded(tx store.Tx, p participant.ID, agreement, why string) error {
	open, err := loadOpen(tx, p, agreement)
	if err != nil {
		return fmt.Errorf("find the transfers under agreement %s: %w", agreement, err)
	}
	for _, q := range open {
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
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			return q, err
		}
		r.c.Outbox.Wake(id)
		return c.p, nil
	}
}

// Await returns the process as soon as done says so, or ctx's error with the
// newest that was seen.
func (r *Room) Await(ctx context.Context, p participant.ID, id string, done func(Process) bool) (Process, error) {
	sub := r.c.Watch.Subscribe(watch.Filter{Participant: string(p), Kind: watchKind, ID: id})
	defer sub.Close()
	q, _, err := r.find(ctx, p, id)
	for {
		if err != nil || done(q) {
			return q, err
		}
		if _, _, err := sub.Next(ctx); err != nil {
			return q, err
		}
		q, _, err = r.find(ctx, p, id)
	}
}

// watchKind is what our changes are called in package watch.
const watchKind = "transfer"

// ring runs after a commit.
func (r *Room) ring(c *change) {
	q := c.p
	r.remember(q)
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
	r.c.Watch.Publish(watch.Change{Participant: string(q.Participant), Kind: watchKind, ID: q.ID,
		State: string(q.State), Version: q.Version, At: q.Updated})
}

// gone hides what belongs to others behind the same answer as what is unknown.
func gone(id string) error { return fault.NotFound.At(id, "what", "transfer "+id) }
