package odrl

import (
	"testing"
)

func TestWhatGoesOutHasTheSchemasForm(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, out string }{
		{"nothing to do", `{"permission": [ {"action":"use"} ]}`, `{"permission": [ {"action":"use"} ]}`},
		{"a number", `{"permission":[{"action":"use","constraint":[{"leftOperand":"count","operator":"lteq","rightOperand":9}]}]}`,
			`{"permission":[{"action":"use","constraint":[{"leftOperand":"count","operator":"lteq","rightOperand":{"@value":"9","@type":"xsd:integer"}}]}]}`},
		{"a set with numbers", `{"permission":[{"action":"use","constraint":[{"leftOperand":"x","operator":"isAnyOf","rightOperand":["a",1.5,1e3,true]}]}]}`,
			`{"permission":[{"action":"use","constraint":[{"leftOperand":"x","operator":"isAnyOf","rightOperand":["a",{"@value":"1.5","@type":"xsd:decimal"},{"@value":"1e3","@type":"xsd:double"},{"@value":"true","@type":"xsd:boolean"}]}]}]}`},
		{"single members", `{"odrl:permission":{"action":{"@id":"odrl:use"},"constraint":{"and":{"leftOperand":"x","operator":"eq","rightOperand":"a"}}}}`,
			`{"odrl:permission":[{"action":"odrl:use","constraint":[{"and":[{"leftOperand":"x","operator":"eq","rightOperand":"a"}]}]}]}`},
		{"a typed value stays", `{"permission":[{"action":"use","constraint":[{"leftOperand":"x","operator":"eq","rightOperand":{"@value":"1","@type":"xsd:integer"}}]}]}`,
			`{"permission":[{"action":"use","constraint":[{"leftOperand":"x","operator":"eq","rightOperand":{"@value":"1","@type":"xsd:integer"}}]}]}`},
	} {
		out, err := Wire([]byte(c.in))
		if err != nil || string(out) != c.out {
			t.Errorf("%s:\n%s\n%s, %v", c.name, out, c.out, err)
			continue
		}
		if err := Same([]byte(c.in), out); err != nil {
			t.Errorf("%s: it says something else: %v", c.name, err)
		}
		again, err := Wire(out)
		if err != nil || string(again) != string(out) {
			t.Errorf("%s: a second time it is %s, %v", c.name, again, err)
		}
	}
}

func FuzzWire(f *testing.F) {
	f.Add([]byte(`{"permission":[{"action":"use","constraint":[{"leftOperand":"count","operator":"lteq","rightOperand":9}]}]}`))
	f.Add([]byte(`{"permission":{"action":{"@id":"use"},"duty":{"action":"delete"}}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := Parse(in)
		if err != nil {
			t.Skip()
		}
		out, err := Wire(in)
		if err != nil {
			t.Fatalf("%s: %v", in, err)
		}
		q, err := Parse(out)
		if err != nil || len(q.Permissions) != len(p.Permissions) || len(q.Prohibitions) != len(p.Prohibitions) {
			t.Fatalf("%s became %s: %v", in, out, err)
		}
		if again, err := Wire(out); err != nil || string(again) != string(out) {
			t.Fatalf("%s a second time is %s, %v", out, again, err)
		}
	})
}
