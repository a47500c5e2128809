package expanded

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"kakehashi/internal/strictjson"
)

// Limits of a document that is expanded. The cost of an expansion grows with
// the objects times the terms of the contexts that apply to them, not with the
// bytes, so that a small message could keep a core busy for long without them.
const (
	MaxBytes    = 4 << 20  // a page of a catalogue
	MaxDepth    = 32       // objects and arrays in each other
	MaxValues   = 50_000   // objects, arrays, names and values
	MaxObjects  = 10_000   // of them, objects
	MaxContexts = 32       // inline contexts
	maxContext  = 16 << 10 // bytes of all inline contexts
	maxTypes    = 16       // types of one object
	// Types with a context of their own, which is worked through at each object:
	// some 0.2 ms. A catalogue has many of them, a message few.
	maxTyped        = 256
	maxTypedCatalog = 4_000
)

// keywords are those of JSON-LD that a message may use.
const keywords = "@context @id @type @value @language @direction @list @set @index "

type reader struct {
	dec      *jsontext.Decoder
	values   int
	objects  int
	contexts int
	context  int // bytes
	scoped   map[string]bool
	typed    int
	maxTyped int
}

// tree reads b as the library wants it, within the limits. Numbers keep their
// text; doubled names are refused.
func tree(b []byte, maxTyped int) (any, error) {
	if len(b) > MaxBytes {
		return nil, refuse("", "it is larger than "+strconv.Itoa(MaxBytes)+" bytes, the limit for what is not compact JSON")
	}
	scoped, err := scopes()
	if err != nil {
		return nil, refuse("", err.Error())
	}
	r := reader{dec: jsontext.NewDecoder(bytes.NewReader(b)), scoped: scoped, maxTyped: maxTyped}
	if k := r.dec.PeekKind(); k != '{' && k != '[' {
		return nil, refuse("", "an object is expected")
	}
	v, err := r.value(false)
	if err != nil {
		return nil, err
	}
	if _, err := r.dec.ReadToken(); err == nil || r.dec.InputOffset() < int64(len(bytes.TrimRight(b, " \t\r\n"))) {
		return nil, refuse("", "there is more after the document")
	}
	return v, nil
}

func (r *reader) value(isType bool) (any, error) {
	if r.values++; r.values > MaxValues {
		return nil, r.over("values", MaxValues)
	}
	switch r.dec.PeekKind() {
	case '{':
		if r.objects++; r.objects > MaxObjects {
			return nil, r.over("objects", MaxObjects)
		}
		return r.object()
	case '[':
		return r.array(isType)
	}
	tok, err := r.dec.ReadToken()
	if err != nil {
		return nil, r.bad(err)
	}
	switch tok.Kind() {
	case '"':
		s := tok.String()
		if r.scoped[s] { // wherever it stands: @type can have other names
			if r.typed++; r.typed > r.maxTyped {
				return nil, r.over("objects with a type", r.maxTyped)
			}
		}
		return s, nil
	case '0':
		return json.Number(tok.String()), nil
	case 't', 'f':
		return tok.Bool(), nil
	}
	return nil, nil
}

func (r *reader) open() error {
	if _, err := r.dec.ReadToken(); err != nil {
		return r.bad(err)
	}
	if r.dec.StackDepth() > MaxDepth {
		return r.over("levels", MaxDepth)
	}
	return nil
}

func (r *reader) array(isType bool) (any, error) {
	if err := r.open(); err != nil {
		return nil, err
	}
	out := []any{}
	for r.dec.PeekKind() != ']' {
		v, err := r.value(false)
		if err != nil {
			return nil, err
		}
		if out = append(out, v); isType && len(out) > maxTypes {
			return nil, r.over("types", maxTypes)
		}
	}
	_, err := r.dec.ReadToken()
	return out, r.bad(err)
}

func (r *reader) object() (any, error) {
	if err := r.open(); err != nil {
		return nil, err
	}
	out := map[string]any{}
	for r.dec.PeekKind() != '}' {
		tok, err := r.dec.ReadToken()
		if err != nil {
			return nil, r.bad(err)
		}
		name := tok.String()
		if strings.HasPrefix(name, "@") && !strings.Contains(keywords, name+" ") {
			return nil, refuse(string(r.dec.StackPointer()), "the keyword is not understood in a message")
		}
		if name == "@context" {
			if out[name], err = r.inline(); err != nil {
				return nil, err
			}
			continue
		}
		// An alias of @type is as good as @type, so no list of names is long.
		if out[name], err = r.value(name == "@type" || name == "type"); err != nil {
			return nil, err
		}
	}
	_, err := r.dec.ReadToken()
	return out, r.bad(err)
}

// inline reads a context. One that brings further contexts for its terms is
// refused: they would be worked through again at each use.
func (r *reader) inline() (any, error) {
	raw, err := r.dec.ReadValue()
	if err != nil {
		return nil, r.bad(err)
	}
	r.contexts++
	if r.context += len(raw); r.contexts > MaxContexts || r.context > maxContext {
		return nil, refuse(string(r.dec.StackPointer()), "more contexts are inline than are worked through here")
	}
	var v any
	if err := strictjson.DecodeOpen(raw, &v); err != nil {
		return nil, refuse(string(r.dec.StackPointer()), err.Error())
	}
	if nested(v) {
		return nil, refuse(string(r.dec.StackPointer()), "an inline context may not hold @context or @import")
	}
	return v, nil
}

func nested(v any) bool {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			if nested(item) {
				return true
			}
		}
	case map[string]any:
		for name, item := range v {
			if name == "@context" || name == "@import" || nested(item) {
				return true
			}
		}
	}
	return false
}

func (r *reader) over(what string, limit int) error {
	return refuse(string(r.dec.StackPointer()), "more than "+strconv.Itoa(limit)+" "+what+", the limit for what is not compact JSON")
}

func (r *reader) bad(err error) error {
	if err == nil {
		return nil
	}
	reason := "not valid JSON"
	if errors.Is(err, jsontext.ErrDuplicateName) {
		reason = "doubled member"
	}
	return refuse(string(r.dec.StackPointer()), reason)
}
