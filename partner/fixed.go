package partner

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/store"
)

// maxName bounds ids and titles.
const maxName = 2048

// Fix keeps the address of a counterpart as people give it: any id, compared
// whole, and the base below which it takes messages of DSP 2025-1. Resolve then
// believes it without asking anybody: it is for connectors that announce
// themselves nowhere. A second time it changes base and title.
func (r *Room) Fix(ctx context.Context, p participant.ID, who Partner) (Partner, error) {
	refuse := func(why string) (Partner, error) {
		return Partner{}, fault.AddressRefused.At("/base", "address", shown(who.Base), "why", why)
	}
	if who.DID == "" || len(who.DID) > maxName || len(who.Title) > maxName {
		return Partner{}, fault.PartnerUnknown.At("/id", "name", clip(who.DID))
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
	err = r.c.DB.Update(ctx, func(tx store.Tx) error {
		return tx.Exec(`INSERT INTO partner_fixed (participant, id, base, title) VALUES ($1, $2, $3, $4)
			ON CONFLICT (participant, id) DO UPDATE SET base = excluded.base, title = excluded.title`,
			string(p), who.DID, who.Base, who.Title)
	})
	if err != nil {
		return Partner{}, fmt.Errorf("fix the address of %s: %w", who.DID, err)
	}
	for _, n := range []string{who.DID, who.Title, who.Base} {
		r.found.Forget(name{p, n})
	}
	return r.Resolve(ctx, p, who.DID)
}

// fixed finds a counterpart whose address people gave, by its id, title or base.
func (r *Room) fixed(ctx context.Context, p participant.ID, who string) (Partner, bool, error) {
	var got Partner
	err := r.c.DB.View(ctx, func(tx store.Tx) error {
		return tx.QueryRow(`SELECT id, base, title FROM partner_fixed
			WHERE participant = $1 AND (id = $2 OR title = $2 OR base = $2) ORDER BY id LIMIT 1`,
			string(p), strings.TrimRight(who, "/")).Scan(&got.DID, &got.Base, &got.Title)
	})
	if errors.Is(err, store.ErrNotFound) {
		return got, false, nil
	}
	return got, err == nil, err
}
