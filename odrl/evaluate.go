package odrl

import (
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Facts are what a decision may rest on.
type Facts struct {
	Now time.Time
	// Declared says that an operand is one that only the counterpart can state:
	// whoever agreed to the constraint has declared it (decisions 10).
	Declared func(operand string) bool
	// Value gives an operand's value and where it came from; ok is false when it
	// is not known.
	Value func(operand string) (value, source string, ok bool)
	// Set gives an operand that is a set: an operator then asks about its members,
	// and eq asks for one of them. ok is false when it is not known.
	Set func(operand string) (members []string, source string, ok bool)
	// Pending says that an operand will be known before use, and is not now: its
	// constraint counts as met in a permission, if it could be judged at all.
	Pending func(operand string) bool
	// Duties says that this node sees to a duty or obligation of that action;
	// nil: to none. One with constraints, such as a deadline, is never seen to.
	Duties func(action string) bool
	// Later says that a duty of that action is one that the counterpart has after
	// its use, such as to name the source: it stands in the agreement, as a
	// prohibition of other actions does, and does not block use. nil: none is. One
	// with constraints always blocks.
	Later func(action string) bool
	// Profile says that a profile is known to add nothing that is not judged here;
	// nil: none is known.
	Profile func(iri string) bool
}

// keeps says whether a duty or obligation is seen to.
func (f Facts) keeps(d Rule) bool {
	return f.Duties != nil && len(d.Constraints) == 0 && f.Duties(d.Action)
}

// met says whether a duty of a permission stands in nobody's way.
func (f Facts) met(d Rule) bool {
	return f.keeps(d) || f.Later != nil && len(d.Constraints) == 0 && f.Later(d.Action)
}

// Truth is three-valued; what is unknown never permits.
type Truth int

const (
	Unknown Truth = iota
	False
	True
)

// Finding is what one constraint came to.
type Finding struct {
	Pointer  string
	Operand  string
	Operator string
	Want     string
	Saw      string // "" when unknown
	Source   string // clock, declared by agreement, ...
	Truth    Truth

	c Constraint // what was judged, for the sentence
}

// Decision is permit or not, with what it rests on.
type Decision struct {
	Permit   bool
	Findings []Finding // of all rules, in order
	Why      []Finding // what stood in the way; empty for a permit
	Until    time.Time // when time alone changes the decision; zero: never
}

// Evaluate decides on the action "use". A prohibition of it that holds or may
// hold denies; of the permissions one must hold wholly. An obligation or duty that
// Facts does not keep or leave for later, a profile that it does not know, and a prohibited action outside ODRL's
// vocabulary deny: they are not known here.
//
// Prohibitions of other actions of the vocabulary (distribute, say) bind what the
// counterpart does later and stand in the agreement; they do not block use.
// Reading is the one that serving data itself performs, so it counts as use.
func Evaluate(p Policy, f Facts) Decision {
	e := &evaluation{f: f}
	if why := strange(p, f); len(why) > 0 {
		return e.deny(why...)
	}
	if why := e.prohibited(p); len(why) > 0 {
		return e.deny(why...)
	}
	var near []Finding
	for _, r := range p.Permissions {
		why := e.permits(r)
		if len(why) == 0 {
			return Decision{Permit: true, Findings: e.findings, Until: e.until}
		}
		near = append(near, why...)
	}
	if len(near) == 0 {
		near = []Finding{{Pointer: "/permission", Operand: "permission", Want: "use"}}
	}
	return e.deny(near...)
}

// Unclear lists everything in any rule that Evaluate could not judge with these
// facts, whether or not it mattered to a decision; empty if all is understood. A
// permission of another action than use is none of it as long as use is permitted
// too and the action is in ODRL's vocabulary.
func Unclear(p Policy, f Facts) []Finding {
	out := strange(p, f)
	e := &evaluation{f: f, forbid: true}
	for _, r := range p.Prohibitions {
		if blocks(r) {
			e.all(r.Constraints)
		}
	}
	e.forbid = false
	use := false
	for _, r := range p.Permissions {
		use = use || r.Action == "use"
		unkept := slices.ContainsFunc(r.Duties, func(d Rule) bool { return !f.met(d) })
		if r.Action != "use" && !actions[r.Action] || r.Action == "use" && unkept {
			out = append(out, e.permits(r)...)
			continue
		}
		if r.Action == "use" {
			e.all(r.Constraints)
		}
	}
	if !use {
		out = append(out, Finding{Pointer: "/permission", Operand: "permission", Want: "use"})
	}
	for _, x := range e.findings {
		if x.Truth == Unknown {
			out = append(out, x)
		}
	}
	return out
}

// strange is what denies whatever the facts are, because its meaning is not
// known here.
func strange(p Policy, f Facts) []Finding {
	var out []Finding
	unknown := slices.Clone(p.Profiles)
	if f.Profile != nil {
		unknown = slices.DeleteFunc(unknown, f.Profile)
	}
	if len(unknown) > 0 {
		out = append(out, Finding{Pointer: "/profile", Operand: "profile", Want: strings.Join(unknown, ", ")})
	}
	for _, o := range p.Obligations {
		if f.keeps(o) {
			continue
		}
		out = append(out, Finding{Pointer: o.Pointer, Operand: "obligation", Want: o.Action})
	}
	for _, r := range p.Prohibitions {
		if !actions[r.Action] {
			out = append(out, Finding{Pointer: r.Pointer, Operand: "prohibited action", Want: r.Action})
		}
	}
	return out
}

// blocks says whether a prohibition is about what serving data does.
func blocks(r Rule) bool { return r.Action == "use" || r.Action == "read" }

// prohibited is the first prohibition that stands or may stand against use, with
// the constraints that could not be judged.
func (e *evaluation) prohibited(p Policy) []Finding {
	e.forbid = true
	defer func() { e.forbid = false }()
	for _, r := range p.Prohibitions {
		if !blocks(r) {
			continue
		}
		from := len(e.findings)
		t := e.all(r.Constraints)
		if t == False {
			continue
		}
		why := []Finding{{Pointer: r.Pointer, Operand: "prohibition", Want: r.Action, Truth: t}}
		for _, x := range e.findings[from:] {
			if x.Truth == Unknown {
				why = append(why, x)
			}
		}
		return why
	}
	return nil
}

// permits is what stands between a permission and use; empty if it holds.
func (e *evaluation) permits(r Rule) []Finding {
	if r.Action != "use" {
		return []Finding{{Pointer: r.Pointer, Operand: "action", Want: r.Action}}
	}
	for _, d := range r.Duties {
		if !e.f.met(d) {
			return []Finding{{Pointer: d.Pointer, Operand: "duty", Want: d.Action}}
		}
	}
	from := len(e.findings)
	t := e.all(r.Constraints)
	if t == True {
		return nil
	}
	var why []Finding
	for _, x := range e.findings[from:] {
		if x.Truth != True {
			why = append(why, x)
		}
	}
	if len(why) == 0 { // exactly one of several had to hold, and more did
		why = []Finding{{Pointer: r.Pointer, Operand: "constraint", Want: r.Action, Truth: t}}
	}
	return why
}

type evaluation struct {
	f        Facts
	findings []Finding
	until    time.Time
	forbid   bool // judging a prohibition
}

func (e *evaluation) deny(why ...Finding) Decision {
	return Decision{Findings: e.findings, Why: why, Until: e.until}
}

func (e *evaluation) all(cs []Constraint) Truth {
	t := True
	for _, c := range cs {
		t = min3(t, e.constraint(c))
	}
	return t
}

// min3 is "and": false wins over unknown, unknown over true.
func min3(a, b Truth) Truth {
	switch {
	case a == False || b == False:
		return False
	case a == Unknown || b == Unknown:
		return Unknown
	}
	return True
}

func (e *evaluation) constraint(c Constraint) Truth {
	switch c.Logic {
	case "":
		return e.atom(c)
	case "and", "andSequence":
		return e.all(c.Parts)
	}
	var yes, unknown int
	for _, p := range c.Parts {
		switch e.constraint(p) {
		case True:
			yes++
		case Unknown:
			unknown++
		}
	}
	switch {
	case c.Logic == "or" && yes > 0, c.Logic == "xone" && yes == 1 && unknown == 0:
		return True
	case c.Logic == "or" && unknown > 0, c.Logic == "xone" && yes < 2 && unknown > 0:
		return Unknown
	}
	return False
}

func (e *evaluation) atom(c Constraint) Truth {
	x := Finding{Pointer: c.Pointer, Operand: c.Operand, Operator: c.Operator, Want: strings.Join(c.Right, ", "), c: c}
	switch {
	case c.Operand == "dateTime":
		x.Saw, x.Source = e.f.Now.UTC().Format(time.RFC3339), "clock"
		if from, to, ok := span(c); ok {
			x.Truth = e.clock(c.Operator, from, to)
		}
	case e.f.Declared != nil && e.f.Declared(c.Operand):
		// Agreeing declares what a permission asks for; what it says about a
		// prohibition is anybody's guess.
		if !e.forbid {
			x.Saw, x.Source = x.Want, "declared by agreement"
			if plain(c) && !ordering[c.Operator] {
				x.Truth = True
			}
		}
	case e.f.Pending != nil && e.f.Pending(c.Operand):
		if !e.forbid {
			x.Saw, x.Source = x.Want, "shown before use"
			if plain(c) {
				x.Truth = True
			}
		}
	default:
		e.known(c, &x)
	}
	e.findings = append(e.findings, x)
	return x.Truth
}

// known judges what is a fact of the moment: a set, or one value.
func (e *evaluation) known(c Constraint, x *Finding) {
	if e.f.Set != nil {
		if members, source, ok := e.f.Set(c.Operand); ok {
			x.Saw, x.Source = strings.Join(members, ", "), source
			if plain(c) {
				x.Truth = judgeSet(c, members)
			}
			return
		}
	}
	if e.f.Value == nil {
		return
	}
	if v, source, ok := e.f.Value(c.Operand); ok {
		x.Saw, x.Source = v, source
		if plain(c) {
			x.Truth = judge(c, v)
		}
	}
}

// clock compares now with the instants from <= t < to, and notes when the result
// changes next.
func (e *evaluation) clock(operator string, from, to time.Time) Truth {
	now := e.f.Now
	order := 0
	if now.Before(from) {
		order = -1
	} else if !now.Before(to) {
		order = 1
	}
	switch operator {
	case "lt", "gteq":
		e.changes(from)
	case "lteq", "gt":
		e.changes(to)
	default:
		e.changes(from)
		e.changes(to)
	}
	return compare(operator, order)
}

func (e *evaluation) changes(at time.Time) {
	if at.After(e.f.Now) && (e.until.IsZero() || at.Before(e.until)) {
		e.until = at
	}
}

// ordering operators mean nothing for what is declared by name.
var ordering = words("lt lteq gt gteq")

// texts and numbers are the datatypes whose values are compared as such.
var (
	texts   = words("xsd:string xsd:normalizedString xsd:token xsd:anyURI xsd:language")
	numbers = words(`xsd:integer xsd:decimal xsd:double xsd:float xsd:int xsd:long xsd:short xsd:byte xsd:nonNegativeInteger
		xsd:positiveInteger xsd:nonPositiveInteger xsd:negativeInteger xsd:unsignedInt xsd:unsignedLong xsd:unsignedShort xsd:unsignedByte`)
	times = words("xsd:dateTime xsd:dateTimeStamp xsd:date xsd:string")
)

// plain says whether the values of a constraint are of datatypes that are
// understood and are what their datatype says.
func plain(c Constraint) bool {
	for i, t := range c.Types {
		if t == "" || texts[t] || t == "xsd:boolean" && (c.Right[i] == "true" || c.Right[i] == "false") {
			continue
		}
		if _, ok := number(c.Right[i]); !ok || !numbers[t] {
			return false
		}
	}
	return true
}

// span is the time that a dateTime is about: an instant, for which to is the
// next one, or a whole day in UTC. Without a zone it is not an instant, hence
// not known; without seconds it is one, the standard's own examples write so.
func span(c Constraint) (from, to time.Time, ok bool) {
	if c.Set || len(c.Right) != 1 || c.Types != nil && !times[c.Types[0]] {
		return from, to, false
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, c.Right[0]); err == nil {
			return t, t.Add(1), true
		}
	}
	t, err := time.Parse(time.DateOnly, c.Right[0])
	return t, t.AddDate(0, 0, 1), err == nil
}

func compare(operator string, order int) Truth {
	var ok bool
	switch operator {
	case "eq":
		ok = order == 0
	case "neq":
		ok = order != 0
	case "lt":
		ok = order < 0
	case "lteq":
		ok = order <= 0
	case "gt":
		ok = order > 0
	case "gteq":
		ok = order >= 0
	default:
		return Unknown
	}
	return truth(ok)
}

func truth(ok bool) Truth {
	if ok {
		return True
	}
	return False
}

// judge compares a known value with the right operand: as numbers when both are,
// else as strings, for which there is no order. What is part of what, or of which
// class, is not known here beyond the value itself.
func judge(c Constraint, v string) Truth {
	same := func(r string) bool { return order(v, r) == 0 || v == r }
	in := slices.ContainsFunc(c.Right, same)
	all := !slices.ContainsFunc(c.Right, func(r string) bool { return !same(r) })
	switch c.Operator {
	case "isAnyOf":
		return truth(in)
	case "isNoneOf":
		return truth(!in)
	case "isAllOf":
		return truth(all)
	case "isPartOf", "isA":
		if in {
			return True
		}
		return Unknown
	case "hasPart":
		if all {
			return True
		}
		return Unknown
	}
	if c.Set || len(c.Right) != 1 {
		return Unknown
	}
	if o := order(v, c.Right[0]); o != noOrder {
		return compare(c.Operator, o)
	}
	switch c.Operator {
	case "eq":
		return truth(v == c.Right[0])
	case "neq":
		return truth(v != c.Right[0])
	}
	return Unknown
}

// judgeSet compares members with the right operand, as names.
func judgeSet(c Constraint, members []string) Truth {
	has := func(r string) bool { return slices.Contains(members, r) }
	lacks := func(r string) bool { return !has(r) }
	switch c.Operator {
	case "eq":
		if !c.Set && len(c.Right) == 1 {
			return truth(has(c.Right[0]))
		}
	case "neq":
		if !c.Set && len(c.Right) == 1 {
			return truth(lacks(c.Right[0]))
		}
	case "isAnyOf":
		return truth(slices.ContainsFunc(c.Right, has))
	case "isNoneOf":
		return truth(!slices.ContainsFunc(c.Right, has))
	case "isAllOf", "hasPart":
		return truth(!slices.ContainsFunc(c.Right, lacks))
	}
	return Unknown
}

// noOrder is the order of what are not both numbers.
const noOrder = 2

// order compares two decimal numbers exactly: floating point would take long
// identifiers that differ for equal.
func order(a, b string) int {
	x, okA := number(a)
	y, okB := number(b)
	if !okA || !okB {
		return noOrder
	}
	return x.Cmp(y)
}

// decimal is a number with a short exponent, which bounds the work.
var decimal = regexp.MustCompile(`^[+-]?[0-9]{1,64}(\.[0-9]{1,64})?([eE][+-]?[0-9]{1,2})?$`)

func number(s string) (*big.Rat, bool) {
	if s == "" || s[0] > '9' || !decimal.MatchString(s) {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}
