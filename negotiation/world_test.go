package negotiation

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"kakehashi/agreement"
	"kakehashi/catalog"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/internal/strictjson"
	"kakehashi/internal/watch"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/process"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

const (
	offerID   = "urn:uuid:11111111-1111-4111-8111-111111111111"
	datasetID = "urn:example:tide gauge"
	openRules = `{"permission":[{"action":"use","constraint":[{"leftOperand":"spatial","operator":"isAnyOf","rightOperand":["JP","EU"]}]}]}`
)

// world is two nodes with a store, a log and an outbox each, and a wire between
// them that can lose, double and hold back.
type world struct {
	t        testing.TB
	tokyo    *node // provider
	brussels *node // consumer
	mu       sync.Mutex
	hook     func(call) verdict // nil: all is delivered
	sent     []call
	nodes    map[string]*node // by DID
	shown    func() State     // what every process shows on the wire; nil: its state
}

// call is one message on the wire.
type call struct {
	from, to string // DIDs
	kind     Kind
	url      string
	body     []byte
	n        int // which delivery of this kind from that side, from 1
}

// verdict is what the wire does with a call.
type verdict struct {
	drop       bool // the message is not delivered
	loseAnswer bool // it is delivered, and its answer is lost
	double     bool // it is delivered twice
	status     int  // it is not delivered, and this is the answer

	body []byte // it is delivered in this form
}

type node struct {
	w      *world
	who    participant.Participant
	db     store.DB
	log    *evidence.Log
	agreed *agreement.Room
	up     sync.RWMutex // read-held while it takes a message
	down   bool
	boot   func() // opens room and outbox on what is kept
	halt   func() // as a crash between two units

	mu     sync.Mutex
	room   *Room
	queue  *outbox.Queue
	spent  map[string]bool
	offers map[string]catalog.Offer
	denied error
	shown  []byte // what a decision rests on
}

func (n *node) Spend(_ store.Tx, _ participant.ID, c identity.Caller) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.spent[c.Token.JTI] {
		return fault.TokenReplayed.At("")
	}
	return nil // marked after the unit by receive: a unit may run again
}

func (n *node) Offer(_ context.Context, _ participant.ID, id string) (catalog.Dataset, catalog.Offer, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	o, ok := n.offers[id]
	if !ok {
		return catalog.Dataset{}, o, fault.OfferUnknown.At("/offer/@id", "offer", id)
	}
	return catalog.Dataset{ID: datasetID, Version: 3}, o, nil
}

func (n *node) Agree(context.Context, participant.ID, string, []byte, time.Time) ([]byte, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.shown, n.denied
}

func (n *node) Offerable(string, []byte, time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.denied
}

// Send is the wire: it hands the message to the other node's room, as dsphttp
// does, and wakes its lanes once the answer is back.
func (n *node) Send(ctx context.Context, p participant.ID, counterparty, url, message string, body []byte) (int, []byte, error) {
	if p != n.who.ID {
		return 0, nil, fmt.Errorf("sent as %s", p)
	}
	kind := Kind(message)
	if kind.Type() == "ContractNegotiationEventMessage" {
		kind = KindAccepted
		if bytes.Contains(body, []byte(`"FINALIZED"`)) {
			kind = KindFinalized
		}
	}
	w := n.w
	w.mu.Lock()
	c := call{from: n.who.DID, to: counterparty, kind: kind, url: url, body: body, n: 1}
	for _, s := range w.sent {
		if s.from == c.from && s.kind == kind {
			c.n++
		}
	}
	w.sent = append(w.sent, c)
	hook := w.hook
	w.mu.Unlock()
	var v verdict
	if hook != nil {
		v = hook(c)
	}
	switch {
	case v.status != 0:
		return v.status, nil, nil
	case v.drop:
		return 0, nil, errors.New("the network is down")
	}
	// The other side does not end because the sender hears no more of it.
	ctx = context.WithoutCancel(ctx)
	if v.body != nil {
		c.body = v.body
	}
	status, answer := w.deliver(ctx, c)
	if v.double {
		if again, _ := w.deliver(ctx, c); again >= 300 {
			w.t.Errorf("the second %s got %d", kind, again)
		}
	}
	if v.loseAnswer {
		return 0, nil, errors.New("the answer was lost")
	}
	return status, answer, nil
}

// deliver is dsphttp's part of a message's way.
func (w *world) deliver(ctx context.Context, c call) (int, []byte) {
	to := w.nodes[c.to]
	path, ok := strings.CutPrefix(c.url, to.who.Base+"/negotiations/")
	if !ok {
		w.t.Errorf("%s went to %s", c.kind, c.url)
		return 404, nil
	}
	to.up.RLock()
	defer to.up.RUnlock()
	if to.down {
		return 503, nil
	}
	pid, _, _ := strings.Cut(path, "/")
	if pid == "request" || pid == "offers" {
		pid = ""
	}
	out, err := to.receive(ctx, c.from, Message{Kind: c.kind, Pid: pid, Body: c.body})
	defer func() {
		for _, l := range out.Lanes {
			to.wake(l)
		}
	}()
	if err != nil {
		f := fault.Of(err)
		if f.Kind == fault.Internal {
			w.t.Errorf("%s: %v", c.kind, err)
		}
		return f.Kind.Status, []byte(`{"code":"` + f.Kind.Code + `"}`)
	}
	return out.Status, out.Body
}

// receive calls the room with a fresh token.
func (n *node) receive(ctx context.Context, from string, m Message) (process.Reply, error) {
	jti := ids.Short()
	out, err := n.now().Receive(ctx, n.who.ID, identity.Caller{ID: from, DID: from, Token: identity.Token{Issuer: from, JTI: jti, Raw: "token." + jti}}, m)
	if err == nil {
		n.mu.Lock()
		n.spent[jti] = true
		n.mu.Unlock()
	}
	return out, err
}

func (n *node) now() *Room {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.room
}

func (n *node) wake(lane string) {
	n.mu.Lock()
	q := n.queue
	n.mu.Unlock()
	q.Wake(lane)
}

// State is the wire's GET.
func (n *node) State(ctx context.Context, _ participant.ID, counterparty, url string) (string, int, error) {
	to := n.w.nodes[counterparty]
	to.up.RLock()
	defer to.up.RUnlock()
	if to.down {
		return "", 503, nil
	}
	n.w.mu.Lock()
	shown := n.w.shown
	n.w.mu.Unlock()
	if shown != nil {
		return string(shown()), 200, nil
	}
	pid := url[strings.LastIndex(url, "/")+1:]
	out, err := to.now().Show(ctx, to.who.ID, identity.Caller{ID: n.who.DID}, pid)
	if err != nil {
		return "", fault.Of(err).Kind.Status, nil
	}
	var s struct {
		State string `json:"state"`
	}
	if err := strictjson.DecodeOpen(out.Body, &s); err != nil {
		return "", 0, err
	}
	return s.State, 200, nil
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, nodes: map[string]*node{}}
	w.tokyo, w.brussels = w.node("tokyo", nil), w.node("brussels", nil)
	w.tokyo.offers[offerID] = catalog.Offer{ID: offerID, Policy: strictjson.Raw(openRules)}
	return w
}

func (w *world) node(name string, d Decider) *node {
	t := w.t
	n := &node{w: w, spent: map[string]bool{}, offers: map[string]catalog.Offer{}}
	n.who = participant.Participant{ID: participant.ID(name), DID: "did:web:" + name + ".example", Base: "https://" + name + ".example/dsp/" + name + "/2025-1",
		Origin: name + ".example", DataURL: "https://" + name + ".example", Created: time.Now()}
	n.db = storetest.Open(t, participant.Schema, evidence.Schema, outbox.Schema, agreement.Schema, Schema)
	vault, err := participant.NewVault(bytes.Repeat([]byte{7}, 32), rand.Reader)
	check(t, err)
	hosts, err := participant.Open(t.Context(), participant.Config{DB: n.db, Vault: vault, Now: time.Now, Rand: rand.Reader})
	check(t, err)
	check(t, hosts.Create(t.Context(), n.who))
	quiet := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	n.log, err = evidence.Open(t.Context(), evidence.Config{DB: n.db, Participants: hosts.All, Keys: hosts, Vault: vault, Now: time.Now, Rand: rand.Reader, Log: quiet})
	check(t, err)
	t.Cleanup(func() { // when nothing runs any more
		r, err := n.log.Check(context.WithoutCancel(t.Context()), n.who.ID)
		check(t, err)
		check(t, r.Err())
	})
	n.agreed = agreement.Open(agreement.Config{DB: n.db, Evidence: n.log, Now: time.Now})
	n.boot = func() {
		queue := outbox.New(outbox.Config{DB: n.db, Log: quiet,
			Backoff: []time.Duration{5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond}})
		room, err := Open(Config{DB: n.db, Participants: hosts, Identity: n, Offers: n, Judge: n, Agreements: n.agreed, Evidence: n.log, Remind: time.Millisecond,
			Outbox: queue, Wire: n, Watch: watch.New(), Decider: d, Now: time.Now, Log: quiet})
		check(t, err)
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- queue.Run(ctx) }()
		n.mu.Lock()
		n.room, n.queue = room, queue
		n.mu.Unlock()
		n.up.Lock()
		n.down = false
		n.up.Unlock()
		n.halt = func() {
			n.up.Lock()
			n.down = true
			n.up.Unlock()
			stop()
			check(t, <-done)
		}
	}
	n.boot()
	t.Cleanup(func() { n.halt() })
	w.nodes[n.who.DID] = n
	return n
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start has Brussels ask Tokyo for the offer.
func (w *world) start() Process {
	w.t.Helper()
	q, err := w.brussels.room.Start(w.t.Context(), "brussels", StartRequest{Counterparty: w.tokyo.who.DID, Base: w.tokyo.who.Base,
		Dataset: datasetID, Offer: []byte(`{"@id":"` + offerID + `","@type":"Offer",` + openRules[1:])})
	check(w.t, err)
	return q
}

// await waits for a node's process to be in a state with nothing in flight.
func (n *node) await(id string, s State) Process {
	n.w.t.Helper()
	ctx, cancel := context.WithTimeout(n.w.t.Context(), 20*time.Second)
	defer cancel()
	q, err := n.now().Await(ctx, n.who.ID, id, func(p Process) bool { return p.State == s && p.Pending == nil })
	if err != nil {
		for _, o := range n.w.nodes {
			all, _, _ := o.room.List(context.Background(), o.who.ID, Filter{}, "", 0)
			for _, p := range all {
				n.w.t.Logf("%s has %s: %s v%d, %+v in flight; lanes %+v; %q", o.who.ID, p.ID, p.State, p.Version, p.Pending, o.queue.Lanes(o.who.ID), o.history(p.ID))
			}
		}
		n.w.t.Fatalf("%s waits for %s of %s: %v; it is %s with %+v in flight", n.who.ID, s, id, err, q.State, q.Pending)
	}
	return q
}

// history is the types of a process's leaves with their directions.
func (n *node) history(id string) (out []string) {
	n.w.t.Helper()
	entries, err := n.log.History(n.w.t.Context(), n.who.ID, id)
	check(n.w.t, err)
	for _, e := range entries {
		out = append(out, strings.TrimPrefix(e.Type, "kh.negotiation.")+" "+e.Direction)
	}
	return out
}
