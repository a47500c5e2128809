package issuer

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"kakehashi/dcp"
	"kakehashi/did"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/vc"
)

// Issued is a credential that a participant made.
type Issued struct {
	ID          string // of the credential
	Request     string // that it answers, "" for none
	Holder      string
	Type        string
	Format      string // as deliveries name it
	Suspendable bool
	Digest      string
	List        string // of its status
	Index       int64
	State       string // Valid, Suspended or Revoked
	Reason      string // of the state
	At          time.Time
	Until       time.Time
}

// States of what was issued.
const (
	Valid     = "valid"
	Suspended = "suspended"
	Revoked   = "revoked"
)

// Order is a credential that nobody asked for over the wire.
type Order struct {
	Type      string // id of a type
	Holder    string // DID
	Claims    map[string]any
	HolderPid string // under which the holder expects it: it is delivered; "" leaves that to people
}

// Issue makes a credential, and delivers it where the order says under which
// holderPid. It gives the credential too, for a file.
func (r *Room) Issue(ctx context.Context, p participant.ID, o Order) (Issued, string, error) {
	if err := did.Check(o.Holder); err != nil {
		return Issued{}, "", err
	}
	if _, err := encodeClaims(o.Claims); err != nil {
		return Issued{}, "", err
	}
	if o.HolderPid != "" {
		if _, err := r.c.Identity.Service(ctx, o.Holder, did.CredentialService); err != nil {
			return Issued{}, "", err
		}
	}
	picks := positions(r.c.Rand, 1)
	var made Issued
	var raw, lane string
	err := r.c.DB.Update(ctx, func(tx store.Tx) error {
		types, err := pick(tx, p, []string{o.Type})
		if err != nil {
			return err
		}
		q := Request{Holder: o.Holder, HolderPid: o.HolderPid, Types: []string{o.Type}, State: dcp.Approved, Created: r.c.Now()}
		if lane = ""; o.HolderPid != "" {
			q.ID = ids.Short()
			lane = q.ID
			if err := insertRequest(tx, p, q); errors.Is(err, store.ErrConflict) {
				return fault.RequestExists.At("holderPid", "id", o.HolderPid)
			} else if err != nil {
				return err
			}
		}
		if made, raw, err = r.make(tx, p, q.ID, o.Holder, types[0], o.Claims, picks[0]); err != nil || lane == "" {
			return err
		}
		return r.putDelivery(tx, p, q)
	})
	if err != nil {
		return Issued{}, "", err
	}
	if lane != "" {
		r.c.Outbox.Wake(lane)
	}
	return made, raw, nil
}

// make signs a credential within tx: what every subject of the type is told, over
// it what was attested of this one, over it claims.
func (r *Room) make(tx store.Tx, p participant.ID, request, holder string, t Type, claims map[string]any, picks []int64) (Issued, string, error) {
	us, _ := r.c.Participants.Get(p)
	key, err := r.c.Participants.Key(p, participant.Token)
	if err != nil {
		return Issued{}, "", err
	}
	known, _, err := attested(tx, p, holder, t.Type)
	if err != nil {
		return Issued{}, "", err
	}
	about := maps.Clone(t.Claims)
	if about == nil {
		about = map[string]any{}
	}
	maps.Copy(about, known)
	maps.Copy(about, claims)
	now := r.c.Now().UTC().Truncate(time.Second)
	made := Issued{ID: "urn:uuid:" + ids.Short(), Request: request, Holder: holder, Type: t.Type, Suspendable: t.Suspendable, Format: t.format(), State: Valid, At: now, Until: now.Add(t.Lifetime)}
	entry := entryOf(t.Profile)
	if made.List, err = r.listFor(tx, p, entry); err != nil {
		return Issued{}, "", err
	}
	d := vc.Draft{Model: vc.VC20, ID: made.ID, Types: []string{t.Type}, Issuer: us.DID, Subject: holder, Claims: about, ValidFrom: now, ValidUntil: made.Until}
	if t.Profile == dcp.ProfileVC11 {
		d.Model = vc.VC11
	}
	if t.Schema != "" {
		d.Schemas = []vc.Schema{{ID: t.Schema, Type: "JsonSchema"}}
	}
	if made.Index, err = freePosition(tx, p, made.List, picks); err != nil {
		return Issued{}, "", err
	}
	purposes := []string{vc.Revocation}
	if t.Suspendable {
		purposes = append(purposes, vc.Suspension)
	}
	for _, purpose := range purposes {
		d.Statuses = append(d.Statuses, vc.StatusEntry{Type: entry, Purpose: purpose, List: listURL(us, made.List, purpose), Index: made.Index})
	}
	raw, err := vc.Issue(r.c.Rand, key, d)
	if err != nil {
		return Issued{}, "", err
	}
	made.Digest = evidence.Digest([]byte(raw))
	if err := tx.Exec(`INSERT INTO issuer_issued (participant, id, request, holder, type, format, suspendable, digest, list, position, state, reason, issued, until)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '', $12, $13)`, string(p), made.ID, request, holder, t.Type, made.Format, t.Suspendable, made.Digest,
		made.List, made.Index, Valid, now.UnixMicro(), made.Until.UnixMicro()); err != nil {
		return Issued{}, "", err
	}
	err = r.c.Evidence.Append(tx, p, evidence.Leaf{Type: "kh.credential.issued", Process: made.ID, Version: 1, Counterparty: holder,
		Hashes: map[string]string{"credential": made.Digest}, Facts: map[string]string{"type": t.Type, "kid": key.KID, "until": made.Until.Format(time.RFC3339)}},
		evidence.Body{Digest: made.Digest, Bytes: []byte(raw), Class: evidence.ClassCredential})
	return made, raw, err
}

func entryOf(profile string) string {
	if profile == dcp.ProfileVC11 {
		return vc.StatusList2021
	}
	return vc.BitstringEntry
}

// tries is how many random positions are looked at before a list counts as full;
// lists are closed when they are half full.
const tries = 32

// positions draws random positions for n credentials, so that neighbours in a
// list have nothing to do with each other.
func positions(random io.Reader, n int) [][]int64 {
	if random == nil {
		random = rand.Reader
	}
	b := make([]byte, 4*tries*n)
	if _, err := io.ReadFull(random, b); err != nil {
		panic("the source of randomness gave out: " + err.Error()) // as crypto/rand does
	}
	out := make([][]int64, n)
	for i := range b[:tries*n] {
		out[i/tries] = append(out[i/tries], int64(binary.BigEndian.Uint32(b[4*i:])%vc.MinBits))
	}
	return out
}

// freePosition takes the first of picks that no credential has.
func freePosition(tx store.Tx, p participant.ID, list string, picks []int64) (int64, error) {
	for _, at := range picks {
		var id string
		err := tx.QueryRow(`SELECT id FROM issuer_issued WHERE participant = $1 AND list = $2 AND position = $3`, string(p), list, at).Scan(&id)
		if errors.Is(err, store.ErrNotFound) {
			return at, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("no free position in status list %s after %d tries", list, len(picks))
}

// Issued lists the newest first, up to 1000.
func (r *Room) Issued(ctx context.Context, p participant.ID) (out []Issued, err error) {
	err = r.c.DB.View(ctx, func(tx store.Tx) error {
		out, err = readIssued(tx, p, `TRUE ORDER BY issued DESC, id LIMIT 1000`)
		return err
	})
	return out, err
}

func readIssued(tx store.Tx, p participant.ID, where string, args ...any) ([]Issued, error) {
	rows, err := tx.Query(`SELECT id, request, holder, type, format, suspendable, digest, list, position, state, reason, issued, until
		FROM issuer_issued WHERE participant = $1 AND `+where, append([]any{string(p)}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Issued
	for rows.Next() {
		var i Issued
		var at, until int64
		if err := rows.Scan(&i.ID, &i.Request, &i.Holder, &i.Type, &i.Format, &i.Suspendable, &i.Digest, &i.List, &i.Index, &i.State, &i.Reason, &at, &until); err != nil {
			return nil, err
		}
		i.At, i.Until = time.UnixMicro(at).UTC(), time.UnixMicro(until).UTC()
		out = append(out, i)
	}
	return out, rows.Err()
}

// Mark revokes a credential, suspends it, or lifts a suspension: to is Revoked,
// Suspended or Valid. What is revoked stays so: fault.RequestDecided.
func (r *Room) Mark(ctx context.Context, p participant.ID, id, to, reason string) error {
	if !slices.Contains([]string{Valid, Suspended, Revoked}, to) {
		return fault.BadMessage.At("state", "reason", "it is not valid, suspended or revoked")
	}
	return r.c.DB.Update(ctx, func(tx store.Tx) error {
		found, err := readIssued(tx, p, `id = $2`, id)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fault.NotFound.At("", "what", id)
		}
		was := found[0]
		if was.State == to {
			return nil
		}
		if to == Suspended && !was.Suspendable {
			return fault.NotSuspendable.At("", "id", id)
		}
		if was.State == Revoked {
			return fault.RequestDecided.At("", "id", id, "state", was.State)
		}
		if err := r.setBits(tx, p, was, to); err != nil {
			return err
		}
		if err := tx.Exec(`UPDATE issuer_issued SET state = $1, reason = $2 WHERE participant = $3 AND id = $4`, to, reason, string(p), id); err != nil {
			return err
		}
		kind := map[string]string{Revoked: "kh.credential.revoked", Suspended: "kh.credential.suspended", Valid: "kh.credential.resumed"}[to]
		return r.c.Evidence.Append(tx, p, evidence.Leaf{Type: kind, Process: id, Counterparty: was.Holder, Version: r.c.Now().UnixMicro(),
			Hashes: map[string]string{"credential": was.Digest}, Facts: map[string]string{"type": was.Type, "list": was.List}})
	})
}
