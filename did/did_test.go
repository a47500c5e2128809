package did_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"kakehashi/did"
	"kakehashi/internal/fault"
)

func TestNamesAndAddressesOfDIDWeb(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		did, url string
		dev      bool
	}{
		{"did:web:w3c-ccg.github.io", "https://w3c-ccg.github.io/.well-known/did.json", false},
		{"did:web:w3c-ccg.github.io:user:alice", "https://w3c-ccg.github.io/user/alice/did.json", false},
		{"did:web:example.com%3A3000", "https://example.com:3000/.well-known/did.json", false},
		{"did:web:example.com%3A3000:user:alice", "https://example.com:3000/user/alice/did.json", true},
		{"did:web:localhost%3A8080:p:tokyo", "https://localhost:8080/p/tokyo/did.json", false},
		{"did:web:localhost%3A8080:p:tokyo", "http://localhost:8080/p/tokyo/did.json", true},
		{"did:web:127.0.0.1%3A8080", "http://127.0.0.1:8080/.well-known/did.json", true},
		{"did:web:a.localhost", "http://a.localhost/.well-known/did.json", true},
		{"did:web:h.example:caf%C3%A9", "https://h.example/caf%C3%A9/did.json", false},
	} {
		got, err := did.WebURL(c.did, c.dev)
		if err != nil || got != c.url {
			t.Errorf("WebURL(%q, %v) = %q, %v; want %q", c.did, c.dev, got, err, c.url)
		}
		back, err := did.FromURL(c.url, c.dev)
		if err != nil || back != c.did {
			t.Errorf("FromURL(%q, %v) = %q, %v; want %q", c.url, c.dev, back, err, c.did)
		}
	}
	for in, want := range map[string]string{
		"did:web:EXAMPLE.com":             "did:web:example.com",
		"did:web:example.com%3a443":       "did:web:example.com",
		"did:web:example.com%3a8443:A:b":  "did:web:example.com%3A8443:A:b",
		"did:web:example.com:caf%c3%a9":   "did:web:example.com:caf%C3%A9",
		"did:web:localhost%3A443":         "did:web:localhost%3A443",
		"did:web:xn--wgv71a.example:p:ab": "did:web:xn--wgv71a.example:p:ab",
	} {
		if got, err := did.Normal(in); err != nil || got != want {
			t.Errorf("Normal(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"https://Example.com":                  "did:web:example.com",
		"https://example.com:443/":             "did:web:example.com",
		"https://example.com/p/tokyo/":         "did:web:example.com:p:tokyo",
		"https://example.com/p/tokyo/did.json": "did:web:example.com:p:tokyo",
	} {
		if got, err := did.FromURL(in, false); err != nil || got != want {
			t.Errorf("FromURL(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestNamesThatCouldLeadElsewhereAreRefused(t *testing.T) {
	t.Parallel()
	for _, d := range []string{
		"", "did:web:", "did:key:z6Mk", "DID:web:example.com", "did:web:example.com:", "did:web:example.com::a",
		"did:web:example.com:..:x", "did:web:example.com:.", "did:web:example.com:%2e%2e", "did:web:example.com:a%2Fb",
		"did:web:example.com:a%5cb", "did:web:example.com:a%00", "did:web:example.com:a%", "did:web:example.com:a%zz",
		"did:web:example.com/path", "did:web:example.com?x=1", "did:web:example.com#key", "did:web:user@example.com",
		"did:web:example.com%3A", "did:web:example.com%3A0", "did:web:example.com%3A65536", "did:web:example.com%3A080",
		"did:web:example.com%3A80%3A80", "did:web:10.0.0.1", "did:web:169.254.169.254", "did:web:2130706433", "did:web:0x7f.1",
		"did:web:%5B::1%5D", "did:web:-a.example", "did:web:a..example", "did:web:example.com.", "did:web:日本.example",
		"did:web:" + strings.Repeat("a", 64) + ".example", "did:web:example.com:" + strings.Repeat("a", 2048), "did:web:exa mple.com", "did:web:example.com:a b",
	} {
		if u, err := did.WebURL(d, true); !errors.Is(err, fault.DIDInvalid) {
			t.Errorf("WebURL(%q) = %q, %v", d, u, err)
		}
	}
	for _, u := range []string{
		"", "example.com", "http://example.com", "ftp://example.com", "https://u:p@example.com", "https://example.com?x", "https://example.com#x",
		"https://example.com/a//b", "https://example.com/../a", "https://10.0.0.1/", "https://127.0.0.1/", "https://[::1]/", "mailto:a@b",
	} {
		if d, err := did.FromURL(u, true); !errors.Is(err, fault.DIDInvalid) {
			t.Errorf("FromURL(%q) = %q, %v", u, d, err)
		}
	}
}

func own(t testing.TB) (did.Own, *ecdsa.PublicKey, ed25519.PublicKey) {
	t.Helper()
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const d = "did:web:node.example:p:tokyo"
	return did.Own{
		DID: d, Base: "https://node.example/dsp/tokyo/2025-1", Node: "https://node.example/kh/tokyo/1",
		CredentialService: "https://node.example/dcp/cs/tokyo", IssuerService: "https://node.example/dcp/issuer/tokyo",
		Keys: []did.OwnKey{
			{KID: d + "#token-1", Public: &ec.PublicKey, For: []did.Relationship{did.Authentication, did.Assertion, did.Invocation}},
			{KID: d + "#log-1", Public: ed, For: []did.Relationship{did.Assertion}},
		},
	}, &ec.PublicKey, ed
}

func TestOurOwnDocumentReadsBackAsItWasBuilt(t *testing.T) {
	t.Parallel()
	o, ec, ed := own(t)
	built, err := did.Build(o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := built.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := did.Parse(b)
	if err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	if !reflect.DeepEqual(built, read) {
		t.Errorf("built %+v\nread  %+v", built, read)
	}
	if k, err := read.KeyFor(did.Authentication, o.Keys[0].KID); err != nil || !ec.Equal(k) {
		t.Errorf("token key: %v, %v", k, err)
	}
	if k, err := read.KeyFor(did.Assertion, o.Keys[1].KID); err != nil || !ed.Equal(k) {
		t.Errorf("log key: %v, %v", k, err)
	}
	if _, err := read.KeyFor(did.Authentication, o.Keys[1].KID); !errors.Is(err, fault.TokenKey) {
		t.Errorf("the log key may authenticate: %v", err)
	}
	for _, c := range []struct {
		types []string
		want  string
	}{
		{[]string{"CatalogService"}, "https://node.example/dsp/tokyo/2025-1/catalog"},
		{[]string{"DataService", "CatalogService"}, "https://node.example/dsp/tokyo/.well-known/dspace-version"},
		{[]string{"None", "KakehashiNode"}, "https://node.example/kh/tokyo/1"},
		{[]string{"None"}, ""},
	} {
		if got := read.Endpoint(c.types...); got != c.want {
			t.Errorf("Endpoint(%v) = %q, want %q", c.types, got, c.want)
		}
	}
}

const (
	goodEC  = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	offEC   = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1"}`
	secp    = `{"kty":"EC","crv":"secp256k1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	private = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"AA"}`
)

func method(id, controller, jwk string) string {
	return fmt.Sprintf(`{"id":%q,"type":"JsonWebKey2020","controller":%q,"publicKeyJwk":%s}`, id, controller, jwk)
}

func TestDocumentsOfOthers(t *testing.T) {
	t.Parallel()
	const d = "did:web:a.example"
	t.Run("taken", func(t *testing.T) {
		t.Parallel()
		doc, err := did.Parse([]byte(`{"@context":["x",{"y":1}],"id":"` + d + `","alsoKnownAs":["z"],"verificationMethod":[` +
			method("#rel", d, strings.Replace(goodEC, "{", `{"kid":"k","use":"sig",`, 1)) + `,` + method(d+"#foreign", "did:web:b.example", goodEC) + `,` +
			method(d+"#off", d, offEC) + `,` + method(d+"#secp", d, secp) + `,` + method("did:web:b.example#x", d, goodEC) + `,
			{"id":"` + d + `#mb","type":"Multikey","controller":"` + d + `","publicKeyMultibase":"z6Mk"}],
			"authentication":["#rel",` + method(d+"#inline", d, goodEC) + `],
			"service":[{"id":"x:1","type":["A","B"],"serviceEndpoint":"https://a.example/s"},{"id":"#o","type":"O","serviceEndpoint":{"u":1}}]}`))
		if err != nil {
			t.Fatal(err)
		}
		for _, kid := range []string{d + "#rel", d + "#inline"} {
			if _, err := doc.KeyFor(did.Authentication, kid); err != nil {
				t.Error(err)
			}
			if _, err := doc.KeyFor(did.Assertion, kid); !errors.Is(err, fault.TokenKey) {
				t.Errorf("%s may assert: %v", kid, err)
			}
		}
		for _, kid := range []string{"", "#rel", d, d + "#foreign", d + "#off", d + "#secp", "did:web:b.example#x", d + "#mb", d + "#none"} {
			if k, err := doc.Key(kid); !errors.Is(err, fault.TokenKey) {
				t.Errorf("Key(%q) = %v, %v", kid, k, err)
			}
		}
		if doc.Endpoint("B") != "https://a.example/s" || doc.Endpoint("O") != "" {
			t.Errorf("services %+v", doc.Services)
		}
	})
	for name, b := range map[string]string{
		"no JSON":             `nonsense`,
		"trailing data":       `{"id":"` + d + `"} {}`,
		"doubled member":      `{"id":"` + d + `","id":"` + d + `"}`,
		"no id":               `{}`,
		"id of no DID":        `{"id":"https://a.example"}`,
		"id with a fragment":  `{"id":"` + d + `#x"}`,
		"private key":         `{"id":"` + d + `","verificationMethod":[` + method(d+"#k", d, private) + `]}`,
		"doubled key id":      `{"id":"` + d + `","verificationMethod":[` + method(d+"#k", d, goodEC) + `,` + method("#k", d, goodEC) + `]}`,
		"method without id":   `{"id":"` + d + `","verificationMethod":[` + method("", d, goodEC) + `]}`,
		"reference of no DID": `{"id":"` + d + `","authentication":["x"]}`,
		"reference a number":  `{"id":"` + d + `","authentication":[1]}`,
		"service of no type":  `{"id":"` + d + `","service":[{"id":"#x"}]}`,
		"doubled inner name":  `{"id":"` + d + `","service":[{"id":"#x","id":"#y","type":"T","serviceEndpoint":"u"}]}`,
		"too many methods":    `{"id":"` + d + `","authentication":["#a"` + strings.Repeat(`,"#a"`, 100) + `]}`,
		"too large":           `{"id":"` + d + `","x":"` + strings.Repeat("a", did.MaxDocument) + `"}`,
		"too deep":            `{"id":"` + d + `","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if doc, err := did.Parse([]byte(b)); !errors.Is(err, fault.DIDDocument) {
				t.Errorf("got %+v, %v", doc, err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	o, _, _ := own(f)
	built, err := did.Build(o)
	if err != nil {
		f.Fatal(err)
	}
	b, err := built.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"id":"did:web:a.example","service":[{"id":"#o","type":["O","P"],"serviceEndpoint":{"u":1}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := did.Parse(b)
		if err != nil {
			if !errors.Is(err, fault.DIDDocument) {
				t.Fatalf("not a fault: %v", err)
			}
			return
		}
		for _, m := range d.Methods {
			if _, err := d.Key(m.ID); err == nil && (m.Controller != d.ID || !strings.HasPrefix(m.ID, d.ID+"#")) {
				t.Fatalf("key %s of %s speaks for %s", m.ID, m.Controller, d.ID)
			}
		}
		out, err := d.Encode()
		if err != nil || bytes.Equal(out, nil) {
			t.Fatalf("what was read cannot be written: %v", err)
		}
	})
}

func FuzzWebURL(f *testing.F) {
	f.Add("did:web:example.com%3A3000:user:alice")
	f.Add("did:web:h.example:caf%C3%A9")
	f.Fuzz(func(t *testing.T, d string) {
		u, err := did.WebURL(d, false)
		if err != nil {
			return
		}
		normal, err := did.Normal(d)
		if err != nil {
			t.Fatal(err)
		}
		back, err := did.FromURL(u, false)
		if err != nil {
			t.Fatalf("%q gives %q, which gives %v", d, u, err)
		}
		if back, err = did.Normal(back); err != nil || back != strings.ReplaceAll(normal, "%3A443", "") && back != normal {
			t.Fatalf("%q gives %q, which gives %q; want %q", d, u, back, normal)
		}
	})
}
