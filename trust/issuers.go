package trust

import (
	"context"
	"slices"
	"strings"
	"time"

	"kakehashi/did"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/vc"
)

// Issuer is one that people trust by name.
type Issuer struct {
	DID            string
	Types          []string
	Region         string    // for records, "" for none
	Since          time.Time // zero: always
	Until          time.Time // zero: for ever
	UnsignedStatus bool      // its status lists need no signature: for tests, and peers that sign none
}

const (
	maxIssuers = 1000
	maxName    = 200
)

func checkTypes(types []string) error {
	if len(types) == 0 {
		return fault.BadMessage.At("types", "reason", "name at least one type of credential")
	}
	for _, t := range types {
		if t == "" || len(t) > maxName || strings.ContainsAny(t, " \t\r\n") {
			return fault.BadMessage.At("types", "reason", "a type is missing, too long or has spaces")
		}
	}
	return nil
}

// AddIssuer trusts an issuer for types, in place of what was said of them before.
func (r *Room) AddIssuer(ctx context.Context, p participant.ID, i Issuer) error {
	if err := did.Check(i.DID); err != nil {
		return err
	}
	if err := checkTypes(i.Types); err != nil {
		return err
	}
	err := r.c.DB.Update(ctx, func(tx store.Tx) error {
		var n int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM trust_issuers WHERE participant = $1`, string(p)).Scan(&n); err != nil {
			return err
		}
		if n+int64(len(i.Types)) > maxIssuers {
			return fault.BadMessage.At("", "reason", "there are 1000 issuers already; use a list")
		}
		for _, t := range i.Types {
			if err := tx.Exec(`INSERT INTO trust_issuers (participant, did, type, region, since, until, unsigned) VALUES ($1, $2, $3, $4, $5, $6, $7)
				ON CONFLICT (participant, did, type) DO UPDATE SET region = excluded.region, since = excluded.since, until = excluded.until,
				unsigned = excluded.unsigned`, string(p), i.DID, t, i.Region, micros(i.Since), micros(i.Until), i.UnsignedStatus); err != nil {
				return err
			}
		}
		return r.c.Evidence.Append(tx, p, evidence.Leaf{Type: "kh.trust.issuer", Counterparty: i.DID, Facts: map[string]string{
			"action": "trusted", "types": strings.Join(i.Types, " "), "region": i.Region}})
	})
	if err != nil {
		return err
	}
	return r.decided(ctx, p)
}

// RemoveIssuer trusts an issuer no more. What it attested counts no more at once.
func (r *Room) RemoveIssuer(ctx context.Context, p participant.ID, name string) error {
	found := false
	err := r.c.DB.Update(ctx, func(tx store.Tx) error {
		found = false
		rows, err := tx.Query(`DELETE FROM trust_issuers WHERE participant = $1 AND did = $2 RETURNING type`, string(p), name)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			found = true
		}
		if err := rows.Err(); err != nil || !found {
			return err
		}
		if err := rows.Close(); err != nil {
			return err
		}
		return r.c.Evidence.Append(tx, p, evidence.Leaf{Type: "kh.trust.issuer", Counterparty: name, Facts: map[string]string{"action": "removed"}})
	})
	if err != nil {
		return err
	}
	if !found {
		return fault.NotFound.At("", "what", name)
	}
	return r.decided(ctx, p)
}

// Issuers lists whom a participant trusts by name.
func (r *Room) Issuers(p participant.ID) []Issuer { return slices.Clone(r.settings(p).issuers) }

func readIssuers(tx store.Tx, p participant.ID) ([]Issuer, error) {
	rows, err := tx.Query(`SELECT did, type, region, since, until, unsigned FROM trust_issuers WHERE participant = $1 ORDER BY did, type`, string(p))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Issuer
	for rows.Next() {
		var i Issuer
		var typ string
		var since, until int64
		if err := rows.Scan(&i.DID, &typ, &i.Region, &since, &until, &i.UnsignedStatus); err != nil {
			return nil, err
		}
		i.Types, i.Since, i.Until = []string{typ}, moment(since), moment(until)
		if n := len(out); n > 0 && out[n-1].DID == i.DID && out[n-1].Region == i.Region && out[n-1].Since.Equal(i.Since) && out[n-1].Until.Equal(i.Until) &&
			out[n-1].UnsignedStatus == i.UnsignedStatus {
			out[n-1].Types = append(out[n-1].Types, typ)
			continue
		}
		out = append(out, i)
	}
	return out, rows.Err()
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

func within(since, until, at time.Time) bool {
	return (since.IsZero() || !at.Before(since)) && (until.IsZero() || at.Before(until))
}

// judge is the trust of one participant. It implements vc.Trust.
type judge struct {
	r *Room
	p participant.ID
}

// Trust is whom a participant believes about what.
func (r *Room) Trust(p participant.ID) vc.Trust { return judge{r, p} }

// Trusts implements vc.Trust.
func (j judge) Trusts(_ context.Context, issuer string, types []string, at time.Time) (vc.Basis, error) {
	return j.r.settings(j.p).trusts(issuer, types, at)
}

// trusts finds why an issuer is believed: by name, else by a list; and whether a
// list of ours recognises the type as one of its own.
func (s *settings) trusts(issuer string, types []string, at time.Time) (vc.Basis, error) {
	for _, i := range s.issuers {
		for _, t := range i.Types {
			if i.DID == issuer && slices.Contains(types, t) && within(i.Since, i.Until, at) {
				return vc.Basis{Kind: "issuer", Type: t, Region: i.Region}, nil
			}
		}
	}
	if b, ok := s.listed(issuer, types, "", at); ok {
		return b, nil
	}
	shown := "VerifiableCredential"
	for _, t := range types {
		if t != shown {
			shown = t
			break
		}
	}
	return vc.Basis{}, fault.CredentialUntrusted.At("", "issuer", issuer, "type", shown)
}

// listed finds the entry of a list by which an issuer is believed, and the
// recognition, if there is one. With as, only a recognition as that type counts.
func (s *settings) listed(issuer string, types []string, as string, at time.Time) (vc.Basis, bool) {
	for _, a := range s.anchors {
		if a.State(at) == Expired {
			continue
		}
		for _, t := range types {
			b, ok := a.List.find(issuer, []string{t}, at)
			if !ok {
				continue
			}
			for _, ours := range s.anchors {
				if ours.State(at) == Expired {
					continue
				}
				if as, entry, ok := ours.List.recognises(a.List.Name, t, as, at); ok {
					return vc.Basis{Kind: "recognition", List: ours.List.Name, Version: ours.List.Version, Entry: entry, Type: t, As: as, Region: b.Region}, true
				}
			}
			if as == "" {
				return b, true
			}
		}
	}
	return vc.Basis{}, false
}

// counts tells why a credential counts as one of a type at a time: its issuer is
// trusted for that very type, or a list of ours recognises another of its types
// as that one. What its issuer is trusted for besides is no reason.
func (s *settings) counts(c vc.Credential, typ string, at time.Time) (vc.Basis, error) {
	if c.Is(typ) {
		if b, err := s.trusts(c.Issuer, []string{typ}, at); err == nil {
			return b, nil
		}
	}
	if b, ok := s.listed(c.Issuer, c.Types, typ, at); ok {
		return b, nil
	}
	return vc.Basis{}, fault.CredentialUntrusted.At("", "issuer", c.Issuer, "type", typ)
}
