package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"kakehashi/client"
	"kakehashi/conformance/script"
	"kakehashi/decision"
)

// player takes our side's decisions. Where it is our turn the node asks its
// webhook; steps that we take out of turn follow a change on the event stream.
type player struct {
	c   Config
	api *client.Client
	key string
	by  map[string]script.Conversation // by dataset or agreement

	mu     sync.Mutex
	known  map[string]*course
	acting sync.WaitGroup
	closed chan struct{}
	once   sync.Once
}

// course is one process as far as it was seen.
type course struct {
	conversation script.Conversation
	found        bool
	role         string
	last         string         // newest state on the event stream
	entered      map[string]int // how often, by state, on the event stream
	asked        map[string]int // how often, by state, at the webhook
	versions     map[int64]int  // visit that was asked about, by version
}

// Limits of the webhook's body and of one call to the API.
const (
	maxQuestion = 1 << 20
	callTimeout = 20 * time.Second
)

func newPlayer(c Config, api *client.Client, key string) *player {
	p := &player{c: c, api: api, key: key, by: map[string]script.Conversation{}, known: map[string]*course{}, closed: make(chan struct{})}
	for _, v := range c.Conversations {
		switch {
		case v.Transfer():
			p.by[v.Agreement] = v
		case v.Negotiation():
			p.by[v.Dataset] = v
		}
	}
	return p
}

// wait ends what is being decided; the player decides nothing after it.
func (p *player) wait() {
	p.once.Do(func() { close(p.closed) })
	p.acting.Wait()
}

// ours says in which states the node itself asks: it is our turn there.
func ours(kind, role, state string) bool {
	switch {
	case kind == "transfer":
		return role == "provider" && state == "REQUESTED"
	case role == "provider":
		return state == "REQUESTED" || state == "ACCEPTED" || state == "VERIFIED"
	}
	return state == "OFFERED" || state == "AGREED"
}

// asked answers the decision webhook, after the pause that the kit needs.
func (p *player) asked(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxQuestion))
	if err != nil || r.Header.Get(decision.SignatureHeader) != decision.Sign([]byte(p.key), body) {
		http.Error(w, "not signed by the node", http.StatusForbidden)
		return
	}
	var q client.Question
	if err := json.Unmarshal(body, &q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id := q.Dataset
	if q.Kind == "transfer" {
		id = q.Agreement
	}
	c := p.course(q.ID, id, q.Role)
	p.mu.Lock()
	visit, again := c.versions[q.Version]
	if !again {
		c.asked[q.State]++
		visit = c.asked[q.State]
		c.versions[q.Version] = visit
	}
	p.mu.Unlock()
	step := c.conversation.Decide(q.State, visit)
	p.c.Log.Info("asked", "conversation", c.conversation.ID, "process", q.ID, "state", q.State, "visit", visit, "step", step)
	answer, err := answerOf(step)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if answer == nil || !p.pause(r.Context()) {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		p.c.Log.Error("answer of a decision", "process", q.ID, "err", err)
	}
}

// answerOf is a step as the webhook says it; nil waits.
func answerOf(step string) (*client.Decision, error) {
	switch step {
	case "":
		return nil, nil
	case "agree", "accept", "verify", "finalize", "start":
		return &client.Decision{Decision: "approve"}, nil
	case "offer", "counter":
		return &client.Decision{Decision: "counter"}, nil
	case "terminate":
		return &client.Decision{Decision: "refuse", Code: "script", Reason: "The conversation ends here."}, nil
	}
	return nil, fmt.Errorf("%s is no step that the node asks about", step)
}

// pause waits; false says that the player ended.
func (p *player) pause(ctx context.Context) bool {
	t := time.NewTimer(p.c.Pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
	case <-p.closed:
	}
	return false
}

// course finds a process that was met, or takes it up.
func (p *player) course(process, id, role string) *course {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.known[process]
	if c == nil {
		c = &course{role: role, entered: map[string]int{}, asked: map[string]int{}, versions: map[int64]int{}}
		c.conversation, c.found = p.by[id]
		p.known[process] = c
	}
	return c
}

// watch follows the event stream until ctx ends. The stream comes again after
// the node closed it; ready is closed when it is open first.
func (p *player) watch(ctx context.Context, ready chan struct{}) {
	var first sync.Once
	for ctx.Err() == nil {
		err := p.api.Events(ctx, func() { first.Do(func() { close(ready) }) }, func(e client.Event) bool {
			if err := p.changed(ctx, e); err != nil && ctx.Err() == nil {
				p.c.Log.Error("change", "process", e.ID, "state", e.State, "err", err)
			}
			return true
		})
		if ctx.Err() == nil {
			p.c.Log.Error("event stream", "err", err)
			if !p.pause(ctx) {
				return
			}
		}
	}
}

// changed counts one change and takes our step when it is out of turn.
func (p *player) changed(ctx context.Context, e client.Event) error {
	if e.ID == "" {
		return errors.New("the node dropped events of this stream")
	}
	p.mu.Lock()
	c := p.known[e.ID]
	p.mu.Unlock()
	if c == nil {
		id, role, err := p.about(ctx, e)
		if err != nil {
			return err
		}
		c = p.course(e.ID, id, role)
	}
	p.mu.Lock()
	if c.last == e.State {
		p.mu.Unlock()
		return nil
	}
	c.last = e.State
	c.entered[e.State]++
	visit := c.entered[e.State]
	p.mu.Unlock()
	step := c.conversation.Decide(e.State, visit)
	if step == "" || ours(e.Kind, c.role, e.State) {
		return nil
	}
	p.c.Log.Info("changed", "conversation", c.conversation.ID, "process", e.ID, "state", e.State, "visit", visit, "step", step)
	p.acting.Add(1)
	go func() {
		defer p.acting.Done()
		if !p.pause(ctx) {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		if err := p.act(ctx, e, step); err != nil && ctx.Err() == nil {
			p.c.Log.Error("step", "conversation", c.conversation.ID, "process", e.ID, "step", step, "err", err)
		}
	}()
	return nil
}

func (p *player) about(ctx context.Context, e client.Event) (id, role string, err error) {
	if e.Kind == "transfer" {
		t, err := p.api.Transfer(ctx, e.ID, 0)
		return t.Agreement, t.Role, err
	}
	n, err := p.api.Negotiation(ctx, e.ID, 0)
	return n.Dataset, n.Role, err
}

// act takes a step out of turn.
func (p *player) act(ctx context.Context, e client.Event, step string) error {
	const reason = "The conversation says so."
	var err error
	switch {
	case e.Kind == "negotiation" && step == "terminate":
		_, err = p.api.TerminateNegotiation(ctx, e.ID, reason)
	case e.Kind == "transfer" && step == "terminate":
		_, err = p.api.TerminateTransfer(ctx, e.ID, reason)
	case e.Kind == "transfer" && step == "suspend":
		_, err = p.api.Suspend(ctx, e.ID, reason)
	case e.Kind == "transfer" && step == "start":
		_, err = p.api.Resume(ctx, e.ID)
	case e.Kind == "transfer" && step == "complete":
		_, err = p.api.Complete(ctx, e.ID, client.Completion{})
	default:
		err = fmt.Errorf("%s in %s is no step out of turn", step, e.State)
	}
	return err
}
