package odrl

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

func TestRefused(t *testing.T) {
	t.Parallel()
	ok := atom("a", "eq", `"b"`)
	in := func(constraint string) string { return permission(`{"action":"use","constraint":` + constraint + `}`) }
	many := "[" + strings.Repeat(ok+",", MaxConstraints) + ok + "]"
	for _, c := range []struct{ name, terms, at, reason string }{
		{"no JSON", `x`, "", ""},
		{"empty", ``, "", ""},
		{"a string", `"use"`, "", ""},
		{"null", `null`, "", "required"},
		{"no rules", `{}`, "", "required"},
		{"empty rules", `{"permission":[],"prohibition":[]}`, "", "required"},
		{"only obligations", `{"obligation":[{"action":"delete"}]}`, "", "required"},
		{"unknown member", `{"permission":[{"action":"use"}],"inheritFrom":"x"}`, "/inheritFrom", "inheritFrom"},
		{"unknown member with a slash", `{"a/b":1}`, "/a~1b", "a/b"},
		{"doubled member", `{"permission":[{"action":"use"}],"permission":[]}`, "", "doubled"},
		{"doubled by a prefix", `{"prohibition":[{"action":"use"}],"odrl:prohibition":[{"action":"play"}]}`, "/prohibition", "doubled"},
		{"doubled by a namespace in a rule", permission(`{"action":"use","constraint":[],"http://www.w3.org/ns/odrl/2/constraint":[]}`),
			"/permission/0/http:~1~1www.w3.org~1ns~1odrl~12~1constraint", "doubled"},
		{"doubled by a prefix in a constraint", in(`[{"leftOperand":"a","odrl:leftOperand":"b","operator":"eq","rightOperand":"c"}]`), "/permission/0/constraint/0/odrl:leftOperand", "doubled"},
		{"rules are a string", `{"permission":"use"}`, "/permission", "array"},
		{"rule is a string", `{"permission":["use"]}`, "/permission/0", "object"},
		{"rule without action", `{"permission":[{}]}`, "/permission/0/action", "action"},
		{"rule is null", `{"permission":[null]}`, "/permission/0/action", "action"},
		{"two actions", permission(`{"action":["use","play"]}`), "/permission/0/action", "one action"},
		{"refined action", permission(`{"action":{"rdf:value":{"@id":"odrl:use"},"refinement":[]}}`), "/permission/0/action", "one action"},
		{"unknown member of a rule", permission(`{"action":"use","assignee":"x"}`), "/permission/0/assignee", "assignee"},
		{"remedy of a prohibition", prohibition(`{"action":"play","remedy":[]}`), "/prohibition/0/remedy", "remedy"},
		{"duty of a prohibition", prohibition(`{"action":"play","duty":[]}`), "/prohibition/0/duty", "duty"},
		{"duty of a duty", permission(`{"action":"use","duty":[{"action":"inform","duty":[]}]}`), "/permission/0/duty/0/duty", "duty"},
		{"constraints are a string", in(`"x"`), "/permission/0/constraint", "array"},
		{"constraints are null", in(`null`), "/permission/0/constraint", "array"},
		{"constraint is a string", in(`["x"]`), "/permission/0/constraint/0", "object"},
		{"constraint by reference", in(`[{"@id":"urn:x"}]`), "/permission/0/constraint/0", "required"},
		{"no operator", in(`[{"leftOperand":"a","rightOperand":"b"}]`), "/permission/0/constraint/0", "required"},
		{"unknown operator", in(`[` + atom("a", "like", `"b"`) + `]`), "/permission/0/constraint/0/operator", "like"},
		{"the slip of the schema", in(`[` + atom("a", "term-lteq", `"b"`) + `]`), "/permission/0/constraint/0/operator", "term-lteq"},
		{"no right operand", in(`[{"leftOperand":"a","operator":"eq"}]`), "/permission/0/constraint/0", "required"},
		{"right operand by reference", in(`[{"leftOperand":"a","operator":"eq","rightOperandReference":"x"}]`), "/permission/0/constraint/0/rightOperandReference", "rightOperandReference"},
		{"a unit", in(`[{"leftOperand":"a","operator":"eq","rightOperand":"1","unit":"x"}]`), "/permission/0/constraint/0/unit", "unit"},
		{"right operand is null", in(`[` + atom("a", "eq", `null`) + `]`), "/permission/0/constraint/0/rightOperand", "value"},
		{"right operand is empty", in(`[` + atom("a", "isNoneOf", `[]`) + `]`), "/permission/0/constraint/0/rightOperand", "at least one"},
		{"set in a set", in(`[` + atom("a", "isAnyOf", `[["b"]]`) + `]`), "/permission/0/constraint/0/rightOperand/0", "no set"},
		{"right operand is an object", in(`[` + atom("a", "eq", `{"x":1}`) + `]`), "/permission/0/constraint/0/rightOperand", "@value"},
		{"value is an object", in(`[` + atom("a", "eq", `{"@value":{}}`) + `]`), "/permission/0/constraint/0/rightOperand", "@value"},
		{"value and id", in(`[` + atom("a", "eq", `{"@value":"b","@id":"c"}`) + `]`), "/permission/0/constraint/0/rightOperand", "@id"},
		{"two left operands", in(`[{"leftOperand":["a","b"],"operator":"eq","rightOperand":"c"}]`), "/permission/0/constraint/0/leftOperand", "one name"},
		{"atomic and logical", in(`[{"and":[` + ok + `],"leftOperand":"a"}]`), "/permission/0/constraint/0", "not both"},
		{"logical with a right operand", in(`[{"and":[` + ok + `],"rightOperand":"a"}]`), "/permission/0/constraint/0", "not both"},
		{"two logical operators", in(`[{"and":[` + ok + `],"or":[` + ok + `]}]`), "/permission/0/constraint/0/or", "one logical"},
		{"logical without parts", in(`[{"or":[]}]`), "/permission/0/constraint/0/or", "parts"},
		{"fault in a part", in(`[{"or":[` + ok + `,{"leftOperand":"a"}]}]`), "/permission/0/constraint/0/or/1", "required"},
		{"too many constraints", in(many), "/permission/0/constraint/2048", "2048"},
		{"too deep", in(strings.Repeat(`{"and":`, 70) + ok + strings.Repeat(`}`, 70)), "", "nested"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(c.terms))
			if !errors.Is(err, fault.TermsNotUnderstood) {
				t.Fatalf("got %v", err)
			}
			if f := fault.Of(err); f.Place != c.at || !strings.Contains(f.Args["reason"], c.reason) {
				t.Errorf("at %q: %q; want %q: %q", f.Place, f.Args["reason"], c.at, c.reason)
			}
		})
	}
}

// TestSame holds what is known to be lost between two nodes against what would
// change the terms (decisions A1).
func TestSame(t *testing.T) {
	t.Parallel()
	a, b := atom("a", "eq", `"1"`), atom("b", "isAnyOf", `["x","y"]`)
	for _, c := range []struct {
		name, ours, theirs string
		same               bool
	}{
		{"itself", permission(use(a, b)), permission(use(a, b)), true},
		{"a typed literal came back bare", permission(use(atom("a", "eq", `{"@value":"10","@type":"xsd:integer"}`))), permission(use(atom("a", "eq", `"10"`))), true},
		{"a number came back as text", permission(use(atom("a", "eq", `10`))), permission(use(atom("a", "eq", `"10"`))), true},
		{"a boolean came back as text", permission(use(atom("a", "eq", `true`))), permission(use(atom("a", "eq", `"true"`))), true},
		{"a set came back as a text of JSON", permission(use(atom("a", "isAnyOf", `["CLEAR","GREEN"]`))),
			permission(use(atom("a", "isAnyOf", `"[{\"@value\":\"CLEAR\"},{\"@value\":\"GREEN\"}]"`))), true},
		{"a set in another order", permission(use(atom("a", "isAnyOf", `["x","y"]`))), permission(use(atom("a", "isAnyOf", `["y","x"]`))), true},
		{"prefixes", permission(use(a)), `{"odrl:permission":[{"odrl:action":{"@id":"odrl:use"},"odrl:constraint":[{"odrl:leftOperand":{"@id":"a"},"odrl:operator":{"@id":"odrl:eq"},"odrl:rightOperand":"1"}]}]}`, true},
		{"full IRIs", permission(use(a)), `{"http://www.w3.org/ns/odrl/2/permission":{"http://www.w3.org/ns/odrl/2/action":"http://www.w3.org/ns/odrl/2/use","constraint":` + a + `}}`, true},
		{"the profile is gone", `{"profile":"https://x/p","permission":[{"action":"use"}]}`, permission(`{"action":"use"}`), true},
		{"ids, types and parties", permission(use(a)), `{"@id":"o","@type":"Offer","target":"d","assigner":"p","permission":[` + use(a) + `],"prohibition":[],"obligation":[]}`, true},
		{"another order of constraints", permission(use(a, b)), permission(use(b, a)), true},
		{"another order of rules", permission(use(a), use(b)), permission(use(b), use(a)), true},
		{"another order of alternatives", permission(use(`{"or":[` + a + `,` + b + `]}`)), permission(use(`{"or":[` + b + `,` + a + `]}`)), true},
		{"another order of a sequence", permission(use(`{"andSequence":[` + a + `,` + b + `]}`)), permission(use(`{"andSequence":[` + b + `,` + a + `]}`)), false},
		{"another value", permission(use(a)), permission(use(atom("a", "eq", `"2"`))), false},
		{"another operator", permission(use(a)), permission(use(atom("a", "neq", `"1"`))), false},
		{"another operand", permission(use(a)), permission(use(atom("b", "eq", `"1"`))), false},
		{"another action", permission(`{"action":"use"}`), permission(`{"action":"play"}`), false},
		{"a constraint less", permission(use(a, b)), permission(use(a)), false},
		{"a prohibition less", prohibition(`{"action":"distribute"}`), permission(`{"action":"use"}`), false},
		{"a duty less", permission(`{"action":"use","duty":[{"action":"inform"}]}`), permission(`{"action":"use"}`), false},
		{"an obligation more", permission(`{"action":"use"}`), `{"permission":[{"action":"use"}],"obligation":[{"action":"delete"}]}`, false},
		{"and made or", permission(use(`{"and":[` + a + `,` + b + `]}`)), permission(use(`{"or":[` + a + `,` + b + `]}`)), false},
		{"a member of a set less", permission(use(atom("a", "isAnyOf", `["x","y"]`))), permission(use(atom("a", "isAnyOf", `["x"]`))), false},
		{"a set of one came back as its member", permission(use(atom("a", "isAnyOf", `["x"]`))), permission(use(atom("a", "isAnyOf", `"x"`))), true},
		{"a member of a set twice", permission(use(atom("a", "isNoneOf", `["x","y","x"]`))), permission(use(atom("a", "isNoneOf", `["x","y"]`))), true},
		{"a datatype by its IRI", permission(use(atom("a", "eq", `{"@value":"1","@type":"xsd:integer"}`))),
			permission(use(atom("a", "eq", `{"@value":"1","@type":"http://www.w3.org/2001/XMLSchema#integer"}`))), true},
		{"another datatype", permission(use(atom("a", "eq", `{"@value":"1","@type":"xsd:integer"}`))), permission(use(atom("a", "eq", `{"@value":"1","@type":"xsd:duration"}`))), false},
		{"one datatype lost, one kept in a text of JSON", permission(use(atom("a", "eq", `{"@value":"1","@type":"xsd:integer"}`), atom("b", "isAnyOf", `[{"@value":"2","@type":"xsd:integer"},"x"]`))),
			permission(use(atom("a", "eq", `"1"`), atom("b", "isAnyOf", `"[{\"@value\":\"2\",\"@type\":\"xsd:integer\"},{\"@value\":\"x\"}]"`))), true},
		{"another profile", `{"profile":"https://x/p","permission":[{"action":"use"}]}`, `{"profile":"https://x/q","permission":[{"action":"use"}]}`, false},
		{"a profile less of two", `{"profile":["https://x/p","https://x/q"],"permission":[{"action":"use"}]}`, `{"profile":"https://x/q","permission":[{"action":"use"}]}`, false},
		{"a value made a set", permission(use(atom("a", "eq", `"x"`))), permission(use(atom("a", "eq", `["x"]`))), false},
		{"values that only look joined", permission(use(atom("a", "isAnyOf", `["x\" \"y"]`))), permission(use(atom("a", "isAnyOf", `["x","y"]`))), false},
		{"a permission made a prohibition", permission(use(a)), `{"prohibition":[` + use(a) + `]}`, false},
		{"what is not understood", permission(use(a)), `{"permission":[{"action":"use","x":1}]}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, pair := range [][2]string{{c.ours, c.theirs}, {c.theirs, c.ours}} {
				if err := Same([]byte(pair[0]), []byte(pair[1])); (err == nil) != c.same {
					t.Errorf("%s\n%s\nsame is %v: %v", pair[0], pair[1], err == nil, err)
				}
			}
		})
	}
}

func TestNormalIsStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, q := policies().Draw(t, "policy"), policies().Draw(t, "other")
		once := p.Normal()
		if !bytes.Equal(once, p.Normal()) {
			t.Fatal("differs from one call to the next")
		}
		// Equal normal forms are decided alike.
		if bytes.Equal(once, q.Normal()) && Evaluate(p, facts()).Permit != Evaluate(q, facts()).Permit {
			t.Fatal("one normal form, two decisions")
		}
	})
}

// TestPrintedIsParsedTheSame: what is written as JSON-LD, with prefixes or
// without, is read as what was written.
func TestPrintedIsParsedTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := policies().Draw(t, "policy")
		if len(p.Permissions)+len(p.Prohibitions) == 0 {
			return
		}
		printed := write(p, rapid.SampledFrom([]string{"", "odrl:", ns}).Draw(t, "prefix"))
		q, err := Parse(printed)
		if err != nil {
			t.Fatalf("%s: %v", printed, err)
		}
		if !bytes.Equal(p.Normal(), q.Normal()) {
			t.Fatalf("%s\nwas  %s\nread %s", printed, p.Normal(), q.Normal())
		}
		if Evaluate(p, facts()).Permit != Evaluate(q, facts()).Permit {
			t.Fatalf("%s is decided otherwise", printed)
		}
	})
}

// write gives rules as JSON, ODRL's own names with a prefix.
func write(p Policy, prefix string) []byte {
	var constraints func(cs []Constraint) []any
	constraints = func(cs []Constraint) []any {
		out := []any{}
		for _, c := range cs {
			if c.Logic != "" {
				out = append(out, map[string]any{prefix + c.Logic: constraints(c.Parts)})
				continue
			}
			var right any = c.Right
			if !c.Set {
				right = c.Right[0]
			}
			out = append(out, map[string]any{prefix + "leftOperand": c.Operand, prefix + "operator": prefix + c.Operator, prefix + "rightOperand": right})
		}
		return out
	}
	rules := func(rs []Rule) []any {
		out := []any{}
		for _, r := range rs {
			out = append(out, map[string]any{prefix + "action": r.Action, prefix + "constraint": constraints(r.Constraints)})
		}
		return out
	}
	b, err := strictjson.Encode(map[string]any{prefix + "permission": rules(p.Permissions), prefix + "prohibition": rules(p.Prohibitions)})
	if err != nil {
		panic(err)
	}
	return b
}

// FuzzParse: whatever is taken has a stable normal form, equals itself and can
// be judged and told in both languages; whatever is refused is a named fault.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		permission(`{"action":"use"}`), prohibition(use(atom("a", "eq", `1`))), `{"odrl:permission":{"action":{"@id":"odrl:use"}}}`,
		permission(use(`{"andSequence":{"@list":[` + atom("dateTime", "lteq", `"2026-01-01"`) + `]}}`)),
		permission(use(atom("a", "isAnyOf", `"[{\"@value\":\"x\"}]"`), atom("dateTime", "lt", `{"@value":"2026-12-31T15:00:00Z","@type":"xsd:dateTime"}`))),
		permission(`{"action":"use","duty":[{"action":"inform"}]}`), `{"profile":[1],"permission":[]}`, `{"permission":[{"action":"use"}],"permission":1}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			if !errors.Is(err, fault.TermsNotUnderstood) {
				t.Fatalf("%v has no name", err)
			}
			return
		}
		if err := Same(b, b); err != nil {
			t.Fatalf("differs from itself: %v", err)
		}
		d := Evaluate(p, facts())
		if d.Permit != (len(d.Why) == 0) {
			t.Fatalf("permit %v, because of %v", d.Permit, d.Why)
		}
		for _, lang := range []string{"en", "ja"} {
			if d.Permit != (d.Explain(lang) == "") {
				t.Fatalf("permit %v is explained as %q", d.Permit, d.Explain(lang))
			}
			if n := len(Describe(p, lang)); n != len(p.Permissions)+len(p.Prohibitions)+len(p.Obligations) {
				t.Fatalf("%d sentences", n)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	in := []byte(permission(use(atom("purpose", "eq", `"research"`), atom("dateTime", "lt", `"2026-06-30T00:00:00Z"`))))
	for b.Loop() {
		if _, err := Parse(in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseLargest reads as many constraints as are allowed.
func BenchmarkParseLargest(b *testing.B) {
	one := atom("a", "isAnyOf", `["x","y"]`)
	in := []byte(permission(use(strings.Repeat(one+",", MaxConstraints-1) + one)))
	for b.Loop() {
		if _, err := Parse(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSame(b *testing.B) {
	in := []byte(permission(use(atom("purpose", "eq", `"research"`), atom("dateTime", "lt", `"2026-06-30T00:00:00Z"`))))
	for b.Loop() {
		if err := Same(in, in); err != nil {
			b.Fatal(err)
		}
	}
}
