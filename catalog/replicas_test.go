package catalog_test

import (
	"errors"
	"testing"
	"time"

	"kakehashi/catalog"
	"kakehashi/internal/fault"
	"kakehashi/internal/watch/watchtest"
	"kakehashi/policy"
	"kakehashi/store"
)

func TestAnOfferThatAnotherReplicaWithdrew(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{true, false} {
		r := newRig(t)
		hubs, now := watchtest.New(), time.Now()
		c := catalog.Config{DB: r.db, Policy: policy.New(policy.Config{Now: time.Now}), Evidence: r.log, Now: func() time.Time { return now }}
		c.Watch = hubs.A
		a := catalog.Open(c)
		c.Watch = hubs.B
		b := catalog.Open(c)
		publish := func(offer string) {
			t.Helper()
			err := r.db.Update(t.Context(), func(tx store.Tx) error {
				_, err := a.Publish(tx, tokyo, catalog.Dataset{ID: "urn:d", Title: "D", Service: "files", Formats: []string{"HttpData-PULL"},
					Offers: []catalog.Offer{{ID: offer, Policy: open}}})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		publish("one")
		if d, _, err := b.Offer(t.Context(), tokyo, "one"); err != nil || d.Version != 1 {
			t.Fatal(d, err)
		}
		if !told {
			hubs.Cut()
		}
		publish("two")
		if !told {
			now = now.Add(500 * time.Millisecond)
		}
		if _, _, err := b.Offer(t.Context(), tokyo, "one"); !errors.Is(err, fault.OfferWithdrawn) {
			t.Errorf("told %v: %v", told, err)
		}
		if d, _, err := b.Offer(t.Context(), tokyo, "two"); err != nil || d.Version != 2 {
			t.Errorf("told %v: %+v, %v", told, d, err)
		}
		if err := r.db.Update(t.Context(), func(tx store.Tx) error { return a.Withdraw(tx, tokyo, "urn:d") }); err != nil {
			t.Fatal(err)
		}
		if !told {
			now = now.Add(500 * time.Millisecond)
		}
		if _, _, err := b.Offer(t.Context(), tokyo, "two"); !errors.Is(err, fault.OfferWithdrawn) {
			t.Errorf("told %v, withdrawn: %v", told, err)
		}
	}
}
