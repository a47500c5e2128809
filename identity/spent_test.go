package identity_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/store"
)

func (w *world) spent(t *testing.T) int {
	t.Helper()
	var n int
	if err := w.db.View(context.Background(), func(tx store.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM identity_spent`).Scan(&n)
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestATokenIsSpentOnceForEachParticipantAndIssuer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := identity.Caller{Token: identity.Token{Issuer: peerDID, JTI: "j", Expires: start}}
	for i, step := range []struct {
		p      participant.ID
		issuer string
		jti    string
		ok     bool
	}{
		{"tokyo", peerDID, "j", true},
		{"tokyo", peerDID, "j", false},
		{"kyoto", peerDID, "j", true},
		{"tokyo", "did:web:second.example", "j", true},
		{"tokyo", peerDID, "J", true},
	} {
		c.Token.Issuer, c.Token.JTI = step.issuer, step.jti
		var spent error
		// The unit goes on after the refusal and keeps what it writes.
		if err := w.db.Update(t.Context(), func(tx store.Tx) error {
			spent = w.room.Spend(tx, step.p, c)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if step.ok != (spent == nil) || !step.ok && !errors.Is(spent, fault.TokenReplayed) {
			t.Errorf("step %d: %v", i, spent)
		}
	}
	if err := w.db.Update(t.Context(), func(tx store.Tx) error { return w.room.Spend(tx, "tokyo", identity.Caller{}) }); err == nil {
		t.Error("a caller without token was spent")
	}
}

func TestOfManyUnitsAtOnceOneSpendsTheToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const rounds, units = 20, 4
	for round := range rounds {
		c := identity.Caller{Token: identity.Token{Issuer: peerDID, JTI: fmt.Sprint(round), Expires: start}}
		errs := make([]error, units)
		var wg sync.WaitGroup
		for i := range units {
			wg.Go(func() {
				errs[i] = w.db.Update(context.Background(), func(tx store.Tx) error { return w.room.Spend(tx, "tokyo", c) })
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, fault.TokenReplayed):
				t.Errorf("round %d: %v", round, err)
			}
		}
		if won != 1 {
			t.Errorf("round %d: %d units spent the token", round, won)
		}
	}
	if n := w.spent(t); n != rounds {
		t.Errorf("%d rows are kept, want %d", n, rounds)
	}
}

func TestAUnitThatFailsSpendsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := identity.Caller{Token: identity.Token{Issuer: peerDID, JTI: "j", Expires: start}}
	undo := errors.New("undo")
	if err := w.db.Update(t.Context(), func(tx store.Tx) error {
		if err := w.room.Spend(tx, "tokyo", c); err != nil {
			return err
		}
		return undo
	}); !errors.Is(err, undo) {
		t.Fatal(err)
	}
	if n := w.spent(t); n != 0 {
		t.Errorf("%d tokens are spent", n)
	}
}

func TestPruneForgetsOnlyWhatWouldBeRefusedAnyway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.db.Update(t.Context(), func(tx store.Tx) error {
		for i := range 1203 {
			c := identity.Caller{Token: identity.Token{Issuer: peerDID, JTI: fmt.Sprint(i), Expires: start.Add(time.Duration(i%3) * time.Hour)}}
			if err := w.room.Spend(tx, "tokyo", c); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		after time.Duration
		left  int
	}{{0, 1203}, {time.Minute, 1203}, {2*time.Minute + time.Second, 802}, {90 * time.Minute, 401}, {3 * time.Hour, 0}} {
		// The clock jumps a day ahead and is set back: nothing is forgotten for that.
		before := w.spent(t)
		w.now, w.stood = w.now.Add(24*time.Hour), 24*time.Hour
		if err := w.room.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := w.spent(t); n != before {
			t.Errorf("a clock that jumped has %d forgotten", before-n)
		}
		w.now, w.stood = start.Add(step.after), 0
		if err := w.room.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := w.spent(t); n != step.left {
			t.Errorf("after %v %d are kept, want %d", step.after, n, step.left)
		}
	}
}
