package demo

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"path/filepath"
	"time"

	"kakehashi/client"
	"kakehashi/did"
	"kakehashi/internal/fault"
	"kakehashi/jws"
	"kakehashi/trust"
)

// The types of both sides. The list of Japan says that a European accreditation
// counts as one of its own, and the other way round.
const (
	accredited   = "JapanAccreditation"
	accreditedEU = "EuropeAccreditation"
)

// region is one side: who accredits whom for what, and which list says so.
type region struct {
	authority, member *side
	code, list, typ   string
	key               jws.Key
	name              string // did:key of the list
	did               string // of the authority
}

// accredit has each authority sign a list and accredit its member; each side goes
// by both lists, pinned by their keys, and shares its credential.
func (r *run) accredit(ctx context.Context) error {
	regions := []*region{
		{authority: r.japan, member: r.tokyo, code: "JP", list: "japan", typ: accredited},
		{authority: r.europe, member: r.brussels, code: "EU", list: "europe", typ: accreditedEU},
	}
	for _, g := range regions {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		g.key = jws.Key{KID: g.list, Alg: jws.ES256, Signer: k}
		if g.name, err = did.KeyName(k.Public()); err != nil {
			return err
		}
		n, err := g.authority.Client.Node(ctx)
		if err != nil {
			return err
		}
		g.did = n.DID
		if _, err := g.authority.DefineType(ctx, client.IssuedType{ID: "accreditation", Type: g.typ, Approval: "anybody",
			Claims: map[string]any{"scheme": "demo", "region": g.code}}); err != nil {
			return err
		}
	}
	now := r.c.Now().UTC().Truncate(time.Second)
	for i, g := range regions {
		other := regions[1-i]
		raw, err := trust.SignList(g.key, trust.List{Name: g.list, Version: 1, Issued: now, NextUpdate: now.AddDate(0, 1, 0),
			Issuers:      []trust.Entry{{DID: g.did, Types: []string{g.typ}, Region: g.code, Since: now}},
			Recognitions: []trust.Recognition{{List: other.list, Type: other.typ, As: g.typ, Since: now}}})
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(r.dir, g.list+".list.jwt"), []byte(raw), 0o600); err != nil {
			return fault.CannotWrite.At(g.list, "file", g.list, "reason", err.Error()).Because(err)
		}
		for _, s := range []*side{r.tokyo, r.brussels} {
			if _, err := s.AddTrustList(ctx, client.TrustList{Name: g.list, Key: g.name, List: raw}); err != nil {
				return err
			}
		}
	}
	if err := r.step("lists", "japan", regions[0].did, "europe", regions[1].did); err != nil {
		return err
	}
	for _, g := range regions {
		if err := r.request(ctx, g.member, g.did, g.typ); err != nil {
			return err
		}
		if _, err := g.member.ShareCredentials(ctx, client.WalletShare{Type: g.typ}); err != nil {
			return err
		}
	}
	return r.step("accredited", "tokyo", accredited, "brussels", accreditedEU)
}

// request asks an authority for a credential and waits for it.
func (r *run) request(ctx context.Context, member *side, authority, typ string) error {
	q, err := member.RequestCredentials(ctx, client.WalletRequest{Issuer: authority, Types: []string{typ}})
	if err != nil {
		return err
	}
	return r.until(ctx, "the credential of "+member.title, func() (bool, error) {
		all, err := member.WalletRequests(ctx)
		for _, x := range all.Items {
			if x.HolderPid == q.HolderPid {
				return x.State == "ISSUED", err
			}
		}
		return false, err
	})
}

// revoke takes the accreditation of Brussels back: what Tokyo offers is refused,
// and the refusal says why. Then Brussels gets a new one.
func (r *run) revoke(ctx context.Context) error {
	issued, err := r.europe.IssuedCredentials(ctx)
	if err != nil {
		return err
	}
	for _, i := range issued.Items {
		if err := r.europe.MarkCredential(ctx, client.MarkCredential{ID: i.ID, State: "revoked", Reason: "the demo ends"}); err != nil {
			return err
		}
	}
	if err := r.until(ctx, "the revocation", func() (bool, error) {
		shown, err := r.tokyo.ShownCredentials(ctx)
		return len(shown.Items) > 0 && shown.Items[0].Problem != "", err
	}); err != nil {
		return err
	}
	them, err := r.tokyo.Client.Node(ctx)
	if err != nil {
		return err
	}
	n, err := r.brussels.Negotiate(ctx, client.StartNegotiation{Partner: them.DID, Dataset: r.dataset})
	if err != nil {
		return err
	}
	if n, err = r.brussels.Negotiation(ctx, n.ID, within, "TERMINATED"); err != nil {
		return err
	}
	if n.State != "TERMINATED" {
		return fault.DemoFailed.At("revoke", "step", "revoke", "reason", "a negotiation with a revoked accreditation is in the state "+n.State)
	}
	if err := r.step("revoked", "reason", n.Reason); err != nil {
		return err
	}
	authority, err := r.europe.Client.Node(ctx)
	if err != nil {
		return err
	}
	if err := r.request(ctx, r.brussels, authority.DID, accreditedEU); err != nil {
		return err
	}
	return r.step("renewed")
}

// within bounds what the demo waits for.
const within = 20 * time.Second

// until looks until something is there.
func (r *run) until(ctx context.Context, what string, there func() (bool, error)) error {
	late := time.After(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := there(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-late:
			return fault.DemoFailed.At(what, "step", what, "reason", "it did not come in time")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
