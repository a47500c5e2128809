package vc

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"kakehashi/did"
	"kakehashi/internal/fault"
)

// Keys finds the key that kid names in the document of a DID, which must allow
// it for use. A kid of "" is the only key of the document. Errors are faults.
type Keys func(ctx context.Context, name, kid string, use did.Relationship) (crypto.PublicKey, error)

// Basis tells why an issuer is believed.
type Basis struct {
	Kind    string `json:"kind"`           // "issuer": by name; "list"; "recognition": by an entry that maps another side's type
	List    string `json:"list,omitempty"` // name of the list
	Version int64  `json:"version,omitempty"`
	Entry   string `json:"entry,omitempty"` // where in the list
	Type    string `json:"type"`            // the type of the credential that it is for
	As      string `json:"as,omitempty"`    // the type that it counts as by recognition
	Region  string `json:"region,omitempty"`
}

// Trust knows who may attest what.
type Trust interface {
	// Trusts tells why issuer may attest one of types at a time. It is called for
	// each credential; the error, fault.CredentialUntrusted, is for one who may not.
	Trusts(ctx context.Context, issuer string, types []string, at time.Time) (Basis, error)
}

// StatusLists gives status lists, fetched and verified.
type StatusLists interface {
	// List gives the list that an entry of one of issuer's credentials names. An
	// error is plain text or a fault, and refuses the credential.
	List(ctx context.Context, e StatusEntry, issuer string) (StatusList, error)
}

// Schemas checks subjects.
type Schemas interface {
	// Check tells how a subject, a JSON object, breaks a schema; nil when it keeps
	// to it. A schema that cannot be had is an error.
	Check(ctx context.Context, s Schema, subject []byte) error
}

// Step is one check of a verification.
type Step struct {
	Name  string // StepRead and so on
	Place string // what was checked: "presentation", or the type of a credential
	Saw   string // in one line, for people; values as they stand, not translated
	Err   error  // nil: passed
}

// The names of steps, in their order.
const (
	StepRead      = "read"
	StepKey       = "key"
	StepSignature = "signature"
	StepAudience  = "audience"
	StepHolder    = "holder"
	StepTime      = "time"
	StepReplay    = "replay"
	StepTrust     = "trust"
	StepStatus    = "status"
	StepSchema    = "schema"
)

// Verifier checks presentations and credentials (DCP 1.0, section 5.4.3).
type Verifier struct {
	Keys    Keys
	Trust   Trust
	Status  StatusLists
	Schemas Schemas
	// Fresh notes that a presentation was used and tells whether it is the first
	// time; nil lets one be shown again until it expires.
	Fresh  func(holder, jti string, until time.Time) bool
	Now    func() time.Time
	Leeway time.Duration // between two clocks
	Trace  func(Step)    // hears of each step; nil: nobody
}

// StatusSeen is a bit as it stood when it was looked at.
type StatusSeen struct {
	List    string    `json:"list"`
	Index   int64     `json:"index"`
	Purpose string    `json:"purpose"`
	Set     bool      `json:"set"`
	Digest  string    `json:"digest"` // of the list
	ReadAt  time.Time `json:"read_at"`
}

// Checked is a credential that is believed, and why.
type Checked struct {
	Credential
	Basis        Basis
	Status       []StatusSeen
	At           time.Time // when it was checked
	Presentation string    // digest of the presentation that it came in, "" for none
}

const maxLifetime = 24 * time.Hour // of a presentation

func (v *Verifier) step(name, place, saw string, err error) error {
	if v.Trace != nil {
		v.Trace(Step{Name: name, Place: place, Saw: saw, Err: err})
	}
	return err
}

// Credential checks everything about a credential that is to be about holder: the
// signature by its issuer's key, its time, that the issuer is trusted for one of
// its types, that each subject is the holder, each status and each schema. A
// holder of "" leaves the subject out. The error is a fault.
func (v *Verifier) Credential(ctx context.Context, c Credential, holder string) (Checked, error) {
	now, place := v.Now(), c.Type()
	out := Checked{Credential: c, At: now}
	v.step(StepRead, place, fmt.Sprintf("%s %s by %s", c.Model, strings.Join(c.Types, ", "), c.Issuer), nil)
	if err := v.signature(ctx, c); err != nil {
		return out, err
	}
	var err error
	switch {
	case !c.ValidFrom.IsZero() && c.ValidFrom.After(now.Add(v.Leeway)):
		err = c.fault(fault.CredentialEarly, "at", c.ValidFrom.Format(time.RFC3339))
	case !c.ValidUntil.IsZero() && !c.ValidUntil.After(now.Add(-v.Leeway)):
		err = c.fault(fault.CredentialExpired, "at", c.ValidUntil.Format(time.RFC3339))
	}
	if v.step(StepTime, place, span(c.ValidFrom, c.ValidUntil), err) != nil {
		return out, err
	}
	out.Basis, err = v.Trust.Trusts(ctx, c.Issuer, c.Types, now)
	if v.step(StepTrust, place, out.Basis.String(), err) != nil {
		return out, err
	}
	if holder != "" {
		for _, s := range c.Subjects {
			if s.ID != holder {
				err = c.fault(fault.CredentialSubject, "subject", quoted(s.ID), "holder", holder)
			}
		}
		if v.step(StepHolder, place, holder, err) != nil {
			return out, err
		}
	}
	for _, e := range c.Statuses {
		seen, err := v.status(ctx, c, e)
		if v.step(StepStatus, place, fmt.Sprintf("%s, bit %d of %s: %t", e.Purpose, e.Index, e.List, seen.Set), err) != nil {
			return out, err
		}
		out.Status = append(out.Status, seen)
	}
	for _, s := range c.Schemas {
		for _, subject := range c.Subjects {
			if err = v.Schemas.Check(ctx, s, subject.Claims); err != nil {
				err = c.fault(fault.CredentialSchema, "schema", s.ID, "reason", err.Error()).Because(err)
				break
			}
		}
		if v.step(StepSchema, place, s.ID, err) != nil {
			return out, err
		}
	}
	return out, nil
}

// signature checks that a key of the issuer's made the credential.
func (v *Verifier) signature(ctx context.Context, c Credential) error {
	var err error
	if c.KID != "" && !strings.HasPrefix(c.KID, c.Issuer+"#") {
		err = c.fault(fault.CredentialSignature, "reason", fmt.Sprintf("the key %.200q does not belong to the issuer", c.KID))
		return v.step(StepKey, c.Type(), c.KID, err)
	}
	pub, keyErr := v.Keys(ctx, c.Issuer, c.KID, did.Assertion)
	if keyErr != nil {
		if ctx.Err() != nil {
			return keyErr
		}
		err = c.fault(fault.CredentialSignature, "reason", words(keyErr)).Because(keyErr)
		if errors.Is(keyErr, fault.TokenIssuer) { // it may answer later
			err = c.fault(fault.CredentialIssuer).Because(keyErr)
		}
	}
	if v.step(StepKey, c.Type(), c.KID, err) != nil {
		return err
	}
	if !c.message.Verify(pub) {
		err = c.fault(fault.CredentialSignature, "reason", "the signature does not match")
	}
	return v.step(StepSignature, c.Type(), c.message.Header.Alg, err)
}

// status looks at one bit.
func (v *Verifier) status(ctx context.Context, c Credential, e StatusEntry) (StatusSeen, error) {
	seen := StatusSeen{List: e.List, Index: e.Index, Purpose: e.Purpose}
	unknown := func(reason string, cause error) (StatusSeen, error) {
		return seen, c.fault(fault.CredentialStatus, "reason", reason, "list", e.List).Because(cause)
	}
	l, err := v.Status.List(ctx, e, c.Issuer)
	if err != nil {
		return unknown(words(err), err)
	}
	if !slices.Contains(l.Purposes, e.Purpose) {
		return unknown(fmt.Sprintf("the list is for %s, not for %.40q", strings.Join(l.Purposes, ", "), e.Purpose), nil)
	}
	set, ok := l.Bits.Get(e.Index)
	if !ok {
		return unknown(fmt.Sprintf("the list has %d entries, none with the index %d", l.Bits.Len(), e.Index), nil)
	}
	seen.Set, seen.Digest, seen.ReadAt = set, l.Digest, l.ReadAt
	if set {
		kind := map[string]*fault.Kind{Revocation: fault.CredentialRevoked, Suspension: fault.CredentialSuspended}[e.Purpose]
		if kind != nil { // other purposes say something, and refuse nothing
			return seen, c.fault(kind, "index", e.Index, "list", e.List, "at", l.ReadAt.UTC().Format(time.RFC3339))
		}
	}
	return seen, nil
}

// Presentation checks a presentation that holder made for audience, and every
// credential in it: one that fails refuses the whole. One without credentials is
// refused. The error is a fault.
func (v *Verifier) Presentation(ctx context.Context, raw, audience, holder string) ([]Checked, error) {
	const place = "presentation"
	bad := func(step, saw, reason string) error {
		return v.step(step, place, saw, fault.PresentationInvalid.At("", "reason", reason))
	}
	p, err := ParsePresentation(raw)
	if err != nil {
		return nil, bad(StepRead, "", err.Error())
	}
	v.step(StepRead, place, fmt.Sprintf("%s of %s, %d credentials", p.Model, p.Holder, len(p.Credentials)), nil)
	if p.Holder != holder {
		return nil, bad(StepHolder, p.Holder, fmt.Sprintf("it is that of %.200q, not of %s", p.Holder, holder))
	}
	v.step(StepHolder, place, holder, nil)
	if len(p.Audience) != 1 || p.Audience[0] != audience {
		return nil, bad(StepAudience, strings.Join(p.Audience, ", "), "it is for another verifier")
	}
	v.step(StepAudience, place, audience, nil)
	now := v.Now()
	switch {
	case p.Expires.IsZero() || !p.Expires.After(now.Add(-v.Leeway)):
		return nil, bad(StepTime, span(p.Issued, p.Expires), "it has expired or has no end")
	case p.Issued.After(now.Add(v.Leeway)) || p.NotBefore.After(now.Add(v.Leeway)):
		return nil, bad(StepTime, span(p.Issued, p.Expires), "it is from the future")
	case p.Expires.Sub(now) > maxLifetime:
		return nil, bad(StepTime, span(p.Issued, p.Expires), "it lives longer than a day")
	}
	v.step(StepTime, place, span(p.Issued, p.Expires), nil)
	if p.KID != "" && !strings.HasPrefix(p.KID, holder+"#") {
		return nil, bad(StepKey, p.KID, "its key does not belong to its holder")
	}
	pub, err := v.Keys(ctx, holder, p.KID, did.Authentication)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, bad(StepKey, p.KID, words(err))
	}
	v.step(StepKey, place, p.KID, nil)
	if !p.message.Verify(pub) {
		return nil, bad(StepSignature, p.message.Header.Alg, "its signature does not match")
	}
	v.step(StepSignature, place, p.message.Header.Alg, nil)
	if v.Fresh != nil {
		if p.JTI == "" || !v.Fresh(holder, p.JTI, p.Expires.Add(v.Leeway)) {
			return nil, bad(StepReplay, p.JTI, "it has been used before, or has no jti")
		}
		v.step(StepReplay, place, p.JTI, nil)
	}
	if len(p.Credentials) == 0 {
		return nil, bad(StepRead, "", "it holds no credentials")
	}
	out := make([]Checked, 0, len(p.Credentials))
	for _, text := range p.Credentials {
		c, err := ParseCredential(text)
		if err != nil {
			return nil, v.step(StepRead, "credential", "", err)
		}
		if c.Model != p.Model {
			return nil, bad(StepRead, c.Model.String(), fmt.Sprintf("it is of %s and holds a credential of %s", p.Model, c.Model))
		}
		checked, err := v.Credential(ctx, c, holder)
		if err != nil {
			return nil, err
		}
		checked.Presentation = p.Digest()
		out = append(out, checked)
	}
	return out, nil
}

// The bases in one line, by kind.
var basisWords = map[string]fault.Words{
	"issuer":      {EN: "trusted by name for {type}", JA: "{type} の発行者として個別に信頼"},
	"list":        {EN: "list {list}, edition {version}: {type} in {region}", JA: "リスト {list} 第 {version} 版: {type}（{region}）"},
	"recognition": {EN: "list {list}, edition {version}: {type} counts as {as}", JA: "リスト {list} 第 {version} 版: {type} を {as} として承認"},
}

// In tells the basis in one line of a language, "" for none.
func (b Basis) In(lang string) string {
	return strings.NewReplacer("{type}", b.Type, "{list}", b.List, "{version}", strconv.FormatInt(b.Version, 10), "{region}", b.Region, "{as}", b.As).
		Replace(basisWords[b.Kind].In(lang))
}

// String is In for records.
func (b Basis) String() string { return b.In("en") }

// words is what people are told of an error: a fault's text, not its code.
func words(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.What("en")
	}
	return err.Error()
}

func span(from, until time.Time) string {
	show := func(t time.Time) string {
		if t.IsZero() {
			return "..."
		}
		return t.UTC().Format(time.RFC3339)
	}
	return show(from) + " to " + show(until)
}

func quoted(s string) string {
	if s == "" {
		return "nobody"
	}
	return s
}
