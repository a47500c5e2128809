package replica

import (
	"context"
	"errors"
	"testing"

	"kakehashi/store"
	"kakehashi/store/storetest"
)

func TestWhoseCounterMovesIsServing(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	do := func(query string, args ...any) func(context.Context) error {
		return func(ctx context.Context) error {
			return db.Update(ctx, func(tx store.Tx) error { return tx.Exec(query, args...) })
		}
	}
	still := func(context.Context) error { return nil }
	never := func(context.Context) error { return errors.New("it waited for nobody") }
	if id, err := Serving(t.Context(), db, never); id != "" || err != nil {
		t.Errorf("without leases: got %q, %v", id, err)
	}
	if err := do(sqlEnter, "a")(t.Context()); err != nil {
		t.Fatal(err)
	}
	if id, err := Serving(t.Context(), db, still); id != "" || err != nil {
		t.Errorf("a lease that stands still: got %q, %v", id, err)
	}
	raise := func(ctx context.Context) error {
		return db.Update(ctx, func(tx store.Tx) error {
			var n int64
			return tx.QueryRow(sqlRaise, "a").Scan(&n)
		})
	}
	if id, err := Serving(t.Context(), db, raise); id != "a" || err != nil {
		t.Errorf("a lease that moves: got %q, %v", id, err)
	}
	if id, err := Serving(t.Context(), db, do(sqlEnter, "b")); id != "b" || err != nil {
		t.Errorf("a lease that is new: got %q, %v", id, err)
	}
	if id, err := Serving(t.Context(), db, do(sqlLeave, "b")); id != "" || err != nil {
		t.Errorf("one that left: got %q, %v", id, err)
	}
}
