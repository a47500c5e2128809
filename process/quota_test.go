package process

import (
	"context"
	"errors"
	"testing"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/participant"
)

func alone() bool { return false }

func TestAQuotaCountsWhatIsOpen(t *testing.T) {
	t.Parallel()
	asked := 0
	now := time.Unix(0, 0)
	q := NewQuota(3, func(context.Context, participant.ID, string) (int, error) { asked++; return 1, nil }, alone)
	q.now = func() time.Time { return now }
	admit := func(counterparty string, want *fault.Kind) {
		t.Helper()
		err := q.Admit(t.Context(), "tokyo", counterparty)
		if want == nil && err != nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", counterparty, err)
		}
	}
	q.Moved("tokyo", "a", true, false) // before the first question: in the count that is read
	admit("a", nil)
	q.Moved("tokyo", "a", true, false)
	admit("a", nil)
	q.Moved("tokyo", "a", true, false)
	admit("a", fault.TooManyOpen)
	admit("b", nil) // another counterpart is not held up
	q.Moved("tokyo", "a", false, true)
	admit("a", nil)
	q.Moved("tokyo", "a", true, true) // opened and ended in one unit
	admit("a", nil)
	if asked != 2 {
		t.Errorf("counted %d times", asked)
	}
	if err := NewQuota(0, nil, alone).Admit(t.Context(), "tokyo", "a"); err != nil {
		t.Error(err)
	}
}

func TestAFullCountIsReadAgainBeforeItRefuses(t *testing.T) {
	t.Parallel()
	now, open, asked := time.Unix(0, 0), 2, 0
	q := NewQuota(2, func(context.Context, participant.ID, string) (int, error) { asked++; return open, nil }, alone)
	q.now = func() time.Time { return now }
	steps := []struct {
		after   time.Duration
		open    int // as another replica leaves it
		refused bool
		asked   int
	}{
		{0, 2, true, 1},
		{time.Second / 2, 0, true, 1}, // believed for a second
		{time.Second / 2, 2, true, 2},
		{time.Second, 1, false, 3},
		{time.Hour, 9, false, 3}, // not full: nothing is read
	}
	for i, s := range steps {
		now, open = now.Add(s.after), s.open
		err := q.Admit(t.Context(), "tokyo", "a")
		if s.refused != errors.Is(err, fault.TooManyOpen) || !s.refused && err != nil || asked != s.asked {
			t.Errorf("step %d: %v, counted %d times", i, err, asked)
		}
	}
	broken := errors.New("no database")
	q = NewQuota(2, func(context.Context, participant.ID, string) (int, error) { return 0, broken }, alone)
	for range 2 { // what was not counted is not believed
		if err := q.Admit(t.Context(), "tokyo", "a"); !errors.Is(err, broken) {
			t.Errorf("%v", err)
		}
	}
}

func TestWithOtherReplicasACountIsBelievedForASecond(t *testing.T) {
	t.Parallel()
	now, open, asked, shared := time.Unix(0, 0), 0, 0, true
	q := NewQuota(2, func(context.Context, participant.ID, string) (int, error) { asked++; return open, nil }, func() bool { return shared })
	q.now = func() time.Time { return now }
	for i, s := range []struct {
		after   time.Duration
		open    int // as the other replica leaves it
		shared  bool
		refused bool
		asked   int
	}{
		{0, 0, true, false, 1},
		{time.Second / 2, 2, true, false, 1},
		{time.Second / 2, 2, true, true, 2},
		{time.Second, 1, true, false, 3},
		{time.Hour, 2, false, false, 3}, // the other one left
		{time.Hour, 2, true, true, 4},
	} {
		now, open, shared = now.Add(s.after), s.open, s.shared
		err := q.Admit(t.Context(), "tokyo", "a")
		if s.refused != errors.Is(err, fault.TooManyOpen) || !s.refused && err != nil || asked != s.asked {
			t.Errorf("step %d: %v, counted %d times", i, err, asked)
		}
	}
}
