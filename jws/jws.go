// Package jws reads and makes signatures in compact serialisation (RFC 7515
// section 7.1) with an allow-list of algorithms: ES256, ES384 and EdDSA over
// Ed25519. It believes nothing and finds no keys: whose key a kid names, and what
// for, is for who calls it. JSON serialisation and encryption are not here.
package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"

	"kakehashi/internal/strictjson"
)

// The algorithms (RFC 7518 section 3.1, RFC 8037); there are no others, "none"
// and everything with a shared secret among them.
const (
	ES256 = "ES256" // ECDSA on P-256 with SHA-256
	ES384 = "ES384" // ECDSA on P-384 with SHA-384
	EdDSA = "EdDSA" // Ed25519
)

// MaxKID is how many bytes a key id may have.
const MaxKID = 2048

// Key signs. The private half never leaves its Signer.
type Key struct {
	KID    string // DID#fragment
	Alg    string
	Signer crypto.Signer
}

// Header is what the header of a message says.
type Header struct {
	Alg, KID, Typ, Cty string // KID, Typ and Cty may be ""
}

// Message is a JWS taken apart and not yet believed.
type Message struct {
	Header  Header
	Payload []byte
	signed  string // what the signature covers
	sig     []byte
}

type header struct {
	Alg  string         `json:"alg"`
	KID  string         `json:"kid,omitempty"`
	Typ  string         `json:"typ,omitempty"`
	Cty  string         `json:"cty,omitempty"`
	Crit strictjson.Raw `json:"crit,omitempty"`
}

var b64 = base64.RawURLEncoding.Strict()

// Parse takes apart a JWS of at most limit bytes. An algorithm that is not on the
// list and any critical extension are refused. The error is plain text that may
// be shown: "it ...", of the message.
func Parse(s string, limit int) (Message, error) {
	var m Message
	if len(s) > limit {
		return m, fmt.Errorf("it is larger than %d bytes", limit)
	}
	// base64 passes over line ends; a token has none.
	if strings.ContainsAny(s, "\r\n") || strings.Count(s, ".") != 2 {
		return m, errors.New("it is not a compact JWS")
	}
	end := strings.LastIndexByte(s, '.')
	first, second, _ := strings.Cut(s[:end], ".")
	head, err := b64.DecodeString(first)
	if err != nil {
		return m, errors.New("its header is not base64url")
	}
	if m.Payload, err = b64.DecodeString(second); err != nil {
		return m, errors.New("its payload is not base64url")
	}
	if m.sig, err = b64.DecodeString(s[end+1:]); err != nil {
		return m, errors.New("its signature is not base64url")
	}
	m.signed = s[:end]
	var h header
	if err := strictjson.DecodeOpen(head, &h); err != nil {
		return m, fmt.Errorf("its header is not valid: %w", err)
	}
	m.Header = Header{Alg: h.Alg, KID: h.KID, Typ: h.Typ, Cty: h.Cty}
	switch {
	case h.Crit != nil:
		return m, errors.New("its header names critical extensions")
	case h.Alg != ES256 && h.Alg != ES384 && h.Alg != EdDSA:
		return m, fmt.Errorf("the algorithm %.40q is not allowed; use ES256, ES384 or EdDSA", h.Alg)
	case len(h.KID) > MaxKID:
		return m, errors.New("the key id is too long")
	}
	return m, nil
}

// Verify checks the signature by pub: *ecdsa.PublicKey on P-256 or P-384, or
// ed25519.PublicKey. The key decides the algorithm and the header must name it:
// the header chooses nothing.
func (m Message) Verify(pub crypto.PublicKey) bool {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		alg, half := ofCurve(k.Curve)
		if alg == "" || m.Header.Alg != alg || len(m.sig) != 2*half {
			return false
		}
		return ecdsa.Verify(k, digest(alg, []byte(m.signed)), new(big.Int).SetBytes(m.sig[:half]), new(big.Int).SetBytes(m.sig[half:]))
	case ed25519.PublicKey:
		return m.Header.Alg == EdDSA && len(k) == ed25519.PublicKeySize && ed25519.Verify(k, []byte(m.signed), m.sig)
	}
	return false
}

// AlgFor names the algorithm that fits a public key, "" when there is none.
func AlgFor(pub crypto.PublicKey) string {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		alg, _ := ofCurve(k.Curve)
		return alg
	case ed25519.PublicKey:
		return EdDSA
	}
	return ""
}

// ofCurve gives the algorithm of a curve and the bytes of half a signature.
func ofCurve(c elliptic.Curve) (alg string, half int) {
	switch c {
	case elliptic.P256():
		return ES256, 32
	case elliptic.P384():
		return ES384, 48
	}
	return "", 0
}

func digest(alg string, message []byte) []byte {
	if alg == ES384 {
		sum := sha512.Sum384(message)
		return sum[:]
	}
	sum := sha256.Sum256(message)
	return sum[:]
}

// Sign makes a message of payload with the header members alg, kid, typ and cty;
// a typ or cty of "" is left out.
func Sign(random io.Reader, k Key, typ, cty string, payload []byte) (string, error) {
	h, err := strictjson.Encode(header{Alg: k.Alg, KID: k.KID, Typ: typ, Cty: cty})
	if err != nil {
		return "", err
	}
	out := make([]byte, 0, b64.EncodedLen(len(h))+b64.EncodedLen(len(payload))+2+b64.EncodedLen(96))
	out = b64.AppendEncode(out, h)
	out = append(out, '.')
	out = b64.AppendEncode(out, payload)
	sig, err := signature(random, k, out)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", k.KID, err)
	}
	out = append(out, '.')
	return string(b64.AppendEncode(out, sig)), nil
}

func signature(random io.Reader, k Key, message []byte) ([]byte, error) {
	half := 32
	hash := crypto.SHA256
	switch k.Alg {
	case EdDSA:
		return k.Signer.Sign(random, message, crypto.Hash(0))
	case ES384:
		half, hash = 48, crypto.SHA384
	case ES256:
	default:
		return nil, fmt.Errorf("nothing is signed with %q", k.Alg)
	}
	der, err := k.Signer.Sign(random, digest(k.Alg, message), hash)
	if err != nil {
		return nil, err
	}
	// JOSE has r and s side by side (RFC 7518 section 3.4).
	sig, ok := joined(der, half)
	if !ok {
		return nil, fmt.Errorf("the signer gave no ECDSA signature for %s", k.Alg)
	}
	return sig, nil
}

// joined puts r and s of an ECDSA signature in DER (RFC 3279 section 2.2.3) side
// by side in half bytes each. All lengths of P-256 and P-384 are of one byte.
func joined(der []byte, half int) ([]byte, bool) {
	if len(der) < 2 || der[0] != 0x30 || int(der[1]) != len(der)-2 {
		return nil, false
	}
	sig, rest := make([]byte, 2*half), der[2:]
	for _, part := range [][]byte{sig[:half], sig[half:]} {
		if len(rest) < 2 || rest[0] != 0x02 || int(rest[1]) > len(rest)-2 {
			return nil, false
		}
		n := rest[2 : 2+int(rest[1])]
		rest = rest[2+len(n):]
		if len(n) == half+1 && n[0] == 0 {
			n = n[1:]
		}
		if len(n) == 0 || len(n) > half {
			return nil, false
		}
		copy(part[half-len(n):], n)
	}
	return sig, len(rest) == 0
}
