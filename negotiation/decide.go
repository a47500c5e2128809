package negotiation

import (
	"context"
	"errors"
	"fmt"

	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/participant"
	"kakehashi/process"
)

// Decide answers a process whose Turn it is. version is the one that was decided
// on; another one now is fault.DecidedOn, 0 is any. fault.NotYourTurn if the state
// asks nothing of us or a message is in flight. Terms are judged as those of a
// request are, so that an approval can be refused by policy.
func (r *Room) Decide(ctx context.Context, p participant.ID, id string, version int64, d process.Decision) (Process, error) {
	return r.move(ctx, p, id, string(d.Choice), func(q Process, c *change) error {
		if version != 0 && q.Version != version {
			return fault.DecidedOn.At(id, "process", id)
		}
		if !q.Turn() {
			return fault.NotYourTurn.At(id, "state", q.State.Name(), "message", string(d.Choice))
		}
		if d.Choice == process.Refuse {
			return r.step(c, q, Event{What: process.Decided, Kind: KindTermination, Code: d.Code, Reason: process.Clip(d.Reason)})
		}
		kind, err := q.approval()
		if d.Choice == process.Counter {
			kind, err = r.counterOffer(ctx, &q, d.Terms)
		}
		if err != nil {
			return err
		}
		if kind == KindAgreement || kind == KindOffer {
			if c.decision, err = r.c.Judge.Agree(ctx, p, q.Counterparty, q.Terms, c.now); err != nil {
				return err
			}
		}
		return r.step(c, q, Event{What: process.Decided, Kind: kind})
	})
}

// approval is the message with which we go along.
func (p Process) approval() (Kind, error) {
	switch {
	case p.Role == Provider && (p.State == Requested || p.State == Accepted):
		return KindAgreement, nil
	case p.Role == Provider && p.State == Verified:
		return KindFinalized, nil
	case p.Role == Consumer && p.State == Offered:
		return KindAccepted, nil
	case p.Role == Consumer && p.State == Agreed:
		return KindVerification, nil
	}
	return "", fmt.Errorf("state %s of a %s: %w", p.State.Name(), p.Role, process.ErrIllegal)
}

// counterOffer puts terms of ours on the table: an offer of the provider, a
// further request of the consumer. An offer never changes, so other terms of a
// provider are an offer of their own; a consumer names the offer it answers.
func (r *Room) counterOffer(ctx context.Context, q *Process, rules []byte) (Kind, error) {
	kind := KindOffer
	switch {
	case q.Role == Provider && q.State == Requested:
	case q.Role == Consumer && q.State == Offered:
		kind = KindRequest
	default:
		return "", process.ErrIllegal
	}
	ours := q.Ours
	if ours == nil && q.Same {
		ours = q.Terms
	}
	if ours == nil && q.Role == Provider {
		_, o, err := r.c.Offers.Offer(ctx, q.Participant, q.OfferID)
		if err != nil {
			return "", err
		}
		ours = o.Policy
	}
	if rules != nil {
		t, err := parseTerms(rules)
		if err != nil {
			return "", err
		}
		if q.Role == Provider && sameTerms(ours, t.rules) != "" {
			q.OfferID = ids.New()
		}
		ours = t.rules
	}
	if ours == nil {
		return "", fault.BadMessage.At("/policy", "reason", "the terms of the counter-offer are missing")
	}
	q.Terms, q.TermsBy, q.Same, q.Ours = ours, q.Role, true, nil
	return kind, nil
}

// Terminate ends a negotiation that is not final, at once for us; the
// counterpart is told in the background. code and reason may be empty.
func (r *Room) Terminate(ctx context.Context, p participant.ID, id, code, reason string) (Process, error) {
	return r.move(ctx, p, id, KindTermination.Type(), func(q Process, c *change) error {
		return r.step(c, q, Event{What: process.Decided, Kind: KindTermination, Code: code, Reason: process.Clip(reason)})
	})
}

// move applies one step of our own in one unit and wakes the lane.
func (r *Room) move(ctx context.Context, p participant.ID, id, what string, step func(Process, *change) error) (Process, error) {
	for {
		q, err := r.Get(ctx, p, id)
		if err != nil {
			return q, err
		}
		c := r.change(q)
		err = step(q, c)
		if errors.Is(err, process.ErrIllegal) {
			return q, fault.NotYourTurn.At(id, "state", q.State.Name(), "message", what)
		}
		if err != nil {
			return q, err
		}
		hashes, facts := map[string]string{}, map[string]string{}
		c.note(hashes, facts)
		c.record(c.p, "", hashes, facts)
		err = r.commit(ctx, c)
		if errors.Is(err, process.ErrMoved) {
			continue
		}
		if err != nil {
			return q, err
		}
		r.c.Outbox.Wake(id)
		return c.p, nil
	}
}
