package dcp

import (
	"io"
	"strings"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/jws"
)

// useRead marks an access token, so that no other signature of the holder passes
// for one.
const useRead = "dcp-read"

// Access is what an access token of ours allows (DCP 1.0, section 4.3.1): one
// verifier reads what some scopes cover. The form is the holder's own affair;
// others carry it back unread.
type Access struct {
	Holder   string // DID
	Verifier string // DID, the only one who may use it
	Scopes   []Scope
	JTI      string
	Expires  time.Time
}

type accessClaims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience string   `json:"aud"`
	Scope    string   `json:"scope"`
	JTI      string   `json:"jti"`
	Issued   int64    `json:"iat"`
	Expires  *float64 `json:"exp"`
	Use      string   `json:"use"`
}

// MintAccess makes the token, signed by a key of the holder.
func MintAccess(random io.Reader, k jws.Key, a Access, now time.Time) (string, error) {
	scopes := make([]string, len(a.Scopes))
	for i, s := range a.Scopes {
		scopes[i] = s.String()
	}
	expires := float64(a.Expires.Unix())
	payload, err := strictjson.Encode(accessClaims{Issuer: a.Holder, Subject: a.Verifier, Audience: a.Holder,
		Scope: strings.Join(scopes, " "), JTI: a.JTI, Issued: now.Unix(), Expires: &expires, Use: useRead})
	if err != nil {
		return "", err
	}
	return jws.Sign(random, k, "JWT", "", payload)
}

// ParseAccess reads an access token that holder made for verifier; the signature
// is still to be checked by the message, with a key of the holder's own. Every
// error is a fault with status 401.
func ParseAccess(raw, holder, verifier string, now time.Time) (jws.Message, Access, error) {
	bad := func(reason string) (jws.Message, Access, error) {
		return jws.Message{}, Access{}, fault.AccessToken.At("", "reason", reason)
	}
	m, err := jws.Parse(raw, MaxToken)
	if err != nil {
		return bad(err.Error())
	}
	var c accessClaims
	if err := strictjson.DecodeOpen(m.Payload, &c); err != nil {
		return bad("its claims are not valid")
	}
	expires, ok := numericDate(c.Expires)
	switch {
	case c.Use != useRead || c.JTI == "" || len(c.JTI) > maxJTI || !ok:
		return bad("it is no access token")
	case c.Issuer != holder || c.Audience != holder:
		return bad("another holder made it")
	case c.Subject != verifier:
		return bad("it was given to another verifier")
	case !expires.After(now.Add(-Leeway)):
		return bad("it expired at " + expires.Format(time.RFC3339))
	}
	a := Access{Holder: c.Issuer, Verifier: c.Subject, JTI: c.JTI, Expires: expires}
	for _, text := range strings.Fields(c.Scope) {
		s, err := ParseScope(text)
		if err != nil {
			return bad("a scope in it is not valid")
		}
		a.Scopes = append(a.Scopes, s)
	}
	return m, a, nil
}
