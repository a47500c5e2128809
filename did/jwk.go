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

var errKeyKind = errors.New("the key is neither EC P-256 or P-384 nor OKP Ed25519")

// curves are those of EC keys, by their names in a JWK (RFC 7518 section 6.2.1.1).
var curves = map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384()}

// Public gives the key: *ecdsa.PublicKey on P-256 or P-384, or
// ed25519.PublicKey. Any other kind, and a point that is not on the curve, is an
// error.
func (k JWK) Public() (crypto.PublicKey, error) {
	enc := base64.RawURLEncoding.Strict()
	x, errX := enc.DecodeString(k.X)
	y, errY := enc.DecodeString(k.Y)
	if errX != nil || errY != nil {
		return nil, errors.New("the key's coordinates are not base64url")
	}
	if k.Kty == "OKP" && k.Crv == "Ed25519" {
		if len(x) != ed25519.PublicKeySize || k.Y != "" {
			return nil, errors.New("the key is not 32 bytes long")
		}
		return ed25519.PublicKey(x), nil
	}
	curve, ok := curves[k.Crv]
	if !ok || k.Kty != "EC" {
		return nil, errKeyKind
	}
	if half := (curve.Params().BitSize + 7) / 8; len(x) != half || len(y) != half {
		return nil, fmt.Errorf("the key's coordinates are not %d bytes long", half)
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, errors.New("the key is not a point of " + k.Crv)
	}
	return pub, nil
}

// NewJWK writes a public key of the kinds that Public reads.
func NewJWK(pub crypto.PublicKey) (JWK, error) {
	enc := base64.RawURLEncoding.EncodeToString
	switch p := pub.(type) {
	case *ecdsa.PublicKey:
		for name, curve := range curves {
			if p.Curve != curve {
				continue
			}
			b, err := p.Bytes()
			if err != nil {
				return JWK{}, fmt.Errorf("write public key: %w", err)
			}
			half := (len(b) - 1) / 2
			return JWK{Kty: "EC", Crv: name, X: enc(b[1 : 1+half]), Y: enc(b[1+half:])}, nil
		}
	case ed25519.PublicKey:
		return JWK{Kty: "OKP", Crv: "Ed25519", X: enc(p)}, nil
	}
	return JWK{}, errKeyKind
}
