package jws_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"

	"kakehashi/jws"
)

func key(t testing.TB, alg string) jws.Key {
	t.Helper()
	var s crypto.Signer
	var err error
	switch alg {
	case jws.ES256:
		s, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jws.ES384:
		s, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	default:
		_, s, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return jws.Key{KID: "did:web:a.example#1", Alg: alg, Signer: s}
}

func TestWhatOneKeySignsNoOtherVerifies(t *testing.T) {
	t.Parallel()
	algs := []string{jws.ES256, jws.ES384, jws.EdDSA}
	keys := map[string]jws.Key{}
	for _, a := range algs {
		keys[a] = key(t, a)
	}
	for _, a := range algs {
		s, err := jws.Sign(rand.Reader, keys[a], "vc+jwt", "vc", []byte(`{"a":1}`))
		if err != nil {
			t.Fatal(err)
		}
		m, err := jws.Parse(s, 4096)
		if err != nil {
			t.Fatal(err)
		}
		if m.Header != (jws.Header{Alg: a, KID: "did:web:a.example#1", Typ: "vc+jwt", Cty: "vc"}) || string(m.Payload) != `{"a":1}` {
			t.Errorf("%s: %+v %s", a, m.Header, m.Payload)
		}
		if got := jws.AlgFor(keys[a].Signer.Public()); got != a {
			t.Errorf("algorithm of the %s key is %q", a, got)
		}
		for _, other := range algs {
			if ok := m.Verify(keys[other].Signer.Public()); ok != (other == a) {
				t.Errorf("%s verified by a key of %s: %v", a, other, ok)
			}
		}
		if m.Verify(key(t, a).Signer.Public()) {
			t.Errorf("%s verified by a stranger's key", a)
		}
		// A changed byte, wherever it stands, is seen.
		i := strings.Index(s, ".") + 2
		forged, err := jws.Parse(s[:i]+flip(s[i])+s[i+1:], 4096)
		if err == nil && forged.Verify(keys[a].Signer.Public()) {
			t.Errorf("%s: a changed payload is verified", a)
		}
	}
}

func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func TestMessagesThatAreRefused(t *testing.T) {
	t.Parallel()
	enc := base64.RawURLEncoding.EncodeToString
	with := func(header string) string {
		return enc([]byte(header)) + "." + enc([]byte("{}")) + "." + enc([]byte("x"))
	}
	for name, c := range map[string]struct{ in, want string }{
		"algorithm none":     {with(`{"alg":"none"}`), "not allowed"},
		"algorithm HS256":    {with(`{"alg":"HS256"}`), "not allowed"},
		"algorithm RS256":    {with(`{"alg":"RS256"}`), "not allowed"},
		"algorithm missing":  {with(`{}`), "not allowed"},
		"critical extension": {with(`{"alg":"ES256","crit":["b64"]}`), "critical"},
		"doubled name":       {with(`{"alg":"none","alg":"ES256"}`), "not valid"},
		"key id too long":    {with(`{"alg":"ES256","kid":"` + strings.Repeat("k", 3000) + `"}`), "too long"},
		"two parts":          {"e30.e30", "compact"},
		"four parts":         {"e30.e30.e30.e30", "compact"},
		"a line end":         {"e30.e30.e30\n", "compact"},
		"padding":            {"e30=.e30.e30", "base64url"},
		"too large":          {strings.Repeat("a", 5000), "larger"},
	} {
		if _, err := jws.Parse(c.in, 4096); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want one with %q", name, err, c.want)
		}
	}
	if _, err := jws.Sign(rand.Reader, jws.Key{Alg: "HS256", Signer: key(t, jws.ES256).Signer}, "JWT", "", nil); err == nil {
		t.Error("something was signed with HS256")
	}
}

func FuzzParse(f *testing.F) {
	k := key(f, jws.ES256)
	s, err := jws.Sign(rand.Reader, k, "JWT", "", []byte(`{}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s)
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, in string) {
		m, err := jws.Parse(in, 4096)
		if err == nil && in != s && m.Verify(k.Signer.Public()) {
			t.Fatalf("%q is verified", in)
		}
	})
}
