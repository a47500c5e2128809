package dcp

import (
	"crypto"
	"errors"
	"io"
	"math"
	"strings"
	"time"

	"kakehashi/did"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/jws"
)

const (
	// MaxToken is how many bytes a token may have.
	MaxToken = 16 << 10
	// Leeway is allowed between two clocks. It is less than a minute, so that a
	// token that is off by one is refused.
	Leeway = 30 * time.Second

	maxJTI      = 256
	maxLifetime = 10 * time.Minute // exp less iat
)

// Token is a self-issued token (DCP 1.0, section 4.3) that was read, with two
// claims of our own: Digest is that of the message that the token came with,
// Agreement that of an agreement which the message confirms.
type Token struct {
	Issuer  string // and subject: the DID of its bearer
	KID     string // key that signed it; "" is the only one of the document
	JTI     string
	Expires time.Time
	Digest  string // "sha256:<hex>" or ""
	// Agreement is a digest or "".
	Agreement     string
	Access        string // claim "token": what a verifier shows to read credentials, or ""
	PreAuthorized string // claim "pre-authorized_code", or ""
	Raw           string

	message jws.Message
}

// claims are those of a token (RFC 7519); unknown ones are passed over.
type claims struct {
	Issuer        string         `json:"iss"`
	Subject       string         `json:"sub"`
	Audience      strictjson.Raw `json:"aud"`
	JTI           string         `json:"jti"`
	Issued        *float64       `json:"iat"`
	NotBefore     *float64       `json:"nbf"`
	Expires       *float64       `json:"exp"`
	Access        string         `json:"token"`
	PreAuthorized string         `json:"pre-authorized_code"`
	Digest        *string        `json:"digest"`
	Agreement     *string        `json:"agreement"`
}

func invalid(reason string) error { return fault.TokenInvalid.At("", "reason", reason) }

// The names of the checks that a token passes without a key, in their order.
const (
	CheckRead     = "read"
	CheckKey      = "key" // the key id belongs to the issuer
	CheckAudience = "audience"
	CheckReplay   = "replay" // there is a jti by which a second use is known
	CheckTime     = "time"
	CheckDigest   = "digest"
)

// ParseToken reads a token for self, a DID, and judges all of it that needs no
// key. Verify is still to be asked. Every error is a fault with status 401.
func ParseToken(raw, self string, now time.Time) (Token, error) {
	return TraceToken(raw, self, now, func(string, string, error) {})
}

// TraceToken is ParseToken that tells of each check: its name, what it saw and what
// is wrong, nil for nothing. It ends with the first that fails.
func TraceToken(raw, self string, now time.Time, trace func(name, saw string, err error)) (Token, error) {
	fail := func(name, saw string, err error) (Token, error) {
		trace(name, saw, err)
		return Token{}, err
	}
	m, err := jws.Parse(raw, MaxToken)
	if err != nil {
		return fail(CheckRead, "", invalid(err.Error()))
	}
	// Without this, what was signed to be kept could be used as a token.
	if m.Header.Typ != "" && !strings.EqualFold(m.Header.Typ, "JWT") {
		return fail(CheckRead, m.Header.Typ, invalid("its type is not JWT"))
	}
	var c claims
	if err := strictjson.DecodeOpen(m.Payload, &c); err != nil {
		return fail(CheckRead, "", fault.TokenInvalid.At("", "reason", "its claims are not valid: "+err.Error()).Because(err))
	}
	t := Token{Issuer: c.Issuer, KID: m.Header.KID, JTI: c.JTI, Access: c.Access, PreAuthorized: c.PreAuthorized, Raw: raw, message: m}
	t.Expires, _ = numericDate(c.Expires)
	for _, check := range []struct {
		name, saw string
		err       error
	}{
		{CheckRead, t.Issuer, c.judgeIssuer()},
		{CheckKey, t.KID, c.judgeKey(t.KID)},
		{CheckAudience, strings.TrimSpace(string(c.Audience)), c.judgeAudience(self)},
		{CheckReplay, t.JTI, c.judgeJTI()},
		{CheckTime, t.Expires.Format(time.RFC3339), c.judgeTimes(now)},
		{CheckDigest, "", c.judgeDigests()},
	} {
		if check.err != nil {
			return fail(check.name, check.saw, check.err)
		}
		if check.name != CheckDigest {
			trace(check.name, check.saw, nil)
		}
	}
	if c.Digest != nil {
		t.Digest = *c.Digest
	}
	if c.Agreement != nil {
		t.Agreement = *c.Agreement
	}
	return t, nil
}

// Verify checks the signature by the key that KID names.
func (t Token) Verify(pub crypto.PublicKey) bool { return t.message.Verify(pub) }

func (c *claims) judgeIssuer() error {
	if err := did.Check(c.Issuer); err != nil {
		return fault.TokenInvalid.At("", "reason", "its issuer is no DID of a kind that is understood").Because(err)
	}
	if c.Subject != c.Issuer {
		return invalid("its subject is not its issuer")
	}
	return nil
}

func (c *claims) judgeKey(kid string) error {
	if fragment, ok := strings.CutPrefix(kid, c.Issuer+"#"); kid != "" && (!ok || fragment == "") {
		return invalid("the key does not belong to the issuer")
	}
	return nil
}

func (c *claims) judgeAudience(self string) error {
	if !c.onlyFor(self) {
		return fault.TokenAudience.At("", "did", self)
	}
	return nil
}

func (c *claims) judgeJTI() error {
	if c.JTI == "" || len(c.JTI) > maxJTI {
		return invalid("its jti is missing or longer than 256 bytes")
	}
	return nil
}

func (c *claims) judgeDigests() error {
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
	case from.After(now.Add(Leeway)):
		return fault.TokenEarly.At("", "from", from.Format(time.RFC3339))
	case !exp.After(now.Add(-Leeway)):
		return fault.TokenExpired.At("", "expired", exp.Format(time.RFC3339))
	}
	return nil
}

// onlyFor tells whether self is the one audience: a token that others may use too
// could be sent on by any of them.
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

// OwnToken is a token that we make. Members that may be missing from the wire are
// "" when they are.
type OwnToken struct {
	Self, Audience string // DIDs
	JTI            string
	Issued         time.Time
	Lifetime       time.Duration // of whole seconds, at most 10 minutes
	Digest         string
	Agreement      string
	Access         string
	PreAuthorized  string
}

type ownClaims struct {
	Issuer        string `json:"iss"`
	Subject       string `json:"sub"`
	Audience      string `json:"aud"`
	JTI           string `json:"jti"`
	Issued        int64  `json:"iat"`
	NotBefore     int64  `json:"nbf"`
	Expires       int64  `json:"exp"`
	Access        string `json:"token,omitempty"`
	PreAuthorized string `json:"pre-authorized_code,omitempty"`
	Digest        string `json:"digest,omitempty"`
	Agreement     string `json:"agreement,omitempty"`
}

// SelfIssue makes a token, signed by a key that stands under capabilityInvocation
// in the document of o.Self.
func SelfIssue(random io.Reader, k jws.Key, o OwnToken) (string, error) {
	if o.Audience == "" || o.JTI == "" || o.Lifetime < time.Second || o.Lifetime > maxLifetime {
		return "", errors.New("make a token: an audience, a jti and a lifetime of at most 10 minutes are required")
	}
	now := o.Issued.Unix()
	payload, err := strictjson.Encode(ownClaims{
		Issuer: o.Self, Subject: o.Self, Audience: o.Audience, JTI: o.JTI,
		Issued: now, NotBefore: now, Expires: now + int64(o.Lifetime/time.Second),
		Access: o.Access, PreAuthorized: o.PreAuthorized, Digest: o.Digest, Agreement: o.Agreement,
	})
	if err != nil {
		return "", err
	}
	return jws.Sign(random, k, "JWT", "", payload)
}
