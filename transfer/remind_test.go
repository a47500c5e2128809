package transfer

import (
	"bytes"
	"testing"
	"time"
)

// A consumer that repeats its request and stores that over our start, as EDC
// does, gets the same start again; one that has it gets nothing.
func TestALostStartIsRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, p := w.both(w.start(), Started)
	var request, start call
	w.mu.Lock()
	for _, s := range w.sent {
		switch s.kind {
		case KindRequest:
			request = s
		case KindStart:
			start = s
		}
	}
	repeated := make(chan call, 8)
	w.hook = func(c call) verdict {
		if c.kind == KindStart {
			repeated <- c
		}
		return verdict{}
	}
	w.mu.Unlock()
	before := len(w.tokyo.history(p.ID))
	for _, state := range []State{Started, Requested} {
		read := make(chan struct{}, 8)
		w.mu.Lock()
		w.shown = func() State {
			read <- struct{}{}
			return state
		}
		w.mu.Unlock()
		if status, _ := w.deliver(t.Context(), request); status != 200 {
			t.Fatalf("the repeated request got %d", status)
		}
		select {
		case <-read:
		case <-time.After(10 * time.Second):
			t.Fatal("the state was not read")
		}
	}
	select {
	case got := <-repeated:
		if !bytes.Equal(got.body, start.body) || got.url != start.url {
			t.Errorf("another start: %s to %s", got.body, got.url)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the start was not repeated")
	}
	if len(repeated) > 0 {
		t.Error("the start was repeated to who had it")
	}
	if after := len(w.tokyo.history(p.ID)); after != before {
		t.Errorf("%d leaves of a reminder", after-before)
	}
	if !w.admits(w.access(c)) {
		t.Error("what the consumer was given does not open any more")
	}
}
