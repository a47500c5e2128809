package identity_test

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"kakehashi/identity"
	"kakehashi/internal/ids"
	"kakehashi/participant"
	"kakehashi/store"
)

func BenchmarkAuthorize(b *testing.B) {
	w := newWorld(b)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.room.Authorize(ctx, "tokyo", peerDID, identity.Use{Digest: body}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	ctx := context.Background()
	r := identity.NewWebResolver(identity.WebConfig{Participants: w.hosts, Now: w.clock})
	room, err := identity.Open(identity.Config{DB: w.db, Participants: w.hosts, Resolver: r, Now: w.clock})
	if err != nil {
		b.Fatal(err)
	}
	h, err := room.Authorize(ctx, "tokyo", "did:web:kyoto.example", identity.Use{Digest: body})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := room.Verify(ctx, "kyoto", identity.Request{Authorization: h, Digest: body}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSpend(b *testing.B) {
	w := newWorld(b)
	c := identity.Caller{Token: identity.Token{Issuer: peerDID, Expires: start}}
	b.ReportAllocs()
	for b.Loop() {
		err := w.db.Update(context.Background(), func(tx store.Tx) error {
			for range 100 {
				c.Token.JTI = ids.Short()
				if err := w.room.Spend(tx, "tokyo", c); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// The two below are what the same work costs with go-jose, whose signer is made
// once.
func BenchmarkGoJoseSign(b *testing.B) {
	w := newWorld(b)
	k, err := w.hosts.Key("tokyo", participant.Token)
	if err != nil {
		b.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: k.Signer.(*ecdsa.PrivateKey), KeyID: k.KID}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		b.Fatal(err)
	}
	claims := w.claims()
	b.ReportAllocs()
	for b.Loop() {
		payload, err := json.Marshal(claims)
		if err != nil {
			b.Fatal(err)
		}
		j, err := signer.Sign(payload)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := j.CompactSerialize(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGoJoseVerify(b *testing.B) {
	w := newWorld(b)
	token := w.token(b, w.claims())
	b.ReportAllocs()
	for b.Loop() {
		j, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA})
		if err != nil {
			b.Fatal(err)
		}
		payload, err := j.Verify(&w.ec.PublicKey)
		if err != nil {
			b.Fatal(err)
		}
		var c map[string]any
		if err := json.Unmarshal(payload, &c); err != nil || !strings.HasPrefix(c["iss"].(string), "did:") {
			b.Fatal(err)
		}
	}
}
