package issuer

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"kakehashi/dcp"
	"kakehashi/did"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/internal/watch"
	"kakehashi/participant"
	"kakehashi/store"
)

// Request is what a holder asked for.
type Request struct {
	ID        string // issuerPid
	Holder    string // DID
	HolderPid string
	Types     []string // ids of types
	State     dcp.State
	Reason    string // of a rejection, or why it was not delivered
	Created   time.Time
	Decided   time.Time // zero: nobody has

	echo string // the holder's access token, which goes back to it with the delivery
}

// maxOpen is how many requests one holder may have open at a time.
const maxOpen = 100

// Receive takes a holder's request (DCP 1.0, section 6.4) and gives its id. What
// needs nobody's approval is made in the same unit and on its way when this
// returns. The same request again has no second effect.
func (r *Room) Receive(ctx context.Context, p participant.ID, caller identity.Caller, body []byte) (id string, err error) {
	m, err := dcp.DecodeRequest(body)
	if err != nil {
		return "", err
	}
	if _, err := r.c.Identity.Service(ctx, caller.DID, did.CredentialService); err != nil {
		return "", err
	}
	picks := positions(r.c.Rand, len(m.Credentials))
	lane := ""
	err = r.c.DB.Update(ctx, func(tx store.Tx) error {
		lane = ""
		if err := r.c.Identity.Spend(tx, p, caller); err != nil {
			return err
		}
		types, err := pick(tx, p, m.Credentials)
		if err != nil {
			return err
		}
		was, err := readRequest(tx, p, `holder = $2 AND holder_pid = $3`, caller.DID, m.HolderPid)
		switch {
		case err == nil && slices.Equal(was.Types, m.Credentials):
			id = was.ID
			return nil
		case err == nil:
			return fault.RequestExists.At("/holderPid", "id", m.HolderPid)
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		var open int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM issuer_requests WHERE participant = $1 AND holder = $2 AND state = $3`,
			string(p), caller.DID, string(dcp.Received)).Scan(&open); err != nil {
			return err
		}
		if open >= maxOpen {
			return fault.TooManyOpen.At("", "limit", maxOpen)
		}
		q := Request{ID: ids.Short(), Holder: caller.DID, HolderPid: m.HolderPid, Types: m.Credentials, State: dcp.Received, Created: r.c.Now(), echo: caller.Token.Access}
		id = q.ID
		if err := insertRequest(tx, p, q); err != nil {
			return err
		}
		if err := r.c.Evidence.Append(tx, p, evidence.Leaf{Type: "kh.credential.requested", Process: q.ID, Version: 1, Actor: q.Holder, Counterparty: q.Holder,
			Direction: evidence.In, Correlation: map[string]string{"holderPid": q.HolderPid},
			Hashes: map[string]string{"message": evidence.Digest(body), "token": evidence.Digest([]byte(caller.Token.Raw))},
			Facts:  map[string]string{"types": strings.Join(q.Types, " ")}},
			evidence.Body{Bytes: body, Class: evidence.ClassCredential}); err != nil {
			return err
		}
		tx.AfterCommit(func() { r.changed(p, q.ID, q.State) })
		known := true
		for _, t := range types {
			ok := t.Approval == Anybody
			if t.Approval == Attested {
				if _, ok, err = attested(tx, p, q.Holder, t.Type); err != nil {
					return err
				}
			}
			known = known && ok
		}
		if !known {
			return nil // people decide
		}
		lane = q.ID
		return r.approve(tx, p, q, types, picks)
	})
	if err != nil {
		return "", err
	}
	if lane != "" {
		r.c.Outbox.Wake(lane)
	}
	return id, nil
}

// pick finds types by their ids.
func pick(tx store.Tx, p participant.ID, wanted []string) ([]Type, error) {
	all, err := readTypes(tx, p)
	if err != nil {
		return nil, err
	}
	out := make([]Type, len(wanted))
	for i, id := range wanted {
		at := slices.IndexFunc(all, func(t Type) bool { return t.ID == id })
		if at < 0 {
			return nil, fault.CredentialTypeUnknown.At("/credentials", "id", id)
		}
		out[i] = all[at]
	}
	return out, nil
}

// Decide approves or rejects a request that waits for people. reason is told to
// the holder of a rejection.
func (r *Room) Decide(ctx context.Context, p participant.ID, id string, approve bool, reason string) error {
	var picks [][]int64
	err := r.c.DB.Update(ctx, func(tx store.Tx) error {
		q, err := readRequest(tx, p, `id = $2`, id)
		if errors.Is(err, store.ErrNotFound) {
			return fault.NotFound.At("", "what", id)
		}
		if err != nil {
			return err
		}
		if q.State != dcp.Received {
			return fault.RequestDecided.At("", "id", id, "state", string(q.State))
		}
		if !approve {
			q.Reason = reason
			return r.reject(tx, p, q)
		}
		types, err := pick(tx, p, q.Types)
		if err != nil {
			return err
		}
		if picks == nil {
			picks = positions(r.c.Rand, len(types))
		}
		return r.approve(tx, p, q, types, picks)
	})
	if err == nil {
		r.c.Outbox.Wake(id)
	}
	return err
}

// approve makes the credentials of a request and puts their delivery on its way.
func (r *Room) approve(tx store.Tx, p participant.ID, q Request, types []Type, picks [][]int64) error {
	to, _ := q.State.Next(dcp.Approve)
	if err := r.move(tx, p, q, to, ""); err != nil {
		return err
	}
	for i, t := range types {
		if _, _, err := r.make(tx, p, q.ID, q.Holder, t, nil, picks[i]); err != nil {
			return err
		}
	}
	return r.putDelivery(tx, p, q)
}

// reject ends a request, and puts the news on its way.
func (r *Room) reject(tx store.Tx, p participant.ID, q Request) error {
	to, _ := q.State.Next(dcp.Reject)
	if err := r.move(tx, p, q, to, q.Reason); err != nil {
		return err
	}
	return r.putDelivery(tx, p, q)
}

// move writes a new state, on record.
func (r *Room) move(tx store.Tx, p participant.ID, q Request, to dcp.State, reason string) error {
	now := r.c.Now()
	if err := tx.Exec(`UPDATE issuer_requests SET state = $1, reason = $2, decided = $3 WHERE participant = $4 AND id = $5`,
		string(to), reason, now.UnixMicro(), string(p), q.ID); err != nil {
		return err
	}
	tx.AfterCommit(func() { r.changed(p, q.ID, to) })
	return r.c.Evidence.Append(tx, p, evidence.Leaf{Type: "kh.credential.decided", Process: q.ID, Version: 2, Counterparty: q.Holder,
		Facts: map[string]string{"state": string(to)}})
}

func (r *Room) changed(p participant.ID, id string, s dcp.State) {
	r.c.Watch.Publish(watch.Change{Participant: string(p), Kind: Changed, ID: id, State: string(s), At: r.c.Now()})
}

// Status tells a holder how its request stands (section 6.8). Of another's
// request it learns no more than of none.
func (r *Room) Status(ctx context.Context, p participant.ID, caller identity.Caller, id string) ([]byte, error) {
	var q Request
	err := r.c.DB.Update(ctx, func(tx store.Tx) (err error) {
		if err = r.c.Identity.Spend(tx, p, caller); err != nil {
			return err
		}
		q, err = readRequest(tx, p, `id = $2 AND holder = $3`, id, caller.DID)
		if errors.Is(err, store.ErrNotFound) {
			return nil // the token is spent all the same
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if q.ID == "" {
		return nil, fault.NotFound.At("", "what", id)
	}
	return dcp.CredentialStatus{IssuerPid: q.ID, HolderPid: q.HolderPid, Status: q.State.Wire()}.Encode()
}

// Requests lists the newest first, up to 1000.
func (r *Room) Requests(ctx context.Context, p participant.ID) (out []Request, err error) {
	err = r.c.DB.View(ctx, func(tx store.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT `+requestColumns+` FROM issuer_requests WHERE participant = $1 ORDER BY created DESC LIMIT 1000`, string(p))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			q, err := scanRequest(rows)
			if err != nil {
				return err
			}
			out = append(out, q)
		}
		return rows.Err()
	})
	return out, err
}

const requestColumns = `id, holder, holder_pid, types, state, reason, echo, created, decided`

type scanner interface{ Scan(...any) error }

func scanRequest(row scanner) (Request, error) {
	var q Request
	var types, state string
	var created, decided int64
	if err := row.Scan(&q.ID, &q.Holder, &q.HolderPid, &types, &state, &q.Reason, &q.echo, &created, &decided); err != nil {
		return q, err
	}
	q.Types, q.State, q.Created = strings.Fields(types), dcp.State(state), time.UnixMicro(created).UTC()
	if decided > 0 {
		q.Decided = time.UnixMicro(decided).UTC()
	}
	return q, nil
}

func readRequest(tx store.Tx, p participant.ID, where string, args ...any) (Request, error) {
	return scanRequest(tx.QueryRow(`SELECT `+requestColumns+` FROM issuer_requests WHERE participant = $1 AND `+where, append([]any{string(p)}, args...)...))
}

func insertRequest(tx store.Tx, p participant.ID, q Request) error {
	return tx.Exec(`INSERT INTO issuer_requests (participant, id, holder, holder_pid, types, state, reason, echo, created, decided)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0)`,
		string(p), q.ID, q.Holder, q.HolderPid, strings.Join(q.Types, " "), string(q.State), q.Reason, q.echo, q.Created.UnixMicro())
}
