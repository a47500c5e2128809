package transfer

import (
	"slices"

	"kakehashi/process"
)

// What transfers share with negotiations, by its short name.
type (
	Role  = process.Role
	State = process.State
	Kind  = process.Kind
	Event = process.Event
)

// Roles and states of DSP 2025-1, transfer process protocol, "States".
const (
	Provider = process.Provider
	Consumer = process.Consumer

	None             = process.None
	Requested        = process.Requested
	Started    State = "STARTED"
	Suspended  State = "SUSPENDED"
	Completed        = process.Completed
	Terminated       = process.Terminated
)

// The messages of the protocol.
const (
	KindRequest     Kind = "TransferRequestMessage"
	KindStart       Kind = "TransferStartMessage"
	KindSuspension  Kind = "TransferSuspensionMessage"
	KindCompletion  Kind = "TransferCompletionMessage"
	KindTermination Kind = "TransferTerminationMessage"
)

// What a step asks of the room beyond what every process does.
const (
	Pause process.Do = "pause" // provider: close the tap; it may be opened again
	Close process.Do = "close" // provider: close the tap for good
)

// Kinds lists every message. A later one wins over an earlier one when both
// sides act at the same moment and only one can hold.
var Kinds = []Kind{KindRequest, KindStart, KindSuspension, KindCompletion, KindTermination}

// Table is the protocol as data. A start in STARTED is the provider's new
// address or token: it follows a consumer's resume and each refresh.
var Table = process.NewTable([]State{None, Requested, Started, Suspended, Completed, Terminated},
	process.Row(None, KindRequest, Consumer, Requested),
	process.Row(Requested, KindStart, Provider, Started),
	process.Row(Requested, KindTermination, "", Terminated),
	process.Row(Started, KindStart, Provider, Started),
	process.Row(Started, KindSuspension, "", Suspended),
	process.Row(Started, KindCompletion, "", Completed),
	process.Row(Started, KindTermination, "", Terminated),
	process.Row(Suspended, KindStart, "", Started),
	process.Row(Suspended, KindTermination, "", Terminated),
)

// Step is the machine: a pure function of the process and the event. It has no
// clock and does no I/O. On an error the process that it returns is p unchanged.
//
// While a message of ours is in flight the state is the one before it, except
// for a termination, which holds at once; what a provider closes is closed at
// once as well. What comes in meanwhile is judged against the state now and
// against the state after ours, since the counterpart's next message may
// overtake the answer.
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
	if p.repeats(e) {
		return p, []process.Effect{{Do: process.Repeat, Kind: e.Kind}}, nil
	}
	q, fx := p, []process.Effect(nil)
	to, ok := Table.Next(p.Role, p.State, e.Kind, process.In)
	switch {
	case p.State == Terminated && p.Pending != nil && e.Kind == KindTermination:
		// Both sides ended it at the same moment: theirs answers ours.
		to, fx = Terminated, drop(p)
		q.Pending = nil
	case p.Pending == nil && !ok, p.State.Final():
		return p, nil, process.ErrIllegal
	case p.Pending != nil:
		if q, to, fx, ok = cross(p, e.Kind); !ok {
			return p, nil, process.ErrIllegal
		}
	}
	if q.PeerPid == "" {
		q.PeerPid = e.PeerPid
	}
	q = q.at(to).saw(e, to)
	if e.Kind == KindTermination || e.Kind == KindSuspension {
		q.Code, q.Reason = e.Code, e.Reason
		if to == Suspended {
			q.Halted = p.Role.Other()
		}
		if q.TerminatedBy == "" && to == Terminated {
			q.TerminatedBy = p.Role.Other()
		}
	}
	return q, append(fx, tap(p.Role, to, "")...), nil
}

// cross judges a message that comes while ours is in flight: what holds of the
// two, and where that leads.
func cross(p Process, kind Kind) (q Process, to State, fx []process.Effect, ok bool) {
	q = p
	ours := p.Pending.Kind
	mid, _ := Table.Next(p.Role, p.State, ours, process.Out)
	now, okNow := Table.Next(p.Role, p.State, kind, process.In)
	after, okAfter := Table.Next(p.Role, mid, kind, process.In)
	switch {
	case okAfter && !okNow:
		// Only after ours: so ours has arrived.
		q = q.at(mid)
		fx = append([]process.Effect{{Do: process.Reached, Kind: ours, Job: p.Pending.Job}}, drop(p)...)
		q.Pending = nil
		return q, after, fx, true
	case okAfter: // either way it leads to the same, and ours is moot
		q.Pending = nil
		return q, now, drop(p), true
	case okNow:
		if then, still := Table.Next(p.Role, now, ours, process.Out); still { // ours can follow theirs
			pending := *p.Pending
			pending.To = then
			q.Pending = &pending
			return q, now, nil, true
		}
		if slices.Index(Kinds, kind) < slices.Index(Kinds, ours) {
			return p, "", nil, false
		}
		q.Pending = nil
		return q, now, drop(p), true
	}
	return p, "", nil, false
}

func drop(p Process) []process.Effect {
	return []process.Effect{p.DropPending()}
}

// tap is what the provider's data plane does when a state is reached or, with
// ours, as soon as we decide to send it.
func tap(role Role, to State, ours Kind) []process.Effect {
	switch {
	case role != Provider:
	case to.Final() || ours == KindCompletion:
		return []process.Effect{{Do: Close}}
	case to == Suspended || ours == KindSuspension:
		return []process.Effect{{Do: Pause}}
	}
	return nil
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
	if e.Kind == KindSuspension {
		q.Code, q.Reason, q.Halted = e.Code, e.Reason, p.Role
	}
	return q, append(tap(p.Role, p.State, e.Kind), process.Effect{Do: process.Send, Kind: e.Kind}), nil
}

// terminate holds at once. A request that is still in flight is left there:
// only its answer tells the pid to which the termination can go. What already
// ends the process (a completion in flight) cannot be taken back: the
// counterpart may have it.
func terminate(p Process, e Event, ok bool) (Process, []process.Effect, error) {
	first := p.State == None && p.Pending != nil
	if !ok && !first || p.Pending != nil && p.Pending.To.Final() {
		return p, nil, process.ErrIllegal
	}
	q, fx := p.at(Terminated), tap(p.Role, Terminated, "")
	q.Code, q.Reason, q.TerminatedBy = e.Code, e.Reason, p.Role
	if first && p.PeerPid == "" {
		return q, fx, nil
	}
	if p.Pending != nil {
		fx = append(fx, drop(p)...)
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
		// Ended by us while the request was under way.
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
		q.Version++ // it was the termination, or a request that nobody heard
		return q, nil, nil
	}
	if p.State == Suspended && p.Pending.Kind == KindStart {
		q.Version++ // it may not resume now, and stays what it is
		q.Code, q.Reason = e.Code, e.Reason
		return q, nil, nil
	}
	q = q.at(Terminated)
	q.Code, q.Reason, q.TerminatedBy = e.Code, e.Reason, p.Role
	fx := tap(p.Role, Terminated, "")
	if q.PeerPid != "" {
		q.Pending = &process.Pending{Kind: KindTermination, To: Terminated}
		fx = append(fx, process.Effect{Do: process.Send, Kind: KindTermination})
	}
	return q, fx, nil
}
