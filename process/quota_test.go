package process

import (
	"context"
	"errors"
	"testing"

	"kakehashi/internal/fault"
	"kakehashi/participant"
)

func TestAQuotaCountsWhatIsOpen(t *testing.T) {
	t.Parallel()
	asked := 0
	q := NewQuota(3, func(context.Context, participant.ID, string) (int, error) { asked++; return 1, nil })
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
	if err := NewQuota(0, nil).Admit(t.Context(), "tokyo", "a"); err != nil {
		t.Error(err)
	}
}
