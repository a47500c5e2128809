package expanded

import (
	"encoding/json"
	"strings"

	"kakehashi/internal/strictjson"
)

// The vocabularies of the edition.
const (
	dspace      = "https://w3id.org/dspace/2025/1/"
	odrl        = "http://www.w3.org/ns/odrl/2/"
	dcat        = "http://www.w3.org/ns/dcat#"
	dct         = "http://purl.org/dc/terms/"
	xsd         = "http://www.w3.org/2001/XMLSchema#"
	edc         = "https://w3id.org/edc/v0.0.1/ns/"
	unexplained = "urn:kakehashi:unexplained:"
)

// form is how a member is written in the compact form.
type form int

const (
	anything form = iota // as it is said, an array if there are several
	text                 // a string: an id or a literal
	word                 // a string: a name of a vocabulary, without it
	one                  // an object
	many                 // an array of objects
	list                 // an array of anything
	right                // a right operand: a value, or an array of them
	names                // one string or an array of them
)

// forms are the members of messages and objects, policies included.
var forms = map[string]form{
	"providerPid": text, "consumerPid": text, "callbackAddress": text, "agreementId": text, "code": text, "format": word,
	"participantId": text, "endpoint": text, "endpointType": word, "endpointURL": text, "name": text, "value": text, "accessService": text,
	"target": text, "assigner": text, "assignee": text, "timestamp": text,
	"state": word, "eventType": word, "action": word, "operator": word, "leftOperand": word,
	"offer": one, "agreement": one, "dataAddress": one,
	"dataset": many, "catalog": many, "service": many, "distribution": many, "hasPolicy": many, "endpointProperties": many,
	"permission": many, "prohibition": many, "obligation": many, "duty": many, "constraint": many,
	"and": many, "or": many, "xone": many, "andSequence": many,
	"reason": list, "filter": list, "rightOperand": right, "profile": names,
}

// Member says whether name, as it stands in a document with the context of the
// standard, is a member of the protocol in another spelling than the compact
// one: with a prefix or as an IRI.
func Member(name string) bool {
	if !strings.Contains(name, ":") {
		return false
	}
	for _, p := range [...][2]string{{"dspace:", dspace}, {"odrl:", odrl}, {"dcat:", dcat}, {"dct:", dct}} {
		if rest, ok := strings.CutPrefix(name, p[0]); ok {
			name = p[1] + rest
			break
		}
	}
	_, ok := forms[short(name)]
	return ok
}

// short is the compact name of an IRI: that of the standard, else one with
// Dublin Core's prefix, else the IRI.
func short(iri string) string {
	for _, ns := range [...]string{dspace, odrl, dcat, unexplained} {
		if rest, ok := strings.CutPrefix(iri, ns); ok && rest != "" && rest[0] != '@' {
			return rest
		}
	}
	if rest, ok := strings.CutPrefix(iri, dct); ok && rest != "" {
		if rest == "format" {
			return rest
		}
		return "dct:" + rest
	}
	return iri
}

// node writes an expanded object.
func node(m map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(m)+1)
	for iri, v := range m {
		switch {
		case iri == "@id":
			out["@id"] = strings.TrimPrefix(str(v), unexplained)
			continue
		case iri == "@type":
			if types, ok := v.([]any); ok && len(types) > 0 {
				out["@type"] = typeOf(types)
			}
			continue
		case iri == "@index":
			continue
		case strings.HasPrefix(iri, "@"):
			return nil, refuse("", "the keyword "+quoted(iri)+" is not understood in a message")
		}
		items, ok := v.([]any)
		if !ok {
			items = []any{v}
		}
		name := short(iri)
		c, err := member(name, items)
		if err != nil {
			return nil, err
		}
		if c == nil {
			continue
		}
		// Two IRIs with one name are said twice; neither may silently win.
		if _, twice := out[name]; twice {
			return nil, refuse("/"+name, "it is said twice")
		}
		out[name] = c
	}
	return out, nil
}

// typeOf is the one type that the compact form has: of several, one of the
// standard's vocabularies.
func typeOf(types []any) string {
	for _, t := range types {
		if s := str(t); short(s) != s && !strings.HasPrefix(s, unexplained) && !strings.HasPrefix(s, dct) {
			return short(s)
		}
	}
	return short(str(types[0]))
}

// member writes the values of a member by its form; nil leaves it out.
func member(name string, items []any) (any, error) {
	f := forms[name]
	if f != anything && f != right {
		items = flat(items)
	}
	write := func(item any) (any, error) { return value(f, item) }
	switch {
	case f == many || f == list:
		return each(items, write)
	case f == right && len(items) == 1 && listed(items[0]) != nil:
		return each(listed(items[0]), write)
	case len(items) == 1:
		return write(items[0])
	case len(items) == 0 && f != anything:
		return nil, nil
	case f == text || f == word || f == one:
		return nil, refuse("/"+name, "one value is expected, there are several")
	}
	return each(items, write)
}

func each(items []any, write func(any) (any, error)) (any, error) {
	out := make([]any, 0, len(items))
	for _, item := range items {
		if item == nil { // JSON-LD knows no null in a list
			continue
		}
		v, err := write(item)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// flat takes the items out of lists: the order of an array is kept anyway.
func flat(items []any) []any {
	out := make([]any, 0, len(items))
	for _, item := range items {
		if l := listed(item); l != nil {
			out = append(out, l...)
			continue
		}
		out = append(out, item)
	}
	return out
}

// listed are the items of a list, nil if v is none.
func listed(v any) []any {
	m, _ := v.(map[string]any)
	l, ok := m["@list"].([]any)
	if !ok {
		return nil
	}
	return append([]any{}, l...)
}

func value(f form, v any) (any, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return numbers(v), nil
	}
	if _, ok := m["@value"]; ok {
		return literal(f, m), nil
	}
	if l := listed(m); l != nil {
		items, err := each(l, func(item any) (any, error) { return value(f, item) })
		return map[string]any{"@list": items}, err
	}
	if id, alone := reference(m); alone {
		switch f {
		case text:
			return strings.TrimPrefix(id, unexplained), nil
		case word, names:
			return name(id), nil
		}
	}
	return node(m)
}

// reference is the id of an object that says nothing else but perhaps its type.
func reference(m map[string]any) (string, bool) {
	id, ok := m["@id"].(string)
	for k := range m {
		ok = ok && (k == "@id" || k == "@type" || k == "@index")
	}
	return id, ok
}

// name takes the vocabulary off a word.
func name(iri string) string {
	for _, ns := range [...]string{dspace, odrl, unexplained} {
		if rest, ok := strings.CutPrefix(iri, ns); ok && rest != "" {
			return rest
		}
	}
	return iri
}

func literal(f form, m map[string]any) any {
	v := m["@value"]
	s, isText := v.(string)
	v = numbers(v)
	switch {
	case f == word && isText:
		return prefixed(s)
	case (f == text || f == names) && isText:
		return s
	}
	out := map[string]any{"@value": v}
	for _, k := range []string{"@type", "@language", "@direction"} {
		if t, ok := m[k].(string); ok {
			out[k] = t
			if rest, ok := strings.CutPrefix(t, xsd); ok && k == "@type" {
				out[k] = "xsd:" + rest
			}
		}
	}
	if len(out) == 1 {
		return v
	}
	return out
}

// prefixed takes the prefix or IRI off a word that came as a literal, where no
// context expands it.
func prefixed(s string) string {
	for _, p := range []string{"dspace:", "odrl:"} {
		if rest, ok := strings.CutPrefix(s, p); ok && rest != "" {
			return rest
		}
	}
	return name(s)
}

// numbers writes numbers as they were.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		return strictjson.Raw(v)
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}

func str(v any) string {
	s, _ := v.(string)
	return s
}
