package negotiation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kakehashi/catalog"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/process"
)

// both waits until both sides are done and gives the provider's process.
func (w *world) both(q Process, s State) (consumer, provider Process) {
	w.t.Helper()
	consumer = w.brussels.await(q.ID, s)
	return consumer, w.tokyo.await(consumer.PeerPid, s)
}

func TestTwoNodesAgree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, p := w.both(w.start(), Finalized)
	if c.Agreement == "" || c.Agreement != p.Agreement || string(c.AgreementBody) != string(p.AgreementBody) || c.Signed != p.Signed {
		t.Errorf("agreements differ:\n%+v\n%+v", c, p)
	}
	for _, n := range []*node{w.tokyo, w.brussels} {
		a, err := n.agreed.Get(t.Context(), n.who.ID, c.Agreement)
		check(t, err)
		if a.Assigner != w.tokyo.who.DID || a.Assignee != w.brussels.who.DID || a.Dataset != datasetID || a.Offer != offerID {
			t.Errorf("%s keeps %+v", n.who.ID, a)
		}
		if string(a.Policy) != openRules {
			t.Errorf("%s keeps the terms %s, not the offer's own", n.who.ID, a.Policy)
		}
	}
	if got, want := w.tokyo.history(p.ID), []string{"requested in", "agreed out", "verified in", "finalized out"}; !slices.Equal(got, want) {
		t.Errorf("provider's history %q, want %q", got, want)
	}
	got := w.brussels.history(c.ID)
	if want := []string{"sending ", "requested out", "agreed in", "verified out", "finalized in"}; !slices.Equal(got, want) {
		t.Errorf("consumer's history %q, want %q", got, want)
	}
	if len(w.sent) != 4 {
		t.Errorf("%d messages on the wire, want 4", len(w.sent))
	}
	for _, n := range []*node{w.tokyo, w.brussels} {
		if parked, err := n.queue.Parked(t.Context(), n.who.ID); err != nil || len(parked) != 0 {
			t.Errorf("%s has parked %+v, %v", n.who.ID, parked, err)
		}
	}
	// Each message of one side is on record at the other under the same digest.
	digests := map[string]int{}
	for _, n := range []*node{w.tokyo, w.brussels} {
		id := p.ID
		if n == w.brussels {
			id = c.ID
		}
		entries, err := n.log.History(t.Context(), n.who.ID, id)
		check(t, err)
		for _, e := range entries {
			if d := e.Hashes["message"]; d != "" {
				digests[d]++
				if _, err := n.log.Body(t.Context(), n.who.ID, d); err != nil {
					t.Errorf("%s has no body of %s: %v", n.who.ID, e.Type, err)
				}
			}
		}
	}
	for d, n := range digests {
		if n != 2 {
			t.Errorf("message %s is on %d records", d, n)
		}
	}
	// The verification names the agreement's digest, so its signature covers it.
	for _, s := range w.sent {
		if s.kind == KindVerification && !strings.Contains(string(s.body), evidence.Digest(c.AgreementBody)) {
			t.Errorf("the verification does not name the agreement: %s", s.body)
		}
	}
}

// Whatever happens once to any one message, both sides arrive.
func TestAnyMessageMayBeLostOrDoubled(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]verdict{
		"message lost": {drop: true}, "answer lost": {loseAnswer: true}, "doubled": {double: true},
		"500": {status: 500}, "404 at first": {status: 404}, "409 at first": {status: 409}, "400 at first": {status: 400},
	} {
		for _, kind := range []Kind{KindRequest, KindAgreement, KindVerification, KindFinalized} {
			if kind == KindRequest && v.drop {
				continue // waits 5 s for the counterpart's own message: TestAFirstMessage...
			}
			t.Run(name+" "+string(kind), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.hook = func(c call) verdict {
					if c.kind == kind && c.n == 1 {
						return v
					}
					return verdict{}
				}
				c, _ := w.both(w.start(), Finalized)
				for _, n := range []*node{w.tokyo, w.brussels} {
					if _, err := n.agreed.Get(t.Context(), n.who.ID, c.Agreement); err != nil {
						t.Error(err)
					}
				}
				all, _, err := w.tokyo.room.List(t.Context(), "tokyo", Filter{}, "", 0)
				check(t, err)
				if len(all) != 1 {
					t.Errorf("the provider has %d processes", len(all))
				}
			})
		}
	}
}

func TestEitherSideTerminatesAtEachState(t *testing.T) {
	t.Parallel()
	for _, stop := range []Kind{KindAgreement, KindVerification, KindFinalized} {
		for _, by := range []Role{Provider, Consumer} {
			t.Run(fmt.Sprintf("%s before %s", by, stop), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				held, release := make(chan struct{}), make(chan struct{})
				w.hook = func(c call) verdict {
					if c.kind == stop && c.n == 1 {
						close(held)
						<-release
						return verdict{drop: true}
					}
					return verdict{}
				}
				q := w.start()
				<-held
				n, id := w.brussels, q.ID
				if by == Provider {
					all, _, err := w.tokyo.room.List(t.Context(), "tokyo", Filter{}, "", 0)
					check(t, err)
					n, id = w.tokyo, all[0].ID
				}
				_, err := n.room.Terminate(t.Context(), n.who.ID, id, "changed", "we changed our mind")
				close(release)
				if by == Provider && stop == KindFinalized { // its end is on the way already
					if !errors.Is(err, fault.NotYourTurn) {
						t.Fatal(err)
					}
					w.both(q, Finalized)
					return
				}
				check(t, err)
				c, p := w.both(q, Terminated)
				// Whose message was dropped asks for our state, and may read it before it is told.
				asked := by == Consumer && p.Reason == "read from the counterpart's state" || by == Provider && c.Reason == "read from the counterpart's state"
				if (c.Reason != "we changed our mind" || p.Reason != c.Reason) && !asked || c.TerminatedBy != by || p.TerminatedBy != by {
					t.Errorf("consumer %q by %s, provider %q by %s", c.Reason, c.TerminatedBy, p.Reason, p.TerminatedBy)
				}
				if a, err := w.tokyo.agreed.Get(t.Context(), "tokyo", p.Agreement); err == nil && a.Ended.IsZero() {
					t.Error("the provider's agreement is in force")
				}
				if _, err := n.room.Terminate(t.Context(), n.who.ID, id, "", ""); !errors.Is(err, fault.NotYourTurn) {
					t.Errorf("a second termination: %v", err)
				}
			})
		}
	}
}

func TestAFirstMessageIsTerminatedBeforeItsAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	held, release := make(chan struct{}), make(chan struct{})
	w.hook = func(c call) verdict {
		if c.kind == KindRequest {
			close(held)
			<-release
		}
		return verdict{}
	}
	q := w.start()
	<-held
	_, err := w.brussels.room.Terminate(t.Context(), "brussels", q.ID, "", "no")
	check(t, err)
	close(release)
	c := w.brussels.await(q.ID, Terminated)
	if c.PeerPid == "" {
		t.Fatal("the provider's pid is not known")
	}
	w.tokyo.await(c.PeerPid, Terminated)
}

// A node that stops with a message in flight goes on where it was.
func TestARestartLosesNothing(t *testing.T) {
	t.Parallel()
	for _, kind := range []Kind{KindRequest, KindAgreement, KindVerification, KindFinalized} {
		for _, heard := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s heard %v", kind, heard), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				flying, stopped := make(chan string), make(chan struct{})
				w.hook = func(c call) verdict {
					if c.kind == kind && c.n == 1 {
						flying <- c.from
						<-stopped
						return verdict{drop: !heard, loseAnswer: heard}
					}
					return verdict{}
				}
				q := w.start()
				n := w.nodes[<-flying]
				go func() { close(stopped) }()
				n.halt()
				n.boot()
				w.both(q, Finalized)
			})
		}
	}
}

func TestTheSameKeyStartsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := StartRequest{Key: "k1", Counterparty: w.tokyo.who.DID, Base: w.tokyo.who.Base, Dataset: datasetID,
		Offer: []byte(`{"@id":"` + offerID + `",` + openRules[1:])}
	one, err := w.brussels.room.Start(t.Context(), "brussels", s)
	check(t, err)
	two, err := w.brussels.room.Start(t.Context(), "brussels", s)
	check(t, err)
	if one.ID != two.ID {
		t.Errorf("%s and %s", one.ID, two.ID)
	}
	s.Dataset = "urn:other"
	if _, err := w.brussels.room.Start(t.Context(), "brussels", s); !errors.Is(err, fault.KeyReused) {
		t.Errorf("another request with the key: %v", err)
	}
	w.both(one, Finalized)
}

func TestAnotherPidOfTheProviderIsEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, _ := w.both(w.start(), Finalized)
	var agreed call
	for _, s := range w.sent {
		if s.kind == KindAgreement {
			agreed = s
		}
	}
	agreed.body = []byte(strings.Replace(string(agreed.body), c.PeerPid, "urn:uuid:other", 1))
	ended := make(chan call, 1)
	w.mu.Lock()
	w.hook = func(c call) verdict {
		if c.kind == KindTermination {
			ended <- c
			return verdict{status: 200}
		}
		return verdict{}
	}
	w.mu.Unlock()
	if status, answer := w.deliver(t.Context(), agreed); status != 400 || !strings.Contains(string(answer), "other-process") {
		t.Errorf("got %d %s", status, answer)
	}
	select {
	case c := <-ended:
		if !strings.HasSuffix(c.url, "/negotiations/urn:uuid:other/termination") {
			t.Errorf("terminated at %s", c.url)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the other process was not ended")
	}
	if q := w.brussels.await(c.ID, Finalized); q.PeerPid != c.PeerPid {
		t.Errorf("ours is bound to %s", q.PeerPid)
	}
}

// ask leaves everything to the test.
type ask struct{}

func (ask) Decide(context.Context, Process) (Event, error) { return Event{}, process.ErrAsk }

func TestOffersAndCounterOffersByHand(t *testing.T) {
	t.Parallel()
	w := &world{t: t, nodes: map[string]*node{}}
	w.tokyo, w.brussels = w.node("tokyo", ask{}), w.node("brussels", ask{})
	w.tokyo.offers[offerID] = catalog.Offer{ID: offerID, Policy: strictjson.Raw(openRules)}
	c, p := w.both(w.start(), Requested)
	decide := func(n *node, id string, choice process.Choice, terms string) {
		t.Helper()
		d := process.Decision{Choice: choice}
		if terms != "" {
			d.Terms = []byte(terms)
		}
		_, err := n.room.Decide(t.Context(), n.who.ID, id, 0, d)
		check(t, err)
	}
	other := `{"permission":[{"action":"use"}]}`
	decide(w.tokyo, p.ID, process.Counter, other)
	c, p = w.both(c, Offered)
	if c.Same || c.TermsBy != Provider || string(c.Terms) != other {
		t.Errorf("the consumer sees %s by %s, same %v", c.Terms, c.TermsBy, c.Same)
	}
	if c.OfferID == offerID || c.OfferID != p.OfferID {
		t.Errorf("other terms are offer %s for the consumer, %s for the provider", c.OfferID, p.OfferID)
	}
	if !c.Turn() {
		t.Error("it is not the consumer's turn")
	}
	if _, err := w.tokyo.room.Decide(t.Context(), "tokyo", p.ID, 0, process.Decision{Choice: process.Approve}); !errors.Is(err, fault.NotYourTurn) {
		t.Errorf("an agreement in OFFERED: %v", err)
	}
	if _, err := w.brussels.room.Decide(t.Context(), "brussels", c.ID, c.Version-1, process.Decision{Choice: process.Approve}); !errors.Is(err, fault.DecidedOn) {
		t.Errorf("a decision on an older version: %v", err)
	}
	decide(w.brussels, c.ID, process.Counter, "") // what it asked for at first
	_, p = w.both(c, Requested)
	if p.Same || p.TermsBy != Consumer || string(p.Terms) != openRules {
		t.Errorf("the provider sees %s by %s, same %v", p.Terms, p.TermsBy, p.Same)
	}
	decide(w.tokyo, p.ID, process.Counter, "") // once more what it offered last
	c, _ = w.both(c, Offered)
	if string(c.Terms) != other {
		t.Errorf("the second offer is %s", c.Terms)
	}
	decide(w.brussels, c.ID, process.Approve, "")
	w.both(c, Accepted)
	decide(w.tokyo, p.ID, process.Approve, "")
	w.both(c, Agreed)
	decide(w.brussels, c.ID, process.Approve, "")
	w.both(c, Verified)
	decide(w.tokyo, p.ID, process.Approve, "")
	c, _ = w.both(c, Finalized)
	a, err := w.brussels.agreed.Get(t.Context(), "brussels", c.Agreement)
	check(t, err)
	if string(a.Policy) != other {
		t.Errorf("agreed on %s", a.Policy)
	}
}

func TestAPermanentRefusalEndsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook = func(c call) verdict {
		if c.kind == KindVerification {
			return verdict{status: 422}
		}
		return verdict{}
	}
	c, p := w.both(w.start(), Terminated)
	if c.Code != fault.PeerRefused.Code || c.TerminatedBy != Consumer || p.TerminatedBy != Consumer {
		t.Errorf("consumer %q by %s, provider by %s", c.Code, c.TerminatedBy, p.TerminatedBy)
	}
}

func TestListGoesThroughAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := map[string]bool{}
	for range 5 {
		want[w.start().ID] = true
	}
	for id := range want {
		w.brussels.await(id, Finalized)
	}
	cursor := ""
	for {
		page, next, err := w.brussels.room.List(t.Context(), "brussels", Filter{Role: Consumer, State: Finalized, Counterparty: w.tokyo.who.DID}, cursor, 2)
		check(t, err)
		for _, q := range page {
			if !want[q.ID] {
				t.Errorf("%s twice or unknown", q.ID)
			}
			delete(want, q.ID)
		}
		if cursor = next; next == "" {
			break
		}
	}
	if len(want) != 0 {
		t.Errorf("%d are missing", len(want))
	}
	if page, _, err := w.brussels.room.List(t.Context(), "brussels", Filter{Role: Provider}, "", 0); err != nil || len(page) != 0 {
		t.Errorf("as provider: %d, %v", len(page), err)
	}
}

// A counterpart sends our terms back as its JSON-LD writes them: sets as text,
// numbers without their type, the profile gone (decisions A1). It accepts our
// offer; the agreement has our members, not those of the request.
func TestTheAgreementHasTheOffersOwnMembers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ours := `{"profile":"https://example.org/terms","permission":[{"action":"use","constraint":[
		{"leftOperand":"spatial","operator":"isAnyOf","rightOperand":["JP","EU"]},
		{"leftOperand":"count","operator":"lteq","rightOperand":{"@value":"10","@type":"xsd:integer"}}]}]}`
	theirs := `{"permission":[{"action":"use","constraint":[
		{"leftOperand":"spatial","operator":"isAnyOf","rightOperand":"[{\"@value\":\"JP\"},{\"@value\":\"EU\"}]"},
		{"leftOperand":"count","operator":"lteq","rightOperand":"10"}]}]}`
	w.tokyo.offers[offerID] = catalog.Offer{ID: offerID, Policy: strictjson.Raw(ours)}
	q, err := w.brussels.room.Start(t.Context(), "brussels", StartRequest{Counterparty: w.tokyo.who.DID, Base: w.tokyo.who.Base,
		Dataset: datasetID, Offer: []byte(`{"@id":"` + offerID + `","@type":"Offer",` + theirs[1:])})
	check(t, err)
	c, p := w.both(q, Finalized)
	for _, n := range []*node{w.tokyo, w.brussels} {
		a, err := n.agreed.Get(t.Context(), n.who.ID, c.Agreement)
		check(t, err)
		if !strings.Contains(string(a.Body), `"profile":"https://example.org/terms"`) || !strings.Contains(string(a.Body), "xsd:integer") {
			t.Errorf("%s holds %s", n.who.ID, a.Body)
		}
	}
	if string(c.AgreementBody) != string(p.AgreementBody) {
		t.Error("the two sides hold other bytes")
	}
}
