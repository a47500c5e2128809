package did_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"kakehashi/did"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

func TestNamesThatHoldTheirKeyGiveItBack(t *testing.T) {
	t.Parallel()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, pub := range []crypto.PublicKey{p256.Public(), p384.Public(), ed} {
		name, err := did.KeyName(pub)
		if err != nil {
			t.Fatal(err)
		}
		jwk, err := did.NewJWK(pub)
		if err != nil {
			t.Fatal(err)
		}
		b, err := strictjson.Encode(jwk)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{name, "did:jwk:" + base64.RawURLEncoding.EncodeToString(b)} {
			doc, ok, err := did.Local(name)
			if err != nil || !ok || doc.ID != name {
				t.Fatalf("%s: %v %v", name, ok, err)
			}
			kid, sole := doc.Sole()
			for _, r := range []did.Relationship{did.Authentication, did.Assertion, did.Invocation} {
				got, err := doc.KeyFor(r, kid)
				if err != nil || !sole || !pub.(interface{ Equal(crypto.PublicKey) bool }).Equal(got) {
					t.Errorf("%s for %s: %v", name, r, err)
				}
			}
			if err := did.Check(name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// The names are those of the examples in the did:key method.
func TestWellKnownNamesAreRead(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
		"did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169",
		"did:key:z82Lm1MpAkeJcix9K8TMiLd5NMAhnwkjjCBeWHXyu3U4oT2MVJJKXkcVBgjGhnLBn2Kaau9",
	} {
		doc, ok, err := did.Local(name)
		if err != nil || !ok {
			t.Errorf("%s: %v %v", name, ok, err)
			continue
		}
		pub, err := doc.Key(name + "#" + strings.TrimPrefix(name, "did:key:"))
		if err != nil {
			t.Fatal(err)
		}
		if back, err := did.KeyName(pub); err != nil || back != name {
			t.Errorf("%s is written back as %s, %v", name, back, err)
		}
	}
}

func TestNamesWithoutAKeyAreRefused(t *testing.T) {
	t.Parallel()
	secret := base64.RawURLEncoding.EncodeToString([]byte(`{"kty":"EC","crv":"P-256","x":"a","y":"b","d":"c"}`))
	for name, in := range map[string]string{
		"no base58":       "did:key:z0OIl",
		"no multibase":    "did:key:6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
		"another curve":   "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
		"too short":       "did:key:z6Mk",
		"too long":        "did:key:z" + strings.Repeat("2", 600),
		"no JSON":         "did:jwk:AAAA",
		"a private key":   "did:jwk:" + secret,
		"another kty":     "did:jwk:" + base64.RawURLEncoding.EncodeToString([]byte(`{"kty":"RSA"}`)),
		"not on curve":    "did:jwk:" + base64.RawURLEncoding.EncodeToString([]byte(`{"kty":"EC","crv":"P-256","x":"`+strings.Repeat("A", 43)+`","y":"`+strings.Repeat("A", 43)+`"}`)),
		"no such method":  "did:example:1",
		"no DID":          "example.com",
		"private of none": "did:jwk:",
	} {
		if err := did.Check(in); !errors.Is(err, fault.DIDInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEndpointsOfAllForms(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ endpoint, want string }{
		"a string":          {`"https://a.example"`, "https://a.example"},
		"a list":            {`["https://a.example","https://b.example"]`, "https://a.example"},
		"an object":         {`{"uri":"https://a.example"}`, "https://a.example"},
		"a list of objects": {`[{"uri":"https://a.example"}]`, "https://a.example"},
		"a number":          {`1`, ""},
	} {
		doc, err := did.Parse([]byte(`{"id":"did:web:a.example","service":[{"id":"TCK-Credential-Service","type":"CredentialService","serviceEndpoint":` + c.endpoint + `}]}`))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := doc.Endpoint(did.CredentialService); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func FuzzLocal(f *testing.F) {
	f.Add("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK")
	f.Add("did:jwk:eyJrdHkiOiJFQyJ9")
	f.Fuzz(func(t *testing.T, name string) {
		doc, ok, err := did.Local(name)
		if err == nil && ok {
			if kid, sole := doc.Sole(); !sole || doc.ID != name || !strings.HasPrefix(kid, name+"#") {
				t.Fatalf("%q gives %+v", name, doc)
			}
		}
	})
}
