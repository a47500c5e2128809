// Package agreement is what two parties are bound to: the noun that negotiation
// brings about and that transfer, data plane, policy and portal share, so that
// none of them needs negotiation.
//
// It does not judge terms; policy does.
package agreement

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"sync"
	"time"

	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/internal/format"
	"kakehashi/internal/strictjson"
	"kakehashi/internal/watch"
	"kakehashi/participant"
	"kakehashi/store"
)

//go:embed schema/*.sql
var files embed.FS

// Schema is what agreement keeps.
var Schema = store.SchemaIn("agreement", files)

// Role is the side of an agreement that we are on.
type Role string

const (
	Provider Role = "provider"
	Consumer Role = "consumer"
)

// Agreement is what was agreed. All but its end is immutable.
type Agreement struct {
	ID             string         `json:"id"`
	Role           Role           `json:"role"`
	Counterparty   string         `json:"counterparty"`
	Assigner       string         `json:"assigner"` // the provider
	Assignee       string         `json:"assignee"` // the consumer
	Dataset        string         `json:"dataset"`
	DatasetVersion int64          `json:"datasetVersion,omitempty"` // as published when agreed; provider only
	Offer          string         `json:"offer"`
	Policy         strictjson.Raw `json:"policy"` // the rules
	Body           strictjson.Raw `json:"body"`   // the agreement as it stood on the wire
	Negotiation    string         `json:"negotiation"`
	Signed         time.Time      `json:"signed"`

	Ended time.Time `json:"-"` // zero: in force
	Why   string    `json:"-"`
	Newer bool      `json:"-"` // in a list: a newer program wrote it, and only what columns hold is known here
}

// kept is the body of a row.
type kept struct {
	Format int64 `json:"v,omitzero"`
	Agreement
}

// Config is what a Room needs.
type Config struct {
	DB       store.DB
	Evidence *evidence.Log
	Watch    *watch.Hub // tells and hears of ends; nil: nobody else is told
	Now      func() time.Time
}

// Ending is the kind of the changes that tell of the end of an agreement.
const Ending = "agreement"

// believed is how long one in memory is believed to be in force while there are
// other replicas: what one of them ended, and never told for it died, is seen then.
const believed = 500 * time.Millisecond

// Room is the agreements of all participants of a node.
type Room struct {
	c Config

	mu     sync.RWMutex
	cached map[key]seen // in force when read; dropped by End after its commit
	ended  int64        // counts ends, so that what was read before one is not kept after it
}

// seen is an agreement as it was read.
type seen struct {
	Agreement
	at time.Time
}

type key struct {
	p  participant.ID
	id string
}

// maxCached bounds the agreements kept in memory; past it the cache starts anew.
const maxCached = 10_000

// Open makes the room.
func Open(c Config) *Room {
	if c.Watch == nil {
		c.Watch = watch.New()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	r := &Room{c: c, cached: map[key]seen{}}
	c.Watch.Elsewhere(Ending, func(c watch.Change, lost bool) {
		if lost {
			r.forget(nil)
			return
		}
		r.forget(&key{participant.ID(c.Participant), c.ID})
	})
	return r
}

// Conclude keeps a new agreement in the caller's unit, with its leaf. An id that
// exists already is store.ErrConflict: an agreement is concluded once.
func (r *Room) Conclude(tx store.Tx, p participant.ID, a Agreement) error {
	body, err := strictjson.Encode(kept{format.Mark(), a})
	if err != nil {
		return err
	}
	err = tx.Exec(`INSERT INTO agreement_agreements (participant, id, role, counterparty, dataset, negotiation, signed, body)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		string(p), a.ID, string(a.Role), a.Counterparty, a.Dataset, a.Negotiation, a.Signed.UnixMicro(), body)
	if err != nil {
		return fmt.Errorf("conclude agreement %s: %w", a.ID, err)
	}
	before := r.ends()
	tx.AfterCommit(func() { r.keep(p, a, before) })
	return r.c.Evidence.Append(tx, p, evidence.Leaf{
		Type: "kh.agreement.concluded", Process: a.ID, Version: 1, Counterparty: a.Counterparty,
		Correlation: map[string]string{"agreement": a.ID, "negotiation": a.Negotiation},
		Hashes:      map[string]string{"agreement": evidence.Digest(a.Body)},
		Facts:       map[string]string{"role": string(a.Role), "dataset": a.Dataset, "offer": a.Offer},
	}, evidence.Body{Digest: evidence.Digest(a.Body), Bytes: a.Body, Class: "agreement"})
}

// Get reads one agreement, ended or not; fault.AgreementUnknown if there is none.
// What another replica ended is seen as soon as it tells, and within half a second
// if it cannot; Hold is certain.
func (r *Room) Get(ctx context.Context, p participant.ID, id string) (Agreement, error) {
	r.mu.RLock()
	s, ok := r.cached[key{p, id}]
	before := r.ended
	r.mu.RUnlock()
	if ok && (!r.c.Watch.Shared() || r.c.Now().Sub(s.at) < believed) {
		return s.Agreement, nil
	}
	var a Agreement
	err := r.c.DB.View(ctx, func(tx store.Tx) error {
		var err error
		a, err = r.GetTx(tx, p, id)
		return err
	})
	if err == nil && a.Ended.IsZero() {
		r.keep(p, a, before)
	}
	return a, err
}

// Hold is fault.AgreementEnded, in the caller's unit, for an agreement that was
// ended since the caller judged, here or by another replica.
func (r *Room) Hold(tx store.Tx, p participant.ID, id string) error {
	var ended int64
	var why string
	err := tx.QueryRow(`SELECT ended, why FROM agreement_agreements WHERE participant = $1 AND id = $2`, string(p), id).Scan(&ended, &why)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fault.AgreementUnknown.At("/agreementId", "agreement", id)
	case err != nil:
		return fmt.Errorf("read agreement %s: %w", id, err)
	case ended != 0:
		return fault.AgreementEnded.At("/agreementId", "agreement", id, "reason", why)
	}
	return nil
}

// GetTx is Get inside a unit, past the cache.
func (r *Room) GetTx(tx store.Tx, p participant.ID, id string) (Agreement, error) {
	var body []byte
	var ended int64
	var why string
	err := tx.QueryRow(`SELECT body, ended, why FROM agreement_agreements WHERE participant = $1 AND id = $2`,
		string(p), id).Scan(&body, &ended, &why)
	if errors.Is(err, store.ErrNotFound) {
		return Agreement{}, fault.AgreementUnknown.At("/agreementId", "agreement", id)
	}
	if err != nil {
		return Agreement{}, fmt.Errorf("read agreement %s: %w", id, err)
	}
	return decode(id, body, ended, why)
}

// End ends an agreement in the caller's unit. Ending an ended one changes
// nothing. Who has transfers under it ends them in the same unit.
func (r *Room) End(tx store.Tx, p participant.ID, id, why string) error {
	a, err := r.GetTx(tx, p, id)
	if err != nil || !a.Ended.IsZero() {
		return err
	}
	now := r.c.Now()
	if err := tx.Exec(`UPDATE agreement_agreements SET ended = $3, why = $4 WHERE participant = $1 AND id = $2 AND ended = 0`,
		string(p), id, now.UnixMicro(), why); err != nil {
		return err
	}
	tx.AfterCommit(func() {
		r.forget(&key{p, id})
		r.c.Watch.Publish(watch.Change{Participant: string(p), Kind: Ending, ID: id, State: "ended", At: now})
	})
	return r.c.Evidence.Append(tx, p, evidence.Leaf{
		Type: "kh.agreement.ended", Process: id, Version: 2, Counterparty: a.Counterparty, At: now,
		Correlation: map[string]string{"agreement": id, "negotiation": a.Negotiation},
		Facts:       map[string]string{"reason": why},
	})
}

// InForce is the newest agreement in force as consumer with that counterpart
// about that dataset; fault.AgreementUnknown if there is none. Whether its terms
// still permit use is for policy to say.
func (r *Room) InForce(ctx context.Context, p participant.ID, counterparty, dataset string) (Agreement, error) {
	var a Agreement
	err := r.c.DB.View(ctx, func(tx store.Tx) error {
		var id string
		var body []byte
		err := tx.QueryRow(`SELECT id, body FROM agreement_agreements
			WHERE participant = $1 AND counterparty = $2 AND dataset = $3 AND role = 'consumer' AND ended = 0
			ORDER BY signed DESC LIMIT 1`, string(p), counterparty, dataset).Scan(&id, &body)
		if errors.Is(err, store.ErrNotFound) {
			return fault.AgreementUnknown.At("", "agreement", dataset)
		}
		if err != nil {
			return err
		}
		a, err = decode(id, body, 0, "")
		return err
	})
	return a, err
}

// Count reads how many agreements there are, ended ones too.
func (r *Room) Count(ctx context.Context, p participant.ID) (int, error) {
	var n int64
	err := r.c.DB.View(ctx, func(tx store.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM agreement_agreements WHERE participant = $1`, string(p)).Scan(&n)
	})
	return int(n), err
}

// List is one page, newest first; before is the id that ended the last page. It
// shows what newer programs wrote as well: see Agreement.Newer.
func (r *Room) List(ctx context.Context, p participant.ID, before string, limit int) (page []Agreement, next string, err error) {
	if limit <= 0 || limit > 500 {
		limit = 100
	}
	err = r.c.DB.View(ctx, func(tx store.Tx) error {
		signed, id := int64(1<<62), "\uffff"
		if before != "" {
			id = before
			err := tx.QueryRow(`SELECT signed FROM agreement_agreements WHERE participant = $1 AND id = $2`, string(p), before).Scan(&signed)
			if errors.Is(err, store.ErrNotFound) {
				return fault.NotFound.At("cursor", "what", before)
			}
			if err != nil {
				return err
			}
		}
		rows, err := tx.Query(`SELECT id, role, counterparty, dataset, negotiation, signed, body, ended, why FROM agreement_agreements
			WHERE participant = $1 AND (signed, id) < ($2, $3) ORDER BY signed DESC, id DESC LIMIT $4`,
			string(p), signed, id, limit+1)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var head Agreement
			var body []byte
			var signed, ended int64
			var why string
			if err := rows.Scan(&head.ID, (*string)(&head.Role), &head.Counterparty, &head.Dataset, &head.Negotiation, &signed,
				&body, &ended, &why); err != nil {
				return err
			}
			a, err := decode(head.ID, body, ended, why)
			if _, newer := format.Of(err); newer {
				a, err = head, nil
				a.Newer, a.Signed, a.Why = true, time.UnixMicro(signed).UTC(), why
				if ended != 0 {
					a.Ended = time.UnixMicro(ended).UTC()
				}
			}
			if err != nil {
				return err
			}
			page = append(page, a)
		}
		return rows.Err()
	})
	if err == nil && len(page) > limit {
		page = page[:limit]
		next = page[limit-1].ID
	}
	return page, next, err
}

// keep remembers what was in force, unless an agreement ended since before.
func (r *Room) keep(p participant.ID, a Agreement, before int64) {
	now := r.c.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended != before {
		return
	}
	if len(r.cached) >= maxCached {
		clear(r.cached)
	}
	r.cached[key{p, a.ID}] = seen{a, now}
}

// forget drops one that ended, or all.
func (r *Room) forget(k *key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended++
	if k == nil {
		clear(r.cached)
		return
	}
	delete(r.cached, *k)
}

func (r *Room) ends() int64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.ended
}

func decode(id string, body []byte, ended int64, why string) (Agreement, error) {
	if err := format.Look("agreement", id, body); err != nil {
		return Agreement{}, err
	}
	var k kept
	if err := strictjson.Decode(body, &k); err != nil {
		return k.Agreement, fmt.Errorf("read a kept agreement: %w", err)
	}
	a := k.Agreement
	if ended != 0 {
		a.Ended, a.Why = time.UnixMicro(ended).UTC(), why
	}
	return a, nil
}
