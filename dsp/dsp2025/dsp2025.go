// Package dsp2025 is the wire format of the Dataspace Protocol 2025-1: its
// messages and objects, strict when written, tolerant of further members when
// read. Received bytes are the caller's to keep.
//
// It is not for states, rules of sequence, HTTP or policy. Another edition of
// the protocol is another package beside it.
package dsp2025

import (
	"fmt"
	"slices"
	"strings"

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
// Context and Type.
type Head struct {
	Context strictjson.Raw `json:"@context,omitzero"`
	Type    string         `json:"@type"`
}

func (h *Head) head() *Head { return h }

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
// further members passed over. Every error is fault.BadMessage with the JSON
// pointer as its place.
func Decode[T any](b []byte) (T, error) {
	var v T
	m, ok := any(&v).(Message)
	if !ok {
		return v, fmt.Errorf("dsp2025: %T is no message of the protocol", v)
	}
	if err := strictjson.DecodeOpen(b, &v); err != nil {
		var at string
		reason := err.Error()
		if e, ok := err.(*strictjson.Error); ok {
			at, reason = e.Pointer, e.Reason
		}
		return v, fault.BadMessage.At(at, "reason", reason)
	}
	h := m.head()
	if reason := readContext(h.Context); reason != "" {
		return v, fault.BadMessage.At("/@context", "reason", reason)
	}
	if got := bare(h.Type); got != m.typeName() && !alike(m.typeName(), got) {
		return v, fault.BadMessage.At("/@type", "reason", "the type is "+quoted(h.Type)+", expected here is "+m.typeName())
	}
	if pointer, reason := m.check(); reason != "" {
		return v, fault.BadMessage.At(pointer, "reason", reason)
	}
	return v, nil
}

// alike lets a termination stand at a suspension's address: the compatibility
// kit sends one, and the path decides.
func alike(want, got string) bool {
	return want == "TransferSuspensionMessage" && got == "TransferTerminationMessage"
}

func readContext(raw strictjson.Raw) string {
	if len(raw) == 0 {
		return "it is missing; it must name " + ContextURL
	}
	var list []string
	switch raw.Kind() {
	case '"':
		var one string
		if strictjson.Decode(raw, &one) != nil {
			return "it is not a valid string"
		}
		list = []string{one}
	case '[':
		if strictjson.Decode(raw, &list) != nil {
			return "only an array of known URLs is understood, no inline context"
		}
	default:
		return "only an array of known URLs is understood, no inline context"
	}
	found := false
	for _, u := range list {
		if !known[u] {
			return "the context " + quoted(u) + " is not known here"
		}
		found = found || u == ContextURL
	}
	if !found {
		return "it does not name " + ContextURL
	}
	return ""
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
