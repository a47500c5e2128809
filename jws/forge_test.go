package jws_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"kakehashi/jws"
)

func TestForgedSignaturesAreNotVerified(t *testing.T) {
	t.Parallel()
	k := key(t, jws.ES256)
	private := k.Signer.(*ecdsa.PrivateKey)
	s, err := jws.Sign(rand.Reader, k, "JWT", "", []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	signed, text := s[:strings.LastIndexByte(s, '.')], s[strings.LastIndexByte(s, '.')+1:]
	sig, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(signed))
	der, err := ecdsa.SignASN1(rand.Reader, private, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	zero := make([]byte, 32)
	order := elliptic.P256().Params().N.FillBytes(make([]byte, 32))
	for name, forged := range map[string][]byte{
		"in DER":                 der,
		"empty":                  {},
		"one byte short":         sig[:63],
		"one byte more":          append(slices.Clone(sig), 0),
		"of the length of ES384": slices.Concat(make([]byte, 16), sig[:32], make([]byte, 16), sig[32:]),
		"halves swapped":         slices.Concat(sig[32:], sig[:32]),
		"all zero":               make([]byte, 64),
		"r zero":                 slices.Concat(zero, sig[32:]),
		"s zero":                 slices.Concat(sig[:32], zero),
		"r the order":            slices.Concat(order, sig[32:]),
		"s the order":            slices.Concat(sig[:32], order),
	} {
		m, err := jws.Parse(signed+"."+base64.RawURLEncoding.EncodeToString(forged), 4096)
		if err != nil {
			t.Fatal(err)
		}
		if m.Verify(private.Public()) {
			t.Errorf("%s: verified", name)
		}
	}
	m, err := jws.Parse(s, 4096)
	if err != nil || !m.Verify(private.Public()) {
		t.Fatalf("what was signed is not verified, %v", err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, pub := range map[string]crypto.PublicKey{
		"no key": nil, "a key of P-521": other.Public(), "an Ed25519 key cut short": ed25519.PublicKey("short"),
		"a secret": []byte("secret"), "a private key": private,
	} {
		if m.Verify(pub) || jws.AlgFor(pub) != "" && name != "an Ed25519 key cut short" {
			t.Errorf("%s verifies", name)
		}
	}
}
