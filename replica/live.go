package replica

import (
	"context"
	"fmt"
	"maps"
)

// Live reads the names under which replicas are at work now, this one with them. A
// name that is written down before it is read here and is not among them is gone
// for good.
func (r *Room) Live(ctx context.Context) (map[string]bool, error) {
	live := map[string]bool{r.ID(): true}
	if r.c.Alone {
		return live, nil
	}
	all, err := Counters(ctx, r.c.DB)
	if err != nil {
		return nil, fmt.Errorf("read who is at work: %w", err)
	}
	for id := range maps.Keys(all) {
		live[id] = true
	}
	return live, nil
}
