package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"kakehashi/client"
	"kakehashi/internal/fault"
	"kakehashi/jws"
	"kakehashi/participant"
	"kakehashi/trust"
)

// Keys lists and rotates the keys of participants.
type Keys interface {
	Published(p participant.ID) ([]participant.PublishedKey, error)
	Rotate(ctx context.Context, p participant.ID, alg string, keep time.Duration) (old, fresh participant.Key, err error)
}

func (s *server) trustRoutes(api huma.API) {
	handle(api, "GET", "/trust/issuers", "list-trusted-issuers", "Issuers that are trusted by name", s.trustedIssuers)
	handle(api, "POST", "/trust/issuers", "trust-issuer", "Trust an issuer for types of credentials", s.trustIssuer)
	handle(api, "POST", "/trust/issuers/remove", "distrust-issuer", "Trust an issuer no more", s.distrustIssuer)
	handle(api, "GET", "/trust/lists", "list-trust-lists", "Trust lists that count here", s.trustLists)
	handle(api, "POST", "/trust/lists", "add-trust-list", "Go by a trust list, pinned by its authority's key", s.addTrustList)
	handle(api, "POST", "/trust/lists/remove", "remove-trust-list", "Go by a trust list no more", s.removeTrustList)
	handle(api, "POST", "/trust/lists/refresh", "refresh-trust-lists", "Read trust lists again", s.refreshTrustLists)
	handle(api, "GET", "/trust/rules", "list-trust-rules", "Rules for counterparts", s.trustRules)
	handle(api, "POST", "/trust/rules", "set-trust-rule", "Keep a rule for a counterpart; one that says nothing removes it", s.setTrustRule)
	handle(api, "GET", "/trust/shown", "list-shown-credentials", "Credentials that counterparts have shown", s.shownCredentials)
	handle(api, "POST", "/trust/explain", "explain-token", "Check a token step by step, keeping nothing", s.explain)
	handle(api, "GET", "/keys", "list-keys", "Keys in the participant's DID document", s.keys)
	handle(api, "POST", "/keys/rotate", "rotate-key", "Make a new token key; the old one stays published for a time", s.rotate)
}

// Given is an input whose body is all of it.
type Given[T any] struct {
	Lang
	Body T
}

func each[A, B any](in []A, f func(A) B) client.Many[B] {
	out := client.Many[B]{Items: make([]B, len(in))}
	for i, a := range in {
		out.Items[i] = f(a)
	}
	return out
}

func (s *server) trustedIssuers(_ context.Context, p participant.ID, _ *none) (client.Many[client.TrustedIssuer], error) {
	return each(s.Trust.Issuers(p), func(i trust.Issuer) client.TrustedIssuer { return client.TrustedIssuer(i) }), nil
}

func (s *server) trustIssuer(ctx context.Context, p participant.ID, in *Given[client.TrustedIssuer]) (client.TrustedIssuer, error) {
	return in.Body, s.Trust.AddIssuer(ctx, p, trust.Issuer(in.Body))
}

func (s *server) distrustIssuer(ctx context.Context, p participant.ID, in *Given[client.Named]) (client.Named, error) {
	return in.Body, s.Trust.RemoveIssuer(ctx, p, in.Body.Name)
}

func (s *server) trustLists(_ context.Context, p participant.ID, _ *none) (client.Many[client.TrustList], error) {
	return s.listsOf(p), nil
}

func (s *server) listsOf(p participant.ID) client.Many[client.TrustList] {
	now := s.Now()
	return each(s.Trust.Anchors(p), func(a trust.Anchor) client.TrustList {
		l := client.TrustList{Name: a.Name, URL: a.URL, Key: a.Signer, GraceHours: int(a.Grace / time.Hour), State: string(a.State(now)), Fetched: a.Fetched, Problem: a.Problem}
		if a.List == nil {
			return l
		}
		l.Version, l.NextUpdate = a.List.Version, a.List.NextUpdate
		for _, e := range a.List.Issuers {
			l.Issuers = append(l.Issuers, client.ListEntry(e))
		}
		for _, r := range a.List.Recognitions {
			l.Recognitions = append(l.Recognitions, client.Recognition(r))
		}
		return l
	})
}

func (s *server) addTrustList(ctx context.Context, p participant.ID, in *Given[client.TrustList]) (client.TrustList, error) {
	b := in.Body
	a := trust.Anchor{Name: b.Name, URL: b.URL, Signer: b.Key, Grace: time.Duration(b.GraceHours) * time.Hour}
	if err := s.Trust.AddAnchor(ctx, p, a, b.List); err != nil {
		return client.TrustList{}, err
	}
	for _, l := range s.listsOf(p).Items {
		if l.Name == b.Name {
			return l, nil
		}
	}
	return client.TrustList{}, fault.NotFound.At("", "what", b.Name)
}

func (s *server) removeTrustList(ctx context.Context, p participant.ID, in *Given[client.Named]) (client.Named, error) {
	return in.Body, s.Trust.RemoveAnchor(ctx, p, in.Body.Name)
}

func (s *server) refreshTrustLists(ctx context.Context, p participant.ID, in *Given[client.Named]) (client.Many[client.TrustList], error) {
	err := s.Trust.Refresh(ctx, p, in.Body.Name)
	return s.listsOf(p), err
}

func (s *server) trustRules(_ context.Context, p participant.ID, _ *none) (client.Many[client.TrustRule], error) {
	return each(s.Trust.Rules(p), func(r trust.Rule) client.TrustRule { return client.TrustRule(r) }), nil
}

func (s *server) setTrustRule(ctx context.Context, p participant.ID, in *Given[client.TrustRule]) (client.TrustRule, error) {
	return in.Body, s.Trust.SetRule(ctx, p, trust.Rule(in.Body))
}

func (s *server) shownCredentials(_ context.Context, p participant.ID, in *Lang) (client.Many[client.ShownCredential], error) {
	return each(s.Trust.Shown(p), func(c trust.Shown) client.ShownCredential {
		out := client.ShownCredential{Counterparty: c.Counterparty, Digest: c.Digest(), ID: c.ID, Types: c.Types, Issuer: c.Issuer, Until: c.ValidUntil, At: c.At, Basis: c.Basis.In(in.in())}
		if c.Err != nil {
			out.Problem = fault.Of(c.Err).What(in.in())
		}
		return out
	}), nil
}

func (s *server) explain(ctx context.Context, p participant.ID, in *Given[client.Text]) (client.Many[client.TokenStep], error) {
	steps, err := s.Trust.Explain(ctx, p, in.Body.Text)
	out := client.Many[client.TokenStep]{Items: []client.TokenStep{}}
	for _, st := range steps {
		x := client.TokenStep{Name: st.Name, Place: st.Place, Saw: st.Saw, OK: st.Err == nil}
		if st.Err != nil {
			f := fault.Of(st.Err)
			x.Reason, x.Remedy = f.What(in.in()), f.Remedy(in.in())
		}
		out.Items = append(out.Items, x)
	}
	return out, err
}

func (s *server) keys(_ context.Context, p participant.ID, _ *none) (client.Many[client.PublishedKey], error) {
	keys, err := s.Keys.Published(p)
	return each(keys, func(k participant.PublishedKey) client.PublishedKey {
		return client.PublishedKey{KID: k.KID, Alg: k.Alg, Purpose: string(k.Purpose), Retired: k.Retired}
	}), err
}

func (s *server) rotate(ctx context.Context, p participant.ID, in *Given[client.Rotation]) (client.Many[client.PublishedKey], error) {
	alg := in.Body.Alg
	if alg == "" {
		alg = jws.ES256
	}
	if _, _, err := s.Keys.Rotate(ctx, p, alg, time.Duration(in.Body.KeepDays)*24*time.Hour); err != nil {
		return client.Many[client.PublishedKey]{}, err
	}
	return s.keys(ctx, p, nil)
}
