package node

import (
	"net/http"
	"strings"
	"testing"

	"kakehashi/dcp"
	"kakehashi/did"
	"kakehashi/vc"
)

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
