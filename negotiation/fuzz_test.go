package negotiation

import (
	"testing"

	"kakehashi/process"
)

// FuzzKept reads any bytes as a kept process.
func FuzzKept(f *testing.F) {
	b, err := Process{Head: process.Head{ID: "x"}}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"v":99}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := Process{Head: process.Head{ID: "x"}}
		if p.decode(b) != nil {
			return
		}
		out, err := p.encode()
		if err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		if err := p.decode(out); err != nil {
			t.Fatalf("own output %s is refused: %v", out, err)
		}
	})
}
