package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"kakehashi/dsp/dsp2025"
	"kakehashi/internal/ids"
	"kakehashi/internal/strictjson"
)

// doubler is a provider of its own make, with a habit of EDC's: each first message
// makes a negotiation, a repeated one too, and every other repeat is answered 409.
// It knows its new state a moment after it has answered, and refuses what comes
// before. It makes agreements only.
type doubler struct {
	base string // of its protocol
	node string // id of the node, for what stands in Authorization
	dice *dice
	http *http.Client

	mu      sync.Mutex
	talks   map[string]*talk // by its own pid
	of      map[string]int   // by the node's pid: processes that were made for it
	server  *http.Server
	ctx     context.Context
	stop    context.CancelFunc
	sending sync.WaitGroup
}

// talk is one negotiation of the doubler.
type talk struct {
	own, theirs, callback string
	offer                 map[string]any
	agreement             string
	state                 string
	known                 time.Time // from when on the state counts
	seen                  map[string]bool
	verified              chan struct{}
}

const (
	doublerID = "doubler"
	// template is what both sides of this pair send in place of proof.
	template = `{"region":"eu","audience":"{counterparty}","clientId":"{self}"}`
)

// newDoubler takes messages at address; base is where the node reaches it.
func newDoubler(address, base string, d *dice) (*doubler, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	p := &doubler{base: base, dice: d, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}, Timeout: callWithin},
		talks: map[string]*talk{}, of: map[string]int{}}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = p.server.Serve(l) }()
	return p, nil
}

func (p *doubler) close() error {
	p.stop()
	p.sending.Wait()
	p.http.CloseIdleConnections()
	return p.server.Close()
}

func (p *doubler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, mostBody))
	if err != nil {
		return
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/dsp/negotiations/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	if rest == "request" {
		p.request(w, body)
		return
	}
	pid, what, _ := strings.Cut(rest, "/")
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.talks[pid]
	switch {
	case t == nil:
		http.Error(w, "no such negotiation", http.StatusNotFound)
	case r.Method == http.MethodGet:
		p.show(w, t, http.StatusOK)
	default:
		p.message(w, t, what, body)
	}
}

// request makes a negotiation of every first message.
func (p *doubler) request(w http.ResponseWriter, body []byte) {
	var m struct {
		ConsumerPid string         `json:"consumerPid"`
		Callback    string         `json:"callbackAddress"`
		Offer       map[string]any `json:"offer"`
	}
	if err := strictjson.DecodeOpen(body, &m); err != nil || m.Callback == "" {
		http.Error(w, "no request", http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	t := &talk{own: ids.New(), theirs: m.ConsumerPid, callback: strings.TrimSuffix(m.Callback, "/"), offer: m.Offer,
		state: "REQUESTED", seen: map[string]bool{}, verified: make(chan struct{})}
	p.talks[t.own] = t
	p.of[t.theirs]++
	p.show(w, t, http.StatusCreated)
	p.sending.Go(func() { p.agree(t) })
}

// message takes one of a negotiation that there is.
func (p *doubler) message(w http.ResponseWriter, t *talk, what string, body []byte) {
	var m head
	_ = strictjson.DecodeOpen(body, &m)
	switch {
	case m.ID == "" || t.seen[m.ID] || time.Now().Before(t.known):
		http.Error(w, "the negotiation is in another state", http.StatusConflict)
	case what == "agreement/verification" && t.state == "AGREED":
		t.seen[m.ID] = true
		p.to(t, "VERIFIED")
		close(t.verified)
		p.show(w, t, http.StatusOK)
	case what == "termination" && t.state != "FINALIZED" && t.state != "TERMINATED":
		t.seen[m.ID] = true
		p.to(t, "TERMINATED")
		p.show(w, t, http.StatusOK)
	default:
		http.Error(w, "the negotiation is in another state", http.StatusConflict)
	}
}

// to moves to a state that counts a moment later. p.mu is held.
func (p *doubler) to(t *talk, state string) {
	t.state, t.known = state, time.Now().Add(p.dice.between(0, 100*time.Millisecond))
}

func (p *doubler) show(w http.ResponseWriter, t *talk, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"@context": []string{dsp2025.ContextURL}, "@type": "ContractNegotiation",
		"providerPid": t.own, "consumerPid": t.theirs, "state": t.state})
}

// agree is the provider's way through a negotiation.
func (p *doubler) agree(t *talk) {
	t.agreement = ids.New()
	deal := map[string]any{}
	for k, v := range t.offer {
		deal[k] = v
	}
	deal["@type"], deal["@id"] = "Agreement", t.agreement
	deal["assigner"], deal["assignee"] = doublerID, p.node
	deal["timestamp"] = time.Now().UTC().Truncate(time.Second).Format(time.RFC3339)
	if !p.send(t, "agreement", map[string]any{"@type": "ContractAgreementMessage", "agreement": deal, "callbackAddress": p.base}) {
		p.end(t)
		return
	}
	p.mu.Lock()
	if t.state == "REQUESTED" {
		p.to(t, "AGREED")
	}
	p.mu.Unlock()
	select {
	case <-t.verified:
	case <-p.ctx.Done():
		return
	}
	if p.send(t, "events", map[string]any{"@type": "ContractNegotiationEventMessage", "eventType": "FINALIZED"}) {
		p.mu.Lock()
		p.to(t, "FINALIZED")
		p.mu.Unlock()
	}
}

// end is what the doubler does when the node wants nothing of a process.
func (p *doubler) end(t *talk) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.state = "TERMINATED"
}

// send says a message again and again until it is taken or refused for good.
func (p *doubler) send(t *talk, path string, m map[string]any) (taken bool) {
	m["@context"], m["@id"], m["providerPid"], m["consumerPid"] = []string{dsp2025.ContextURL}, ids.New(), t.own, t.theirs
	body, err := strictjson.Encode(m)
	if err != nil {
		return false
	}
	for p.ctx.Err() == nil {
		switch status := p.post(fmt.Sprintf("%s/negotiations/%s/%s", t.callback, t.theirs, path), body); {
		case status >= 200 && status < 300:
			return true
		case status == http.StatusBadRequest || status == http.StatusNotFound || status == http.StatusConflict:
			return false
		}
		wait(p.ctx, nil, p.dice.between(50*time.Millisecond, 500*time.Millisecond))
		p.mu.Lock()
		over := t.state == "TERMINATED"
		p.mu.Unlock()
		if over {
			return false
		}
	}
	return false
}

func (p *doubler) post(to string, body []byte) (status int) {
	req, err := http.NewRequestWithContext(p.ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return http.StatusBadRequest
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", strings.NewReplacer("{counterparty}", p.node, "{self}", doublerID).Replace(template))
	resp, err := p.http.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}
