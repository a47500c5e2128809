package expanded

import (
	"errors"
	"sync"

	"github.com/piprate/json-gold/ld"

	"kakehashi/dsp/dsp2025/published"
	"kakehashi/internal/strictjson"
)

// embedded hands out the published contexts and no others.
type embedded struct{}

// missing is the error for a context that is not at hand.
type missing struct{ url string }

func (e *missing) Error() string {
	return "the context " + e.url + " is not at hand and is not fetched"
}

var contexts = sync.OnceValues(func() (map[string]any, error) {
	out := map[string]any{}
	for url, raw := range published.Contexts() {
		var v any
		if err := strictjson.DecodeOpen(raw, &v); err != nil {
			return nil, err
		}
		out[url] = v
	}
	return out, nil
})

// scopes are the terms of the published contexts that bring a context of their
// own.
var scopes = sync.OnceValues(func() (map[string]bool, error) {
	all, err := contexts()
	out := map[string]bool{}
	for _, doc := range all {
		top, _ := doc.(map[string]any)
		terms, _ := top["@context"].(map[string]any)
		for name, v := range terms {
			if def, ok := v.(map[string]any); ok && def["@context"] != nil {
				out[name] = true
			}
		}
	}
	return out, err
})

// LoadDocument gives a copy: the library writes into what it imports.
func (embedded) LoadDocument(url string) (*ld.RemoteDocument, error) {
	all, err := contexts()
	if err != nil {
		return nil, err
	}
	doc, ok := all[url]
	if !ok {
		return nil, &missing{url}
	}
	return &ld.RemoteDocument{DocumentURL: url, Document: ld.CloneDocument(doc)}, nil
}

// unknown is the URL of the context that the expansion lacked.
func unknown(err error) (string, bool) {
	var m *missing
	if errors.As(err, &m) {
		return m.url, true
	}
	return "", false
}
