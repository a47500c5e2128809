package dsp2025_test

import (
	"errors"
	"testing"

	"kakehashi/dsp/dsp2025"
	"kakehashi/dsp/dsp2025/conform"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

func TestRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"as they are", `{ "permission": [{"action":"use","constraint":[{"rightOperand":["a"],"leftOperand":"odrl:purpose","operator":"isAnyOf"}]}] }`, ""},
		{"typed value and profile as they are", `{"profile":"https://x/","permission":[{"action":"use","constraint":[{"leftOperand":"https://x/y","operator":"eq","rightOperand":{"@value":"5","@type":"xsd:integer"}}]}]}`, ""},
		{"prefixes", `{"odrl:permission":{"odrl:action":{"@id":"odrl:use"}}}`, `{"permission":[{"action":"use"}]}`},
		{"a prefixed operator", `{"permission":[{"action":"use","constraint":[{"leftOperand":"x","operator":"odrl:eq","rightOperand":"a"}]}]}`,
			`{"permission":[{"action":"use","constraint":[{"leftOperand":"odrl:x","operator":"eq","rightOperand":"a"}]}]}`},
		{"names that the context lacks", `{"permission":[{"action":"http://www.w3.org/ns/odrl/2/use","constraint":[{"leftOperand":"purpose","operator":"eq","rightOperand":"a"},{"leftOperand":"https://x/y","operator":"eq","rightOperand":"use"}]}],"prohibition":[{"action":"distribute"}]}`,
			`{"permission":[{"action":"use","constraint":[{"leftOperand":"odrl:purpose","operator":"eq","rightOperand":"a"},{"leftOperand":"https://x/y","operator":"eq","rightOperand":"use"}]}],"prohibition":[{"action":"odrl:distribute"}]}`},
		{"one rule without an array", `{"permission":{"action":"use"}}`, `{"permission":[{"action":"use"}]}`},
		{"numbers and booleans", `{"permission":[{"action":"use","constraint":[{"or":[{"leftOperand":"x","operator":"lt","rightOperand":5},{"leftOperand":"y","operator":"eq","rightOperand":true},{"leftOperand":"z","operator":"lt","rightOperand":0.5}]}]}]}`,
			`{"permission":[{"action":"use","constraint":[{"or":[{"leftOperand":"odrl:x","operator":"lt","rightOperand":{"@type":"xsd:integer","@value":"5"}},{"leftOperand":"odrl:y","operator":"eq","rightOperand":{"@type":"xsd:boolean","@value":"true"}},{"leftOperand":"odrl:z","operator":"lt","rightOperand":{"@type":"xsd:decimal","@value":"0.5"}}]}]}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.want == "" {
				c.want = c.in
			}
			got, err := dsp2025.Rules(strictjson.Raw(c.in))
			if err != nil || string(got) != c.want {
				t.Fatalf("%v\n%s\nwant\n%s", err, got, c.want)
			}
			offer, err := dsp2025.Policy("Offer", got, [2]string{"@id", "urn:o"}, [2]string{"target", "urn:d"})
			if err != nil {
				t.Fatal(err)
			}
			b, err := dsp2025.Marshal(&dsp2025.ContractRequest{ConsumerPid: "c", CallbackAddress: "https://c/", Offer: offer})
			if err != nil {
				t.Fatal(err)
			}
			if err := conform.Check("negotiation/contract-request-message", b); err != nil {
				t.Error(err)
			}
		})
	}
	for _, in := range []string{``, `{`, `{"a":1,"a":2}`, `{"odrl:permission":{"@graph":[]}}`, `{"permission":{"@context":"https://x/","action":"use"}}`} {
		if got, err := dsp2025.Rules(strictjson.Raw(in)); !errors.Is(err, fault.BadMessage) {
			t.Errorf("%s is %s, %v", in, got, err)
		}
	}
}
