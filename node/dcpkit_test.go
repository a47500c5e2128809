package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
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
		"foreignIdentity": func(t *testing.T) string {
			return b.token(t, from, func(c map[string]any) { c["iss"], c["sub"] = b.of("thirdparty"), b.of("thirdparty") })
		},
	}
}

func TestKitCredentialServicePresentation(t *testing.T) {
	t.Parallel()
	b := newKitBed(t, "holder")
	const path = "/dcp/cs/sut/presentations/query"
	query := func(scopes ...string) string {
		var full []string
		for _, s := range scopes {
			full = append(full, dcp.TypeScope(s).String())
		}
		out, err := dcp.PresentationQuery{Scopes: full}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	with := func(access string) func(map[string]any) { return func(c map[string]any) { c["token"] = access } }
	ask := func(t *testing.T, auth, body string) int { s, _, _ := b.send(t, "POST", path, auth, body); return s }
	types := func(t *testing.T, body string) (out []string) {
		t.Helper()
		r, err := dcp.DecodeResponse([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range r.Presentations {
			p, err := vc.ParsePresentation(raw)
			if err != nil || len(p.Audience) != 1 || p.Audience[0] != b.of("verifier") || p.Holder != b.did {
				t.Fatalf("%+v, %v", p, err)
			}
			for _, text := range p.Credentials {
				c, err := vc.ParseCredential(text)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, c.Type())
			}
		}
		return out
	}
	good := func(t *testing.T, granted []string, asked ...string) []string {
		t.Helper()
		s, body, _ := b.send(t, "POST", path, b.token(t, "verifier", with(b.accessFor(t, granted...))), query(asked...))
		if s != http.StatusOK {
			t.Fatalf("%d %s", s, body)
		}
		return types(t, body)
	}
	one := kitTypes[:1]
	for method, test := range map[string]func(*testing.T){
		"cs_04_03_03_idTokenInvalidIssuerSub": func(t *testing.T) { // somebody else with the verifier's access token
			if s := ask(t, b.token(t, "thirdparty", with(b.accessFor(t, one...))), query(one...)); !refused(s) {
				t.Error(s)
			}
		},
		"cs_04_03_03_idtokenJtiUsedTwice": func(t *testing.T) {
			same := func(access string) string {
				return b.token(t, "verifier", func(c map[string]any) { c["token"], c["jti"] = access, "twice" })
			}
			if s := ask(t, same(b.accessFor(t, one...)), query(one...)); s != http.StatusOK {
				t.Error(s)
			}
			if s := ask(t, same(b.accessFor(t, one...)), query(one...)); !refused(s) {
				t.Error(s)
			}
		},
		"cs_05_02_endpointDiscovery": func(t *testing.T) {
			_, body, _ := b.send(t, "GET", "/.well-known/did.json", "", "")
			doc, err := did.Parse([]byte(body))
			if err != nil || doc.Endpoint(did.CredentialService) != b.root+"/dcp/cs/sut" {
				t.Errorf("%+v, %v", doc, err)
			}
		},
		"cs_05_04_invalidTokenNotAuthorized": func(t *testing.T) {
			if s := ask(t, b.token(t, "verifier", with("faketoken")), query(one...)); !refused(s) {
				t.Error(s)
			}
		},
		"cs_05_04_01_invalidScopeAndPresentationRequest": func(t *testing.T) {
			body := strings.TrimSuffix(query(one...), "}") + `,"presentationDefinition":{"id":"x"}}`
			if s := ask(t, b.token(t, "verifier", with(b.accessFor(t, one...))), body); s != http.StatusBadRequest {
				t.Error(s)
			}
		},
		"cs_05_04_01_emptyPresentationDefinition": func(t *testing.T) {
			for _, d := range []string{"{}", "null"} {
				body := `{"@context":["` + dcp.Context + `"],"type":"PresentationQueryMessage","presentationDefinition":` + d + `}`
				if s := ask(t, b.token(t, "verifier", with(b.accessFor(t, one...))), body); !refused(s) {
					t.Error(s)
				}
			}
		},
		"cs_05_04_02_emptyScopeExpect4xx": func(t *testing.T) {
			for _, body := range []string{`,"scope":[]}`, `}`} {
				if s := ask(t, b.token(t, "verifier", with(b.accessFor(t, one...))), `{"@context":["`+dcp.Context+`"],"type":"PresentationQueryMessage"`+body); !refused(s) {
					t.Error(s)
				}
			}
		},
		"cs_05_04_01_02_scopeByTypeRequest": func(t *testing.T) {
			if got := good(t, one, one...); len(got) != 1 || got[0] != kitTypes[0] {
				t.Error(got)
			}
		},
		"cs_05_04_01_02_lessScopesThanAuthorizedByTypeRequest": func(t *testing.T) {
			if got := good(t, kitTypes, one...); len(got) != 1 || got[0] != kitTypes[0] {
				t.Error(got)
			}
		},
		"cs_05_04_01_02_invalidScopeEscalationRequest": func(t *testing.T) { // as DCP 1.0 has it: less, not nothing
			if got := good(t, one, kitTypes...); len(got) != 1 || got[0] != kitTypes[0] {
				t.Error(got)
			}
		},
		"anAccessTokenIsReadEightTimes": func(t *testing.T) {
			access := b.accessFor(t, one...)
			for i := range 9 {
				if s := ask(t, b.token(t, "verifier", with(access)), query(one...)); (s == http.StatusOK) != (i < 8) {
					t.Errorf("read %d: %d", i+1, s)
				}
			}
		},
	} {
		t.Run(method, test)
	}
	for method, name := range map[string]string{"cs_04_03_03_idTokenInvalidSub": "issNotEqualSub", "cs_04_03_03_idtokenIncorrectAud": "wrongAudience",
		"cs_04_03_03_idtokenIncorrectSub": "foreignIdentity", "cs_04_03_03_idtokenNbfInFuture": "nbfViolated", "cs_04_03_03_idtokenExpired": "expired",
		"cs_05_03_01_accessTokenInvalidHeader": "noBearerPrefix"} {
		t.Run(method, func(t *testing.T) {
			if s := ask(t, b.wrongTokens("verifier")[name](t), query(one...)); !refused(s) {
				t.Error(s)
			}
		})
	}
}

func TestKitCredentialServiceIssuance(t *testing.T) {
	t.Parallel()
	b := newKitBed(t, "holder")
	offer := func(t *testing.T, objects ...dcp.CredentialObject) string {
		t.Helper()
		out, err := dcp.CredentialOffer{Issuer: b.of("issuer"), Credentials: objects}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	whole := dcp.CredentialObject{ID: "m", CredentialType: "MembershipCredential", Profile: dcp.ProfileVC11}
	for prefix, c := range map[string]struct {
		path string
		body func(*testing.T) string
		bad  map[string]func(string) string
	}{
		"cs_06_05_01_credentialMessage": {"/dcp/cs/sut/credentials", b.delivery, map[string]func(string) string{
			"_invalidBody":   func(s string) string { return strings.Replace(s, `"holderPid":"`+kitPid+`",`, "", 1) },
			"_invalidStatus": func(s string) string { return strings.Replace(s, `"ISSUED"`, `"DONE"`, 1) },
			"_unexpectedPid": func(s string) string { return strings.Replace(s, kitPid, "another", 1) },
		}},
		"cs_06_06_01_credentialOfferMessage": {"/dcp/cs/sut/offers", func(t *testing.T) string { return offer(t, whole) }, map[string]func(string) string{
			"_invalidBody": func(s string) string { return strings.Replace(s, `"issuer":"`+b.of("issuer")+`"`, `"issuer":null`, 1) },
			"_anotherIssuer": func(s string) string {
				return strings.Replace(s, `"issuer":"`+b.of("issuer")+`"`, `"issuer":"`+b.of("thirdparty")+`"`, 1)
			},
		}},
	} {
		t.Run(prefix, func(t *testing.T) {
			if s, body, _ := b.send(t, "POST", c.path, b.token(t, "issuer", nil), c.body(t)); s != http.StatusOK {
				t.Errorf("%d %s", s, body)
			}
		})
		t.Run(prefix+"_jtiAlreadyUsed", func(t *testing.T) {
			auth := b.token(t, "issuer", nil)
			if s, _, _ := b.send(t, "POST", c.path, auth, c.body(t)); s != http.StatusOK {
				t.Error(s)
			}
			if s, _, _ := b.send(t, "POST", c.path, auth, c.body(t)); !refused(s) {
				t.Error(s)
			}
		})
		for suffix, name := range map[string]string{"_noAuthHeader": "noAuthHeader", "_missingBearerPrefix": "noBearerPrefix", "_tokenSignedWithWrongKey": "wrongKey",
			"_tokenExpired": "expired", "_iatInFuture": "iatInFuture", "_nbfViolated": "nbfViolated", "_incorrectAudience": "wrongAudience", "_issNotEqualToSub": "issNotEqualSub"} {
			t.Run(prefix+suffix, func(t *testing.T) {
				if s, _, _ := b.send(t, "POST", c.path, b.wrongTokens("issuer")[name](t), c.body(t)); !refused(s) {
					t.Error(s)
				}
			})
		}
		for suffix, change := range c.bad {
			t.Run(prefix+suffix, func(t *testing.T) {
				if s, _, _ := b.send(t, "POST", c.path, b.token(t, "issuer", nil), change(c.body(t))); !refused(s) {
					t.Error(s)
				}
			})
		}
	}
	t.Run("cs_06_06_01_credentialOfferMessage_onlyIds", func(t *testing.T) {
		if s, _, _ := b.send(t, "POST", "/dcp/cs/sut/offers", b.token(t, "issuer", nil), offer(t, dcp.CredentialObject{ID: "unheard-of"})); s != http.StatusOK {
			t.Error(s)
		}
	})
	t.Run("aDeliveryByAnotherIssuerIsRefused", func(t *testing.T) {
		if got := b.deliver(t, b.token(t, "thirdparty", nil)); !refused(got) {
			t.Error(got)
		}
		no, err := dcp.CredentialMessage{IssuerPid: "i", HolderPid: kitPid, Status: dcp.StatusRejected}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, _, _ := b.send(t, "POST", "/dcp/cs/sut/credentials", b.token(t, "thirdparty", nil), string(no)); !refused(got) {
			t.Errorf("a rejection: %d", got)
		}
	})
}

func TestKitIssuer(t *testing.T) {
	t.Parallel()
	b := newKitBed(t, "issuer")
	const path = "/dcp/issuer/sut/credentials"
	request := func() string {
		out, err := dcp.CredentialRequest{HolderPid: rand.Text(), Credentials: kitTypes}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	made := func(t *testing.T) string {
		t.Helper()
		s, body, location := b.send(t, "POST", path, b.token(t, "holder", nil), request())
		if s != http.StatusCreated || location == "" {
			t.Fatalf("%d %s %s", s, location, body)
		}
		return strings.TrimPrefix(location, b.root)
	}
	t.Run("is_6_2_endpointDiscovery", func(t *testing.T) {
		_, body, _ := b.send(t, "GET", "/.well-known/did.json", "", "")
		doc, err := did.Parse([]byte(body))
		if err != nil || doc.Endpoint(did.IssuerService) != b.root+"/dcp/issuer/sut" {
			t.Errorf("%+v, %v", doc, err)
		}
	})
	t.Run("is_6_4_1_credentialRequest", func(t *testing.T) {
		b.mu.Lock()
		b.delivered = nil
		b.mu.Unlock()
		made(t)
		arrives(t, "two credentials", func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return len(b.delivered) == 1 && len(b.delivered[0].Credentials) == 2
		})
	})
	t.Run("is_6_4_11_credentialRequest_jtiAlreadyUsed", func(t *testing.T) {
		auth := b.token(t, "holder", nil)
		if s, _, _ := b.send(t, "POST", path, auth, request()); s != http.StatusCreated {
			t.Error(s)
		}
		if s, _, _ := b.send(t, "POST", path, auth, request()); !refused(s) {
			t.Error(s)
		}
	})
	for method, change := range map[string]func(string) string{
		"is_6_4_4_credentialRequest_invalidBody":       func(s string) string { return s[:strings.Index(s, `,"credentials"`)] + "}" },
		"is_6_4_12_credentialRequest_missingHolderPid": func(s string) string { return strings.Replace(s, `"holderPid"`, `"other"`, 1) },
		"aTypeThatIsNotIssued":                         func(s string) string { return strings.Replace(s, kitTypes[0], "Unheard", 1) },
	} {
		t.Run(method, func(t *testing.T) {
			if s, _, _ := b.send(t, "POST", path, b.token(t, "holder", nil), change(request())); !refused(s) {
				t.Error(s)
			}
		})
	}
	t.Run("is_6_7_issuerMetadata", func(t *testing.T) {
		s, body, _ := b.send(t, "GET", "/dcp/issuer/sut/metadata", "", "")
		m, err := dcp.DecodeMetadata([]byte(body))
		if s != http.StatusOK || err != nil || m.Issuer != b.did || len(m.Supported) != 2 || m.Supported[0].Profile == "" {
			t.Errorf("%d %+v %v", s, m, err)
		}
	})
	at := made(t)
	t.Run("is_6_8_1_credentialStatusRequest", func(t *testing.T) {
		s, body, _ := b.send(t, "GET", at, b.token(t, "holder", nil), "")
		if _, err := dcp.DecodeStatus([]byte(body)); s != http.StatusOK || err != nil {
			t.Errorf("%d %v", s, err)
		}
	})
	t.Run("is_6_8_11_credentialStatusRequest_jtiAlreadyUsed", func(t *testing.T) {
		auth := b.token(t, "holder", nil)
		if s, _, _ := b.send(t, "GET", at, auth, ""); s != http.StatusOK {
			t.Error(s)
		}
		if s, _, _ := b.send(t, "GET", at, auth, ""); !refused(s) {
			t.Error(s)
		}
	})
	t.Run("is_6_8_12_credentialStatusRequest_requestIdNotFound", func(t *testing.T) {
		if s, _, _ := b.send(t, "GET", at+"x", b.token(t, "holder", nil), ""); s != http.StatusNotFound {
			t.Error(s)
		}
	})
	t.Run("anothersRequestIsNotFound", func(t *testing.T) {
		if s, _, _ := b.send(t, "GET", at, b.token(t, "thirdparty", nil), ""); s != http.StatusNotFound {
			t.Error(s)
		}
	})
	for method, name := range map[string]string{"is_6_4_2_credentialRequest_noAuthHeader": "noAuthHeader", "is_6_4_3_credentialRequest_noBearerPrefix": "noBearerPrefix",
		"is_6_4_5_credentialRequest_tokenSignedWithWrongKey": "wrongKey", "is_6_4_6_credentialRequest_tokenExpired": "expired", "is_6_4_7_credentialRequest_iatInFuture": "iatInFuture",
		"is_6_4_8_credentialRequest_nbfViolated": "nbfViolated", "is_6_4_8_credentialRequest_invalidAud": "wrongAudience", "is_6_4_10_credentialRequest_issNotEqualSub": "issNotEqualSub",
		"is_6_8_2_credentialStatusRequest_noAuthHeader": "noAuthHeader", "is_6_8_3_credentialStatusRequest_noBearerPrefix": "noBearerPrefix",
		"is_6_8_5_credentialStatusRequest_tokenSignedWithWrongKey": "wrongKey", "is_6_8_6_credentialStatusRequest_tokenExpired": "expired60s",
		"is_6_8_7_credentialStatusRequest_iatInFuture": "iatInFuture", "is_6_8_8_credentialStatusRequest_nbfViolated": "nbfViolated",
		"is_6_8_8_credentialStatusRequest_invalidAud": "wrongAudience", "is_6_8_10_credentialStatusRequest_issNotEqualSub": "issNotEqualSub"} {
		t.Run(method, func(t *testing.T) {
			auth := b.wrongTokens("holder")[name](t)
			s := 0
			if strings.Contains(method, "Status") {
				s, _, _ = b.send(t, "GET", at, auth, "")
			} else {
				s, _, _ = b.send(t, "POST", path, auth, request())
			}
			if !refused(s) {
				t.Error(s)
			}
		})
	}
}

func TestKitVerifier(t *testing.T) {
	t.Parallel()
	b := newKitBed(t, "verifier")
	const path = "/dsp/sut/2025-1/catalog/request"
	const body = `{"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"@type":"CatalogRequestMessage"}`
	access := func(c map[string]any) { c["token"] = "opaque" }
	trigger := func(t *testing.T, auth string) int { s, _, _ := b.send(t, "POST", path, auth, body); return s }
	shows := func(show func() (int, []string)) func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		was := b.show
		b.show = func(string, string) (int, []string) { return show() }
		return func() { b.mu.Lock(); b.show = was; b.mu.Unlock() }
	}
	t.Run("presentationResponse_endpointDiscovery", func(t *testing.T) {
		_, body, _ := b.send(t, "GET", "/.well-known/did.json", "", "")
		if doc, err := did.Parse([]byte(body)); err != nil || doc.Endpoint(did.CredentialService) == "" {
			t.Errorf("%+v, %v", doc, err)
		}
	})
	t.Run("verifier_05_01_presentationResponse_success", func(t *testing.T) {
		if s := trigger(t, b.token(t, "holder", access)); s != http.StatusOK {
			t.Error(s)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		want := "org.eclipse.dspace.dcp.vc.type:MembershipCredential:read"
		if last := b.queries[len(b.queries)-1]; len(last) != 1 || last[0] != want {
			t.Errorf("asked for %q", last)
		}
	})
	t.Run("verifier_04_03_03_idTokenJtiUsedTwice", func(t *testing.T) {
		auth := b.token(t, "holder", access)
		if s := trigger(t, auth); s != http.StatusOK {
			t.Error(s)
		}
		if s := trigger(t, auth); !refused(s) {
			t.Error(s)
		}
	})
	t.Run("verifier_04_03_01_presentationResponse_idTokenNoTokenClaim", func(t *testing.T) {
		if s := trigger(t, b.token(t, "holder", nil)); !refused(s) {
			t.Error(s)
		}
	})
	for method, name := range map[string]string{"presentationResponse_rejectMissingBearerPrefix": "noBearerPrefix", "verifier_04_03_03_idTokenInvalidIssuerSub": "wrongKey",
		"verifier_04_03_03_idTokenInvalidSub": "issNotEqualSub", "verifier_04_03_03_idTokenIncorrectAud": "wrongAudience", "verifier_04_03_03_idTokenIncorrectSub": "foreignIdentity",
		"verifier_04_03_03_idTokenNbfInFuture": "nbfViolated", "verifier_04_03_03_idTokenExpired": "expired"} {
		t.Run(method, func(t *testing.T) {
			if s := trigger(t, b.wrongTokens("holder")[name](t)); !refused(s) {
				t.Error(s)
			}
		})
	}
	holder := b.of("holder")
	for method, c := range map[string]struct {
		show func(*testing.T) []string
		ok   bool
	}{
		"verifier_05_04_02_02_presentationResponse_tooManyCredentials": {func(t *testing.T) []string {
			return b.present(t, b.credential(t, holder, nil), b.credential(t, holder, func(d *vc.Draft) { d.Types = kitTypes[1:] }))
		}, true},
		"verifier_05_04_02_01_presentationResponse_tooFewCredentials": {func(t *testing.T) []string {
			return b.present(t, b.credential(t, holder, func(d *vc.Draft) { d.Types = kitTypes[1:] }))
		}, false},
		"verifier_05_04_02_03_presentationResponse_emptyPresentations": {func(*testing.T) []string { return nil }, false},
		"verifier_05_04_02_04_presentationResponse_emptyCredentials": {func(t *testing.T) []string {
			now := time.Now().Unix()
			raw, err := jws.Sign(rand.Reader, b.keys["holder"], "JWT", "", fmt.Appendf(nil, `{"iss":%q,"aud":%q,"jti":"e","iat":%d,"exp":%d,"vp":{"type":"VerifiablePresentation","verifiableCredential":[]}}`, holder, b.did, now, now+60))
			if err != nil {
				t.Fatal(err)
			}
			return []string{raw}
		}, false},
		"verifier_05_04_03_presentationResponse_holderNotEqualSubjectId": {func(t *testing.T) []string { return b.present(t, b.credential(t, b.of("thirdparty"), nil)) }, false},
		"verifier_05_04_03_07_presentationResponse_expiredCredential": {func(t *testing.T) []string {
			return b.present(t, b.credential(t, holder, func(d *vc.Draft) { d.ValidUntil = time.Now().Add(-time.Minute) }))
		}, false},
		"verifier_05_04_03_06_presentationResponse_notYetValidCredential": {func(t *testing.T) []string {
			return b.present(t, b.credential(t, holder, func(d *vc.Draft) { d.ValidFrom = time.Now().Add(time.Minute) }))
		}, false},
		"verifier_x_x_presentationResponse_invalidCredentialSchema": {func(t *testing.T) []string {
			return b.present(t, b.credential(t, holder, func(d *vc.Draft) { d.Claims = nil }))
		}, false},
		"aPresentationIsUsedOnce": {func() func(*testing.T) []string {
			var once []string
			return func(t *testing.T) []string {
				if once == nil {
					once = b.present(t, b.credential(t, holder, nil))
					defer shows(func() (int, []string) { return 200, once })()
					if s := trigger(t, b.token(t, "holder", access)); s != http.StatusOK {
						t.Error(s)
					}
				}
				return once
			}
		}(), false},
	} {
		t.Run(method, func(t *testing.T) {
			made := c.show(t)
			defer shows(func() (int, []string) { return 200, made })()
			s := trigger(t, b.token(t, "holder", access))
			if (s == http.StatusOK) != c.ok || !c.ok && !refused(s) {
				t.Error(s)
			}
		})
	}
	t.Run("verifier_05_04_03_06_presentationResponse_credentialRevoked", func(t *testing.T) {
		b.mu.Lock()
		b.revoked = true
		b.mu.Unlock()
		arrives(t, "the refusal", func() bool { return refused(trigger(t, b.token(t, "holder", access))) }) // the list is kept for a second
	})
}
