package odrl

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func facts() Facts {
	return Facts{
		Now:      noon,
		Declared: func(o string) bool { return o == "purpose" },
		Value: func(o string) (string, string, bool) {
			v, ok := map[string]string{"count": "10", "colour": "red", "serial": "9007199254740993"}[o]
			return v, "test", ok
		},
	}
}

// atom writes a constraint; right is JSON.
func atom(operand, operator, right string) string {
	return `{"leftOperand":"` + operand + `","operator":"` + operator + `","rightOperand":` + right + `}`
}

func use(constraints ...string) string {
	return `{"action":"use","constraint":[` + strings.Join(constraints, ",") + `]}`
}

func permission(rules ...string) string {
	return `{"permission":[` + strings.Join(rules, ",") + `]}`
}

func prohibition(rules ...string) string {
	return `{"permission":[{"action":"use"}],"prohibition":[` + strings.Join(rules, ",") + `]}`
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	const past, future = `"2026-05-31T00:00:00Z"`, `"2026-06-30T00:00:00Z"`
	june30 := time.Date(2026, 6, 30, 0, 0, 0, 0, time.UTC)
	ok, no := atom("colour", "eq", `"red"`), atom("colour", "eq", `"blue"`)
	unknown := atom("spatial", "eq", `"EU"`)
	for _, c := range []struct {
		name, terms string
		permit      bool
		why         string // operand or rule that stands in the way
		until       time.Time
	}{
		{name: "use", terms: permission(`{"action":"use"}`), permit: true},
		{name: "use by its IRI", terms: permission(`{"action":"http://www.w3.org/ns/odrl/2/use"}`), permit: true},
		{name: "use by an object", terms: permission(`{"action":{"@id":"odrl:use"}}`), permit: true},
		{name: "only a prohibition", terms: `{"prohibition":[{"action":"distribute"}]}`, why: "permission"},
		{name: "another action is permitted", terms: permission(`{"action":"play"}`), why: "action"},
		{name: "second permission holds", terms: permission(use(no), use(ok)), permit: true},
		{name: "a duty", terms: permission(`{"action":"use","duty":[{"action":"inform"}]}`), why: "duty"},
		{name: "a duty on one of two", terms: permission(`{"action":"use","duty":[{"action":"inform"}]}`, `{"action":"use"}`), permit: true},
		{name: "an obligation", terms: `{"permission":[{"action":"use"}],"obligation":[{"action":"delete"}]}`, why: "obligation"},
		{name: "a profile", terms: `{"profile":"https://x/p","permission":[{"action":"use"}]}`, why: "profile"},

		{name: "eq", terms: permission(use(ok)), permit: true},
		{name: "eq, not", terms: permission(use(no)), why: "colour"},
		{name: "neq", terms: permission(use(atom("colour", "neq", `"blue"`))), permit: true},
		{name: "neq, not", terms: permission(use(atom("colour", "neq", `"red"`))), why: "colour"},
		{name: "lt on strings", terms: permission(use(atom("colour", "lt", `"z"`))), why: "colour"},
		{name: "eq number", terms: permission(use(atom("count", "eq", `10.0`))), permit: true},
		{name: "eq typed number", terms: permission(use(atom("count", "eq", `{"@value":"10","@type":"xsd:integer"}`))), permit: true},
		{name: "lt", terms: permission(use(atom("count", "lt", `11`))), permit: true},
		{name: "lt, equal", terms: permission(use(atom("count", "lt", `10`))), why: "count"},
		{name: "lteq", terms: permission(use(atom("count", "lteq", `10`))), permit: true},
		{name: "gt as numbers, not as text", terms: permission(use(atom("count", "gt", `"9"`))), permit: true},
		{name: "gteq", terms: permission(use(atom("count", "gteq", `1.1e1`))), why: "count"},
		{name: "NaN is no number", terms: permission(use(atom("count", "eq", `"NaN"`))), why: "count"},
		{name: "infinity is no number", terms: permission(use(atom("count", "lt", `"inf"`))), why: "count"},
		{name: "an endless exponent is no number", terms: permission(use(atom("count", "lt", `"1e999999999"`))), why: "count"},
		{name: "long numbers differ in the last digit", terms: permission(use(atom("serial", "eq", `9007199254740992`))), why: "serial"},
		{name: "isAnyOf", terms: permission(use(atom("colour", "isAnyOf", `["blue","red"]`))), permit: true},
		{name: "isAnyOf, not", terms: permission(use(atom("colour", "isAnyOf", `["blue"]`))), why: "colour"},
		{name: "isAnyOf written by EDC", terms: permission(use(atom("colour", "isAnyOf", `"[{\"@value\":\"red\"},{\"@value\":\"blue\"}]"`))), permit: true},
		{name: "isNoneOf", terms: permission(use(atom("colour", "isNoneOf", `["blue"]`))), permit: true},
		{name: "isNoneOf, not", terms: permission(use(atom("colour", "isNoneOf", `["red"]`))), why: "colour"},
		{name: "isNoneOf another writing of a number", terms: permission(use(atom("count", "isNoneOf", `["10.0"]`))), why: "count"},
		{name: "isAllOf", terms: permission(use(atom("colour", "isAllOf", `["red"]`))), permit: true},
		{name: "isAllOf, not", terms: permission(use(atom("colour", "isAllOf", `["red","blue"]`))), why: "colour"},
		{name: "isAllOf, said twice", terms: permission(use(atom("colour", "isAllOf", `["red","red"]`))), permit: true},
		{name: "hasPart of both", terms: permission(use(atom("colour", "hasPart", `["red","blue"]`))), why: "colour"},
		{name: "datatype by its IRI", terms: permission(use(atom("count", "lteq", `{"@value":"10","@type":"http://www.w3.org/2001/XMLSchema#integer"}`))), permit: true},
		{name: "a text that says so", terms: permission(use(atom("colour", "eq", `{"@value":"red","@type":"xsd:string"}`))), permit: true},
		{name: "datatype that is not known", terms: permission(use(atom("count", "lteq", `{"@value":"10","@type":"https://x/roman"}`))), why: "count"},
		{name: "datatype that is not known, negated", terms: permission(use(atom("count", "neq", `{"@value":"P3M","@type":"xsd:duration"}`))), why: "count"},
		{name: "datatype that is not known in a set", terms: permission(use(atom("colour", "isNoneOf", `["blue",{"@value":"x","@type":"https://x/t"}]`))), why: "colour"},
		{name: "number that is none", terms: permission(use(atom("count", "neq", `{"@value":"ten","@type":"xsd:integer"}`))), why: "count"},
		{name: "boolean by a digit", terms: permission(use(atom("colour", "neq", `{"@value":"1","@type":"xsd:boolean"}`))), why: "colour"},
		{name: "an instant that is no operand's", terms: permission(use(atom("colour", "neq", `{"@value":"2026-06-30T00:00:00Z","@type":"xsd:dateTime"}`))), why: "colour"},
		{name: "time of another datatype", terms: permission(use(atom("dateTime", "lt", `{"@value":"2026-06-30T00:00:00Z","@type":"xsd:integer"}`))), why: "dateTime"},
		{name: "typed day", terms: permission(use(atom("dateTime", "lt", `{"@value":"2026-06-30","@type":"xsd:date"}`))), permit: true, until: june30},
		{name: "prohibition by a datatype that is not known", terms: prohibition(use(atom("count", "gt", `{"@value":"50","@type":"https://x/roman"}`))), why: "count"},
		{name: "isPartOf itself", terms: permission(use(atom("colour", "isPartOf", `"red"`))), permit: true},
		{name: "isPartOf an unknown whole", terms: permission(use(atom("colour", "isPartOf", `"warm"`))), why: "colour"},
		{name: "isA of an unknown class", terms: permission(use(atom("colour", "isA", `"warm"`))), why: "colour"},
		{name: "hasPart", terms: permission(use(atom("colour", "hasPart", `"blue"`))), why: "colour"},
		{name: "eq with a set", terms: permission(use(atom("colour", "eq", `["red"]`))), why: "colour"},

		{name: "until", terms: permission(use(atom("dateTime", "lt", future))), permit: true, until: june30},
		{name: "until and including", terms: permission(use(atom("dateTime", "lteq", future))), permit: true, until: june30.Add(1)},
		{name: "run out", terms: permission(use(atom("dateTime", "lt", past))), why: "dateTime"},
		{name: "ends now", terms: permission(use(atom("dateTime", "lt", `"2026-06-01T12:00:00Z"`))), why: "dateTime"},
		{name: "at the last instant it asks again", terms: permission(use(atom("dateTime", "lteq", `"2026-06-01T12:00:00Z"`))), permit: true, until: noon.Add(1)},
		{name: "not yet", terms: permission(use(atom("dateTime", "gteq", future))), why: "dateTime", until: june30},
		{name: "begun", terms: permission(use(atom("dateTime", "gteq", past))), permit: true},
		{name: "within a window", terms: permission(use(atom("dateTime", "gteq", past), atom("dateTime", "lt", future))), permit: true, until: june30},
		{name: "another zone", terms: permission(use(atom("dateTime", "lt", `"2026-06-01T21:00:01+09:00"`))), permit: true, until: noon.Add(time.Second)},
		{name: "without seconds", terms: permission(use(atom("dateTime", "lteq", `"2026-06-30T00:00Z"`))), permit: true, until: june30.Add(1)},
		{name: "without a zone", terms: permission(use(atom("dateTime", "lt", `"2026-06-30T00:00:00"`))), why: "dateTime"},
		{name: "no time", terms: permission(use(atom("dateTime", "lt", `"soon"`))), why: "dateTime"},
		{name: "times in a set", terms: permission(use(atom("dateTime", "isAnyOf", `["2026-06-01T12:00:00Z"]`))), why: "dateTime"},
		{name: "the whole last day", terms: permission(use(atom("dateTime", "lteq", `"2026-06-01"`))), permit: true, until: time.Date(2026, 6, 2, 0, 0, 0, 0, time.UTC)},
		{name: "before a day", terms: permission(use(atom("dateTime", "lt", `"2026-06-01"`))), why: "dateTime"},
		{name: "after a day, on it", terms: permission(use(atom("dateTime", "gt", `"2026-06-01"`))), why: "dateTime", until: time.Date(2026, 6, 2, 0, 0, 0, 0, time.UTC)},
		{name: "typed time", terms: permission(use(atom("dateTime", "lt", `{"@value":"2026-06-30T00:00:00Z","@type":"xsd:dateTime"}`))), permit: true, until: june30},

		{name: "declared purpose", terms: permission(use(atom("purpose", "eq", `"research"`))), permit: true},
		{name: "declared purpose of a set", terms: permission(use(atom("odrl:purpose", "odrl:isAnyOf", `["a","b"]`))), permit: true},
		{name: "declared purpose by an order", terms: permission(use(atom("purpose", "lt", `"research"`))), why: "purpose"},
		{name: "declared purpose of a datatype that is not known", terms: permission(use(atom("purpose", "eq", `{"@value":"a","@type":"https://x/t"}`))), why: "purpose"},
		{name: "declared purpose by an order, alternatively", terms: permission(use(`{"xone":[` + ok + `,` + atom("purpose", "gt", `"a"`) + `]}`)), why: "purpose"},
		{name: "unknown operand", terms: permission(use(unknown)), why: "spatial"},
		{name: "unknown operand beside one that holds", terms: permission(use(ok, unknown)), why: "spatial"},
		{name: "operand of another namespace", terms: permission(use(atom("https://x/purpose", "eq", `"a"`))), why: "https://x/purpose"},

		{name: "and", terms: permission(use(`{"and":[` + ok + `,` + ok + `]}`)), permit: true},
		{name: "and, one not", terms: permission(use(`{"and":[` + ok + `,` + no + `]}`)), why: "colour"},
		{name: "and, one unknown", terms: permission(use(`{"and":[` + ok + `,` + unknown + `]}`)), why: "spatial"},
		{name: "or", terms: permission(use(`{"or":[` + no + `,` + ok + `]}`)), permit: true},
		{name: "or, one unknown", terms: permission(use(`{"or":[` + unknown + `,` + ok + `]}`)), permit: true},
		{name: "or, the rest unknown", terms: permission(use(`{"or":[` + unknown + `,` + no + `]}`)), why: "spatial"},
		{name: "xone", terms: permission(use(`{"xone":[` + no + `,` + ok + `]}`)), permit: true},
		{name: "xone, two", terms: permission(use(`{"xone":[` + ok + `,` + ok + `]}`)), why: "constraint"},
		{name: "xone, the other unknown", terms: permission(use(`{"xone":[` + ok + `,` + unknown + `]}`)), why: "spatial"},
		{name: "andSequence", terms: permission(use(`{"andSequence":{"@list":[` + ok + `,` + ok + `]}}`)), permit: true},
		{name: "nested", terms: permission(use(`{"or":[{"and":[` + ok + `,` + unknown + `]},{"xone":[` + ok + `,` + no + `]}]}`)), permit: true},

		{name: "use is prohibited", terms: prohibition(`{"action":"use"}`), why: "prohibition"},
		{name: "reading is prohibited", terms: prohibition(`{"action":"odrl:read"}`), why: "prohibition"},
		{name: "prohibition holds", terms: prohibition(use(ok)), why: "prohibition"},
		{name: "prohibition does not hold", terms: prohibition(use(no)), permit: true},
		{name: "prohibition may hold", terms: prohibition(use(unknown)), why: "spatial"},
		{name: "prohibition of a whole that is not known", terms: prohibition(use(atom("colour", "isPartOf", `"warm"`))), why: "colour"},
		{name: "prohibition cannot hold, for all that is unknown", terms: prohibition(use(no, unknown)), permit: true},
		{name: "prohibition by a declared operand", terms: prohibition(use(atom("purpose", "eq", `"war"`))), why: "purpose"},
		{name: "prohibition from a time on", terms: prohibition(use(atom("dateTime", "gteq", future))), permit: true, until: june30},
		{name: "prohibition that has ended", terms: prohibition(use(atom("dateTime", "lt", past))), permit: true},
		{name: "another action is prohibited", terms: prohibition(`{"action":"distribute"}`), permit: true},
		{name: "another action is prohibited with a constraint", terms: prohibition(`{"action":"distribute","constraint":[` + unknown + `]}`), permit: true},
		{name: "an unknown action is prohibited", terms: prohibition(`{"action":"https://x/train"}`), why: "prohibited action"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := Parse([]byte(c.terms))
			if err != nil {
				t.Fatal(err)
			}
			d := Evaluate(p, facts())
			if d.Permit != c.permit || !d.Until.Equal(c.until) {
				t.Errorf("permit %v until %v, want %v until %v", d.Permit, d.Until, c.permit, c.until)
			}
			if d.Permit != (len(d.Why) == 0) {
				t.Errorf("permit %v, because of %v", d.Permit, d.Why)
			}
			if c.why != "" && !slices.ContainsFunc(d.Why, func(x Finding) bool { return x.Operand == c.why }) {
				t.Errorf("%s is not named in %+v", c.why, d.Why)
			}
			for _, lang := range []string{"en", "ja"} {
				for _, x := range d.Why {
					if s := x.Explain(lang); s == "" || strings.Contains(s, "{") {
						t.Errorf("%+v is explained in %s as %q", x, lang, s)
					}
				}
			}
		})
	}
}

// TestLater: a duty that follows use blocks nothing; an obligation does.
func TestLater(t *testing.T) {
	t.Parallel()
	f := facts()
	f.Later = func(action string) bool { return action == "attribute" }
	f.Profile = func(iri string) bool { return iri == "https://x/known" }
	late := atom("dateTime", "lt", `"2026-06-30T00:00:00Z"`)
	for _, c := range []struct {
		name, terms string
		permit      bool
	}{
		{"a duty", permission(`{"action":"use","duty":[{"action":"attribute"}]}`), true},
		{"two duties", permission(`{"action":"use","duty":[{"action":"attribute"},{"action":"compensate"}]}`), false},
		{"a duty with a deadline", permission(`{"action":"use","duty":[{"action":"attribute","constraint":[` + late + `]}]}`), false},
		{"an obligation", `{"permission":[{"action":"use"}],"obligation":[{"action":"attribute"}]}`, false},
		{"a known profile", `{"profile":"https://x/known","permission":[{"action":"use"}]}`, true},
		{"a known profile and another", `{"profile":["https://x/known","https://x/p"],"permission":[{"action":"use"}]}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := Parse([]byte(c.terms))
			if err != nil {
				t.Fatal(err)
			}
			if d := Evaluate(p, f); d.Permit != c.permit {
				t.Errorf("permit %v, want %v: %s", d.Permit, c.permit, d.Explain("en"))
			}
			if clear := len(Unclear(p, f)) == 0; clear != c.permit {
				t.Errorf("clear %v, want %v", clear, c.permit)
			}
			if Evaluate(p, facts()).Permit {
				t.Error("permitted by whom knows of nothing")
			}
		})
	}
}

// TestDuties: only what the node sees to, and only without conditions of its own.
func TestDuties(t *testing.T) {
	t.Parallel()
	f := facts()
	f.Duties = func(action string) bool { return action == "attribute" }
	late := atom("dateTime", "lt", `"2026-06-30T00:00:00Z"`)
	for _, c := range []struct {
		name, terms string
		permit      bool
	}{
		{"a duty", permission(`{"action":"use","duty":[{"action":"attribute"}]}`), true},
		{"two duties", permission(`{"action":"use","duty":[{"action":"attribute"},{"action":"inform"}]}`), false},
		{"a duty with a deadline", permission(`{"action":"use","duty":[{"action":"attribute","constraint":[` + late + `]}]}`), false},
		{"a duty and a constraint that does not hold", permission(`{"action":"use","duty":[{"action":"attribute"}],"constraint":[` + atom("colour", "eq", `"blue"`) + `]}`), false},
		{"an obligation", `{"permission":[{"action":"use"}],"obligation":[{"action":"attribute"}]}`, true},
		{"another obligation", `{"permission":[{"action":"use"}],"obligation":[{"action":"attribute"},{"action":"delete"}]}`, false},
		{"an obligation with a deadline", `{"permission":[{"action":"use"}],"obligation":[{"action":"attribute","constraint":[` + late + `]}]}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := Parse([]byte(c.terms))
			if err != nil {
				t.Fatal(err)
			}
			if d := Evaluate(p, f); d.Permit != c.permit {
				t.Errorf("permit %v, want %v: %s", d.Permit, c.permit, d.Explain("en"))
			}
			if Evaluate(p, facts()).Permit {
				t.Error("permitted by a node that sees to nothing")
			}
			if c.permit && len(Unclear(p, f)) > 0 {
				t.Errorf("unclear: %+v", Unclear(p, f))
			}
		})
	}
}

func TestUnclear(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, terms string
		want        []string // pointers
	}{
		{"all known", permission(use(atom("colour", "eq", `"blue"`)), `{"action":"play"}`), nil},
		{"behind a permission that holds", permission(`{"action":"use"}`, use(atom("spatial", "eq", `"EU"`))), []string{"/permission/1/constraint/0"}},
		{"behind a prohibition that holds", prohibition(`{"action":"use"}`, use(atom("spatial", "eq", `"EU"`))), []string{"/prohibition/1/constraint/0"}},
		{"a prohibition by declaration", prohibition(use(atom("purpose", "eq", `"war"`))), []string{"/prohibition/0/constraint/0"}},
		{"a duty", permission(`{"action":"use"}`, `{"action":"use","duty":[{"action":"inform"}]}`), []string{"/permission/1/duty/0"}},
		{"an unknown action permitted", permission(`{"action":"use"}`, `{"action":"x:y"}`), []string{"/permission/1"}},
		{"no use", permission(`{"action":"play"}`), []string{"/permission"}},
		{"profile, obligation and unknown prohibition", `{"profile":["x"],"permission":[{"action":"use"}],"obligation":[{"action":"delete"}],"prohibition":[{"action":"x:y"}]}`,
			[]string{"/profile", "/obligation/0", "/prohibition/0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := Parse([]byte(c.terms))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, x := range Unclear(p, facts()) {
				got = append(got, x.Pointer)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// policies draws small policies over operands that are known, unknown, declared
// and about time.
func policies() *rapid.Generator[Policy] {
	leaf := rapid.Custom(func(t *rapid.T) Constraint {
		c := Constraint{
			Operand:  rapid.SampledFrom([]string{"colour", "count", "spatial", "purpose", "dateTime"}).Draw(t, "operand"),
			Operator: rapid.SampledFrom([]string{"eq", "neq", "lt", "gteq", "isAnyOf", "isNoneOf", "isPartOf"}).Draw(t, "operator"),
			Right:    rapid.SliceOfN(rapid.SampledFrom([]string{"red", "10", "2026-06-30T00:00:00Z", "2026-05-01"}), 1, 3).Draw(t, "right"),
		}
		c.Set = len(c.Right) > 1
		return c
	})
	constraint := rapid.Custom(func(t *rapid.T) Constraint {
		if rapid.Bool().Draw(t, "atomic") {
			return leaf.Draw(t, "atom")
		}
		return Constraint{Logic: rapid.SampledFrom([]string{"and", "or", "xone", "andSequence"}).Draw(t, "logic"),
			Parts: rapid.SliceOfN(leaf, 1, 3).Draw(t, "parts")}
	})
	rules := func(actions ...string) *rapid.Generator[[]Rule] {
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Rule {
			return Rule{Action: rapid.SampledFrom(actions).Draw(t, "action"), Constraints: rapid.SliceOfN(constraint, 0, 3).Draw(t, "constraints")}
		}), 0, 3)
	}
	return rapid.Custom(func(t *rapid.T) Policy {
		return Policy{Permissions: rules("use", "use", "play").Draw(t, "permissions"), Prohibitions: rules("use", "distribute", "x:y").Draw(t, "prohibitions")}
	})
}

func TestAProhibitionMoreNeverPermitsMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, more := policies().Draw(t, "policy"), policies().Draw(t, "more")
		before := Evaluate(p, facts())
		p.Prohibitions = append(slices.Clone(p.Prohibitions), more.Prohibitions...)
		if after := Evaluate(p, facts()); after.Permit && !before.Permit {
			t.Fatalf("denied before because of %v", before.Why)
		}
	})
}

func TestNothingKnownNeverPermitsMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := policies().Draw(t, "policy")
		f := facts()
		f.Value, f.Declared = nil, nil
		if Evaluate(p, f).Permit && !Evaluate(p, facts()).Permit {
			t.Fatal("permitted only while less is known")
		}
	})
}

func TestTheOrderOfRulesDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := policies().Draw(t, "policy")
		q := Policy{Permissions: rapid.Permutation(p.Permissions).Draw(t, "permissions"), Prohibitions: rapid.Permutation(p.Prohibitions).Draw(t, "prohibitions")}
		if Evaluate(p, facts()).Permit != Evaluate(q, facts()).Permit {
			t.Fatal("the decision depends on the order")
		}
		if p.Hash() != q.Hash() {
			t.Fatalf("the normal form depends on the order:\n%s\n%s", p.Normal(), q.Normal())
		}
	})
}

// TestUntilIsTheNextChange: up to until the decision stands.
func TestUntilIsTheNextChange(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := policies().Draw(t, "policy")
		f := facts()
		d := Evaluate(p, f)
		f.Now = noon.Add(time.Duration(rapid.Int64Range(0, int64(100*24*time.Hour)).Draw(t, "later")))
		if !d.Until.IsZero() && !f.Now.Before(d.Until) {
			f.Now = d.Until.Add(-1)
		}
		if Evaluate(p, f).Permit != d.Permit {
			t.Fatalf("changed at %v, before %v", f.Now, d.Until)
		}
	})
}

func BenchmarkEvaluate(b *testing.B) {
	p, err := Parse([]byte(permission(use(atom("purpose", "eq", `"research"`), atom("dateTime", "lt", `"2026-06-30T00:00:00Z"`)))))
	if err != nil {
		b.Fatal(err)
	}
	f := facts()
	for b.Loop() {
		if !Evaluate(p, f).Permit {
			b.Fatal("denied")
		}
	}
}
