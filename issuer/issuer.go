// Package issuer is what a participant attests about others: the types of
// credentials that it issues, what it knows of their subjects, requests of
// holders, delivery, and the status lists by which it takes back what it said.
// It is not for our own credentials (wallet) nor for whom we believe (trust).
package issuer

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"kakehashi/dcp"
	"kakehashi/did"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/internal/recent"
	"kakehashi/internal/strictjson"
	"kakehashi/internal/watch"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schema is what this room keeps.
var Schema = store.SchemaIn("issuer", schemaFiles)

// Changed is the kind of the changes that tell of a request: its state, by its id.
const Changed = "issuance"

// Config is what the room needs.
type Config struct {
	DB           store.DB
	Participants *participant.Room
	Identity     *identity.Room
	Evidence     *evidence.Log
	Outbox       *outbox.Queue
	Watch        *watch.Hub
	HTTP         *http.Client // guarded
	Now          func() time.Time
	Rand         io.Reader
	Log          *slog.Logger
}

// Room issues for all participants of the node.
type Room struct {
	c     Config
	lists *recent.Of[listKey, signedList]
}

// Open makes the room and takes its jobs.
func Open(c Config) *Room {
	r := &Room{c: c, lists: recent.New[listKey, signedList](maxSignedLists)}
	c.Outbox.Handle(jobDeliver, r.deliver, outbox.OnFail(r.undelivered), outbox.About(subject))
	c.Outbox.Handle(jobOffer, r.sendOffer)
	return r
}

// Approval says who decides on a request.
type Approval string

// The ways of approval.
const (
	Ask      Approval = "ask"      // people decide on each
	Attested Approval = "attested" // at once for subjects that were attested before, else people decide
	Anybody  Approval = "anybody"  // at once for whoever asks
)

// Type is a kind of credential that a participant issues.
type Type struct {
	ID       string // in the metadata and in requests
	Type     string
	Profile  string // dcp.ProfileVC20 or dcp.ProfileVC11
	Schema   string // URL that the subject keeps to, or ""
	Lifetime time.Duration
	Approval Approval
	// Suspendable credentials name a second status list, by which they can be
	// suspended; some peers read credentials with one list only.
	Suspendable bool
	// Format is how deliveries name the form of a credential, "" the profile; holders
	// built on drafts know VC1_0_JWT and VC2_0_JOSE only.
	Format string
	Claims map[string]any // about every subject; what was attested of one goes over it
}

const (
	maxTypes    = 100
	maxLifetime = 10 * 365 * 24 * time.Hour
	maxClaims   = 16 << 10
	maxName     = 200
)

func name(s string) bool { return s != "" && len(s) <= maxName && !strings.ContainsAny(s, " \t\r\n") }

func (t Type) check() error {
	bad := func(place, reason string) error { return fault.BadMessage.At(place, "reason", reason) }
	switch {
	case !name(t.ID):
		return bad("id", "it is missing, longer than 200 bytes or has spaces")
	case !name(t.Type):
		return bad("type", "it is missing, longer than 200 bytes or has spaces")
	case t.Profile != dcp.ProfileVC20 && t.Profile != dcp.ProfileVC11:
		return bad("profile", "it is neither "+dcp.ProfileVC20+" nor "+dcp.ProfileVC11)
	case len(t.Format) > maxName:
		return bad("format", "it is longer than 200 bytes")
	case t.Lifetime < time.Minute || t.Lifetime > maxLifetime:
		return bad("lifetime", "it is not between a minute and ten years")
	case t.Approval != Ask && t.Approval != Attested && t.Approval != Anybody:
		return bad("approval", "it is not ask, attested or anybody")
	}
	return nil
}

// Define keeps a type, in place of one with the same id. The error is
// fault.BadMessage.
func (r *Room) Define(ctx context.Context, p participant.ID, t Type) error {
	if err := t.check(); err != nil {
		return err
	}
	claims, err := encodeClaims(t.Claims)
	if err != nil {
		return err
	}
	return r.c.DB.Update(ctx, func(tx store.Tx) error {
		var n int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM issuer_types WHERE participant = $1 AND id <> $2`, string(p), t.ID).Scan(&n); err != nil {
			return err
		}
		if n >= maxTypes {
			return fault.BadMessage.At("id", "reason", "there are 100 types already")
		}
		if err := tx.Exec(`INSERT INTO issuer_types (participant, id, type, profile, schema_url, lifetime, approval, suspendable, format, claims)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (participant, id) DO UPDATE SET type = excluded.type, profile = excluded.profile,
			schema_url = excluded.schema_url, lifetime = excluded.lifetime, approval = excluded.approval, suspendable = excluded.suspendable, format = excluded.format, claims = excluded.claims`,
			string(p), t.ID, t.Type, t.Profile, t.Schema, int64(t.Lifetime/time.Second), string(t.Approval), t.Suspendable, t.Format, claims); err != nil {
			return err
		}
		return r.c.Evidence.Append(tx, p, evidence.Leaf{Type: "kh.admin.action", Facts: map[string]string{
			"action": "credential type defined", "type": t.Type, "id": t.ID, "approval": string(t.Approval)}})
	})
}

func encodeClaims(claims map[string]any) (string, error) {
	if claims == nil {
		claims = map[string]any{}
	}
	b, err := strictjson.Encode(claims)
	if err != nil || len(b) > maxClaims {
		return "", fault.BadMessage.At("claims", "reason", "they are no JSON object of at most 16 KiB").Because(err)
	}
	return string(b), nil
}

// Types lists what a participant issues, by id.
func (r *Room) Types(ctx context.Context, p participant.ID) (out []Type, err error) {
	err = r.c.DB.View(ctx, func(tx store.Tx) error {
		out, err = readTypes(tx, p)
		return err
	})
	return out, err
}

func readTypes(tx store.Tx, p participant.ID) ([]Type, error) {
	rows, err := tx.Query(`SELECT id, type, profile, schema_url, lifetime, approval, suspendable, format, claims FROM issuer_types WHERE participant = $1 ORDER BY id`, string(p))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Type
	for rows.Next() {
		var t Type
		var lifetime int64
		var approval, claims string
		if err := rows.Scan(&t.ID, &t.Type, &t.Profile, &t.Schema, &lifetime, &approval, &t.Suspendable, &t.Format, &claims); err != nil {
			return nil, err
		}
		t.Lifetime, t.Approval = time.Duration(lifetime)*time.Second, Approval(approval)
		if err := strictjson.Decode([]byte(claims), &t.Claims); err != nil {
			return nil, fmt.Errorf("claims of type %s: %w", t.ID, err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

// Attestation is what a participant knows about a subject, for credentials of a
// type.
type Attestation struct {
	Subject string // DID
	Type    string
	Claims  map[string]any
	At      time.Time
}

// Attest keeps what is known of a subject, in place of what was known.
func (r *Room) Attest(ctx context.Context, p participant.ID, a Attestation) error {
	if err := did.Check(a.Subject); err != nil {
		return err
	}
	if !name(a.Type) {
		return fault.BadMessage.At("type", "reason", "it is missing, longer than 200 bytes or has spaces")
	}
	claims, err := encodeClaims(a.Claims)
	if err != nil {
		return err
	}
	return r.c.DB.Update(ctx, func(tx store.Tx) error {
		if err := tx.Exec(`INSERT INTO issuer_attested (participant, subject, type, claims, at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (participant, subject, type) DO UPDATE SET claims = excluded.claims, at = excluded.at`,
			string(p), a.Subject, a.Type, claims, r.c.Now().UnixMicro()); err != nil {
			return err
		}
		return r.c.Evidence.Append(tx, p, evidence.Leaf{Type: "kh.admin.action", Counterparty: a.Subject, Facts: map[string]string{
			"action": "subject attested", "type": a.Type}})
	})
}

// Attestations lists up to 1000, by subject.
func (r *Room) Attestations(ctx context.Context, p participant.ID) (out []Attestation, err error) {
	err = r.c.DB.View(ctx, func(tx store.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT subject, type, claims, at FROM issuer_attested WHERE participant = $1 ORDER BY subject, type LIMIT 1000`, string(p))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var a Attestation
			var claims string
			var at int64
			if err := rows.Scan(&a.Subject, &a.Type, &claims, &at); err != nil {
				return err
			}
			if err := strictjson.Decode([]byte(claims), &a.Claims); err != nil {
				return err
			}
			a.At = time.UnixMicro(at).UTC()
			out = append(out, a)
		}
		return rows.Err()
	})
	return out, err
}

// attested gives what is known of a subject; ok is false when nothing is.
func attested(tx store.Tx, p participant.ID, subject, typ string) (claims map[string]any, ok bool, err error) {
	var text string
	err = tx.QueryRow(`SELECT claims FROM issuer_attested WHERE participant = $1 AND subject = $2 AND type = $3`, string(p), subject, typ).Scan(&text)
	if errors.Is(err, store.ErrNotFound) {
		return nil, false, nil
	}
	if err == nil {
		err = strictjson.Decode([]byte(text), &claims)
	}
	return claims, err == nil, err
}

// Metadata is what everybody may know of what we issue (DCP 1.0, section 6.7).
func (r *Room) Metadata(ctx context.Context, p participant.ID) ([]byte, error) {
	types, err := r.Types(ctx, p)
	if err != nil {
		return nil, err
	}
	us, _ := r.c.Participants.Get(p)
	m := dcp.IssuerMetadata{Issuer: us.DID}
	for _, t := range types {
		m.Supported = append(m.Supported, t.object(""))
	}
	return m.Encode()
}

func (t Type) format() string {
	if t.Format != "" {
		return t.Format
	}
	return t.Profile
}

func (t Type) object(reason string) dcp.CredentialObject {
	return dcp.CredentialObject{ID: t.ID, CredentialType: t.Type, Schema: t.Schema, OfferReason: reason, Bindings: []string{"did:web"}, Profile: t.Profile}
}
