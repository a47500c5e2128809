package dcp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"kakehashi/dcp"
	"kakehashi/internal/fault"
	"kakehashi/jws"
)

const (
	holder   = "did:web:holder.example"
	verifier = "did:web:verifier.example"
	third    = "did:web:third.example"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func newKey(t testing.TB, of string) jws.Key {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jws.Key{KID: of + "#1", Alg: jws.ES256, Signer: k}
}

func TestATokenIsReadAsItWasMade(t *testing.T) {
	t.Parallel()
	k := newKey(t, holder)
	own := dcp.OwnToken{Self: holder, Audience: verifier, JTI: "j", Issued: noon, Lifetime: time.Minute, Access: "opaque",
		PreAuthorized: "code", Digest: "sha256:" + hex64}
	raw, err := dcp.SelfIssue(rand.Reader, k, own)
	if err != nil {
		t.Fatal(err)
	}
	got, err := dcp.ParseToken(raw, verifier, noon)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Verify(k.Signer.Public()) || got.Issuer != holder || got.KID != k.KID || got.JTI != "j" || got.Access != "opaque" ||
		got.PreAuthorized != "code" || got.Digest != own.Digest || !got.Expires.Equal(noon.Add(time.Minute)) {
		t.Errorf("%+v", got)
	}
	if _, err := dcp.ParseToken(raw, third, noon); !errors.Is(err, fault.TokenAudience) {
		t.Errorf("for another: %v", err)
	}
	// A minute off is too much, in both directions.
	if _, err := dcp.ParseToken(raw, verifier, noon.Add(2*time.Minute)); !errors.Is(err, fault.TokenExpired) {
		t.Errorf("a minute after its end: %v", err)
	}
	if _, err := dcp.ParseToken(raw, verifier, noon.Add(-time.Minute)); !errors.Is(err, fault.TokenEarly) {
		t.Errorf("a minute before its time: %v", err)
	}
	for name, change := range map[string]func(*dcp.OwnToken){
		"no audience": func(o *dcp.OwnToken) { o.Audience = "" },
		"no jti":      func(o *dcp.OwnToken) { o.JTI = "" },
		"an hour":     func(o *dcp.OwnToken) { o.Lifetime = time.Hour },
		"no lifetime": func(o *dcp.OwnToken) { o.Lifetime = 0 },
	} {
		o := own
		change(&o)
		if _, err := dcp.SelfIssue(rand.Reader, k, o); err == nil {
			t.Errorf("%s: a token was made", name)
		}
	}
}

const hex64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestAccessIsForOneVerifierOfOneHolder(t *testing.T) {
	t.Parallel()
	k := newKey(t, holder)
	raw, err := dcp.MintAccess(rand.Reader, k, dcp.Access{Holder: holder, Verifier: verifier, JTI: "a", Expires: noon.Add(time.Minute),
		Scopes: []dcp.Scope{dcp.TypeScope("MembershipCredential")}}, noon)
	if err != nil {
		t.Fatal(err)
	}
	m, a, err := dcp.ParseAccess(raw, holder, verifier, noon)
	if err != nil || !m.Verify(k.Signer.Public()) || len(a.Scopes) != 1 || a.Scopes[0].Type() != "MembershipCredential" || a.JTI != "a" {
		t.Fatalf("%+v, %v", a, err)
	}
	token, err := dcp.SelfIssue(rand.Reader, k, dcp.OwnToken{Self: holder, Audience: holder, JTI: "j", Issued: noon, Lifetime: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		raw, holder, verifier string
		at                    time.Time
	}{
		"another verifier":   {raw, holder, third, noon},
		"another holder":     {raw, third, verifier, noon},
		"expired":            {raw, holder, verifier, noon.Add(2 * time.Minute)},
		"a text":             {"faketoken", holder, verifier, noon},
		"a token of its own": {token, holder, holder, noon},
	} {
		if _, _, err := dcp.ParseAccess(c.raw, c.holder, c.verifier, c.at); !errors.Is(err, fault.AccessToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestScopesOfBothForms(t *testing.T) {
	t.Parallel()
	const byType = "org.eclipse.dspace.dcp.vc.type:"
	for text, want := range map[string]struct {
		typ, operation string
		covers         bool // a MembershipCredential with the id urn:uuid:1
	}{
		byType + "MembershipCredential:read":                        {"MembershipCredential", "read", true},
		byType + "MembershipCredential":                             {"MembershipCredential", "", true},
		byType + "MembershipCredential:*":                           {"MembershipCredential", "*", true},
		byType + "MembershipCredential:all":                         {"MembershipCredential", "all", true},
		byType + "MembershipCredential:write":                       {"MembershipCredential", "write", false},
		byType + "https://example.org/ns#MembershipCredential:read": {"MembershipCredential", "read", true},
		byType + "Other:read":                                       {"Other", "read", false},
		"org.eclipse.dspace.dcp.vc.id:urn:uuid:1":                   {"", "", true},
		"org.eclipse.dspace.dcp.vc.id:urn:uuid:1:read":              {"", "read", true},
		"org.eclipse.dspace.dcp.vc.id:urn:uuid:2":                   {"", "", false},
		"some.alias:MembershipCredential:read":                      {"", "read", false},
	} {
		s, err := dcp.ParseScope(text)
		if err != nil || s.String() != text || s.Type() != want.typ || s.Operation != want.operation ||
			s.Covers([]string{"VerifiableCredential", "MembershipCredential"}, "urn:uuid:1") != want.covers {
			t.Errorf("%s: %+v, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "x", ":x", "x:", "a:b c", "alias:read"} {
		if s, err := dcp.ParseScope(text); err == nil && text != "alias:read" {
			t.Errorf("%q is read as %+v", text, s)
		}
	}
}

func FuzzToken(f *testing.F) {
	k := newKey(f, holder)
	raw, err := dcp.SelfIssue(rand.Reader, k, dcp.OwnToken{Self: holder, Audience: verifier, JTI: "j", Issued: noon, Lifetime: time.Minute})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, in string) {
		got, err := dcp.ParseToken(in, verifier, noon)
		if err == nil && in != raw && got.Verify(k.Signer.Public()) {
			t.Fatalf("%q is believed", in)
		}
		if _, _, err := dcp.ParseAccess(in, holder, verifier, noon); err == nil && in == raw {
			t.Fatal("a token passes for an access token")
		}
	})
}

func FuzzScope(f *testing.F) {
	f.Add("org.eclipse.dspace.dcp.vc.type:MembershipCredential:read")
	f.Fuzz(func(t *testing.T, in string) {
		if s, err := dcp.ParseScope(in); err == nil && s.String() != in {
			t.Fatalf("%q is written back as %q", in, s.String())
		}
	})
}
