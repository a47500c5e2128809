package node

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"

	"kakehashi/dcp"
	"kakehashi/did"
)

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
