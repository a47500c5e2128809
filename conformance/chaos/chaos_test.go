package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kakehashi/client"
)

// sound is what two sides hold after one exchange.
func sound() (x exchange, ours, theirs books) {
	x = exchange{negotiation: "n1", peerNegotiation: "n2", transfer: "t1", peerPid: "t2", agreement: "a"}
	signed := time.Unix(1_700_000_000, 0)
	ours = books{map[string]client.Negotiation{"n1": {ID: "n1", PeerID: "n2", State: "FINALIZED", Agreement: "a"}},
		map[string]client.Transfer{"t1": {ID: "t1", PeerID: "t2", State: "COMPLETED", Agreement: "a"}},
		map[string]client.Agreement{"a": {ID: "a", Role: "consumer", Dataset: "d", Policy: "p", Signed: signed}}}
	theirs = books{map[string]client.Negotiation{"n2": {ID: "n2", PeerID: "n1", State: "FINALIZED", Agreement: "a"}},
		map[string]client.Transfer{"t2": {ID: "t2", PeerID: "t1", State: "COMPLETED", Agreement: "a"}},
		map[string]client.Agreement{"a": {ID: "a", Role: "provider", Dataset: "d", Policy: "p", Signed: signed}}}
	return x, ours, theirs
}

func TestTheJudgeSeesWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		plant          func(x *exchange, ours, theirs *books)
		lost, diverged int
	}{
		{"nothing", func(*exchange, *books, *books) {}, 0, 0},
		{"a negotiation is gone", func(_ *exchange, _, theirs *books) { delete(theirs.negotiations, "n2") }, 1, 0},
		{"a transfer is gone", func(_ *exchange, ours, _ *books) { delete(ours.transfers, "t1") }, 1, 0},
		{"an agreement is gone", func(_ *exchange, _, theirs *books) { delete(theirs.agreements, "a") }, 1, 0},
		{"one side has gone further", func(_ *exchange, _, theirs *books) {
			theirs.negotiations["n2"] = client.Negotiation{ID: "n2", PeerID: "n1", State: "VERIFIED", Agreement: "a"}
		}, 0, 1},
		{"it is bound to another process", func(_ *exchange, _, theirs *books) {
			theirs.transfers["t2"] = client.Transfer{ID: "t2", PeerID: "t9", State: "COMPLETED", Agreement: "a"}
		}, 0, 1},
		{"the terms differ", func(_ *exchange, _, theirs *books) {
			a := theirs.agreements["a"]
			a.Policy = "q"
			theirs.agreements["a"] = a
		}, 0, 1},
		{"it did not come to its end", func(x *exchange, _, _ *books) { x.err = os.ErrDeadlineExceeded }, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x, ours, theirs := sound()
			c.plant(&x, &ours, &theirs)
			var v verdict
			v.exchange(x, ours, theirs)
			if len(v.lost) != c.lost || len(v.diverged) != c.diverged || v.count() != c.lost+c.diverged {
				t.Errorf("lost %v, diverged %v", v.lost, v.diverged)
			}
		})
	}
}

func TestASlowSideKnowsItsStateLater(t *testing.T) {
	t.Parallel()
	s := newSlowness(newDice(1, "slow"), "/dsp/b/2025-1")
	post := func(path, body string) (*http.Request, []byte) {
		return httptest.NewRequest(http.MethodPost, "/dsp/b/2025-1/negotiations/"+path, nil), []byte(body)
	}
	admits := func(r *http.Request, body []byte) int {
		w := httptest.NewRecorder()
		if s.admits(w, r, body) {
			return 0
		}
		return w.Code
	}
	r, body := post("request", `{"@id":"m1","@type":"ContractRequestMessage","consumerPid":"c"}`)
	if got := admits(r, body); got != 0 {
		t.Fatalf("a first message is refused with %d", got)
	}
	s.answered(r, body, 201, []byte(`{"providerPid":"p","consumerPid":"c","state":"REQUESTED"}`))
	s.mu.Lock()
	w := s.windows["p"]
	w.until = time.Now().Add(time.Hour)
	s.windows["p"] = w
	s.mu.Unlock()
	r, body = post("p/agreement/verification", `{"@id":"m2","@type":"ContractAgreementVerificationMessage","consumerPid":"c","providerPid":"p"}`)
	for _, want := range []int{404, 409, 400} {
		if got := admits(r, body); got != want {
			t.Errorf("within the window %d, want %d", got, want)
		}
	}
	s.mu.Lock()
	s.windows["p"] = window{until: time.Now().Add(time.Hour), before: "AGREED", after: "VERIFIED"}
	s.mu.Unlock()
	get := httptest.NewRequest(http.MethodGet, "/dsp/b/2025-1/negotiations/p", nil)
	if got := string(s.answered(get, nil, 200, []byte(`{"state": "VERIFIED"}`))); got != `{"state":"AGREED"}` {
		t.Errorf("who asks within the window hears %s", got)
	}
	s.mu.Lock()
	s.windows["p"] = window{}
	s.mu.Unlock()
	if got := admits(r, body); got != 0 {
		t.Errorf("after the window %d", got)
	}
	s.answered(r, body, 200, nil)
	s.mu.Lock()
	s.windows["p"] = window{}
	s.mu.Unlock()
	if got := admits(r, body); got != 409 {
		t.Errorf("a repeat gets %d", got)
	}
}

func TestTheSameSeedDecidesTheSame(t *testing.T) {
	t.Parallel()
	a, b, other := newDice(7, "front"), newDice(7, "front"), newDice(7, "driver")
	same, differ := true, false
	for range 50 {
		x := a.roll()
		same = same && x == b.roll()
		differ = differ || x != other.roll()
	}
	if !same || !differ {
		t.Errorf("same %v, parts differ %v", same, differ)
	}
}

func TestTheFrontBreaksOffAndBalances(t *testing.T) {
	t.Parallel()
	seen := 0
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { seen++; _, _ = w.Write([]byte("whole answer")) }))
	defer node.Close()
	up := strings.TrimPrefix(node.URL, "http://")
	s := &side{replicas: []*replica{{listen: "127.0.0.1:1"}, {listen: up}}} // one of the two is down
	f, err := newFront("127.0.0.1:0", s, newDice(1, "front"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	f.calm.Store(true)
	face := httptest.NewServer(f)
	defer face.Close()
	for range 4 {
		resp, err := http.Get(face.URL)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("calm: %v, %v", resp, err)
		}
		resp.Body.Close()
	}
	before := seen
	f.calm.Store(false)
	f.loses = func(*http.Request) bool { return true }
	for f.faults()["dropped after"] == 0 { // a fate of its own may come first
		resp, err := http.Get(face.URL)
		if err == nil {
			resp.Body.Close()
			if f.faults()["dropped after"] > 0 {
				t.Error("an answer that was to be lost arrived")
			}
		}
	}
	if seen <= before {
		t.Error("what was lost is the answer: the node has to see the request")
	}
}

func TestTheReportLiesBetweenItsMarks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.md")
	if err := os.WriteFile(path, []byte("before\n"+from+"old\n"+to+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := report([]outcome{{pair: "a - b", seed: 3, faults: map[string]int{"cut": 2}, kills: map[string]int{}, took: time.Second}}, time.Minute)
	if err := write(path, text); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(b), "| cut | 2 |") || strings.Contains(string(b), "old") || !strings.HasSuffix(string(b), "after\n") {
		t.Errorf("%s, %v", b, err)
	}
	if err := write(filepath.Join(t.TempDir(), "none"), text); err == nil {
		t.Error("a page that is not there is written")
	}
}
