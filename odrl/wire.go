package odrl

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"kakehashi/internal/strictjson"
)

// lists are the members that the protocol's schemas want as arrays, also for one.
var lists = words("permission prohibition obligation constraint and or xone andSequence")

// Wire gives rules as they may be sent (DSP 2025-1 section 4): lists are arrays,
// an action is a name, and a bare number or boolean as right operand carries its
// datatype. Rules that are so already come back byte for byte. What they say is
// the same before and after; raw must have passed Parse.
func Wire(raw []byte) ([]byte, error) {
	out, changed, err := wire(jsontext.Value(raw))
	if err != nil {
		return nil, bad("", err.Error())
	}
	if !changed {
		return raw, nil
	}
	return out, nil
}

func wire(v jsontext.Value) (out jsontext.Value, changed bool, err error) {
	if k := v.Kind(); k != '{' && k != '[' {
		return v, false, nil
	}
	dec := jsontext.NewDecoder(bytes.NewReader(v))
	open, err := dec.ReadToken()
	if err != nil {
		return nil, false, err
	}
	object := open.Kind() == '{'
	b := append(jsontext.Value(nil), '[')
	if object {
		b[0] = '{'
	}
	for first := true; dec.PeekKind() != '}' && dec.PeekKind() != ']'; first = false {
		if !first {
			b = append(b, ',')
		}
		name := ""
		if object {
			t, err := dec.ReadToken()
			if err != nil {
				return nil, false, err
			}
			name = t.String()
			if b, err = jsontext.AppendQuote(b, name); err != nil {
				return nil, false, err
			}
			b = append(b, ':')
		}
		in, err := dec.ReadValue()
		if err != nil {
			return nil, false, err
		}
		in = in.Clone()
		was := string(in)
		in = member(term(name), in)
		in, inner, err := wire(in)
		if err != nil {
			return nil, false, err
		}
		changed = changed || inner || string(in) != was
		b = append(b, in...)
	}
	switch {
	case !changed:
		return v, false, nil
	case object:
		return append(b, '}'), true, nil
	}
	return append(b, ']'), true, nil
}

// member writes one member's value in the form of the schemas.
func member(name string, v jsontext.Value) jsontext.Value {
	switch {
	case lists[name] && v.Kind() != '[':
		return append(append(jsontext.Value("["), v...), ']')
	case name == "action" && v.Kind() == '{':
		var id struct {
			ID string `json:"@id"`
		}
		if strictjson.Decode(v, &id) == nil && id.ID != "" {
			if q, err := jsontext.AppendQuote(nil, id.ID); err == nil {
				return q
			}
		}
	case name == "rightOperand" && v.Kind() == '[':
		var items []strictjson.Raw
		if strictjson.DecodeOpen(v, &items) != nil {
			return v
		}
		b := jsontext.Value("[")
		for i, item := range items {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, typed(jsontext.Value(item))...)
		}
		return append(b, ']')
	case name == "rightOperand":
		return typed(v)
	}
	return v
}

// typed writes a bare number or boolean with its datatype.
func typed(v jsontext.Value) jsontext.Value {
	datatype := ""
	switch s := string(v); v.Kind() {
	case 't', 'f':
		datatype = "xsd:boolean"
	case '0':
		switch {
		case strings.ContainsAny(s, "eE"):
			datatype = "xsd:double"
		case strings.Contains(s, "."):
			datatype = "xsd:decimal"
		default:
			datatype = "xsd:integer"
		}
	default:
		return v
	}
	return jsontext.Value(`{"@value":"` + string(v) + `","@type":"` + datatype + `"}`)
}
