package watch

import (
	"slices"
	"sync"
	"testing"
)

func TestAChangeIsRelayedAndNeverTwice(t *testing.T) {
	t.Parallel()
	a, b := New(), New()
	a.Relay(b.Heard)
	b.Relay(a.Heard) // what was heard and told again would never end
	sa, sb := a.Subscribe(Filter{Kind: "k"}), b.Subscribe(Filter{Kind: "k"})
	a.Publish(change("p", "k", "x", 1))
	for _, s := range []*Sub{sa, sb} {
		if got, lost := s.Take(); len(got) != 1 || lost || got[0] != change("p", "k", "x", 1) {
			t.Errorf("%v, lost %v", got, lost)
		}
	}
	a.Relay(nil)
	a.Publish(change("p", "k", "x", 2))
	if got, _ := sb.Take(); len(got) != 0 {
		t.Errorf("after the relay ended: %v", got)
	}
}

func TestMemoriesHearOfOthersOnlyAndFirst(t *testing.T) {
	t.Parallel()
	h := New()
	var heard []string
	s := h.Subscribe(Filter{ID: "x"})
	note := func(name string) func(Change, bool) {
		return func(c Change, lost bool) {
			if got, more := s.Take(); len(got) != 0 || more {
				t.Errorf("%s: the subscriber was told before", name)
			}
			if lost {
				name += " lost " + c.Kind + c.ID
			} else {
				name += " " + c.Kind + c.ID
			}
			heard = append(heard, name)
		}
	}
	h.Elsewhere("k", note("one"))
	h.Elsewhere("other", note("two"))
	h.Elsewhere("", note("all"))
	h.Publish(change("p", "k", "x", 1))
	s.Take()
	if len(heard) != 0 {
		t.Fatalf("of our own change: %v", heard)
	}
	h.Heard(change("p", "k", "x", 2))
	if want := []string{"one kx", "all kx"}; !slices.Equal(heard, want) {
		t.Errorf("%v, want %v", heard, want)
	}
	if got, lost := s.Take(); len(got) != 1 || lost {
		t.Errorf("%v, lost %v", got, lost)
	}
}

func TestWhatWasMissedIsToldToAll(t *testing.T) {
	t.Parallel()
	h := New()
	var heard []string
	for _, kind := range []string{"k", "other", ""} {
		h.Elsewhere(kind, func(c Change, lost bool) {
			if lost {
				heard = append(heard, c.Kind+"!")
			}
		})
	}
	wide, one := h.Subscribe(Filter{Participant: "p"}), h.Subscribe(Filter{ID: "x"})
	h.Publish(change("p", "k", "x", 1))
	h.Missed()
	if want := []string{"k!", "other!", "!"}; !slices.Equal(heard, want) {
		t.Errorf("%v, want %v", heard, want)
	}
	for _, s := range []*Sub{wide, one} {
		if got, lost, err := s.Next(t.Context()); err != nil || len(got) != 1 || !lost {
			t.Errorf("%v, lost %v, %v", got, lost, err)
		}
		h.Missed()
		if got, lost, err := s.Next(t.Context()); err != nil || len(got) != 0 || !lost {
			t.Errorf("%v, lost %v, %v", got, lost, err)
		}
	}
}

func TestHearingWhileAllIsGoingOn(t *testing.T) {
	t.Parallel()
	h := New()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for v := range int64(200) {
				h.Elsewhere("k", func(Change, bool) {})
				h.Relay(func(Change) {})
				s := h.Subscribe(Filter{ID: "x"})
				h.Publish(change("p", "k", "x", v))
				h.Heard(change("p", "k", "x", v))
				h.Missed()
				if got, lost := s.Take(); len(got) < 2 && !lost {
					t.Error("nothing was told")
				}
				s.Close()
			}
		})
	}
	wg.Wait()
}

func TestTellingAllocatesNothing(t *testing.T) {
	h := New()
	h.Elsewhere("k", func(Change, bool) {})
	c := change("p", "k", "nobody", 1)
	if n := testing.AllocsPerRun(100, func() { h.Publish(c) }); n != 0 {
		t.Errorf("alone: %v allocations", n)
	}
	h.Relay(func(Change) {})
	if n := testing.AllocsPerRun(100, func() { h.Publish(c) }); n != 0 {
		t.Errorf("relayed: %v allocations", n)
	}
}
