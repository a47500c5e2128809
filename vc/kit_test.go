package vc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"kakehashi/did"
	"kakehashi/internal/fault"
	"kakehashi/jws"
	"kakehashi/vc"
)

const (
	issuerDID   = "did:web:issuer.example"
	holderDID   = "did:web:holder.example"
	verifierDID = "did:web:verifier.example"
	strangerDID = "did:web:stranger.example"
)

// world is an issuer with its lists and schemas on a server, a holder and a
// verifier who trusts the issuer for Membership.
type world struct {
	now      time.Time
	keys     map[string]jws.Key // by DID
	docs     map[string]did.Document
	server   *httptest.Server
	mu       sync.Mutex
	pages    map[string]page
	hits     map[string]int
	lists    *vc.Lists
	verifier *vc.Verifier
	unsigned bool
}

type page struct {
	body   string
	status int
	header http.Header
}

func newKey(t testing.TB, kid, alg string) jws.Key {
	t.Helper()
	var s crypto.Signer
	var err error
	switch alg {
	case jws.ES384:
		s, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case jws.EdDSA:
		_, s, err = ed25519.GenerateKey(rand.Reader)
	default:
		s, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return jws.Key{KID: kid, Alg: alg, Signer: s}
}

func newWorld(t testing.TB, alg string) *world {
	t.Helper()
	w := &world{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), keys: map[string]jws.Key{}, docs: map[string]did.Document{},
		pages: map[string]page{}, hits: map[string]int{}}
	for _, name := range []string{issuerDID, holderDID, strangerDID} {
		k := newKey(t, name+"#1", alg)
		w.keys[name] = k
		w.publish(t, name, k, did.Authentication, did.Assertion)
	}
	w.server = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.server.Close)
	w.lists = vc.NewLists(vc.ListsConfig{HTTP: w.server.Client(), Keys: w.key, Now: w.clock, Keep: time.Minute,
		Unsigned: func(string) bool { return w.unsigned },
		Delegate: func(issuer, by string) bool { return by == "did:web:delegate.example" }})
	w.verifier = &vc.Verifier{Keys: w.key, Trust: w, Status: w.lists, Schemas: vc.NewSchemas(w.server.Client(), w.clock), Now: w.clock, Leeway: 30 * time.Second}
	return w
}

func (w *world) publish(t testing.TB, name string, k jws.Key, uses ...did.Relationship) {
	t.Helper()
	doc, err := did.Build(did.Own{DID: name, Base: "https://x.example", Keys: []did.OwnKey{{KID: k.KID, Public: k.Signer.Public(), For: uses}}})
	if err != nil {
		t.Fatal(err)
	}
	w.docs[name] = doc
}

func (w *world) clock() time.Time { return w.now }

func (w *world) key(_ context.Context, name, kid string, use did.Relationship) (crypto.PublicKey, error) {
	doc, ok := w.docs[name]
	if !ok {
		return nil, fault.TokenIssuer.At("", "issuer", name)
	}
	if kid == "" {
		kid, _ = doc.Sole()
	}
	return doc.KeyFor(use, kid)
}

// Trusts implements vc.Trust.
func (w *world) Trusts(_ context.Context, issuer string, types []string, _ time.Time) (vc.Basis, error) {
	for _, typ := range types {
		if issuer == issuerDID && typ == "Membership" {
			return vc.Basis{Kind: "issuer", Type: typ}, nil
		}
	}
	return vc.Basis{}, fault.CredentialUntrusted.At("", "issuer", issuer, "type", types[len(types)-1])
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hits[r.URL.Path]++
	p, ok := w.pages[r.URL.Path]
	if !ok {
		http.NotFound(rw, r)
		return
	}
	for k, v := range p.header {
		rw.Header()[k] = v
	}
	if tag := p.header.Get("Etag"); tag != "" && r.Header.Get("If-None-Match") == tag {
		rw.WriteHeader(http.StatusNotModified)
		return
	}
	if p.status != 0 {
		rw.WriteHeader(p.status)
	}
	fmt.Fprint(rw, p.body)
}

func (w *world) put(path string, p page) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pages[path] = p
}

// publishList puts a list on the server, with the given bits set.
func (w *world) publishList(t testing.TB, path string, change func(*vc.ListDraft), set ...int64) {
	t.Helper()
	d := vc.ListDraft{URL: w.server.URL + path, EntryType: vc.BitstringEntry, Issuer: issuerDID, Purpose: vc.Revocation,
		Bits: vc.NewBitstring(0), ValidFrom: w.now.Add(-time.Hour), ValidUntil: w.now.Add(24 * time.Hour)}
	for _, i := range set {
		d.Bits.Set(i, true)
	}
	by := issuerDID
	if change != nil {
		change(&d)
		by = d.Issuer
	}
	k, ok := w.keys[by]
	if !ok {
		k = newKey(t, by+"#1", jws.ES256)
		w.keys[by] = k
		w.publish(t, by, k, did.Assertion)
	}
	raw, err := vc.IssueStatusList(rand.Reader, k, d)
	if err != nil {
		t.Fatal(err)
	}
	w.put(path, page{body: raw})
}

// draft is a good credential of the holder.
func (w *world) draft(m vc.Model) vc.Draft {
	return vc.Draft{Model: m, ID: "urn:uuid:1", Types: []string{"Membership"}, Issuer: issuerDID, Subject: holderDID,
		Claims: map[string]any{"level": "gold"}, ValidFrom: w.now.Add(-time.Hour), ValidUntil: w.now.Add(time.Hour)}
}

func (w *world) issue(t testing.TB, d vc.Draft) vc.Credential {
	t.Helper()
	return w.issueBy(t, w.keys[issuerDID], d)
}

func (w *world) issueBy(t testing.TB, k jws.Key, d vc.Draft) vc.Credential {
	t.Helper()
	raw, err := vc.Issue(rand.Reader, k, d)
	if err != nil {
		t.Fatal(err)
	}
	c, err := vc.ParseCredential(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// present makes the presentations of the holder.
func (w *world) present(t testing.TB, creds ...vc.Credential) []string {
	t.Helper()
	out, err := vc.Present(vc.PresentConfig{Random: rand.Reader, Key: w.keys[holderDID], Holder: holderDID, Audience: verifierDID,
		Now: w.now, Lifetime: 5 * time.Minute}, creds)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sign makes a JWS of any payload.
func sign(t testing.TB, k jws.Key, typ, payload string) string {
	t.Helper()
	raw, err := jws.Sign(rand.Reader, k, typ, "", []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
