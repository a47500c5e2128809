// Package participant knows whom this node hosts: names that were chosen once,
// and the keys that speak for them. It is not for counterparts (partner), nor
// for the people who work here (account).
package participant

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"kakehashi/did"
	"kakehashi/internal/fault"
	"kakehashi/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schema is what this room keeps.
var Schema = store.SchemaIn("participant", schemaFiles)

// Config is what the room needs. A nil Now is time.Now, a nil Rand crypto/rand.
type Config struct {
	DB    store.DB
	Vault *Vault
	Now   func() time.Time
	Rand  io.Reader
}

// Room knows the hosted participants. All of them and their keys are in memory.
type Room struct {
	db    store.DB
	vault *Vault
	now   func() time.Time
	rand  io.Reader

	mu   sync.RWMutex
	all  []Participant // sorted by time of creation, then id; replaced, never changed
	byID map[ID]hosted
	away map[ID]Wallet // set at start
}

type hosted struct {
	Participant
	keys   map[Purpose]Key
	former []former // oldest first
}

// Open reads the participants and their keys. A vault with another key than the
// one they were sealed with is fault.VaultClosed.
func Open(ctx context.Context, c Config) (*Room, error) {
	if c.DB == nil || c.Vault == nil {
		return nil, errors.New("open participants: a store and a vault are required")
	}
	r := &Room{db: c.DB, vault: c.Vault, now: c.Now, rand: c.Rand, byID: map[ID]hosted{}}
	if r.now == nil {
		r.now = time.Now
	}
	if r.rand == nil {
		r.rand = rand.Reader
	}
	if err := r.Reload(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Reload reads the participants and their keys anew, after another replica
// changed them.
func (r *Room) Reload(ctx context.Context) error {
	var all []Participant
	var keys []sealedKey
	var old []former
	err := r.db.View(ctx, func(tx store.Tx) error {
		all, keys = nil, nil
		rows, err := tx.Query(`SELECT participant, did, base, origin, data_url, created FROM participant_participants`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var p Participant
			var id string
			var created int64
			if err := rows.Scan(&id, &p.DID, &p.Base, &p.Origin, &p.DataURL, &created); err != nil {
				return err
			}
			p.ID, p.Created = ID(id), time.UnixMicro(created).UTC()
			all = append(all, p)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if err := rows.Close(); err != nil {
			return err
		}
		if keys, err = readKeys(tx); err != nil {
			return err
		}
		old, err = readFormer(tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("read participants: %w", err)
	}
	byID := map[ID]hosted{}
	for _, p := range all {
		byID[p.ID] = hosted{Participant: p, keys: map[Purpose]Key{}}
	}
	for _, k := range keys {
		key, err := k.open(r.vault)
		if err != nil {
			return fmt.Errorf("open %s key of participant %s: %w", k.purpose, k.id, err)
		}
		if h, ok := byID[k.id]; ok {
			h.keys[k.purpose] = key
		}
	}
	for _, f := range old {
		if h, ok := byID[f.id]; ok {
			h.former = append(h.former, f)
			byID[f.id] = h
		}
	}
	sortParticipants(all)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all, r.byID = all, byID
	return nil
}

// Create keeps a new participant and makes its keys, in one unit. Created is set
// here when it is zero. What cannot be a participant is fault.ParticipantInvalid;
// an id, DID or origin that is hosted already is fault.ParticipantExists.
func (r *Room) Create(ctx context.Context, p Participant) error {
	if err := check(p); err != nil {
		return err
	}
	if p.Created.IsZero() {
		p.Created = r.now()
	}
	p.Created = p.Created.UTC().Truncate(time.Microsecond)
	h := hosted{Participant: p, keys: map[Purpose]Key{}}
	var sealed []sealedKey
	for _, purpose := range []Purpose{Token, Log} {
		k, s, err := makeKey(p, purpose, r.vault, r.rand)
		if err != nil {
			return fmt.Errorf("make %s key of participant %s: %w", purpose, p.ID, err)
		}
		h.keys[purpose] = k
		sealed = append(sealed, s)
	}
	err := r.db.Update(ctx, func(tx store.Tx) error {
		// Unique indexes begin with the participant, so the names that must be
		// unique over the node are looked for here; a node hosts few.
		var id string
		switch err := tx.QueryRow(`SELECT participant FROM participant_participants WHERE participant = $1 OR did = $2 OR origin = $3`,
			string(p.ID), p.DID, p.Origin).Scan(&id); {
		case err == nil && id == string(p.ID):
			return fault.ParticipantExists.At("", "what", id)
		case err == nil:
			return fault.ParticipantExists.At("", "what", p.DID)
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		if err := tx.Exec(`INSERT INTO participant_participants (participant, did, base, origin, data_url, created) VALUES ($1, $2, $3, $4, $5, $6)`,
			string(p.ID), p.DID, p.Base, p.Origin, p.DataURL, p.Created.UnixMicro()); err != nil {
			return err
		}
		for _, s := range sealed {
			if err := tx.Exec(`INSERT INTO participant_keys (participant, purpose, kid, alg, sealed, created) VALUES ($1, $2, $3, $4, $5, $6)`,
				string(p.ID), string(s.purpose), s.kid, s.alg, s.sealed, p.Created.UnixMicro()); err != nil {
				return err
			}
		}
		tx.AfterCommit(func() { r.add(h) })
		return nil
	})
	if errors.Is(err, store.ErrConflict) {
		return fault.ParticipantExists.At("", "what", string(p.ID)).Because(err)
	}
	if err != nil {
		return fmt.Errorf("create participant %s: %w", p.ID, err)
	}
	return nil
}

func (r *Room) add(h hosted) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byID[h.ID] = h
	all := append(slices.Clone(r.all), h.Participant)
	sortParticipants(all)
	r.all = all
}

// Get gives a hosted participant.
func (r *Room) Get(id ID) (Participant, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	h, ok := r.byID[id]
	return h.Participant, ok
}

// All gives the hosted participants, the oldest first. The caller must not
// change the slice.
func (r *Room) All() []Participant {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.all
}

// ByDID gives the hosted participant with this DID, compared whole.
func (r *Room) ByDID(did string) (Participant, bool) {
	for _, p := range r.All() {
		if p.DID == did {
			return p, true
		}
	}
	return Participant{}, false
}

// Key gives a key of a hosted participant; fault.NotFound when the participant
// is not hosted here.
func (r *Room) Key(id ID, p Purpose) (Key, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	k, ok := r.byID[id].keys[p]
	if !ok {
		return Key{}, fault.NotFound.At("", "what", "key "+string(p)+" of participant "+string(id))
	}
	return k, nil
}

var validID = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// check refuses what could not be undone: all of these names are permanent.
func check(p Participant) error {
	bad := func(place, reason string) error {
		return fault.ParticipantInvalid.At(place, "reason", reason)
	}
	if !validID.MatchString(string(p.ID)) {
		return bad("id", "the name must be 1 to 63 lower case letters, digits and hyphens")
	}
	normal, err := did.Normal(p.DID)
	if err != nil {
		return fmt.Errorf("create participant %s: %w", p.ID, err)
	}
	if normal != p.DID {
		return bad("did", "the DID must be written "+normal)
	}
	if p.Origin == "" || len(p.Origin) > 2048 || strings.ContainsAny(p.Origin, "+ \t\r\n") {
		return bad("origin", "the log's origin is empty or holds a space or a plus sign")
	}
	for place, s := range map[string]string{"base": p.Base, "data_url": p.DataURL} {
		u, err := url.Parse(s)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil ||
			strings.ContainsAny(s, "?#") || strings.HasSuffix(s, "/") {
			return bad(place, "it must be an http or https URL without query and trailing slash")
		}
	}
	return nil
}

func sortParticipants(all []Participant) {
	slices.SortFunc(all, func(a, b Participant) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
}
