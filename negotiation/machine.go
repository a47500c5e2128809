package negotiation

import (
	"errors"
	"slices"
	"strings"
)

// Role is which side of a negotiation this participant is on.
type Role string

const (
	Provider Role = "provider"
	Consumer Role = "consumer"
)

// Other is the counterpart's role.
func (r Role) Other() Role {
	if r == Provider {
		return Consumer
	}
	return Provider
}

// State is a state of DSP 2025-1, contract negotiation protocol, "States".
type State string

const (
	None       State = "" // before the first message was acknowledged
	Requested  State = "REQUESTED"
	Offered    State = "OFFERED"
	Accepted   State = "ACCEPTED"
	Agreed     State = "AGREED"
	Verified   State = "VERIFIED"
	Finalized  State = "FINALIZED"
	Terminated State = "TERMINATED"
)

// States lists every state, in the order in which a negotiation passes them.
var States = []State{None, Requested, Offered, Accepted, Agreed, Verified, Finalized, Terminated}

// Final says that nothing can follow.
func (s State) Final() bool { return s == Finalized || s == Terminated }

// Kind is a message of the protocol. The two events are two kinds, because
// different sides send them and they lead to different states.
type Kind string

const (
	KindRequest      Kind = "ContractRequestMessage" // the first one and counter-offers
	KindOffer        Kind = "ContractOfferMessage"
	KindAccepted     Kind = "ContractNegotiationEventMessage ACCEPTED"
	KindAgreement    Kind = "ContractAgreementMessage"
	KindVerification Kind = "ContractAgreementVerificationMessage"
	KindFinalized    Kind = "ContractNegotiationEventMessage FINALIZED"
	KindTermination  Kind = "ContractNegotiationTerminationMessage"
)

// Kinds lists every message.
var Kinds = []Kind{KindRequest, KindOffer, KindAccepted, KindAgreement, KindVerification, KindFinalized, KindTermination}

// Type is the message's @type on the wire.
func (k Kind) Type() string { t, _, _ := strings.Cut(string(k), " "); return t }

// Direction is seen from us.
type Direction string

const (
	In  Direction = "in"
	Out Direction = "out"
)

// rule is one row of DSP 2025-1, contract negotiation, section "States":
// which side may send what, when, and what it leads to.
type rule struct {
	from   State
	kind   Kind
	sender Role // "" is either side
	to     State
}

// rules is the protocol as data. A termination is taken from either side in
// each state that is not final: the text says so where the diagram does not.
var rules = []rule{
	{None, KindRequest, Consumer, Requested},
	{None, KindOffer, Provider, Offered},
	{Requested, KindOffer, Provider, Offered},
	{Requested, KindAgreement, Provider, Agreed},
	{Requested, KindTermination, "", Terminated},
	{Offered, KindRequest, Consumer, Requested},
	{Offered, KindAccepted, Consumer, Accepted},
	{Offered, KindTermination, "", Terminated},
	{Accepted, KindAgreement, Provider, Agreed},
	{Accepted, KindTermination, "", Terminated},
	{Agreed, KindVerification, Consumer, Verified},
	{Agreed, KindTermination, "", Terminated},
	{Verified, KindFinalized, Provider, Finalized},
	{Verified, KindTermination, "", Terminated},
}

// Transition is one legal step of one side.
type Transition struct {
	Role Role
	From State
	Kind Kind
	Dir  Direction
	To   State
}

type edge struct {
	role Role
	from State
	kind Kind
	dir  Direction
}

var edges, transitions = expand()

func expand() (map[edge]State, []Transition) {
	m := make(map[edge]State)
	var all []Transition
	for _, role := range []Role{Provider, Consumer} {
		for _, r := range rules {
			for _, dir := range []Direction{In, Out} {
				if r.sender != "" && (r.sender == role) != (dir == Out) {
					continue
				}
				m[edge{role, r.from, r.kind, dir}] = r.to
				all = append(all, Transition{role, r.from, r.kind, dir, r.to})
			}
		}
	}
	return m, all
}

// Table lists every legal transition of both sides; what is not in it is
// refused and changes nothing. Tests and documents are made from it.
func Table() []Transition { return slices.Clone(transitions) }

func next(role Role, from State, kind Kind, dir Direction) (State, bool) {
	to, ok := edges[edge{role, from, kind, dir}]
	return to, ok
}

// hears says whether kind can ever be sent to a process of this role; a message
// for the other side of the table is for a process that does not exist.
func hears(role Role, kind Kind) bool {
	for _, r := range rules {
		if r.kind == kind && r.sender != role {
			return true
		}
	}
	return false
}

// What is the sort of an Event.
type What string

const (
	Received     What = "received"     // a message came in and its content is acceptable
	Decided      What = "decided"      // we are to send a message
	Acknowledged What = "acknowledged" // the counterpart took the message that was in flight
	Failed       What = "failed"       // it never will
)

// Event is what happens to a process.
type Event struct {
	What What
	Kind Kind

	ID      string // Received: the message's @id, "" when it had none
	Digest  string // Received: "sha256:..." of its bytes
	Job     string // Acknowledged, Failed: the job that sent it
	PeerPid string // Received, Acknowledged: the counterpart's pid, where it told it
	Code    string // Received, Decided, Failed: of a termination
	Reason  string // the same
}

// Do is what a step asks of the room, in the same unit of work.
type Do string

const (
	Send     Do = "send"     // build Kind, name it in Pending, put the job that sends it
	Drop     Do = "drop"     // remove the job Job: its message counts as acknowledged, or is moot
	Conclude Do = "conclude" // both sides are bound: keep the agreement
	Annul    Do = "annul"    // the negotiation ended after Conclude: end the agreement
	Repeat   Do = "repeat"   // nothing happened: this message was applied before
	Reached  Do = "reached"  // a message of ours, Kind, counts as acknowledged by this event
)

// Effect is one thing to do. Job names the job of Drop and Reached. After Send
// the process has a Pending without job, id and digest: the room names it.
type Effect struct {
	Do   Do
	Kind Kind
	Job  string
}

var (
	// ErrIllegal is returned by Step for what the state does not allow.
	ErrIllegal = errors.New("not allowed in this state")
	// ErrOtherPid is returned for a message of a process of the counterpart that
	// is not the one bound to this process (decisions A4).
	ErrOtherPid = errors.New("the process is bound to another pid of the counterpart")
	// ErrStale is returned for the outcome of a message that is no longer in flight.
	ErrStale = errors.New("the message is not in flight any more")
)

// Step is the machine: a pure function of the process and the event. It has no
// clock and does no I/O. On an error the process that it returns is p unchanged.
//
// While a message of ours is in flight the state is the one before it, except
// for a termination, which holds at once. What comes in meanwhile is judged
// against the state now and, when it is illegal there, against the state after
// ours: the counterpart's next message may overtake the answer to ours.
func Step(p Process, e Event) (Process, []Effect, error) {
	switch e.What {
	case Received:
		return receive(p, e)
	case Decided:
		return decide(p, e)
	case Acknowledged:
		return acknowledge(p, e)
	case Failed:
		return fail(p, e)
	}
	return p, nil, ErrIllegal
}

func receive(p Process, e Event) (Process, []Effect, error) {
	if p.PeerPid != "" && e.PeerPid != "" && p.PeerPid != e.PeerPid {
		return p, nil, ErrOtherPid
	}
	if p.repeats(e) {
		return p, []Effect{{Do: Repeat, Kind: e.Kind}}, nil
	}
	q, fx := p, []Effect(nil)
	to, ok := next(p.Role, p.State, e.Kind, In)
	switch {
	case p.State == Terminated && p.Pending != nil && e.Kind == KindTermination:
		// Both sides ended it at the same moment: theirs answers ours.
		to, fx = Terminated, []Effect{{Do: Drop, Kind: p.Pending.Kind, Job: p.Pending.Job}}
		q.Pending = nil
	case p.State == Terminated:
		return p, nil, ErrIllegal
	case ok && e.Kind == KindTermination && p.Pending != nil:
		fx = []Effect{{Do: Drop, Kind: p.Pending.Kind, Job: p.Pending.Job}}
		q.Pending = nil
	case ok && p.Pending == nil:
	case p.Pending != nil:
		// Only after what we have in flight: so that has arrived.
		mid, _ := next(p.Role, p.State, p.Pending.Kind, Out)
		if to, ok = next(p.Role, mid, e.Kind, In); !ok {
			return p, nil, ErrIllegal
		}
		q = q.at(mid)
		q.Pending = nil
		fx = []Effect{
			{Do: Reached, Kind: p.Pending.Kind, Job: p.Pending.Job},
			{Do: Drop, Kind: p.Pending.Kind, Job: p.Pending.Job},
		}
	default:
		return p, nil, ErrIllegal
	}
	if q.PeerPid == "" {
		q.PeerPid = e.PeerPid
	}
	before := q.State
	q = q.at(to).saw(e, to)
	if e.Kind == KindTermination {
		q.Code, q.Reason = e.Code, e.Reason
		if q.TerminatedBy == "" {
			q.TerminatedBy = p.Role.Other()
		}
	}
	return q, append(fx, binding(p.Role, before, to)...), nil
}

func decide(p Process, e Event) (Process, []Effect, error) {
	to, ok := next(p.Role, p.State, e.Kind, Out)
	if e.Kind == KindTermination {
		return terminate(p, e, ok)
	}
	if !ok || p.Pending != nil {
		return p, nil, ErrIllegal
	}
	q := p
	q.Version++
	q.Pending = &Pending{Kind: e.Kind, To: to}
	return q, []Effect{{Do: Send, Kind: e.Kind}}, nil
}

// terminate holds at once. A first message that is still in flight is left
// there: only its answer tells the pid to which the termination can go.
func terminate(p Process, e Event, ok bool) (Process, []Effect, error) {
	first := p.State == None && p.Pending != nil
	if !ok && !first || p.Pending != nil && p.Pending.To.Final() {
		return p, nil, ErrIllegal
	}
	q, fx := p.at(Terminated), binding(p.Role, p.State, Terminated)
	q.Code, q.Reason, q.TerminatedBy = e.Code, e.Reason, p.Role
	if first && p.PeerPid == "" {
		return q, fx, nil
	}
	if p.Pending != nil {
		fx = append(fx, Effect{Do: Drop, Kind: p.Pending.Kind, Job: p.Pending.Job})
	}
	q.Pending = nil
	if p.PeerPid == "" {
		return q, fx, nil // nobody heard of it
	}
	q.Pending = &Pending{Kind: KindTermination, To: Terminated}
	return q, append(fx, Effect{Do: Send, Kind: KindTermination}), nil
}

func acknowledge(p Process, e Event) (Process, []Effect, error) {
	if p.Pending == nil || p.Pending.Job != e.Job {
		return p, nil, ErrStale
	}
	q := p
	if q.PeerPid == "" {
		q.PeerPid = e.PeerPid
	}
	sent := *p.Pending
	q.Pending = nil
	if p.State == Terminated {
		q.Version++
		if sent.Kind == KindTermination || q.PeerPid == "" {
			return q, nil, nil
		}
		// Ended by us while the first message was under way.
		q.Pending = &Pending{Kind: KindTermination, To: Terminated}
		return q, []Effect{{Do: Send, Kind: KindTermination}}, nil
	}
	return q.at(sent.To), nil, nil
}

func fail(p Process, e Event) (Process, []Effect, error) {
	if p.Pending == nil || p.Pending.Job != e.Job {
		return p, nil, ErrStale
	}
	q := p
	q.Pending = nil
	if p.State == Terminated {
		q.Version++ // it was the termination, or a first message that nobody heard
		return q, nil, nil
	}
	q = q.at(Terminated)
	q.Code, q.Reason, q.TerminatedBy = e.Code, e.Reason, p.Role
	fx := binding(p.Role, p.State, Terminated)
	if q.PeerPid != "" {
		q.Pending = &Pending{Kind: KindTermination, To: Terminated}
		fx = append(fx, Effect{Do: Send, Kind: KindTermination})
	}
	return q, fx, nil
}

// binding says when the agreement is kept and when it is given up. The provider
// is bound once it holds the verification, the consumer once it holds the
// FINALIZED event: so the transfer request that follows at once finds the
// agreement on the provider's side, even before our event's answer was read.
func binding(role Role, from, to State) []Effect {
	switch {
	case role == Provider && to == Verified, role == Consumer && to == Finalized:
		return []Effect{{Do: Conclude}}
	case role == Provider && from == Verified && to == Terminated:
		return []Effect{{Do: Annul}}
	}
	return nil
}
