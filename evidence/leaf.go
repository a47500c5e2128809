package evidence

import (
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"kakehashi/evidence/bundle"
	"kakehashi/internal/fault"
)

// Leaf is one event to put on record. What it says stands in the log for ever:
// no personal data, no token, no secret, only digests of them.
//
// Type is one of the names below, or a service's own beginning with "kh.":
//
//	kh.catalog.published|requested
//	kh.negotiation.requested|offered|accepted|agreed|verified|finalized|terminated
//	kh.agreement.concluded|ended
//	kh.policy.decided
//	kh.transfer.requested|started|suspended|completed|terminated
//	kh.grant.opened|closed
//	kh.plane.window        facts: bytes, requests
//	kh.admin.action
//	kh.key.created|rotated
//	kh.credential.requested|decided|issued|revoked|suspended|resumed|offered as issuer
//	kh.credential.requested|received|presented|removed|offered     as holder
//	kh.credential.verified|refused|status                        as verifier
//	kh.trust.issuer|list|rule
type Leaf struct {
	Type         string
	Process      string            // process id, or ""
	Version      int64             // version of the process that the event made; orders its leaves
	At           time.Time         // zero: now
	Actor        string            // who did it; "": the participant itself
	Counterparty string            // DID where the counterpart has one
	Direction    string            // Out, In or ""
	Correlation  map[string]string // consumerPid, providerPid, agreement: ids that join leaves; by "agreement" Export finds them
	Hashes       map[string]string // message, token, agreement, policy, decision, payload: digests "sha256:<hex>"
	Facts        map[string]string // state, bytes, reason: short values
}

// Directions of a message.
const (
	In  = "in"
	Out = "out"
)

// Body is content that a leaf names by its digest. It is kept encrypted, once.
type Body struct {
	Digest string // "": computed
	Bytes  []byte
	Class  string
	Keep   time.Time // zero: no end set
}

// Classes of bodies.
const (
	ClassMessage    = "message"
	ClassAgreement  = "agreement"
	ClassCredential = "credential" // credential, or message that carries some
	ClassToken      = "token"      // protocol token, spent, that came with a message
	ClassDecision   = "decision"
	ClassSecret     = "secret" // message that carries a data plane token; shown once its transfer has ended
)

// Digest names bytes: "sha256:" and lower-case hex.
func Digest(b []byte) string { return bundle.Digest(b) }

// maxSafe is the largest integer that JSON carries exactly (RFC 7493, 2.2).
const maxSafe = 1<<53 - 1

// encode appends the leaf as canonical JSON (RFC 8785). Members are written in
// the canonical order, so nothing is sorted but the maps.
func encode(b []byte, l *Leaf, id, tenant string, at time.Time) ([]byte, error) {
	switch {
	case l.Type == "":
		return nil, errors.New("it has no type")
	case l.Version < 0 || l.Version > maxSafe:
		return nil, fmt.Errorf("version %d is out of range", l.Version)
	case l.Direction != "" && l.Direction != In && l.Direction != Out:
		return nil, fmt.Errorf("direction %q is neither in nor out", l.Direction)
	case at.Year() < 1 || at.Year() > 9999:
		return nil, errors.New("its time cannot be written")
	}
	for name, h := range l.Hashes {
		if !bundle.IsDigest(h) {
			return nil, fmt.Errorf("hash %s is not a digest", name)
		}
	}
	actor := l.Actor
	if actor == "" {
		actor = tenant
	}
	e := encoder{b: append(b, '{')}
	e.text("actor", actor)
	e.object("correlation", l.Correlation)
	e.text("counterparty", l.Counterparty)
	e.text("direction", l.Direction)
	e.object("facts", l.Facts)
	e.object("hashes", l.Hashes)
	e.name("id")
	e.b = append(append(append(e.b, `"urn:uuid:`...), id...), '"')
	e.text("process", l.Process)
	e.text("tenant", tenant)
	e.name("time")
	e.b = append(at.AppendFormat(append(e.b, '"'), bundle.TimeLayout), '"')
	e.text("type", l.Type)
	e.name("v")
	e.b = append(e.b, '1')
	if l.Version != 0 {
		e.name("version")
		e.b = strconv.AppendInt(e.b, l.Version, 10)
	}
	e.b = append(e.b, '}')
	if e.err == nil && len(e.b) > bundle.MaxLeaf {
		e.err = fmt.Errorf("it is longer than %d bytes", bundle.MaxLeaf)
	}
	return e.b, e.err
}

type encoder struct {
	b   []byte
	err error
}

// name writes a member name of this file; what follows is its value.
func (e *encoder) name(n string) {
	if e.b[len(e.b)-1] != '{' {
		e.b = append(e.b, ',')
	}
	e.b = append(append(append(e.b, '"'), n...), '"', ':')
}

func (e *encoder) text(n, v string) {
	if v != "" {
		e.name(n)
		e.string(v)
	}
}

func (e *encoder) object(n string, m map[string]string) {
	if len(m) == 0 {
		return
	}
	e.name(n)
	var few [16]string
	keys := few[:0]
	for k := range m { // insertion sort: a handful of names, no allocation
		if !plainName(k) {
			e.err = fmt.Errorf("%s holds the name %q; want letters, digits, '_', '-' or '.'", n, k)
			return
		}
		i := len(keys)
		for keys = append(keys, k); i > 0 && keys[i-1] > k; i-- {
			keys[i] = keys[i-1]
		}
		keys[i] = k
	}
	e.b = append(e.b, '{')
	for _, k := range keys {
		e.name(k)
		e.string(m[k])
	}
	e.b = append(e.b, '}')
}

// plainName keeps names to ASCII without escapes, where the canonical order of
// UTF-16 units is the order of bytes.
func plainName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.') {
			return false
		}
	}
	return true
}

const hexDigits = "0123456789abcdef"

// string writes a JSON string as RFC 8785, 3.2.2.2 wants it.
func (e *encoder) string(s string) {
	if !utf8.ValidString(s) {
		e.err = fmt.Errorf("%q is not valid UTF-8", s)
		return
	}
	b := append(e.b, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\t':
			b = append(b, '\\', 't')
		case '\n':
			b = append(b, '\\', 'n')
		case '\f':
			b = append(b, '\\', 'f')
		case '\r':
			b = append(b, '\\', 'r')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	e.b = append(append(b, s[from:]...), '"')
}

// Entry is a leaf as it is kept.
type Entry struct {
	Leaf
	ID       string // urn:uuid:...
	Time     time.Time
	Position int64 // in the log; -1 until it is numbered
}

func decode(data []byte, position int64) (Entry, error) {
	l, err := bundle.ParseLeaf(data)
	if err != nil {
		return Entry{}, fault.LogDamaged.At("", "participant", l.Tenant, "reason", "a leaf cannot be read").Because(err)
	}
	at, err := l.At()
	if err != nil {
		return Entry{}, err
	}
	return Entry{Leaf: Leaf{Type: l.Type, Process: l.Process, Version: l.Version, At: at, Actor: l.Actor, Counterparty: l.Counterparty,
		Direction: l.Direction, Correlation: l.Correlation, Hashes: l.Hashes, Facts: l.Facts}, ID: l.ID, Time: at, Position: position}, nil
}
