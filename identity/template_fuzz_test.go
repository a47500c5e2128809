package identity

import (
	"strings"
	"testing"
	"unicode/utf8"

	"kakehashi/participant"
)

// FuzzTemplate reads any header by any template: a caller that is taken has an
// id, and by a template that names no sender it is the one that was set.
func FuzzTemplate(f *testing.F) {
	f.Add("{self}", "", "TCK_PARTICIPANT")
	f.Add(`{"clientId":"{self}","audience":"{counterparty}","region":"eu"}`, "", `{"clientId":"a","audience":"did:web:us","region":"eu"}`)
	f.Add("Basic {counterparty}", "kit", "Basic did:web:us")
	us := participant.Participant{ID: "us", DID: "did:web:us", Base: "https://us.example/dsp/us/2025-1"}
	f.Fuzz(func(t *testing.T, text, set, header string) {
		tp, err := NewTemplate(text, set)
		if err != nil {
			return
		}
		caller, ok := tp.read(header, us)
		if !ok {
			return
		}
		if caller == "" || len(caller) > maxCaller || !utf8.ValidString(caller) || strings.ContainsAny(caller, "\x00\r\n") {
			t.Fatalf("template %q takes %q as the caller %q", text, header, caller)
		}
		if !strings.Contains(text, selfMark) && caller != set {
			t.Fatalf("template %q names no sender, but %q is %q", text, header, caller)
		}
	})
}
