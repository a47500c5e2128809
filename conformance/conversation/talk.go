package conversation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"kakehashi/conformance/script"
	"kakehashi/dsp/dsp2025"
	"kakehashi/internal/ids"
)

// Turn is one message of a conversation.
type Turn struct {
	Out       bool // of the peer
	Name      string
	Lost      bool // the answer to it is never sent
	Overtaken bool // it is answered after the peer's next message was
}

// Talk is one conversation of a peer with a node. The fields are set before Open.
type Talk struct {
	Peer     *Peer
	Self     string // whom the node takes the peer for
	Node     string // id of the node's participant
	NodeBase string // its DSP base address
	Consumer bool   // the peer is the consumer
	Transfer bool

	Dataset, Offer, Agreement, Format string

	Double *Talk // takes the node's first message when it is said again, as a process of its own; nil: it is a repeat

	Turns []Turn // all messages, in order: what comes otherwise is refused and reported

	mu      sync.Mutex
	own     string // the peer's pid
	theirs  string // the node's
	begun   int    // turns of the peer that were sent
	got     int    // turns of the node that came
	state   string // as the peer would show it
	resumed bool   // the peer, as consumer, has sent a start
	busy    bool   // a new state is not committed yet
	refusal int
	seen    map[string]int // @id to status, of what was applied
	faults  []error
	arrived chan Arrived

	answered chan struct{} // closed by the next answer to a message of the peer
}

// Arrived is a message of the node that the peer took.
type Arrived struct {
	Name string
	Body []byte
	received
}

// Open registers the conversation with its peer. about names what the node's
// first message will be about, "" if the peer speaks first.
func (t *Talk) Open(about string) {
	t.own, t.seen, t.arrived = ids.New(), map[string]int{}, make(chan Arrived, len(t.Turns)+1)
	t.answered = make(chan struct{})
	p := t.Peer
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pids[t.own] = t
	if about != "" {
		p.first[about] = append(p.first[about], t)
	}
}

// Faults tells what the node sent that it should not have.
func (t *Talk) Faults() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Join(t.faults...)
}

func (t *Talk) fault(format string, a ...any) {
	t.faults = append(t.faults, fmt.Errorf(format, a...))
}

// expects gives the turn of n if it may come now: it is the node's next message,
// and the peer has sent what stands before it.
func (t *Talk) expects(n string) (Turn, bool) {
	out, in := 0, 0
	for _, turn := range t.Turns {
		if turn.Out {
			out++
			continue
		}
		if in == t.got {
			return turn, turn.Name == n && out <= t.begun
		}
		in++
	}
	return Turn{}, false
}

// show answers the node that asks for the peer's state.
func (t *Talk) show(w http.ResponseWriter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.Peer.Kind.Silent || t.state == "" {
		http.Error(w, "No handler registered on this endpoint", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(t.object())
}

// object is the peer's process as DSP shows it.
func (t *Talk) object() []byte {
	typ, consumer, provider := "ContractNegotiation", t.own, t.theirs
	if t.Transfer {
		typ = "TransferProcess"
	}
	if !t.Consumer {
		consumer, provider = t.theirs, t.own
	}
	b, err := json.Marshal(map[string]any{"@context": []string{dsp2025.ContextURL}, "@type": typ, "consumerPid": consumer, "providerPid": provider, "state": t.state})
	if err != nil {
		return nil
	}
	return b
}

// receive takes a message of the node.
func (t *Talk) receive(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	t.mu.Lock()
	var head received
	err := json.Unmarshal(body, &head)
	n, nerr := t.nameOf(path, head)
	if err = errors.Join(err, nerr); err != nil {
		t.fault("%w: %s", err, body)
		t.mu.Unlock()
		http.Error(w, "not understood", http.StatusBadRequest)
		return
	}
	if status, ok := t.seen[head.ID]; ok && head.ID != "" {
		if t.Peer.Kind.Stubborn {
			status = http.StatusConflict
		}
		t.mu.Unlock()
		w.WriteHeader(status)
		return
	}
	if t.busy {
		t.refusal++
		turn := t.refusal % 4
		t.mu.Unlock()
		switch turn {
		case 1:
			http.Error(w, "No handler registered on this endpoint", http.StatusNotFound)
		case 2:
			http.Error(w, "", http.StatusConflict)
		case 3:
			http.Error(w, "", http.StatusBadRequest)
		default:
			panic(http.ErrAbortHandler)
		}
		return
	}
	turn, ok := t.expects(n)
	if !ok && n == "start" && t.resumed {
		// After a resumption of ours: the new address. Not of the script.
		t.seen[head.ID] = http.StatusOK
		t.mu.Unlock()
		return
	}
	if !ok {
		t.fault("%s came and was not expected: %s", n, body)
		t.mu.Unlock()
		http.Error(w, "No handler registered on this endpoint", http.StatusNotFound)
		return
	}
	m, err := read(t.forms()[n].schema, body)
	if err != nil {
		t.fault("%s: %w\n%s", n, err, body)
		m = head
	}
	if err := t.Peer.who.Check(r.Context(), r.Header.Get("Authorization"), body); err != nil {
		t.fault("%s came with another Authorization: %w", n, err)
	}
	mine, theirs := m.ConsumerPid, m.ProviderPid
	if !t.Consumer {
		mine, theirs = theirs, mine
	}
	if t.theirs == "" {
		t.theirs = theirs
	}
	if theirs != t.theirs || mine != t.own && mine != "" {
		t.fault("%s names the pids %q and %q, not %q and %q", n, mine, theirs, t.own, t.theirs)
	}
	t.got++
	t.seen[head.ID] = http.StatusOK
	t.busy = true
	answered := t.answered
	t.mu.Unlock()
	switch {
	case turn.Lost:
		t.commit(t.forms()[n].state, func() { t.arrived <- Arrived{n, body, m} })
		panic(http.ErrAbortHandler)
	case turn.Overtaken && t.Peer.Kind.Commit == 0:
		// The next message of the peer is taken before this one is answered.
		t.commit(t.forms()[n].state, func() { t.arrived <- Arrived{n, body, m} })
		select {
		case <-answered:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusOK)
		return
	}
	// As the kit: an object for some, nothing for others, no content type.
	if !slices.Contains([]string{"agreement", "verification", "accepted", "finalized"}, n) {
		t.mu.Lock()
		state := t.state
		t.state = t.forms()[n].state
		shown := t.object()
		if t.Peer.Kind.Commit > 0 {
			t.state = state
		}
		t.mu.Unlock()
		_, _ = w.Write(shown)
	}
	_ = http.NewResponseController(w).Flush()
	t.commit(t.forms()[n].state, func() { t.arrived <- Arrived{n, body, m} })
}

// commit has the peer know its new state, now or when its kind does.
func (t *Talk) commit(state string, then func()) {
	done := func() {
		t.mu.Lock()
		t.state, t.busy = state, false
		t.mu.Unlock()
		then()
	}
	if t.Peer.Kind.Commit == 0 {
		done()
		return
	}
	time.AfterFunc(t.Peer.Kind.Commit, done)
}

// Wait gives the node's next message, which must be n.
func (t *Talk) Wait(ctx context.Context, n string) (Arrived, error) {
	select {
	case m := <-t.arrived:
		if m.Name != n {
			return m, fmt.Errorf("%s came instead of %s", m.Name, n)
		}
		return m, nil
	case <-ctx.Done():
		return Arrived{}, fmt.Errorf("%s did not come: %w", n, errors.Join(context.Cause(ctx), t.Faults()))
	}
}

// Send is one message of the peer.
type Send struct {
	Name        string
	Edit        []script.Member // members to change
	Body        []byte          // instead of a message written here
	ContentType string          // application/json when empty
	Blanks      int             // put before it
	As          Identity        // another than the peer's
	Repeat      bool            // was sent before: the same answer, no effect
	Refused     bool            // must be refused, and changes nothing
	Status      int             // exact status of the answer; 0: any of the sort
	Code        string          // of the error body, "" for any
}

// Answer is what the node said.
type Answer struct {
	Status int
	Body   []byte // of the message that was sent
	Reply  []byte
	received
}

// Send sends a message and judges the answer.
func (t *Talk) Send(ctx context.Context, s Send) (Answer, error) {
	body := s.Body
	var err error
	if body == nil {
		if body, err = t.write(s.Name, s.Edit); err != nil {
			return Answer{}, err
		}
	}
	if s.Blanks > 0 {
		body = append(bytes.Repeat([]byte(" "), s.Blanks), body...)
	}
	t.mu.Lock()
	if !s.Refused && !s.Repeat {
		t.begun++
		t.resumed = t.resumed || s.Name == "start" && t.Consumer
		t.busy = t.Peer.Kind.Commit > 0
	}
	first := t.theirs == "" || s.Repeat && s.Name == "request" && t.Consumer
	at := t.address(s.Name, first)
	t.mu.Unlock()
	typ := s.ContentType
	if typ == "" {
		typ = "application/json"
	}
	who := s.As
	if who == nil {
		who = t.Peer.who
	}
	status, reply, _, err := t.Peer.callAs(ctx, who, http.MethodPost, at, typ, body)
	if err != nil {
		return Answer{}, fmt.Errorf("send %s: %w", s.Name, err)
	}
	a := Answer{Status: status, Body: body, Reply: reply}
	schema := "negotiation/contract-negotiation"
	if t.Transfer {
		schema = "transfer/transfer-process"
	}
	switch {
	case s.Refused && s.Status == 0 && (status < 400 || status > 499 || status == 404):
		return a, fmt.Errorf("%s must be refused and was answered with %d %s", s.Name, status, reply)
	case s.Status != 0 && status != s.Status:
		return a, fmt.Errorf("%s must be answered with %d and was with %d %s", s.Name, s.Status, status, reply)
	case !s.Refused && (status < 200 || status > 299):
		return a, fmt.Errorf("%s was answered with %d %s", s.Name, status, reply)
	case s.Refused && t.Transfer:
		schema = "transfer/transfer-error"
	case s.Refused:
		schema += "-error"
	}
	if a.received, err = read(schema, reply); err != nil {
		return a, fmt.Errorf("the answer to %s: %w\n%s", s.Name, err, reply)
	}
	if s.Code != "" && a.Code != s.Code {
		return a, fmt.Errorf("%s must be refused as %s and was as %s", s.Name, s.Code, reply)
	}
	if s.Refused || s.Repeat {
		if s.Repeat && (t.Consumer && a.ProviderPid != t.theirs || !t.Consumer && a.ConsumerPid != t.theirs) {
			return a, fmt.Errorf("the repeat of %s is answered by another process: %s", s.Name, reply)
		}
		return a, nil
	}
	theirs := a.ProviderPid
	if !t.Consumer {
		theirs = a.ConsumerPid
	}
	if first && theirs != "" {
		t.mu.Lock()
		if t.theirs == "" {
			t.theirs = theirs
		}
		t.mu.Unlock()
		t.Peer.mu.Lock()
		t.Peer.pids[theirs] = t
		t.Peer.mu.Unlock()
	}
	t.mu.Lock()
	close(t.answered)
	t.answered = make(chan struct{})
	t.mu.Unlock()
	committed := make(chan struct{})
	t.commit(t.forms()[s.Name].state, func() { close(committed) })
	<-committed
	return a, nil
}

// State reads the node's state. What the node took must show at once; what it
// sent shows once it has read the answer, so then it is asked until ctx ends.
func (t *Talk) State(ctx context.Context, want string, eventually bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := t.shown(ctx)
		if err != nil {
			return err
		}
		if got == want {
			return nil
		}
		if !eventually {
			return fmt.Errorf("the node's state is %s, not %s", got, want)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the node's state stays %s and never is %s: %w", got, want, context.Cause(ctx))
		}
	}
}

func (t *Talk) shown(ctx context.Context) (string, error) {
	t.mu.Lock()
	at := t.area() + url.PathEscape(t.theirs)
	t.mu.Unlock()
	status, reply, _, err := t.Peer.call(ctx, http.MethodGet, at, "", nil)
	if err != nil {
		return "", err
	}
	if status != http.StatusOK {
		return "", fmt.Errorf("the state is answered with %d %s", status, reply)
	}
	schema := "negotiation/contract-negotiation"
	if t.Transfer {
		schema = "transfer/transfer-process"
	}
	m, err := read(schema, reply)
	if err != nil {
		return "", fmt.Errorf("the state: %w\n%s", err, reply)
	}
	return dsp2025.State(m.State), nil
}
