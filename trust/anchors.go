package trust

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"kakehashi/did"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/participant"
	"kakehashi/store"
)

// Anchor is a trust list that a participant goes by, pinned by the key of its
// authority.
type Anchor struct {
	Name    string        // of the list; it must say the same
	URL     string        // "": it comes as a file only
	Signer  string        // did:key or did:jwk
	Grace   time.Duration // how long an edition still counts after its nextUpdate
	List    *List         // newest edition, nil: none was read
	Fetched time.Time
	Problem string // why the last try to read a newer one failed, "" for none
}

// Freshness says how far a list still counts.
type Freshness string

// The stages of a list. Nothing of an expired one counts.
const (
	Fresh   Freshness = "fresh"
	Stale   Freshness = "stale" // past its nextUpdate, within the grace: it counts
	Expired Freshness = "expired"
)

// DefaultGrace is that of an anchor which names none.
const DefaultGrace = 3 * 24 * time.Hour

const (
	maxAnchors   = 50
	maxGrace     = 30 * 24 * time.Hour
	refreshLists = time.Hour
	listTimeout  = 20 * time.Second
)

// State tells how far the list counts at a time.
func (a Anchor) State(at time.Time) Freshness {
	switch {
	case a.List == nil || !at.Before(a.List.NextUpdate.Add(a.Grace)):
		return Expired
	case !at.Before(a.List.NextUpdate):
		return Stale
	}
	return Fresh
}

// AddAnchor goes by a list from now on: raw is an edition of it, or "" to fetch
// one. The error is fault.TrustList.
func (r *Room) AddAnchor(ctx context.Context, p participant.ID, a Anchor, raw string) error {
	if a.Name == "" || len(a.Name) > maxName {
		return fault.TrustList.At("name", "reason", "it is missing or longer than 200 bytes")
	}
	if _, ok, err := did.Local(a.Signer); err != nil || !ok {
		return fault.TrustList.At("signer", "reason", "the key to pin is no did:key or did:jwk")
	}
	if a.Grace <= 0 {
		a.Grace = DefaultGrace
	}
	if a.Grace > maxGrace {
		return fault.TrustList.At("grace", "reason", "it is longer than 30 days")
	}
	var err error
	if raw == "" {
		if raw, err = r.fetchList(ctx, a.URL); err != nil {
			return err
		}
	}
	return r.takeEdition(ctx, p, a, strings.TrimSpace(raw), true)
}

// takeEdition keeps an edition of a list. One that is older than what is kept, or
// another of the same number, is refused.
func (r *Room) takeEdition(ctx context.Context, p participant.ID, a Anchor, raw string, pin bool) error {
	list, err := OpenList(raw, a.Signer)
	if err != nil {
		return err
	}
	if list.Name != a.Name {
		return fault.TrustList.At("/name", "reason", fmt.Sprintf("the list is %.100q, not %s", list.Name, a.Name))
	}
	now := r.c.Now()
	if list.Issued.After(now.Add(time.Minute)) {
		return fault.TrustList.At("/issued", "reason", "it is from the future")
	}
	changed := false
	err = r.c.DB.Update(ctx, func(tx store.Tx) error {
		changed = false
		var version, n int64
		var have, signer string
		err := tx.QueryRow(`SELECT version, list, signer FROM trust_anchors WHERE participant = $1 AND name = $2`, string(p), a.Name).Scan(&version, &have, &signer)
		switch {
		case errors.Is(err, store.ErrNotFound):
			if !pin {
				return nil // it was removed meanwhile
			}
			if err := tx.QueryRow(`SELECT COUNT(*) FROM trust_anchors WHERE participant = $1`, string(p)).Scan(&n); err != nil {
				return err
			}
			if n >= maxAnchors {
				return fault.TrustList.At("", "reason", "there are 50 lists already")
			}
		case err != nil:
			return err
		case signer != a.Signer && !pin:
			return nil // another key was pinned meanwhile
		case signer == a.Signer && list.Version < version:
			return fault.TrustList.At("/version", "reason", fmt.Sprintf("edition %d is older than edition %d, which is here", list.Version, version))
		case signer == a.Signer && list.Version == version && have != raw:
			return fault.TrustList.At("/version", "reason", fmt.Sprintf("another edition %d is here already", version))
		}
		changed = have != raw || pin
		if err := tx.Exec(`INSERT INTO trust_anchors (participant, name, url, signer, grace, version, list, fetched, problem) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '')
			ON CONFLICT (participant, name) DO UPDATE SET url = excluded.url, signer = excluded.signer, grace = excluded.grace, version = excluded.version,
			list = excluded.list, fetched = excluded.fetched, problem = ''`,
			string(p), a.Name, a.URL, a.Signer, int64(a.Grace/time.Second), list.Version, raw, now.UnixMicro()); err != nil || !changed {
			return err
		}
		return r.c.Evidence.Append(tx, p, evidence.Leaf{Type: "kh.trust.list", Hashes: map[string]string{"list": evidence.Digest([]byte(raw))},
			Facts: map[string]string{"name": a.Name, "version": fmt.Sprint(list.Version), "signer": a.Signer}},
			evidence.Body{Bytes: []byte(raw), Class: evidence.ClassCredential})
	})
	if err != nil || !changed {
		return err
	}
	return r.decided(ctx, p)
}

// RemoveAnchor goes by a list no more.
func (r *Room) RemoveAnchor(ctx context.Context, p participant.ID, name string) error {
	err := r.c.DB.Update(ctx, func(tx store.Tx) error {
		var gone string
		if err := tx.QueryRow(`DELETE FROM trust_anchors WHERE participant = $1 AND name = $2 RETURNING name`, string(p), name).Scan(&gone); err != nil {
			return err
		}
		return r.c.Evidence.Append(tx, p, evidence.Leaf{Type: "kh.trust.list", Facts: map[string]string{"name": name, "action": "removed"}})
	})
	if errors.Is(err, store.ErrNotFound) {
		return fault.NotFound.At("", "what", name)
	}
	if err != nil {
		return err
	}
	return r.decided(ctx, p)
}

// Anchors lists what a participant goes by.
func (r *Room) Anchors(p participant.ID) []Anchor { return slices.Clone(r.settings(p).anchors) }

// Refresh reads the lists of a participant that have an address again; a name
// chooses one. What cannot be read stays as it was, with the reason on it.
func (r *Room) Refresh(ctx context.Context, p participant.ID, name string) error {
	var errs []error
	found := false
	for _, a := range r.Anchors(p) {
		if name != "" && a.Name != name {
			continue
		}
		found = true
		if a.URL == "" {
			continue
		}
		raw, err := r.fetchList(ctx, a.URL)
		if err == nil {
			err = r.takeEdition(ctx, p, a, raw, false)
		}
		if err != nil {
			errs = append(errs, err, r.problem(ctx, p, a.Name, err))
		}
	}
	if !found && name != "" {
		return fault.NotFound.At("", "what", name)
	}
	return errors.Join(errs...)
}

// problem keeps why a list was not read, for people to see.
func (r *Room) problem(ctx context.Context, p participant.ID, name string, cause error) error {
	text := fault.Of(cause).What("en")
	err := r.c.DB.Update(ctx, func(tx store.Tx) error {
		return tx.Exec(`UPDATE trust_anchors SET problem = $1 WHERE participant = $2 AND name = $3`, text, string(p), name)
	})
	if err != nil {
		return err
	}
	return r.read(ctx)
}

func (r *Room) fetchList(ctx context.Context, address string) (string, error) {
	if address == "" {
		return "", fault.TrustList.At("url", "reason", "give the list as a file, or the address where it lies")
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", fault.TrustList.At("url", "reason", "it is not a URL").Because(err)
	}
	resp, err := r.c.HTTP.Do(req)
	if err != nil {
		return "", fault.TrustList.At(address, "reason", "it cannot be read: "+err.Error()).Because(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fault.TrustList.At(address, "reason", "its server answers "+resp.Status)
	}
	b, err := strictjson.Read(resp.Body, MaxList)
	if err != nil {
		return "", fault.TrustList.At(address, "reason", "it cannot be read: "+err.Error()).Because(err)
	}
	return strings.TrimSpace(string(b)), nil
}

func readAnchors(tx store.Tx, p participant.ID) ([]Anchor, error) {
	rows, err := tx.Query(`SELECT name, url, signer, grace, list, fetched, problem FROM trust_anchors WHERE participant = $1 ORDER BY name`, string(p))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Anchor
	for rows.Next() {
		var a Anchor
		var grace, fetched int64
		var raw string
		if err := rows.Scan(&a.Name, &a.URL, &a.Signer, &grace, &raw, &fetched, &a.Problem); err != nil {
			return nil, err
		}
		a.Grace, a.Fetched = time.Duration(grace)*time.Second, moment(fetched)
		if a.List, err = OpenList(raw, a.Signer); err != nil {
			return nil, fmt.Errorf("the trust list %s that is kept: %w", a.Name, err)
		}
		out = append(out, a)
	}
	return out, rows.Err()
}

// Run reads lists and the status of what is held again, tells of what runs out
// when it does, and takes over what other replicas changed, until ctx ends.
func (r *Room) Run(ctx context.Context) {
	status := time.NewTicker(r.c.Refresh)
	defer status.Stop()
	// A little apart from each other, so that not all nodes ask an authority at once.
	lists := time.NewTimer(refreshLists/2 + rand.N(refreshLists/2))
	defer lists.Stop()
	end := time.NewTimer(time.Hour)
	defer end.Stop()
	for {
		if d, ok := r.nextEnd(); ok {
			end.Reset(d)
		}
		select {
		case <-ctx.Done():
			return
		case <-status.C:
			r.RefreshStatus(ctx)
		case <-end.C:
			r.flip()
		case <-r.ends:
		case <-r.stale:
			if err := r.read(ctx); err != nil && ctx.Err() == nil {
				r.c.Log.WarnContext(ctx, "trust was not read again", "err", err)
			}
		case <-lists.C:
			for _, p := range r.c.Participants.All() {
				if err := r.Refresh(ctx, p.ID, ""); err != nil && ctx.Err() == nil {
					r.c.Log.WarnContext(ctx, "a trust list was not read", "participant", string(p.ID), "err", err)
				}
			}
			lists.Reset(refreshLists/2 + rand.N(refreshLists/2))
		}
	}
}
