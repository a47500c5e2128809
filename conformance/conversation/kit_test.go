package conversation

import (
	"context"
	"encoding/json"
	"io/fs"
	"net/http"
	"reflect"
	"testing"
	"time"

	"kakehashi/client"
	"kakehashi/conformance/conversations"
	"kakehashi/conformance/script"
	"kakehashi/dsp/dsp2025"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// slow is a kind of its own for the tests: what matters is the order, not how long.
var slow = Kind{Name: Slow.Name, Commit: 40 * time.Millisecond, Stubborn: true}

// Every conversation of the official kit, and those of our own, with both kinds
// of counterpart. The names are the kit's ids.
func TestConversations(t *testing.T) {
	t.Parallel()
	all, err := script.Load(conversations.Files)
	if err != nil {
		t.Fatal(err)
	}
	own, err := fs.Sub(conversations.Own, "own")
	if err != nil {
		t.Fatal(err)
	}
	ours, err := script.Load(own)
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, ours...)
	var beds []*bed
	for _, kind := range []Kind{AtOnce, slow} {
		b := newBed(t, kind)
		b.prepare(t, all)
		beds = append(beds, b)
	}
	t.Run("all", func(t *testing.T) {
		for _, c := range all {
			t.Run(c.ID, func(t *testing.T) {
				t.Parallel()
				for _, b := range beds {
					t.Run(b.peer.Kind.Name, func(t *testing.T) {
						t.Parallel()
						ctx, cancel := context.WithTimeout(t.Context(), patience)
						defer cancel()
						b.play(ctx, t, c)
					})
				}
			})
		}
	})
	for _, b := range beds {
		for _, lost := range b.peer.Lost() {
			t.Errorf("%s: of no conversation: %s", b.peer.Kind.Name, lost)
		}
	}
}

const underAgreements = "under-agreements"

// prepare gives the node what the conversations speak of.
func (b *bed) prepare(t *testing.T, all []script.Conversation) {
	t.Helper()
	b.publish(t, underAgreements, "", "each-step")
	var imports []client.ImportAgreement
	seen := map[string]bool{}
	for _, c := range all {
		about := c.Dataset + c.Agreement
		b.us.mu.Lock()
		b.us.rules[about] = c
		b.us.mu.Unlock()
		switch {
		case seen[about] || about == "" || about == "CAT0103":
		case c.Agreement != "":
			role := map[bool]string{true: "provider", false: "consumer"}[c.Provider]
			imports = append(imports, client.ImportAgreement{ID: c.Agreement, Role: role, Counterparty: b.who.did,
				Dataset: underAgreements, Policy: free, Signed: time.Now().Add(-time.Hour)})
		case c.Provider:
			b.publish(t, c.Dataset, c.Offer, "each-step")
		}
		seen[about] = true
	}
	if len(imports) == 0 {
		return
	}
	if _, err := b.api.Import(t.Context(), client.Import{Agreements: imports}); err != nil {
		t.Fatal(err)
	}
}

// talk is the peer's side of a conversation.
func (b *bed) talk(c script.Conversation) *Talk {
	k := &Talk{Peer: b.peer, Self: b.who.did, Node: b.self.DID, NodeBase: b.self.Base, Consumer: c.Provider, Transfer: c.Transfer(),
		Dataset: c.Dataset, Offer: c.Offer, Agreement: c.Agreement, Format: "HttpData-PULL"}
	for _, m := range c.Moves {
		if m.Kind == script.Theirs && m.Answer == script.Accepted || m.Kind == script.Ours {
			if !m.Again {
				k.Turns = append(k.Turns, Turn{Out: m.Kind == script.Theirs, Name: m.Message, Lost: m.Lost, Overtaken: m.Overtaken})
			}
		}
	}
	return k
}

// play holds one conversation.
func (b *bed) play(ctx context.Context, t *testing.T, c script.Conversation) {
	if !c.Negotiation() && !c.Transfer() {
		b.read(ctx, t, c)
		return
	}
	k := b.talk(c)
	if c.Moves[0].Kind == script.Theirs {
		k.Open("")
	} else {
		k.Open(c.Dataset + c.Agreement)
		if err := b.begin(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	sent := map[string][]byte{}
	ours := true // the last move was the node's: what it shows follows its own time
	for i, m := range c.Moves {
		var err error
		switch m.Kind {
		case script.Theirs:
			s := Send{Name: m.Message, Refused: m.Answer != script.Accepted, Repeat: m.Again, Status: m.Status, Code: m.Code,
				ContentType: m.Media, Blanks: m.Size, Edit: m.Members}
			if m.Another {
				s.As = b.who.as("other")
			}
			if m.Answer == script.Unknown {
				s.Status = http.StatusNotFound
			}
			if m.Again {
				s.Body = sent[m.Message]
			}
			var a Answer
			a, err = k.Send(ctx, s)
			sent[m.Message], ours = a.Body, ours && (s.Refused || s.Repeat)
		case script.Ours:
			var got Arrived
			got, err = k.Wait(ctx, m.Message)
			ours = true
			for _, want := range m.Members {
				var v any
				if err := json.Unmarshal(got.Body, &v); err != nil {
					t.Error(err)
				}
				if there := get(v, steps(want.Path)); !reflect.DeepEqual(there, want.Value) {
					t.Errorf("move %d: %s is %v, want %v: %s", i+1, want.Path, there, want.Value, got.Body)
				}
			}
		case script.Reading:
			err = k.State(ctx, m.Message, ours)
		}
		if err != nil {
			t.Fatalf("move %d: %v (%v)", i+1, err, k.Faults())
		}
	}
	if err := k.Faults(); err != nil {
		t.Error(err)
	}
}

// begin has the node start, as its people would.
func (b *bed) begin(ctx context.Context, c script.Conversation) error {
	if c.Provider {
		_, err := b.api.Offer(ctx, client.StartOffer{Partner: b.who.did, Dataset: c.Dataset, Offer: c.Offer})
		return err
	}
	if c.Transfer() {
		_, err := b.api.StartTransfer(ctx, client.StartTransfer{Agreement: c.Agreement, Format: "HttpData-PULL"})
		return err
	}
	_, err := b.api.Negotiate(ctx, client.StartNegotiation{Partner: b.who.did, Dataset: c.Dataset, Offer: c.Offer, Policy: free, Asking: "each-step"})
	return err
}

// read is a conversation that only reads.
func (b *bed) read(ctx context.Context, t *testing.T, c script.Conversation) {
	method, at, schema, status := http.MethodGet, b.self.Base+dsp2025.PathDatasets+c.Dataset, "catalog/dataset", http.StatusOK
	var body []byte
	switch c.Moves[0].Message {
	case "version":
		at, schema = b.node.PublicURL()+"/.well-known/dspace-version", "common/protocol-version"
	case "catalog":
		method, at, schema = http.MethodPost, b.self.Base+dsp2025.PathCatalogRequest, "catalog/catalog"
		body = []byte(`{"@context":["` + dsp2025.ContextURL + `"],"@type":"CatalogRequestMessage"}`)
	}
	if c.Moves[0].Answer == script.Unknown {
		schema, status = "catalog/catalog-error", http.StatusNotFound
	}
	got, reply, _, err := b.peer.call(ctx, method, at, "application/json", body)
	if err != nil || got != status {
		t.Fatalf("%d %s, %v", got, reply, err)
	}
	if _, err := read(schema, reply); err != nil {
		t.Errorf("%v\n%s", err, reply)
	}
	for _, m := range c.Moves[1:] {
		if m.Kind == script.Showing && !shows(reply, m.Message) {
			t.Errorf("%s is not shown: %s", m.Message, reply)
		}
	}
}

// shows finds a dataset in a catalogue, or as the answer itself.
func shows(reply []byte, id string) bool {
	var v struct {
		ID      string `json:"@id"`
		Dataset []struct {
			ID string `json:"@id"`
		} `json:"dataset"`
	}
	if json.Unmarshal(reply, &v) != nil {
		return false
	}
	for _, d := range v.Dataset {
		if d.ID == id {
			return true
		}
	}
	return v.ID == id
}
