// Package strictjson is the one way in which kakehashi reads and writes JSON.
//
// Every decoder of the program goes through it, so that all of them share the
// same limits and refuse the same things: doubled member names, trailing data,
// invalid UTF-8, names that differ in case, nesting beyond a limit and, unless
// the format says otherwise, members that nobody declared. It is not for
// canonical JSON (RFC 8785); evidence has that.
package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Raw is a JSON value kept as the bytes that arrived.
type Raw = jsontext.Value

// MaxDepth is the deepest nesting of objects and arrays that is read.
const MaxDepth = 64

// ErrTooLarge is returned by Read for a body above its limit.
var ErrTooLarge = errors.New("body is larger than allowed")

// Error says where in a document decoding stopped and why.
type Error struct {
	Pointer string // JSON pointer, "" for the whole document
	Reason  string
	// Form says that it is JSON within the limits, but not of the form that was
	// asked for.
	Form bool
}

func (e *Error) Error() string {
	if e.Pointer == "" {
		return e.Reason
	}
	return "at " + e.Pointer + ": " + e.Reason
}

// Decode reads exactly one JSON value into v. Members that v does not declare
// are refused. The error is an *Error.
func Decode(b []byte, v any) error {
	return decode(b, v, json.RejectUnknownMembers(true))
}

// DecodeOpen is Decode for formats whose standard allows further members
// everywhere, such as the Dataspace Protocol: they are passed over.
func DecodeOpen(b []byte, v any) error {
	return decode(b, v, json.RejectUnknownMembers(false))
}

func decode(b []byte, v any, opts ...json.Options) error {
	if err := depth(b); err != nil {
		return err
	}
	if err := json.Unmarshal(b, v, opts...); err != nil {
		return explain(err)
	}
	return nil
}

// Encode writes v as compact JSON; map keys are sorted, so equal values give
// equal bytes.
func Encode(v any) ([]byte, error) {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return b, nil
}

// Read reads a whole body of at most limit bytes; a larger one is ErrTooLarge
// and is not read further.
func Read(r io.Reader, limit int64) ([]byte, error) {
	var buf bytes.Buffer
	n, err := buf.ReadFrom(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, ErrTooLarge
	}
	return buf.Bytes(), nil
}

// depth refuses documents nested deeper than MaxDepth before any decoder
// recurses into them. It looks at brackets outside strings only.
func depth(b []byte) error {
	var d int
	var str, esc bool
	for _, c := range b {
		switch {
		case str:
			switch {
			case esc:
				esc = false
			case c == '\\':
				esc = true
			case c == '"':
				str = false
			}
		case c == '"':
			str = true
		case c == '{' || c == '[':
			if d++; d > MaxDepth {
				return &Error{Reason: fmt.Sprintf("nested deeper than %d levels", MaxDepth)}
			}
		case c == '}' || c == ']':
			d--
		}
	}
	return nil
}

func explain(err error) error {
	var se *json.SemanticError
	if errors.As(err, &se) {
		reason := "is not of the form expected here"
		switch {
		case errors.Is(err, json.ErrUnknownName):
			reason = "unknown member"
		case se.Err != nil:
			reason = se.Err.Error()
		case se.JSONKind != 0:
			reason = fmt.Sprintf("a JSON %s is not expected here", se.JSONKind)
		}
		return &Error{Pointer: string(se.JSONPointer), Reason: reason, Form: true}
	}
	var te *jsontext.SyntacticError
	if errors.As(err, &te) {
		reason := "not valid JSON"
		switch {
		case errors.Is(err, jsontext.ErrDuplicateName):
			reason = "doubled member"
		case te.Err != nil:
			reason = te.Err.Error()
		}
		return &Error{Pointer: string(te.JSONPointer), Reason: reason}
	}
	return &Error{Reason: err.Error()}
}
