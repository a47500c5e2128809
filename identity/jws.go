package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"

	"kakehashi/internal/strictjson"
	"kakehashi/participant"
)

// compact is a JWS in compact serialisation (RFC 7515 section 7.1), taken apart
// and not yet believed.
type compact struct {
	header  header
	payload []byte
	signed  string // what the signature covers
	sig     []byte
}

type header struct {
	Alg  string         `json:"alg"`
	KID  string         `json:"kid"`
	Typ  string         `json:"typ"`
	Crit strictjson.Raw `json:"crit"`
}

const (
	algES256 = "ES256"
	algEdDSA = "EdDSA"
)

var b64 = base64.RawURLEncoding.Strict()

// parseCompact reads a JWS of at most limit bytes and refuses every algorithm
// but ES256 and EdDSA. The error is plain text that may be shown.
func parseCompact(s string, limit int) (compact, error) {
	var c compact
	if len(s) > limit {
		return c, fmt.Errorf("it is larger than %d bytes", limit)
	}
	// base64 passes over line ends; a token has none.
	if strings.ContainsAny(s, "\r\n") || strings.Count(s, ".") != 2 {
		return c, errors.New("it is not a compact JWS")
	}
	end := strings.LastIndexByte(s, '.')
	first, second, _ := strings.Cut(s[:end], ".")
	h, err := b64.DecodeString(first)
	if err != nil {
		return c, errors.New("its header is not base64url")
	}
	if c.payload, err = b64.DecodeString(second); err != nil {
		return c, errors.New("its payload is not base64url")
	}
	if c.sig, err = b64.DecodeString(s[end+1:]); err != nil {
		return c, errors.New("its signature is not base64url")
	}
	c.signed = s[:end]
	if err := strictjson.DecodeOpen(h, &c.header); err != nil {
		return c, fmt.Errorf("its header is not valid: %w", err)
	}
	switch {
	case c.header.Crit != nil:
		return c, errors.New("its header names critical extensions")
	case c.header.Alg != algES256 && c.header.Alg != algEdDSA:
		return c, fmt.Errorf("the algorithm %.40q is not allowed; use ES256 or EdDSA", c.header.Alg)
	case c.header.KID == "":
		return c, errors.New("its header names no key")
	case len(c.header.KID) > maxText:
		return c, errors.New("the key id is too long")
	}
	return c, nil
}

// verify checks the signature. The algorithm must be the one that the key is of:
// the header chooses nothing.
func (c compact) verify(pub crypto.PublicKey) bool {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if c.header.Alg != algES256 || len(c.sig) != 64 {
			return false
		}
		sum := sha256.Sum256([]byte(c.signed))
		return ecdsa.Verify(k, sum[:], new(big.Int).SetBytes(c.sig[:32]), new(big.Int).SetBytes(c.sig[32:]))
	case ed25519.PublicKey:
		return c.header.Alg == algEdDSA && ed25519.Verify(k, []byte(c.signed), c.sig)
	}
	return false
}

// signCompact makes a compact JWS of payload with header alg, kid, typ.
func signCompact(random io.Reader, k participant.Key, typ string, payload []byte) ([]byte, error) {
	h, err := strictjson.Encode(struct {
		Alg string `json:"alg"`
		KID string `json:"kid"`
		Typ string `json:"typ"`
	}{k.Alg, k.KID, typ})
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, b64.EncodedLen(len(h))+b64.EncodedLen(len(payload))+2+b64.EncodedLen(64))
	out = b64.AppendEncode(out, h)
	out = append(out, '.')
	out = b64.AppendEncode(out, payload)
	sig, err := signRaw(random, k, out)
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", k.KID, err)
	}
	out = append(out, '.')
	return b64.AppendEncode(out, sig), nil
}

func signRaw(random io.Reader, k participant.Key, message []byte) ([]byte, error) {
	switch k.Alg {
	case algEdDSA:
		return k.Signer.Sign(random, message, crypto.Hash(0))
	case algES256:
		sum := sha256.Sum256(message)
		der, err := k.Signer.Sign(random, sum[:], crypto.SHA256)
		if err != nil {
			return nil, err
		}
		// JOSE has r and s side by side (RFC 7518 section 3.4).
		sig, ok := joined(der)
		if !ok {
			return nil, errors.New("the signer gave no ECDSA signature of P-256")
		}
		return sig, nil
	}
	return nil, fmt.Errorf("no tokens are signed with %q", k.Alg)
}

// joined puts r and s of an ECDSA signature in DER (RFC 3279 section 2.2.3) side
// by side in 32 bytes each. All lengths of P-256 are of one byte.
func joined(der []byte) ([]byte, bool) {
	if len(der) < 2 || der[0] != 0x30 || int(der[1]) != len(der)-2 {
		return nil, false
	}
	sig, rest := make([]byte, 64), der[2:]
	for _, half := range [][]byte{sig[:32], sig[32:]} {
		if len(rest) < 2 || rest[0] != 0x02 || int(rest[1]) > len(rest)-2 {
			return nil, false
		}
		n := rest[2 : 2+rest[1]]
		rest = rest[2+len(n):]
		if len(n) == 33 && n[0] == 0 {
			n = n[1:]
		}
		if len(n) == 0 || len(n) > 32 {
			return nil, false
		}
		copy(half[32-len(n):], n)
	}
	return sig, len(rest) == 0
}
