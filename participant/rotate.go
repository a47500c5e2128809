package participant

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/jws"
	"kakehashi/store"
)

// former is a key that signs no more. Its private half is gone; its public half
// stands in the document until a time, for what it signed while it was current.
type former struct {
	PublishedKey
	id    ID
	until time.Time
}

// PublicHalf is a key whose private half is not here: it cannot sign.
func PublicHalf(kid, alg string, public crypto.PublicKey) Key {
	return Key{KID: kid, Alg: alg, Signer: verifyOnly{public: public}}
}

type verifyOnly struct{ public crypto.PublicKey }

func (v verifyOnly) Public() crypto.PublicKey { return v.public }

func (v verifyOnly) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the private half of the key is not here")
}

// Published gives the keys that stand in the participant's document now: the
// current ones, and former ones that are still kept there, whose signers cannot
// sign. fault.NotFound when the participant is not hosted here.
func (r *Room) Published(id ID) ([]PublishedKey, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	h, ok := r.byID[id]
	if !ok {
		return nil, fault.NotFound.At("", "what", "participant "+string(id))
	}
	var out []PublishedKey
	for _, purpose := range []Purpose{Token, Log} {
		if k, ok := h.keys[purpose]; ok {
			out = append(out, PublishedKey{Key: k, Purpose: purpose})
		}
	}
	out = append(out, r.away[id].Keys...)
	now := r.now()
	for _, f := range h.former {
		if f.until.After(now) {
			out = append(out, f.PublishedKey)
		}
	}
	return out, nil
}

// Rotate gives a participant a new token key of an algorithm and says which it
// was before. The key that it replaces stands in the document for keep longer;
// with 0 it leaves at once, and what it signed is believed no more. Its private
// half is forgotten. along, which may be nil, runs in the same unit. Of other
// algorithms than those of jws: fault.ParticipantInvalid.
func (r *Room) Rotate(ctx context.Context, id ID, alg string, keep time.Duration, along func(tx store.Tx, old, fresh Key) error) (old, fresh Key, err error) {
	who, ok := r.Get(id)
	if !ok {
		return old, fresh, fault.NotFound.At("", "what", "participant "+string(id))
	}
	if !slices.Contains([]string{jws.ES256, jws.ES384, jws.EdDSA}, alg) {
		return old, fresh, fault.ParticipantInvalid.At("alg", "reason", "the algorithm is ES256, ES384 or EdDSA")
	}
	now := r.now().UTC().Truncate(time.Microsecond)
	var gone former
	err = r.db.Update(ctx, func(tx store.Tx) error {
		var current sealedKey
		var created int64
		current.id, current.purpose = id, Token
		if err := tx.QueryRow(`SELECT kid, alg, sealed, created FROM participant_keys WHERE participant = $1 AND purpose = $2`,
			string(id), string(Token)).Scan(&current.kid, &current.alg, &current.sealed, &created); err != nil {
			return err
		}
		var err error
		if old, err = current.open(r.vault); err != nil {
			return err
		}
		var before int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM participant_former WHERE participant = $1 AND purpose = $2`,
			string(id), string(Token)).Scan(&before); err != nil {
			return err
		}
		var sealed sealedKey
		if fresh, sealed, err = makeKeyOf(who, Token, alg, int(before)+2, r.vault, r.rand); err != nil {
			return err
		}
		public, err := x509.MarshalPKIXPublicKey(old.Signer.Public())
		if err != nil {
			return err
		}
		gone = former{PublishedKey: PublishedKey{Key: PublicHalf(old.KID, old.Alg, old.Signer.Public()),
			Purpose: Token, Created: time.UnixMicro(created).UTC(), Retired: now}, id: id, until: now.Add(keep)}
		if err := tx.Exec(`INSERT INTO participant_former (participant, kid, purpose, alg, public, created, retired, until)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, string(id), old.KID, string(Token), old.Alg, public, created,
			now.UnixMicro(), gone.until.UnixMicro()); err != nil {
			return err
		}
		if err := tx.Exec(`UPDATE participant_keys SET kid = $1, alg = $2, sealed = $3, created = $4 WHERE participant = $5 AND purpose = $6`,
			fresh.KID, fresh.Alg, sealed.sealed, now.UnixMicro(), string(id), string(Token)); err != nil {
			return err
		}
		if along != nil {
			if err := along(tx, old, fresh); err != nil {
				return err
			}
		}
		tx.AfterCommit(func() { r.replace(fresh, gone) })
		return nil
	})
	if err != nil {
		return Key{}, Key{}, fmt.Errorf("rotate the key of participant %s: %w", id, err)
	}
	return old, fresh, nil
}

// replace makes fresh the current token key and keeps gone beside it.
func (r *Room) replace(fresh Key, gone former) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.byID[gone.id]
	keys := map[Purpose]Key{}
	for p, k := range h.keys {
		keys[p] = k
	}
	keys[Token] = fresh
	h.keys, h.former = keys, append(slices.Clone(h.former), gone)
	r.byID[gone.id] = h
}

func readFormer(tx store.Tx) ([]former, error) {
	rows, err := tx.Query(`SELECT participant, kid, purpose, alg, public, created, retired, until FROM participant_former ORDER BY participant, retired`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []former
	for rows.Next() {
		var f former
		var id, purpose string
		var public []byte
		var created, retired, until int64
		if err := rows.Scan(&id, &f.KID, &purpose, &f.Alg, &public, &created, &retired, &until); err != nil {
			return nil, err
		}
		pub, err := x509.ParsePKIXPublicKey(public)
		if err != nil {
			return nil, fmt.Errorf("parse the former key %s: %w", f.KID, err)
		}
		f.id, f.Purpose, f.Signer = ID(id), Purpose(purpose), verifyOnly{public: pub}
		f.Created, f.Retired, f.until = time.UnixMicro(created).UTC(), time.UnixMicro(retired).UTC(), time.UnixMicro(until).UTC()
		out = append(out, f)
	}
	return out, rows.Err()
}

// Away has a service elsewhere keep and show the participant's credentials. Call
// it before the participant is served.
func (r *Room) Away(id ID, w Wallet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away == nil {
		r.away = map[ID]Wallet{}
	}
	r.away[id] = w
}

// Elsewhere tells whether a service elsewhere does, and which.
func (r *Room) Elsewhere(id ID) (Wallet, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	w, ok := r.away[id]
	return w, ok
}
