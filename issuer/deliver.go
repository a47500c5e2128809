package issuer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"kakehashi/dcp"
	"kakehashi/did"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/internal/strictjson"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/store"
)

// The jobs of this room.
const (
	jobDeliver = "issuer.deliver"
	jobOffer   = "issuer.offer"
)

// delivery names the request that is answered.
type delivery struct {
	Request string `json:"request"`
}

func subject(j outbox.Job) outbox.Subject { return outbox.Subject{Message: dcp.TypeCredentials} }

// putDelivery has a request answered once the unit is durable.
func (r *Room) putDelivery(tx store.Tx, p participant.ID, q Request) error {
	data, err := strictjson.Encode(delivery{q.ID})
	if err != nil {
		return err
	}
	return r.c.Outbox.Put(tx, outbox.Job{Participant: p, Lane: q.ID, ID: "deliver-" + q.ID + "-" + ids.Short(), Kind: jobDeliver, Peer: q.Holder, Data: data})
}

// deliver brings a holder what it asked for, or that it gets nothing. A repeat is
// the same message, and the holder knows it by its pids.
func (r *Room) deliver(ctx context.Context, j outbox.Job) (func(store.Tx) error, error) {
	var d delivery
	if err := strictjson.Decode(j.Data, &d); err != nil {
		return nil, outbox.Permanent(err)
	}
	p := j.Participant
	var q Request
	var m dcp.CredentialMessage
	err := r.c.DB.View(ctx, func(tx store.Tx) (err error) {
		if q, err = readRequest(tx, p, `id = $2`, d.Request); err != nil {
			return err
		}
		m, err = r.message(tx, p, q)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read request %s: %w", d.Request, err)
	}
	base, err := r.c.Identity.Service(ctx, q.Holder, did.CredentialService)
	if err != nil {
		return nil, err
	}
	if err := r.c.Identity.Claims(p, r.c.HTTP).Deliver(ctx, base, q.Holder, q.echo, m); err != nil {
		var refused *dcp.Refusal
		if errors.As(err, &refused) && refused.Final() {
			return nil, outbox.Permanent(err)
		}
		return nil, err
	}
	return func(tx store.Tx) error {
		to, ok := q.State.Next(dcp.Deliver)
		if !ok {
			return nil // a rejection that arrived
		}
		return r.move(tx, p, q, to, "")
	}, nil
}

// message is the answer to a request that was decided on.
func (r *Room) message(tx store.Tx, p participant.ID, q Request) (dcp.CredentialMessage, error) {
	m := dcp.CredentialMessage{IssuerPid: q.ID, HolderPid: q.HolderPid, Status: dcp.StatusIssued}
	if q.State == dcp.Rejected {
		m.Status, m.RejectionReason = dcp.StatusRejected, q.Reason
		return m, nil
	}
	issued, err := readIssued(tx, p, `request = $2 ORDER BY issued, id`, q.ID)
	if err != nil {
		return m, err
	}
	for _, i := range issued {
		raw, err := r.c.Evidence.BodyTx(tx, p, i.Digest)
		if err != nil {
			return m, fmt.Errorf("read credential %s: %w", i.ID, err)
		}
		m.Credentials = append(m.Credentials, dcp.Container{Type: i.Type, Payload: string(raw), Format: i.Format})
	}
	return m, nil
}

// undelivered ends a request whose holder could not be reached.
func (r *Room) undelivered(j outbox.Job, err error) func(store.Tx) error {
	var d delivery
	if strictjson.Decode(j.Data, &d) != nil {
		return nil
	}
	return func(tx store.Tx) error {
		q, readErr := readRequest(tx, j.Participant, `id = $2`, d.Request)
		if readErr != nil {
			return readErr
		}
		to, ok := q.State.Next(dcp.GiveUp)
		if !ok {
			return nil
		}
		return r.move(tx, j.Participant, q, to, clip(err.Error()))
	}
}

func clip(s string) string {
	if len(s) > 500 {
		return s[:500] + "..."
	}
	return s
}

// Retry tries again to deliver what could not be delivered.
func (r *Room) Retry(ctx context.Context, p participant.ID, id string) error {
	err := r.c.DB.Update(ctx, func(tx store.Tx) error {
		q, err := readRequest(tx, p, `id = $2`, id)
		if errors.Is(err, store.ErrNotFound) {
			return fault.NotFound.At("", "what", id)
		}
		if err != nil {
			return err
		}
		to, ok := q.State.Next(dcp.Retry)
		if !ok {
			return fault.RequestDecided.At("", "id", id, "state", string(q.State))
		}
		if err := r.move(tx, p, q, to, ""); err != nil {
			return err
		}
		return r.putDelivery(tx, p, q)
	})
	if err == nil {
		r.c.Outbox.Wake(id)
	}
	return err
}

// offering is an offer on its way.
type offering struct {
	Holder string   `json:"holder"`
	Types  []string `json:"types"`
	Reason string   `json:"reason"`
}

// Offer tells a holder what it may ask for (DCP 1.0, section 6.6), by the ids of
// types.
func (r *Room) Offer(ctx context.Context, p participant.ID, holder string, types []string, reason string) error {
	if _, err := r.c.Identity.Service(ctx, holder, did.CredentialService); err != nil {
		return err
	}
	data, err := strictjson.Encode(offering{holder, types, reason})
	if err != nil {
		return err
	}
	id := "offer-" + ids.Short()
	err = r.c.DB.Update(ctx, func(tx store.Tx) error {
		if _, err := pick(tx, p, types); err != nil {
			return err
		}
		if err := r.c.Evidence.Append(tx, p, evidence.Leaf{Type: "kh.credential.offered", Counterparty: holder, Direction: evidence.Out,
			Facts: map[string]string{"types": fmt.Sprint(types), "reason": reason}}); err != nil {
			return err
		}
		return r.c.Outbox.Put(tx, outbox.Job{Participant: p, Lane: id, ID: id, Kind: jobOffer, Peer: holder, Data: data})
	})
	if err == nil {
		r.c.Outbox.Wake(id)
	}
	return err
}

func (r *Room) sendOffer(ctx context.Context, j outbox.Job) (func(store.Tx) error, error) {
	var o offering
	if err := strictjson.Decode(j.Data, &o); err != nil {
		return nil, outbox.Permanent(err)
	}
	all, err := r.Types(ctx, j.Participant)
	if err != nil {
		return nil, err
	}
	us, _ := r.c.Participants.Get(j.Participant)
	m := dcp.CredentialOffer{Issuer: us.DID}
	for _, t := range all {
		if slices.Contains(o.Types, t.ID) {
			m.Credentials = append(m.Credentials, t.object(o.Reason))
		}
	}
	base, err := r.c.Identity.Service(ctx, o.Holder, did.CredentialService)
	if err != nil {
		return nil, err
	}
	if err := r.c.Identity.Claims(j.Participant, r.c.HTTP).Offer(ctx, base, o.Holder, m); err != nil {
		var refused *dcp.Refusal
		if errors.As(err, &refused) && refused.Final() {
			return nil, outbox.Permanent(err)
		}
		return nil, err
	}
	return nil, nil
}
