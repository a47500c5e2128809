// Package wallet keeps a participant's own credentials and shows them: as holder
// it asks issuers, takes what they deliver, and answers verifiers with what is
// shared with them and no more. It is not for what others show us (trust), nor
// for what we attest about others (issuer).
package wallet

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"kakehashi/dcp"
	"kakehashi/did"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/internal/watch"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/vc"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schema is what this room keeps.
var Schema = store.SchemaIn("wallet", schemaFiles)

// The kinds of the changes that this room tells of.
const (
	Changed = "credential" // ours: one came or went
	shares  = "share"      // what is shared is another
)

// Config is what the room needs.
type Config struct {
	DB           store.DB
	Participants *participant.Room
	Identity     *identity.Room
	// Status and Schemas check what is delivered and imported.
	Status  func(p participant.ID) vc.StatusLists
	Schemas vc.Schemas
	// Strict refuses queries for more than was granted, in place of answering with
	// less.
	Strict   bool
	Evidence *evidence.Log
	Outbox   *outbox.Queue
	Watch    *watch.Hub
	HTTP     *http.Client // guarded
	Now      func() time.Time
	Rand     io.Reader
	Log      *slog.Logger
}

// Room is the wallets of all participants of the node.
type Room struct {
	c Config

	mu     sync.RWMutex
	shared map[participant.ID][]Share // read at Open and when one changes
}

// Open reads what is shared and takes the room's jobs.
func Open(ctx context.Context, c Config) (*Room, error) {
	r := &Room{c: c}
	if err := r.readShares(ctx); err != nil {
		return nil, fmt.Errorf("open the wallets: %w", err)
	}
	c.Watch.Elsewhere(shares, func(watch.Change, bool) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.readShares(ctx); err != nil {
			c.Log.Warn("what is shared was not read again", "err", err)
		}
	})
	c.Outbox.Handle(jobRequest, r.sendRequest, outbox.OnFail(r.requestFailed), outbox.About(func(outbox.Job) outbox.Subject {
		return outbox.Subject{Message: dcp.TypeRequest}
	}))
	return r, nil
}

// Credential is one of our own.
type Credential struct {
	Digest    string
	ID        string
	Issuer    string // DID
	Types     []string
	HolderPid string // under which it was delivered; "" for one that was imported
	From      time.Time
	Until     time.Time // zero: for ever
	Received  time.Time
}

// Import keeps a credential that came as a file. It must be about us, signed by
// its issuer and good now; whether others trust the issuer is their affair.
func (r *Room) Import(ctx context.Context, p participant.ID, raw string) (Credential, error) {
	c, err := vc.ParseCredential(raw)
	if err != nil {
		return Credential{}, err
	}
	if err := r.verify(ctx, p, c, c.Issuer); err != nil {
		return Credential{}, err
	}
	var kept Credential
	err = r.c.DB.Update(ctx, func(tx store.Tx) error {
		kept, err = r.keep(tx, p, c, "")
		return err
	})
	return kept, err
}

// believing trusts one issuer for everything: what it says about us is ours to
// keep, others judge it.
type believing string

// Trusts implements vc.Trust.
func (b believing) Trusts(_ context.Context, issuer string, types []string, _ time.Time) (vc.Basis, error) {
	if issuer != string(b) {
		return vc.Basis{}, fault.CredentialUntrusted.At("", "issuer", issuer, "type", strings.Join(types, ", "))
	}
	return vc.Basis{Kind: "issuer"}, nil
}

// verify checks a credential of issuer's about p.
func (r *Room) verify(ctx context.Context, p participant.ID, c vc.Credential, issuer string) error {
	us, ok := r.c.Participants.Get(p)
	if !ok {
		return fault.NotFound.At("", "what", "participant "+string(p))
	}
	v := vc.Verifier{Keys: r.c.Identity.Key, Trust: believing(issuer), Status: r.c.Status(p), Schemas: r.c.Schemas, Now: r.c.Now, Leeway: dcp.Leeway}
	_, err := v.Credential(ctx, c, us.DID)
	return err
}

// keep writes a credential. One that was delivered takes the place of what the
// same issuer delivered under the same pid and type.
func (r *Room) keep(tx store.Tx, p participant.ID, c vc.Credential, pid string) (Credential, error) {
	kept := Credential{Digest: c.Digest(), ID: c.ID, Issuer: c.Issuer, Types: c.Types, HolderPid: pid, From: c.ValidFrom, Until: c.ValidUntil,
		Received: r.c.Now().UTC().Truncate(time.Microsecond)}
	types := strings.Join(c.Types, " ")
	if pid != "" {
		if err := tx.Exec(`DELETE FROM wallet_credentials WHERE participant = $1 AND issuer = $2 AND holder_pid = $3 AND types = $4`,
			string(p), c.Issuer, pid, types); err != nil {
			return kept, err
		}
	}
	if err := tx.Exec(`INSERT INTO wallet_credentials (participant, digest, id, issuer, types, holder_pid, valid_from, valid_until, received)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (participant, digest) DO UPDATE SET holder_pid = excluded.holder_pid`,
		string(p), kept.Digest, kept.ID, kept.Issuer, types, pid, micros(kept.From), micros(kept.Until), kept.Received.UnixMicro()); err != nil {
		return kept, err
	}
	tx.AfterCommit(func() {
		r.c.Watch.Publish(watch.Change{Participant: string(p), Kind: Changed, ID: kept.Digest, At: r.c.Now()})
	})
	return kept, r.c.Evidence.Append(tx, p, evidence.Leaf{Type: "kh.credential.received", Process: pid, Counterparty: c.Issuer, Direction: evidence.In,
		Hashes: map[string]string{"credential": kept.Digest}, Facts: map[string]string{"type": c.Type()}},
		evidence.Body{Digest: kept.Digest, Bytes: []byte(c.Raw), Class: evidence.ClassCredential})
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// Credentials lists our own, the newest first, up to 1000.
func (r *Room) Credentials(ctx context.Context, p participant.ID) (out []Credential, err error) {
	err = r.c.DB.View(ctx, func(tx store.Tx) error {
		out, err = readCredentials(tx, p)
		return err
	})
	return out, err
}

func readCredentials(tx store.Tx, p participant.ID) ([]Credential, error) {
	rows, err := tx.Query(`SELECT digest, id, issuer, types, holder_pid, valid_from, valid_until, received
		FROM wallet_credentials WHERE participant = $1 ORDER BY received DESC, digest LIMIT 1000`, string(p))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Credential
	for rows.Next() {
		var c Credential
		var types string
		var from, until, received int64
		if err := rows.Scan(&c.Digest, &c.ID, &c.Issuer, &types, &c.HolderPid, &from, &until, &received); err != nil {
			return nil, err
		}
		c.Types, c.From, c.Until, c.Received = strings.Fields(types), moment(from), moment(until), moment(received)
		out = append(out, c)
	}
	return out, rows.Err()
}

// Raw gives one of our own as it came.
func (r *Room) Raw(ctx context.Context, p participant.ID, digest string) (raw string, err error) {
	err = r.c.DB.View(ctx, func(tx store.Tx) error {
		var have string
		if err := tx.QueryRow(`SELECT digest FROM wallet_credentials WHERE participant = $1 AND digest = $2`, string(p), digest).Scan(&have); err != nil {
			return err
		}
		b, err := r.c.Evidence.BodyTx(tx, p, digest)
		raw = string(b)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return "", fault.NotFound.At("", "what", digest)
	}
	return raw, err
}

// Remove takes one of our own away: nobody is shown it any more. The evidence of
// it stays.
func (r *Room) Remove(ctx context.Context, p participant.ID, digest string) error {
	return r.c.DB.Update(ctx, func(tx store.Tx) error {
		var have string
		err := tx.QueryRow(`DELETE FROM wallet_credentials WHERE participant = $1 AND digest = $2 RETURNING digest`, string(p), digest).Scan(&have)
		if errors.Is(err, store.ErrNotFound) {
			return fault.NotFound.At("", "what", digest)
		}
		if err != nil {
			return err
		}
		return r.c.Evidence.Append(tx, p, evidence.Leaf{Type: "kh.credential.removed", Hashes: map[string]string{"credential": digest}})
	})
}

// Share says who may be shown what.
type Share struct {
	Counterparty string // DID, "" for everybody
	Type         string
}

const maxShares = 1000

// Share lets a counterparty, or everybody, be shown our credentials of a type;
// with stop it may no longer. Nothing is shared unless it says so.
func (r *Room) Share(ctx context.Context, p participant.ID, s Share, stop bool) error {
	if s.Type == "" || strings.ContainsAny(s.Type, " \t\r\n") || len(s.Type) > 200 {
		return fault.BadMessage.At("type", "reason", "it is no type of a credential")
	}
	if s.Counterparty != "" {
		if err := did.Check(s.Counterparty); err != nil {
			return err
		}
	}
	err := r.c.DB.Update(ctx, func(tx store.Tx) error {
		what := "credential type shared"
		if stop {
			what = "credential type shared no more"
			if err := tx.Exec(`DELETE FROM wallet_shares WHERE participant = $1 AND counterparty = $2 AND type = $3`, string(p), s.Counterparty, s.Type); err != nil {
				return err
			}
		} else {
			var n int64
			if err := tx.QueryRow(`SELECT COUNT(*) FROM wallet_shares WHERE participant = $1`, string(p)).Scan(&n); err != nil {
				return err
			}
			if n >= maxShares {
				return fault.BadMessage.At("", "reason", "there are 1000 shares already")
			}
			if err := tx.Exec(`INSERT INTO wallet_shares (participant, counterparty, type) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
				string(p), s.Counterparty, s.Type); err != nil {
				return err
			}
		}
		return r.c.Evidence.Append(tx, p, evidence.Leaf{Type: "kh.admin.action", Counterparty: s.Counterparty, Facts: map[string]string{"action": what, "type": s.Type}})
	})
	if err != nil {
		return err
	}
	r.c.Watch.Publish(watch.Change{Participant: string(p), Kind: shares, At: r.c.Now()})
	return r.readShares(ctx)
}

// Shares lists what is shared, with whom.
func (r *Room) Shares(p participant.ID) []Share {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clone(r.shared[p])
}

func (r *Room) readShares(ctx context.Context) error {
	all := map[participant.ID][]Share{}
	err := r.c.DB.View(ctx, func(tx store.Tx) error {
		clear(all)
		rows, err := tx.Query(`SELECT participant, counterparty, type FROM wallet_shares ORDER BY participant, counterparty, type`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var p string
			var s Share
			if err := rows.Scan(&p, &s.Counterparty, &s.Type); err != nil {
				return err
			}
			all[participant.ID(p)] = append(all[participant.ID(p)], s)
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shared = all
	return nil
}

// sharedWith gives the scopes that a counterparty may read.
func (r *Room) sharedWith(p participant.ID, counterparty string) []dcp.Scope {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []dcp.Scope
	for _, s := range r.shared[p] {
		if s.Counterparty == "" || s.Counterparty == counterparty {
			out = append(out, dcp.TypeScope(s.Type))
		}
	}
	return out
}
