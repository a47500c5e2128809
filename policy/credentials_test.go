package policy_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/participant"
	"kakehashi/policy"
	"kakehashi/vc"
)

// shown is what a counterpart has shown, by type.
type shown map[string][]vc.Checked

func (s shown) Show(_ context.Context, _ participant.ID, counterparty string, types []string) (out []vc.Checked, err error) {
	for _, t := range types {
		if len(s[t]) == 0 {
			return nil, fault.CredentialLacking.At("", "partner", counterparty, "type", t)
		}
		out = append(out, s[t]...)
	}
	return out, nil
}

func (s shown) Held(ctx context.Context, p participant.ID, counterparty string, types []string) ([]vc.Checked, error) {
	return s.Show(ctx, p, counterparty, types)
}

func credential(raw, typ, as, region, claims string) vc.Checked {
	return vc.Checked{Credential: vc.Credential{Raw: raw, Types: []string{typ}, Issuer: "did:web:issuer.example",
		Subjects: []vc.Subject{{ID: "did:web:osaka.example", Claims: strictjson.Raw(claims)}}},
		Basis: vc.Basis{Kind: "issuer", Type: typ, As: as, Region: region}}
}

const ns = "https://w3id.org/kakehashi/ns#"

func use(constraints ...string) string {
	return `{"permission":[{"action":"use","constraint":[` + strings.Join(constraints, ",") + `]}]}`
}

func atom(left, operator, right string) string {
	return `{"leftOperand":"` + left + `","operator":"` + operator + `","rightOperand":` + right + `}`
}

func TestTermsOverWhatACounterpartProved(t *testing.T) {
	t.Parallel()
	membership := credential("m", "Membership", "", "JP", `{"id":"did:web:osaka.example","level":"gold","staff":250,"office":{"city/ward":"Kita"},"ok":true}`)
	other := credential("o", "Membership", "", "EU", `{"level":"silver"}`)
	foreign := credential("f", "EUMembership", "Membership", "EU", `{"level":"gold"}`)
	one, both := shown{"Membership": {membership}}, shown{"Membership": {membership, other}}
	claim := ns + "claim/Membership/"
	for name, c := range map[string]struct {
		terms string
		has   shown
		want  *fault.Kind // nil: agreed
	}{
		"the type":                           {use(atom(ns+"credentialType", "eq", `"Membership"`)), one, nil},
		"the type by recognition":            {use(atom(ns+"credentialType", "eq", `"Membership"`)), shown{"Membership": {foreign}}, nil},
		"one of two types":                   {use(atom(ns+"credentialType", "isAnyOf", `["Licence","Membership"]`)), one, nil},
		"one of two constraints":             {`{"permission":[{"action":"use","constraint":[{"or":[` + atom(ns+"credentialType", "eq", `"Licence"`) + `,` + atom(ns+"credentialType", "eq", `"Membership"`) + `]}]}]}`, one, nil},
		"both types, one shown":              {use(atom(ns+"credentialType", "isAllOf", `["Licence","Membership"]`)), one, fault.CredentialLacking},
		"nothing shown":                      {use(atom(ns+"credentialType", "eq", `"Membership"`)), shown{}, fault.CredentialLacking},
		"nothing shown is no no":             {use(atom(ns+"credentialType", "neq", `"Blacklist"`)), shown{}, fault.CredentialLacking},
		"a claim":                            {use(atom(claim+"level", "eq", `"gold"`)), one, nil},
		"a claim by recognition":             {use(atom(claim+"level", "eq", `"gold"`)), shown{"Membership": {foreign}}, nil},
		"a claim that differs":               {use(atom(claim+"level", "eq", `"platinum"`)), one, fault.TermsDeny},
		"a claim that is not there":          {use(atom(claim+"colour", "eq", `"red"`)), one, fault.TermsDeny},
		"a claim that is not there, negated": {use(atom(claim+"colour", "neq", `"red"`)), one, fault.TermsDeny},
		"claims that contradict":             {use(atom(claim+"level", "eq", `"gold"`)), both, fault.TermsDeny},
		"a number":                           {use(atom(claim+"staff", "gteq", `{"@value":"100","@type":"xsd:integer"}`)), one, nil},
		"a number that is too small":         {use(atom(claim+"staff", "gteq", `{"@value":"1000","@type":"xsd:integer"}`)), one, fault.TermsDeny},
		"a text compared as a number":        {use(atom(claim+"level", "gteq", `{"@value":"1","@type":"xsd:integer"}`)), one, fault.TermsDeny},
		"a truth value":                      {use(atom(claim+"ok", "eq", `"true"`)), one, nil},
		"a claim below another":              {use(atom(claim+"office/city~1ward", "eq", `"Kita"`)), one, nil},
		"an object":                          {use(atom(claim+"office", "eq", `"Kita"`)), one, fault.TermsDeny},
		"the region":                         {use(atom(ns+"credentialType", "eq", `"Membership"`), atom(ns+"jurisdiction", "eq", `"JP"`)), one, nil},
		"another region":                     {use(atom(ns+"credentialType", "eq", `"Membership"`), atom(ns+"jurisdiction", "eq", `"US"`)), one, fault.TermsDeny},
		"the participant":                    {use(atom(ns+"participantDid", "eq", `"did:web:osaka.example"`)), shown{}, nil},
		"another participant":                {use(atom(ns+"participantDid", "eq", `"did:web:kobe.example"`)), shown{}, fault.TermsDeny},
		"an operand of nobody's":             {use(atom(ns+"shoeSize", "eq", `"42"`)), one, fault.TermsDeny},
		"a prohibition that holds":           {`{"permission":[{"action":"use","constraint":[` + atom(ns+"credentialType", "eq", `"Membership"`) + `]}],"prohibition":[{"action":"use","constraint":[` + atom(claim+"level", "eq", `"gold"`) + `]}]}`, one, fault.TermsDeny},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
			e := policy.New(policy.Config{Credentials: c.has, Now: func() time.Time { return now }})
			record, err := e.Agree(t.Context(), "tokyo", "did:web:osaka.example", []byte(c.terms), now)
			if c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if err != nil {
				return
			}
			var kept struct {
				Shown    []struct{ Digest string }
				Findings []struct{ Saw string }
			}
			if err := json.Unmarshal(record, &kept); err != nil || len(kept.Findings) == 0 {
				t.Errorf("%s, %v", record, err)
			}
			if strings.Contains(c.terms, "credentialType") && len(kept.Shown) == 0 {
				t.Errorf("what was shown is not kept: %s", record)
			}
		})
	}
}

func TestWhatCanBeProvenCanBePublished(t *testing.T) {
	t.Parallel()
	e := policy.New(policy.Config{Now: time.Now})
	for name, c := range map[string]struct {
		terms string
		want  *fault.Kind
	}{
		"a type":                    {use(atom(ns+"credentialType", "eq", `"Membership"`)), nil},
		"a claim":                   {use(atom(ns+"claim/Membership/level", "eq", `"gold"`)), nil},
		"a region with a type":      {use(atom(ns+"credentialType", "eq", `"Membership"`), atom(ns+"jurisdiction", "eq", `"JP"`)), nil},
		"a region alone":            {use(atom(ns+"jurisdiction", "eq", `"JP"`)), fault.OfferNotUnderstood},
		"an operand of nobody's":    {use(atom(ns+"shoeSize", "eq", `"42"`)), fault.OfferNotUnderstood},
		"a claim without a pointer": {use(atom(ns+"claim/Membership", "eq", `"gold"`)), fault.OfferNotUnderstood},
		"the short form":            {use(atom("kh:credentialType", "eq", `"Membership"`)), fault.OfferNotUnderstood},
	} {
		if err := e.Publishable([]byte(c.terms)); c.want == nil && err != nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		// What is published stands in the catalogue for those who have not shown it yet.
		if c.want == nil {
			if err := e.Offerable("did:web:osaka.example", []byte(c.terms), time.Now()); err != nil {
				t.Errorf("%s: not offered: %v", name, err)
			}
		}
	}
}
