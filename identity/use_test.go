package identity_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"kakehashi/did"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/jws"
	"kakehashi/participant"
)

const kyotoDID = "did:web:kyoto.example"

// again opens another room over the same store.
func (w *world) again(t testing.TB, change func(*identity.Config)) *identity.Room {
	t.Helper()
	c := identity.Config{DB: w.db, Participants: w.hosts, Resolver: w.docs, Now: w.clock}
	change(&c)
	r, err := identity.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newP(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestWhatATokenCarriesForItsReader(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	broken := errors.New("broken")
	shared := w.again(t, func(c *identity.Config) {
		c.Share = func(_ context.Context, p participant.ID, counterparty string) (string, error) {
			if counterparty == peerDID {
				return "", broken
			}
			return string(p) + " to " + counterparty, nil
		}
	})
	for name, c := range map[string]struct {
		room *identity.Room
		use  identity.Use
		want string
	}{
		"nothing is shared":        {w.room, identity.Use{}, ""},
		"what is shared":           {shared, identity.Use{}, "tokyo to " + kyotoDID},
		"the counterpart's own":    {shared, identity.Use{Echo: "theirs"}, "theirs"},
		"bare, whatever is shared": {shared, identity.Use{Bare: true}, ""},
	} {
		h, err := c.room.Authorize(t.Context(), "tokyo", kyotoDID, c.use)
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.room.Verify(t.Context(), "kyoto", identity.Request{Authorization: h})
		if err != nil || got.Token.Access != c.want {
			t.Errorf("%s: %q, want %q, %v", name, got.Token.Access, c.want, err)
		}
	}
	if h, err := shared.Authorize(t.Context(), "tokyo", peerDID, identity.Use{}); !errors.Is(err, broken) {
		t.Errorf("sharing fails: %q, %v", h, err)
	}
}

func TestATokenServiceElsewhereSpeaksForWhomItHas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	broken := errors.New("broken")
	r := w.again(t, func(c *identity.Config) {
		c.Remote = func(_ context.Context, p participant.ID, counterparty string, u identity.Use) (string, bool, error) {
			switch {
			case p != "tokyo":
				return "", false, nil
			case counterparty == peerDID:
				return "", true, broken
			}
			return "of " + counterparty + " " + u.Echo, true, nil
		}
	})
	if h, err := r.Authorize(t.Context(), "tokyo", kyotoDID, identity.Use{Echo: "e"}); err != nil || h != "Bearer of "+kyotoDID+" e" {
		t.Errorf("%q, %v", h, err)
	}
	// No token of ours takes the place of one that its service did not give.
	if h, err := r.Authorize(t.Context(), "tokyo", peerDID, identity.Use{}); !errors.Is(err, broken) || h != "" {
		t.Errorf("the service fails: %q, %v", h, err)
	}
	h, err := r.Authorize(t.Context(), "kyoto", tokyoDID, identity.Use{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Verify(t.Context(), "tokyo", identity.Request{Authorization: h}); err != nil || got.DID != kyotoDID {
		t.Errorf("one whose keys are here: %+v, %v", got, err)
	}
}

func TestKeysAreGivenByNameAndPurpose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const lenient, mixed, silent = "did:web:lenient.example", "did:web:mixed.example", "did:web:silent.example"
	for _, d := range []string{lenient, silent} {
		doc := w.document(t, d, w.ec.Public())
		doc.Authentication, doc.Assertion, doc.Invocation = nil, nil, nil
		w.docs.byDID[d] = doc
	}
	w.docs.byDID[mixed] = w.document(t, peerDID, w.ec.Public()) // another's document
	for _, c := range []struct {
		what, did, kid string
		use            did.Relationship
		want           *fault.Kind
	}{
		{"tokens", peerDID, peerDID + "#token-1", did.Invocation, nil},
		{"presentations", peerDID, peerDID + "#token-1", did.Authentication, nil},
		{"credentials", peerDID, peerDID + "#log-1", did.Assertion, nil},
		{"no purposes, lenient", lenient, lenient + "#token-1", did.Invocation, nil},
		{"no purposes, strict", silent, silent + "#token-1", did.Invocation, fault.TokenKey},
		{"statements only, for tokens", peerDID, peerDID + "#log-1", did.Invocation, fault.TokenKey},
		{"statements only, for presentations", peerDID, peerDID + "#log-1", did.Authentication, fault.TokenKey},
		{"kid of another DID", peerDID, tokyoDID + "#token-1", did.Assertion, fault.TokenKey},
		{"kid of another DID, lenient", lenient, peerDID + "#token-1", did.Assertion, fault.TokenKey},
		{"kid of a DID below", peerDID, peerDID + ":x#token-1", did.Assertion, fault.TokenKey},
		{"kid relative", peerDID, "#token-1", did.Assertion, fault.TokenKey},
		{"kid unknown", peerDID, peerDID + "#token-9", did.Assertion, fault.TokenKey},
		{"no kid, two keys", peerDID, "", did.Assertion, fault.TokenKey},
		{"no such purpose", peerDID, peerDID + "#token-1", "keyAgreement", fault.TokenKey},
		{"another's document", mixed, mixed + "#token-1", did.Assertion, fault.TokenIssuer},
		{"kid of another DID, nobody is asked", "did:web:nowhere.example", peerDID + "#token-1", did.Assertion, fault.TokenKey},
		{"no document", "did:web:nowhere.example", "did:web:nowhere.example#1", did.Assertion, fault.TokenIssuer},
	} {
		pub, err := w.room.Key(t.Context(), c.did, c.kid, c.use)
		if c.want == nil && (err != nil || pub == nil) || c.want != nil && (!errors.Is(err, c.want) || pub != nil) {
			t.Errorf("%s: %v, %v", c.what, pub, err)
		}
	}
	fresh := newP(t, elliptic.P384())
	w.docs.mu.Lock()
	w.docs.next = map[string]did.Document{peerDID: w.documentWith(t, peerDID, peerDID+"#token-2", fresh.Public())}
	w.docs.mu.Unlock()
	if pub, err := w.room.Key(t.Context(), peerDID, peerDID+"#token-2", did.Assertion); err != nil || !fresh.PublicKey.Equal(pub) {
		t.Errorf("a key that its owner added: %v", err)
	}
	if _, err := w.room.Key(t.Context(), peerDID, peerDID+"#token-1", did.Assertion); !errors.Is(err, fault.TokenKey) {
		t.Errorf("a key that its owner took away: %v", err)
	}
}

func TestTokensHangOnTheirPurposeAndCurve(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p256, p384 := newP(t, elliptic.P256()), newP(t, elliptic.P384())
	by := func(d, kid string, alg jose.SignatureAlgorithm, key any) string {
		c := w.claims()
		c["iss"], c["sub"] = d, d
		return sign(t, alg, key, kid, c)
	}
	// build is a document whose only key has these purposes.
	build := func(d string, pub any, use ...did.Relationship) {
		doc, err := did.Build(did.Own{DID: d, Base: "https://x.example", Keys: []did.OwnKey{{KID: d + "#1", Public: pub, For: use}}})
		if err != nil {
			t.Fatal(err)
		}
		w.docs.byDID[d] = doc
	}
	const large, sole, old, lenient = "did:web:large.example", "did:web:sole.example", "did:web:old.example", "did:web:lenient.example"
	build(large, p384.Public(), did.Invocation)
	build(sole, p256.Public(), did.Invocation)
	build(old, p256.Public(), did.Authentication, did.Assertion)
	build(lenient, p256.Public(), did.Authentication)
	for _, c := range []struct {
		what, token string
		want        *fault.Kind
	}{
		{"ES384 by P-384", by(large, large+"#1", jose.ES384, p384), nil},
		{"ES256 under the name of a P-384 key", by(large, large+"#1", jose.ES256, p256), fault.TokenSignature},
		{"another P-384 key", by(large, large+"#1", jose.ES384, newP(t, elliptic.P384())), fault.TokenSignature},
		{"no kid, the only key", by(sole, "", jose.ES256, p256), nil},
		{"no kid, a stranger's key", by(sole, "", jose.ES256, newP(t, elliptic.P256())), fault.TokenSignature},
		{"a key that may not invoke", by(old, old+"#1", jose.ES256, p256), fault.TokenKey},
		{"no kid, a key that may not invoke", by(old, "", jose.ES256, p256), fault.TokenKey},
		{"nobody may invoke, lenient", by(lenient, lenient+"#1", jose.ES256, p256), nil},
		{"lenient, a stranger's key", by(lenient, lenient+"#1", jose.ES256, newP(t, elliptic.P256())), fault.TokenSignature},
		{"lenient, a key that it does not list", by(lenient, lenient+"#2", jose.ES256, p256), fault.TokenKey},
	} {
		if _, err := w.verify(c.token); c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
}

func TestACallerWhoseNameIsItsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.again(t, func(c *identity.Config) {
		c.Resolver = identity.NewWebResolver(identity.WebConfig{Participants: w.hosts})
	})
	mine, theirs := newP(t, elliptic.P256()), newP(t, elliptic.P256())
	name, err := did.KeyName(mine.Public())
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := did.KeyName(theirs.Public())
	if err != nil {
		t.Fatal(err)
	}
	kid := func(name string) string { return name + "#" + name[len("did:key:"):] }
	for _, c := range []struct {
		what, kid string
		key       *ecdsa.PrivateKey
		want      *fault.Kind
	}{
		{"its own", kid(name), mine, nil},
		{"its own, unnamed", "", mine, nil},
		{"another's key", kid(name), theirs, fault.TokenSignature},
		{"another's name of a key", kid(foreign), theirs, fault.TokenInvalid},
		{"a key that the name is not", name + "#1", mine, fault.TokenKey},
	} {
		claims := w.claims()
		claims["iss"], claims["sub"] = name, name
		got, err := r.Verify(t.Context(), "tokyo", identity.Request{Authorization: "Bearer " + sign(t, jose.ES256, c.key, c.kid, claims), Digest: body})
		if c.want == nil && (err != nil || got.ID != name) || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v", c.what, got, err)
		}
	}
}

func TestAfterARotationBothKeysAreBelievedUntilTheOldOneLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	header := func() string {
		t.Helper()
		h, err := w.room.Authorize(t.Context(), "tokyo", kyotoDID, identity.Use{})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	verify := func(h string) error {
		_, err := w.room.Verify(t.Context(), "kyoto", identity.Request{Authorization: h})
		return err
	}
	before := header()
	old, fresh, err := w.hosts.Rotate(t.Context(), "tokyo", jws.ES384, 30*time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	after := header()
	for what, h := range map[string]string{"the old key": before, "the new key": after} {
		if err := verify(h); err != nil {
			t.Errorf("%s, while both stand: %v", what, err)
		}
	}
	served := func() did.Document {
		t.Helper()
		doc, err := identity.Document(w.hosts, "tokyo")
		if err != nil {
			t.Fatal(err)
		}
		b, err := doc.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if doc, err = did.Parse(b); err != nil {
			t.Fatal(err)
		}
		return doc
	}
	doc := served()
	for _, list := range [][]string{doc.Authentication, doc.Assertion, doc.Invocation} {
		if !slices.Contains(list, old.KID) || !slices.Contains(list, fresh.KID) {
			t.Errorf("did.json names %q, want both %s and %s", list, old.KID, fresh.KID)
		}
	}
	w.now = w.now.Add(30 * time.Second)
	if err := verify(after); err != nil {
		t.Errorf("the new key, later: %v", err)
	}
	if err := verify(before); !errors.Is(err, fault.TokenKey) {
		t.Errorf("the old key, once it left: %v", err)
	}
	if _, err := served().Key(old.KID); !errors.Is(err, fault.TokenKey) {
		t.Errorf("did.json still has the old key: %v", err)
	}
}
