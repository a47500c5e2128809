package did

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

const (
	prefixKey = "did:key:"
	prefixJWK = "did:jwk:"
	// maxLocal bounds names that hold a whole key, before any of them is decoded.
	maxLocal = 512
)

// Local gives the document of a name that holds its key: did:key (P-256, P-384,
// Ed25519) and did:jwk. ok is false for names of other methods. The one key is
// good for all purposes. The error is fault.DIDInvalid.
func Local(name string) (doc Document, ok bool, err error) {
	bad := func(reason string) (Document, bool, error) {
		return Document{}, true, fault.DIDInvalid.At("", "did", fmt.Sprintf("%.200q", name), "reason", reason)
	}
	if !strings.HasPrefix(name, prefixKey) && !strings.HasPrefix(name, prefixJWK) {
		return Document{}, false, nil
	}
	if len(name) > maxLocal {
		return bad("it is too long")
	}
	kid := name + "#0"
	var jwk JWK
	if text, is := strings.CutPrefix(name, prefixJWK); is {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if err != nil {
			return bad("it holds no base64url")
		}
		var w wireJWK
		if err := strictjson.DecodeOpen(raw, &w); err != nil {
			return bad("it holds no JSON Web Key")
		}
		if w.D != nil || w.K != nil {
			return bad("it holds a private key")
		}
		jwk = w.JWK
	} else {
		text := strings.TrimPrefix(name, prefixKey)
		pub, err := publicOf(text)
		if err != nil {
			return bad(err.Error())
		}
		if jwk, err = NewJWK(pub); err != nil {
			return bad(err.Error())
		}
		kid = name + "#" + text
	}
	pub, err := jwk.Public()
	if err != nil {
		return bad(err.Error())
	}
	one := []string{kid}
	return Document{ID: name, Authentication: one, Assertion: one, Invocation: one,
		Methods: []VerificationMethod{{ID: kid, Type: "JsonWebKey2020", Controller: name, JWK: &jwk}},
		keys:    map[string]key{kid: {public: pub}}}, true, nil
}

// KeyName gives the did:key of a public key, an error for kinds that Local does
// not read.
func KeyName(pub crypto.PublicKey) (string, error) {
	var b []byte
	switch k := pub.(type) {
	case ed25519.PublicKey:
		b = append([]byte{0xed, 0x01}, k...)
	case *ecdsa.PublicKey:
		code, ok := map[elliptic.Curve]byte{elliptic.P256(): 0x80, elliptic.P384(): 0x81}[k.Curve]
		if !ok {
			return "", errKeyKind
		}
		raw, err := k.Bytes()
		if err != nil {
			return "", fmt.Errorf("write public key: %w", err)
		}
		half := (len(raw) - 1) / 2
		b = append([]byte{code, 0x24, 2 + raw[len(raw)-1]&1}, raw[1:1+half]...)
	default:
		return "", errKeyKind
	}
	return prefixKey + "z" + base58(b), nil
}

// publicOf reads the multibase text of a did:key: a multicodec code, then the key.
func publicOf(text string) (crypto.PublicKey, error) {
	text, ok := strings.CutPrefix(text, "z")
	if !ok {
		return nil, fmt.Errorf("it is not in base58btc")
	}
	b, ok := unbase58(text)
	if !ok || len(b) < 3 {
		return nil, fmt.Errorf("it is not in base58btc")
	}
	code, b := [2]byte{b[0], b[1]}, b[2:]
	var curve elliptic.Curve
	switch code {
	case [2]byte{0xed, 0x01}:
		if len(b) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("its key is not 32 bytes long")
		}
		return ed25519.PublicKey(b), nil
	case [2]byte{0x80, 0x24}:
		curve = elliptic.P256()
	case [2]byte{0x81, 0x24}:
		curve = elliptic.P384()
	default:
		return nil, errKeyKind
	}
	x, y := elliptic.UnmarshalCompressed(curve, b)
	if x == nil {
		return nil, fmt.Errorf("its key is not a point of the curve")
	}
	half := (curve.Params().BitSize + 7) / 8
	raw := make([]byte, 1+2*half)
	raw[0] = 4
	x.FillBytes(raw[1 : 1+half])
	y.FillBytes(raw[1+half:])
	return ecdsa.ParseUncompressedPublicKey(curve, raw)
}

const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// base58 writes b in the alphabet of Bitcoin, as multibase does under "z".
func base58(b []byte) string {
	var out []byte
	n, radix, digit := new(big.Int).SetBytes(b), big.NewInt(58), new(big.Int)
	for n.Sign() > 0 {
		n.DivMod(n, radix, digit)
		out = append(out, alphabet[digit.Int64()])
	}
	for _, c := range b {
		if c != 0 {
			break
		}
		out = append(out, alphabet[0])
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return string(out)
}

func unbase58(s string) ([]byte, bool) {
	n, radix := new(big.Int), big.NewInt(58)
	for i := range len(s) {
		d := strings.IndexByte(alphabet, s[i])
		if d < 0 {
			return nil, false
		}
		n.Mul(n, radix).Add(n, big.NewInt(int64(d)))
	}
	zeros := len(s) - len(strings.TrimLeft(s, alphabet[:1]))
	return append(make([]byte, zeros), n.Bytes()...), true
}
