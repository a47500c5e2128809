package decision

import (
	"testing"

	"kakehashi/odrl"
	"kakehashi/process"
)

// FuzzRead reads any bytes as the answer of a webhook: what is taken is one of
// the decisions, a refusal has a reason, and terms are understood.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"decision":"approve"}`))
	f.Add([]byte(`{"decision":"refuse","code":"x","reason":"no"}`))
	f.Add([]byte(`{"decision":"counter","policy":{"odrl:permission":{"action":"odrl:use"}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := read(b)
		if err != nil {
			return
		}
		switch d.Choice {
		case process.Approve, process.Counter:
		case process.Refuse:
			if d.Reason == "" || d.Code == "" {
				t.Fatalf("%s refuses without a reason: %+v", b, d)
			}
		default:
			t.Fatalf("%s decides %q", b, d.Choice)
		}
		if d.Terms == nil {
			return
		}
		if _, err := odrl.Parse(d.Terms); err != nil {
			t.Fatalf("took %s: %v", d.Terms, err)
		}
	})
}
