package bundle

import (
	"errors"
	"strings"
	"testing"

	"kakehashi/internal/fault"
)

func TestParseTrustNamesTheLine(t *testing.T) {
	t.Parallel()
	a := newSide(t, "tokyo.example.jp")
	good := a.anchors(t)
	key := strings.Split(strings.TrimSpace(good), "\n")[1]
	for _, c := range []struct{ name, in, place, reason string }{
		{"unknown anchor", "# x\n\nwitness w\n", "line 3", "witness"},
		{"no vkey", "log\n", "line 1", "want: log"},
		{"bad vkey", "log tokyo+00000000+AAAA\n", "line 1", "vkey"},
		{"log with no DID", "log " + a.vkey() + " tokyo\n", "line 1", "not a DID"},
		{"key without JWK", "key did:web:a k1\n", "line 1", "want: key"},
		{"key of no DID", "key a k1 {}\n", "line 1", "not a DID"},
		{"JWK of no kind", "key did:web:a k1 {}\n", "line 1", "neither"},
		{"JWK doubled", `key did:web:a k1 {"kty":"EC","kty":"EC"}`, "line 1", "doubled"},
		{"point off the curve", `key did:web:a k1 {"kty":"EC","crv":"P-256","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `"}`, "line 1", "P-256"},
		{"private key", `key did:web:a k1 {"kty":"EC","crv":"P-256","x":"","y":"","d":"x"}`, "line 1", "private"},
		{"twice", good + key + "\n", "line 3", "twice"},
		{"too long", good + "#" + strings.Repeat("x", maxTrustLine+1), "line 3", "too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseTrust(strings.NewReader(c.in))
			if !errors.Is(err, fault.BadTrust) {
				t.Fatalf("got %v", err)
			}
			f := fault.Of(err)
			if f.Place != c.place || !strings.Contains(f.What("en"), c.reason) {
				t.Errorf("%q at %q, want %q at %q", f.What("en"), f.Place, c.reason, c.place)
			}
		})
	}
}

func TestParseLeafRefuses(t *testing.T) {
	t.Parallel()
	const good = `{"id":"urn:uuid:1","tenant":"did:web:a","time":"2026-11-23T02:00:00.123Z","type":"kh.x","v":1}`
	if _, err := ParseLeaf([]byte(good)); err != nil {
		t.Fatal(err)
	}
	more := strings.Replace(good, `"id"`, `"future":{"a":1},"id"`, 1)
	if _, err := ParseLeaf([]byte(more)); err != nil {
		t.Fatalf("a member of a later version: %v", err)
	}
	for _, bad := range []string{
		"", "{}", "[]", good + " ", strings.Replace(good, `"v":1`, `"v":2`, 1), strings.Replace(good, ".123Z", "Z", 1),
		strings.Replace(good, `{"id"`, `{"tenant":"x","id"`, 1), strings.Replace(good, "kh.x", "\\u006bh.x", 1),
		strings.Replace(good, `{"id"`, `{"direction":"up","id"`, 1), strings.Replace(good, "kh.x", strings.Repeat("x", MaxLeaf), 1),
	} {
		if _, err := ParseLeaf([]byte(bad)); err == nil {
			t.Errorf("accepted %.80s", bad)
		}
	}
}

func TestParseCheckpointAndProofRefuse(t *testing.T) {
	t.Parallel()
	root := strings.Repeat("A", 43) + "="
	for _, bad := range []string{"", "o\n1\n", "\n1\n" + root + "\n", "o\n01\n" + root + "\n", "o\n-1\n" + root + "\n", "o\n1\nAAAA\n", "o\n1\n" + root} {
		if _, err := ParseCheckpoint(bad); err == nil {
			t.Errorf("accepted checkpoint %q", bad)
		}
	}
	for _, bad := range []string{"", proofHead, proofHead + "index 0\n", proofHead + "index 00\n\nx", proofHead + "index -1\n\nx",
		proofHead + "extra AA==\nindex 0\n\nx", proofHead + "index 0\nAAAA\n\nx", proofHead + "index 0\n" + strings.Repeat(root+"\n", 64) + "\nx"} {
		if _, err := ParseProof([]byte(bad)); err == nil {
			t.Errorf("accepted proof %q", bad)
		}
	}
}

func FuzzParseTrust(f *testing.F) {
	a := newSide(f, "tokyo.example.jp")
	f.Add(a.anchors(f))
	f.Add("log x\nkey did:web:a k {}")
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := ParseTrust(strings.NewReader(s)); err != nil && !errors.Is(err, fault.BadTrust) {
			t.Fatal(err)
		}
	})
}

func FuzzParseLeaf(f *testing.F) {
	f.Add([]byte(`{"id":"urn:uuid:1","tenant":"did:web:a","time":"2026-11-23T02:00:00.123Z","type":"kh.x","v":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := ParseLeaf(b); err == nil && (l.V != 1 || l.Tenant == "" || len(b) > MaxLeaf) {
			t.Fatalf("accepted %q", b)
		}
	})
}

func FuzzParseProof(f *testing.F) {
	f.Add([]byte(proofHead + "index 0\n\nx"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := ParseProof(b); err == nil && string(p.Marshal()) != string(b) {
			t.Fatalf("%q is read as %q", b, p.Marshal())
		}
	})
}
