package partner

import (
	"context"
	"embed"
	"errors"
	"time"

	"kakehashi/internal/watch"
	"kakehashi/participant"
	"kakehashi/store"
)

//go:embed schema/*.sql
var files embed.FS

// Schema is what the room keeps.
var Schema = store.SchemaIn("partner", files)

const (
	selectOne = `SELECT did, base, title, checkpoint, seen FROM partner_partners WHERE participant = $1 AND did = $2`
	selectAll = `SELECT did, base, title, checkpoint, seen FROM partner_partners WHERE participant = $1 ORDER BY did LIMIT 1000`
	// A title is chosen by people: few rows, seldom asked.
	selectTitled = `SELECT did FROM partner_partners WHERE participant = $1 AND title = $2 ORDER BY did LIMIT 5`
	selectPauses = `SELECT participant, did, pause_us FROM partner_partners WHERE pause_us > 0 LIMIT 10000`
	upsertFound  = `INSERT INTO partner_partners (participant, did, base, title, checkpoint, checkpoint_size, seen, pause_us)
VALUES ($1, $2, $3, $4, $5, 0, $6, 0)
ON CONFLICT (participant, did) DO UPDATE SET
	base = CASE WHEN excluded.base = '' THEN partner_partners.base ELSE excluded.base END,
	title = CASE WHEN excluded.title = '' THEN partner_partners.title ELSE excluded.title END,
	seen = excluded.seen`
	// The larger log wins, whatever memory held after a restart; a pause that was not
	// learned here is left as another replica wrote it.
	upsertSeen = `INSERT INTO partner_partners (participant, did, base, title, checkpoint, checkpoint_size, seen, pause_us)
VALUES ($1, $2, '', '', $3, $4, $5, $6)
ON CONFLICT (participant, did) DO UPDATE SET
	checkpoint = CASE WHEN excluded.checkpoint_size >= partner_partners.checkpoint_size AND excluded.seen > 0
		THEN excluded.checkpoint ELSE partner_partners.checkpoint END,
	checkpoint_size = CASE WHEN excluded.checkpoint_size >= partner_partners.checkpoint_size
		THEN excluded.checkpoint_size ELSE partner_partners.checkpoint_size END,
	seen = CASE WHEN excluded.seen > partner_partners.seen THEN excluded.seen ELSE partner_partners.seen END,
	pause_us = CASE WHEN $7 = 1 THEN excluded.pause_us ELSE partner_partners.pause_us END
RETURNING checkpoint_size`
)

// keep writes a counterpart that was found when the row says something else, and
// gives it with what the row knows beyond.
func (r *Room) keep(ctx context.Context, p participant.ID, who Partner) (Partner, error) {
	var row Partner
	read := func(tx store.Tx) (err error) {
		row, err = scan(tx.QueryRow(selectOne, string(p), who.DID))
		if errors.Is(err, store.ErrNotFound) {
			row, err = Partner{}, nil
		}
		return err
	}
	if err := r.c.DB.View(ctx, read); err != nil {
		return Partner{}, err
	}
	changed := row.DID == "" || who.Base != "" && row.Base != who.Base || who.Title != "" && row.Title != who.Title
	if changed {
		if err := r.c.DB.Update(ctx, func(tx store.Tx) error {
			if err := tx.Exec(upsertFound, string(p), who.DID, who.Base, who.Title, []byte{}, who.Seen.UnixMicro()); err != nil {
				return err
			}
			return read(tx)
		}); err != nil {
			return Partner{}, err
		}
	}
	row.Seen = who.Seen
	r.seen.onto(key{p, who.DID}, &row)
	return row, nil
}

// write keeps a batch of what was seen, in one unit.
func (r *Room) write(ctx context.Context, batch []note) error {
	var newest []int64
	err := r.c.DB.Update(ctx, func(tx store.Tx) error {
		newest = make([]int64, len(batch))
		for i, n := range batch {
			var at int64
			if !n.at.IsZero() {
				at = n.at.UnixMicro()
			}
			sum := n.state.note
			if sum == nil {
				sum = []byte{}
			}
			learned := int64(0)
			if n.learned {
				learned = 1
			}
			err := tx.QueryRow(upsertSeen, string(n.participant), n.did, sum, n.size, at, n.pause.Microseconds(), learned).Scan(&newest[i])
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, n := range batch {
		if n.learned {
			r.c.Watch.Publish(watch.Change{Participant: string(n.participant), Kind: Changed, ID: n.did, State: newPause,
				Version: n.pause.Microseconds(), At: r.c.Now()})
		}
		if n.state.note != nil && newest[i] > n.size {
			r.c.Log.Warn("a counterpart's evidence log is shorter than it was before",
				"participant", n.participant, "counterparty", n.did, "size", n.size, "before", newest[i])
		}
	}
	return nil
}

func (r *Room) list(ctx context.Context, p participant.ID) (all []Partner, err error) {
	err = r.c.DB.View(ctx, func(tx store.Tx) error {
		all = nil
		rows, err := tx.Query(selectAll, string(p))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			one, err := scan(rows)
			if err != nil {
				return err
			}
			all = append(all, one)
		}
		return rows.Err()
	})
	return all, err
}

func (r *Room) titled(ctx context.Context, p participant.ID, title string) (dids []string, err error) {
	err = r.c.DB.View(ctx, func(tx store.Tx) error {
		dids = nil
		rows, err := tx.Query(selectTitled, string(p), title)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var d string
			if err := rows.Scan(&d); err != nil {
				return err
			}
			dids = append(dids, d)
		}
		return rows.Err()
	})
	return dids, err
}

func (r *Room) pauses(ctx context.Context) (map[key]time.Duration, error) {
	all := map[key]time.Duration{}
	err := r.c.DB.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(selectPauses)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var p, d string
			var us int64
			if err := rows.Scan(&p, &d, &us); err != nil {
				return err
			}
			all[key{participant.ID(p), d}] = time.Duration(us) * time.Microsecond
		}
		return rows.Err()
	})
	return all, err
}

func scan(row store.Row) (Partner, error) {
	var p Partner
	var at int64
	if err := row.Scan(&p.DID, &p.Base, &p.Title, &p.Checkpoint, &at); err != nil {
		return Partner{}, err
	}
	if len(p.Checkpoint) == 0 {
		p.Checkpoint = nil
	}
	p.Seen = time.UnixMicro(at)
	return p, nil
}
