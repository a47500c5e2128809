package transfer

import (
	"testing"
	"time"
)

// A consumer that never completes its pull does not keep it open beyond its terms.
func TestAPullIsCompletedWhenItsTermsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tokyo.until = time.Now().Add(2 * time.Second) // it must have started by then, on any store
	c := w.start()
	c, p := w.both(c, Completed)
	if p.Updated.Before(w.tokyo.until.Truncate(time.Millisecond)) {
		t.Errorf("it ended at %v, before its terms", p.Updated)
	}
	if w.admits(Access{Endpoint: w.tokyo.who.DataURL + "/data/" + p.Grant + "/", Token: "x"}) || c.TerminatedBy != "" {
		t.Errorf("after the end: %+v", c)
	}
}

// What is suspended then cannot be completed: it is terminated, and the consumer
// reads why. The end is known after a restart too.
func TestASuspendedTransferIsTerminatedWhenItsTermsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, p := w.both(w.start(), Started)
	_, err := w.brussels.room.Suspend(t.Context(), "brussels", c.ID, "", "a pause")
	check(t, err)
	w.both(c, Suspended)
	w.tokyo.halt()
	w.tokyo.mu.Lock()
	w.tokyo.until = time.Now().Add(100 * time.Millisecond)
	w.tokyo.mu.Unlock()
	w.tokyo.boot()
	c, p = w.both(c, Terminated)
	if c.Code != TermsEnded || c.Reason == "" || p.TerminatedBy != Provider {
		t.Errorf("the consumer was told %q %q, by %s", c.Code, c.Reason, p.TerminatedBy)
	}
}
