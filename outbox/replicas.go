package outbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"kakehashi/internal/format"
	"kakehashi/internal/watch"
	"kakehashi/participant"
	"kakehashi/store"
)

const (
	ownersOf = `SELECT DISTINCT owner FROM outbox_jobs WHERE participant <> '' LIMIT 1000`
	passJobs = `UPDATE outbox_jobs SET owner = $2 WHERE owner = $1 RETURNING participant`
	findJobs = `UPDATE outbox_jobs SET owner = $2 WHERE owner = '' AND format <= $1 RETURNING participant`
	takeLane = `UPDATE outbox_jobs SET owner = $3 WHERE participant = $1 AND lane = $2 AND owner <> $3 RETURNING id`
	giveLane = `UPDATE outbox_jobs SET owner = '', format = $3, last_error = $5 WHERE participant = $1 AND lane = $2 AND owner = $4`
	rowsOf   = `SELECT id, owner, turn FROM outbox_jobs WHERE participant = $1 AND lane = $2 ORDER BY turn LIMIT 1000`
	laneOf   = `SELECT ` + columns + ` FROM outbox_jobs WHERE participant = $1 AND lane = $2 AND owner = $3 ORDER BY turn`
)

// A job that is behind another replica's looks again after the first of these,
// and twice as long each time, up to the second.
const (
	lookAgain  = 20 * time.Millisecond
	lookAtMost = 5 * time.Second
	lookUnread = time.Second // the table could not be read
)

// LaneKind is the kind of the hint that a lane changed hands.
const LaneKind = "lane"

// Owners lists the names under which open jobs lie.
func (q *Queue) Owners(tx store.Tx) ([]string, error) {
	rows, err := tx.Query(ownersOf)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var owner string
		if err := rows.Scan(&owner); err != nil {
			return nil, err
		}
		all = append(all, owner)
	}
	return all, rows.Err()
}

// Pass moves all jobs of one owner to another. From nobody, "", it moves those
// whose format this program reads.
func (q *Queue) Pass(tx store.Tx, from, to string) (int, error) {
	query, first := passJobs, any(from)
	if from == "" {
		query, first = findJobs, q.cfg.Format
	}
	rows, err := tx.Query(query, first, to)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		n++
	}
	return n, rows.Err()
}

// Reload brings memory in line with the rows that this replica owns now: what it
// took over begins, what was taken from it is forgotten.
func (q *Queue) Reload(ctx context.Context) error {
	owner := q.cfg.Replicas.ID()
	q.mu.Lock()
	before := q.placed
	q.mu.Unlock()
	ours := map[key]bool{}
	var from key
	for {
		page, err := q.page(ctx, owner, from)
		if err != nil {
			return fmt.Errorf("read the outbox again: %w", err)
		}
		for _, it := range page {
			ours[key{it.job.Participant, it.job.ID}] = true
		}
		if err := q.admit(page, owner, func() ([]*item, error) { return q.page(ctx, owner, from) }); err != nil {
			return fmt.Errorf("read the outbox again: %w", err)
		}
		if len(page) < batch {
			break
		}
		last := page[len(page)-1].job
		from = key{last.Participant, last.ID}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for k, it := range q.jobs {
		if it.seq <= before && !ours[k] {
			q.lose(it)
		}
	}
	return nil
}

// reread is Reload for one lane.
func (q *Queue) reread(ctx context.Context, p participant.ID, laneName string) error {
	owner := q.cfg.Replicas.ID()
	q.mu.Lock()
	before := q.placed
	q.mu.Unlock()
	read := func() (items []*item, err error) {
		err = q.cfg.DB.View(ctx, func(tx store.Tx) error {
			rows, err := tx.Query(laneOf, string(p), laneName, owner)
			if err != nil {
				return err
			}
			items, err = collect(rows, nil)
			return err
		})
		return items, err
	}
	items, err := read()
	if err == nil {
		err = q.admit(items, owner, read)
	}
	if err != nil {
		return fmt.Errorf("read lane %s again: %w", laneName, err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lanes[laneName]
	if l == nil {
		return nil
	}
	for _, it := range slices.Clone(l.items) {
		mine := slices.ContainsFunc(items, func(r *item) bool { return r.job.ID == it.job.ID })
		if it.seq <= before && !mine {
			q.lose(it)
		}
	}
	return nil
}

// admit takes rows of ours into memory that it lacks. A row that memory lacks may
// have been settled since it was read: only one that is still there when it is
// read again is a job to do.
func (q *Queue) admit(found []*item, owner string, again func() ([]*item, error)) error {
	missing := map[key]bool{}
	q.mu.Lock()
	for _, r := range found {
		k := key{r.job.Participant, r.job.ID}
		if it := q.jobs[k]; it == nil {
			missing[k] = true
		} else {
			it.owner, it.turn = owner, r.turn
		}
	}
	q.mu.Unlock()
	if len(missing) == 0 {
		return nil
	}
	found, err := again()
	if err != nil {
		return err
	}
	now := q.cfg.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range found {
		if missing[key{it.job.Participant, it.job.ID}] {
			it.owner, it.at = owner, resumes(it.job, now)
			if q.add(it, now) {
				q.waits(it, now)
			}
		}
	}
	return nil
}

// moved tells the other replicas that jobs of a lane are gone or changed hands.
func (q *Queue) moved(p participant.ID, laneName string) {
	if q.cfg.Watch != nil && !q.cfg.Replicas.Alone() {
		q.cfg.Watch.Publish(watch.Change{Participant: string(p), Kind: LaneKind, ID: laneName})
	}
}

// Heard takes a hint of kind LaneKind that another replica gave: Run brings memory
// in line with the lane's rows. A hint that is lost costs a sweep. It never blocks.
func (q *Queue) Heard(c watch.Change, lost bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if lost || q.lanes[c.ID] == nil {
		return
	}
	q.moves[c.ID] = participant.ID(c.Participant)
	select {
	case q.hints <- struct{}{}:
	default:
	}
}

// follow reads the lanes again that hints named.
func (q *Queue) follow(ctx context.Context) error {
	q.mu.Lock()
	moves := maps.Clone(q.moves)
	clear(q.moves)
	q.mu.Unlock()
	for laneName, p := range moves {
		if err := q.reread(ctx, p, laneName); err != nil {
			return err
		}
	}
	return nil
}

// verdict is what the table says about a job that is about to be done.
type verdict int

const (
	its     verdict = iota // turn
	behind                 // another replica's job, which is first in the lane
	misread                // one of ours is first: memory has another order
	gone                   // done, dropped, or taken over
	unread                 // the table cannot be read
)

// turn asks whose turn it is in the lane. Nobody asks who is alone.
func (q *Queue) turn(ctx context.Context, j Job) verdict {
	if q.cfg.Replicas.Alone() {
		return its
	}
	owner := q.ownerOf(j)
	v := gone
	err := q.cfg.DB.View(ctx, func(tx store.Tx) error {
		v = gone
		rows, err := tx.Query(rowsOf, string(j.Participant), j.Lane)
		if err != nil {
			return err
		}
		defer rows.Close()
		first := verdict(-1)
		for rows.Next() {
			var id, of string
			var turn int64
			if err := rows.Scan(&id, &of, &turn); err != nil {
				return err
			}
			switch {
			case first >= 0:
			case id == j.ID:
				first = its
			case of == owner:
				first = misread
			default:
				first = behind
			}
			if id == j.ID && of == owner {
				v = first
			}
		}
		return rows.Err()
	})
	if err != nil {
		q.cfg.Log.WarnContext(ctx, "whose turn it is cannot be read", "participant", string(j.Participant), "process_id", j.Lane, "err", err)
		return unread
	}
	if v == misread {
		if err := q.reread(ctx, j.Participant, j.Lane); err != nil {
			return unread
		}
	}
	return v
}

// ownerOf is the name under which a job's row is ours now.
func (q *Queue) ownerOf(j Job) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	if it := q.jobs[key{j.Participant, j.ID}]; it != nil {
		return it.owner
	}
	return q.cfg.Replicas.ID()
}

// lookIn is how long a job waits that was not in turn so many times.
func lookIn(v verdict, times int) time.Duration {
	switch v {
	case behind:
		return min(lookAgain<<min(times, 10), lookAtMost)
	case unread:
		return lookUnread
	}
	return 0
}

// leaves gives the lane of a job away that failed with err because a newer program
// wrote what it is about; any other err comes back.
func (q *Queue) leaves(ctx context.Context, j Job, err error) error {
	if version, ok := format.Of(err); ok {
		err = Newer(err, version)
	}
	var n newer
	if !errors.As(err, &n) {
		return err
	}
	return q.give(ctx, j, n)
}

// give leaves a lane to whoever reads its format.
func (q *Queue) give(ctx context.Context, j Job, n newer) error {
	owner := q.ownerOf(j)
	err := q.cfg.DB.Update(context.WithoutCancel(ctx), func(tx store.Tx) error {
		return tx.Exec(giveLane, string(j.Participant), j.Lane, n.format, owner, clip(n.Error()))
	})
	if err != nil {
		return errors.Join(n.error, err)
	}
	q.cfg.Log.WarnContext(ctx, "a lane is left to a newer program", "participant", string(j.Participant), "process_id", j.Lane,
		"kind", j.Kind, "format", n.format)
	q.mu.Lock()
	defer q.mu.Unlock()
	if l := q.lanes[j.Lane]; l != nil {
		for _, it := range slices.Clone(l.items) {
			if !it.runs() {
				q.lose(it)
			}
		}
	}
	return nil
}
