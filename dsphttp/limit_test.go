package dsphttp

import (
	"errors"
	"testing"
	"time"

	"kakehashi/internal/fault"
)

func TestOneCounterpartIsHeldToItsPace(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	l := newPace(10, func() time.Time { return now })
	for i := range 10 {
		if err := l.take("tokyo", "a"); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if err := l.take("tokyo", "a"); !errors.Is(err, fault.TooFast) {
		t.Errorf("the eleventh: %v", err)
	}
	if err := l.take("tokyo", "b"); err != nil {
		t.Errorf("another counterpart: %v", err)
	}
	now = now.Add(100 * time.Millisecond)
	if err := l.take("tokyo", "a"); err != nil {
		t.Errorf("a moment later: %v", err)
	}
	if err := l.take("tokyo", "a"); !errors.Is(err, fault.TooFast) {
		t.Errorf("one more: %v", err)
	}
}
