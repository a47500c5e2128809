// Package expanded reads messages of the Dataspace Protocol 2025-1 that are
// written as other JSON-LD than its compact form: with inline contexts, prefixed
// or full names, or fully expanded. It expands them with the contexts that the
// program carries and writes them as the schemas of the standard show them.
//
// It is the slow path of package dsp2025 and is not for messages that are
// compact already. It never asks the network for a context, and it knows the
// vocabulary of this edition only: names of 2024-1 stay what they are.
package expanded

import (
	"fmt"
	"slices"
	"strings"

	"github.com/piprate/json-gold/ld"

	"kakehashi/internal/strictjson"
)

// Error says why a document is not read; Pointer is where, as far as known.
type Error struct{ Pointer, Reason string }

func (e *Error) Error() string { return e.Reason }

func refuse(pointer, reason string) error { return &Error{pointer, reason} }

// Compact gives the document b, a single message or object of one of the types,
// in the compact form of the standard: bare names, members that are lists as
// arrays, ids and texts as strings, words of the vocabularies without prefix.
// Members that no context explains keep their names. context is the URL that
// the result names. What is said twice, in whatever spelling, is refused by
// whoever reads the result, since it is an array there. Every error is an *Error.
func Compact(b []byte, context string, types ...string) ([]byte, error) {
	typed := maxTyped
	if types[0] == "Catalog" || types[0] == "Dataset" {
		typed = maxTypedCatalog
	}
	doc, err := tree(b, typed)
	if err != nil {
		return nil, err
	}
	nodes, err := expand(doc)
	if err != nil {
		return nil, err
	}
	if len(nodes) != 1 {
		return nil, refuse("", fmt.Sprintf("%d objects at the top; one message is expected", len(nodes)))
	}
	root, ok := nodes[0].(map[string]any)
	if !ok {
		return nil, refuse("", "an object is expected")
	}
	typ, err := rootType(root, types)
	if err != nil {
		return nil, err
	}
	out, err := node(root)
	if err != nil {
		return nil, err
	}
	out["@context"], out["@type"] = []string{context}, typ
	compact, err := strictjson.Encode(out)
	if err != nil {
		return nil, refuse("", err.Error())
	}
	return compact, nil
}

// expand runs the expansion of JSON-LD 1.1. unexplained stands in for a default
// vocabulary, so that nothing that was said is lost on the way: what no context
// explains is kept under its own name, and read or refused like any other.
func expand(doc any) (nodes []any, err error) {
	defer func() {
		if r := recover(); r != nil { // the library does not promise to take any input
			nodes, err = nil, refuse("", "it cannot be expanded as JSON-LD")
		}
	}()
	o := ld.NewJsonLdOptions("")
	o.ProcessingMode = ld.JsonLd_1_1
	o.DocumentLoader = embedded{}
	o.ExpandContext = map[string]any{"@vocab": unexplained}
	nodes, lerr := ld.NewJsonLdProcessor().Expand(doc, o)
	if lerr != nil {
		if u, ok := unknown(lerr); ok {
			return nil, refuse("/@context", "the context "+quoted(u)+" is not known here")
		}
		return nil, refuse("/@context", "it cannot be expanded as JSON-LD: "+clip(lerr.Error()))
	}
	return nodes, nil
}

// rootType finds the message's type among those wanted. It must come from the
// vocabulary of this edition: a bare name without its context says nothing.
func rootType(root map[string]any, wanted []string) (string, error) {
	iris, _ := root["@type"].([]any)
	var names []string
	for _, t := range iris {
		iri, _ := t.(string)
		for _, ns := range []string{dspace, dcat} {
			if name, ok := strings.CutPrefix(iri, ns); ok && slices.Contains(wanted, name) {
				return name, nil
			}
		}
		names = append(names, iri)
	}
	if len(names) == 0 {
		return "", refuse("/@type", "it is missing, expected here is "+wanted[0])
	}
	name := names[0]
	if bare, ok := strings.CutPrefix(name, unexplained); ok {
		return "", refuse("/@type", "no context explains the type "+quoted(bare)+", expected here is "+dspace+wanted[0])
	}
	if strings.HasPrefix(name, "https://w3id.org/dspace/") && !strings.HasPrefix(name, dspace) {
		return "", refuse("/@type", "the type "+quoted(name)+" is of another edition of the protocol; only 2025-1 is spoken here")
	}
	return "", refuse("/@type", "the type is "+quoted(name)+", expected here is "+wanted[0])
}

func quoted(s string) string { return `"` + clip(s) + `"` }

func clip(s string) string {
	if len(s) > 160 {
		s = s[:160] + "..."
	}
	return strings.ToValidUTF8(s, "?")
}
