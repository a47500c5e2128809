package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kakehashi/client"
	"kakehashi/issuer"
)

// alliance is an authority, a provider in Tokyo who trusts it for Accreditation,
// and a consumer in Munich.
type alliance struct {
	authority, tokyo, munich running
	places                   map[string]place
	dataset                  client.Dataset
}

const asksAccreditation = `{"permission":[{"action":"use","constraint":[{"leftOperand":"kh:credentialType","operator":"eq","rightOperand":"Accreditation"}]}]}`

func newAlliance(t testing.TB) *alliance {
	t.Helper()
	return newAllianceThat(t, func(*place) {})
}

func newAllianceThat(t testing.TB, change func(*place)) *alliance {
	t.Helper()
	a := &alliance{places: map[string]place{}}
	for name, into := range map[string]*running{"authority": &a.authority, "tokyo": &a.tokyo, "munich": &a.munich} {
		p := newPlace(t, name)
		p.settings.TrustRefresh = time.Second
		change(&p)
		a.places[name] = p
		*into = p.start(t, nil)
	}
	if _, err := a.authority.client().DefineType(t.Context(), client.IssuedType{ID: "accreditation", Type: "Accreditation", Approval: "anybody",
		Claims: map[string]any{"level": "gold"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.tokyo.client().TrustIssuer(t.Context(), client.TrustedIssuer{DID: nameOf(t, a.authority), Types: []string{"Accreditation"}}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(a.places["tokyo"].settings.Data, "table.csv")
	if err := os.WriteFile(path, []byte("week,cases\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if a.dataset, err = a.tokyo.client().PublishFile(t.Context(), client.PublishFile{Path: path, Title: "Weekly counts", Policy: json.RawMessage(asksAccreditation)}); err != nil {
		t.Fatal(err)
	}
	return a
}

func nameOf(t testing.TB, r running) string {
	t.Helper()
	n, err := r.client().Node(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n.DID
}

// accredit has Munich ask the authority, and waits until it has its credential.
func (a *alliance) accredit(t testing.TB) {
	t.Helper()
	c := a.munich.client()
	q, err := c.RequestCredentials(t.Context(), client.WalletRequest{Issuer: nameOf(t, a.authority), Types: []string{"Accreditation"}})
	if err != nil {
		t.Fatal(err)
	}
	arrives(t, "the credential", func() bool {
		all, err := c.WalletRequests(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range all.Items {
			if x.HolderPid == q.HolderPid && x.State == "ISSUED" {
				return true
			}
		}
		return false
	})
}

// arrives looks again whenever a moment has passed.
func arrives(t testing.TB, what string, there func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(waitInTest)
	for !there() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s did not come", what)
		}
	}
}

func (a *alliance) negotiate(t testing.TB) (client.Negotiation, error) {
	t.Helper()
	n, err := a.munich.client().Negotiate(t.Context(), client.StartNegotiation{Partner: nameOf(t, a.tokyo), Dataset: a.dataset.ID})
	if err != nil {
		return n, err
	}
	return a.munich.client().AwaitNegotiation(t.Context(), n.ID, "FINALIZED")
}

func TestWhoShowsACredentialGetsTheData(t *testing.T) {
	t.Parallel()
	a := newAlliance(t)
	// The offer stands in the catalogue, and who lacks the credential learns so.
	if n, err := a.negotiate(t); err == nil || !strings.Contains(fmt.Sprint(err, n.Reason), "Accreditation") {
		t.Fatalf("without a credential: %+v, %v", n, err)
	}
	a.accredit(t)
	// Nothing is shared unless its owner says so.
	if n, err := a.negotiate(t); err == nil || !strings.Contains(fmt.Sprint(err, n.Reason), "Accreditation") {
		t.Fatalf("without sharing it: %+v, %v", n, err)
	}
	if _, err := a.munich.client().ShareCredentials(t.Context(), client.WalletShare{Counterparty: nameOf(t, a.tokyo), Type: "Accreditation"}); err != nil {
		t.Fatal(err)
	}
	n, err := a.negotiate(t)
	if err != nil {
		t.Fatalf("with the credential: %v", err)
	}
	shown, err := a.tokyo.client().ShownCredentials(t.Context())
	if err != nil || len(shown.Items) != 1 || shown.Items[0].Counterparty != nameOf(t, a.munich) || shown.Items[0].Problem != "" {
		t.Fatalf("shown: %+v, %v", shown, err)
	}
	var decided [][]byte
	for _, digest := range bodies(t, a.tokyo.Node, "SELECT digest FROM evidence_bodies WHERE class = 'decision'") {
		b, err := a.tokyo.evidence.Body(t.Context(), "tokyo", string(digest))
		if err != nil {
			t.Fatal(err)
		}
		decided = append(decided, b)
	}
	if len(decided) != 1 || !bytes.Contains(decided[0], []byte(shown.Items[0].Digest)) || !bytes.Contains(decided[0], []byte(`"kind":"issuer"`)) {
		t.Errorf("what was decided on: %s", decided)
	}

	c := a.munich.client()
	tr, err := c.StartTransfer(t.Context(), client.StartTransfer{Agreement: n.Agreement})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.AwaitTransfer(t.Context(), tr.ID, "STARTED"); err != nil {
		t.Fatal(err)
	}
	fetch := func() int {
		t.Helper()
		access, err := c.Access(t.Context(), tr.ID)
		if err != nil {
			return 0 // it is suspended
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, access.Endpoint, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", access.Authorization)
		resp, err := c.HTTP.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := fetch(); got != http.StatusOK {
		t.Fatalf("the data: %d", got)
	}

	// Revoked: the transfer is suspended and says why, and nothing flows.
	issued, err := a.authority.client().IssuedCredentials(t.Context())
	if err != nil || len(issued.Items) != 1 {
		t.Fatalf("%+v, %v", issued, err)
	}
	if err := a.authority.client().MarkCredential(t.Context(), client.MarkCredential{ID: issued.Items[0].ID, State: issuer.Revoked, Reason: "lapsed"}); err != nil {
		t.Fatal(err)
	}
	arrives(t, "the suspension", func() bool {
		x, err := c.Transfer(t.Context(), tr.ID, 0)
		if err != nil {
			t.Fatal(err)
		}
		return x.State == "SUSPENDED" && strings.Contains(x.Reason, "revoked")
	})
	if got := fetch(); got == http.StatusOK {
		t.Error("data flowed after the revocation")
	}
	if n, err := a.negotiate(t); err == nil || !strings.Contains(fmt.Sprint(err, n.Reason), "revoked") {
		t.Errorf("a negotiation after the revocation: %+v, %v", n, err)
	}
	// To resume with what was revoked is refused, and ends nothing.
	if _, err := c.Resume(t.Context(), tr.ID); err != nil {
		t.Fatal(err)
	}
	provider, err := a.tokyo.client().Transfers(t.Context(), "")
	if err != nil || len(provider.Items) != 1 || provider.Items[0].State != "SUSPENDED" {
		t.Fatalf("%+v, %v", provider, err)
	}

	// With a new one it goes on with the next message; the revoked one is not shown
	// any more.
	a.accredit(t)
	arrives(t, "the resumption", func() bool { // once the refused one is settled
		_, err := c.Resume(t.Context(), tr.ID)
		return err == nil
	})
	if _, err := c.AwaitTransfer(t.Context(), tr.ID, "STARTED"); err != nil {
		t.Fatal(err)
	}
	arrives(t, "the data after the resumption", func() bool { return fetch() == http.StatusOK })
}

// A person at the authority decides in the portal on a request that waits, and
// takes the credential back there.
func TestPeopleApproveAndRevokeInThePortal(t *testing.T) {
	t.Parallel()
	a := newAlliance(t)
	office, c := a.authority.client(), a.munich.client()
	if _, err := office.DefineType(t.Context(), client.IssuedType{ID: "licence", Type: "Licence"}); err != nil {
		t.Fatal(err)
	}
	q, err := c.RequestCredentials(t.Context(), client.WalletRequest{Issuer: nameOf(t, a.authority), Types: []string{"licence"}})
	if err != nil {
		t.Fatal(err)
	}
	var id string
	arrives(t, "the request", func() bool {
		all, err := office.IssuanceRequests(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(all.Items) == 1 {
			id = all.Items[0].ID
		}
		return id != ""
	})
	link, err := office.PortalLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	page := func(resp *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%d %v %s", resp.StatusCode, err, b)
		}
		return string(b)
	}
	page(browser.Get(link.URL))
	at := a.authority.AdminURL() + "/trust"
	if got := page(browser.Get(at)); !strings.Contains(got, "licence") || !strings.Contains(got, "waiting for a decision") {
		t.Errorf("the request is not shown: %s", got)
	}
	page(browser.PostForm(at+"/requests", url.Values{"id": {id}, "act": {"approve"}}))
	arrives(t, "the credential", func() bool {
		all, err := c.WalletRequests(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(all.Items) == 1 && all.Items[0].HolderPid == q.HolderPid && all.Items[0].State == "ISSUED"
	})
	issued, err := office.IssuedCredentials(t.Context())
	if err != nil || len(issued.Items) != 1 {
		t.Fatalf("%+v, %v", issued, err)
	}
	if got := page(browser.PostForm(at+"/issued", url.Values{"id": {issued.Items[0].ID}, "reason": {"lapsed"}})); !strings.Contains(got, "revoked") {
		t.Errorf("the revocation is not shown: %s", got)
	}
	if issued, err = office.IssuedCredentials(t.Context()); err != nil || issued.Items[0].State != issuer.Revoked {
		t.Errorf("%+v, %v", issued, err)
	}
}

// What signs tokens is rotated while partners talk: the old key stays in the
// document, and what the new one signs is believed at once.
func TestKeysRotateWhilePartnersTalk(t *testing.T) {
	t.Parallel()
	a := newAlliance(t)
	a.accredit(t)
	c := a.munich.client()
	if _, err := c.ShareCredentials(t.Context(), client.WalletShare{Type: "Accreditation"}); err != nil {
		t.Fatal(err)
	}
	for _, alg := range []string{"", "EdDSA"} {
		if alg != "" {
			keys, err := c.RotateKey(t.Context(), client.Rotation{Alg: alg, KeepDays: 1})
			if err != nil || keys.Items[0].Alg != alg {
				t.Fatalf("%+v, %v", keys, err)
			}
		}
		if _, err := a.negotiate(t); err != nil {
			t.Errorf("with a key for %q: %v", alg, err)
		}
	}
	keys, err := c.Keys(t.Context())
	if err != nil || len(keys.Items) != 3 {
		t.Errorf("%+v, %v", keys, err)
	}
	// The status list of an authority whose key is another is believed too.
	if _, err := a.authority.client().RotateKey(t.Context(), client.Rotation{Alg: "ES384", KeepDays: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.negotiate(t); err != nil {
		t.Errorf("after the authority rotated: %v", err)
	}
}
