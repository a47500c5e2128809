package odrl

import (
	"slices"
	"strconv"
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
}

// Decision is permit or not, with what it rests on.
type Decision struct {
	Permit   bool
	Findings []Finding // of all rules, in order
	Why      []Finding // what stood in the way; empty for a permit
	Until    time.Time // when time alone changes the decision; zero: never
}

// Evaluate decides on the action "use". A prohibition that holds or may hold
// denies; of the permissions one must hold wholly. An obligation or duty, a
// profile or an action that is not known here denies.
func Evaluate(p Policy, f Facts) Decision {
	e := &evaluation{f: f}
	if len(p.Profiles) > 0 {
		return e.deny(Finding{Pointer: "/profile", Operand: "profile", Want: strings.Join(p.Profiles, ", ")})
	}
	for _, o := range p.Obligations {
		return e.deny(Finding{Pointer: o.Pointer, Operand: "obligation", Want: o.Action})
	}
	for _, r := range p.Prohibitions {
		if r.Action != "use" && len(r.Constraints) == 0 {
			// Another action than the one asked for: it binds the counterpart and
			// stands in the agreement; the use itself is not prohibited by it.
			continue
		}
		if t := e.all(r.Constraints); t != False {
			return e.deny(Finding{Pointer: r.Pointer, Operand: "prohibition", Want: r.Action, Truth: t})
		}
	}
	var near []Finding
	for _, r := range p.Permissions {
		from := len(e.findings)
		switch {
		case r.Action != "use":
			near = append(near, Finding{Pointer: r.Pointer, Operand: "action", Want: r.Action})
		case len(r.Duties) > 0:
			near = append(near, Finding{Pointer: r.Duties[0].Pointer, Operand: "duty", Want: r.Duties[0].Action})
		case e.all(r.Constraints) == True:
			return Decision{Permit: true, Findings: e.findings, Until: e.until}
		default:
			for _, x := range e.findings[from:] {
				if x.Truth != True {
					near = append(near, x)
				}
			}
		}
	}
	if len(near) == 0 {
		near = []Finding{{Pointer: "/permission", Operand: "permission", Want: "use"}}
	}
	return Decision{Findings: e.findings, Why: near, Until: e.until}
}

type evaluation struct {
	f        Facts
	findings []Finding
	until    time.Time
}

func (e *evaluation) deny(why Finding) Decision {
	return Decision{Findings: e.findings, Why: []Finding{why}, Until: e.until}
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
	x := Finding{Pointer: c.Pointer, Operand: c.Operand, Operator: c.Operator, Want: strings.Join(c.Right, ", ")}
	switch {
	case c.Operand == "dateTime" && len(c.Right) == 1 && !c.Set:
		x.Saw, x.Source = e.f.Now.UTC().Format(time.RFC3339), "clock"
		if at, ok := instant(c.Right[0]); ok {
			x.Truth = compare(c.Operator, e.f.Now.Compare(at))
			if at.After(e.f.Now) && (e.until.IsZero() || at.Before(e.until)) {
				e.until = at
			}
		}
	case e.f.Declared != nil && e.f.Declared(c.Operand):
		x.Saw, x.Source, x.Truth = x.Want, "declared by agreement", True
	case e.f.Value != nil:
		if v, source, ok := e.f.Value(c.Operand); ok {
			x.Saw, x.Source, x.Truth = v, source, judge(c, v)
		}
	}
	e.findings = append(e.findings, x)
	return x.Truth
}

func instant(s string) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, true
	}
	t, err := time.Parse(time.DateOnly, s)
	return t, err == nil
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
// else as strings, for which there is no order.
func judge(c Constraint, v string) Truth {
	switch c.Operator {
	case "isAnyOf", "isPartOf", "isA":
		return truth(slices.Contains(c.Right, v))
	case "isNoneOf":
		return truth(!slices.Contains(c.Right, v))
	case "isAllOf":
		return truth(len(c.Right) == 1 && c.Right[0] == v)
	}
	if len(c.Right) != 1 {
		return Unknown
	}
	a, errA := strconv.ParseFloat(v, 64)
	b, errB := strconv.ParseFloat(c.Right[0], 64)
	if errA == nil && errB == nil {
		order := 0
		if a < b {
			order = -1
		} else if a > b {
			order = 1
		}
		return compare(c.Operator, order)
	}
	switch c.Operator {
	case "eq":
		return truth(v == c.Right[0])
	case "neq":
		return truth(v != c.Right[0])
	}
	return Unknown
}

// Explain is the finding as a sentence in lang.
func (x Finding) Explain(lang string) string {
	ja := lang == "ja"
	switch {
	case x.Operator == "" && ja:
		return x.Pointer + " の " + x.Operand + "「" + x.Want + "」はこのノードでは満たされません"
	case x.Operator == "":
		return x.Operand + " " + strconv.Quote(x.Want) + " at " + x.Pointer + " is not met here"
	case x.Saw == "" && ja:
		return x.Operand + " の値が不明です（条件: " + x.Operator + " " + x.Want + "）"
	case x.Saw == "":
		return "the value of " + x.Operand + " is not known (wanted: " + x.Operator + " " + x.Want + ")"
	case ja:
		return x.Operand + " は " + x.Saw + "（条件: " + x.Operator + " " + x.Want + "、根拠: " + x.Source + "）"
	}
	return x.Operand + " is " + x.Saw + ", wanted: " + x.Operator + " " + x.Want + " (" + x.Source + ")"
}

// Explain is what stood in the way, as sentences in lang.
func (d Decision) Explain(lang string) string {
	parts := make([]string, 0, len(d.Why))
	for _, x := range d.Why {
		parts = append(parts, x.Explain(lang))
	}
	return strings.Join(parts, "; ")
}

// Describe gives the rules as short sentences in lang.
func Describe(p Policy, lang string) []string {
	var out []string
	say := func(kind string, rules []Rule) {
		for _, r := range rules {
			s := kind + " " + r.Action
			var parts []string
			for _, c := range r.Constraints {
				parts = append(parts, sentence(c))
			}
			if len(parts) > 0 {
				s += ": " + strings.Join(parts, ", ")
			}
			out = append(out, s)
		}
	}
	names := [3]string{"permitted:", "prohibited:", "obliged:"}
	if lang == "ja" {
		names = [3]string{"許可:", "禁止:", "義務:"}
	}
	say(names[0], p.Permissions)
	say(names[1], p.Prohibitions)
	say(names[2], p.Obligations)
	return out
}

func sentence(c Constraint) string {
	if c.Logic == "" {
		return c.Operand + " " + c.Operator + " " + strings.Join(c.Right, "|")
	}
	var parts []string
	for _, p := range c.Parts {
		parts = append(parts, sentence(p))
	}
	return c.Logic + "(" + strings.Join(parts, ", ") + ")"
}
