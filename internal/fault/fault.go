// Package fault names what can go wrong: each kind has a stable code, the HTTP
// status that carries it, and in Japanese and English what happened and what to
// do about it. Rooms return faults; faces render them (RFC 9457 on our own API,
// the protocol's own error body on a protocol's endpoints, one line on the
// command line). What is no fault is internal and never shown to a counterpart.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Words is one text in the two languages of the program. {name} in it is
// replaced by the argument of that name.
type Words struct{ EN, JA string }

// In gives the text in lang ("ja", else English).
func (w Words) In(lang string) string {
	if lang == "ja" {
		return w.JA
	}
	return w.EN
}

// Kind is one thing that can go wrong. It is comparable with errors.Is.
type Kind struct {
	Code   string // stable, lower case with hyphens; part of the wire format
	Status int    // HTTP status on any endpoint
	What   Words  // what happened
	Remedy Words  // what to do; never empty
}

func (k *Kind) Error() string { return k.Code }

var kinds []*Kind

// Define registers a kind; it is for package variables only. A doubled code is
// a mistake of the program and panics at its start.
func Define(code string, status int, what, remedy Words) *Kind {
	for _, k := range kinds {
		if k.Code == code {
			panic("fault: code defined twice: " + code)
		}
	}
	k := &Kind{Code: code, Status: status, What: what, Remedy: remedy}
	kinds = append(kinds, k)
	return k
}

// All lists every kind that is linked in, for documents and tests.
func All() []*Kind { return kinds }

// Error is a kind at a place, with the values its text names.
type Error struct {
	Kind  *Kind
	Place string // JSON pointer, file:line, setting or address; may be empty
	Args  map[string]string
	Cause error
}

// At makes an error of this kind; args are pairs of name and value.
func (k *Kind) At(place string, args ...any) *Error {
	e := &Error{Kind: k, Place: place}
	if len(args) > 0 {
		e.Args = make(map[string]string, len(args)/2)
	}
	for i := 0; i+1 < len(args); i += 2 {
		e.Args[fmt.Sprint(args[i])] = fmt.Sprint(args[i+1])
	}
	return e
}

// Because adds the cause; it is logged and unwrapped, never shown.
func (e *Error) Because(err error) *Error { e.Cause = err; return e }

func (e *Error) Is(target error) bool { return target == error(e.Kind) }
func (e *Error) Unwrap() error        { return e.Cause }

// Error is the English text, with the cause, for logs.
func (e *Error) Error() string {
	s := e.Kind.Code + ": " + e.What("en")
	if e.Place != "" {
		s += " (" + e.Place + ")"
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// RetryAfter is the header of that name, in seconds, for what another try may
// bring about; "" for the rest.
func (e *Error) RetryAfter() string {
	if e.Kind.Status == 429 || e.Kind.Status == 503 {
		return "1"
	}
	return ""
}

// Outside is e as counterparts are told it: what is wrong with our store is for
// our own people.
func (e *Error) Outside() *Error {
	if errors.Is(e, Unavailable) {
		return NotNow.At("").Because(e)
	}
	return e
}

// What tells what happened, in lang.
func (e *Error) What(lang string) string { return e.fill(e.Kind.What.In(lang)) }

// Remedy tells what to do, in lang.
func (e *Error) Remedy(lang string) string { return e.fill(e.Kind.Remedy.In(lang)) }

func (e *Error) fill(s string) string {
	if !strings.Contains(s, "{") {
		return s
	}
	pairs := make([]string, 0, 2*len(e.Args)+2)
	for k, v := range e.Args {
		pairs = append(pairs, "{"+k+"}", v)
	}
	pairs = append(pairs, "{place}", e.Place)
	return strings.NewReplacer(pairs...).Replace(s)
}

// Of finds the fault in err's chain; anything else becomes Internal with err
// as its cause.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	var k *Kind
	if errors.As(err, &k) {
		return k.At("").Because(err)
	}
	return Internal.At("").Because(err)
}

// Kinds that every room shares.
var (
	Internal = Define("internal", 500,
		Words{"the node met a fault of its own", "ノード内部で障害が発生しました"},
		Words{"try again; if it stays, look for this request in the node's log", "もう一度お試しください。解消しない場合は、ノードのログでこの要求を確認してください"})
	BadMessage = Define("bad-message", 400,
		Words{"the message is not valid: {reason}", "メッセージが正しくありません: {reason}"},
		Words{"correct the member at {place} and send it again", "{place} の項目を修正して送り直してください"})
	TooLarge = Define("too-large", 413,
		Words{"the body is larger than {limit} bytes", "本文が上限の {limit} バイトを超えています"},
		Words{"send a smaller body", "本文を小さくして送ってください"})
	NotFound = Define("not-found", 404,
		Words{"{what} is not known here", "{what} は見つかりません"},
		Words{"check the id; what belongs to others is not shown either", "ID を確認してください。権限のないものも表示されません"})
	MethodNotAllowed = Define("method-not-allowed", 405,
		Words{"{method} is not possible on this address", "このアドレスでは {method} を使えません"},
		Words{"use {allow}", "{allow} を使ってください"})
	UnsupportedMedia = Define("unsupported-media-type", 415,
		Words{"a body of type {type} is not understood", "本文の形式 {type} には対応していません"},
		Words{"send application/json", "application/json で送ってください"})
	NotNow = Define("not-now", 503,
		Words{"the node cannot do this at the moment", "ノードは現在この処理を行えません"},
		Words{"wait as long as Retry-After says, then send the same again", "Retry-After の時間だけ待ってから、同じ内容を再送してください"})
	Unavailable = Define("unavailable", 503,
		Words{"the node cannot keep anything at the moment", "ノードが現在データを保存できません"},
		Words{"free disk space or wait for the database, then try again", "ディスクの空き容量を確保するか、データベースの復旧を待って再度お試しください"})
)
