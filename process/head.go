package process

import (
	"time"

	"kakehashi/internal/ids"
	"kakehashi/participant"
)

// Head is what every process has: the key columns of its row.
type Head struct {
	Participant  participant.ID
	ID           string // our pid, urn:uuid:...
	Role         Role
	Counterparty string // Caller.ID of the other side, compared whole
	PeerPid      string // "" until it was heard
	State        State
	Version      int64  // one higher with each step
	Agreement    string // @id of the agreement, "" before there is one
	Key          string // idempotency key of its start, "" otherwise
	Created      time.Time
	Updated      time.Time
}

// Talk is what every process keeps of the messages that go to and fro. It is part
// of the versioned body.
type Talk struct {
	Peer         string   `json:"peer"`             // address below which the counterpart's process is reached
	Pending      *Pending `json:"pending,omitzero"` // our message in flight
	Last         *Last    `json:"last,omitzero"`    // our newest message that a counterpart may lose
	Seen         []Seen   `json:"seen,omitzero"`    // messages applied, newest last
	Code         string   `json:"code,omitzero"`    // of the last termination or suspension
	Reason       string   `json:"reason,omitzero"`  // the same
	TerminatedBy Role     `json:"terminated_by,omitzero"`
}

// Pending is a message of ours that is on its way.
type Pending struct {
	Kind   Kind   `json:"kind"`
	Job    string `json:"job"`
	ID     string `json:"id"`     // @id, the same on each try
	Digest string `json:"digest"` // of its bytes, which evidence keeps
	To     State  `json:"to"`     // the state once it is acknowledged
}

// Seen is a message that was applied.
type Seen struct {
	Kind   Kind   `json:"kind"`
	ID     string `json:"id,omitzero"`
	Digest string `json:"digest"`
	To     State  `json:"to"`
}

// MaxSeen bounds the list of messages kept to recognise repeats; of a process with
// more rounds than this only the newest are recognised.
const MaxSeen = 16

// New makes the head of a process of ours.
func New(p participant.ID, role Role, counterparty string, now time.Time) Head {
	return Head{Participant: p, ID: ids.New(), Role: role, Counterparty: counterparty, Created: now, Updated: now}
}

// Pids gives the two pids in the protocol's order; "" for one not known yet.
func (h Head) Pids() (consumerPid, providerPid string) {
	if h.Role == Consumer {
		return h.ID, h.PeerPid
	}
	return h.PeerPid, h.ID
}

// To moves to a state; each move is a version of its own.
func (h Head) To(s State) Head {
	h.State = s
	h.Version++
	return h
}

// Saw remembers an applied message.
func (t Talk) Saw(e Event, to State) Talk {
	seen := make([]Seen, 0, len(t.Seen)+1)
	if n := len(t.Seen); n >= MaxSeen {
		seen = append(seen, t.Seen[n-MaxSeen+1:]...)
	} else {
		seen = append(seen, t.Seen...)
	}
	t.Seen = append(seen, Seen{Kind: e.Kind, ID: e.ID, Digest: e.Digest, To: to})
	return t
}

// Repeats says whether e was applied before: the same @id, or without one the
// same bytes as the counterpart's last message, in the state that it led to.
func (t Talk) Repeats(e Event, now State) bool {
	if e.ID != "" {
		for _, s := range t.Seen {
			if s.ID == e.ID && s.Kind == e.Kind {
				return true
			}
		}
		return false
	}
	if len(t.Seen) == 0 {
		return false
	}
	last := t.Seen[len(t.Seen)-1]
	return last.ID == "" && last.Kind == e.Kind && last.Digest == e.Digest && last.To == now
}

// Sends says that the message in flight is the one of that job.
func (t Talk) Sends(job string) bool { return t.Pending != nil && t.Pending.Job == job }

// DropPending is the effect that removes the job of the message in flight.
func (t Talk) DropPending() Effect {
	return Effect{Do: Drop, Kind: t.Pending.Kind, Job: t.Pending.Job}
}
