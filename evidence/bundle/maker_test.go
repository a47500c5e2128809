package bundle

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"kakehashi/internal/strictjson"
)

// side is a participant that makes bundles by the published format alone,
// without package evidence.
type side struct {
	did, origin string
	log         ed25519.PrivateKey
	key         *ecdsa.PrivateKey
	leaves      [][]byte
	bodies      map[string][]byte
	man         Manifest
}

func newSide(t testing.TB, host string) *side {
	t.Helper()
	_, log, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &side{did: "did:web:" + host, origin: host, log: log, key: key, bodies: map[string][]byte{}}
	s.man = Manifest{Format: Format, Tenant: s.did, Origin: s.origin, Agreement: "urn:uuid:a", Made: "2026-11-23T02:00:00Z"}
	return s
}

func (s *side) vkey() string {
	v, err := LogKey(s.origin, s.log.Public().(ed25519.PublicKey))
	if err != nil {
		panic(err)
	}
	return v
}

func (s *side) anchors(t testing.TB) string {
	t.Helper()
	text, err := Anchors(s.did, map[string]crypto.PublicKey{"#k1": &s.key.PublicKey}, s.vkey())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (s *side) keep(b []byte) string {
	s.bodies[Digest(b)] = b
	return Digest(b)
}

func (s *side) append(l Leaf) {
	l.V, l.ID, l.Time, l.Tenant = 1, fmt.Sprintf("urn:uuid:%s-%d", s.did, len(s.leaves)), "2026-11-23T02:00:00.123Z", s.did
	b, err := strictjson.Encode(l)
	if err != nil {
		panic(err)
	}
	c := strictjson.Raw(b)
	if err := c.Canonicalize(); err != nil {
		panic(err)
	}
	s.leaves = append(s.leaves, c)
}

// jws signs claims as the node's identity room does.
func (s *side) jws(claims string) []byte {
	enc := base64.RawURLEncoding.EncodeToString
	in := enc([]byte(`{"alg":"ES256","kid":"`+s.did+`#k1"}`)) + "." + enc([]byte(claims))
	sum := sha256.Sum256([]byte(in))
	r, z, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		panic(err)
	}
	return []byte(in + "." + enc(append(r.FillBytes(make([]byte, 32)), z.FillBytes(make([]byte, 32))...)))
}

// send puts a message on record with both sides.
func (s *side) send(to *side, typ, message string) {
	d := Digest([]byte(message))
	tok := s.jws(fmt.Sprintf(`{"iss":%q,"aud":%q,"digest":%q}`, s.did, to.did, d))
	corr := map[string]string{"agreement": "urn:uuid:a"}
	s.append(Leaf{Type: typ, Process: "p", Direction: "out", Counterparty: to.did, Correlation: corr, Hashes: map[string]string{"message": s.keep([]byte(message))}})
	to.append(Leaf{Type: typ, Process: "q", Direction: "in", Counterparty: s.did, Correlation: corr,
		Hashes: map[string]string{"message": to.keep([]byte(message)), "token": to.keep(tok)}})
}

// files gives the files of a bundle of all leaves.
func (s *side) files(t testing.TB) map[string][]byte {
	t.Helper()
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(ix []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(ix))
		for i, x := range ix {
			out[i] = stored[x]
		}
		return out, nil
	})
	for i, l := range s.leaves {
		hs, err := tlog.StoredHashes(int64(i), l, read)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hs...)
	}
	n := int64(len(s.leaves))
	root, err := tlog.TreeHash(n, read)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: Checkpoint{s.origin, n, root}.Text()}, edSigner{s})
	if err != nil {
		t.Fatal(err)
	}
	man, err := strictjson.Encode(s.man)
	if err != nil {
		t.Fatal(err)
	}
	f := map[string][]byte{ManifestName: man, ReadmeName: []byte(Readme), LogKeyName: []byte(s.vkey() + "\n")}
	for i, l := range s.leaves {
		p, err := tlog.ProveRecord(n, int64(i), read)
		if err != nil {
			t.Fatal(err)
		}
		f[EventName(int64(i))] = l
		f[ProofName(int64(i))] = Proof{int64(i), p, signed}.Marshal()
	}
	for d, b := range s.bodies {
		f[BodyName(d)] = b
	}
	return f
}

type edSigner struct{ s *side }

func (e edSigner) Name() string                    { return e.s.origin }
func (e edSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(e.s.log, msg), nil }
func (e edSigner) KeyHash() uint32 {
	v, err := note.NewVerifier(e.s.vkey())
	if err != nil {
		panic(err)
	}
	return v.KeyHash()
}

func pack(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := z.Add(name, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func trust(t testing.TB, text ...string) Trust {
	t.Helper()
	tr, err := ParseTrust(strings.NewReader(strings.Join(text, "")))
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func verify(t testing.TB, b []byte, tr Trust) Report {
	t.Helper()
	r, err := Verify(bytes.NewReader(b), int64(len(b)), tr)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// exchange is a short exchange on record with both sides.
func exchange(t testing.TB) (a, b *side) {
	t.Helper()
	a, b = newSide(t, "tokyo.example.jp"), newSide(t, "brussels.example.eu")
	b.send(a, "kh.negotiation.requested", `{"@type":"ContractRequestMessage"}`)
	a.send(b, "kh.negotiation.agreed", `{"@type":"ContractAgreementMessage"}`)
	b.send(a, "kh.negotiation.verified", `{"@type":"ContractAgreementVerificationMessage"}`)
	return a, b
}
