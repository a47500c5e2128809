package process

import (
	"context"
	"fmt"
	"strings"
	"time"

	"kakehashi/internal/watch"
	"kakehashi/participant"
	"kakehashi/store"
)

// Changed lists what is newer than a moment, in the order of the changes: each
// process once, at its newest state. id narrows it to one process, "" is all; of
// those that changed at the moment itself, the ones whose id is greater than
// after belong to it. At most 500; a full page has more behind it.
func (b *Book[P]) Changed(ctx context.Context, p participant.ID, id string, since time.Time, after string) ([]watch.Change, error) {
	var out []watch.Change
	err := b.db.View(ctx, func(tx store.Tx) error {
		out = out[:0]
		rows, err := tx.Query(b.feed, string(p), since.UnixMicro(), after, id)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			c := watch.Change{Participant: string(p), Kind: b.name}
			var updated int64
			if err := rows.Scan(&c.ID, &c.State, &c.Version, &updated); err != nil {
				return err
			}
			c.At = time.UnixMicro(updated).UTC()
			out = append(out, c)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read what changed: %w", err)
	}
	return out, nil
}

func feedOf(name string) string {
	return strings.ReplaceAll(`SELECT id, state, version, updated FROM {name}_processes
		WHERE participant = $1 AND (updated, id) > ($2, $3) AND ($4 = '' OR id = $4)
		ORDER BY updated, id LIMIT 500`, "{name}", name)
}
