package node

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kakehashi/client"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

// What bad input gets at the protocol's endpoints: the error body of the area
// with a code, never plain text, and no process, leaf or agreement.
func TestTheProtocolRefusesByName(t *testing.T) {
	t.Parallel()
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	provider, consumer := tokyo.start(t, nil), brussels.start(t, nil)
	publish(t, tokyo, provider, []byte("a"))
	who := provider.participants.All()[0]
	sign := func(audience string, body []byte) string {
		use := identity.Use{Message: "test"}
		if body != nil {
			use.Digest = evidence.Digest(body)
		}
		header, err := consumer.identity.Authorize(t.Context(), "brussels", audience, use)
		if err != nil {
			t.Fatal(err)
		}
		return header
	}
	ok := []byte(`{"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"@type":"CatalogRequestMessage"}`)
	request := []byte(`{"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"@type":"ContractRequestMessage","consumerPid":"urn:uuid:1",
		"offer":{"@type":"Offer","@id":"urn:uuid:none","target":"urn:uuid:none","permission":[{"action":"use"}]},"callbackAddress":"` + consumer.participants.All()[0].Base + `"}`)
	used := sign(who.DID, ok)
	for _, c := range []struct {
		name, method, path, auth, contentType string
		body                                  []byte
		status                                int
		typ, code                             string
	}{
		{"a token is used once, first", "POST", "/catalog/request", used, "application/json", ok, 200, "Catalog", ""},
		{"a token is used once, again", "POST", "/catalog/request", used, "application/json", ok, 401, "CatalogError", "token-replayed"},
		{"no token", "POST", "/catalog/request", "", "application/json", ok, 401, "CatalogError", "authorization-missing"},
		{"no token for a negotiation", "POST", "/negotiations/request", "", "application/json", request, 401, "ContractNegotiationError", "authorization-missing"},
		{"a token for someone else", "POST", "/catalog/request", sign("did:web:else.example", ok), "application/json", ok, 401, "CatalogError", "token-audience"},
		{"a token of another body", "POST", "/catalog/request", sign(who.DID, request), "application/json", ok, 401, "CatalogError", "token-digest"},
		{"a doubled member", "POST", "/catalog/request", "", "application/json", []byte(`{"@type":"CatalogRequestMessage","@type":"x"}`), 400, "CatalogError", "bad-message"},
		{"not JSON", "POST", "/negotiations/request", "", "application/json", []byte(`{`), 400, "ContractNegotiationError", "bad-message"},
		{"another context", "POST", "/catalog/request", "", "application/json", []byte(`{"@context":["https://else.example"],"@type":"CatalogRequestMessage"}`), 400, "CatalogError", "bad-message"},
		{"a filter", "POST", "/catalog/request", "", "application/json", []byte(strings.Replace(string(ok), "}", `,"filter":[{"x":1}]}`, 1)), 400, "CatalogError", "catalog-filter-unsupported"},
		{"a media type", "POST", "/catalog/request", "", "text/plain", ok, 415, "CatalogError", "unsupported-media-type"},
		{"a body over the limit", "POST", "/catalog/request", "", "application/json", append(bytes.Repeat([]byte(" "), 1<<20), ok...), 413, "CatalogError", "too-large"},
		{"an unknown offer", "POST", "/negotiations/request", "", "application/json", request, 400, "ContractNegotiationError", "offer-unknown"},
		{"an unknown process", "GET", "/negotiations/urn:uuid:none", "", "", nil, 404, "ContractNegotiationError", "not-found"},
		{"an unknown transfer", "POST", "/transfers/urn:uuid:none/start", "", "application/json",
			[]byte(`{"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"@type":"TransferStartMessage","consumerPid":"a","providerPid":"b"}`), 404, "TransferError", "not-found"},
		{"an unknown dataset", "GET", "/catalog/datasets/urn:uuid:none", "", "", nil, 404, "CatalogError", "not-found"},
		{"another method", "PUT", "/transfers/request", "", "application/json", ok, 405, "TransferError", "method-not-allowed"},
		{"an unknown path", "POST", "/nothing", "", "application/json", ok, 404, "CatalogError", "not-found"},
		{"a double slash", "POST", "//catalog/request", "", "application/json", ok, 404, "CatalogError", "not-found"},
		{"a trailing slash is as good as none", "POST", "/catalog/request/", "", "application/json", ok, 200, "Catalog", ""},
	} {
		auth := c.auth
		if auth == "" && c.status != 401 {
			auth = sign(who.DID, c.body)
		}
		req, err := http.NewRequestWithContext(t.Context(), c.method, who.Base+c.path, bytes.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if auth != "" {
			req.Header.Set("Authorization", auth)
		}
		req.Header.Set("Content-Type", c.contentType)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Type   string   `json:"@type"`
			Code   string   `json:"code"`
			Reason []string `json:"reason"`
		}
		if err := strictjson.DecodeOpen(b, &got); err != nil {
			t.Errorf("%s: the answer is no JSON: %q", c.name, b)
			continue
		}
		if resp.StatusCode != c.status || got.Type != c.typ || got.Code != c.code {
			t.Errorf("%s: %d %s %s, want %d %s %s\n%s", c.name, resp.StatusCode, got.Type, got.Code, c.status, c.typ, c.code, b)
		}
		if c.status != 200 && len(got.Reason) != 2 {
			t.Errorf("%s: the reason %q does not tell what happened and what to do", c.name, got.Reason)
		}
	}
	l, err := provider.client().Negotiations(t.Context(), "")
	if err != nil || len(l.Items) != 0 {
		t.Errorf("a refused message left a process: %+v, %v", l.Items, err)
	}
}

// What bad input gets at our own API: RFC 9457 with code, place and remedy.
func TestTheAPIRefusesByName(t *testing.T) {
	t.Parallel()
	tokyo := newPlace(t, "tokyo")
	node := tokyo.start(t, nil)
	c := node.client()
	path := filepath.Join(tokyo.settings.Data, "x.csv")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	free := map[string]any{"permission": []any{map[string]any{"action": "use"}}}
	for name, f := range map[string]struct {
		call func() error
		want *fault.Kind
	}{
		"no token": {func() error { _, err := (&client.Client{Base: c.Base}).Node(t.Context()); return err }, fault.Unauthorized},
		"a file that does not exist": {func() error {
			_, err := c.PublishFile(t.Context(), client.PublishFile{Path: path + "no", Title: "x", Policy: free})
			return err
		}, fault.FileMissing},
		"a file outside the roots": {func() error {
			_, err := c.PublishFile(t.Context(), client.PublishFile{Path: "/etc/hostname", Title: "x", Policy: free})
			return err
		}, fault.FileOutsideRoots},
		"terms that are not understood": {func() error {
			_, err := c.PublishFile(t.Context(), client.PublishFile{Path: path, Title: "x", Policy: map[string]any{"permission": []any{
				map[string]any{"action": "use", "constraint": []any{map[string]any{"leftOperand": "moon", "operator": "eq", "rightOperand": "full"}}}}}})
			return err
		}, fault.OfferNotUnderstood},
		"a counterpart that does not answer": {func() error {
			_, err := c.PartnerCatalog(t.Context(), "http://127.0.0.1:9/dsp/none/2025-1")
			return err
		}, fault.PartnerUnreachable},
		"an unknown agreement": {func() error {
			_, err := c.StartTransfer(t.Context(), client.StartTransfer{Agreement: "urn:uuid:none"})
			return err
		}, fault.AgreementUnknown},
		"an unknown process": {func() error { _, err := c.Negotiation(t.Context(), "urn:uuid:none", 0); return err }, fault.NotFound},
	} {
		err := f.call()
		if !errors.Is(err, f.want) {
			t.Errorf("%s: %v, want %s", name, err, f.want.Code)
		} else if fault.Of(err).Remedy("en") == "" {
			t.Errorf("%s: no remedy", name)
		}
	}
}

// Terms that have run out end access at the next request, and an agreement that
// is ended by its provider does at once.
func TestAnEndedAgreementEndsAccess(t *testing.T) {
	t.Parallel()
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	provider, consumer := tokyo.start(t, nil), brussels.start(t, nil)
	d := publish(t, tokyo, provider, []byte("kept back"))
	who := provider.participants.All()[0]
	c := consumer.client()
	n, err := c.Negotiate(t.Context(), client.StartNegotiation{Partner: who.DID, Dataset: d.ID})
	if err != nil {
		t.Fatal(err)
	}
	if n, err = c.AwaitNegotiation(t.Context(), n.ID, "FINALIZED"); err != nil {
		t.Fatal(err)
	}
	x, err := c.StartTransfer(t.Context(), client.StartTransfer{Agreement: n.Agreement})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AwaitTransfer(t.Context(), x.ID, "STARTED"); err != nil {
		t.Fatal(err)
	}
	access, err := c.Access(t.Context(), x.ID)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "f")
	if _, err := client.Download(t.Context(), http.DefaultClient, access, out, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := provider.client().EndAgreement(t.Context(), n.Agreement, "the study is over"); err != nil {
		t.Fatal(err)
	}
	_, err = client.Download(t.Context(), http.DefaultClient, access, out+"2", nil)
	if !errors.Is(err, fault.DownloadRefused) {
		t.Errorf("after the end the data came: %v", err)
	}
	got, err := c.Transfer(t.Context(), x.ID, 10*time.Second, "TERMINATED")
	if err != nil || got.State != "TERMINATED" || !strings.Contains(got.Reason, "the study is over") {
		t.Errorf("the consumer sees %+v, %v", got, err)
	}
	_, err = c.StartTransfer(t.Context(), client.StartTransfer{Agreement: n.Agreement})
	if err == nil {
		again, err := c.Transfers(t.Context(), "")
		if err != nil || again.Items[0].State == "STARTED" {
			t.Errorf("a new transfer runs under an ended agreement: %+v, %v", again.Items, err)
		}
	}
}

// An offer whose terms have run out is neither shown nor agreed to.
func TestAnExpiredOfferIsRefused(t *testing.T) {
	t.Parallel()
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	today := tokyo.start(t, nil)
	d := publish(t, tokyo, today, []byte("a"))
	if err := today.stop(); err != nil {
		t.Fatal(err)
	}
	tokyo.ahead, brussels.ahead = 48*time.Hour, 48*time.Hour // the terms end in 24 h
	provider, consumer := tokyo.start(t, nil), brussels.start(t, nil)
	who := provider.participants.All()[0]
	_, err := consumer.client().Get(t.Context(), client.Want{Partner: who.DID, Dataset: d.ID, Out: filepath.Join(t.TempDir(), "f")})
	if !errors.Is(err, fault.DatasetNotShown) {
		t.Errorf("an expired offer is shown: %v", err)
	}
	rules, err := strictjson.Encode(d.Offers[0].Policy)
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"@type":"ContractRequestMessage","consumerPid":"urn:uuid:1",
		"offer":{"@type":"Offer","@id":"` + d.Offers[0].ID + `","target":"` + d.ID + `",` + string(rules[1:]) + `,"callbackAddress":"` + consumer.participants.All()[0].Base + `"}`)
	auth, err := consumer.identity.Authorize(t.Context(), "brussels", who.DID, identity.Use{Message: "test", Digest: evidence.Digest(body)})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, who.Base+"/negotiations/request", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", auth)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 4 || !strings.Contains(string(b), "terms-deny") || !strings.Contains(string(b), "until ") {
		t.Errorf("an expired offer is answered with %d %s, %v", resp.StatusCode, b, err)
	}
	l, err := provider.client().Negotiations(t.Context(), "")
	if err != nil || len(l.Items) != 0 {
		t.Errorf("a refused request left a process: %+v, %v", l.Items, err)
	}
}
