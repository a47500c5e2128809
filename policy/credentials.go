package policy

import (
	"context"
	"slices"
	"strings"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/odrl"
	"kakehashi/participant"
	"kakehashi/vc"
)

// Credentials knows what counterparts have proven of themselves; trust.Room does.
// What it gives satisfies each of the types and is good now.
type Credentials interface {
	// Show asks the counterpart for what it has not shown lately.
	Show(ctx context.Context, p participant.ID, counterparty string, types []string) ([]vc.Checked, error)
	// Held asks nobody.
	Held(ctx context.Context, p participant.ID, counterparty string, types []string) ([]vc.Checked, error)
}

// nobody has shown anything.
type nobody struct{}

func (nobody) Show(_ context.Context, _ participant.ID, counterparty string, types []string) ([]vc.Checked, error) {
	return nil, fault.CredentialLacking.At("", "partner", counterparty, "type", strings.Join(types, ", "))
}

func (n nobody) Held(ctx context.Context, p participant.ID, counterparty string, types []string) ([]vc.Checked, error) {
	return n.Show(ctx, p, counterparty, types)
}

// ours says that an operand is one of ours, over what a counterpart proved.
func ours(operand string) bool {
	switch operand {
	case odrl.CredentialType, odrl.ParticipantDID, odrl.Jurisdiction:
		return true
	}
	_, _, ok := claim(operand)
	return ok
}

// claim takes an operand over a claim apart: the type of the credential, and
// where in its subject the claim stands (RFC 6901).
func claim(operand string) (typ, pointer string, ok bool) {
	rest, ok := strings.CutPrefix(operand, odrl.Claim)
	if !ok {
		return "", "", false
	}
	typ, pointer, ok = strings.Cut(rest, "/")
	return typ, "/" + pointer, ok && typ != "" && pointer != ""
}

// wanted lists the types of credentials that the permissions of terms name, in
// order; several tells that some are alternatives to others.
func wanted(p odrl.Policy) (types []string, several bool) {
	add := func(t string) {
		if !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	var walk func(cs []odrl.Constraint)
	walk = func(cs []odrl.Constraint) {
		for _, c := range cs {
			switch typ, _, isClaim := claim(c.Operand); {
			case c.Operand == odrl.CredentialType:
				several = several || len(c.Right) > 1 && c.Operator != "isAllOf" && c.Operator != "hasPart" || c.Operator == "neq" || c.Operator == "isNoneOf"
				for _, t := range c.Right {
					add(t)
				}
			case isClaim:
				add(typ)
			}
			several = several || c.Logic == "or" || c.Logic == "xone"
			walk(c.Parts)
		}
	}
	for _, r := range p.Permissions {
		walk(r.Constraints)
	}
	return types, several || len(p.Permissions) > 1
}

// unprovable finds what of ours nobody could ever prove.
func unprovable(p odrl.Policy) (at, reason string) {
	types, _ := wanted(p)
	var walk func(cs []odrl.Constraint)
	walk = func(cs []odrl.Constraint) {
		for _, c := range cs {
			if c.Operand == odrl.Jurisdiction && len(types) == 0 {
				at, reason = c.Pointer, "a jurisdiction is that of a credential: ask for a credentialType too"
			}
			walk(c.Parts)
		}
	}
	for _, r := range p.Permissions {
		walk(r.Constraints)
	}
	return at, reason
}

// evidenceSeen is what a counterpart has shown for a decision.
type evidenceSeen struct {
	counterparty string
	shown        []vc.Checked
	lacking      error // the first fault about a type that the terms name
	used         bool  // the terms have operands of ours
}

// about gives the facts of a moment and a counterpart. A policy that asks for
// nothing of ours costs nothing.
func (e *Engine) about(ctx context.Context, p participant.ID, counterparty string, rules odrl.Policy, now time.Time, look lookup) (odrl.Facts, *evidenceSeen) {
	f := e.facts(now)
	seen := &evidenceSeen{counterparty: counterparty}
	types, several := wanted(rules)
	if len(types) > 0 {
		seen.used = true
		seen.shown, seen.lacking = look(ctx, p, counterparty, types)
		if seen.lacking != nil && several { // perhaps one of them is enough
			for _, t := range types {
				got, err := look(ctx, p, counterparty, []string{t})
				if err == nil {
					seen.add(got)
				}
			}
		}
	}
	f.Value, f.Set = seen.value, seen.set
	return f, seen
}

func (s *evidenceSeen) add(more []vc.Checked) {
	for _, c := range more {
		if !slices.ContainsFunc(s.shown, func(have vc.Checked) bool { return have.Digest() == c.Digest() }) {
			s.shown = append(s.shown, c)
		}
	}
}

func counts(c vc.Checked, typ string) bool { return c.Basis.Type == typ || c.Basis.As == typ }

const fromCredentials = "credentials"

func (s *evidenceSeen) set(operand string) ([]string, string, bool) {
	var out []string
	add := func(v string) {
		if v != "" && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	switch operand {
	case odrl.CredentialType:
		for _, c := range s.shown {
			add(c.Basis.Type)
			add(c.Basis.As)
		}
	case odrl.Jurisdiction:
		for _, c := range s.shown {
			add(c.Basis.Region)
		}
	default:
		return nil, "", false
	}
	// Nothing shown is nothing known: what is not there must not be taken for a no.
	return out, fromCredentials, len(out) > 0
}

func (s *evidenceSeen) value(operand string) (string, string, bool) {
	if operand == odrl.ParticipantDID {
		s.used = true
		return s.counterparty, "the token", true
	}
	typ, pointer, ok := claim(operand)
	if !ok {
		return "", "", false
	}
	value, found := "", false
	for _, c := range s.shown {
		if !counts(c, typ) {
			continue
		}
		for _, subject := range c.Subjects {
			v, ok := at(subject.Claims, pointer)
			switch {
			case !ok:
			case found && v != value:
				return "", "", false // two say different things: nothing is known
			default:
				value, found = v, true
			}
		}
	}
	return value, fromCredentials, found
}

// at reads a text, number or truth value of a subject.
func at(claims strictjson.Raw, pointer string) (string, bool) {
	current := claims
	for _, step := range strings.Split(pointer, "/")[1:] {
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		var object map[string]strictjson.Raw
		if current.Kind() != '{' || strictjson.DecodeOpen(current, &object) != nil {
			return "", false
		}
		next, ok := object[step]
		if !ok {
			return "", false
		}
		current = next
	}
	switch current.Kind() {
	case '"':
		var s string
		err := strictjson.DecodeOpen(current, &s)
		return s, err == nil
	case '0', 't', 'f':
		return strings.TrimSpace(string(current)), true
	}
	return "", false
}

// refuse is the fault of a decision that denies: that of the credential which
// stands in the way, where one does.
func (s *evidenceSeen) refuse(place string, d odrl.Decision) error {
	if s != nil && s.lacking != nil && slices.ContainsFunc(d.Why, func(x odrl.Finding) bool { return ours(x.Operand) && x.Truth != odrl.True }) {
		return s.lacking
	}
	return fault.TermsDeny.At(place, "reason", d.Explain("en"))
}

// decided is a decision as it is kept.
type decided struct {
	At           time.Time    `json:"at"`
	Counterparty string       `json:"counterparty"`
	Shown        []shown      `json:"shown,omitempty"`
	Findings     []foundation `json:"findings"`
}

type shown struct {
	Digest       string          `json:"digest"`
	Presentation string          `json:"presentation,omitempty"`
	Types        []string        `json:"types"`
	Issuer       string          `json:"issuer"`
	Subject      []string        `json:"subject"`
	ValidFrom    time.Time       `json:"valid_from,omitzero"`
	ValidUntil   time.Time       `json:"valid_until,omitzero"`
	Basis        vc.Basis        `json:"basis"`
	Status       []vc.StatusSeen `json:"status,omitempty"`
	CheckedAt    time.Time       `json:"checked_at"`
}

type foundation struct {
	Place    string `json:"place"`
	Operand  string `json:"operand"`
	Operator string `json:"operator"`
	Want     string `json:"want"`
	Saw      string `json:"saw"`
	Source   string `json:"source"`
}

// record writes what a decision rests on, nil when nobody had to prove anything.
func (s *evidenceSeen) record(d odrl.Decision, now time.Time) ([]byte, error) {
	if !s.used {
		return nil, nil
	}
	r := decided{At: now.UTC(), Counterparty: s.counterparty, Findings: []foundation{}}
	for _, c := range s.shown {
		x := shown{Digest: c.Digest(), Presentation: c.Presentation, Types: c.Types, Issuer: c.Issuer, ValidFrom: c.ValidFrom, ValidUntil: c.ValidUntil,
			Basis: c.Basis, Status: c.Status, CheckedAt: c.At.UTC()}
		for _, subject := range c.Subjects {
			x.Subject = append(x.Subject, subject.ID)
		}
		r.Shown = append(r.Shown, x)
	}
	for _, x := range d.Findings {
		r.Findings = append(r.Findings, foundation{x.Pointer, x.Operand, x.Operator, x.Want, x.Saw, x.Source})
	}
	return strictjson.Encode(r)
}
