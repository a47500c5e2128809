package partner

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/store"
)

// maxName bounds ids and titles.
const maxName = 2048

// Fix keeps the address of a counterpart as people give it: any id, compared
// whole, and the base below which it takes messages of DSP 2025-1. Resolve then
// believes it without asking anybody: it is for connectors that announce
// themselves nowhere. A second time it changes base and title. Such a connector is
// no node of ours, so until more is learned our messages wait a little for it.
//
// The errors are fault.PartnerName, for an id or title that could not be found
// again or be taken for somebody else's, and AddressRefused.
func (r *Room) Fix(ctx context.Context, p participant.ID, who Partner) (Partner, error) {
	who.DID, who.Title = strings.TrimSpace(who.DID), strings.TrimSpace(who.Title)
	refuse := func(why string) (Partner, error) {
		return Partner{}, fault.AddressRefused.At("/base", "address", shown(who.Base), "why", why)
	}
	switch {
	case who.DID == "" || !nameable(who.DID):
		return Partner{}, fault.PartnerName.At("/id", "name", clip(who.DID))
	case !nameable(who.Title) || strings.HasPrefix(who.Title, "did:") || strings.Contains(who.Title, "://"):
		return Partner{}, fault.PartnerName.At("/title", "name", clip(who.Title))
	}
	u, err := url.Parse(who.Base)
	switch {
	case err != nil || u.Host == "":
		return refuse("not a URL")
	case u.Scheme != "https" && !(r.c.Dev && u.Scheme == "http"):
		return refuse("not https")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return refuse("it has user info, a query or a fragment")
	}
	who.Base = strings.TrimRight(who.Base, "/")
	var before Partner
	err = r.c.DB.Update(ctx, func(tx store.Tx) error {
		before = Partner{}
		err := tx.QueryRow(`SELECT base, title FROM partner_fixed WHERE participant = $1 AND id = $2`, string(p), who.DID).Scan(&before.Base, &before.Title)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return tx.Exec(`INSERT INTO partner_fixed (participant, id, base, title) VALUES ($1, $2, $3, $4)
			ON CONFLICT (participant, id) DO UPDATE SET base = excluded.base, title = excluded.title`,
			string(p), who.DID, who.Base, who.Title)
	})
	if err != nil {
		return Partner{}, fmt.Errorf("fix the address of %s: %w", who.DID, err)
	}
	for _, n := range []string{who.DID, who.Title, who.Base, before.Title, before.Base} {
		r.found.Forget(name{p, n})
	}
	r.moved(p, who.DID)
	if before.Base == "" {
		r.expectPause(p, who.DID)
	}
	return r.Resolve(ctx, p, who.DID)
}

// nameable says whether a name can be stored, shown on one line and sent in a header.
func nameable(s string) bool {
	return len(s) <= maxName && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

const selectFixed = `SELECT id, base, title, CASE WHEN id = $2 THEN 0 WHEN base = $3 THEN 1 ELSE 2 END AS rank FROM partner_fixed
	WHERE participant = $1 AND (id = $2 OR base = $3 OR title = $2) ORDER BY rank, id LIMIT 5`

// fixed finds a counterpart whose address people gave: by its id, else its base,
// else its title. The id goes first, for messages go to ids: nobody's title may
// stand in the way of another's id. fault.PartnerAmbiguous for several.
func (r *Room) fixed(ctx context.Context, p participant.ID, who string) (got Partner, ok bool, err error) {
	var ids []string
	err = r.c.DB.View(ctx, func(tx store.Tx) error {
		ids = nil
		rows, err := tx.Query(selectFixed, string(p), who, strings.TrimRight(who, "/"))
		if err != nil {
			return err
		}
		defer rows.Close()
		var best int64
		for rows.Next() {
			var one Partner
			var rank int64
			if err := rows.Scan(&one.DID, &one.Base, &one.Title, &rank); err != nil {
				return err
			}
			if ids == nil {
				got, best = one, rank
			}
			if rank == best {
				ids = append(ids, one.DID)
			}
		}
		return rows.Err()
	})
	switch {
	case err != nil || len(ids) == 0:
		return Partner{}, false, err
	case len(ids) > 1:
		return Partner{}, false, fault.PartnerAmbiguous.At("", "name", clip(who), "known", strings.Join(ids, ", "))
	}
	return got, true, nil
}
