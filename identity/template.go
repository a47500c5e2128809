package identity

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"kakehashi/internal/strictjson"
	"kakehashi/participant"
)

// Template is an Authorization header that proves nothing: what compatibility
// kits and mock identities of other connectors send. It is for development, on
// one machine; whoever can reach the node can be anybody.
//
// It is a text with {self}, the sender, and {counterparty}, the receiver, or a
// JSON object of strings, each of which is one of the two or stands for itself.
type Template struct {
	text    string
	members map[string]string // of a JSON object, else nil
	shape   *regexp.Regexp    // of a text
	caller  string
}

const (
	selfMark  = "{self}"
	otherMark = "{counterparty}"
	maxCaller = 2048
)

// NewTemplate reads a template. caller is who sends a header that does not name
// its sender; exactly one of the two must tell.
func NewTemplate(text, caller string) (*Template, error) {
	t := &Template{text: text, caller: caller}
	if strings.HasPrefix(text, "{") && !strings.HasPrefix(text, selfMark) && !strings.HasPrefix(text, otherMark) {
		if err := strictjson.Decode([]byte(text), &t.members); err != nil {
			return nil, fmt.Errorf("the template is no JSON object of strings: %w", err)
		}
		for name, v := range t.members {
			if v != selfMark && v != otherMark && strings.ContainsAny(v, "{}") {
				return nil, fmt.Errorf("member %q is %q: a value is %s, %s or stands for itself", name, v, selfMark, otherMark)
			}
		}
	} else {
		pattern := regexp.QuoteMeta(text)
		for _, m := range []struct{ mark, group string }{{selfMark, "(?P<self>.+)"}, {otherMark, "(?P<other>.+)"}} {
			if strings.Count(text, m.mark) > 1 {
				return nil, fmt.Errorf("the template names %s twice", m.mark)
			}
			pattern = strings.Replace(pattern, regexp.QuoteMeta(m.mark), m.group, 1)
		}
		var err error
		if t.shape, err = regexp.Compile("^" + pattern + "$"); err != nil {
			return nil, fmt.Errorf("the template is no text: %w", err)
		}
	}
	switch named := strings.Contains(text, selfMark); {
	case text == "":
		return nil, errors.New("the template is empty")
	case named && caller != "":
		return nil, errors.New("the template names its sender, so the caller is not set beside it")
	case !named && caller == "":
		return nil, errors.New("the template does not name its sender, so the caller has to be set")
	case !named && !namely(caller):
		return nil, errors.New("the caller is not one line of at most 2048 bytes")
	}
	return t, nil
}

// header is what self sends to other.
func (t *Template) header(self, other string) (string, error) {
	if t.members == nil {
		return strings.NewReplacer(selfMark, self, otherMark, other).Replace(t.text), nil
	}
	filled := make(map[string]string, len(t.members))
	for name, v := range t.members {
		switch v {
		case selfMark:
			v = self
		case otherMark:
			v = other
		}
		filled[name] = v
	}
	b, err := strictjson.Encode(filled)
	return string(b), err
}

// read says who sent a header to us; ok is false for one of another shape or for
// somebody else.
func (t *Template) read(header string, us participant.Participant) (caller string, ok bool) {
	caller = t.caller
	if t.members == nil {
		m := t.shape.FindStringSubmatch(header)
		if m == nil {
			return "", false
		}
		if i := t.shape.SubexpIndex("self"); i > 0 {
			caller = m[i]
		}
		if i := t.shape.SubexpIndex("other"); i > 0 && !is(us, m[i]) {
			return "", false
		}
		return caller, namely(caller)
	}
	var got map[string]strictjson.Raw
	if strictjson.DecodeOpen([]byte(header), &got) != nil {
		return "", false
	}
	for name, want := range t.members {
		var v string
		if strictjson.DecodeOpen(got[name], &v) != nil {
			return "", false
		}
		switch want {
		case selfMark:
			caller = v
		case otherMark:
			if !is(us, v) {
				return "", false
			}
		default:
			if v != want {
				return "", false
			}
		}
	}
	return caller, namely(caller)
}

// namely says whether a caller can be kept and shown under this id.
func namely(caller string) bool {
	return caller != "" && len(caller) <= maxCaller && utf8.ValidString(caller) && !strings.ContainsFunc(caller, unicode.IsControl)
}

// is says whether a name means us: our DID, or our address where a connector
// takes that for the audience.
func is(us participant.Participant, name string) bool {
	return name == us.DID || strings.TrimRight(name, "/") == us.Base
}
