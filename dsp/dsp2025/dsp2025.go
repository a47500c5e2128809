// Package dsp2025 is the wire format of the Dataspace Protocol 2025-1: its
// messages and objects, strict when written, tolerant when read: further members,
// and any form of JSON-LD (package expanded). Received bytes are the caller's to
// keep.
//
// It is not for states, rules of sequence, HTTP or policy. Another edition of
// the protocol is another package beside it.
package dsp2025

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"kakehashi/dsp/dsp2025/expanded"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

const (
	// Version is the version's name in version documents.
	Version = "2025-1"
	// ContextURL is the JSON-LD context of this edition.
	ContextURL = "https://w3id.org/dspace/2025/1/context.jsonld"
	namespace  = "https://w3id.org/dspace/2025/1/"
)

// known contexts do not rename terms of the protocol, so that a message which
// names no other can be read as plain JSON.
var known = map[string]bool{
	ContextURL: true,
	"https://w3id.org/dspace/2025/1/odrl-profile.jsonld": true,
	"https://w3id.org/edc/dspace/v0.0.1":                 true,
}

// Paths below the base URL.
const (
	PathCatalogRequest = "/catalog/request"
	PathDatasets       = "/catalog/datasets/"
)

// Head is what each message and top-level object begins with. Marshal fills
// Context and Type. Further is Decode's own: the members that the type does not
// declare, empty when it returns.
type Head struct {
	Context strictjson.Raw `json:"@context,omitzero"`
	Type    string         `json:"@type"`
	Further strictjson.Raw `json:",embed"`
}

func (h *Head) head() *Head { return h }

// further empties what Decode looked at and says whether a member of the
// protocol was among it.
func (h *Head) further(m Message) bool {
	found := spelled(h.Further)
	h.Further = nil
	if p, ok := m.(interface{ parts() []*Head }); ok {
		for _, part := range p.parts() {
			found = part.further(nil) || found
		}
	}
	return found
}

// Message is a message or a top-level object.
type Message interface {
	head() *Head
	typeName() string
	// check tells the JSON pointer and the reason of the first member that is
	// not as the standard wants it.
	check() (pointer, reason string)
}

var context = strictjson.Raw(`["` + ContextURL + `"]`)

// strict is what some types check when they are written only: what a
// counterpart leaves out of a catalogue shall not make all of it unreadable.
type strict interface {
	whole() (pointer, reason string)
}

// Marshal writes m compactly with its context and type. Nested raw policies go
// out as they are. What the standard requires and m lacks is an error.
func Marshal(m Message) ([]byte, error) {
	h := m.head()
	h.Context, h.Type = context, m.typeName()
	if pointer, reason := m.check(); reason != "" {
		return nil, fault.BadMessage.At(pointer, "reason", reason)
	}
	if s, ok := m.(strict); ok {
		if pointer, reason := s.whole(); reason != "" {
			return nil, fault.BadMessage.At(pointer, "reason", reason)
		}
	}
	return strictjson.Encode(m)
}

// Decode reads one message or object of type T. Doubled members are refused,
// further members passed over. A compact message is read as plain JSON; one in
// another form of JSON-LD is written compactly first (package expanded), its
// policies too, while those of a compact message stay as they arrived. Every
// error is fault.BadMessage with the JSON pointer as its place.
func Decode[T any](b []byte) (T, error) {
	v, other, err := plain[T](b)
	if !other {
		return v, err
	}
	return slow[T](b, err)
}

// plain reads a compact message. other tells that it may be another form of
// JSON-LD; err is then what stands in its way if it is meant to be compact.
func plain[T any](b []byte) (v T, other bool, err error) {
	m, ok := any(&v).(Message)
	if !ok {
		return v, false, fmt.Errorf("dsp2025: %T is no message of the protocol", v)
	}
	if err := strictjson.DecodeOpen(b, &v); err != nil {
		var at string
		reason := err.Error()
		if e, ok := err.(*strictjson.Error); ok {
			at, reason = e.Pointer, e.Reason
			other = e.Form
		}
		return v, other, fault.BadMessage.At(at, "reason", reason)
	}
	h := m.head()
	if reason, inline := readContext(h.Context); reason != "" {
		none := len(h.Context) == 0 && (strings.Contains(h.Type, ":") || spelled(h.Further))
		return v, inline || none, fault.BadMessage.At("/@context", "reason", reason)
	}
	if got := bare(h.Type); got != m.typeName() && !alike(m.typeName(), got) {
		return v, strings.Contains(got, ":") || h.Type == "" && spelled(h.Further),
			fault.BadMessage.At("/@type", "reason", "the type is "+quoted(h.Type)+", expected here is "+m.typeName())
	}
	if h.further(m) {
		return v, true, nil
	}
	if pointer, reason := m.check(); reason != "" {
		return v, false, fault.BadMessage.At(pointer, "reason", reason)
	}
	return v, false, nil
}

// slow reads what is not compact. compact is the fault of the compact reading;
// it is the one to tell of a message with nothing but known contexts.
func slow[T any](b []byte, compact error) (T, error) {
	var none T
	m, _ := any(&none).(Message)
	types := []string{m.typeName()}
	if alike(types[0], terminated) {
		types = append(types, terminated)
	}
	out, err := expanded.Compact(b, ContextURL, types...)
	if err == nil {
		var v T
		if v, _, err = plain[T](out); err == nil {
			return v, nil
		}
	}
	if compact != nil && fault.Of(compact).Place != "" && fault.Of(compact).Place != "/@context" && fault.Of(compact).Place != "/@type" {
		return none, compact
	}
	var e *expanded.Error
	if errors.As(err, &e) {
		err = fault.BadMessage.At(e.Pointer, "reason", e.Reason)
	}
	return none, err
}

// spellings are what a name of the protocol begins with where it is not bare.
var spellings = [][]byte{[]byte(`"dspace:`), []byte(`"odrl:`), []byte(`"dcat:`), []byte(`"dct:format"`),
	[]byte(`"` + namespace), []byte(`"http://www.w3.org/ns/`), []byte(`"http://purl.org/dc/terms/format"`)}

// spelled says whether an object holds members of the protocol under prefixed or
// full names.
func spelled(further strictjson.Raw) bool {
	if !slices.ContainsFunc(spellings, func(s []byte) bool { return bytes.Contains(further, s) }) {
		return false
	}
	dec := jsontext.NewDecoder(bytes.NewReader(further))
	if _, err := dec.ReadToken(); err != nil {
		return false
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return false
		}
		if expanded.Member(name.String()) {
			return true
		}
		if dec.SkipValue() != nil {
			return false
		}
	}
	return false
}

// alike lets a termination stand at a suspension's address: the compatibility
// kit sends one, and the path decides.
func alike(want, got string) bool {
	return want == "TransferSuspensionMessage" && got == terminated
}

const terminated = "TransferTerminationMessage"

// readContext is the reason why a context does not make plain JSON of the
// message; inline tells that it has a form other than an array of URLs.
func readContext(raw strictjson.Raw) (reason string, inline bool) {
	const form = "only an array of known URLs is understood in compact JSON"
	if len(raw) == 0 {
		return "it is missing; it must name " + ContextURL, false
	}
	var list []string
	switch raw.Kind() {
	case '"':
		var one string
		if strictjson.Decode(raw, &one) != nil {
			return "it is not a valid string", false
		}
		list = []string{one}
	case '[':
		if strictjson.Decode(raw, &list) != nil {
			return form, true
		}
	case '{':
		return form, true
	default:
		return form, false
	}
	found := false
	for _, u := range list {
		if !known[u] {
			return "the context " + quoted(u) + " is not known here", false
		}
		found = found || u == ContextURL
	}
	if !found {
		return "it does not name " + ContextURL, false
	}
	return "", false
}

// bare takes the prefixes off a term of the protocol's vocabulary.
func bare(s string) string {
	s = strings.TrimPrefix(s, namespace)
	return strings.TrimPrefix(s, "dspace:")
}

// State is a state or event name without a prefix: "dspace:REQUESTED" and the
// full IRI are REQUESTED.
func State(s string) string { return bare(s) }

// maxID bounds ids of other parties.
const maxID = 2048

// need is the reason why an id or name cannot be taken, "" if it can.
func need(s string) string {
	switch {
	case s == "":
		return "a non-empty string is required"
	case len(s) > maxID:
		return "longer than 2048 bytes"
	}
	return ""
}

func optional(s string) string {
	if s == "" {
		return ""
	}
	return need(s)
}

func quoted(s string) string {
	if len(s) > 100 {
		s = s[:100] + "..."
	}
	return `"` + strings.ToValidUTF8(s, "?") + `"`
}

// first gives the first pair of pointer and reason whose reason is not empty.
func first(pairs ...string) (string, string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			return pairs[i], pairs[i+1]
		}
	}
	return "", ""
}

func object(raw strictjson.Raw) string {
	if raw.Kind() != '{' {
		return "an object is required"
	}
	return ""
}

// oneOf is the reason why s is none of the names, "" if it is one.
func oneOf(s string, names ...string) string {
	if slices.Contains(names, s) {
		return ""
	}
	return "one of " + strings.Join(names, ", ") + " is required"
}

// Reasons are the reasons of an error body. They are written as strings; a
// counterpart may also send objects, such as texts with a language, or one
// reason without an array (DSP 2025-1 leaves the items open).
type Reasons []string

// UnmarshalJSON takes the text of each reason, or its JSON where it has none.
func (r *Reasons) UnmarshalJSON(b []byte) error {
	items := []strictjson.Raw{b}
	if strictjson.Raw(b).Kind() == '[' {
		if err := strictjson.DecodeOpen(b, &items); err != nil {
			return err
		}
	}
	*r = make(Reasons, 0, len(items))
	for _, item := range items {
		s := Text(item)
		if s == "" {
			s = string(item)
		}
		*r = append(*r, s)
	}
	return nil
}
