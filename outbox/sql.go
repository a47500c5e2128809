package outbox

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/store"
)

//go:embed schema/*.sql
var files embed.FS

// Schema is what the outbox keeps.
var Schema = store.SchemaIn("outbox", files)

const (
	insertJob = `INSERT INTO outbox_jobs (participant, id, lane, kind, peer, data, due, created, owner, attempts, waited, parked, last_error, turn)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, FALSE, '',
	COALESCE((SELECT MAX(turn) FROM outbox_jobs WHERE participant = $1 AND lane = $3), 0) + 1)`
	takeJob = `DELETE FROM outbox_jobs WHERE participant = $1 AND id = $2 AND owner = $3 RETURNING id`
	endJob  = `DELETE FROM outbox_jobs WHERE participant = $1 AND id = $2 RETURNING id`
	dropJob = `DELETE FROM outbox_jobs WHERE participant = $1 AND id = $2 AND lane = $3`
	keepJob = `UPDATE outbox_jobs SET attempts = $3, waited = $4, due = $5, last_error = $6, parked = $7
WHERE participant = $1 AND id = $2 AND owner = $8 RETURNING id`
	reviveJob = `UPDATE outbox_jobs SET attempts = 0, waited = 0, due = $3, parked = FALSE
WHERE participant = $1 AND id = $2 RETURNING lane`
	columns = `participant, id, lane, kind, peer, data, due, created, attempts, waited, parked, last_error, turn`
	pageOf  = `SELECT ` + columns + ` FROM outbox_jobs
WHERE owner = $1 AND (participant, id) > ($2, $3) ORDER BY participant, id LIMIT $4`
	oneOf     = `SELECT ` + columns + ` FROM outbox_jobs WHERE owner = $1 AND participant = $2 AND id = $3`
	anyOf     = `SELECT ` + columns + ` FROM outbox_jobs WHERE participant = $1 AND id = $2`
	overdueOf = `SELECT participant, id FROM outbox_jobs WHERE owner = $1 AND parked = FALSE AND due < $2
AND (participant, id) > ($3, $4) ORDER BY participant, id LIMIT $5`
	parkedOf = `SELECT ` + columns + ` FROM outbox_jobs WHERE participant = $1 AND parked = TRUE ORDER BY created, id LIMIT 1000`
)

// batch is how many rows one read takes at the start and in the sweep.
const batch = 500

func (q *Queue) insert(tx store.Tx, j Job, owner string) error {
	return tx.Exec(insertJob, string(j.Participant), j.ID, j.Lane, j.Kind, j.Peer, j.Data,
		j.Due.UnixMicro(), j.Created.UnixMicro(), owner)
}

// take removes a job that must be there and ours.
func (q *Queue) take(tx store.Tx, j Job) error {
	return removed(tx.QueryRow(takeJob, string(j.Participant), j.ID, q.ownerOf(j)))
}

// end removes a job that must be there, whosever it is.
func (q *Queue) end(tx store.Tx, j Job) error {
	return removed(tx.QueryRow(endJob, string(j.Participant), j.ID))
}

func removed(row store.Row) error {
	var id string
	err := row.Scan(&id)
	if errors.Is(err, store.ErrNotFound) {
		return ErrGone
	}
	return err
}

func (q *Queue) remove(tx store.Tx, p participant.ID, laneName, id string) error {
	return tx.Exec(dropJob, string(p), id, laneName)
}

// keep writes what a failed attempt changed; ErrGone when the job is not ours any more.
func (q *Queue) keep(ctx context.Context, j Job, o outcome) error {
	due := q.cfg.Now().Add(o.wait).UnixMicro()
	owner := q.ownerOf(j)
	return q.cfg.DB.Update(context.WithoutCancel(ctx), func(tx store.Tx) error {
		return removed(tx.QueryRow(keepJob, string(j.Participant), j.ID, int64(o.attempts), o.waited.Microseconds(), due, o.text, o.parked, owner))
	})
}

// revive makes a job due now and its lane ours; taken says that it was another's.
func (q *Queue) revive(tx store.Tx, p participant.ID, id string, now time.Time) (laneName string, taken bool, err error) {
	err = tx.QueryRow(reviveJob, string(p), id, now.UnixMicro()).Scan(&laneName)
	if errors.Is(err, store.ErrNotFound) {
		return "", false, fault.JobUnknown.At("", "job", id)
	}
	if err != nil || q.cfg.Replicas.Alone() {
		return laneName, false, err
	}
	rows, err := tx.Query(takeLane, string(p), laneName, q.cfg.Replicas.ID())
	if err != nil {
		return "", false, err
	}
	defer rows.Close()
	for rows.Next() {
		taken = true
	}
	return laneName, taken, rows.Err()
}

// load reads every open job of ours, batch by batch.
func (q *Queue) load(ctx context.Context) ([]*item, error) {
	owner := q.cfg.Replicas.ID()
	var all []*item
	var from key
	for {
		page, err := q.page(ctx, owner, from)
		if err != nil {
			return nil, fmt.Errorf("load the outbox: %w", err)
		}
		for _, it := range page {
			it.owner = owner
		}
		all = append(all, page...)
		if len(page) < batch {
			return all, nil
		}
		last := page[len(page)-1].job
		from = key{last.Participant, last.ID}
	}
}

// page reads the next rows of an owner.
func (q *Queue) page(ctx context.Context, owner string, from key) (items []*item, err error) {
	err = q.cfg.DB.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(pageOf, owner, string(from.participant), from.id, batch)
		if err != nil {
			return err
		}
		items, err = collect(rows, nil)
		return err
	})
	return items, err
}

// one reads a job of ours again.
func (q *Queue) one(ctx context.Context, k key, owner string) (found []*item, err error) {
	err = q.cfg.DB.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(oneOf, owner, string(k.participant), k.id)
		if err != nil {
			return err
		}
		found, err = collect(rows, nil)
		return err
	})
	return found, err
}

// overdue lists jobs of ours that should have run before.
func (q *Queue) overdue(ctx context.Context, before time.Time, from key) (keys []key, err error) {
	err = q.cfg.DB.View(ctx, func(tx store.Tx) error {
		keys = keys[:0]
		rows, err := tx.Query(overdueOf, q.cfg.Replicas.ID(), before.UnixMicro(), string(from.participant), from.id, batch)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var k key
			if err := rows.Scan((*string)(&k.participant), &k.id); err != nil {
				return err
			}
			keys = append(keys, k)
		}
		return rows.Err()
	})
	return keys, err
}

// Parked lists the jobs of p that wait for a person, oldest first, at most 1000.
// Each holds its lane: Retry it, or Drop it in the unit that ends its process.
func (q *Queue) Parked(ctx context.Context, p participant.ID) ([]Job, error) {
	var jobs []Job
	err := q.cfg.DB.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(parkedOf, string(p))
		if err != nil {
			return err
		}
		items, err := collect(rows, nil)
		jobs = make([]Job, len(items))
		for i := range items {
			jobs[i] = items[i].job
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list parked jobs: %w", err)
	}
	return jobs, nil
}

func collect(rows store.Rows, into []*item) ([]*item, error) {
	defer rows.Close()
	for rows.Next() {
		it := &item{}
		j := &it.job
		var due, created, attempts, waited int64
		err := rows.Scan((*string)(&j.Participant), &j.ID, &j.Lane, &j.Kind, &j.Peer, &j.Data, &due, &created,
			&attempts, &waited, &it.parked, &j.LastError, &it.turn)
		if err != nil {
			return into, err
		}
		j.Due, j.Created, j.Attempts = time.UnixMicro(due), time.UnixMicro(created), int(attempts)
		j.Again = true
		it.waited = time.Duration(waited) * time.Microsecond
		into = append(into, it)
	}
	return into, rows.Err()
}
