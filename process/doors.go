package process

import (
	"context"

	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/store"
)

// Participants says whom we host.
type Participants interface {
	Get(participant.ID) (participant.Participant, bool)
}

// Identity spends the token of a message in the unit that applies it.
type Identity interface {
	Spend(store.Tx, participant.ID, identity.Caller) error
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
