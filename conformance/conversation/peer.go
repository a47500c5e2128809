// Package conversation plays the counterpart's side of a conversation with a
// running node over HTTP: it sends what a script says, waits for what the node
// sends, and holds every message and every answer against the published schemas.
//
// It is for tests of the product as a whole. It knows no state machine of the
// product: what may come when is what the script says.
package conversation

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"kakehashi/internal/strictjson"
)

// Kind is how a counterpart behaves.
type Kind struct {
	Name string

	// Commit is how long after a 2xx, its own or the node's, the counterpart
	// knows its new state; 0 is at once. What comes meanwhile is refused: with
	// 404, 409, 400 and a dropped connection in turn. EDC commits after up to
	// 300 ms.
	Commit time.Duration

	// Stubborn answers 409 to every repeat of what was applied, as EDC does;
	// otherwise a repeat gets the first answer.
	Stubborn bool

	// Silent has no state to read, as the compatibility kit.
	Silent bool
}

// The two kinds that every conversation is held with.
var (
	AtOnce = Kind{Name: "at_once", Silent: true}
	Slow   = Kind{Name: "slow_to_commit", Commit: 300 * time.Millisecond, Stubborn: true}
)

// Peer is a counterpart on loopback that holds many conversations at once.
type Peer struct {
	Kind Kind
	who  Identity

	server   *http.Server
	listener net.Listener
	http     *http.Client
	rest     http.Handler

	mu    sync.Mutex
	first map[string][]*Talk // by dataset or agreement: whose first message is awaited
	pids  map[string]*Talk
	lost  []string // what came for no conversation
}

// Identity makes and judges what stands in the header Authorization.
type Identity interface {
	// Sign gives the header of a message with that body; nil for a GET.
	Sign(ctx context.Context, body []byte) (string, error)
	// Check judges a header of the node.
	Check(ctx context.Context, header string, body []byte) error
}

// NewPeer takes messages from l, below the path dsp. What is below no path of the
// protocol goes to rest.
func NewPeer(kind Kind, l net.Listener, who Identity, rest http.Handler) *Peer {
	p := &Peer{Kind: kind, who: who, listener: l, rest: rest, first: map[string][]*Talk{}, pids: map[string]*Talk{},
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}, Timeout: 30 * time.Second}}
	p.server = &http.Server{Handler: http.HandlerFunc(p.serve), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = p.server.Serve(l) }()
	return p
}

// Base is the address below which the peer takes messages.
func (p *Peer) Base() string { return "http://" + p.listener.Addr().String() + prefix[:len(prefix)-1] }

const prefix = "/dsp/peer/2025-1/"

// Close ends the peer.
func (p *Peer) Close() error {
	p.http.CloseIdleConnections()
	return p.server.Close()
}

// Lost tells the messages that belonged to no conversation.
func (p *Peer) Lost() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

func (p *Peer) serve(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, prefix) {
		p.rest.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	path := strings.TrimPrefix(strings.TrimSuffix(r.URL.EscapedPath(), "/"), prefix)
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i], _ = url.PathUnescape(parts[i])
	}
	if len(parts) < 2 {
		http.Error(w, "No handler registered on this endpoint", http.StatusNotFound)
		return
	}
	t := p.find(parts, body)
	switch {
	case t == nil:
		p.mu.Lock()
		p.lost = append(p.lost, r.Method+" "+path+" "+string(body))
		p.mu.Unlock()
		http.Error(w, "No handler registered on this endpoint", http.StatusNotFound)
	case r.Method == http.MethodGet:
		if err := p.who.Check(r.Context(), r.Header.Get("Authorization"), nil); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		t.show(w)
	default:
		t.receive(w, r, strings.Join(parts[2:], "/"), body)
	}
}

// find gives the conversation of a message: by the pid in its path, and for a
// first message by what it is about.
func (p *Peer) find(parts []string, body []byte) *Talk {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.pids[parts[1]]; t != nil {
		return t
	}
	if len(parts) > 2 || parts[1] != "request" && parts[1] != "offers" {
		return nil
	}
	var m struct {
		ConsumerPid string `json:"consumerPid"`
		ProviderPid string `json:"providerPid"`
		AgreementID string `json:"agreementId"`
		Offer       struct {
			ID     string `json:"@id"`
			Target string `json:"target"`
		} `json:"offer"`
	}
	if strictjson.DecodeOpen(body, &m) != nil {
		return nil
	}
	theirs := m.ConsumerPid
	if parts[1] == "offers" {
		theirs = m.ProviderPid
	}
	if t := p.pids[theirs]; t != nil { // a first message once more
		if t.Double != nil {
			t = t.Double
			p.pids[theirs] = t
		}
		return t
	}
	about := m.AgreementID
	if about == "" {
		about = m.Offer.Target
	}
	waiting := p.first[about]
	if len(waiting) == 0 {
		return nil
	}
	t := waiting[0]
	p.first[about] = waiting[1:]
	p.pids[theirs] = t
	return t
}

// call does one request of the peer's own.
func (p *Peer) call(ctx context.Context, method, address, contentType string, body []byte) (int, []byte, http.Header, error) {
	return p.callAs(ctx, p.who, method, address, contentType, body)
}

func (p *Peer) callAs(ctx context.Context, who Identity, method, address, contentType string, body []byte) (int, []byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	auth, err := who.Sign(ctx, body)
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Authorization", auth)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := p.http.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("read the answer of %s: %w", address, err)
	}
	return resp.StatusCode, answer, resp.Header, nil
}
