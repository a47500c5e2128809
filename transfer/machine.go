package transfer

import (
	"errors"
	"slices"
)

// Role is which side of a transfer this participant is on.
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

// State is a state of DSP 2025-1, transfer process protocol, "States".
type State string

const (
	None       State = "" // before the request was acknowledged
	Requested  State = "REQUESTED"
	Started    State = "STARTED"
	Suspended  State = "SUSPENDED"
	Completed  State = "COMPLETED"
	Terminated State = "TERMINATED"
)

// States lists every state.
var States = []State{None, Requested, Started, Suspended, Completed, Terminated}

// Final says that nothing can follow.
func (s State) Final() bool { return s == Completed || s == Terminated }

// Kind is a message of the protocol, by its @type.
type Kind string

const (
	KindRequest     Kind = "TransferRequestMessage"
	KindStart       Kind = "TransferStartMessage"
	KindSuspension  Kind = "TransferSuspensionMessage"
	KindCompletion  Kind = "TransferCompletionMessage"
	KindTermination Kind = "TransferTerminationMessage"
)

// Kinds lists every message. A later one wins over an earlier one when both
// sides act at the same moment and only one can hold.
var Kinds = []Kind{KindRequest, KindStart, KindSuspension, KindCompletion, KindTermination}

// Direction is seen from us.
type Direction string

const (
	In  Direction = "in"
	Out Direction = "out"
)

// rule is one row of DSP 2025-1, transfer process, section "States".
type rule struct {
	from   State
	kind   Kind
	sender Role // "" is either side
	to     State
}

// rules is the protocol as data. A start in STARTED is the provider's new
// address or token: it follows a consumer's resume and each refresh.
var rules = []rule{
	{None, KindRequest, Consumer, Requested},
	{Requested, KindStart, Provider, Started},
	{Requested, KindTermination, "", Terminated},
	{Started, KindStart, Provider, Started},
	{Started, KindSuspension, "", Suspended},
	{Started, KindCompletion, "", Completed},
	{Started, KindTermination, "", Terminated},
	{Suspended, KindStart, "", Started},
	{Suspended, KindTermination, "", Terminated},
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
	Code    string // of a suspension or termination
	Reason  string // the same
}

// Do is what a step asks of the room, in the same unit of work.
type Do string

const (
	Send    Do = "send"    // build Kind, name it in Pending, put the job that sends it
	Drop    Do = "drop"    // remove the job Job: its message counts as acknowledged, or is moot
	Repeat  Do = "repeat"  // nothing happened: this message was applied before
	Reached Do = "reached" // a message of ours, Kind, counts as acknowledged by this event
	Pause   Do = "pause"   // provider: close the tap; it may be opened again
	Close   Do = "close"   // provider: close the tap for good
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
// for a termination, which holds at once; what a provider closes is closed at
// once as well. What comes in meanwhile is judged against the state now and
// against the state after ours, since the counterpart's next message may
// overtake the answer.
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
		to, fx = Terminated, drop(p)
		q.Pending = nil
	case p.Pending == nil && !ok, p.State.Final():
		return p, nil, ErrIllegal
	case p.Pending != nil:
		if q, to, fx, ok = cross(p, e.Kind); !ok {
			return p, nil, ErrIllegal
		}
	}
	if q.PeerPid == "" {
		q.PeerPid = e.PeerPid
	}
	q = q.at(to).saw(e, to)
	if e.Kind == KindTermination || e.Kind == KindSuspension {
		q.Code, q.Reason = e.Code, e.Reason
		if q.TerminatedBy == "" && to == Terminated {
			q.TerminatedBy = p.Role.Other()
		}
	}
	return q, append(fx, tap(p.Role, to, "")...), nil
}

// cross judges a message that comes while ours is in flight: what holds of the
// two, and where that leads.
func cross(p Process, kind Kind) (q Process, to State, fx []Effect, ok bool) {
	q = p
	ours := p.Pending.Kind
	mid, _ := next(p.Role, p.State, ours, Out)
	now, okNow := next(p.Role, p.State, kind, In)
	after, okAfter := next(p.Role, mid, kind, In)
	switch {
	case okAfter && !okNow:
		// Only after ours: so ours has arrived.
		q = q.at(mid)
		fx = append([]Effect{{Do: Reached, Kind: ours, Job: p.Pending.Job}}, drop(p)...)
		q.Pending = nil
		return q, after, fx, true
	case okAfter: // either way it leads to the same, and ours is moot
		q.Pending = nil
		return q, now, drop(p), true
	case okNow:
		if then, still := next(p.Role, now, ours, Out); still { // ours can follow theirs
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

func drop(p Process) []Effect {
	return []Effect{{Do: Drop, Kind: p.Pending.Kind, Job: p.Pending.Job}}
}

// tap is what the provider's data plane does when a state is reached or, with
// ours, as soon as we decide to send it.
func tap(role Role, to State, ours Kind) []Effect {
	switch {
	case role != Provider:
	case to.Final() || ours == KindCompletion:
		return []Effect{{Do: Close}}
	case to == Suspended || ours == KindSuspension:
		return []Effect{{Do: Pause}}
	}
	return nil
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
	if e.Kind == KindSuspension {
		q.Code, q.Reason = e.Code, e.Reason
	}
	return q, append(tap(p.Role, p.State, e.Kind), Effect{Do: Send, Kind: e.Kind}), nil
}

// terminate holds at once. A request that is still in flight is left there:
// only its answer tells the pid to which the termination can go. What already
// ends the process (a completion in flight) cannot be taken back: the
// counterpart may have it.
func terminate(p Process, e Event, ok bool) (Process, []Effect, error) {
	first := p.State == None && p.Pending != nil
	if !ok && !first || p.Pending != nil && p.Pending.To.Final() {
		return p, nil, ErrIllegal
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
		// Ended by us while the request was under way.
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
		q.Version++ // it was the termination, or a request that nobody heard
		return q, nil, nil
	}
	q = q.at(Terminated)
	q.Code, q.Reason, q.TerminatedBy = e.Code, e.Reason, p.Role
	fx := tap(p.Role, Terminated, "")
	if q.PeerPid != "" {
		q.Pending = &Pending{Kind: KindTermination, To: Terminated}
		fx = append(fx, Effect{Do: Send, Kind: KindTermination})
	}
	return q, fx, nil
}
