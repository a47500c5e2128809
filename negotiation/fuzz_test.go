package negotiation

import (
	"testing"

	"kakehashi/process"
)

// FuzzKept reads any bytes as a kept process.
func FuzzKept(f *testing.F) {
	b, err := Process{Head: process.Head{ID: "x"}}.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"v":99}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decode(process.Head{ID: "x"}, b)
		if err != nil {
			return
		}
		out, err := p.Encode()
		if err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		if _, err := decode(p.Head, out); err != nil {
			t.Fatalf("own output %s is refused: %v", out, err)
		}
	})
}
