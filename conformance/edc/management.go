package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// object is a JSON object of EDC's management API.
type object map[string]any

// The names in EDC's requests.
var (
	names    = object{"@vocab": "https://w3id.org/edc/v0.0.1/ns/", "odrl": "http://www.w3.org/ns/odrl/2/"}
	protocol = "dataspace-protocol-http:2025-1"
)

// call sends one request to the management API and reads its answer into out.
func (c *connector) call(ctx context.Context, method, path string, body object, out any) error {
	var r io.Reader
	if body != nil {
		if body["@context"] == nil {
			body["@context"] = names
		}
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.management+path, r)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("EDC %s: %w", c.id, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("EDC %s: %w", c.id, err)
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("EDC %s answers %s %s with %d: %.600s", c.id, method, path, resp.StatusCode, b)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("EDC %s answers %s %s with what is no JSON: %.200s", c.id, method, path, b)
	}
	return nil
}

// made is the answer to what was created.
type made struct {
	ID string `json:"@id"`
}

// provide offers an asset that EDC reads at source under the rules of a policy.
func (c *connector) provide(ctx context.Context, asset, source string, rules object) error {
	if err := c.call(ctx, http.MethodPost, "/assets", object{"@id": asset, "properties": object{"name": "Asset " + asset},
		"dataAddress": object{"type": "HttpData", "baseUrl": source}}, nil); err != nil {
		return err
	}
	policy := object{"@context": "http://www.w3.org/ns/odrl.jsonld", "@type": "Set"}
	for k, v := range rules {
		policy[k] = v
	}
	if err := c.call(ctx, http.MethodPost, "/policydefinitions", object{"@id": "terms-" + asset, "policy": policy}, nil); err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, "/contractdefinitions", object{"@id": "contract-" + asset,
		"accessPolicyId": "terms-" + asset, "contractPolicyId": "terms-" + asset,
		"assetsSelector": []any{object{"@type": "Criterion", "operandLeft": "https://w3id.org/edc/v0.0.1/ns/id", "operator": "=", "operandRight": asset}}}, nil)
}

// partner is whom an EDC talks to.
type partner struct{ id, base string }

// offer is an offer as EDC's catalogue shows it, ready to be asked for.
type offer struct {
	dataset string
	id      string
	formats []string
	policy  object // with its parties, its target and its rules as EDC wrote them
}

// many reads a member that JSON-LD writes as one value or as an array.
func many(v any) []object {
	var out []object
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			if m, ok := x.(map[string]any); ok {
				out = append(out, m)
			}
		}
	case map[string]any:
		out = append(out, v)
	}
	return out
}

// member reads a member whatever prefix it has.
func (o object) member(name string) any {
	for k, v := range o {
		if k == name || strings.HasSuffix(k, ":"+name) {
			return v
		}
	}
	return nil
}

func (o object) text(name string) string {
	switch v := o.member(name).(type) {
	case string:
		return v
	case map[string]any:
		s, _ := v["@id"].(string)
		return s
	}
	return ""
}

// catalog asks a partner for its catalogue and gives one dataset's offers by their order.
func (c *connector) catalog(ctx context.Context, p partner, dataset string) ([]offer, error) {
	var answer object
	if err := c.call(ctx, http.MethodPost, "/catalog/request", object{"counterPartyAddress": p.base, "counterPartyId": p.id, "protocol": protocol,
		"querySpec": object{"offset": 0, "limit": 500}}, &answer); err != nil {
		return nil, err
	}
	var out []offer
	for _, d := range many(answer.member("dataset")) {
		if d["@id"] != dataset {
			continue
		}
		var formats []string
		for _, f := range many(d.member("distribution")) {
			formats = append(formats, f.text("format"))
		}
		for _, o := range many(d.member("hasPolicy")) {
			// EDC shows the catalogue as it came. A user adds the parties and
			// ODRL's context, since the catalogue's own means nothing outside it.
			o["@context"], o["assigner"], o["target"] = "http://www.w3.org/ns/odrl.jsonld", p.id, dataset
			id, _ := o["@id"].(string)
			out = append(out, offer{dataset: dataset, id: id, formats: formats, policy: o})
		}
	}
	if len(out) == 0 {
		b, _ := json.Marshal(answer)
		return nil, fmt.Errorf("EDC %s does not see an offer of %s in the catalogue of %s: %.600s", c.id, dataset, p.id, b)
	}
	return out, nil
}

// negotiate asks for an offer and gives the id of EDC's negotiation.
func (c *connector) negotiate(ctx context.Context, p partner, policy object) (string, error) {
	var m made
	err := c.call(ctx, http.MethodPost, "/contractnegotiations", object{"counterPartyAddress": p.base, "protocol": protocol, "policy": policy}, &m)
	return m.ID, err
}

// transfer asks for the data of an agreement; what happens is told to callback.
func (c *connector) transfer(ctx context.Context, p partner, agreement, format, callback, destination string) (string, error) {
	body := object{"counterPartyAddress": p.base, "counterPartyId": p.id, "protocol": protocol, "contractId": agreement, "transferType": format,
		"callbackAddresses": []any{object{"uri": callback, "events": []string{"transfer.process"}, "transactional": false}}}
	if destination != "" {
		body["dataDestination"] = object{"type": "HttpData", "baseUrl": destination}
	}
	var m made
	err := c.call(ctx, http.MethodPost, "/transferprocesses", body, &m)
	return m.ID, err
}

// process is a negotiation or a transfer as EDC shows it.
type process struct {
	ID        string `json:"@id"`
	State     string `json:"state"`
	Peer      string `json:"correlationId"`
	Agreement string `json:"contractAgreementId"`
	Error     string `json:"errorDetail"`
}

// is says whether a process is in state. A provider's transfer that ended shows
// only that EDC clears up after it; which end it was, our side tells.
func (p process) is(state string) bool {
	return p.State == state || strings.HasPrefix(p.State, "DEPROVISION") && final(state)
}

func final(state string) bool {
	return state == "TERMINATED" || state == "COMPLETED" || state == "FINALIZED"
}

// The two kinds of processes, as paths.
const (
	negotiations = "/contractnegotiations"
	transfers    = "/transferprocesses"
)

// byPeer finds EDC's process by our id of it.
func (c *connector) byPeer(ctx context.Context, kind, peer string) (process, error) {
	var found []process
	if err := c.call(ctx, http.MethodPost, kind+"/request", object{"@type": "QuerySpec", "filterExpression": []any{object{"@type": "Criterion",
		"operandLeft": "correlationId", "operator": "=", "operandRight": peer}}}, &found); err != nil {
		return process{}, err
	}
	if len(found) != 1 {
		return process{}, fmt.Errorf("EDC %s has %d of %s with our id %s", c.id, len(found), kind, peer)
	}
	return found[0], nil
}

// await reads a process until it is in state; an end before that is an error that
// says why.
func (c *connector) await(ctx context.Context, kind, id, state string) (process, error) {
	for {
		var p process
		if err := c.call(ctx, http.MethodGet, kind+"/"+url.PathEscape(id), nil, &p); err != nil {
			return p, err
		}
		switch {
		case p.is(state):
			return p, nil
		case final(p.State), p.is("COMPLETED"):
			return p, fmt.Errorf("EDC's %s is %s, not %s: %s", strings.Trim(kind, "/"), p.State, state, p.Error)
		}
		select {
		case <-ctx.Done():
			return p, fmt.Errorf("EDC's %s %s is still %s, not %s: %w", strings.Trim(kind, "/"), id, p.State, state, context.Cause(ctx))
		case <-time.After(c.poll):
		}
	}
}

// end asks EDC to terminate, suspend or resume a process.
func (c *connector) end(ctx context.Context, kind, id, action, reason string) error {
	what := map[string]string{"terminate": "TerminateTransfer", "suspend": "SuspendTransfer", "resume": ""}[action]
	if kind == negotiations {
		what = "TerminateNegotiation"
	}
	body := object{"reason": reason}
	if what != "" {
		body["@type"] = what
	}
	if what == "TerminateNegotiation" {
		body["@id"] = id
	}
	return c.call(ctx, http.MethodPost, kind+"/"+url.PathEscape(id)+"/"+action, body, nil)
}
