package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"kakehashi/dataplane"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/process"
	"kakehashi/store"
)

// both waits until both sides are done.
func (w *world) both(q Process, s State) (consumer, provider Process) {
	w.t.Helper()
	consumer = w.brussels.await(q.ID, s)
	return consumer, w.tokyo.await(consumer.PeerPid, s)
}

// admits says whether Tokyo's data plane takes what Brussels was given.
func (w *world) admits(a Access) bool {
	w.t.Helper()
	base, ok := strings.CutPrefix(a.Endpoint, w.tokyo.who.DataURL+"/data/")
	if !ok {
		w.t.Fatalf("the endpoint is %q", a.Endpoint)
	}
	s, err := w.tokyo.plane.Admit(w.t.Context(), "Bearer "+a.Token, dataplane.Facts{Grant: strings.TrimSuffix(base, "/"), Method: "GET", Path: "/"})
	if err == nil {
		s.End()
	}
	return err == nil
}

func (w *world) access(q Process) Access {
	w.t.Helper()
	a, err := w.brussels.room.Access(w.t.Context(), "brussels", q.ID)
	check(w.t, err)
	return a
}

func TestAWholeTransfer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, p := w.both(w.start(), Started)
	a := w.access(c)
	if !w.admits(a) || a.AuthType != "bearer" {
		t.Fatalf("what the consumer was given does not open: %+v", a)
	}
	digest := evidence.Digest([]byte("the file"))
	_, err := w.brussels.room.Complete(t.Context(), "brussels", c.ID, Facts{Bytes: 8, Digest: digest})
	check(t, err)
	again, err := w.brussels.room.Complete(t.Context(), "brussels", c.ID, Facts{}) // on its way, or done
	check(t, err)
	if again.Facts == nil || again.Facts.Bytes != 8 {
		t.Errorf("a repeated completion changes what was said: %+v", again.Facts)
	}
	c, p = w.both(c, Completed)
	if again, err = w.brussels.room.Complete(t.Context(), "brussels", c.ID, Facts{}); err != nil || again.Version != c.Version {
		t.Errorf("a completion of what is complete: version %d of %d, %v", again.Version, c.Version, err)
	}
	if w.admits(a) {
		t.Error("the grant outlives its transfer")
	}
	if p.Facts == nil || *p.Facts != (Facts{8, digest}) {
		t.Errorf("the provider knows %+v", p.Facts)
	}
	if _, err := w.brussels.room.Access(t.Context(), "brussels", c.ID); !errors.Is(err, fault.NoAccess) {
		t.Errorf("access after the end: %v", err)
	}
	if got, want := w.tokyo.history(p.ID), []string{"requested in", "started out", "completed in"}; !slices.Equal(got, want) {
		t.Errorf("provider's history %q", got)
	}
	if got, want := w.brussels.history(c.ID), []string{"sending ", "requested out", "started in", "started ", "completed out"}; !slices.Equal(got, want) {
		t.Errorf("consumer's history %q", got)
	}
	for _, s := range w.sent { // the token lies in the start message only, never in a leaf
		if s.kind != KindStart && strings.Contains(string(s.body), a.Token) {
			t.Errorf("%s holds the token", s.kind)
		}
	}
	entries, err := w.tokyo.log.History(t.Context(), "tokyo", p.ID)
	check(t, err)
	for _, e := range entries {
		if strings.Contains(fmt.Sprintf("%+v", e), a.Token) {
			t.Errorf("the leaf %s holds the token", e.Type)
		}
		if e.Type == "kh.transfer.completed" && (e.Hashes["payload"] != digest || e.Facts["bytes"] != "8") {
			t.Errorf("the record of the end says %+v %+v", e.Hashes, e.Facts)
		}
	}
}

func TestAnyMessageMayBeLostOrDoubled(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]verdict{
		"message lost": {drop: true}, "answer lost": {loseAnswer: true}, "doubled": {double: true},
		"500": {status: 500}, "404 at first": {status: 404}, "409 at first": {status: 409}, "400 at first": {status: 400},
	} {
		for _, kind := range []Kind{KindRequest, KindStart, KindCompletion} {
			if kind == KindRequest && v.drop {
				continue // waits 5 s for the counterpart's own message
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
				q := w.brussels.await(w.start().ID, Started)
				if !w.admits(w.access(q)) {
					t.Error("no access")
				}
				_, err := w.brussels.room.Complete(t.Context(), "brussels", q.ID, Facts{Bytes: 1})
				check(t, err)
				w.both(q, Completed)
				all, _, err := w.tokyo.room.List(t.Context(), "tokyo", Filter{}, "", 0)
				check(t, err)
				if len(all) != 1 {
					t.Errorf("the provider has %d processes", len(all))
				}
			})
		}
	}
}

func TestARepeatHasTheSameAnswerAndOneEffect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, p := w.both(w.start(), Started)
	_, err := w.brussels.room.Complete(t.Context(), "brussels", c.ID, Facts{})
	check(t, err)
	w.both(c, Completed)
	for _, s := range w.sent {
		to, id := w.nodes[s.to], p.ID
		if to == w.brussels {
			id = c.ID
		}
		before := len(to.history(id))
		if status, answer := w.deliver(t.Context(), s); status != 200 || !strings.Contains(string(answer), "COMPLETED") {
			t.Errorf("the repeated %s got %d %s", s.kind, status, answer)
		}
		if after := len(to.history(id)); after != before {
			t.Errorf("the repeated %s made %d leaves", s.kind, after-before)
		}
		if s.kind == KindRequest {
			continue
		}
		s.body = []byte(strings.Replace(string(s.body), `"@id":"urn:uuid:`, `"@id":"urn:uuid:x`, 1))
		if status, answer := w.deliver(t.Context(), s); status != 400 || !strings.Contains(string(answer), "invalid-transition") {
			t.Errorf("%s with another @id got %d %s", s.kind, status, answer)
		}
	}
}

func TestSuspendAndResumeBySides(t *testing.T) {
	t.Parallel()
	for _, halts := range []Role{Provider, Consumer} {
		for _, resumes := range []Role{Provider, Consumer} {
			t.Run(fmt.Sprintf("%s halts, %s resumes", halts, resumes), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				c, p := w.both(w.start(), Started)
				first := w.access(c)
				side := func(r Role) (*node, string) {
					if r == Provider {
						return w.tokyo, p.ID
					}
					return w.brussels, c.ID
				}
				n, id := side(halts)
				_, err := n.room.Suspend(t.Context(), n.who.ID, id, "busy", "maintenance")
				check(t, err)
				c, p = w.both(c, Suspended)
				if c.Reason != "maintenance" || p.Reason != c.Reason {
					t.Errorf("reasons %q and %q", c.Reason, p.Reason)
				}
				if w.admits(first) {
					t.Error("a suspended grant admits")
				}
				n, id = side(resumes)
				_, err = n.room.Resume(t.Context(), n.who.ID, id)
				check(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				_, err = w.brussels.room.Await(ctx, "brussels", c.ID, func(q Process) bool {
					return q.State == Started && q.Pending == nil && q.Access != c.Access
				})
				check(t, err)
				w.both(c, Started)
				second := w.access(c)
				if second.Token == first.Token || second.Endpoint != first.Endpoint {
					t.Error("the resumed transfer has no new token at the same address")
				}
				if !w.admits(second) || w.admits(first) {
					t.Error("the new token does not open, or the old one does")
				}
			})
		}
	}
}

func TestEitherSideTerminatesAtEachState(t *testing.T) {
	t.Parallel()
	for _, state := range []State{Requested, Started, Suspended} {
		for _, by := range []Role{Provider, Consumer} {
			t.Run(fmt.Sprintf("%s in %s", by, state), func(t *testing.T) {
				t.Parallel()
				w := &world{t: t, nodes: map[string]*node{}}
				w.tokyo, w.brussels = w.node("tokyo", ask{}), w.node("brussels", nil)
				w.agree(agreementID)
				c, p := w.both(w.start(), Requested)
				if state != Requested {
					_, err := w.tokyo.room.Act(t.Context(), "tokyo", p.ID, KindStart, "", "")
					check(t, err)
					c, p = w.both(c, Started)
				}
				if state == Suspended {
					_, err := w.tokyo.room.Suspend(t.Context(), "tokyo", p.ID, "", "")
					check(t, err)
					c, p = w.both(c, Suspended)
				}
				n, id := w.tokyo, p.ID
				if by == Consumer {
					n, id = w.brussels, c.ID
				}
				_, err := n.room.Terminate(t.Context(), n.who.ID, id, "x", "enough")
				check(t, err)
				c, p = w.both(c, Terminated)
				if c.TerminatedBy != by || p.TerminatedBy != by || c.Reason != "enough" || p.Reason != "enough" {
					t.Errorf("consumer %q by %s, provider %q by %s", c.Reason, c.TerminatedBy, p.Reason, p.TerminatedBy)
				}
				if p.Grant != "" && p.Tap != TapClosed {
					t.Errorf("the grant is %s", p.Tap)
				}
			})
		}
	}
}

// ask leaves everything to the test.
type ask struct{}

func (ask) Decide(context.Context, Process) (Event, error) { return Event{}, process.ErrAsk }

func TestTheEndOfAnAgreementEndsItsTransfers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.start(), w.start()
	c, _ := w.both(one, Started)
	w.both(two, Started)
	a := w.access(c)
	check(t, w.tokyo.db.Update(t.Context(), func(tx store.Tx) error {
		if err := w.tokyo.agreed.End(tx, "tokyo", agreementID, "withdrawn"); err != nil {
			return err
		}
		return w.tokyo.room.OnAgreementEnded(tx, "tokyo", agreementID, "withdrawn")
	}))
	if w.admits(a) {
		t.Error("the grant is open after the commit")
	}
	c, p := w.both(one, Terminated)
	w.both(two, Terminated)
	if c.Reason != "withdrawn" || p.Code != "agreement-ended" {
		t.Errorf("%q, %q", c.Reason, p.Code)
	}
	// No new transfer under it.
	q := w.start()
	if c := w.brussels.await(q.ID, Terminated); c.Code != fault.PeerRefused.Code {
		t.Errorf("a new transfer ended with %q", c.Code)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	send := func(from, agreement, format, more string) error {
		body := fmt.Sprintf(`{"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"@type":"TransferRequestMessage","@id":%q,"consumerPid":%q,`+
			`"agreementId":%q,"format":%q,"callbackAddress":"https://brussels.example/dsp"%s}`, ids.New(), ids.New(), agreement, format, more)
		_, err := w.tokyo.receive(t.Context(), from, Message{Kind: KindRequest, Body: []byte(body)})
		return err
	}
	brussels := w.brussels.who.DID
	address := `,"dataAddress":{"@type":"DataAddress","endpointType":"https://w3id.org/idsa/v4.1/HTTP","endpoint":"https://x.example"}`
	for _, c := range []struct {
		name                          string
		from, agreement, format, more string
		want                          *fault.Kind
	}{
		{"unknown agreement", brussels, "urn:none", "HttpData-PULL", "", fault.AgreementUnknown},
		{"somebody else's agreement", "did:web:osaka.example", agreementID, "HttpData-PULL", "", fault.AgreementUnknown},
		{"format not offered", brussels, agreementID, "AmazonS3-PUSH", address, fault.FormatNotOffered},
		{"address with pull", brussels, agreementID, "HttpData-PULL", address, fault.AddressNotAllowed},
	} {
		if err := send(c.from, c.agreement, c.format, c.more); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	w.tokyo.mu.Lock()
	w.tokyo.denied = fault.TermsDeny.At("", "reason", "expired")
	w.tokyo.mu.Unlock()
	if err := send(brussels, agreementID, "HttpData-PULL", ""); !errors.Is(err, fault.TermsDeny) {
		t.Errorf("expired: %v", err)
	}
	all, _, err := w.tokyo.room.List(t.Context(), "tokyo", Filter{}, "", 0)
	check(t, err)
	if len(all) != 0 {
		t.Errorf("refused requests left %d processes", len(all))
	}
}

func TestWhoIsNotTheCounterpartFindsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, p := w.both(w.start(), Started)
	for _, s := range w.sent[1:] {
		if _, err := w.brussels.receive(t.Context(), "did:web:stranger.example", Message{Kind: s.kind, Pid: c.ID, Body: s.body}); !errors.Is(err, fault.NotFound) {
			t.Errorf("%s of a stranger: %v", s.kind, err)
		}
	}
	if _, err := w.tokyo.room.Show(t.Context(), "tokyo", identity.Caller{ID: "did:web:stranger.example"}, p.ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("a stranger reads: %v", err)
	}
}

// A node that stops with a message in flight goes on where it was.
func TestARestartLosesNothing(t *testing.T) {
	t.Parallel()
	for _, kind := range []Kind{KindRequest, KindStart, KindCompletion} {
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
				if kind == KindCompletion {
					w.both(q, Started)
					_, err := w.brussels.room.Complete(t.Context(), "brussels", q.ID, Facts{})
					check(t, err)
				}
				n := w.nodes[<-flying]
				go func() { close(stopped) }()
				n.halt()
				n.boot()
				if kind != KindCompletion {
					w.both(q, Started)
				}
				if kind != KindCompletion {
					_, err := w.brussels.room.Complete(t.Context(), "brussels", q.ID, Facts{})
					check(t, err)
				}
				w.both(q, Completed)
			})
		}
	}
}

func TestTheSameKeyStartsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := StartRequest{Key: "k", Agreement: agreementID, Base: w.tokyo.who.Base, Format: "HttpData-PULL"}
	one, err := w.brussels.room.Start(t.Context(), "brussels", s)
	check(t, err)
	two, err := w.brussels.room.Start(t.Context(), "brussels", s)
	check(t, err)
	if one.ID != two.ID {
		t.Errorf("%s and %s", one.ID, two.ID)
	}
	s.Format = "Other-PULL"
	if _, err := w.brussels.room.Start(t.Context(), "brussels", s); !errors.Is(err, fault.KeyReused) {
		t.Errorf("another request with the key: %v", err)
	}
	w.both(one, Started)
}

func FuzzReceive(f *testing.F) {
	f.Add(string(KindRequest), []byte(`{"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"@type":"TransferRequestMessage","consumerPid":"urn:c","agreementId":"a","format":"HttpData-PULL","callbackAddress":"https://c.example"}`))
	f.Add(string(KindStart), []byte(`{"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"@type":"TransferStartMessage","consumerPid":"urn:c","providerPid":"urn:p","dataAddress":{"endpointType":"x","endpointProperties":[{"name":"authorization","value":"t"}]}}`))
	f.Add(string(KindCompletion), []byte(`{"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"@type":"TransferCompletionMessage","consumerPid":"urn:c","providerPid":"urn:p","https://kakehashi.dev/ns/digest":"sha256:00","https://kakehashi.dev/ns/bytes":"-1"}`))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		m := Message{Kind: Kind(kind), Pid: "own", Body: body}
		in, err := read(m)
		if err != nil {
			return
		}
		if in.facts != nil && (in.facts.Bytes < 0 || in.facts.Digest != "" && !isDigest(in.facts.Digest)) {
			t.Fatalf("took %+v", in.facts)
		}
		for _, s := range Table.States() {
			for _, role := range []Role{Provider, Consumer} {
				p := Process{Head: process.Head{ID: "own", Role: role, State: s}}
				if q, _, err := Step(p, event(m, in, in.consumer)); err != nil && q.Version != p.Version {
					t.Fatal("a refused message moved the process")
				}
			}
		}
	})
}
