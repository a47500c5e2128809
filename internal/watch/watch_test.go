package watch

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
)

func change(p, kind, id string, v int64) Change {
	return Change{Participant: p, Kind: kind, ID: id, State: "S", Version: v}
}

func TestASubscriberGetsWhatMatchesInOrder(t *testing.T) {
	t.Parallel()
	h := New()
	for _, c := range []struct {
		name   string
		filter Filter
		want   []int64
	}{
		{"all", Filter{}, []int64{1, 2, 3, 4}},
		{"participant", Filter{Participant: "tokyo"}, []int64{1, 2, 4}},
		{"kind", Filter{Participant: "tokyo", Kind: "transfer"}, []int64{2}},
		{"process", Filter{ID: "a"}, []int64{1, 3}},
		{"kinds", Filter{Kinds: []string{"transfer", "negotiation"}}, []int64{1, 2, 3, 4}},
		{"one of several kinds", Filter{Participant: "tokyo", Kinds: []string{"transfer", "grant"}}, []int64{2}},
		{"process of a participant", Filter{Participant: "tokyo", ID: "a"}, []int64{1}},
	} {
		s := h.Subscribe(c.filter)
		h.Publish(change("tokyo", "negotiation", "a", 1))
		h.Publish(change("tokyo", "transfer", "b", 2))
		h.Publish(change("osaka", "negotiation", "a", 3))
		h.Publish(change("tokyo", "negotiation", "c", 4))
		got, lost, err := s.Next(t.Context())
		if err != nil || lost || len(got) != len(c.want) {
			t.Fatalf("%s: %v, lost %v, %v", c.name, got, lost, err)
		}
		for i := range got {
			if got[i].Version != c.want[i] {
				t.Errorf("%s: %v", c.name, got)
			}
		}
		s.Close()
		s.Close()
	}
	if len(h.wide) != 0 || len(h.byID) != 0 {
		t.Error("closed subscriptions are kept")
	}
}

func TestWhoFallsBehindIsToldAndNobodyWaits(t *testing.T) {
	t.Parallel()
	h := New()
	s := h.Subscribe(Filter{ID: "a"})
	defer s.Close()
	for i := range int64(Buffer + 5) {
		h.Publish(change("p", "k", "a", i))
	}
	got, lost := s.Take()
	if len(got) != Buffer || !lost || got[0].Version != 0 {
		t.Fatalf("%d changes, lost %v", len(got), lost)
	}
	h.Publish(change("p", "k", "a", 99))
	if got, lost := s.Take(); len(got) != 1 || lost {
		t.Fatalf("after reading again: %v, lost %v", got, lost)
	}
}

func TestNextEndsWithItsContextAndWithClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New().Subscribe(Filter{ID: "a"})
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error)
		go func() { _, _, err := s.Next(ctx); ended <- err }()
		synctest.Wait()
		why := errors.New("enough")
		cancel(why)
		if err := <-ended; !errors.Is(err, why) {
			t.Errorf("got %v", err)
		}
		go func() { _, _, err := s.Next(t.Context()); ended <- err }()
		synctest.Wait()
		s.Close()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	h := New()
	var wg sync.WaitGroup
	for i := range 50 {
		s := h.Subscribe(Filter{ID: strconv.Itoa(i)})
		wg.Go(func() {
			defer s.Close()
			for seen := int64(0); seen < 100; {
				got, lost, err := s.Next(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if lost { // a real caller reads the state here
					return
				}
				seen = got[len(got)-1].Version
			}
		})
		wg.Go(func() {
			for v := range int64(100) {
				h.Publish(change("p", "k", strconv.Itoa(i), v+1))
			}
		})
	}
	wg.Wait()
}

func BenchmarkPublish(b *testing.B) {
	h := New()
	for i := range 1000 {
		h.Subscribe(Filter{ID: strconv.Itoa(i)})
	}
	c := change("p", "k", "nobody", 1)
	b.ReportAllocs()
	for range b.N {
		h.Publish(c)
	}
}

func BenchmarkPublishRelayed(b *testing.B) {
	h := New()
	n := 0
	h.Relay(func(Change) { n++ })
	h.Elsewhere("k", func(Change, bool) {})
	c := change("p", "k", "nobody", 1)
	b.ReportAllocs()
	for range b.N {
		h.Publish(c)
	}
}
