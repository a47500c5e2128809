package identity

import (
	"testing"

	"kakehashi/participant"
)

var tokyo = participant.Participant{ID: "tokyo", DID: "did:web:tokyo.example", Base: "https://tokyo.example/dsp/tokyo/2025-1"}

func TestATemplateTellsWhoSent(t *testing.T) {
	t.Parallel()
	mock := `{"region":"eu","audience":"{counterparty}","clientId":"{self}"}`
	for _, c := range []struct{ name, template, caller, header, want string }{
		{"a fixed header", "Bearer tck", "TCK_PARTICIPANT", "Bearer tck", "TCK_PARTICIPANT"},
		{"another header", "Bearer tck", "TCK_PARTICIPANT", "Bearer tck2", ""},
		{"no header", "Bearer tck", "TCK_PARTICIPANT", "", ""},
		{"a text that names both", "Mock {self} to {counterparty}", "", "Mock edc to did:web:tokyo.example", "edc"},
		{"a text for somebody else", "Mock {self} to {counterparty}", "", "Mock edc to did:web:osaka.example", ""},
		{"a JSON object", mock, "", `{"clientId":"edc","region":"eu","audience":"did:web:tokyo.example"}`, "edc"},
		{"with more members", mock, "", `{"clientId":"edc","region":"eu","audience":"did:web:tokyo.example","x":{}}`, "edc"},
		{"for our address", mock, "", `{"clientId":"edc","region":"eu","audience":"https://tokyo.example/dsp/tokyo/2025-1"}`, "edc"},
		{"for somebody else", mock, "", `{"clientId":"edc","region":"eu","audience":"did:web:osaka.example"}`, ""},
		{"from elsewhere", mock, "", `{"clientId":"edc","region":"us","audience":"did:web:tokyo.example"}`, ""},
		{"without a sender", mock, "", `{"region":"eu","audience":"did:web:tokyo.example"}`, ""},
		{"an empty sender", mock, "", `{"clientId":"","region":"eu","audience":"did:web:tokyo.example"}`, ""},
		{"a doubled member", mock, "", `{"clientId":"edc","clientId":"x","region":"eu","audience":"did:web:tokyo.example"}`, ""},
		{"a sender of two lines", mock, "", `{"clientId":"edc\nx","region":"eu","audience":"did:web:tokyo.example"}`, ""},
		{"a sender in no UTF-8", "Mock {self} to {counterparty}", "", "Mock \xff to did:web:tokyo.example", ""},
		{"no JSON", mock, "", `Bearer x`, ""},
	} {
		tmpl, err := NewTemplate(c.template, c.caller)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got, ok := tmpl.read(c.header, tokyo); ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%s: %q, %v", c.name, got, ok)
		}
	}
}

func TestWhatATemplateSendsItReads(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"region":"eu","audience":"{counterparty}","clientId":"{self}"}`, "Mock {self} to {counterparty}"} {
		tmpl, err := NewTemplate(text, "")
		if err != nil {
			t.Fatal(err)
		}
		h, err := tmpl.header(`did:web:"edc"`, tokyo.DID)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := tmpl.read(h, tokyo); !ok || got != `did:web:"edc"` {
			t.Errorf("%s: %q, %v", h, got, ok)
		}
	}
}

func TestATemplateThatSaysNobodyIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{{"", "x"}, {"Bearer tck", ""}, {"Mock {self}", "x"}, {"{self} {self}", ""}, {"Bearer tck", "a\nb"}, {`{"a":1}`, "x"}, {`{"a":"did:{self}"}`, ""}} {
		if _, err := NewTemplate(c[0], c[1]); err == nil {
			t.Errorf("%q with caller %q is taken", c[0], c[1])
		}
	}
}

func FuzzTemplateRead(f *testing.F) {
	tmpl, err := NewTemplate(`{"region":"eu","audience":"{counterparty}","clientId":"{self}"}`, "")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(`{"clientId":"edc","region":"eu","audience":"did:web:tokyo.example"}`)
	f.Add(`Bearer x`)
	f.Fuzz(func(t *testing.T, header string) {
		if caller, ok := tmpl.read(header, tokyo); ok && (caller == "" || len(caller) > maxCaller) {
			t.Errorf("caller %q", caller)
		}
	})
}
