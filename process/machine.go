package process

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Role is which side of a process this participant is on.
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

// State is a state of DSP 2025-1. The protocols have these in common; a room names
// its own beside them.
type State string

const (
	None       State = "" // before the first message was acknowledged
	Requested  State = "REQUESTED"
	Finalized  State = "FINALIZED" // negotiations
	Completed  State = "COMPLETED" // transfers
	Terminated State = "TERMINATED"
)

// Final says that nothing can follow.
func (s State) Final() bool { return s == Finalized || s == Completed || s == Terminated }

// Name is the state as people read it.
func (s State) Name() string {
	if s == None {
		return "(none)"
	}
	return string(s)
}

// Kind is a message of a protocol: its @type, and after a space what tells two
// messages of one type apart.
type Kind string

// Type is the message's @type on the wire.
func (k Kind) Type() string { t, _, _ := strings.Cut(string(k), " "); return t }

// Direction is seen from us.
type Direction string

const (
	In  Direction = "in"
	Out Direction = "out"
)

// Rule is one row of a protocol's states: who may send what, when, and what it
// leads to.
type Rule struct {
	From   State
	Kind   Kind
	Sender Role // "" is either side
	To     State
}

// Row makes a rule; a sender "" is either side.
func Row(from State, kind Kind, sender Role, to State) Rule { return Rule{from, kind, sender, to} }

// Transition is one legal step of one side.
type Transition struct {
	Role Role
	From State
	Kind Kind
	Dir  Direction
	To   State
}

// Table is a protocol as data. Code, tests and documents use the same rows.
type Table struct {
	states      []State
	rules       []Rule
	edges       map[edge]State
	transitions []Transition
}

type edge struct {
	role Role
	from State
	kind Kind
	dir  Direction
}

// NewTable makes a table; states are in the order in which a process passes them.
func NewTable(states []State, rules ...Rule) *Table {
	t := &Table{states: states, rules: rules, edges: map[edge]State{}}
	for _, role := range []Role{Provider, Consumer} {
		for _, r := range rules {
			for _, dir := range []Direction{In, Out} {
				if r.Sender != "" && (r.Sender == role) != (dir == Out) {
					continue
				}
				t.edges[edge{role, r.From, r.Kind, dir}] = r.To
				t.transitions = append(t.transitions, Transition{role, r.From, r.Kind, dir, r.To})
			}
		}
	}
	return t
}

// Next is where a message leads; ok is false for one that is not in the table:
// it is refused and changes nothing.
func (t *Table) Next(role Role, from State, kind Kind, dir Direction) (to State, ok bool) {
	to, ok = t.edges[edge{role, from, kind, dir}]
	return to, ok
}

// Hears says whether kind can ever be sent to a process of this role; a message
// for the other side of the table is for a process that does not exist.
func (t *Table) Hears(role Role, kind Kind) bool {
	return slices.ContainsFunc(t.rules, func(r Rule) bool { return r.Kind == kind && r.Sender != role })
}

// States lists every state, in the order in which a process passes them.
func (t *Table) States() []State { return slices.Clone(t.states) }

// Transitions lists every legal step of both sides.
func (t *Table) Transitions() []Transition { return slices.Clone(t.transitions) }

// Past says whether a comes after b.
func (t *Table) Past(a, b State) bool { return slices.Index(t.states, a) > slices.Index(t.states, b) }

// Markdown is the table for people.
func (t *Table) Markdown() string {
	var b strings.Builder
	b.WriteString("| From | Message | Sender | To |\n|---|---|---|---|\n")
	for _, r := range t.rules {
		sender := string(r.Sender)
		if sender == "" {
			sender = "either"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.From.Name(), r.Kind, sender, r.To)
	}
	return b.String()
}

// Mermaid is the same table as a state diagram.
func (t *Table) Mermaid() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	for _, r := range t.rules {
		sender := "C/P"
		switch r.Sender {
		case Consumer:
			sender = "C"
		case Provider:
			sender = "P"
		}
		from := string(r.From)
		if r.From == None {
			from = "[*]"
		}
		fmt.Fprintf(&b, "    %s --> %s: %s %s\n", from, r.To, sender, r.Kind)
	}
	for _, s := range t.states {
		if s.Final() {
			fmt.Fprintf(&b, "    %s --> [*]\n", s)
		}
	}
	return b.String()
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
	Code    string // of a termination or suspension
	Reason  string // the same
}

// Do is what a step asks of its room, in the same unit of work. A room names
// further ones.
type Do string

const (
	Send    Do = "send"    // build Kind, name it in Pending, put the job that sends it
	Drop    Do = "drop"    // remove the job Job: its message counts as acknowledged, or is moot
	Repeat  Do = "repeat"  // nothing happened: this message was applied before
	Reached Do = "reached" // a message of ours, Kind, counts as acknowledged by this event
)

// Effect is one thing to do. Job names the job of Drop and Reached. After Send
// the process has a Pending without job, id and digest: the room names it.
type Effect struct {
	Do   Do
	Kind Kind
	Job  string
}

var (
	// ErrIllegal is returned for a step that the state does not allow.
	ErrIllegal = errors.New("not allowed in this state")
	// ErrOtherPid is returned for a message of a process of the counterpart that
	// is not the one bound to this process.
	ErrOtherPid = errors.New("the process is bound to another pid of the counterpart")
	// ErrStale is returned for the outcome of a message that is no longer in flight.
	ErrStale = errors.New("the message is not in flight any more")
)
