package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"kakehashi/client"
	"kakehashi/dcp"
	"kakehashi/did"
	"kakehashi/jws"
	"kakehashi/vc"
)

// kitBed is a node and the parties that the official kit of DCP plays against it,
// in Go: an issuer, a holder, a verifier and a third party, whose documents lie on
// one server. The scenarios below are named by the kit's methods, so that each of
// them fails here too where the kit would find it.
type kitBed struct {
	running
	root, did string
	server    *httptest.Server
	keys      map[string]jws.Key // by the name of the party

	mu        sync.Mutex
	show      func(verifier, access string) (int, []string) // what the holder answers a query with
	queries   [][]string
	delivered []dcp.CredentialMessage
	revoked   bool
}

const kitPid = "kit-correlation"

var kitTypes = []string{"MembershipCredential", "SensitiveDataCredential"}

func newKitBed(t *testing.T, role string) *kitBed {
	t.Helper()
	p := newPlace(t, "sut")
	p.settings.TrustFresh, p.settings.TrustRefresh, p.settings.WalletStrict = 0, time.Second, false
	b := &kitBed{running: p.start(t, nil), keys: map[string]jws.Key{}}
	b.root, b.did = b.PublicURL(), nameOf(t, b.running)
	b.server = httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(b.server.Close)
	for _, name := range []string{"issuer", "holder", "verifier", "thirdparty"} {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		b.keys[name] = jws.Key{KID: b.of(name) + "#key", Alg: jws.ES256, Signer: k}
	}
	c := b.client()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.TrustIssuer(t.Context(), client.TrustedIssuer{DID: b.of("issuer"), Types: kitTypes, UnsignedStatus: true})
	must(err)
	switch role {
	case "holder":
		for _, typ := range kitTypes {
			_, err = c.ShareCredentials(t.Context(), client.WalletShare{Type: typ})
			must(err)
		}
		_, err = c.ExpectCredentials(t.Context(), client.WalletRequest{Issuer: b.of("issuer"), HolderPid: kitPid, Standing: true})
		must(err)
		if got := b.deliver(t, b.token(t, "issuer", nil)); got != http.StatusOK {
			t.Fatalf("the credentials are not taken: %d", got)
		}
	case "issuer":
		for _, typ := range kitTypes {
			_, err = c.DefineType(t.Context(), client.IssuedType{ID: typ, Type: typ, Profile: dcp.ProfileVC11, Approval: "anybody"})
			must(err)
		}
	case "verifier":
		_, err = c.SetTrustRule(t.Context(), client.TrustRule{Ask: kitTypes[:1]})
		must(err)
		b.show = func(string, string) (int, []string) { return 200, b.present(t, b.credential(t, b.of("holder"), nil)) }
	}
	return b
}

func (b *kitBed) of(name string) string {
	return "did:web:" + strings.Replace(strings.TrimPrefix(b.server.URL, "http://"), ":", "%3A", 1) + ":" + name
}

// serve is what all parties answer.
func (b *kitBed) serve(w http.ResponseWriter, r *http.Request) {
	name := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/")[0]
	body, _ := io.ReadAll(r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case strings.HasSuffix(r.URL.Path, "/did.json"):
		k := b.keys[name]
		doc, err := did.Build(did.Own{DID: b.of(name), Base: b.server.URL, CredentialService: b.server.URL + "/" + name, IssuerService: b.server.URL + "/" + name,
			Keys: []did.OwnKey{{KID: k.KID, Public: k.Signer.Public(), For: []did.Relationship{did.Authentication, did.Assertion, did.Invocation}}}})
		if err != nil {
			panic(err)
		}
		out, _ := doc.Encode()
		_, _ = w.Write(out)
	case strings.HasSuffix(r.URL.Path, "/presentations/query"):
		q, err := dcp.DecodeQuery(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		b.queries = append(b.queries, q.Scopes)
		status, shown := b.show(r.Header.Get("Authorization"), "")
		out, _ := dcp.PresentationResponse{Presentations: shown}.Encode()
		w.WriteHeader(status)
		_, _ = w.Write(out)
	case strings.HasSuffix(r.URL.Path, "/credentials"):
		m, err := dcp.DecodeCredentials(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		b.delivered = append(b.delivered, m)
	case r.URL.Path == "/schema":
		fmt.Fprint(w, `{"$schema":"http://json-schema.org/draft-04/schema#","type":"object","required":["id","foo"]}`)
	case r.URL.Path == "/list":
		bits := vc.NewBitstring(0)
		bits.Set(3, b.revoked)
		raw, err := vc.IssueStatusList(rand.Reader, b.keys["issuer"], vc.ListDraft{URL: b.server.URL + "/list", EntryType: vc.BitstringEntry, Issuer: b.of("issuer"),
			Purpose: vc.Revocation, Bits: bits, ValidFrom: time.Now().Add(-time.Hour), ValidUntil: time.Now().Add(time.Hour)})
		if err != nil {
			panic(err)
		}
		w.Header().Set("Cache-Control", "no-store")
		fmt.Fprint(w, raw)
	default:
		http.NotFound(w, r)
	}
}

// token is a self-issued token of a party for the node, with claims changed.
func (b *kitBed) token(t *testing.T, from string, change func(map[string]any)) string {
	t.Helper()
	return b.tokenBy(t, from, from, change)
}

func (b *kitBed) tokenBy(t *testing.T, from, signer string, change func(map[string]any)) string {
	t.Helper()
	now := time.Now().Unix()
	c := map[string]any{"iss": b.of(from), "sub": b.of(from), "aud": b.did, "jti": rand.Text(), "iat": now, "exp": now + 300}
	if change != nil {
		change(c)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	k := b.keys[signer]
	if signer != from {
		k.KID = b.of(from) + "#key"
	}
	raw, err := jws.Sign(rand.Reader, k, "JWT", "", payload)
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + raw
}

// send asks the node and gives status, body and Location.
func (b *kitBed) send(t *testing.T, method, path, auth, body string) (int, string, string) {
	t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, b.root+path, in)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(out), resp.Header.Get("Location")
}

// credential is one of the kit's issuer's, changed.
func (b *kitBed) credential(t *testing.T, holder string, change func(*vc.Draft)) string {
	t.Helper()
	d := vc.Draft{Model: vc.VC11, ID: "urn:uuid:" + rand.Text(), Types: []string{"MembershipCredential"}, Issuer: b.of("issuer"), Subject: holder,
		Claims: map[string]any{"foo": "bar"}, ValidFrom: time.Now().Add(-time.Minute), ValidUntil: time.Now().Add(time.Hour),
		Statuses: []vc.StatusEntry{{Type: vc.BitstringEntry, Purpose: vc.Revocation, List: b.server.URL + "/list", Index: 3}},
		Schemas:  []vc.Schema{{ID: b.server.URL + "/schema", Type: "JsonSchema"}}}
	if change != nil {
		change(&d)
	}
	raw, err := vc.Issue(rand.Reader, b.keys["issuer"], d)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (b *kitBed) present(t *testing.T, raw ...string) []string {
	t.Helper()
	var creds []vc.Credential
	for _, r := range raw {
		c, err := vc.ParseCredential(r)
		if err != nil {
			t.Fatal(err)
		}
		creds = append(creds, c)
	}
	out, err := vc.Present(vc.PresentConfig{Random: rand.Reader, Key: b.keys["holder"], Holder: b.of("holder"), Audience: b.did, Now: time.Now(), Lifetime: time.Minute}, creds)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// delivery is a CredentialMessage with both credentials of the node.
func (b *kitBed) delivery(t *testing.T) string {
	t.Helper()
	m := dcp.CredentialMessage{IssuerPid: "i", HolderPid: kitPid, Status: dcp.StatusIssued}
	for _, typ := range kitTypes {
		m.Credentials = append(m.Credentials, dcp.Container{Type: typ, Format: dcp.ProfileVC11,
			Payload: b.credential(t, b.did, func(d *vc.Draft) { d.Types = []string{typ} })})
	}
	out, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func (b *kitBed) deliver(t *testing.T, auth string) int {
	t.Helper()
	status, _, _ := b.send(t, "POST", "/dcp/cs/sut/credentials", auth, b.delivery(t))
	return status
}

// accessFor has the node's token service make an access token for the kit's
// verifier, as its own agent would.
func (b *kitBed) accessFor(t *testing.T, types ...string) string {
	t.Helper()
	var scopes []string
	for _, typ := range types {
		scopes = append(scopes, dcp.TypeScope(typ).String())
	}
	resp, err := http.PostForm(b.AdminURL()+"/sts/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"sut"}, "client_secret": {b.APIToken()},
		"audience": {b.of("verifier")}, "bearer_access_scope": {strings.Join(scopes, " ")}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var a dcp.TokenResponse
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		t.Fatal(err)
	}
	tok, err := dcp.ParseToken(a.Token, b.of("verifier"), time.Now())
	if err != nil || tok.Access == "" {
		t.Fatalf("%+v, %v", tok, err)
	}
	return tok.Access
}

func refused(status int) bool { return status >= 400 && status < 500 }

// wrongTokens are the tokens that the kit has refused everywhere.
func (b *kitBed) wrongTokens(from string) map[string]func(*testing.T) string {
	set := func(name string, v func() any) func(*testing.T) string {
		return func(t *testing.T) string { return b.token(t, from, func(c map[string]any) { c[name] = v() }) }
	}
	at := func(d time.Duration) func() any { return func() any { return time.Now().Add(d).Unix() } }
	bare := func(t *testing.T) string { return strings.TrimPrefix(b.token(t, from, nil), "Bearer ") }
	return map[string]func(*testing.T) string{
		"noAuthHeader":   func(*testing.T) string { return "" },
		"noBearerPrefix": bare,
		"wrongKey":       func(t *testing.T) string { return b.tokenBy(t, from, "thirdparty", nil) },
		"expired": func(t *testing.T) string {
			return b.token(t, from, func(c map[string]any) { c["iat"], c["exp"] = at(-2*time.Hour)(), at(-time.Hour)() })
		},
		"expired60s": func(t *testing.T) string {
			return b.token(t, from, func(c map[string]any) { c["iat"], c["exp"] = at(-5*time.Minute)(), at(-time.Minute)() })
		},
		"iatInFuture": func(t *testing.T) string {
			return b.token(t, from, func(c map[string]any) { c["iat"], c["exp"] = at(time.Minute)(), at(5*time.Minute)() })
		},
		"nbfViolated":    set("nbf", at(time.Minute)),
		"wrongAudience":  set("aud", func() any { return b.of("thirdparty") }),
		"issNotEqualSub": set("sub", func() any { return b.of("thirdparty") }),
		"subNotEqualIss": set("iss", func() any { return b.of("thirdparty") }),
		"noJTI":          set("jti", func() any { return "" }),
		"kidOfAnother": func(t *testing.T) string { // the third party's own key and kid, under the party's name
			k, now := b.keys["thirdparty"], time.Now().Unix()
			raw, err := jws.Sign(rand.Reader, k, "JWT", "", fmt.Appendf(nil, `{"iss":%q,"sub":%q,"aud":%q,"jti":%q,"iat":%d,"exp":%d}`,
				b.of(from), b.of(from), b.did, rand.Text(), now, now+60))
			if err != nil {
				t.Fatal(err)
			}
			return "Bearer " + raw
		},
		"algNone": func(t *testing.T) string {
			parts := strings.Split(b.token(t, from, nil), ".")
			return "Bearer " + base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"`+b.keys[from].KID+`"}`)) + "." + parts[1] + "."
		},
		"foreignIdentity": func(t *testing.T) string {
			return b.token(t, from, func(c map[string]any) { c["iss"], c["sub"] = b.of("thirdparty"), b.of("thirdparty") })
		},
	}
}

// A token that is wrong is refused at every address that takes one, whatever comes
// with it: in the name of another, signed by another, of the wrong time, for another.
func TestKitEveryAddressRefusesEveryWrongToken(t *testing.T) {
	t.Parallel()
	b := newKitBed(t, "issuer")
	for path, method := range map[string]string{
		"/dcp/cs/sut/presentations/query":         "POST",
		"/dcp/cs/sut/credentials":                 "POST",
		"/dcp/cs/sut/offers":                      "POST",
		"/dcp/issuer/sut/credentials":             "POST",
		"/dcp/issuer/sut/requests/any":            "GET",
		"/dsp/sut/2025-1/catalog/request":         "POST",
		"/dsp/sut/2025-1/negotiations/request":    "POST",
		"/dsp/sut/2025-1/negotiations/any":        "GET",
		"/dsp/sut/2025-1/transfers/request":       "POST",
		"/dsp/sut/2025-1/catalog/datasets/urn:x:": "GET",
	} {
		for name, wrong := range b.wrongTokens("holder") {
			body := ""
			if method == "POST" {
				body = `{}`
			}
			if s, _, _ := b.send(t, method, path, wrong(t), body); s != http.StatusUnauthorized {
				t.Errorf("%s with a token %s: %d", path, name, s)
			}
		}
	}
}
