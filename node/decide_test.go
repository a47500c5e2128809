package node

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kakehashi/client"
	"kakehashi/decision"
	"kakehashi/internal/fault"
)

// workflow is a firm's decision webhook: it checks the signature, tells what it
// was asked, and answers what the test says.
type workflow struct {
	*httptest.Server
	asked  chan client.Question
	answer chan client.Decision // a decision, or none: 202
}

const webhookKey = "0123456789abcdef0123456789abcdef"

func newWorkflow(t *testing.T, p *place) workflow {
	w := workflow{asked: make(chan client.Question, 16), answer: make(chan client.Decision, 16)}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get(decision.SignatureHeader) != decision.Sign([]byte(webhookKey), body) {
			t.Errorf("signature %q, %v", r.Header.Get(decision.SignatureHeader), err)
		}
		var q client.Question
		if err := json.Unmarshal(body, &q); err != nil {
			t.Error(err)
		}
		w.asked <- q
		select {
		case d := <-w.answer:
			rw.Header().Set("Content-Type", "application/json")
			if err := json.NewEncoder(rw).Encode(d); err != nil {
				t.Error(err)
			}
		default:
			rw.WriteHeader(http.StatusAccepted)
		}
	}))
	t.Cleanup(w.Close)
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(webhookKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.settings.DecisionWebhook, p.settings.DecisionWebhookKeyFile = w.URL, key
	return w
}

// asks publishes a file that asks before it agrees.
func asks(t *testing.T, p place, r running, asking string) client.Dataset {
	t.Helper()
	path := filepath.Join(p.settings.Data, "asked.csv")
	if err := os.WriteFile(path, []byte("a,b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := r.client().PublishFile(t.Context(), client.PublishFile{Path: path, Title: "Asked", Asking: asking, Offer: "urn:uuid:offer-" + asking,
		Policy: json.RawMessage(`{"permission":[{"action":"use"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestADatasetThatAsksIsDecidedByThePeople(t *testing.T) {
	t.Parallel()
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	flow := newWorkflow(t, &tokyo)
	provider, consumer := tokyo.start(t, nil), brussels.start(t, nil)
	us, them := provider.client(), consumer.client()
	node, err := us.Node(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d := asks(t, tokyo, provider, "ask")
	if d.Offers[0].ID != "urn:uuid:offer-ask" {
		t.Errorf("the offer is %s", d.Offers[0].ID)
	}
	start := func(terms string) (client.Negotiation, client.Negotiation) {
		t.Helper()
		want := client.StartNegotiation{Partner: node.DID, Dataset: d.ID, Offer: d.Offers[0].ID}
		if terms != "" {
			want.Policy = json.RawMessage(terms)
		}
		n, err := them.Negotiate(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		q := <-flow.asked
		p, err := us.Negotiation(t.Context(), q.ID, 0)
		if err != nil || !p.Waits || p.State != "REQUESTED" || q.Counterparty != p.Counterparty || q.Version != p.Version || len(q.Terms) == 0 {
			t.Fatalf("%+v asked as %+v, %v", p, q, err)
		}
		return n, p
	}
	final := func(n client.Negotiation) client.Negotiation {
		t.Helper()
		n, err := them.Negotiation(t.Context(), n.ID, waitInTest, "FINALIZED")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}

	n, p := start("")
	if !p.Same {
		t.Error("the terms of the catalogue count as others")
	}
	if w, err := us.Waiting(t.Context()); err != nil || len(w.Negotiations) != 1 || w.Negotiations[0].ID != p.ID {
		t.Errorf("waiting: %+v, %v", w, err)
	}
	if _, err := us.Decide(t.Context(), p.ID, p.Version, client.Decision{Decision: "approve"}); err != nil {
		t.Fatal(err)
	}
	if n = final(n); n.State != "FINALIZED" {
		t.Errorf("approved: %+v", n)
	}

	n, p = start("")
	if _, err := us.Decide(t.Context(), p.ID, p.Version, client.Decision{Decision: "refuse"}); err == nil {
		t.Error("refused without a reason")
	}
	if _, err := us.Decide(t.Context(), p.ID, p.Version, client.Decision{Decision: "refuse", Reason: "the ward is closed"}); err != nil {
		t.Fatal(err)
	}
	if n = final(n); n.State != "TERMINATED" || !strings.Contains(n.Reason, "the ward is closed") {
		t.Errorf("refused: %+v", n)
	}
	if _, err := us.Decide(t.Context(), p.ID, p.Version, client.Decision{Decision: "approve"}); !errors.Is(err, fault.DecidedOn) {
		t.Errorf("a second decision: %v", err)
	}

	// Other terms than ours wait, a counter-offer goes back, and is approved there.
	narrower := `{"permission":[{"action":"use","constraint":[{"leftOperand":"purpose","operator":"eq","rightOperand":"research"}]}]}`
	n, p = start(`{"permission":[{"action":"use"}],"obligation":[{"action":"delete"}]}`)
	if p.Same {
		t.Error("other terms count as ours")
	}
	if _, err := us.Decide(t.Context(), p.ID, 0, client.Decision{Decision: "counter", Policy: json.RawMessage(narrower)}); err != nil {
		t.Fatal(err)
	}
	n, err = them.Negotiation(t.Context(), n.ID, waitInTest, "OFFERED")
	if err != nil || !n.Waits || n.Same || len(n.Terms) == 0 {
		t.Fatalf("countered: %+v, %v", n, err)
	}
	if _, err := them.Decide(t.Context(), n.ID, n.Version, client.Decision{Decision: "approve"}); err != nil {
		t.Fatal(err)
	}
	if n = final(n); n.State != "FINALIZED" {
		t.Errorf("agreed by counter-offer: %+v", n)
	}
	if w, err := us.Waiting(t.Context()); err != nil || len(w.Negotiations) != 0 {
		t.Errorf("still waiting: %+v, %v", w, err)
	}
	a, err := us.Agreement(t.Context(), n.Agreement)
	if got, _ := json.Marshal(a.Policy); err != nil || !strings.Contains(string(got), "research") {
		t.Errorf("agreed on %s, %v", got, err)
	}
}

func TestTheWebhookDecides(t *testing.T) {
	t.Parallel()
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	flow := newWorkflow(t, &tokyo)
	provider, consumer := tokyo.start(t, nil), brussels.start(t, nil)
	us, them := provider.client(), consumer.client()
	node, err := us.Node(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d := asks(t, tokyo, provider, "each-step")
	for range 3 { // agreement, finalization, and then the transfer
		flow.answer <- client.Decision{Decision: "approve"}
	}
	n, err := them.Negotiate(t.Context(), client.StartNegotiation{Partner: node.DID, Dataset: d.ID})
	if err != nil {
		t.Fatal(err)
	}
	if n, err = them.Negotiation(t.Context(), n.ID, waitInTest, "FINALIZED"); err != nil || n.State != "FINALIZED" {
		t.Fatalf("%+v, %v", n, err)
	}
	tr, err := them.StartTransfer(t.Context(), client.StartTransfer{Agreement: n.Agreement})
	if err != nil {
		t.Fatal(err)
	}
	if tr, err = them.Transfer(t.Context(), tr.ID, waitInTest, "STARTED"); err != nil || tr.State != "STARTED" {
		t.Fatalf("%+v, %v", tr, err)
	}
	for _, want := range []string{"REQUESTED", "VERIFIED", "REQUESTED"} {
		if q := <-flow.asked; q.State != want {
			t.Errorf("asked in %s, expected %s", q.State, want)
		}
	}

	flow.answer <- client.Decision{Decision: "refuse", Reason: "not this week"}
	tr, err = them.StartTransfer(t.Context(), client.StartTransfer{Agreement: n.Agreement})
	if err != nil {
		t.Fatal(err)
	}
	if tr, err = them.Transfer(t.Context(), tr.ID, waitInTest); err != nil || tr.State != "TERMINATED" || tr.Reason != "not this week" {
		t.Errorf("refused: %+v, %v", tr, err)
	}
}

func TestAProviderOffersFirst(t *testing.T) {
	t.Parallel()
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	provider, consumer := tokyo.start(t, nil), brussels.start(t, nil)
	us, them := provider.client(), consumer.client()
	they, err := them.Node(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d := publish(t, tokyo, provider, []byte("a"))
	p, err := us.Offer(t.Context(), client.StartOffer{Partner: they.DID, Dataset: d.ID})
	if err != nil {
		t.Fatal(err)
	}
	if p, err = us.Negotiation(t.Context(), p.ID, waitInTest, "OFFERED"); err != nil || p.State != "OFFERED" || p.Waits {
		t.Fatalf("%+v, %v", p, err)
	}
	n, err := them.Negotiation(t.Context(), p.PeerID, 0)
	if err != nil || !n.Waits || n.Dataset != d.ID || n.Role != "consumer" {
		t.Fatalf("%+v, %v", n, err)
	}
	if _, err := them.Decide(t.Context(), n.ID, n.Version, client.Decision{Decision: "approve"}); err != nil {
		t.Fatal(err)
	}
	if n, err = them.Negotiation(t.Context(), n.ID, waitInTest, "FINALIZED"); err != nil || n.State != "FINALIZED" {
		t.Fatalf("%+v, %v", n, err)
	}
	tr, err := them.StartTransfer(t.Context(), client.StartTransfer{Agreement: n.Agreement})
	if err != nil {
		t.Fatal(err)
	}
	if tr, err = them.Transfer(t.Context(), tr.ID, waitInTest, "STARTED"); err != nil || tr.State != "STARTED" {
		t.Errorf("%+v, %v", tr, err)
	}
}

// One counterpart holds no more open than the limit; what is refused meanwhile is
// taken up by itself once there is room.
func TestACounterpartHoldsNoMoreOpenThanItMay(t *testing.T) {
	t.Parallel()
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	tokyo.settings.PartnerOpen = 1
	provider, consumer := tokyo.start(t, nil), brussels.start(t, nil)
	us, them := provider.client(), consumer.client()
	node, err := us.Node(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d := asks(t, tokyo, provider, "ask")
	first, err := them.Negotiate(t.Context(), client.StartNegotiation{Partner: node.DID, Dataset: d.ID})
	if err != nil {
		t.Fatal(err)
	}
	if first, err = them.Negotiation(t.Context(), first.ID, waitInTest, "REQUESTED"); err != nil || first.State != "REQUESTED" {
		t.Fatalf("%+v, %v", first, err)
	}
	second, err := them.Negotiate(t.Context(), client.StartNegotiation{Partner: node.DID, Dataset: d.ID})
	if err != nil {
		t.Fatal(err)
	}
	if w, err := us.Waiting(t.Context()); err != nil || len(w.Negotiations) != 1 {
		t.Errorf("%d wait, %v", len(w.Negotiations), err)
	}
	if _, err := us.Decide(t.Context(), first.PeerID, 0, client.Decision{Decision: "refuse", Reason: "full"}); err != nil {
		t.Fatal(err)
	}
	if second, err = them.Negotiation(t.Context(), second.ID, waitInTest, "REQUESTED"); err != nil || second.State != "REQUESTED" {
		t.Errorf("%+v, %v", second, err)
	}
}
