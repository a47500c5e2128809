package dcp_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"kakehashi/dcp"
	"kakehashi/internal/fault"
	"kakehashi/jws"
)

// Claims that somebody else makes, with a key that is good, in every other form
// than that of an access token.
func TestAccessTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	k := newKey(t, holder)
	good := func() map[string]any {
		return map[string]any{"iss": holder, "aud": holder, "sub": verifier, "jti": "a", "use": "dcp-read",
			"scope": dcp.TypeScope("MembershipCredential").String(), "iat": noon.Unix(), "exp": noon.Add(time.Minute).Unix()}
	}
	encode := func(c map[string]any) []byte {
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	signed := func(c map[string]any) string {
		raw, err := jws.Sign(rand.Reader, k, "JWT", "", encode(c))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	if _, _, err := dcp.ParseAccess(signed(good()), holder, verifier, noon); err != nil {
		t.Fatalf("a good one: %v", err)
	}
	set := func(name string, v any) string { c := good(); c[name] = v; return signed(c) }
	unset := func(name string) string { c := good(); delete(c, name); return signed(c) }
	b64 := base64.RawURLEncoding.EncodeToString
	for name, raw := range map[string]string{
		"no use":               unset("use"),
		"another use":          set("use", "dcp-write"),
		"no jti":               unset("jti"),
		"jti huge":             set("jti", strings.Repeat("j", 300)),
		"no exp":               unset("exp"),
		"exp a text":           set("exp", "tomorrow"),
		"exp negative":         set("exp", -1),
		"exp for ever":         set("exp", 1e300),
		"expired by a minute":  set("exp", noon.Add(-time.Minute).Unix()),
		"made by another":      set("iss", third),
		"for another":          set("aud", third),
		"for several":          set("aud", []string{holder, third}),
		"given to another":     set("sub", third),
		"given to nobody":      unset("sub"),
		"a scope unreadable":   set("scope", "x"),
		"scopes as a list":     set("scope", []string{"x"}),
		"claims as a list":     b64([]byte(`{"alg":"ES256"}`)) + "." + b64([]byte(`[]`)) + "." + b64([]byte("x")),
		"algorithm none":       b64([]byte(`{"alg":"none"}`)) + "." + b64(encode(good())) + ".",
		"a secret's algorithm": b64([]byte(`{"alg":"HS256"}`)) + "." + b64(encode(good())) + "." + b64([]byte("x")),
		"larger than a token":  set("x", strings.Repeat("x", dcp.MaxToken)),
	} {
		if _, a, err := dcp.ParseAccess(raw, holder, verifier, noon); !errors.Is(err, fault.AccessToken) || a.Scopes != nil {
			t.Errorf("%s: %+v, %v", name, a, err)
		} else if f := fault.Of(err); f.Kind.Status != 401 {
			t.Errorf("%s: status %d", name, f.Kind.Status)
		}
	}
	// The form says nothing about who signed it: that is asked of the message.
	m, _, err := dcp.ParseAccess(signed(good()), holder, verifier, noon)
	if err != nil || m.Verify(newKey(t, holder).Signer.Public()) {
		t.Errorf("a stranger's signature is believed, %v", err)
	}
}

// What is granted bounds what is asked, in whatever form it is written.
func TestAScopeIsNeverWiderThanGranted(t *testing.T) {
	t.Parallel()
	const byType, byID = dcp.TypeAlias + ":", dcp.IDAlias + ":"
	for _, c := range []struct {
		asked, granted string
		want           bool
	}{
		{byType + "A:read", byType + "A:read", true},
		{byType + "A", byType + "A:read", true},
		{byType + "https://x.example#A:read", byType + "A:read", true},
		{byID + "urn:uuid:1", byID + "urn:uuid:1:read", true},
		{byType + "B:read", byType + "A:read", false},
		{byType + "A:write", byType + "A:read", false},
		{byType + "A:read", byType + "A:write", false},
		{byType + "*:read", byType + "A:read", false},
		{byID + "A", byType + "A", false},
		{byID + "urn:uuid:2", byID + "urn:uuid:1", false},
		{"other:A:read", byType + "A:read", false},
	} {
		asked, err := dcp.ParseScope(c.asked)
		if err != nil {
			t.Fatal(err)
		}
		granted, err := dcp.ParseScope(c.granted)
		if err != nil {
			t.Fatal(err)
		}
		if got := asked.Within([]dcp.Scope{granted}); got != c.want {
			t.Errorf("%s within %s: %v", c.asked, c.granted, got)
		}
	}
	if s := dcp.TypeScope("A"); s.Within(nil) {
		t.Error("something is within nothing")
	}
}
