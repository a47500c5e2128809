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

func TestAnOlderValueDoesNotReplaceANewerOne(t *testing.T) {
	t.Parallel()
	o := New[string, int](1)
	for _, v := range []int{1, 3, 2} {
		o.PutNewer("k", v, func(old int) bool { return v < old })
	}
	o.Put("another", 0) // "k" is in the older generation now
	o.PutNewer("k", 2, func(old int) bool { return 2 < old })
	if v, _ := o.Get("k"); v != 3 {
		t.Fatalf("got %d", v)
	}
}

func TestWhatIsRememberedIsNotPutAgain(t *testing.T) {
	t.Parallel()
	o := New[string, int](1)
	if v := o.GetOrPut("k", 1); v != 1 {
		t.Fatalf("got %d", v)
	}
	o.Put("another", 0) // "k" is in the older generation now
	if v := o.GetOrPut("k", 2); v != 1 {
		t.Fatalf("got %d", v)
	}
	if v, ok := o.Get("k"); !ok || v != 1 {
		t.Fatalf("got %d, %v", v, ok)
	}
}
