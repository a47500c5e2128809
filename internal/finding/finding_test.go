package finding

import (
	"fmt"
	"testing"

	"kakehashi/internal/fault"
)

func TestAnIndexKnowsWhatWasPut(t *testing.T) {
	t.Parallel()
	var x Index
	if _, ok := x.Get("p", "0"); ok {
		t.Error("an empty index knows something")
	}
	for i := range 1000 {
		x.Put("p", fmt.Sprint(i), int64(i))
	}
	for i := range 1000 {
		if v, ok := x.Get("p", fmt.Sprint(i)); !ok || v != int64(i) {
			t.Fatalf("%d: got %d, %v", i, v, ok)
		}
	}
	x.Put("q", "1", 7)
	if v, _ := x.Get("q", "1"); v != 7 {
		t.Error("what was put later is not known")
	}
	for _, k := range [][2]string{{"p", "1000"}, {"q", "0"}, {"p\x001", ""}} {
		if _, ok := x.Get(k[0], k[1]); ok {
			t.Errorf("%q is known", k)
		}
	}
}

func TestAReportIsBounded(t *testing.T) {
	t.Parallel()
	var r Report
	for range most + 3 {
		r.Found(fault.NotFound.At("x"))
	}
	r.Found(fault.Internal.At("y"))
	if len(r.Findings) != most+1 || r.More[fault.NotFound.Code] != 3 || r.More[fault.Internal.Code] != 0 {
		t.Errorf("got %d findings, more %v", len(r.Findings), r.More)
	}
}
