package issuer

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/vc"
)

const (
	// listLife is how long a signed list is good; it is signed anew when half of
	// that is over, or when a bit changes.
	listLife = 24 * time.Hour
	// listAge is how long others may keep it, in which a revocation is not seen.
	listAge        = time.Minute
	maxSignedLists = 100
)

// SignedList is a status list as it is served.
type SignedList struct {
	JWT       string
	MediaType string
	ETag      string
	MaxAge    time.Duration
}

type listKey struct {
	p           participant.ID
	id, purpose string
}

type signedList struct {
	SignedList
	version int64
	kid     string
	until   time.Time
}

// listURL is where one of the two lists of a pair lies.
func listURL(us participant.Participant, id, purpose string) string {
	return us.Root() + "/dcp/status/" + string(us.ID) + "/" + id + "/" + purpose
}

// listFor finds the list that has room for one more, or begins one.
func (r *Room) listFor(tx store.Tx, p participant.ID, entry string) (id string, err error) {
	err = tx.QueryRow(`SELECT id FROM issuer_lists WHERE participant = $1 AND entry = $2 AND used < $3 ORDER BY id DESC LIMIT 1`,
		string(p), entry, int64(vc.MinBits/2)).Scan(&id)
	if errors.Is(err, store.ErrNotFound) {
		id = ids.Short()
		return id, tx.Exec(`INSERT INTO issuer_lists (participant, id, entry, revoked, suspended, used, version) VALUES ($1, $2, $3, $4, $5, 1, 1)`,
			string(p), id, entry, []byte(vc.NewBitstring(0)), []byte(vc.NewBitstring(0)))
	}
	if err != nil {
		return "", err
	}
	return id, tx.Exec(`UPDATE issuer_lists SET used = used + 1 WHERE participant = $1 AND id = $2`, string(p), id)
}

// setBits writes the state of a credential into both lists of its pair.
func (r *Room) setBits(tx store.Tx, p participant.ID, i Issued, to string) error {
	var revoked, suspended []byte
	if err := tx.QueryRow(`SELECT revoked, suspended FROM issuer_lists WHERE participant = $1 AND id = $2`, string(p), i.List).Scan(&revoked, &suspended); err != nil {
		return err
	}
	vc.Bitstring(revoked).Set(i.Index, to == Revoked)
	vc.Bitstring(suspended).Set(i.Index, to == Suspended)
	return tx.Exec(`UPDATE issuer_lists SET revoked = $1, suspended = $2, version = version + 1 WHERE participant = $3 AND id = $4`,
		revoked, suspended, string(p), i.List)
}

// StatusList gives a list by its path, ID/PURPOSE, signed. It is signed once for
// each version.
func (r *Room) StatusList(ctx context.Context, p participant.ID, path string) (SignedList, error) {
	id, purpose, _ := strings.Cut(path, "/")
	us, ok := r.c.Participants.Get(p)
	if !ok || purpose != vc.Revocation && purpose != vc.Suspension {
		return SignedList{}, fault.NotFound.At("", "what", path)
	}
	key, err := r.c.Participants.Key(p, participant.Token)
	if err != nil {
		return SignedList{}, err
	}
	at, now := listKey{p, id, purpose}, r.c.Now()
	var version int64
	var entry string
	var bits []byte
	have := signedList{}
	err = r.c.DB.View(ctx, func(tx store.Tx) error {
		if err := tx.QueryRow(`SELECT version FROM issuer_lists WHERE participant = $1 AND id = $2`, string(p), id).Scan(&version); err != nil {
			return err
		}
		if have, ok = r.lists.Get(at); ok && have.version == version && have.kid == key.KID && now.Add(listLife/2).Before(have.until) {
			return nil
		}
		have = signedList{}
		var revoked, suspended []byte
		if err := tx.QueryRow(`SELECT entry, revoked, suspended, version FROM issuer_lists WHERE participant = $1 AND id = $2`, string(p), id).
			Scan(&entry, &revoked, &suspended, &version); err != nil {
			return err
		}
		bits = revoked
		if purpose == vc.Suspension {
			bits = suspended
		}
		return nil
	})
	if errors.Is(err, store.ErrNotFound) {
		return SignedList{}, fault.NotFound.At("", "what", path)
	}
	if err != nil || have.version > 0 {
		return have.SignedList, err
	}
	raw, err := vc.IssueStatusList(r.c.Rand, key, vc.ListDraft{URL: listURL(us, id, purpose), EntryType: entry, Issuer: us.DID, Purpose: purpose,
		Bits: bits, ValidFrom: now, ValidUntil: now.Add(listLife)})
	if err != nil {
		return SignedList{}, err
	}
	media := "application/vc+jwt"
	if entry == vc.StatusList2021 {
		media = "application/jwt"
	}
	got := signedList{SignedList{JWT: raw, MediaType: media, ETag: `"` + strconv.FormatInt(version, 10) + "-" + strconv.FormatInt(now.Unix(), 36) + `"`, MaxAge: listAge},
		version, key.KID, now.Add(listLife)}
	r.lists.Put(at, got)
	return got.SignedList, nil
}
