package negotiation

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"kakehashi/dsp/dsp2025"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/internal/ids"

	"kakehashi/process"
)

func TestARepeatHasTheSameAnswerAndOneEffect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, p := w.both(w.start(), Finalized)
	for _, s := range w.sent {
		to := w.nodes[s.to]
		id := p.ID
		if to == w.brussels {
			id = c.ID
		}
		before := len(to.history(id))
		if status, answer := w.deliver(t.Context(), s); status != 200 || !strings.Contains(string(answer), "FINALIZED") {
			t.Errorf("the repeated %s got %d %s", s.kind, status, answer)
		}
		if after := len(to.history(id)); after != before {
			t.Errorf("the repeated %s made %d leaves", s.kind, after-before)
		}
	}
	// Another @id is not a repeat, but of what has no content of its own.
	for _, s := range w.sent {
		if s.kind == KindRequest {
			continue
		}
		s.body = []byte(strings.Replace(string(s.body), `"@id":"urn:uuid:`, `"@id":"urn:uuid:x`, 1))
		if s.kind == KindVerification || s.kind == KindFinalized {
			if status, answer := w.deliver(t.Context(), s); status != 200 || !strings.Contains(string(answer), "FINALIZED") {
				t.Errorf("%s with another @id got %d %s", s.kind, status, answer)
			}
			continue
		}
		if status, answer := w.deliver(t.Context(), s); status != 400 || !strings.Contains(string(answer), "invalid-transition") {
			t.Errorf("%s with another @id got %d %s", s.kind, status, answer)
		}
	}
}

func TestATokenIsSpentOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.both(w.start(), Finalized)
	w.tokyo.spent["used"] = true
	body := []byte(strings.Replace(string(w.sent[0].body), `"consumerPid":"urn:uuid:`, `"consumerPid":"urn:uuid:x`, 1))
	caller := identity.Caller{ID: w.brussels.who.DID, Token: identity.Token{JTI: "used"}}
	if _, err := w.tokyo.room.Receive(t.Context(), "tokyo", caller, Message{Kind: KindRequest, Body: body}); !errors.Is(err, fault.TokenReplayed) {
		t.Errorf("got %v", err)
	}
	all, _, err := w.tokyo.room.List(t.Context(), "tokyo", Filter{}, "", 0)
	check(t, err)
	if len(all) != 1 {
		t.Errorf("a refused token left %d processes", len(all))
	}
}

func TestWhoIsNotTheCounterpartFindsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, p := w.both(w.start(), Finalized)
	stranger := "did:web:stranger.example"
	for _, s := range w.sent[1:] {
		to, id := w.nodes[s.to], c.ID
		if to == w.tokyo {
			id = p.ID
		}
		if _, err := to.receive(t.Context(), stranger, Message{Kind: s.kind, Pid: id, Body: s.body}); !errors.Is(err, fault.NotFound) {
			t.Errorf("%s of a stranger: %v", s.kind, err)
		}
		if _, err := to.room.Show(t.Context(), to.who.ID, identity.Caller{ID: stranger}, id); !errors.Is(err, fault.NotFound) {
			t.Errorf("a stranger reads: %v", err)
		}
		// A message for the other role is for a process that does not exist.
		other := KindAgreement
		if to == w.brussels {
			other = KindVerification
		}
		if _, err := to.receive(t.Context(), s.from, Message{Kind: other, Pid: id, Body: s.body}); err == nil {
			t.Errorf("%s took %s", to.who.ID, other)
		}
	}
	if _, err := w.tokyo.room.Get(t.Context(), "osaka", p.ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("another participant reads: %v", err)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := func() map[string]string {
		return map[string]string{"@id": ids.New(), "consumerPid": ids.New(), "callbackAddress": w.brussels.who.Base,
			"offer": `{"@type":"Offer","@id":"` + offerID + `","target":"` + datasetID + `",` + openRules[1:]}
	}
	body := func(m map[string]string) []byte {
		var b strings.Builder
		b.WriteString(`{"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"@type":"ContractRequestMessage"`)
		for _, k := range []string{"@id", "consumerPid", "providerPid", "callbackAddress"} {
			if m[k] != "" {
				fmt.Fprintf(&b, `,%q:%q`, k, m[k])
			}
		}
		fmt.Fprintf(&b, `,"offer":%s}`, m["offer"])
		return []byte(b.String())
	}
	expired := fault.TermsDeny.At("/permission/0", "reason", "dateTime lteq 2020")
	for _, c := range []struct {
		name   string
		change func(map[string]string)
		denied error
		want   *fault.Kind
	}{
		{"unknown offer", func(m map[string]string) { m["offer"] = strings.Replace(m["offer"], offerID, "urn:x", 1) }, nil, fault.OfferUnknown},
		{"other dataset", func(m map[string]string) { m["offer"] = strings.Replace(m["offer"], datasetID, "urn:y", 1) }, nil, fault.OfferOfAnother},
		{"other terms", func(m map[string]string) { m["offer"] = strings.Replace(m["offer"], `"EU"`, `"US"`, 1) }, nil, fault.TermsDiffer},
		{"expired", func(map[string]string) {}, expired, fault.TermsDeny},
		{"callback with a user", func(m map[string]string) { m["callbackAddress"] = "https://u@h.example/x" }, nil, fault.BadCallback},
		{"callback of another scheme", func(m map[string]string) { m["callbackAddress"] = "file:///etc/passwd" }, nil, fault.BadCallback},
		{"both pids", func(m map[string]string) { m["providerPid"] = ids.New() }, nil, fault.BadMessage},
		{"offer is no object", func(m map[string]string) { m["offer"] = `"x"` }, nil, fault.BadMessage},
	} {
		m := good()
		c.change(m)
		w.tokyo.mu.Lock()
		w.tokyo.denied = c.denied
		w.tokyo.mu.Unlock()
		out, err := w.tokyo.receive(t.Context(), w.brussels.who.DID, Message{Kind: KindRequest, Body: body(m)})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want.Code)
		}
		if c.want != fault.BadMessage && out.ConsumerPid != m["consumerPid"] {
			t.Errorf("%s: the error names the consumer's pid %q", c.name, out.ConsumerPid)
		}
	}
	all, _, err := w.tokyo.room.List(t.Context(), "tokyo", Filter{}, "", 0)
	check(t, err)
	if len(all) != 0 {
		t.Errorf("refused requests left %d processes", len(all))
	}
	w.tokyo.denied = nil
	if out, err := w.tokyo.receive(t.Context(), w.brussels.who.DID, Message{Kind: KindRequest, Body: body(good())}); err != nil || out.Status != 201 || len(out.Lanes) != 1 {
		t.Errorf("a good one: %+v, %v", out, err)
	}
}

func TestAgreementsThatAreRefusedEndTheNegotiation(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(string) string{
		"other assigner": func(s string) string {
			return strings.Replace(s, `"assigner":"did:web:tokyo`, `"assigner":"did:web:osaka`, 1)
		},
		"other assignee": func(s string) string {
			return strings.Replace(s, `"assignee":"did:web:brussels`, `"assignee":"did:web:lyon`, 1)
		},
		"other target":    func(s string) string { return strings.Replace(s, datasetID, "urn:z", 1) },
		"other terms":     func(s string) string { return strings.Replace(s, `"EU"`, `"US"`, 1) },
		"from the future": func(s string) string { return strings.Replace(s, `"timestamp":"20`, `"timestamp":"21`, 1) },
		"from the past":   func(s string) string { return strings.Replace(s, `"timestamp":"20`, `"timestamp":"19`, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var once bool
			w.hook = func(c call) verdict {
				if c.kind != KindAgreement || once {
					return verdict{}
				}
				once = true
				c.body = []byte(change(string(c.body)))
				if status, _ := w.deliver(t.Context(), c); status != 400 {
					t.Errorf("it got %d", status)
				}
				return verdict{status: 400}
			}
			q := w.start()
			c := w.brussels.await(q.ID, Terminated)
			if c.Code != fault.AgreementRefused.Code || c.TerminatedBy != Consumer {
				t.Errorf("terminated by %s with %q", c.TerminatedBy, c.Code)
			}
			w.tokyo.await(c.PeerPid, Terminated)
			if _, err := w.brussels.agreed.Get(t.Context(), "brussels", c.Agreement); err == nil {
				t.Error("the consumer keeps an agreement")
			}
		})
	}
}

func FuzzReceive(f *testing.F) {
	f.Add(string(KindRequest), "", []byte(`{"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"@type":"ContractRequestMessage","consumerPid":"urn:c","callbackAddress":"https://c.example","offer":{"@type":"Offer","@id":"`+offerID+`","target":"`+datasetID+`","permission":[{"action":"use"}]}}`))
	f.Add(string(KindAgreement), "urn:c", []byte(`{"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"@type":"ContractAgreementMessage","consumerPid":"urn:c","providerPid":"urn:p","agreement":{"@id":"a","@type":"Agreement","target":{"@id":"t"},"timestamp":"x"}}`))
	f.Add(string(KindTermination), "x", []byte(`{"reason":[{"a":1},"b"]}`))
	f.Fuzz(func(t *testing.T, kind, pid string, body []byte) {
		m := Message{Kind: Kind(kind), Pid: pid, Body: body}
		in, err := read(m)
		if err != nil {
			return
		}
		for _, raw := range [][]byte{in.offer, in.agreement} {
			terms, err := parseTerms(raw)
			if err != nil {
				continue
			}
			b, err := dsp2025.Policy("Offer", terms.rules, [2]string{"@id", terms.id}, [2]string{"target", terms.target})
			if err != nil {
				t.Fatalf("%s: %v", raw, err)
			}
			again, err := parseTerms(b)
			if err != nil || again.id != terms.id || string(again.rules) != string(terms.rules) {
				t.Fatalf("%s became %s: %v", raw, b, err)
			}
		}
		for _, s := range Table.States() {
			for _, role := range []Role{Provider, Consumer} {
				p := Process{Head: process.Head{ID: "own", Role: role, State: s}}
				q, _, err := Step(p, event(m, in, in.consumer))
				if err != nil && q.Version != p.Version {
					t.Fatal("a refused message moved the process")
				}
			}
		}
	})
}
