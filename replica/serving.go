package replica

import (
	"context"
	"maps"
	"slices"

	"kakehashi/store"
)

// Serving names a replica that is at work on db now, "" for none: one that took a
// lease or raised its counter while wait waited, which is to be longer than two
// beats. Where there is no lease at all it does not wait.
func Serving(ctx context.Context, db store.DB, wait func(context.Context) error) (string, error) {
	before, err := Counters(ctx, db)
	if err != nil || len(before) == 0 {
		return "", err
	}
	if err := wait(ctx); err != nil {
		return "", err
	}
	after, err := Counters(ctx, db)
	if err != nil {
		return "", err
	}
	for id, counter := range after {
		if was, known := before[id]; !known || was != counter {
			return id, nil
		}
	}
	return "", nil
}

// Leases lists the names of those that hold a lease in tx's snapshot.
func Leases(tx store.Tx) ([]string, error) {
	all, err := leases(tx)
	return slices.Sorted(maps.Keys(all)), err
}
