package replica

import (
	"context"
	"fmt"
	"maps"

	"kakehashi/store"
)

// Live reads the names under which replicas are at work now, this one with them. A
// name that is written down before it is read here and is not among them is gone
// for good.
func (r *Room) Live(ctx context.Context) (map[string]bool, error) {
	live := map[string]bool{r.ID(): true}
	if r.c.Alone {
		return live, nil
	}
	var all map[string]int64
	err := r.c.DB.View(ctx, func(tx store.Tx) (err error) {
		all, err = leases(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read who is at work: %w", err)
	}
	for id := range maps.Keys(all) {
		live[id] = true
	}
	return live, nil
}
