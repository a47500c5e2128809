package negotiation

import (
	"bytes"
	"testing"
	"time"
)

// A counterpart that repeats its message and stores that over our next step, as
// EDC does, gets our message again, the same bytes; one that has it gets nothing.
func TestAMessageThatWasLostAfterItsAnswerIsRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, p := w.both(w.start(), Finalized)
	byKind := map[Kind]call{}
	w.mu.Lock()
	for _, s := range w.sent {
		byKind[s.kind] = s
	}
	repeated := make(chan call, 8)
	w.hook = func(c call) verdict {
		repeated <- c
		return verdict{}
	}
	w.mu.Unlock()
	before := len(w.tokyo.history(p.ID))
	for _, state := range []State{Finalized, Verified} {
		read := make(chan struct{}, 8)
		w.mu.Lock()
		w.shown = func() State {
			read <- struct{}{}
			return state
		}
		w.mu.Unlock()
		if status, _ := w.deliver(t.Context(), byKind[KindVerification]); status != 200 {
			t.Fatalf("the repeated verification got %d", status)
		}
		select {
		case <-read:
		case <-time.After(10 * time.Second):
			t.Fatal("the state was not read")
		}
	}
	select {
	case got := <-repeated:
		if want := byKind[KindFinalized]; !bytes.Equal(got.body, want.body) || got.url != want.url {
			t.Errorf("another message: %s to %s", got.body, got.url)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was repeated")
	}
	if len(repeated) > 0 {
		t.Error("it was repeated to who had it")
	}
	if after := len(w.tokyo.history(p.ID)); after != before {
		t.Errorf("%d leaves of a reminder", after-before)
	}
}
