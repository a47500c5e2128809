package negotiation

import "kakehashi/process"

// What negotiations share with transfers, by its short name.
type (
	Role  = process.Role
	State = process.State
	Kind  = process.Kind
	Event = process.Event
)

// Roles and states of DSP 2025-1, contract negotiation protocol, "States".
const (
	Provider = process.Provider
	Consumer = process.Consumer

	None             = process.None
	Requested        = process.Requested
	Offered    State = "OFFERED"
	Accepted   State = "ACCEPTED"
	Agreed     State = "AGREED"
	Verified   State = "VERIFIED"
	Finalized        = process.Finalized
	Terminated       = process.Terminated
)

// The messages of the protocol. The two events are two kinds, because different
// sides send them and they lead to different states.
const (
	KindRequest      Kind = "ContractRequestMessage" // the first one and counter-offers
	KindOffer        Kind = "ContractOfferMessage"
	KindAccepted     Kind = "ContractNegotiationEventMessage ACCEPTED"
	KindAgreement    Kind = "ContractAgreementMessage"
	KindVerification Kind = "ContractAgreementVerificationMessage"
	KindFinalized    Kind = "ContractNegotiationEventMessage FINALIZED"
	KindTermination  Kind = "ContractNegotiationTerminationMessage"
)

// What a step asks of the room beyond what every process does.
const (
	Conclude process.Do = "conclude" // both sides are bound: keep the agreement
	Annul    process.Do = "annul"    // the negotiation ended after Conclude: end the agreement
)

// Kinds lists every message.
var Kinds = []Kind{KindRequest, KindOffer, KindAccepted, KindAgreement, KindVerification, KindFinalized, KindTermination}

// Table is the protocol as data. A termination is taken from either side in
// each state that is not final: the text says so where the diagram does not.
var Table = process.NewTable([]State{None, Requested, Offered, Accepted, Agreed, Verified, Finalized, Terminated},
	process.Row(None, KindRequest, Consumer, Requested),
	process.Row(None, KindOffer, Provider, Offered),
	process.Row(Requested, KindOffer, Provider, Offered),
	process.Row(Requested, KindAgreement, Provider, Agreed),
	process.Row(Requested, KindTermination, "", Terminated),
	process.Row(Offered, KindRequest, Consumer, Requested),
	process.Row(Offered, KindAccepted, Consumer, Accepted),
	process.Row(Offered, KindTermination, "", Terminated),
	process.Row(Accepted, KindAgreement, Provider, Agreed),
	process.Row(Accepted, KindTermination, "", Terminated),
	process.Row(Agreed, KindVerification, Consumer, Verified),
	process.Row(Agreed, KindTermination, "", Terminated),
	process.Row(Verified, KindFinalized, Provider, Finalized),
	process.Row(Verified, KindTermination, "", Terminated),
)

// Step is the machine: a pure function of the process and the event. It has no
// clock and does no I/O. On an error the process that it returns is p unchanged.
//
// While a message of ours is in flight the state is the one before it, except
// for a termination, which holds at once. What comes in meanwhile is judged
// against the state now and, when it is illegal there, against the state after
// ours: the counterpart's next message may overtake the answer to ours.
func Step(p Process, e Event) (Process, []process.Effect, error) {
	switch e.What {
	case process.Received:
		return receive(p, e)
	case process.Decided:
		return decide(p, e)
	case process.Acknowledged:
		return acknowledge(p, e)
	case process.Failed:
		return fail(p, e)
	}
	return p, nil, process.ErrIllegal
}

func receive(p Process, e Event) (Process, []process.Effect, error) {
	if p.PeerPid != "" && e.PeerPid != "" && p.PeerPid != e.PeerPid {
		return p, nil, process.ErrOtherPid
	}
	anew := p.anew(e)
	if !anew && p.repeats(e) {
		return p, []process.Effect{{Do: process.Repeat, Kind: e.Kind}}, nil
	}
	q, fx := p, []process.Effect(nil)
	to, ok := Table.Next(p.Role, p.State, e.Kind, process.In)
	switch {
	case anew:
		if to = Agreed; p.Pending != nil {
			fx = []process.Effect{p.DropPending()}
			q.Pending = nil
		}
	case p.State == Terminated && p.Pending != nil && e.Kind == KindTermination:
		// Both sides ended it at the same moment: theirs answers ours.
		to, fx = Terminated, []process.Effect{p.DropPending()}
		q.Pending = nil
	case p.State == Terminated:
		return p, nil, process.ErrIllegal
	case ok && e.Kind == KindTermination && p.Pending != nil:
		fx = []process.Effect{p.DropPending()}
		q.Pending = nil
	case ok && p.Pending == nil:
	case p.Pending != nil:
		// Only after what we have in flight: so that has arrived.
		mid, _ := Table.Next(p.Role, p.State, p.Pending.Kind, process.Out)
		if to, ok = Table.Next(p.Role, mid, e.Kind, process.In); !ok {
			return p, nil, process.ErrIllegal
		}
		q = q.at(mid)
		q.Pending = nil
		fx = []process.Effect{
			{Do: process.Reached, Kind: p.Pending.Kind, Job: p.Pending.Job},
			p.DropPending(),
		}
	default:
		return p, nil, process.ErrIllegal
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

// anew says that the provider writes the agreement again before it is final: the
// newest stands, and is verified again. EDC does so when our verification came
// before it had stored its own step, at times under the @id of its first message;
// it keeps the newest, and ends the negotiation when that is refused.
func (p Process) anew(e Event) bool {
	if e.Kind != KindAgreement || p.Role != Consumer || p.State != Agreed && p.State != Verified {
		return false
	}
	seen := 0
	for _, s := range p.Seen {
		if s.Kind == e.Kind {
			if seen++; s.Digest == e.Digest {
				return false
			}
		}
	}
	return seen > 0
}

func decide(p Process, e Event) (Process, []process.Effect, error) {
	to, ok := Table.Next(p.Role, p.State, e.Kind, process.Out)
	if e.Kind == KindTermination {
		return terminate(p, e, ok)
	}
	if !ok || p.Pending != nil {
		return p, nil, process.ErrIllegal
	}
	q := p
	q.Version++
	q.Pending = &process.Pending{Kind: e.Kind, To: to}
	return q, []process.Effect{{Do: process.Send, Kind: e.Kind}}, nil
}

// terminate holds at once. A first message that is still in flight is left
// there: only its answer tells the pid to which the termination can go.
func terminate(p Process, e Event, ok bool) (Process, []process.Effect, error) {
	first := p.State == None && p.Pending != nil
	if !ok && !first || p.Pending != nil && p.Pending.To.Final() {
		return p, nil, process.ErrIllegal
	}
	q, fx := p.at(Terminated), binding(p.Role, p.State, Terminated)
	q.Code, q.Reason, q.TerminatedBy = e.Code, e.Reason, p.Role
	if first && p.PeerPid == "" {
		return q, fx, nil
	}
	if p.Pending != nil {
		fx = append(fx, p.DropPending())
	}
	q.Pending = nil
	if p.PeerPid == "" {
		return q, fx, nil // nobody heard of it
	}
	q.Pending = &process.Pending{Kind: KindTermination, To: Terminated}
	return q, append(fx, process.Effect{Do: process.Send, Kind: KindTermination}), nil
}

func acknowledge(p Process, e Event) (Process, []process.Effect, error) {
	if p.Pending == nil || p.Pending.Job != e.Job {
		return p, nil, process.ErrStale
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
		q.Pending = &process.Pending{Kind: KindTermination, To: Terminated}
		return q, []process.Effect{{Do: process.Send, Kind: KindTermination}}, nil
	}
	return q.at(sent.To), nil, nil
}

func fail(p Process, e Event) (Process, []process.Effect, error) {
	if p.Pending == nil || p.Pending.Job != e.Job {
		return p, nil, process.ErrStale
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
		q.Pending = &process.Pending{Kind: KindTermination, To: Terminated}
		fx = append(fx, process.Effect{Do: process.Send, Kind: KindTermination})
	}
	return q, fx, nil
}

// binding says when the agreement is kept and when it is given up. The provider
// is bound once it holds the verification, the consumer once it holds the
// FINALIZED event: so the transfer request that follows at once finds the
// agreement on the provider's side, even before our event's answer was read.
func binding(role Role, from, to State) []process.Effect {
	switch {
	case role == Provider && to == Verified, role == Consumer && to == Finalized:
		return []process.Effect{{Do: Conclude}}
	case role == Provider && from == Verified && to == Terminated:
		return []process.Effect{{Do: Annul}}
	}
	return nil
}
