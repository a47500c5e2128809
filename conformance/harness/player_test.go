package harness

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kakehashi/client"
	"kakehashi/conformance/script"
	"kakehashi/decision"
)

func TestTheWebhookFollowsTheConversation(t *testing.T) {
	t.Parallel()
	c, err := script.Parse("x", "X:1 title\n\nprovider\ndataset D\nwhen 1st REQUESTED: offer\nwhen 2nd REQUESTED: terminate\nwhen ACCEPTED: agree\n\n-> request\n")
	if err != nil {
		t.Fatal(err)
	}
	const key = "key"
	p := newPlayer(Config{Conversations: []script.Conversation{c}, Pause: time.Nanosecond, Log: slog.New(slog.DiscardHandler)}, nil, key)
	defer p.wait()
	for _, step := range []struct {
		name, state string
		version     int64
		key         string
		status      int
		decision    string
	}{
		{"not signed by the node", "REQUESTED", 1, "other", 403, ""},
		{"the first request", "REQUESTED", 1, key, 200, "counter"},
		{"asked again about the same", "REQUESTED", 1, key, 200, "counter"},
		{"a counter-offer", "REQUESTED", 3, key, 200, "refuse"},
		{"a step without a rule waits", "VERIFIED", 4, key, 202, ""},
		{"accepted", "ACCEPTED", 5, key, 200, "approve"},
	} {
		body, err := json.Marshal(client.Question{Kind: "negotiation", ID: "P", Role: "provider", State: step.state, Version: step.version, Dataset: "D"})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/decisions", strings.NewReader(string(body)))
		r.Header.Set(decision.SignatureHeader, decision.Sign([]byte(step.key), body))
		w := httptest.NewRecorder()
		p.asked(w, r)
		var d client.Decision
		if w.Code == 200 {
			if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil {
				t.Fatal(err)
			}
		}
		if w.Code != step.status || d.Decision != step.decision {
			t.Errorf("%s: %d %s, want %d %s", step.name, w.Code, d.Decision, step.status, step.decision)
		}
	}
}

func TestEachRuleIsPlayedInOnePlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, role, state string
		asked             bool
	}{
		{"negotiation", "provider", "REQUESTED", true}, {"negotiation", "provider", "OFFERED", false},
		{"negotiation", "provider", "VERIFIED", true}, {"negotiation", "consumer", "REQUESTED", false},
		{"negotiation", "consumer", "OFFERED", true}, {"negotiation", "consumer", "AGREED", true},
		{"transfer", "provider", "REQUESTED", true}, {"transfer", "provider", "STARTED", false}, {"transfer", "consumer", "STARTED", false},
	} {
		if ours(c.kind, c.role, c.state) != c.asked {
			t.Errorf("%+v", c)
		}
	}
}
