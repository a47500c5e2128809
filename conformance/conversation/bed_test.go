package conversation

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kakehashi/client"
	"kakehashi/config"
	"kakehashi/conformance/script"
	"kakehashi/dsp/dsp2025"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/node"
	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

// bed is a node and one peer, for many conversations at once.
type bed struct {
	node *node.Node
	api  *client.Client
	self client.Node
	peer *Peer
	who  *persona
	us   *side
}

// free gives the node open terms.
var free = json.RawMessage(`{"permission":[{"action":"use"}]}`)

// newBed starts a node with its peer.
func newBed(t *testing.T, kind Kind) *bed {
	t.Helper()
	b := &bed{}
	b.node = startNode(t)
	way := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(way.CloseIdleConnections) // a connection that was never used would hold up the node's stop for 5 s
	b.api = &client.Client{Base: b.node.AdminURL(), Token: b.node.APIToken(), Lang: "en", HTTP: &http.Client{Transport: way}}
	var err error
	if b.self, err = b.api.Node(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.peer, b.who = newPersona(t, kind, b.self.DID)
	b.us = decide(t, b.api)
	return b
}

func startNode(t *testing.T) *node.Node {
	t.Helper()
	dir := t.TempDir()
	// The public address is permanent and stands in the DID, so the port must be
	// known before the node listens.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := config.Load(config.Source{New: true, Path: filepath.Join(dir, "node.yaml"), Env: func(string) (string, bool) { return "", false },
		Flags: storetest.Flags(t, map[string]string{"participant": "cut", "listen": address, "admin_listen": "127.0.0.1:0", "development": "true", "data": dir,
			"files_roots": dir, "public_url": "http://" + address})})
	if err != nil {
		t.Fatal(err)
	}
	key := make([]byte, 32)
	if _, err := node.Init(t.Context(), s, key); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data.csv"), []byte("a,b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := node.Open(t.Context(), node.Config{Settings: s, MasterKey: key, Version: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	<-n.Ready()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stop the node: %v", err)
		}
	})
	nodeDirs.Store(n, dir)
	return n
}

// nodeDirs are the folders of the nodes, with the file that they offer.
var nodeDirs sync.Map

// publish offers a dataset with given ids, every step of which is asked.
func (b *bed) publish(t *testing.T, id, offer, asking string) {
	t.Helper()
	dir, _ := nodeDirs.Load(b.node)
	_, err := b.api.PublishFile(t.Context(), client.PublishFile{Path: filepath.Join(dir.(string), "data.csv"), Title: id, ID: id, Offer: offer, Asking: asking, Policy: free})
	if err != nil {
		t.Fatalf("publish %s: %v", id, err)
	}
}

// persona is whom a peer is: a participant with a DID of its own.
type persona struct {
	id    participant.ID
	did   string
	rooms *identity.Room
	db    store.DB
	node  string
}

// newPersona starts a peer that is found by its DID, and a second participant
// below it, who shares its address.
func newPersona(t *testing.T, kind Kind, node string) (*Peer, *persona) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	root := "http://" + l.Addr().String()
	host := "did:web:" + strings.ReplaceAll(l.Addr().String(), ":", "%3A")
	db := storetest.Open(t, participant.Schema, identity.Schema)
	vault, err := participant.NewVault(make([]byte, 32), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hosted, err := participant.Open(t.Context(), participant.Config{DB: db, Vault: vault, Now: time.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	for id, name := range map[participant.ID]string{"peer": host, "other": host + ":p:other"} {
		err := hosted.Create(t.Context(), participant.Participant{ID: id, DID: name, Base: root + "/dsp/peer/2025-1",
			Origin: strings.TrimPrefix(name, "did:web:"), DataURL: root})
		if err != nil {
			t.Fatal(err)
		}
	}
	web := &http.Client{Transport: &http.Transport{}}
	rooms, err := identity.Open(identity.Config{DB: db, Participants: hosted, Resolver: identity.NewWebResolver(identity.WebConfig{
		HTTP: web, Participants: hosted, Dev: true, Now: time.Now}), Now: time.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	who := &persona{id: "peer", did: host, rooms: rooms, db: db, node: node}
	mux := http.NewServeMux()
	for path, id := range map[string]participant.ID{"/.well-known/did.json": "peer", "/p/other/did.json": "other"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			doc, err := identity.Document(hosted, id)
			if err != nil {
				t.Error(err)
				return
			}
			b, err := doc.Encode()
			if err != nil {
				t.Error(err)
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(b)
		})
	}
	versions := func(path string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(dsp2025.VersionDocument{ProtocolVersions: []dsp2025.ProtocolVersion{
				{Version: dsp2025.Version, Path: path, Binding: "HTTPS", ServiceID: host, IdentifierType: "did:web"}}})
		}
	}
	mux.HandleFunc("/.well-known/dspace-version", versions("/dsp/peer/2025-1"))
	mux.HandleFunc("/dsp/peer/.well-known/dspace-version", versions("/2025-1"))
	p := NewPeer(kind, l, who, mux)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		web.CloseIdleConnections()
	})
	return p, who
}

func digest(body []byte) string {
	if body == nil {
		return ""
	}
	return evidence.Digest(body)
}

func (p *persona) Sign(ctx context.Context, body []byte) (string, error) {
	return p.rooms.Authorize(ctx, p.id, p.node, identity.Use{Message: "test", Digest: digest(body)})
}

func (p *persona) Check(ctx context.Context, header string, body []byte) error {
	c, err := p.rooms.Verify(ctx, p.id, identity.Request{Authorization: header, Message: "test", Digest: digest(body)})
	if err == nil && (c.ID != p.node || !c.Signed && body != nil) {
		err = fmt.Errorf("the caller is %s, signed %v", c.ID, c.Signed)
	}
	return err
}

// as is the second participant of the peer.
func (p *persona) as(id participant.ID) *persona {
	q := *p
	q.id = id
	return &q
}

// side takes the decisions of the node's people, as the conversations say.
type side struct {
	t   *testing.T
	api *client.Client

	mu    sync.Mutex
	rules map[string]script.Conversation // by dataset or agreement
	known map[string]*known              // by process
}

type known struct {
	rules  script.Conversation
	state  string
	at     int64 // version at which it was entered
	visits map[string]int
}

// decide reads the node's events until the test is over.
func decide(t *testing.T, api *client.Client) *side {
	s := &side{t: t, api: api, rules: map[string]script.Conversation{}, known: map[string]*known{}}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		err := api.Events(ctx, func() { close(ready) }, func(e client.Event) bool {
			if e.ID == "" {
				t.Error("an event was lost")
			}
			s.on(ctx, e)
			return true
		})
		if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the node's events: %v", err)
		}
	}()
	<-ready
	t.Cleanup(func() { cancel(); <-done })
	return s
}

func (s *side) on(ctx context.Context, e client.Event) {
	s.mu.Lock()
	k := s.known[e.ID]
	s.mu.Unlock()
	if k == nil {
		about, err := s.about(ctx, e)
		if err != nil {
			if ctx.Err() == nil {
				s.t.Errorf("what %s is about: %v", e.ID, err)
			}
			return
		}
		s.mu.Lock()
		k = &known{rules: s.rules[about], visits: map[string]int{}}
		s.known[e.ID] = k
		s.mu.Unlock()
	}
	if len(k.rules.Rules) == 0 {
		return
	}
	at := e.Version
	if e.State == k.state {
		// A counter-offer that overtakes the answer to our offer leads back into
		// the state: it is entered anew when it waits for us anew.
		if e.State != "REQUESTED" && e.State != "OFFERED" || e.Kind == "transfer" {
			return
		}
		n, err := s.api.Negotiation(ctx, e.ID, 0)
		if err != nil || !n.Waits || n.State != e.State || n.Version <= k.at {
			return
		}
		at = n.Version
	}
	k.state, k.at = e.State, at
	k.visits[e.State]++
	visit := k.visits[e.State]
	if step := k.rules.Decide(e.State, visit); step != "" {
		var terms any
		for _, r := range k.rules.Rules {
			if r.State == e.State && r.Step == step && (r.Visit == 0 || r.Visit == visit) && r.Terms != "" {
				terms = json.RawMessage(r.Terms)
			}
		}
		go func() {
			if err := s.take(ctx, e, step, terms); err != nil && ctx.Err() == nil {
				s.t.Errorf("%s in %s: %v", step, e.State, err)
			}
		}()
	}
}

func (s *side) about(ctx context.Context, e client.Event) (string, error) {
	if e.Kind == "transfer" {
		t, err := s.api.Transfer(ctx, e.ID, 0)
		return t.Agreement, err
	}
	n, err := s.api.Negotiation(ctx, e.ID, 0)
	return n.Dataset, err
}

// take does one step over the management API.
func (s *side) take(ctx context.Context, e client.Event, step string, terms any) error {
	var err error
	switch step {
	case "agree", "accept", "verify", "finalize":
		_, err = s.api.Decide(ctx, e.ID, 0, client.Decision{Decision: "approve"})
	case "offer":
		_, err = s.api.Decide(ctx, e.ID, 0, client.Decision{Decision: "counter", Policy: terms})
	case "counter":
		if terms == nil {
			terms = free
		}
		_, err = s.api.Decide(ctx, e.ID, 0, client.Decision{Decision: "counter", Policy: terms})
	case "terminate":
		if e.Kind == "transfer" {
			_, err = s.api.TerminateTransfer(ctx, e.ID, "as the script says")
			break
		}
		_, err = s.api.TerminateNegotiation(ctx, e.ID, "as the script says")
	case "start":
		if e.State == "REQUESTED" {
			_, err = s.api.DecideTransfer(ctx, e.ID, 0, client.Decision{Decision: "approve"})
			break
		}
		_, err = s.api.Resume(ctx, e.ID)
	case "suspend":
		_, err = s.api.Suspend(ctx, e.ID, "as the script says")
	case "complete":
		_, err = s.api.Complete(ctx, e.ID, client.Completion{})
	default:
		err = fmt.Errorf("no such step")
	}
	return err
}
