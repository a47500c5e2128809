// Package negotiation is the contract negotiation of DSP 2025-1 for both roles:
// a pure table of states, one unit of work for each step, and jobs that carry
// our messages out.
//
// It brings agreements about and hands them to package agreement; nothing after
// that is its business. It speaks no HTTP (dsphttp does) and judges no policy.
package negotiation

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"kakehashi/agreement"
	"kakehashi/catalog"
	"kakehashi/identity"
	"kakehashi/internal/watch"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/process"
	"kakehashi/store"
)

// Config is what a Room needs. All members are required but Decider, Asker,
// Patience, MaxOpen and Remind.
type Config struct {
	DB           store.DB
	Participants process.Participants
	Identity     process.Identity
	Offers       Offers
	Judge        Judge
	Agreements   Agreements
	Evidence     process.Evidence
	Outbox       process.Outbox
	Wire         process.Wire
	Watch        process.Watch
	Decider      Decider          // nil: ByTerms
	Asker        process.Asker    // nil: nobody is told that a process waits
	Patience     process.Patience // nil: nothing is learned
	MaxOpen      int              // open processes of one counterpart; 0: no limit
	Remind       time.Duration    // how long after a repeated message we look whether ours was lost; 0: process.RemindAfter
	Now          func() time.Time
	Log          *slog.Logger
}

// Offers finds what the catalogue offers. An unknown or withdrawn offer is a fault.
type Offers interface {
	Offer(ctx context.Context, p participant.ID, id string) (catalog.Dataset, catalog.Offer, error)
}

// Judge says whether terms may be agreed to with that counterparty now; a
// refusal is a fault that explains. It is asked by the provider only.
type Judge interface {
	// Agree has the counterpart show what the terms ask for; record is what the
	// decision rests on, nil when that is the terms and the clock.
	Agree(ctx context.Context, p participant.ID, counterparty string, policy []byte, now time.Time) (record []byte, err error)
	// Offerable asks nobody.
	Offerable(counterparty string, policy []byte, now time.Time) error
}

// Agreements keeps what was agreed, in the caller's unit.
type Agreements interface {
	Conclude(store.Tx, participant.ID, agreement.Agreement) error
	End(tx store.Tx, p participant.ID, id, why string) error
}

// Decider decides what we do where the protocol leaves it to us: p.Turn() says
// so. It returns an Event that is Decided at once, or process.ErrAsk: then the
// process waits for Room.Decide, and the Asker is told.
type Decider interface {
	Decide(ctx context.Context, p Process) (Event, error)
}

// ByTerms is the default rule: terms that are ours are agreed to, offers that
// are what we asked for accepted, agreements verified, all at once. What differs
// waits, and so does what the process says to ask about.
type ByTerms struct{}

// Decide implements Decider.
func (ByTerms) Decide(_ context.Context, p Process) (Event, error) {
	onTerms := p.State == Requested || p.State == Offered
	switch {
	case p.Asking == process.EachStep, onTerms && (p.Asking == process.Ask || !p.Same):
		return Event{}, process.ErrAsk
	}
	kind, err := p.approval()
	return Event{What: process.Decided, Kind: kind}, err
}

// Room is the negotiations of all participants of a node.
type Room struct {
	c       Config
	db      store.DB
	decider Decider
	book    *process.Book[Process]
	sender  *process.Sender
	quota   *process.Quota

	reminders process.Reminders
}

// Open makes the room and names its handler to the outbox, which must not run
// yet; the tables exist by Schema.
func Open(c Config) (*Room, error) {
	if c.DB == nil || c.Participants == nil || c.Identity == nil || c.Offers == nil || c.Judge == nil || c.Agreements == nil ||
		c.Evidence == nil || c.Outbox == nil || c.Wire == nil || c.Watch == nil || c.Now == nil || c.Log == nil {
		return nil, errors.New("open negotiation: a member of the config is missing")
	}
	r := &Room{
		c: c, db: c.DB, decider: c.Decider,
		book:   process.NewBook("negotiation", c.DB, c.Watch, decode),
		sender: process.NewSender(c.Wire, c.Evidence, c.Patience, c.Now),
	}
	if r.decider == nil {
		r.decider = ByTerms{}
	}
	if r.c.Remind <= 0 {
		r.c.Remind = process.RemindAfter
	}
	r.quota = process.NewQuota(c.MaxOpen, r.book.CountOpen, c.Watch.Shared)
	c.Outbox.Handle(JobSend, r.send, outbox.OnFail(r.failed), outbox.About(process.About))
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

// Get reads one negotiation by our pid; fault.NotFound if there is none.
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
	if c.fresh || q.State.Final() {
		r.quota.Moved(q.Participant, q.Counterparty, c.fresh, q.State.Final() && !c.over)
	}
	r.book.Ring(q)
}
