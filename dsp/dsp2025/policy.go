package dsp2025

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"kakehashi/dsp/dsp2025/expanded"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

// Policy writes an Offer or an Agreement (typ) around rules: head is its own
// members (@id, target, assigner ...) in order, the members of rules follow byte
// for byte (DSP 2025-1 section 4). Names of head need no escape.
func Policy(typ string, rules strictjson.Raw, head ...[2]string) (strictjson.Raw, error) {
	b := []byte(`{"@type":"` + typ + `"`)
	for _, m := range head {
		b = append(b, `,"`+m[0]+`":`...)
		var err error
		if b, err = jsontext.AppendQuote(b, m[1]); err != nil {
			return nil, err
		}
	}
	rules = bytes.TrimSpace(rules)
	if len(rules) > 2 {
		return append(append(b, ','), rules[1:]...), nil
	}
	return append(b, '}'), nil
}

// Rules writes the rules of a policy as the schemas and the context of the
// standard want them: bare names where the context has them, actions and left
// operands that it lacks with the prefix odrl (bare, they mean nothing to a reader
// of JSON-LD such as EDC), lists as arrays, no number or boolean as a right
// operand. Rules that are so already come back byte for byte. The error is
// fault.BadMessage.
func Rules(rules strictjson.Raw) (strictjson.Raw, error) {
	var v any
	err := strictjson.DecodeOpen(rules, &v)
	if err == nil && compact("", v) {
		return rules, nil
	}
	const carrier = "ContractRequestMessage"
	var out []byte
	if err == nil {
		out, err = expanded.Compact([]byte(`{"@context":["`+ContextURL+`"],"@type":"`+carrier+`","offer":`+string(rules)+`}`), ContextURL, carrier)
	}
	var m struct {
		Offer map[string]any `json:"offer"`
	}
	if err == nil {
		err = strictjson.DecodeOpen(out, &m)
	}
	if err != nil {
		return nil, fault.BadMessage.At("/policy", "reason", err.Error())
	}
	return strictjson.Encode(texts("", m.Offer))
}

// compact says whether v, the member name of a policy, is in the form that the
// schemas want.
func compact(name string, v any) bool {
	switch v := v.(type) {
	case map[string]any:
		if name == "action" || name == "operator" || name == "leftOperand" || lists[name] {
			return false
		}
		for k, item := range v {
			if _, array := item.([]any); expanded.Member(k) || lists[k] && !array || !compact(k, item) {
				return false
			}
		}
	case []any:
		for _, item := range v {
			inner := name
			if lists[name] {
				inner = ""
			}
			if !compact(inner, item) {
				return false
			}
		}
	case string:
		switch bare := strings.TrimPrefix(v, "odrl:"); {
		case strings.HasPrefix(v, "http://www.w3.org/ns/odrl/2/"):
			return name != "operator" && !prefixed[name]
		case name == "operator":
			return bare == v
		case prefixed[name]:
			return v == vocabulary(bare)
		}
	case float64, bool:
		return name != "rightOperand"
	}
	return true
}

// prefixed are the members whose values the context of the standard names only in
// part.
var prefixed = map[string]bool{"action": true, "leftOperand": true}

// vocabulary is an action or a left operand of ODRL as the context makes it understood.
func vocabulary(bare string) string {
	if bare == "" || bare == "use" || bare[0] == '@' || strings.Contains(bare, ":") {
		return bare
	}
	return "odrl:" + bare
}

// lists are the members of a policy that hold objects.
var lists = map[string]bool{"permission": true, "prohibition": true, "obligation": true, "duty": true, "constraint": true,
	"and": true, "or": true, "xone": true, "andSequence": true}

// texts writes numbers and booleans among right operands as typed texts, and names
// as the context wants them.
func texts(name string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = texts(k, v[k])
		}
	case []any:
		for i := range v {
			v[i] = texts(name, v[i])
		}
	case string:
		if prefixed[name] {
			return vocabulary(v)
		}
	case bool:
		if name == "rightOperand" {
			return map[string]any{"@value": strconv.FormatBool(v), "@type": "xsd:boolean"}
		}
	case float64:
		if name == "rightOperand" {
			typ := "xsd:decimal"
			if v == math.Trunc(v) {
				typ = "xsd:integer"
			}
			return map[string]any{"@value": strconv.FormatFloat(v, 'f', -1, 64), "@type": typ}
		}
	}
	return v
}
