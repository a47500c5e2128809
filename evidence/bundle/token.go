package bundle

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math/big"
	"slices"
	"strings"

	"kakehashi/internal/strictjson"
)

// token is a compact JWS (RFC 7515) that came with a message.
type token struct {
	alg, kid string
	iss      string
	aud      []string
	digest   string // of the message that it signs; "" when it signs none
	signed   []byte
	sig      []byte
}

func parseToken(b []byte) (token, error) {
	var t token
	parts := strings.Split(string(b), ".")
	if len(parts) != 3 || len(b) > maxToken {
		return t, errors.New("not a compact JWS")
	}
	var raw [3][]byte
	for i, p := range parts {
		d, err := base64.RawURLEncoding.Strict().DecodeString(p)
		if err != nil {
			return t, errors.New("not base64url")
		}
		raw[i] = d
	}
	var h struct {
		Alg  string         `json:"alg"`
		KID  string         `json:"kid"`
		Crit strictjson.Raw `json:"crit"`
	}
	if err := strictjson.DecodeOpen(raw[0], &h); err != nil {
		return t, err
	}
	if h.Crit != nil {
		return t, errors.New("it names critical extensions")
	}
	var c struct {
		Iss    string         `json:"iss"`
		Aud    strictjson.Raw `json:"aud"`
		Digest string         `json:"digest"`
	}
	if err := strictjson.DecodeOpen(raw[1], &c); err != nil {
		return t, err
	}
	t = token{alg: h.Alg, kid: h.KID, iss: c.Iss, digest: c.Digest, sig: raw[2], signed: b[:len(parts[0])+1+len(parts[1])]}
	if len(c.Aud) > 0 {
		var one string
		if strictjson.DecodeOpen(c.Aud, &one) == nil {
			t.aud = []string{one}
		} else if err := strictjson.DecodeOpen(c.Aud, &t.aud); err != nil {
			return t, err
		}
	}
	return t, nil
}

// verify checks the signature with a key of the kind that alg names.
func (t token) verify(pub crypto.PublicKey) bool {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if t.alg != "ES256" || len(t.sig) != 64 {
			return false
		}
		sum := sha256.Sum256(t.signed)
		return ecdsa.Verify(k, sum[:], new(big.Int).SetBytes(t.sig[:32]), new(big.Int).SetBytes(t.sig[32:]))
	case ed25519.PublicKey:
		return (t.alg == "EdDSA" || t.alg == "Ed25519") && ed25519.Verify(k, t.signed, t.sig)
	}
	return false
}

// judgeSender says who wrote a received message. A finding is returned where
// the record contradicts itself.
func judgeSender(ev *Event, tenant string, raw []byte, trust Trust) *Finding {
	unsigned := func(why string) *Finding {
		ev.Sender, ev.Detail = SenderUnsigned, why
		return nil
	}
	t, err := parseToken(raw)
	switch {
	case err != nil:
		return unsigned("token: " + err.Error())
	case t.digest == "":
		return unsigned("token names no digest")
	case t.digest != ev.Message:
		return &Finding{"token-digest", EventName(ev.Position), t.digest}
	case t.iss != ev.Counterparty:
		return unsigned("token is of " + t.iss)
	case !slices.Contains(t.aud, tenant):
		return unsigned("token is for another recipient")
	}
	kid := fullKID(t.iss, t.kid)
	pub, ok := trust.keys[t.iss][kid]
	if !ok {
		ev.Sender, ev.Key = SenderNotAnchored, kid
		return nil
	}
	if !t.verify(pub) {
		return &Finding{"token-signature", EventName(ev.Position), kid}
	}
	ev.Sender, ev.Key = SenderSigned, kid
	return nil
}
