// Package odrl is the part of ODRL that the Dataspace Protocol uses: offers and
// agreements with their rules, a strict parser, a normal form with a stable
// hash, and an evaluator that explains itself.
//
// What it does not understand is refused or counts as not permitted, never
// passed over. It knows no node, no catalogue and no credentials: facts come in.
package odrl

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

// MaxConstraints bounds the constraints of one policy.
const MaxConstraints = 2048

// Policy is a set of rules. At least one permission or prohibition is there.
type Policy struct {
	Profiles     []string
	Permissions  []Rule
	Prohibitions []Rule
	Obligations  []Rule
}

// Rule permits, prohibits or obliges one action.
type Rule struct {
	Pointer     string // where it stood
	Action      string // normalised: "use", else prefixed or an IRI
	Constraints []Constraint
	Duties      []Rule // of a permission
}

// Constraint is atomic (Operand set) or logical (Logic set).
type Constraint struct {
	Pointer  string
	Operand  string
	Operator string
	Right    []string // one value, or the members of a set
	Types    []string // datatypes of Right, "xsd:integer"; nil: none has one
	Set      bool     // Right was an array

	Logic string // and, or, xone, andSequence
	Parts []Constraint
}

const ns = "http://www.w3.org/ns/odrl/2/"

// term takes ODRL's own prefix or namespace off a name.
func term(s string) string {
	s = strings.TrimPrefix(s, ns)
	return strings.TrimPrefix(s, "odrl:")
}

// actions are ODRL's vocabulary of actions (ODRL Vocabulary 2.2, sections 4.2
// and 4.3).
var actions = words(`acceptTracking aggregate annotate anonymize archive attribute compensate concurrentUse delete
	derive digitize display distribute ensureExclusivity execute extract give grantUse include index inform install
	modify move nextPolicy obtainConsent play present print read reproduce reviewPolicy sell stream synchronize
	textToSpeech transfer transform translate uninstall use watermark`)

func words(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

var operators = map[string]bool{"eq": true, "neq": true, "gt": true, "gteq": true, "lt": true, "lteq": true,
	"hasPart": true, "isA": true, "isAllOf": true, "isAnyOf": true, "isNoneOf": true, "isPartOf": true}

// ofSets are the operators that ask about members: with them a value is a set
// of one.
var ofSets = words("hasPart isA isAllOf isAnyOf isNoneOf isPartOf")

// Parse reads the rules of an Offer, an Agreement or bare rules. Members that
// name the policy and its parties are passed over; any other that is not known
// is fault.TermsNotUnderstood at its JSON pointer.
func Parse(raw []byte) (Policy, error) {
	var top map[string]strictjson.Raw
	if err := strictjson.Decode(raw, &top); err != nil {
		return Policy{}, bad("", err.Error())
	}
	if at, ok := doubled(top); ok {
		return Policy{}, bad("/"+escape(at), "doubled member")
	}
	p := parser{}
	var out Policy
	for _, name := range sorted(top) {
		v, at := top[name], "/"+escape(name)
		var err error
		switch term(name) {
		case "@id", "@type", "@context", "target", "assigner", "assignee", "timestamp", "uid":
		case "profile":
			out.Profiles, err = strs(v, at)
		case "permission":
			out.Permissions, err = p.rules(v, at, true)
		case "prohibition":
			out.Prohibitions, err = p.rules(v, at, false)
		case "obligation":
			out.Obligations, err = p.rules(v, at, false)
		default:
			err = bad(at, "the member "+strconv.Quote(name)+" is not understood")
		}
		if err != nil {
			return Policy{}, err
		}
	}
	if len(out.Permissions)+len(out.Prohibitions) == 0 {
		return Policy{}, bad("", "a permission or a prohibition is required")
	}
	return out, nil
}

type parser struct{ constraints int }

func (p *parser) rules(raw strictjson.Raw, at string, duties bool) ([]Rule, error) {
	items, err := many(raw, at)
	if err != nil {
		return nil, err
	}
	out := make([]Rule, 0, len(items))
	for i, item := range items {
		r := Rule{Pointer: at + "/" + strconv.Itoa(i)}
		var m map[string]strictjson.Raw
		if strictjson.Decode(item, &m) != nil {
			return nil, bad(r.Pointer, "a rule is an object")
		}
		if at, ok := doubled(m); ok {
			return nil, bad(r.Pointer+"/"+escape(at), "doubled member")
		}
		for _, name := range sorted(m) {
			here := r.Pointer + "/" + escape(name)
			switch n := term(name); {
			case n == "@type" || n == "@id":
			case n == "action":
				s, err := strs(m[name], here)
				if err != nil || len(s) != 1 {
					return nil, bad(here, "one action is required")
				}
				r.Action = term(s[0])
			case n == "constraint":
				if r.Constraints, err = p.list(m[name], here); err != nil {
					return nil, err
				}
			case n == "duty" && duties:
				if r.Duties, err = p.rules(m[name], here, false); err != nil {
					return nil, err
				}
			default:
				return nil, bad(here, "the member "+strconv.Quote(name)+" is not understood in a rule")
			}
		}
		if r.Action == "" {
			return nil, bad(r.Pointer+"/action", "an action is required")
		}
		out = append(out, r)
	}
	return out, nil
}

func (p *parser) list(raw strictjson.Raw, at string) ([]Constraint, error) {
	if raw.Kind() == '{' { // {"@list":[...]} of a sequence
		var l struct {
			List strictjson.Raw `json:"@list"`
		}
		if strictjson.Decode(raw, &l) == nil && len(l.List) > 0 {
			raw = l.List
		}
	}
	items, err := many(raw, at)
	if err != nil {
		return nil, err
	}
	out := make([]Constraint, 0, len(items))
	for i, item := range items {
		c, err := p.constraint(item, at+"/"+strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

func (p *parser) constraint(raw strictjson.Raw, at string) (Constraint, error) {
	c := Constraint{Pointer: at}
	if p.constraints++; p.constraints > MaxConstraints {
		return c, bad(at, "more than "+strconv.Itoa(MaxConstraints)+" constraints")
	}
	var m map[string]strictjson.Raw
	if strictjson.Decode(raw, &m) != nil {
		return c, bad(at, "a constraint is an object")
	}
	if twice, ok := doubled(m); ok {
		return c, bad(at+"/"+escape(twice), "doubled member")
	}
	atomic, right := false, false // members of an atomic constraint, a right operand among them
	for _, name := range sorted(m) {
		here := at + "/" + escape(name)
		var err error
		switch n := term(name); n {
		case "@type", "@id":
		case "leftOperand":
			atomic = true
			c.Operand, err = one(m[name], here)
		case "operator":
			atomic = true
			if c.Operator, err = one(m[name], here); err == nil && !operators[c.Operator] {
				err = bad(here, "the operator "+strconv.Quote(c.Operator)+" is not known")
			}
		case "rightOperand":
			atomic, right = true, true
			if c.Right, c.Types, c.Set, err = values(m[name], here); err == nil && len(c.Right) == 0 {
				err = bad(here, "a right operand has at least one value")
			}
		case "and", "or", "xone", "andSequence":
			if c.Logic != "" {
				return c, bad(here, "a constraint has one logical operator")
			}
			c.Logic = n
			if c.Parts, err = p.list(m[name], here); err == nil && len(c.Parts) == 0 {
				err = bad(here, "a logical constraint has parts")
			}
		default:
			err = bad(here, "the member "+strconv.Quote(name)+" is not understood in a constraint")
		}
		if err != nil {
			return c, err
		}
	}
	if c.Logic != "" && atomic {
		return c, bad(at, "a constraint is atomic or logical, not both")
	}
	if c.Logic == "" && (c.Operand == "" || c.Operator == "" || !right) {
		return c, bad(at, "leftOperand, operator and rightOperand are required")
	}
	return c, nil
}

func one(raw strictjson.Raw, at string) (string, error) {
	s, err := strs(raw, at)
	if err != nil || len(s) != 1 || s[0] == "" {
		return "", bad(at, "one name is required")
	}
	return term(s[0]), nil
}

// values reads a right operand: a string, number, boolean, typed or language
// literal, an IRI, or an array of them. A string that holds a JSON array of
// @value objects is that set: EDC writes sets so (decisions A1).
func values(raw strictjson.Raw, at string) (right, types []string, set bool, err error) {
	v, err := literals(raw, at)
	if err != nil {
		return nil, nil, false, err
	}
	set = raw.Kind() == '['
	if !set && len(v) == 1 && strings.HasPrefix(strings.TrimSpace(v[0].text), "[{") {
		if inner, err := literals(strictjson.Raw(v[0].text), at); err == nil {
			v, set = inner, true
		}
	}
	typed := false
	for _, l := range v {
		right, types = append(right, l.text), append(types, l.datatype)
		typed = typed || l.datatype != ""
	}
	if !typed {
		types = nil
	}
	return right, types, set, nil
}

// literal is a value with its datatype, "" without one.
type literal struct{ text, datatype string }

const xsd = "http://www.w3.org/2001/XMLSchema#"

// datatype writes one of XML Schema's with its prefix.
func datatype(s string) string {
	if rest, ok := strings.CutPrefix(s, xsd); ok {
		return "xsd:" + rest
	}
	return s
}

// strs reads names and identifiers, whose datatype says nothing.
func strs(raw strictjson.Raw, at string) ([]string, error) {
	v, err := literals(raw, at)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(v))
	for _, l := range v {
		out = append(out, l.text)
	}
	return out, nil
}

func literals(raw strictjson.Raw, at string) ([]literal, error) {
	switch raw.Kind() {
	case '"':
		var s string
		if strictjson.Decode(raw, &s) != nil {
			return nil, bad(at, "not a valid string")
		}
		return []literal{{text: s}}, nil
	case '0', 't', 'f':
		return []literal{{text: string(bytes.TrimSpace(raw))}}, nil
	case '{':
		var o struct {
			ID    string         `json:"@id"`
			Value strictjson.Raw `json:"@value"`
			Type  string         `json:"@type"`
			Lang  string         `json:"@language"`
		}
		if strictjson.Decode(raw, &o) != nil || (o.ID == "") == (len(o.Value) == 0) {
			return nil, bad(at, "an object here has @id, or @value with @type")
		}
		if o.ID != "" {
			return []literal{{text: o.ID}}, nil
		}
		if k := o.Value.Kind(); k == '{' || k == '[' || k == 'n' {
			return nil, bad(at, "an @value is a string, number or boolean")
		}
		v, err := literals(o.Value, at)
		if err != nil {
			return nil, err
		}
		v[0].datatype = datatype(o.Type)
		return v, nil
	case '[':
		items, err := many(raw, at)
		if err != nil {
			return nil, err
		}
		out := make([]literal, 0, len(items))
		for i, item := range items {
			if item.Kind() == '[' {
				return nil, bad(at+"/"+strconv.Itoa(i), "a set holds no set")
			}
			l, err := literals(item, at+"/"+strconv.Itoa(i))
			if err != nil {
				return nil, err
			}
			out = append(out, l...)
		}
		return out, nil
	}
	return nil, bad(at, "a value is required")
}

// many reads an array, or one object where JSON-LD leaves the array out.
func many(raw strictjson.Raw, at string) ([]strictjson.Raw, error) {
	if raw.Kind() == '{' {
		return []strictjson.Raw{raw}, nil
	}
	var items []strictjson.Raw
	if raw.Kind() != '[' || strictjson.Decode(raw, &items) != nil {
		return nil, bad(at, "an array is required")
	}
	return items, nil
}

func bad(pointer, reason string) error {
	return fault.TermsNotUnderstood.At(pointer, "reason", reason)
}

// pointerEscapes is made once: to make it costs more than to parse a policy.
var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

func escape(name string) string { return pointerEscapes.Replace(name) }

// doubled finds a member that is there twice, with ODRL's prefix or namespace
// and without: neither of them may silently win.
func doubled(m map[string]strictjson.Raw) (string, bool) {
	seen := make(map[string]bool, len(m))
	for _, name := range sorted(m) {
		if seen[term(name)] {
			return name, true
		}
		seen[term(name)] = true
	}
	return "", false
}

func sorted(m map[string]strictjson.Raw) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Normal is the normal form: equal rules give equal bytes, whatever the order of
// rules, constraints that all must hold, members of sets, prefixes and types of
// literals. Profiles are left out, since they are lost on the way (decisions A1).
func (p Policy) Normal() []byte {
	var b bytes.Buffer
	for _, part := range []struct {
		name  string
		rules []Rule
	}{{"permission", p.Permissions}, {"prohibition", p.Prohibitions}, {"obligation", p.Obligations}} {
		b.WriteString(part.name)
		b.WriteString(normalRules(part.rules))
	}
	return b.Bytes()
}

// Hash is sha256:<hex> of the normal form.
func (p Policy) Hash() string {
	sum := sha256.Sum256(p.Normal())
	return "sha256:" + hex.EncodeToString(sum[:])
}

func normalRules(rules []Rule) string {
	out := make([]string, 0, len(rules))
	for _, r := range rules {
		out = append(out, "("+quote(r.Action)+normalList(r.Constraints, true)+normalRules(r.Duties)+")")
	}
	sort.Strings(out)
	return "[" + strings.Join(out, "") + "]"
}

func normalList(cs []Constraint, anyOrder bool) string {
	out := make([]string, 0, len(cs))
	for _, c := range cs {
		if c.Logic != "" {
			out = append(out, "("+c.Logic+normalList(c.Parts, c.Logic != "andSequence")+")")
			continue
		}
		right := make([]string, 0, len(c.Right))
		for _, v := range c.Right {
			right = append(right, quote(v))
		}
		set := c.Set
		if set {
			sort.Strings(right)
			right = slices.Compact(right)
			// JSON-LD tells no value from a set of one, and an operator of sets
			// means the same by both.
			set = len(right) > 1 || !ofSets[c.Operator]
		}
		out = append(out, "("+quote(c.Operand)+c.Operator+" "+strconv.FormatBool(set)+strings.Join(right, " ")+")")
	}
	if anyOrder {
		sort.Strings(out)
	}
	return "[" + strings.Join(out, "") + "]"
}

// typed are the datatypes with which each value is compared, by operand,
// operator and value.
func (p Policy) typed() map[[3]string][]string {
	out := map[[3]string][]string{}
	var note func(cs []Constraint)
	note = func(cs []Constraint) {
		for _, c := range cs {
			for i, t := range c.Types {
				if k := [3]string{c.Operand, c.Operator, c.Right[i]}; t != "" && !slices.Contains(out[k], t) {
					out[k] = append(out[k], t)
				}
			}
			note(c.Parts)
		}
	}
	for _, rules := range [][]Rule{p.Permissions, p.Prohibitions, p.Obligations} {
		for _, r := range rules {
			note(r.Constraints)
			for _, d := range r.Duties {
				note(d.Constraints)
			}
		}
	}
	return out
}

// within says whether each member of a is one of b.
func within(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}

func quote(s string) string {
	q, err := jsontext.AppendQuote(nil, s)
	if err != nil {
		return strconv.Quote(s)
	}
	return string(q)
}

// Same says why two sets of rules are not the same terms, nil if they are. What
// EDC is known to lose on the way does not count (decisions A1): the datatype of a
// value, and all profiles. Where both sides still have them they must agree.
func Same(a, b []byte) error {
	pa, err := Parse(a)
	if err != nil {
		return err
	}
	pb, err := Parse(b)
	if err != nil {
		return err
	}
	if !bytes.Equal(pa.Normal(), pb.Normal()) {
		return errors.New("the rules differ")
	}
	theirs := pb.typed()
	for k, ours := range pa.typed() {
		if t := theirs[k]; !within(t, ours) && !within(ours, t) {
			return errors.New("the datatype of " + quote(k[2]) + " for " + k[0] + " differs")
		}
	}
	if len(pa.Profiles) > 0 && len(pb.Profiles) > 0 && !(within(pa.Profiles, pb.Profiles) && within(pb.Profiles, pa.Profiles)) {
		return errors.New("the profiles differ")
	}
	return nil
}
