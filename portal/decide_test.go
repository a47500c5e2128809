package portal_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"kakehashi/catalog"
	"kakehashi/identity"
	"kakehashi/internal/strictjson"
	"kakehashi/negotiation"
	"kakehashi/participant"
	"kakehashi/process"
	"kakehashi/store"
)

// Spend takes the tokens that these tests do not have.
func (who) Spend(store.Tx, participant.ID, identity.Caller) error { return nil }

const (
	other  = `{"permission":[{"action":"use","constraint":[{"leftOperand":"purpose","operator":"eq","rightOperand":"` + `<script>` + `"}]}]}`
	same   = `{"permission":[{"action":"use"}]}`
	closed = `{"permission":[{"action":"use","constraint":[{"leftOperand":"dateTime","operator":"lt","rightOperand":{"@value":"2998-12-31T15:00:00Z","@type":"xsd:dateTime"}}]}]}`
)

// request has otherSide ask tokyo for a dataset that asks, with those rules.
func (d *desk) request(t *testing.T, pid, rules string) negotiation.Process {
	t.Helper()
	ctx := t.Context()
	if _, err := d.Catalog.Dataset(ctx, "tokyo", "urn:example:asked"); err != nil {
		check(t, d.db.Update(ctx, func(tx store.Tx) error {
			_, err := d.Catalog.Publish(tx, "tokyo", catalog.Dataset{ID: "urn:example:asked", Title: "Ward list " + hostile, Service: "files", Asking: process.Ask,
				Formats: []string{"HttpData-PULL"}, Offers: []catalog.Offer{{ID: "urn:example:ask", Policy: strictjson.Raw(same)}}})
			return err
		}))
	}
	reply, err := d.Negotiations.Receive(ctx, "tokyo", identity.Caller{ID: otherSide, DID: otherSide}, negotiation.Message{Kind: negotiation.KindRequest,
		Body: []byte(`{"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"@type":"ContractRequestMessage","consumerPid":"` + pid +
			`","callbackAddress":"https://brussels.example/dsp","offer":{"@id":"urn:example:ask","@type":"Offer","target":"urn:example:asked",` + rules[1:] + `}`)})
	check(t, err)
	q, err := d.Negotiations.Get(ctx, "tokyo", reply.ProviderPid)
	check(t, err)
	if !q.Turn() {
		t.Fatalf("it does not wait: %+v", q)
	}
	return q
}

func (d *desk) decide(t *testing.T, me *http.Cookie, id string, f url.Values) *httptest.ResponseRecorder {
	t.Helper()
	return d.ask(t, "POST", "/exchanges/"+url.PathEscape(id)+"/decision", me, header{"Sec-Fetch-Site", "same-origin"}, header{"Accept-Language", "en"}, f)
}

func version(q negotiation.Process) string { return strconv.FormatInt(q.Version, 10) }

func TestWhatWaitsIsShownWithWhereItsTermsDiffer(t *testing.T) {
	t.Parallel()
	d := newDesk(t, false, false)
	q := d.request(t, "urn:uuid:1", other)
	me := d.login(t, "tokyo")
	page := "/exchanges/" + url.PathEscape(q.ID)
	for _, path := range []string{"/", page} {
		for lang, want := range map[string][]string{
			"en": {"These terms differ from ours.", `<li class="added">`, "Ours say, and these do not:"},
			"ja": {"自組織の条件とは異なります。", `<li class="missing">`, "自組織の条件にだけあるもの:"},
		} {
			body := d.ask(t, "GET", path, me, header{"Accept-Language", lang}).Body.String()
			for _, w := range append(want, otherSide, "Ward list &lt;script&gt;", "&lt;script&gt;") {
				if !strings.Contains(body, w) {
					t.Errorf("%s in %s lacks %q", path, lang, w)
				}
			}
			if bad := script.FindString(body); bad != "" {
				t.Errorf("%s in %s holds %q", path, lang, bad)
			}
			if bad := bare.FindString(body); bad != "" {
				t.Errorf("%s in %s shows %q", path, lang, bad)
			}
		}
	}
	q = d.request(t, "urn:uuid:2", same)
	if body := d.ask(t, "GET", "/exchanges/"+url.PathEscape(q.ID), me).Body.String(); !strings.Contains(body, "the terms that we put ourselves") {
		t.Error("our own terms are not called so")
	}
	if body := d.ask(t, "GET", "/", d.login(t, "osaka")).Body.String(); strings.Contains(body, otherSide) {
		t.Error("osaka sees what waits for tokyo")
	}
	if got := d.decide(t, d.login(t, "osaka"), q.ID, url.Values{"version": {version(q)}, "decision": {"approve"}}); got.Code != 404 {
		t.Errorf("osaka decides for tokyo: %d", got.Code)
	}
}

func TestADecisionIsTakenOnceOnWhatWasShown(t *testing.T) {
	t.Parallel()
	d := newDesk(t, false, false)
	me, q := d.login(t, "tokyo"), d.request(t, "urn:uuid:1", same)
	for _, c := range []struct {
		form url.Values
		code int
		says string
	}{
		{url.Values{"decision": {"approve"}}, 400, ""},
		{url.Values{"version": {version(q)}, "decision": {"sleep"}}, 400, ""},
		{url.Values{"version": {"999"}, "decision": {"approve"}}, 409, "has moved since it was shown"},
		{url.Values{"version": {version(q)}, "decision": {"refuse"}, "reason": {" "}}, 422, "no reason was given"},
		{url.Values{"version": {version(q)}, "decision": {"refuse"}, "reason": {strings.Repeat("長", 501)}}, 422, "longer than 500"},
	} {
		got := d.decide(t, me, q.ID, c.form)
		if got.Code != c.code || !strings.Contains(got.Body.String(), c.says) {
			t.Errorf("%v: %d, want %d with %q", c.form, got.Code, c.code, c.says)
		}
		if now, err := d.Negotiations.Get(t.Context(), "tokyo", q.ID); err != nil || now.Version != q.Version {
			t.Fatalf("%v changed it: %+v, %v", c.form, now, err)
		}
	}
	got := d.decide(t, me, q.ID, url.Values{"version": {version(q)}, "decision": {"approve"}})
	if got.Code != 303 || got.Header().Get("Location") != "/exchanges/"+url.PathEscape(q.ID) {
		t.Fatalf("approved: %d to %s", got.Code, got.Header().Get("Location"))
	}
	now, err := d.Negotiations.Get(t.Context(), "tokyo", q.ID)
	check(t, err)
	if now.Pending == nil || now.Pending.Kind != negotiation.KindAgreement {
		t.Errorf("approved: %+v", now)
	}
	check(t, d.Evidence.Flush(t.Context(), "tokyo"))
	if body := d.ask(t, "GET", "/exchanges/"+url.PathEscape(q.ID), me, header{"Accept-Language", "en"}).Body.String(); strings.Count(body, "Our answer decided") != 1 || !strings.Contains(body, "ContractAgreementMessage") {
		t.Error("the timeline does not tell that we decided")
	}
	if got := d.decide(t, me, q.ID, url.Values{"version": {version(q)}, "decision": {"approve"}}); got.Code != 409 || !strings.Contains(got.Body.String(), `role="alert"`) {
		t.Errorf("approved twice: %d", got.Code)
	}

	q = d.request(t, "urn:uuid:2", other)
	if got := d.decide(t, me, q.ID, url.Values{"version": {version(q)}, "decision": {"refuse"}, "reason": {"the ward is closed"}}); got.Code != 303 {
		t.Fatalf("refused: %d", got.Code)
	}
	body := d.ask(t, "GET", "/exchanges/"+url.PathEscape(q.ID), me).Body.String()
	if !strings.Contains(body, "the ward is closed") || !strings.Contains(body, "<dd>Us</dd>") || strings.Contains(body, "/decision") {
		t.Error("the page does not tell that we refused and why, or still asks")
	}
}

func TestTheCounterpartsReasonIsShown(t *testing.T) {
	t.Parallel()
	d := newDesk(t, false, false)
	q := d.request(t, "urn:uuid:1", other)
	_, err := d.Negotiations.Receive(t.Context(), "tokyo", identity.Caller{ID: otherSide, DID: otherSide}, negotiation.Message{Kind: negotiation.KindTermination, Pid: q.ID,
		Body: []byte(`{"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"@type":"ContractNegotiationTerminationMessage","consumerPid":"urn:uuid:1","providerPid":"` + q.ID +
			`","code":"changed","reason":["our study was put off"]}`)})
	check(t, err)
	body := d.ask(t, "GET", "/exchanges/"+url.PathEscape(q.ID), d.login(t, "tokyo")).Body.String()
	if !strings.Contains(body, "our study was put off") || !strings.Contains(body, "<dd>The counterpart</dd>") {
		t.Error("who ended it and why is not shown")
	}
}

func TestOtherTermsAreReadAsSentencesBeforeTheyAreSent(t *testing.T) {
	t.Parallel()
	d := newDesk(t, false, false)
	me, q := d.login(t, "tokyo"), d.request(t, "urn:uuid:1", other)
	answer := func(policy, checked string) *httptest.ResponseRecorder {
		t.Helper()
		f := url.Values{"version": {version(q)}, "decision": {"counter"}, "policy": {policy}}
		if checked != "" {
			f.Set("checked", checked)
		}
		return d.decide(t, me, q.ID, f)
	}
	edited := regexp.MustCompile(`(?s)<textarea id="policy"[^>]*>(.*?)</textarea>`)
	for _, bad := range []string{`{"permission":`, `[]`, `"x"`, ``, `{"permission":[{"action":"use","constraint":[{"leftOperand":"dateTime"}]}]}`,
		`{"permission":[],"permission":[]}`} {
		for _, checked := range []string{"", bad} {
			got := answer(bad, checked)
			if got.Code < 400 || got.Code >= 500 || !strings.Contains(got.Body.String(), `role="alert"`) || strings.Contains(got.Body.String(), `name="checked"`) {
				t.Errorf("%s: %d without an alert, or ready to send", bad, got.Code)
			}
			if m := edited.FindStringSubmatch(got.Body.String()); len(m) != 2 || bad != "" && !strings.Contains(m[1], strings.NewReplacer(`"`, "&#34;").Replace(bad)) {
				t.Errorf("%s: what was written is lost", bad)
			}
		}
	}
	for _, checked := range []string{"", same} { // shown, but not these
		got := answer(closed, checked)
		body := got.Body.String()
		if got.Code != 200 || !strings.Contains(body, "2998") || !strings.Contains(body, "No longer in yours:") || !strings.Contains(body, `name="checked"`) {
			t.Fatalf("preview: %d\n%s", got.Code, body)
		}
		if bad := script.FindString(body); bad != "" {
			t.Errorf("the preview holds %q", bad)
		}
	}
	if now, err := d.Negotiations.Get(t.Context(), "tokyo", q.ID); err != nil || now.Version != q.Version {
		t.Fatalf("sent without being shown: %+v, %v", now, err)
	}
	// Browsers end lines with CRLF in both fields.
	lines := strings.ReplaceAll(closed, ",", ",\r\n")
	if got := answer(lines, strings.ReplaceAll(lines, "\r\n", "\n")); got.Code != 303 {
		t.Fatalf("sent: %d", got.Code)
	}
	now, err := d.Negotiations.Get(t.Context(), "tokyo", q.ID)
	check(t, err)
	if now.Pending == nil || now.Pending.Kind != negotiation.KindOffer || !strings.Contains(string(now.Terms), "2998") {
		t.Errorf("sent: %+v", now)
	}
	if got := answer(closed, closed); got.Code != 409 {
		t.Errorf("sent twice: %d", got.Code)
	}
}

func TestWhatDidNotGetThroughIsShownAndSettled(t *testing.T) {
	t.Parallel()
	d := newDesk(t, false, true) // its wire panics, which is a failed attempt
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Outbox.Run(ctx) }()
	for n := 0; n < 2; { // the negotiation's and the transfer's request
		late, _, err := d.Outbox.Backlog(ctx, "tokyo", "")
		check(t, err)
		n = len(late)
	}
	cancel()
	check(t, <-done)
	me, from := d.login(t, "tokyo"), header{"Sec-Fetch-Site", "same-origin"}
	for lang, want := range map[string]string{"en": "2 messages wait for " + otherSide, "ja": otherSide + " 宛てのメッセージ 2 件"} {
		body := d.ask(t, "GET", "/", me, header{"Accept-Language", lang}).Body.String()
		if !strings.Contains(body, want) || !strings.Contains(body, "ContractRequestMessage") || !strings.Contains(body, "TransferRequestMessage") {
			t.Errorf("the overview in %s lacks what is late", lang)
		}
		if bad := bare.FindString(body); bad != "" {
			t.Errorf("the overview in %s shows %q", lang, bad)
		}
	}
	if body := d.ask(t, "GET", "/", d.login(t, "osaka")).Body.String(); strings.Contains(body, otherSide) {
		t.Error("osaka sees what is late of tokyo")
	}
	late, _, err := d.Outbox.Backlog(t.Context(), "tokyo", "")
	check(t, err)
	for _, c := range []struct {
		me   *http.Cookie
		form url.Values
		code int
		left int
	}{
		{me, url.Values{"act": {"sleep"}, "job": {late[0].ID}}, 400, 2},
		{d.login(t, "osaka"), url.Values{"act": {"end"}, "job": {late[0].ID}}, 303, 2}, // there is no such job of osaka
		{d.login(t, "osaka"), url.Values{"act": {"end"}, "counterparty": {otherSide}}, 303, 2},
		{me, url.Values{"act": {"end"}, "counterparty": {""}}, 303, 2},
		{me, url.Values{"act": {"end"}, "job": {late[0].ID}}, 303, 1},
		{me, url.Values{"act": {"retry"}, "job": {late[0].ID}}, 303, 1}, // it is gone
		{me, url.Values{"act": {"end"}, "counterparty": {otherSide}}, 303, 0},
	} {
		if got := d.ask(t, "POST", "/work", c.me, from, c.form); got.Code != c.code {
			t.Errorf("%v: %d, want %d", c.form, got.Code, c.code)
		}
		if late, _, err := d.Outbox.Backlog(t.Context(), "tokyo", ""); err != nil || len(late) != c.left {
			t.Errorf("%v: %d left, want %d, %v", c.form, len(late), c.left, err)
		}
	}
	q, err := d.Negotiations.Get(t.Context(), "tokyo", d.negotiation)
	check(t, err)
	if q.State != negotiation.Terminated {
		t.Errorf("the negotiation is %s", q.State)
	}
}
