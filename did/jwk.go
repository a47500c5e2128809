package did

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
)

// JWK is a public key as it stands in a document (RFC 7517, RFC 8037).
type JWK struct {
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y,omitempty"`
}

var errKeyKind = errors.New("the key is neither EC P-256 nor OKP Ed25519")

// Public gives the key: *ecdsa.PublicKey on P-256 or ed25519.PublicKey. Any
// other kind, and a point that is not on the curve, is an error.
func (k JWK) Public() (crypto.PublicKey, error) {
	enc := base64.RawURLEncoding.Strict()
	x, errX := enc.DecodeString(k.X)
	y, errY := enc.DecodeString(k.Y)
	if errX != nil || errY != nil {
		return nil, errors.New("the key's coordinates are not base64url")
	}
	switch {
	case k.Kty == "EC" && k.Crv == "P-256":
		if len(x) != 32 || len(y) != 32 {
			return nil, errors.New("the key's coordinates are not 32 bytes long")
		}
		pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil {
			return nil, errors.New("the key is not a point of P-256")
		}
		return pub, nil
	case k.Kty == "OKP" && k.Crv == "Ed25519":
		if len(x) != ed25519.PublicKeySize || k.Y != "" {
			return nil, errors.New("the key is not 32 bytes long")
		}
		return ed25519.PublicKey(x), nil
	}
	return nil, errKeyKind
}

// NewJWK writes a public key of the two kinds that Public reads.
func NewJWK(pub crypto.PublicKey) (JWK, error) {
	enc := base64.RawURLEncoding.EncodeToString
	switch p := pub.(type) {
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() {
			return JWK{}, errKeyKind
		}
		b, err := p.Bytes()
		if err != nil {
			return JWK{}, fmt.Errorf("write public key: %w", err)
		}
		return JWK{Kty: "EC", Crv: "P-256", X: enc(b[1:33]), Y: enc(b[33:])}, nil
	case ed25519.PublicKey:
		return JWK{Kty: "OKP", Crv: "Ed25519", X: enc(p)}, nil
	}
	return JWK{}, errKeyKind
}
