package recent

import "testing"

func TestItRemembersTheNewestAndStaysBounded(t *testing.T) {
	t.Parallel()
	o := New[int, int](4)
	for i := range 100 {
		o.Put(i, i)
		if _, ok := o.Get(0); !ok {
			t.Fatalf("what is in use was forgotten after %d", i)
		}
	}
	if v, ok := o.Get(99); !ok || v != 99 {
		t.Fatal("the newest is gone")
	}
	if n := len(o.fresh) + len(o.stale); n > 8 {
		t.Fatalf("%d kept", n)
	}
	o.Forget(0)
	if _, ok := o.Get(0); ok {
		t.Fatal("a forgotten value is still there")
	}
}
