// Package process is what negotiations and transfers have in common: two parties
// that move one machine each by messages, and own steps that somebody decides.
//
// It keeps nothing, and knows no state and no message: those are the rooms'.
package process

import (
	"errors"

	"kakehashi/participant"
	"kakehashi/store"
)

// Choice is one of the answers to a process that waits for us.
type Choice string

const (
	Approve Choice = "approve" // the next step of the protocol
	Refuse  Choice = "refuse"  // the end, with a reason
	Counter Choice = "counter" // negotiations: terms of ours
)

// Decision is taken outside of a room: by a person, a webhook, a script.
type Decision struct {
	Choice Choice
	Terms  []byte // of Counter: ODRL rules; nil: what we put last
	Code   string // of Refuse, for programs; may be empty
	Reason string // of Refuse, told to the counterpart
}

// ErrAsk leaves a process waiting for a decision.
var ErrAsk = errors.New("the decision is left to a person")

// Asker learns in the caller's unit that a process waits for a decision at that
// version. lane, if any, is woken in the outbox once the counterpart has its answer.
type Asker interface {
	Ask(tx store.Tx, p participant.ID, kind, id string, version int64) (lane string, err error)
}

// Patience learns how soon after its answer a counterpart takes our next message.
type Patience interface {
	// LearnPause takes one message: tooEarly says that it was refused or dropped
	// at first and taken a moment later.
	LearnPause(p participant.ID, counterparty string, tooEarly bool)
}
