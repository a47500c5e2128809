package portal_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"kakehashi/account"
	"kakehashi/agreement"
	"kakehashi/catalog"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/strictjson"
	"kakehashi/internal/watch"
	"kakehashi/negotiation"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/policy"
	"kakehashi/portal"
	"kakehashi/process"
	"kakehashi/store"
	"kakehashi/store/storetest"
	"kakehashi/transfer"
)

const (
	hostile   = `<script>alert("1")</script>&"'`
	agreed    = "urn:example:agreement/with slash?and#more"
	otherSide = "did:web:brussels.example"
	rules     = `{"permission":[{"action":"use","constraint":[{"leftOperand":"dateTime","operator":"lt","rightOperand":{"@value":"2999-12-31T15:00:00Z","@type":"http://www.w3.org/2001/XMLSchema#dateTime"}}]}]}`
)

// desk is a node's portal with something of everything in it, for tokyo; osaka
// is hosted beside it and has nothing.
type desk struct {
	portal.Config
	http.Handler
	db          store.DB
	negotiation string
	transfer    string
}

// The rooms' doors to other nodes; nothing in these tests goes through them.
type (
	wire struct {
		process.Wire
	}
	who   struct{ *identity.Room }
	gate  struct{ transfer.Gate }
	plane struct{ transfer.Plane }
	kinds struct{ transfer.Sources }
)

func newDesk(t *testing.T, secure, filled bool) *desk {
	t.Helper()
	ctx := t.Context()
	d := &desk{db: storetest.Open(t, participant.Schema, account.Schema, evidence.Schema, outbox.Schema, agreement.Schema,
		catalog.Schema, negotiation.Schema, transfer.Schema)}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	vault, err := participant.NewVault(bytes.Repeat([]byte{7}, 32), nil)
	check(t, err)
	d.Participants, err = participant.Open(ctx, participant.Config{DB: d.db, Vault: vault})
	check(t, err)
	for _, n := range []string{"tokyo", "osaka"} {
		check(t, d.Participants.Create(ctx, participant.Participant{ID: participant.ID(n), DID: "did:web:" + n + ".example",
			Base: "https://" + n + ".example/dsp", Origin: n + ".example", DataURL: "https://" + n + ".example"}))
	}
	d.Evidence, err = evidence.Open(ctx, evidence.Config{DB: d.db, Participants: d.Participants.All, Keys: d.Participants, Vault: vault, Now: time.Now, Rand: rand.Reader, Log: quiet})
	check(t, err)
	d.Accounts, err = account.Open(account.Config{DB: d.db})
	check(t, err)
	d.Agreements = agreement.Open(agreement.Config{DB: d.db, Evidence: d.Evidence, Now: time.Now})
	engine := policy.New(policy.Config{Agreements: d.Agreements, Now: time.Now})
	d.Access = engine.Access
	d.Catalog = catalog.Open(catalog.Config{DB: d.db, Policy: engine, Evidence: d.Evidence, Now: time.Now})
	queue := outbox.New(outbox.Config{DB: d.db, Log: quiet})
	hub := watch.New()
	d.Negotiations, err = negotiation.Open(negotiation.Config{DB: d.db, Participants: d.Participants, Identity: who{}, Offers: d.Catalog, Judge: engine,
		Agreements: d.Agreements, Evidence: d.Evidence, Outbox: queue, Wire: wire{}, Watch: hub, Now: time.Now, Log: quiet})
	check(t, err)
	d.Transfers, err = transfer.Open(transfer.Config{DB: d.db, Participants: d.Participants, Identity: who{}, Agreements: d.Agreements, Sources: kinds{},
		Gate: gate{}, Plane: plane{}, Evidence: d.Evidence, Outbox: queue, Wire: wire{}, Watch: hub, Now: time.Now, Log: quiet})
	check(t, err)
	d.EndAgreement = func(ctx context.Context, p participant.ID, id, why string) error {
		return d.db.Update(ctx, func(tx store.Tx) error { return d.Agreements.End(tx, p, id, why) })
	}
	d.Outbox, d.Log, d.Secure = queue, quiet, secure
	if filled {
		d.fill(t)
	}
	d.Handler = portal.New(d.Config)
	return d
}

func (d *desk) fill(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	talk, err := d.Negotiations.Start(ctx, "tokyo", negotiation.StartRequest{Counterparty: otherSide, Base: "https://brussels.example/dsp",
		Dataset: hostile, Offer: []byte(`{"@id":"urn:example:offer",` + rules[1:])})
	check(t, err)
	check(t, d.db.Update(ctx, func(tx store.Tx) error {
		if _, err := d.Catalog.Publish(tx, "tokyo", catalog.Dataset{ID: "urn:example:tide", Title: hostile, Description: hostile, Service: "files",
			Formats: []string{"HttpData-PULL"}, Offers: []catalog.Offer{{ID: "urn:example:ours", Policy: strictjson.Raw(rules)}}}); err != nil {
			return err
		}
		return d.Agreements.Conclude(tx, "tokyo", agreement.Agreement{ID: agreed, Role: agreement.Consumer, Counterparty: otherSide, Assigner: otherSide,
			Assignee: "did:web:tokyo.example", Dataset: hostile, Offer: "urn:example:offer", Policy: strictjson.Raw(rules), Body: strictjson.Raw(rules),
			Negotiation: talk.ID, Signed: time.Now()})
	}))
	move, err := d.Transfers.Start(ctx, "tokyo", transfer.StartRequest{Agreement: agreed, Base: "https://brussels.example/dsp", Format: "HttpData-PULL"})
	check(t, err)
	d.negotiation, d.transfer = talk.ID, move.ID
	check(t, d.db.Update(ctx, func(tx store.Tx) error { // as the room does once brussels has taken it
		return d.Evidence.Append(tx, "tokyo", evidence.Leaf{Type: "kh.transfer.requested", Process: move.ID, Version: 2, Counterparty: otherSide,
			Direction: evidence.Out, Facts: map[string]string{"state": "REQUESTED"}})
	}))
	check(t, d.Evidence.Flush(ctx, "tokyo"))
}

// login opens a session by a link and gives its cookie.
func (d *desk) login(t *testing.T, p participant.ID) *http.Cookie {
	t.Helper()
	code, err := d.Accounts.NewLink(t.Context(), p)
	check(t, err)
	got := d.ask(t, "GET", "/login?code="+url.QueryEscape(code), nil)
	if got.Code != http.StatusSeeOther || got.Header().Get("Location") != "/" {
		t.Fatalf("login answers %d to %q", got.Code, got.Header().Get("Location"))
	}
	return got.Result().Cookies()[0]
}

type header [2]string

func (d *desk) ask(t *testing.T, method, path string, cookie *http.Cookie, more ...any) *httptest.ResponseRecorder {
	t.Helper()
	var body io.Reader
	for _, m := range more {
		if f, ok := m.(url.Values); ok {
			body = strings.NewReader(f.Encode())
		}
	}
	r := httptest.NewRequest(method, "http://127.0.0.1:8081"+path, body)
	if body != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if cookie != nil {
		r.AddCookie(cookie)
	}
	for _, m := range more {
		switch m := m.(type) {
		case header:
			r.Header.Set(m[0], m[1])
		case *http.Cookie:
			r.AddCookie(m)
		}
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEachRouteAnswersWhomItShould(t *testing.T) {
	t.Parallel()
	d := newDesk(t, false, true)
	visitors := map[string]*http.Cookie{"nobody": nil, "forged": {Name: "kakehashi_session_8081", Value: "x"},
		"osaka": d.login(t, "osaka"), "tokyo": d.login(t, "tokyo")}
	a, n, m := url.PathEscape(agreed), url.PathEscape(d.negotiation), url.PathEscape(d.transfer)
	for _, c := range []struct {
		method, path         string
		nobody, osaka, tokyo int
	}{
		{"GET", "/", 401, 200, 200},
		{"GET", "/agreements/" + a, 401, 404, 200},
		{"GET", "/agreements/" + a + "/end", 401, 405, 405},
		{"POST", "/agreements/" + a + "/end", 401, 404, 422},
		{"GET", "/agreements/urn:none", 401, 404, 404},
		{"GET", "/exchanges/" + n, 401, 404, 200},
		{"GET", "/exchanges/" + m, 401, 404, 200},
		{"GET", "/exchanges/urn:none", 401, 404, 404},
		{"POST", "/exchanges/urn:none/decision", 401, 400, 400},
		{"GET", "/exchanges/" + n + "/decision", 401, 405, 405},
		{"POST", "/work", 401, 400, 400},
		{"GET", "/work", 401, 405, 405},
		{"DELETE", "/", 401, 405, 405},
		{"POST", "/agreements/" + a, 401, 405, 405},
		{"GET", "/nothing", 401, 404, 404},
		{"GET", "/login?code=used", 401, 401, 401},
		{"GET", "/logout", 401, 405, 405},
		{"POST", "/language", 303, 303, 303},
		{"GET", "/style.css", 200, 200, 200},
	} {
		for name, cookie := range visitors {
			want := map[string]int{"nobody": c.nobody, "forged": c.nobody, "osaka": c.osaka, "tokyo": c.tokyo}[name]
			got := d.ask(t, c.method, c.path, cookie)
			if got.Code != want {
				t.Errorf("%s %s for %s: %d, want %d", c.method, c.path, name, got.Code, want)
			}
			if csp := got.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'self'") {
				t.Errorf("%s %s: policy %q", c.method, c.path, csp)
			}
			if body := got.Body.String(); got.Code == 401 && !strings.HasPrefix(c.path, "/login") && !strings.Contains(body, "<code>kakehashi portal</code>") {
				t.Errorf("%s %s does not say how to get in", c.method, c.path)
			}
			if name == "osaka" && strings.Contains(got.Body.String(), otherSide) {
				t.Errorf("%s %s shows osaka what is tokyo's", c.method, c.path)
			}
		}
	}
}

func TestASessionIsAStrictCookieOfThisNodeAndEndsAtLogout(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		d := newDesk(t, secure, false)
		c := d.login(t, "tokyo")
		want := "kakehashi_session_8081"
		if secure {
			want = "__Host-" + want
		}
		if c.Name != want || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure != secure || c.Path != "/" || c.Domain != "" {
			t.Errorf("secure %v: cookie %v", secure, c)
		}
		if got := d.ask(t, "POST", "/logout", c); got.Code != 401 || got.Result().Cookies()[0].MaxAge >= 0 {
			t.Errorf("logout: %d", got.Code)
		}
		if got := d.ask(t, "GET", "/", c); got.Code != 401 {
			t.Errorf("after logout: %d", got.Code)
		}
	}
}

func TestALinkOpensOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, false, false)
	code, err := d.Accounts.NewLink(t.Context(), "tokyo")
	check(t, err)
	for _, want := range []int{303, 401} {
		if got := d.ask(t, "GET", "/login?code="+code, nil); got.Code != want {
			t.Errorf("login: %d, want %d", got.Code, want)
		}
	}
}

func TestWhatComesFromAnotherSiteChangesNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t, false, true)
	me := d.login(t, "tokyo")
	sure := url.Values{"reason": {"the study is over"}, "confirm": {"yes"}}
	for _, path := range []string{"/agreements/" + url.PathEscape(agreed) + "/end", "/logout", "/language", "/work", "/exchanges/x/decision"} {
		for _, h := range []header{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "http://127.0.0.1:9999"}} {
			got := d.ask(t, "POST", path, me, h, sure)
			if got.Code != 403 || !strings.Contains(got.Body.String(), "cross-site") {
				t.Errorf("%s with %v: %d", path, h, got.Code)
			}
		}
	}
	a, err := d.Agreements.Get(t.Context(), "tokyo", agreed)
	check(t, err)
	if !a.Ended.IsZero() {
		t.Error("the agreement ended")
	}
	if got := d.ask(t, "GET", "/", me); got.Code != 200 {
		t.Errorf("logged out: %d", got.Code)
	}
}

func TestAnAgreementEndsAfterAReasonAndAConfirmation(t *testing.T) {
	t.Parallel()
	d := newDesk(t, false, true)
	me, path := d.login(t, "tokyo"), "/agreements/"+url.PathEscape(agreed)
	same := header{"Sec-Fetch-Site", "same-origin"}
	for _, c := range []struct {
		form url.Values
		want int
	}{
		{url.Values{"reason": {"  "}, "confirm": {"yes"}}, 422},
		{url.Values{"reason": {strings.Repeat("長", 501)}, "confirm": {"yes"}}, 422},
		{url.Values{"reason": {strings.Repeat("x", 20<<10)}, "confirm": {"yes"}}, 400},
		{url.Values{"reason": {hostile}}, 200},
	} {
		got := d.ask(t, "POST", path+"/end", me, same, c.form)
		if got.Code != c.want || strings.Contains(got.Body.String(), "<script") {
			t.Errorf("%.40v: %d, want %d", c.form, got.Code, c.want)
		}
		if a, err := d.Agreements.Get(t.Context(), "tokyo", agreed); err != nil || !a.Ended.IsZero() {
			t.Fatalf("ended without a confirmed reason: %v", err)
		}
	}
	got := d.ask(t, "POST", path+"/end", me, same, url.Values{"reason": {"the study is over"}, "confirm": {"yes"}})
	if got.Code != 303 || got.Header().Get("Location") != path {
		t.Fatalf("%d to %s", got.Code, got.Header().Get("Location"))
	}
	shown := d.ask(t, "GET", path, me).Body.String()
	if !strings.Contains(shown, "the study is over") || strings.Contains(shown, "/end\"") {
		t.Error("the page of the ended agreement does not say why, or offers to end it again")
	}
	if got := d.ask(t, "POST", path+"/end", me, same, url.Values{"reason": {"again"}, "confirm": {"yes"}}); got.Code != 403 {
		t.Errorf("ended twice: %d", got.Code)
	}
}

var (
	script = regexp.MustCompile(`(?i)<script|javascript:| on[a-z]+=|style="|src=|//[a-z]+\.[a-z]`)
	bare   = regexp.MustCompile(`portal\.[a-z.]+|\{[a-z_]+\}`)
)

func TestPagesSpeakBothLanguagesAndEscapeWhatOthersWrote(t *testing.T) {
	t.Parallel()
	full, empty := newDesk(t, false, true), newDesk(t, false, false)
	for _, d := range []*desk{full, empty} {
		me := d.login(t, "tokyo")
		paths := []string{"/", "/nothing"}
		if d == full {
			paths = append(paths, "/agreements/"+url.PathEscape(agreed), "/exchanges/"+url.PathEscape(d.negotiation), "/exchanges/"+url.PathEscape(d.transfer))
		}
		for _, path := range paths {
			for _, lang := range []string{"en", "ja"} {
				for _, cookie := range []*http.Cookie{me, nil} {
					body := d.ask(t, "GET", path, cookie, header{"Accept-Language", lang}).Body.String()
					if !strings.Contains(body, `<html lang="`+lang+`">`) {
						t.Errorf("%s is not in %s", path, lang)
					}
					if bad := bare.FindString(body); bad != "" {
						t.Errorf("%s in %s shows %q", path, lang, bad)
					}
					if bad := script.FindString(body); bad != "" {
						t.Errorf("%s in %s holds %q", path, lang, bad)
					}
				}
			}
			choice := &http.Cookie{Name: "kakehashi_language", Value: "ja"}
			if body := d.ask(t, "GET", path, me, choice, header{"Accept-Language", "en"}).Body.String(); !strings.Contains(body, `<html lang="ja">`) {
				t.Errorf("%s does not heed the choice", path)
			}
		}
	}
	home := full.ask(t, "GET", "/", full.login(t, "tokyo")).Body.String()
	if !strings.Contains(home, "&lt;script&gt;") {
		t.Error("the title is not shown")
	}
}

func TestATimelineTellsEachStepWithItsPlaceInTheLog(t *testing.T) {
	t.Parallel()
	d := newDesk(t, false, true)
	body := d.ask(t, "GET", "/exchanges/"+url.PathEscape(d.transfer), d.login(t, "tokyo")).Body.String()
	for _, want := range []string{"kh.negotiation.sending", "kh.agreement.concluded", "kh.transfer.sending", "entry 0 of the log", "<code>TransferRequestMessage</code>", "sent to " + otherSide, "sha256:", " UTC", " JST", "CE"} {
		if !strings.Contains(body, want) {
			t.Errorf("the timeline lacks %q", want)
		}
	}
}

func TestAChoiceOfLanguageComesBackToAPageOfOurs(t *testing.T) {
	t.Parallel()
	d := newDesk(t, false, false)
	for back, want := range map[string]string{"/agreements/urn%2Fx": "/agreements/urn%2Fx", "": "/", "https://evil.example/": "/", "//evil.example": "/",
		`/\evil.example`: "/", "/\t/evil.example": "/", "evil": "/", "/?a=b": "/?a=b"} {
		got := d.ask(t, "POST", "/language", nil, url.Values{"lang": {"ja"}, "back": {back}})
		if got.Code != 303 || got.Header().Get("Location") != want {
			t.Errorf("%q: %d to %q, want %q", back, got.Code, got.Header().Get("Location"), want)
		}
	}
	if got := d.ask(t, "POST", "/language", nil, url.Values{"lang": {"xx"}}); len(got.Result().Cookies()) != 0 {
		t.Error("a language that there is not was kept")
	}
}
