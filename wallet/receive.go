package wallet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kakehashi/dcp"
	"kakehashi/did"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/internal/strictjson"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/vc"
)

// Request is what we asked an issuer for, or expect of it.
type Request struct {
	HolderPid string
	Issuer    string   // DID
	Types     []string // ids of the issuer's metadata, none for what is only expected
	State     string
	Reason    string // of a rejection or failure
	IssuerPid string
	Standing  bool // deliveries under it may be renewed
	Created   time.Time

	delivered string // digest of what was delivered
}

// States of a request.
const (
	Asking   = "ASKING"   // on its way to the issuer
	Asked    = "ASKED"    // the issuer has it
	Expected = "EXPECTED" // nobody asked over the wire; the issuer may deliver
	Issued   = "ISSUED"
	Rejected = "REJECTED"
	Failed   = "FAILED" // it did not reach the issuer
)

const jobRequest = "wallet.request"

type asking struct {
	HolderPid string `json:"holder_pid"`
}

// Request asks an issuer for credentials, by the ids or types of its metadata
// (DCP 1.0, section 6.4). They come later: see Requests.
func (r *Room) Request(ctx context.Context, p participant.ID, issuer string, wanted []string) (Request, error) {
	base, err := r.c.Identity.Service(ctx, issuer, did.IssuerService)
	if err != nil {
		return Request{}, err
	}
	meta, err := r.c.Identity.Claims(p, r.c.HTTP).Metadata(ctx, base, issuer)
	if err != nil {
		return Request{}, err
	}
	q := Request{HolderPid: ids.Short(), Issuer: issuer, State: Asking, Created: r.c.Now()}
	for _, w := range wanted {
		i := slices.IndexFunc(meta.Supported, func(o dcp.CredentialObject) bool { return o.ID == w || o.CredentialType == w })
		if i < 0 {
			return Request{}, fault.CredentialTypeUnknown.At("types", "id", w)
		}
		q.Types = append(q.Types, meta.Supported[i].ID)
	}
	if len(q.Types) == 0 {
		return Request{}, fault.BadMessage.At("types", "reason", "name at least one")
	}
	data, err := strictjson.Encode(asking{q.HolderPid})
	if err != nil {
		return Request{}, err
	}
	err = r.c.DB.Update(ctx, func(tx store.Tx) error {
		if err := insertRequest(tx, p, q); err != nil {
			return err
		}
		if err := r.c.Evidence.Append(tx, p, evidence.Leaf{Type: "kh.credential.requested", Process: q.HolderPid, Version: 1, Counterparty: issuer,
			Direction: evidence.Out, Facts: map[string]string{"types": strings.Join(q.Types, " ")}}); err != nil {
			return err
		}
		return r.c.Outbox.Put(tx, outbox.Job{Participant: p, Lane: q.HolderPid, ID: "ask-" + q.HolderPid, Kind: jobRequest, Peer: issuer, Data: data})
	})
	if err != nil {
		return Request{}, err
	}
	r.c.Outbox.Wake(q.HolderPid)
	return q, nil
}

func (r *Room) sendRequest(ctx context.Context, j outbox.Job) (func(store.Tx) error, error) {
	var a asking
	if err := strictjson.Decode(j.Data, &a); err != nil {
		return nil, outbox.Permanent(err)
	}
	var q Request
	if err := r.c.DB.View(ctx, func(tx store.Tx) (err error) {
		q, err = readRequest(tx, j.Participant, a.HolderPid)
		return err
	}); err != nil {
		return nil, err
	}
	base, err := r.c.Identity.Service(ctx, q.Issuer, did.IssuerService)
	if err != nil {
		return nil, err
	}
	id, err := r.c.Identity.Claims(j.Participant, r.c.HTTP).Request(ctx, base, q.Issuer, dcp.CredentialRequest{HolderPid: q.HolderPid, Credentials: q.Types})
	if err != nil {
		var refused *dcp.Refusal
		if errors.As(err, &refused) && refused.Final() {
			return nil, outbox.Permanent(err)
		}
		return nil, err
	}
	return func(tx store.Tx) error { // a delivery may have overtaken the answer
		return tx.Exec(`UPDATE wallet_requests SET issuer_pid = $1, state = CASE WHEN state = $2 THEN $3 ELSE state END
			WHERE participant = $4 AND holder_pid = $5`, id, Asking, Asked, string(j.Participant), q.HolderPid)
	}, nil
}

func (r *Room) requestFailed(j outbox.Job, err error) func(store.Tx) error {
	var a asking
	if strictjson.Decode(j.Data, &a) != nil {
		return nil
	}
	reason := err.Error()
	if len(reason) > 500 {
		reason = reason[:500] + "..."
	}
	return func(tx store.Tx) error {
		return tx.Exec(`UPDATE wallet_requests SET state = $1, reason = $2 WHERE participant = $3 AND holder_pid = $4 AND state = $5`,
			Failed, reason, string(j.Participant), a.HolderPid, Asking)
	}
}

// AskStatus asks the issuer how a request of ours stands.
func (r *Room) AskStatus(ctx context.Context, p participant.ID, pid string) (string, error) {
	var q Request
	err := r.c.DB.View(ctx, func(tx store.Tx) (err error) {
		q, err = readRequest(tx, p, pid)
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && q.IssuerPid == "" {
		return "", fault.NotFound.At("", "what", pid)
	}
	if err != nil {
		return "", err
	}
	base, err := r.c.Identity.Service(ctx, q.Issuer, did.IssuerService)
	if err != nil {
		return "", err
	}
	s, err := r.c.Identity.Claims(p, r.c.HTTP).RequestStatus(ctx, base, q.Issuer, q.IssuerPid)
	return s.Status, err
}

// Expect lets an issuer deliver under a holderPid that was agreed on otherwise;
// with standing it may do so again and again, each delivery in place of the last.
func (r *Room) Expect(ctx context.Context, p participant.ID, issuer, pid string, standing bool) error {
	if err := did.Check(issuer); err != nil {
		return err
	}
	if pid == "" || len(pid) > 200 {
		return fault.BadMessage.At("holderPid", "reason", "it is missing or longer than 200 bytes")
	}
	err := r.c.DB.Update(ctx, func(tx store.Tx) error {
		if err := insertRequest(tx, p, Request{HolderPid: pid, Issuer: issuer, State: Expected, Standing: standing, Created: r.c.Now()}); err != nil {
			return err
		}
		return r.c.Evidence.Append(tx, p, evidence.Leaf{Type: "kh.admin.action", Counterparty: issuer, Facts: map[string]string{
			"action": "delivery expected", "holderPid": pid, "standing": fmt.Sprint(standing)}})
	})
	if errors.Is(err, store.ErrConflict) {
		return fault.RequestExists.At("holderPid", "id", pid)
	}
	return err
}

// Receive takes a delivery of an issuer (section 6.5). Every credential in it is
// checked before any is kept; one that fails refuses the whole.
func (r *Room) Receive(ctx context.Context, p participant.ID, caller identity.Caller, body []byte) error {
	m, err := dcp.DecodeCredentials(body)
	if err != nil {
		return err
	}
	var q Request
	err = r.c.DB.View(ctx, func(tx store.Tx) (err error) {
		q, err = r.awaited(tx, p, caller, m)
		return err
	})
	if err != nil {
		return err
	}
	creds := make([]vc.Credential, len(m.Credentials))
	for i, container := range m.Credentials {
		c, err := vc.ParseCredential(container.Payload)
		if err != nil {
			return err
		}
		if err := r.verify(ctx, p, c, caller.DID); err != nil {
			return err
		}
		creds[i] = c
	}
	digest := contents(m)
	return r.c.DB.Update(ctx, func(tx store.Tx) error {
		if err := r.c.Identity.Spend(tx, p, caller); err != nil {
			return err
		}
		if q, err = r.awaited(tx, p, caller, m); err != nil {
			return err
		}
		over := q.State == Issued || q.State == Rejected
		switch {
		case over && q.delivered == digest:
			return nil
		case over && !q.Standing:
			return fault.DeliveryRepeated.At("/holderPid", "id", m.HolderPid)
		}
		for _, c := range creds {
			if _, err := r.keep(tx, p, c, m.HolderPid); err != nil {
				return err
			}
		}
		return tx.Exec(`UPDATE wallet_requests SET state = $1, reason = $2, issuer_pid = $3, delivered = $4 WHERE participant = $5 AND holder_pid = $6`,
			m.Status, m.RejectionReason, m.IssuerPid, digest, string(p), m.HolderPid)
	})
}

// awaited finds the request that a delivery answers.
func (r *Room) awaited(tx store.Tx, p participant.ID, caller identity.Caller, m dcp.CredentialMessage) (Request, error) {
	q, err := readRequest(tx, p, m.HolderPid)
	if errors.Is(err, store.ErrNotFound) || err == nil && q.Issuer != caller.DID {
		return Request{}, fault.DeliveryUnexpected.At("/holderPid", "issuer", caller.DID, "id", m.HolderPid)
	}
	return q, err
}

// contents names what a delivery holds.
func contents(m dcp.CredentialMessage) string {
	parts := []string{m.Status}
	for _, c := range m.Credentials {
		parts = append(parts, evidence.Digest([]byte(c.Payload)))
	}
	return evidence.Digest([]byte(strings.Join(parts, "\n")))
}

// Requests lists the newest first, up to 1000.
func (r *Room) Requests(ctx context.Context, p participant.ID) (out []Request, err error) {
	err = r.c.DB.View(ctx, func(tx store.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT `+requestColumns+` FROM wallet_requests WHERE participant = $1 ORDER BY created DESC LIMIT 1000`, string(p))
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

const requestColumns = `holder_pid, issuer, types, state, reason, issuer_pid, delivered, standing, created`

type scanner interface{ Scan(...any) error }

func scanRequest(row scanner) (q Request, err error) {
	var types string
	var created int64
	err = row.Scan(&q.HolderPid, &q.Issuer, &types, &q.State, &q.Reason, &q.IssuerPid, &q.delivered, &q.Standing, &created)
	q.Types, q.Created = strings.Fields(types), moment(created)
	return q, err
}

func readRequest(tx store.Tx, p participant.ID, pid string) (Request, error) {
	return scanRequest(tx.QueryRow(`SELECT `+requestColumns+` FROM wallet_requests WHERE participant = $1 AND holder_pid = $2`, string(p), pid))
}

func insertRequest(tx store.Tx, p participant.ID, q Request) error {
	return tx.Exec(`INSERT INTO wallet_requests (participant, holder_pid, issuer, types, state, reason, issuer_pid, delivered, standing, created)
		VALUES ($1, $2, $3, $4, $5, '', '', '', $6, $7)`, string(p), q.HolderPid, q.Issuer, strings.Join(q.Types, " "), q.State, q.Standing, q.Created.UnixMicro())
}

// Offer is what an issuer offered.
type Offer struct {
	ID      string
	Issuer  string
	Objects []dcp.CredentialObject
	At      time.Time
}

// keptOffers is how many offers a participant keeps; the oldest go first.
const keptOffers = 100

// Offer takes an issuer's offer (section 6.6) for people to look at; nothing is
// asked for by itself.
func (r *Room) Offer(ctx context.Context, p participant.ID, caller identity.Caller, body []byte) error {
	m, err := dcp.DecodeOffer(body)
	if err != nil {
		return err
	}
	if m.Issuer != caller.DID {
		return fault.BadMessage.At("/issuer", "reason", "it is not the sender")
	}
	objects, err := strictjson.Encode(m.Credentials)
	if err != nil {
		return err
	}
	return r.c.DB.Update(ctx, func(tx store.Tx) error {
		if err := r.c.Identity.Spend(tx, p, caller); err != nil {
			return err
		}
		if err := tx.Exec(`INSERT INTO wallet_offers (participant, id, issuer, objects, at) VALUES ($1, $2, $3, $4, $5)`,
			string(p), ids.Short(), m.Issuer, string(objects), r.c.Now().UnixMicro()); err != nil {
			return err
		}
		if err := tx.Exec(`DELETE FROM wallet_offers WHERE participant = $1 AND id NOT IN (
			SELECT id FROM wallet_offers WHERE participant = $2 ORDER BY at DESC, id DESC LIMIT $3)`, string(p), string(p), keptOffers); err != nil {
			return err
		}
		return r.c.Evidence.Append(tx, p, evidence.Leaf{Type: "kh.credential.offered", Counterparty: m.Issuer, Direction: evidence.In,
			Hashes: map[string]string{"message": evidence.Digest(body)}}, evidence.Body{Bytes: body, Class: evidence.ClassCredential})
	})
}

// Offers lists what issuers offered, the newest first.
func (r *Room) Offers(ctx context.Context, p participant.ID) (out []Offer, err error) {
	err = r.c.DB.View(ctx, func(tx store.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT id, issuer, objects, at FROM wallet_offers WHERE participant = $1 ORDER BY at DESC, id DESC`, string(p))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var o Offer
			var objects string
			var at int64
			if err := rows.Scan(&o.ID, &o.Issuer, &objects, &at); err != nil {
				return err
			}
			if err := strictjson.Decode([]byte(objects), &o.Objects); err != nil {
				return err
			}
			o.At = moment(at)
			out = append(out, o)
		}
		return rows.Err()
	})
	return out, err
}
