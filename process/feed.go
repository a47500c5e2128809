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

// Stamp is the moment of a change that is written now: later than all before it,
// also by a clock that was set back, so that who reads the feed from a moment on
// misses none. Other replicas have clocks of their own.
func (b *Book[P]) Stamp(tx store.Tx, p participant.ID, now time.Time) (time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	last, ok := b.stamps[p]
	if !ok { // once in the life of the program
		if err := tx.QueryRow(b.newest, string(p)).Scan(&last); err != nil {
			return now, fmt.Errorf("read the moment of the last change: %w", err)
		}
	}
	last = max(now.UnixMicro(), last+1)
	b.stamps[p] = last
	return time.UnixMicro(last).UTC(), nil
}

func feedOf(name string) string {
	return strings.ReplaceAll(`SELECT id, state, version, updated FROM {name}_processes
		WHERE participant = $1 AND (updated, id) > ($2, $3) AND ($4 = '' OR id = $4)
		ORDER BY updated, id LIMIT 500`, "{name}", name)
}
