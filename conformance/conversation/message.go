package conversation

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"kakehashi/conformance/script"
	"kakehashi/dsp/dsp2025"
	"kakehashi/dsp/dsp2025/conform"
	"kakehashi/internal/ids"
	"kakehashi/internal/strictjson"
)

// form is what a message looks like on the wire. Messages are named as package
// script names them.
type form struct {
	typ    string // @type
	path   string // after the pid
	schema string
	state  string // that it leads to
}

var negotiations = map[string]form{
	"request":      {"ContractRequestMessage", "request", "negotiation/contract-request-message", "REQUESTED"},
	"counter":      {"ContractRequestMessage", "request", "negotiation/contract-request-message", "REQUESTED"},
	"offer":        {"ContractOfferMessage", "offers", "negotiation/contract-offer-message", "OFFERED"},
	"accepted":     {"ContractNegotiationEventMessage", "events", "negotiation/contract-negotiation-event-message", "ACCEPTED"},
	"agreement":    {"ContractAgreementMessage", "agreement", "negotiation/contract-agreement-message", "AGREED"},
	"verification": {"ContractAgreementVerificationMessage", "agreement/verification", "negotiation/contract-agreement-verification-message", "VERIFIED"},
	"finalized":    {"ContractNegotiationEventMessage", "events", "negotiation/contract-negotiation-event-message", "FINALIZED"},
	"termination":  {"ContractNegotiationTerminationMessage", "termination", "negotiation/contract-negotiation-termination-message", "TERMINATED"},
}

var transfers = map[string]form{
	"request":     {"TransferRequestMessage", "request", "transfer/transfer-request-message", "REQUESTED"},
	"start":       {"TransferStartMessage", "start", "transfer/transfer-start-message", "STARTED"},
	"suspension":  {"TransferSuspensionMessage", "suspension", "transfer/transfer-suspension-message", "SUSPENDED"},
	"completion":  {"TransferCompletionMessage", "completion", "transfer/transfer-completion-message", "COMPLETED"},
	"termination": {"TransferTerminationMessage", "termination", "transfer/transfer-termination-message", "TERMINATED"},
}

func (t *Talk) forms() map[string]form {
	if t.Transfer {
		return transfers
	}
	return negotiations
}

// nameOf tells which message came, by its path and content.
func (t *Talk) nameOf(path string, m received) (string, error) {
	for n, f := range t.forms() {
		if f.typ != m.Type || f.path != path && path != "" {
			continue
		}
		switch n {
		case "request", "counter":
			if (m.CallbackAddress == "") != (n == "counter") {
				continue
			}
		case "accepted", "finalized":
			if dsp2025.State(m.EventType) != f.state {
				continue
			}
		}
		return n, nil
	}
	return "", fmt.Errorf("a %s came at %q", m.Type, path)
}

// received is what is read of any message or answer.
type received struct {
	Type            string         `json:"@type"`
	ID              string         `json:"@id"`
	ConsumerPid     string         `json:"consumerPid"`
	ProviderPid     string         `json:"providerPid"`
	State           string         `json:"state"`
	EventType       string         `json:"eventType"`
	CallbackAddress string         `json:"callbackAddress"`
	Code            string         `json:"code"`
	Reason          []any          `json:"reason"`
	Offer           strictjson.Raw `json:"offer"`
	Agreement       strictjson.Raw `json:"agreement"`
	DataAddress     strictjson.Raw `json:"dataAddress"`
}

// read holds a message against its schema and takes it apart.
func read(schema string, body []byte) (received, error) {
	var m received
	if err := conform.Check(schema, body); err != nil {
		return m, err
	}
	return m, strictjson.DecodeOpen(body, &m)
}

// write makes a message of the peer as the compatibility kit writes it, with
// what a line of the script changes.
func (t *Talk) write(n string, edit []script.Member) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.forms()[n]
	id := ids.New()
	m := map[string]any{"@context": []string{dsp2025.ContextURL}, "@type": f.typ, "@id": id, "consumerPid": t.own, "providerPid": t.theirs}
	if !t.Consumer {
		m["consumerPid"], m["providerPid"] = t.theirs, t.own
	}
	first := t.theirs == ""
	if first {
		m["callbackAddress"] = t.Peer.Base()
		delete(m, map[bool]string{true: "providerPid", false: "consumerPid"}[t.Consumer])
	}
	assigner, assignee := t.Node, t.Self
	if !t.Consumer {
		assigner, assignee = t.Self, t.Node
	}
	rules := func(typ, id string) map[string]any {
		return map[string]any{"@type": typ, "@id": id, "target": t.Dataset, "assigner": assigner, "assignee": assignee,
			"permission": []any{map[string]any{"action": "use", "constraint": []any{}}}}
	}
	switch f.typ {
	case "ContractRequestMessage", "ContractOfferMessage":
		m["offer"] = rules("Offer", t.Offer)
	case "ContractNegotiationEventMessage":
		m["eventType"] = f.state
	case "ContractAgreementMessage":
		a := rules("Agreement", ids.New())
		a["timestamp"] = time.Now().UTC().Format(time.RFC3339Nano)
		m["agreement"] = a
	case "ContractNegotiationTerminationMessage", "TransferTerminationMessage", "TransferSuspensionMessage":
		m["code"] = "1"
	case "TransferRequestMessage":
		delete(m, "providerPid")
		m["agreementId"], m["format"] = t.Agreement, t.Format
	case "TransferStartMessage":
		if !t.Consumer {
			m["dataAddress"] = map[string]any{"@type": "DataAddress", "endpoint": "http://example.com", "endpointType": "https://w3id.org/idsa/v4.1/HTTP"}
		}
	}
	for _, e := range edit {
		if err := set(m, steps(e.Path), e.Value); err != nil {
			return nil, fmt.Errorf("change %s of %s: %w", e.Path, n, err)
		}
	}
	return json.Marshal(m)
}

// set changes one member by its path; nil removes it. A text "now+6m" is that time.
func set(in any, path []string, v any) error {
	if text, ok := v.(string); ok && strings.HasPrefix(text, "now") {
		if d, err := time.ParseDuration(strings.TrimPrefix(text, "now")); err == nil {
			v = time.Now().Add(d).UTC().Format(time.RFC3339)
		}
	}
	switch in := in.(type) {
	case map[string]any:
		switch {
		case len(path) > 1:
			return set(in[path[0]], path[1:], v)
		case v == nil:
			delete(in, path[0])
		default:
			in[path[0]] = v
		}
		return nil
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i >= len(in) {
			return fmt.Errorf("there is no %s", path[0])
		}
		if len(path) > 1 {
			return set(in[i], path[1:], v)
		}
		in[i] = v
		return nil
	}
	return fmt.Errorf("%s is in no object", path[0])
}

// get reads one member by its path.
func get(in any, path []string) any {
	for _, name := range path {
		switch v := in.(type) {
		case map[string]any:
			in = v[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			in = v[i]
		default:
			return nil
		}
	}
	return in
}

// steps splits a JSON pointer; ~1 is a slash.
func steps(pointer string) []string {
	parts := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i := range parts {
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(parts[i], "~1", "/"), "~0", "~")
	}
	return parts
}

// address is where the node takes a message of that name.
func (t *Talk) address(n string, first bool) string {
	base := t.area()
	f := t.forms()[n]
	if first {
		return base + f.path
	}
	return base + url.PathEscape(t.theirs) + "/" + f.path
}

func (t *Talk) area() string {
	if t.Transfer {
		return t.NodeBase + "/transfers/"
	}
	return t.NodeBase + "/negotiations/"
}
