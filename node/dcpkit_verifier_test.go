package node

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"testing"
	"time"

	"kakehashi/did"
	"kakehashi/jws"
	"kakehashi/vc"
)

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
