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
	"fmt"
	"log/slog"
	"time"

	"kakehashi/agreement"
	"kakehashi/catalog"
	"kakehashi/evidence"
	"kakehashi/identity"
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
	Offers       Offers
	Judge        Judge
	Agreements   Agreements
	Evidence     Evidence
	Outbox       Outbox
	Wire         Wire
	Watch        Watch
	Decider      Decider          // nil: ByTerms
	Asker        process.Asker    // nil: nobody is told that a process waits
	Patience     process.Patience // nil: nothing is learned
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

// Offers finds what the catalogue offers. An unknown or withdrawn offer is a fault.
type Offers interface {
	Offer(ctx context.Context, p participant.ID, id string) (catalog.Dataset, catalog.Offer, error)
}

// Judge says whether terms may be agreed to with that counterparty now; a
// refusal is a fault that explains. It is asked by the provider only.
type Judge interface {
	Agree(ctx context.Context, p participant.ID, counterparty string, policy []byte, now time.Time) error
}

// Agreements keeps what was agreed, in the caller's unit.
type Agreements interface {
	Conclude(store.Tx, participant.ID, agreement.Agreement) error
	End(tx store.Tx, p participant.ID, id, why string) error
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

// Decider decides what we do where the protocol leaves it to us: p.Turn() says
// so. It returns Event{What: process.Decided} at once, or process.ErrAsk: then the process waits
// for Room.Decide, and the Asker is told.
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
	known   *recent.Of[key, Process] // as last written or read; save checks the version
	bodies  *recent.Of[string, []byte]
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
	if c.DB == nil || c.Participants == nil || c.Identity == nil || c.Offers == nil || c.Judge == nil || c.Agreements == nil ||
		c.Evidence == nil || c.Outbox == nil || c.Wire == nil || c.Watch == nil || c.Now == nil || c.Log == nil {
		return nil, errors.New("open negotiation: a member of the config is missing")
	}
	r := &Room{
		c: c, db: c.DB, decider: c.Decider,
		known:  recent.New[key, Process](maxKnown),
		bodies: recent.New[string, []byte](maxBodies),
	}
	if r.decider == nil {
		r.decider = ByTerms{}
	}
	r.quota = process.NewQuota(c.MaxOpen, r.countOpen)
	c.Outbox.Handle(JobSend, r.send, outbox.OnFail(r.failed))
	return r, nil
}

// Get reads one negotiation by our pid; fault.NotFound if there is none.
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
		return q, fmt.Errorf("read negotiation %s: %w", id, err)
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
const watchKind = "negotiation"

// ring runs after a commit.
func (r *Room) ring(c *change) {
	q := c.p
	r.remember(q)
	if c.fresh || q.State.Final() {
		r.quota.Moved(q.Participant, q.Counterparty, c.fresh, q.State.Final() && !c.over)
	}
	r.c.Watch.Publish(watch.Change{Participant: string(q.Participant), Kind: watchKind, ID: q.ID,
		State: string(q.State), Version: q.Version, At: q.Updated})
}
