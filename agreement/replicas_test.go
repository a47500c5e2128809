package agreement_test

import (
	"errors"
	"testing"
	"time"

	"kakehashi/agreement"
	"kakehashi/internal/fault"
	"kakehashi/internal/watch/watchtest"
	"kakehashi/store"
)

// What one replica ended no other one takes for being in force: at once when it is
// told, soon when it is not, and never in a unit.
func TestAnAgreementThatAnotherReplicaEnded(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{true, false} {
		db, log, _, _ := rooms(t)
		hubs := watchtest.New()
		clock := now
		open := func(c agreement.Config) *agreement.Room {
			c.DB, c.Evidence, c.Now = db, log, func() time.Time { return clock }
			return agreement.Open(c)
		}
		a, b := open(agreement.Config{Watch: hubs.A}), open(agreement.Config{Watch: hubs.B})
		one := one(1)
		if err := conclude(db, a, tokyo, one); err != nil {
			t.Fatal(err)
		}
		held := func() error {
			return db.Update(t.Context(), func(tx store.Tx) error { return b.Hold(tx, tokyo, one.ID) })
		}
		if got, err := b.Get(t.Context(), tokyo, one.ID); err != nil || !got.Ended.IsZero() || held() != nil {
			t.Fatalf("%+v, %v, %v", got, err, held())
		}
		if !told {
			hubs.Cut()
		}
		if err := end(db, a, one.ID, "a reason"); err != nil {
			t.Fatal(err)
		}
		if err := held(); !errors.Is(err, fault.AgreementEnded) {
			t.Errorf("told %v: in a unit it is %v", told, err)
		}
		if !told {
			clock = clock.Add(500 * time.Millisecond)
		}
		if got, err := b.Get(t.Context(), tokyo, one.ID); err != nil || got.Ended.IsZero() || got.Why != "a reason" {
			t.Errorf("told %v: %+v, %v", told, got, err)
		}
	}
}

func TestAnEndedAgreementIsNotHeld(t *testing.T) {
	t.Parallel()
	db, _, a, _ := rooms(t)
	one := one(1)
	if err := conclude(db, a, tokyo, one); err != nil {
		t.Fatal(err)
	}
	hold := func() error {
		return db.Update(t.Context(), func(tx store.Tx) error { return a.Hold(tx, tokyo, one.ID) })
	}
	if err := hold(); err != nil {
		t.Fatal(err)
	}
	if err := end(db, a, one.ID, "a reason"); err != nil {
		t.Fatal(err)
	}
	if err := hold(); !errors.Is(err, fault.AgreementEnded) {
		t.Errorf("an ended agreement is held: %v", err)
	}
}
