package identity_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"kakehashi/did"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

const (
	tokyoDID = "did:web:tokyo.example"
	peerDID  = "did:web:peer.example:p:osaka"
	body     = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	other    = "sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
)

var start = time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)

// documents is a Resolver with the documents that a test gave it.
type documents struct {
	mu     sync.Mutex
	byDID  map[string]did.Document
	next   map[string]did.Document // what Refresh finds
	hosted *participant.Room
}

func (d *documents) Resolve(_ context.Context, name string) (did.Document, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p, ok := d.hosted.ByDID(name); ok {
		return identity.Document(d.hosted, p.ID)
	}
	if doc, ok := d.byDID[name]; ok {
		return doc, nil
	}
	return did.Document{}, fault.DIDUnresolved.At("", "did", name, "reason", "test")
}

func (d *documents) Refresh(ctx context.Context, name string) (did.Document, error) {
	d.mu.Lock()
	maps.Copy(d.byDID, d.next)
	d.mu.Unlock()
	return d.Resolve(ctx, name)
}

// world is a room that hosts tokyo, and a peer that is not hosted. The peer's
// tokens are made by go-jose, so that two implementations meet.
type world struct {
	db    store.DB
	room  *identity.Room
	hosts *participant.Room
	docs  *documents
	now   time.Time
	stood time.Duration // how far the clock jumped without time passing
	ec    *ecdsa.PrivateKey
	ed    ed25519.PrivateKey
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{now: start}
	w.db = storetest.Open(t, participant.Schema, identity.Schema)
	vault, err := participant.NewVault(make([]byte, 32), nil)
	if err != nil {
		t.Fatal(err)
	}
	if w.hosts, err = participant.Open(t.Context(), participant.Config{DB: w.db, Vault: vault, Now: w.clock}); err != nil {
		t.Fatal(err)
	}
	for id, d := range map[participant.ID]string{"tokyo": tokyoDID, "kyoto": "did:web:kyoto.example"} {
		host := strings.TrimPrefix(d, "did:web:")
		if err := w.hosts.Create(t.Context(), participant.Participant{
			ID: id, DID: d, Base: "https://" + host + "/dsp/" + string(id) + "/2025-1", Origin: host, DataURL: "https://" + host,
		}); err != nil {
			t.Fatal(err)
		}
	}
	if w.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, w.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	w.docs = &documents{hosted: w.hosts, byDID: map[string]did.Document{peerDID: w.document(t, peerDID, &w.ec.PublicKey)}}
	if w.room, err = identity.Open(identity.Config{DB: w.db, Participants: w.hosts, Resolver: w.docs, Now: w.clock,
		Elapsed: func() time.Duration { return w.now.Sub(start) - w.stood },
		Lenient: func(d string) bool { return d == "did:web:lenient.example" }}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) clock() time.Time { return w.now }

// document is a DID document with "#token-1" for tokens and "#log-1" for
// statements only.
func (w *world) document(t testing.TB, name string, token crypto.PublicKey) did.Document {
	t.Helper()
	return w.documentWith(t, name, name+"#token-1", token)
}

func (w *world) documentWith(t testing.TB, name, kid string, token crypto.PublicKey) did.Document {
	t.Helper()
	d, err := did.Build(did.Own{DID: name, Base: "https://x.example", Keys: []did.OwnKey{
		{KID: kid, Public: token, For: []did.Relationship{did.Authentication, did.Assertion, did.Invocation}},
		{KID: name + "#log-1", Public: w.ed.Public(), For: []did.Relationship{did.Assertion}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (w *world) claims() map[string]any {
	return map[string]any{
		"iss": peerDID, "sub": peerDID, "aud": tokyoDID, "jti": "j-1", "digest": body,
		"iat": w.now.Unix(), "nbf": w.now.Unix(), "exp": w.now.Add(time.Minute).Unix(),
	}
}

// sign makes a compact JWS with go-jose.
func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, payload any) string {
	t.Helper()
	opts := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		opts.WithHeader("kid", kid)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	b, ok := payload.([]byte)
	if !ok {
		if b, err = json.Marshal(payload); err != nil {
			t.Fatal(err)
		}
	}
	j, err := s.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	out, err := j.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (w *world) token(t testing.TB, c map[string]any) string {
	t.Helper()
	return sign(t, jose.ES256, w.ec, peerDID+"#token-1", c)
}

func (w *world) verify(token string) (identity.Caller, error) {
	return w.room.Verify(context.Background(), "tokyo", identity.Request{Authorization: "Bearer " + token, Message: "test", Digest: body})
}
