package identity

import (
	"math"
	"strings"
	"time"

	"kakehashi/did"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

const (
	maxToken  = 16 << 10
	maxSigned = 1 << 20
	maxText   = 2048 // key ids
	maxJTI    = 256

	leeway      = time.Minute      // between two clocks
	maxLifetime = 10 * time.Minute // of a token, exp less iat
	ownLifetime = time.Minute      // of the tokens that we make
)

// claims are those of a self-issued token (RFC 7519, DCP 1.0 section 4.3), with
// two of our own: digest is that of the message that the token came with,
// agreement that of an agreement which the message confirms.
type claims struct {
	Issuer    string         `json:"iss"`
	Subject   string         `json:"sub"`
	Audience  strictjson.Raw `json:"aud"`
	JTI       string         `json:"jti"`
	Issued    *float64       `json:"iat"`
	NotBefore *float64       `json:"nbf"`
	Expires   *float64       `json:"exp"`
	Digest    *string        `json:"digest"`
	Agreement *string        `json:"agreement"`
}

// ownClaims is claims as we write them.
type ownClaims struct {
	Issuer    string `json:"iss"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud"`
	JTI       string `json:"jti"`
	Issued    int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
	Digest    string `json:"digest,omitempty"`
	Agreement string `json:"agreement,omitempty"`
}

func invalid(reason string) error { return fault.TokenInvalid.At("", "reason", reason) }

// judge checks all of the claims that need no key. self is the DID of the
// participant that the message is for.
func (c *claims) judge(kid, self string, now time.Time) error {
	if err := did.Check(c.Issuer); err != nil {
		return fault.TokenInvalid.At("", "reason", "its issuer is not a did:web name").Because(err)
	}
	if c.Subject != c.Issuer {
		return invalid("its subject is not its issuer")
	}
	if fragment, ok := strings.CutPrefix(kid, c.Issuer+"#"); !ok || fragment == "" {
		return invalid("the key does not belong to the issuer")
	}
	if !c.onlyFor(self) {
		return fault.TokenAudience.At("", "did", self)
	}
	if c.JTI == "" || len(c.JTI) > maxJTI {
		return invalid("its jti is missing or longer than 256 bytes")
	}
	if err := c.judgeTimes(now); err != nil {
		return err
	}
	for _, d := range []*string{c.Digest, c.Agreement} {
		if d != nil && !validDigest(*d) {
			return invalid("a digest in it is not of the form sha256:HEX")
		}
	}
	return nil
}

func (c *claims) judgeTimes(now time.Time) error {
	exp, ok := numericDate(c.Expires)
	if !ok {
		return invalid("its exp is missing or not a time")
	}
	iat, ok := numericDate(c.Issued)
	if !ok {
		return invalid("its iat is missing or not a time")
	}
	from := iat
	if c.NotBefore != nil {
		nbf, ok := numericDate(c.NotBefore)
		if !ok {
			return invalid("its nbf is not a time")
		}
		if nbf.After(from) {
			from = nbf
		}
	}
	switch {
	case !exp.After(iat) || exp.Sub(iat) > maxLifetime:
		return invalid("it lives longer than 10 minutes or not at all")
	case from.After(now.Add(leeway)):
		return fault.TokenEarly.At("", "from", from.Format(time.RFC3339))
	case !exp.After(now.Add(-leeway)):
		return fault.TokenExpired.At("", "expired", exp.Format(time.RFC3339))
	}
	return nil
}

// onlyFor tells whether self is the one audience.
func (c *claims) onlyFor(self string) bool {
	var one string
	switch c.Audience.Kind() {
	case '"':
		return strictjson.DecodeOpen(c.Audience, &one) == nil && one == self
	case '[':
		var many []string
		return strictjson.DecodeOpen(c.Audience, &many) == nil && len(many) == 1 && many[0] == self
	}
	return false
}

// numericDate reads seconds since 1970, with a fraction if need be (RFC 7519
// section 2).
func numericDate(f *float64) (time.Time, bool) {
	if f == nil || *f < 0 || *f > 1<<40 {
		return time.Time{}, false
	}
	s, frac := math.Modf(*f)
	return time.Unix(int64(s), int64(frac*1e9)).UTC(), true
}

func validDigest(s string) bool {
	h, ok := strings.CutPrefix(s, "sha256:")
	if !ok || len(h) != 64 {
		return false
	}
	for i := range len(h) {
		if c := h[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
