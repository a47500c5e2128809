package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"kakehashi/odrl"
)

// rule is a permission of use under constraints.
func rule(constraints ...any) object { return object{"action": "use", "constraint": constraints} }

func purpose(operator string, value any) object {
	return object{"leftOperand": "purpose", "operator": operator, "rightOperand": value}
}

// terms are the rules that EDC is known to write in other ways, and lose parts of.
var terms = []struct {
	name  string
	rules object
}{
	{"a set", object{"permission": []any{rule(purpose("isAnyOf", []any{"urn:example:research", "urn:example:teaching"}))}}},
	{"a typed number", object{"permission": []any{rule(purpose("eq", object{"@value": "10", "@type": "xsd:integer"}))}}},
	{"an and", object{"permission": []any{rule(object{"and": []any{purpose("eq", "urn:example:research"),
		object{"leftOperand": "dateTime", "operator": "lt", "rightOperand": object{"@value": "2099-01-01T00:00:00Z", "@type": "xsd:dateTime"}}}})}}},
	{"a duty", object{"permission": []any{object{"action": "use", "duty": []any{object{"action": "attribute"}}}}}},
	{"a prohibition", object{"permission": []any{object{"action": "use"}}, "prohibition": []any{object{"action": "distribute"}}}},
	{"a profile", object{"profile": "https://w3id.org/dspace/2025/1/odrl-profile", "permission": []any{object{"action": "use"}}}},
}

// termsCases negotiate each of the terms both ways.
func termsCases() []test {
	var out []test
	for _, t := range terms {
		out = append(out, test{name: "terms with " + t.name + ", EDC consumes", run: func(ctx context.Context, b *bed) error {
			dataset, err := b.publish(ctx, "terms with "+t.name, "", t.rules)
			if err != nil {
				return err
			}
			a, err := b.byEDC(ctx, dataset)
			if err != nil {
				return err
			}
			return b.holds(ctx, a, t.rules, true)
		}}, test{name: "terms with " + t.name + ", we consume", run: func(ctx context.Context, b *bed) error {
			asset, err := b.provide(ctx, "terms with "+t.name, false, t.rules)
			if err != nil {
				return err
			}
			a, err := b.byUs(ctx, asset)
			if err != nil {
				return err
			}
			return b.holds(ctx, a, t.rules, false)
		}})
	}
	return out
}

// holds says whether both sides keep an agreement on these terms. Ours is on
// them but for what is known to be lost; of what we offered, nothing is, the
// profile too. EDC's has each kind of rule.
func (b *bed) holds(ctx context.Context, a agreed, rules object, offered bool) error {
	want, err := json.Marshal(rules)
	if err != nil {
		return err
	}
	ours, err := b.api().Agreement(ctx, a.agreement)
	if err != nil {
		return err
	}
	got, err := json.Marshal(ours.Policy)
	if err != nil {
		return err
	}
	if err := odrl.Same(want, got); err != nil {
		return fmt.Errorf("our agreement is not on the offer's terms: %w: %s", err, got)
	}
	var kept object
	if err := json.Unmarshal(got, &kept); err != nil {
		return err
	}
	if offered && rules["profile"] != nil && kept.member("profile") == nil {
		return fmt.Errorf("our agreement lost the offer's profile: %s", got)
	}
	var theirs struct {
		Policy object `json:"policy"`
	}
	if err := b.edc.call(ctx, http.MethodGet, "/contractagreements/"+a.edcs, nil, &theirs); err != nil {
		return err
	}
	for _, kind := range []string{"permission", "prohibition"} {
		if has, wants := len(many(theirs.Policy.member(kind))) > 0, rules[kind] != nil; has != wants {
			return fmt.Errorf("EDC's agreement has a %s: %t, the offer: %t", kind, has, wants)
		}
	}
	return nil
}
