package negotiation

import "testing"

// FuzzKept reads any bytes as a kept process.
func FuzzKept(f *testing.F) {
	b, err := Process{ID: "x", Body: Body{}}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"v":99}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := Process{ID: "x"}
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
