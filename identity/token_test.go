package identity_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"kakehashi/did"
	"kakehashi/identity"
	"kakehashi/internal/fault"
)

func TestATokenOfOursIsVerifiedByTheCounterpartAndByAnotherProgram(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h, err := w.room.Authorize(t.Context(), "tokyo", "did:web:kyoto.example", identity.Use{Message: "m", Digest: body, Agreement: other})
	if err != nil {
		t.Fatal(err)
	}
	c, err := w.room.Verify(t.Context(), "kyoto", identity.Request{Authorization: h, Digest: body})
	if err != nil {
		t.Fatal(err)
	}
	if c.ID != tokyoDID || c.DID != tokyoDID || !c.Signed || c.Token.Agreement != other || c.Token.Digest != body ||
		c.Token.Issuer != tokyoDID || c.Token.JTI == "" || !c.Token.Expires.Equal(start.Add(time.Minute)) || "Bearer "+c.Token.Raw != h {
		t.Errorf("caller %+v", c)
	}
	j, err := jose.ParseSigned(c.Token.Raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := identity.Document(w.hosts, "tokyo")
	if err != nil {
		t.Fatal(err)
	}
	pub, err := doc.Key(j.Signatures[0].Header.KeyID)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := j.Verify(pub)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(payload, &got); err != nil {
		t.Fatal(err)
	}
	if got["iss"] != tokyoDID || got["sub"] != tokyoDID || got["aud"] != "did:web:kyoto.example" || got["exp"].(float64)-got["iat"].(float64) != 60 {
		t.Errorf("claims %v", got)
	}
	// One for a message without body carries no digest.
	if h, err = w.room.Authorize(t.Context(), "tokyo", "did:web:kyoto.example", identity.Use{}); err != nil {
		t.Fatal(err)
	}
	if c, err = w.room.Verify(t.Context(), "kyoto", identity.Request{Authorization: h}); err != nil || c.Signed || c.Token.Digest != "" {
		t.Errorf("without body: %+v, %v", c, err)
	}
	if _, err := w.room.Authorize(t.Context(), "nobody", peerDID, identity.Use{}); !errors.Is(err, fault.NotFound) {
		t.Errorf("a stranger's token: %v", err)
	}
	if _, err := w.room.Authorize(t.Context(), "tokyo", "", identity.Use{}); err == nil {
		t.Error("a token for nobody was made")
	}
}

func TestTokensOfOthersThatAreAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		change func(map[string]any)
		signed bool
	}{
		"as it should be":           {func(c map[string]any) {}, true},
		"without digest":            {func(c map[string]any) { delete(c, "digest") }, false},
		"without nbf":               {func(c map[string]any) { delete(c, "nbf") }, true},
		"one audience in a list":    {func(c map[string]any) { c["aud"] = []string{tokyoDID} }, true},
		"times with a fraction":     {func(c map[string]any) { c["iat"] = float64(w.now.Unix()) + 0.25 }, true},
		"further claims":            {func(c map[string]any) { c["token"] = "x"; c["vp"] = map[string]any{"a": 1} }, true},
		"expired within the leeway": {func(c map[string]any) { c["iat"], c["exp"] = w.now.Unix()-100, w.now.Unix()-29 }, true},
		"a clock ahead by the leeway": {func(c map[string]any) {
			c["iat"], c["nbf"] = w.now.Unix()+30, w.now.Unix()+30
			c["exp"] = w.now.Unix() + 120
		}, true},
		"the longest life": {func(c map[string]any) { c["exp"] = w.now.Unix() + 600 }, true},
	} {
		claims := w.claims()
		c.change(claims)
		got, err := w.verify(w.token(t, claims))
		if err != nil || got.ID != peerDID || got.Signed != c.signed {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := w.room.Verify(t.Context(), "tokyo", identity.Request{Authorization: "bearer  " + w.token(t, w.claims()), Digest: body}); err != nil {
		t.Errorf("scheme in lower case: %v", err)
	}
	// A token signed with Ed25519, by a peer whose document says so.
	const ed = "did:web:ed.example"
	w.docs.byDID[ed] = w.document(t, ed, w.ed.Public())
	claims := w.claims()
	claims["iss"], claims["sub"] = ed, ed
	if _, err := w.verify(sign(t, jose.EdDSA, w.ed, ed+"#token-1", claims)); err != nil {
		t.Errorf("EdDSA: %v", err)
	}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kid := peerDID + "#token-1"
	with := func(change func(map[string]any)) string {
		c := w.claims()
		change(c)
		return w.token(t, c)
	}
	set := func(k string, v any) string { return with(func(c map[string]any) { c[k] = v }) }
	unset := func(k string) string { return with(func(c map[string]any) { delete(c, k) }) }
	good := w.token(t, w.claims())
	parts := strings.Split(good, ".")
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const second = "did:web:second.example"
	w.docs.byDID[second] = w.document(t, second, &stranger.PublicKey)
	const silent, lenient = "did:web:silent.example", "did:web:lenient.example"
	for _, d := range []string{silent, lenient} {
		doc := w.document(t, d, &stranger.PublicKey)
		doc.Authentication, doc.Assertion, doc.Invocation = nil, nil, nil
		w.docs.byDID[d] = doc
	}
	by := func(d string) string {
		c := w.claims()
		c["iss"], c["sub"] = d, d
		return sign(t, jose.ES256, stranger, d+"#token-1", c)
	}
	if _, err := w.verify(by(lenient)); err != nil {
		t.Fatalf("a lenient partner: %v", err)
	}
	payload, err := json.Marshal(w.claims())
	if err != nil {
		t.Fatal(err)
	}
	handmade := func(header string, key []byte) string {
		s := b64(header) + "." + b64(string(payload))
		m := hmac.New(sha256.New, key)
		m.Write([]byte(s))
		return s + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
	}
	public, err := w.ec.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	// resigned signs any payload text, as json.Marshal cannot double a name.
	resigned := func(text string) string { return sign(t, jose.ES256, w.ec, kid, []byte(text)) }
	text := string(payload)

	for _, c := range []struct {
		name  string
		token string
		want  *fault.Kind
	}{
		{"algorithm none", b64(`{"alg":"none","kid":"`+kid+`"}`) + "." + parts[1] + ".", fault.TokenInvalid},
		{"algorithm none, kept signature", b64(`{"alg":"none","kid":"`+kid+`"}`) + "." + parts[1] + "." + parts[2], fault.TokenInvalid},
		{"HS256 with the public key", handmade(`{"alg":"HS256","typ":"JWT","kid":"`+kid+`"}`, public), fault.TokenInvalid},
		{"ES384 for a P-256 key", sign(t, jose.ES384, p384, kid, w.claims()), fault.TokenSignature},
		{"EdDSA named for a P-256 key", b64(`{"alg":"EdDSA","kid":"`+kid+`"}`) + "." + parts[1] + "." + parts[2], fault.TokenSignature},
		{"EdDSA by the log key as the token key", sign(t, jose.EdDSA, w.ed, kid, w.claims()), fault.TokenSignature},
		{"EdDSA by the log key", sign(t, jose.EdDSA, w.ed, peerDID+"#log-1", w.claims()), fault.TokenKey},
		{"another's key under our kid", sign(t, jose.ES256, stranger, kid, w.claims()), fault.TokenSignature},
		{"kid of another DID", sign(t, jose.ES256, stranger, second+"#token-1", w.claims()), fault.TokenInvalid},
		{"kid that only begins with the DID", sign(t, jose.ES256, w.ec, peerDID+":x#token-1", w.claims()), fault.TokenInvalid},
		{"kid without DID", sign(t, jose.ES256, w.ec, "#token-1", w.claims()), fault.TokenInvalid},
		{"kid without fragment", sign(t, jose.ES256, w.ec, peerDID+"#", w.claims()), fault.TokenInvalid},
		{"kid that is the DID", sign(t, jose.ES256, w.ec, peerDID, w.claims()), fault.TokenInvalid},
		{"kid unknown", sign(t, jose.ES256, w.ec, peerDID+"#token-9", w.claims()), fault.TokenKey},
		{"kid not there, of two keys", sign(t, jose.ES256, w.ec, "", w.claims()), fault.TokenKey},
		{"kid too long", sign(t, jose.ES256, w.ec, peerDID+"#"+strings.Repeat("a", 4000), w.claims()), fault.TokenInvalid},
		{"a key without purpose", by(silent), fault.TokenKey},
		{"issuer of the other key's owner", with(func(c map[string]any) { c["iss"], c["sub"] = second, second }), fault.TokenInvalid},
		{"issuer unknown", by("did:web:nowhere.example"), fault.TokenIssuer},
		{"issuer no did:web", set("iss", "did:key:z6Mk"), fault.TokenInvalid},
		{"issuer an address", with(func(c map[string]any) { c["iss"], c["sub"] = "did:web:169.254.169.254", "did:web:169.254.169.254" }), fault.TokenInvalid},
		{"no issuer", unset("iss"), fault.TokenInvalid},
		{"subject another", set("sub", second), fault.TokenInvalid},
		{"no subject", unset("sub"), fault.TokenInvalid},
		{"audience another", set("aud", "did:web:kyoto.example"), fault.TokenAudience},
		{"audience begins with ours", set("aud", tokyoDID+":p:x"), fault.TokenAudience},
		{"audience in other case", set("aud", strings.ToUpper(tokyoDID)), fault.TokenAudience},
		{"two audiences", set("aud", []string{tokyoDID, second}), fault.TokenAudience},
		{"audience a number", set("aud", 1), fault.TokenAudience},
		{"no audience", unset("aud"), fault.TokenAudience},
		{"expired", with(func(c map[string]any) {
			c["iat"], c["nbf"], c["exp"] = w.now.Unix()-120, w.now.Unix()-120, w.now.Unix()-30
		}), fault.TokenExpired},
		{"issued in the future", with(func(c map[string]any) { c["iat"], c["exp"] = w.now.Unix()+31, w.now.Unix()+91 }), fault.TokenEarly},
		{"not before the future", with(func(c map[string]any) { c["nbf"] = w.now.Unix() + 31 }), fault.TokenEarly},
		{"lives too long", set("exp", w.now.Unix()+601), fault.TokenInvalid},
		{"for ever", set("exp", 1e300), fault.TokenInvalid},
		{"ends before it begins", set("exp", w.now.Unix()-1), fault.TokenInvalid},
		{"no exp", unset("exp"), fault.TokenInvalid},
		{"exp a string", set("exp", fmt.Sprint(w.now.Unix()+60)), fault.TokenInvalid},
		{"no iat", unset("iat"), fault.TokenInvalid},
		{"iat negative", set("iat", -1), fault.TokenInvalid},
		{"nbf negative", set("nbf", -1), fault.TokenInvalid},
		{"no jti", unset("jti"), fault.TokenInvalid},
		{"jti empty", set("jti", ""), fault.TokenInvalid},
		{"jti huge", set("jti", strings.Repeat("j", 257)), fault.TokenInvalid},
		{"digest of another body", set("digest", other), fault.TokenDigest},
		{"digest of another form", set("digest", strings.ToUpper(body)), fault.TokenInvalid},
		{"digest empty", set("digest", ""), fault.TokenInvalid},
		{"agreement of another form", set("agreement", "x"), fault.TokenInvalid},
		{"doubled claim", resigned(strings.Replace(text, `"aud":`, `"aud":"did:web:kyoto.example","aud":`, 1)), fault.TokenInvalid},
		{"claims not an object", resigned(`[]`), fault.TokenInvalid},
		{"claims null", resigned(`null`), fault.TokenInvalid},
		{"data after the claims", resigned(text + `{}`), fault.TokenInvalid},
		{"claims nested too deep", resigned(`{"x":` + strings.Repeat("[", 80) + strings.Repeat("]", 80) + `}`), fault.TokenInvalid},
		{"critical extension", b64(`{"alg":"ES256","kid":"`+kid+`","crit":["b64"],"b64":false}`) + "." + parts[1] + "." + parts[2], fault.TokenInvalid},
		{"doubled header name", b64(`{"alg":"none","alg":"ES256","kid":"`+kid+`"}`) + "." + parts[1] + "." + parts[2], fault.TokenInvalid},
		{"header changed", b64(`{"alg":"ES256","kid":"`+kid+`","x":1}`) + "." + parts[1] + "." + parts[2], fault.TokenSignature},
		{"payload changed", parts[0] + "." + b64(strings.Replace(text, "j-1", "j-2", 1)) + "." + parts[2], fault.TokenSignature},
		{"signature cut", parts[0] + "." + parts[1] + "." + b64(string(signature[:61])), fault.TokenSignature},
		{"signature of zeros", parts[0] + "." + parts[1] + "." + b64(strings.Repeat("\x00", 64)), fault.TokenSignature},
		{"no signature", parts[0] + "." + parts[1] + ".", fault.TokenSignature},
		{"two parts", parts[0] + "." + parts[1], fault.TokenInvalid},
		{"four parts", good + ".x", fault.TokenInvalid},
		{"garbage behind", good + "!", fault.TokenInvalid},
		{"padding", good + "==", fault.TokenInvalid},
		{"a line end within", parts[0] + ".\n" + parts[1] + "." + parts[2], fault.TokenInvalid},
		{"two tokens", good + " " + good, fault.TokenInvalid},
		{"huge", set("x", strings.Repeat("x", 16<<10)), fault.TokenInvalid},
		{"an encrypted token's parts", "a.b.c.d.e", fault.TokenInvalid},
	} {
		got, err := w.verify(c.token)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		} else if f := fault.Of(err); f.Kind.Status != 401 || f.Remedy("en") == "" || f.Remedy("ja") == "" {
			t.Errorf("%s: status %d, remedy %q", c.name, f.Kind.Status, f.Remedy("en"))
		}
		if got != (identity.Caller{}) {
			t.Errorf("%s: a caller %+v came with the refusal", c.name, got)
		}
	}
	for _, h := range []string{"", good, "Bearer", "Bearer ", "Basic " + good, "Token " + good, "Bearer\t" + good} {
		if _, err := w.room.Verify(t.Context(), "tokyo", identity.Request{Authorization: h, Digest: body}); !errors.Is(err, fault.AuthorizationMissing) {
			t.Errorf("header %.20q: %v", h, err)
		}
	}
	// A token that was made for a body opens nothing without it.
	if _, err := w.room.Verify(t.Context(), "tokyo", identity.Request{Authorization: "Bearer " + good}); !errors.Is(err, fault.TokenDigest) {
		t.Errorf("body taken away: %v", err)
	}
	if _, err := w.room.Verify(t.Context(), "nobody", identity.Request{Authorization: "Bearer " + good, Digest: body}); !errors.Is(err, fault.NotFound) {
		t.Errorf("unknown participant: %v", err)
	}
	if _, err := w.verify(good); err != nil {
		t.Errorf("the good token among them: %v", err)
	}
}

func TestAKeyThatChangedIsFoundByLookingAgain(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"under a new id", "under the same id"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			fresh, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			kid := peerDID + "#token-1"
			next := w.document(t, peerDID, &fresh.PublicKey)
			if name == "under a new id" {
				kid = peerDID + "#token-2"
				next = w.documentWith(t, peerDID, kid, &fresh.PublicKey)
			}
			token := sign(t, jose.ES256, fresh, kid, w.claims())
			if _, err := w.verify(token); err == nil {
				t.Fatal("accepted before the document changed")
			}
			w.docs.mu.Lock()
			w.docs.next = map[string]did.Document{peerDID: next}
			w.docs.mu.Unlock()
			if _, err := w.verify(token); err != nil {
				t.Error(err)
			}
			if _, err := w.verify(w.token(t, w.claims())); err == nil {
				t.Error("the old key is still accepted")
			}
		})
	}
}

func TestStatementsAreNoTokensAndTokensNoStatements(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := context.Background()
	claims, err := json.Marshal(w.claims())
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.room.Sign(ctx, "tokyo", "kh-test+json", claims)
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.room.VerifySigned(ctx, b)
	if err != nil || s.ID != tokyoDID || s.Type != "kh-test+json" || string(s.Payload) != string(claims) || !s.Signed {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := w.room.Verify(ctx, "kyoto", identity.Request{Authorization: "Bearer " + string(b)}); !errors.Is(err, fault.TokenInvalid) {
		t.Errorf("a statement as a token: %v", err)
	}
	if _, err := w.room.VerifySigned(ctx, []byte(w.token(t, w.claims()))); !errors.Is(err, fault.TokenInvalid) {
		t.Errorf("a token as a statement: %v", err)
	}
	for _, typ := range []string{"", "JWT", "jwt"} {
		if _, err := w.room.Sign(ctx, "tokyo", typ, nil); err == nil {
			t.Errorf("signed as %q", typ)
		}
	}
	if _, err := w.room.Sign(ctx, "tokyo", "x", make([]byte, 1<<20)); !errors.Is(err, fault.TooLarge) {
		t.Errorf("too large: %v", err)
	}
	cut := []byte(string(b))
	cut[len(cut)-10] ^= 1
	for _, bad := range [][]byte{nil, []byte("x"), cut, []byte(strings.Replace(string(b), ".", "..", 1))} {
		if _, err := w.room.VerifySigned(ctx, bad); fault.Of(err).Kind.Status != 401 {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}

func FuzzVerify(f *testing.F) {
	w := newWorld(f)
	good := w.token(f, w.claims())
	f.Add("Bearer " + good)
	f.Add("Bearer " + b64(`{"alg":"ES256","kid":"`+peerDID+`#token-1"}`) + "." + b64(`{"iss":"`+peerDID+`","exp":1e9,"aud":["x"]}`) + ".AAAA")
	f.Fuzz(func(t *testing.T, h string) {
		c, err := w.room.Verify(context.Background(), "tokyo", identity.Request{Authorization: h, Digest: body})
		if err == nil {
			if c.Token.Raw != good {
				t.Fatalf("%q was accepted", h)
			}
			return
		}
		if fault.Of(err).Kind.Status != 401 {
			t.Fatalf("not a refusal: %v", err)
		}
	})
}

func FuzzVerifySigned(f *testing.F) {
	w := newWorld(f)
	good, err := w.room.Sign(context.Background(), "tokyo", "x", []byte("{}"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(good))
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := w.room.VerifySigned(context.Background(), []byte(s)); err != nil && fault.Of(err).Kind.Status != 401 {
			t.Fatalf("not a refusal: %v", err)
		}
	})
}
