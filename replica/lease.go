package replica

import (
	"context"
	"errors"
	"time"

	"kakehashi/store"
)

// Leases belong to the node, not to a participant.
const (
	sqlEnter = `INSERT INTO replica_leases (id, counter) VALUES ($1, 1)`
	sqlRaise = `UPDATE replica_leases SET counter = counter + 1 WHERE id = $1 RETURNING counter`
	sqlSeen  = `SELECT id, counter FROM replica_leases`
	sqlTake  = `DELETE FROM replica_leases WHERE id = $1 AND counter = $2 RETURNING id`
	sqlLeave = `DELETE FROM replica_leases WHERE id = $1`
)

// errLapsed says that another replica took this one for gone.
var errLapsed = errors.New("the lease has lapsed")

// leases reads the counters of all.
func leases(tx store.Tx) (map[string]int64, error) {
	rows, err := tx.Query(sqlSeen)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]int64{}
	for rows.Next() {
		var id string
		var counter int64
		if err := rows.Scan(&id, &counter); err != nil {
			return nil, err
		}
		all[id] = counter
	}
	return all, rows.Err()
}

// beat raises the counter, looks at the others, and takes over what has no owner
// any more.
func (r *Room) beat(ctx context.Context) error {
	if r.c.Alone {
		return nil
	}
	id := r.ID()
	var all map[string]int64
	found := 0
	err := r.c.DB.Update(ctx, func(tx store.Tx) error {
		var counter int64
		err := tx.QueryRow(sqlRaise, id).Scan(&counter)
		if errors.Is(err, store.ErrNotFound) {
			return errLapsed
		}
		if err != nil {
			return err
		}
		if all, err = leases(tx); err != nil {
			return err
		}
		found = 0
		if r.work != nil {
			found, err = r.work.Pass(tx, "", id)
		}
		return err
	})
	if errors.Is(err, errLapsed) {
		return r.again(ctx, id)
	}
	if err != nil {
		return err
	}
	now := time.Now()
	r.mu.Lock()
	left := r.note(all, now)
	silent := r.silent(now)
	r.mu.Unlock()
	for other, counter := range silent {
		took, err := r.take(ctx, other, counter)
		if err != nil {
			return err
		}
		left = left || took
	}
	if found == 0 && !left {
		return nil
	}
	return r.tookOver(ctx)
}

// note compares what the table says with what was seen before, and tells whether
// somebody is gone. Who has not looked for a while has not seen a counter stand
// still. r.mu is held.
func (r *Room) note(all map[string]int64, now time.Time) (left bool) {
	blind := now.Sub(r.looked) > 2*r.c.Beat
	r.looked = now
	for id := range r.seen {
		if _, there := all[id]; !there {
			delete(r.seen, id)
			left = true
		}
	}
	for id, counter := range all {
		if id == r.id {
			continue
		}
		s, known := r.seen[id]
		if !known || s.counter != counter || blind {
			r.seen[id] = sight{counter, now}
		}
	}
	return left
}

// silent lists those whose counter stood still for too long. r.mu is held.
func (r *Room) silent(now time.Time) map[string]int64 {
	out := map[string]int64{}
	for id, s := range r.seen {
		if now.Sub(s.since) >= r.c.Lapse {
			out[id] = s.counter
		}
	}
	return out
}

// take ends the lease of another and moves its work here, if its counter has not
// moved and nobody was faster.
func (r *Room) take(ctx context.Context, other string, counter int64) (took bool, err error) {
	id := r.ID()
	jobs := 0
	err = r.c.DB.Update(ctx, func(tx store.Tx) error {
		var gone string
		err := tx.QueryRow(sqlTake, other, counter).Scan(&gone)
		if took = err == nil; errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err == nil && r.work != nil {
			jobs, err = r.work.Pass(tx, other, id)
		}
		return err
	})
	if err != nil || !took {
		return false, err
	}
	r.mu.Lock()
	delete(r.seen, other)
	r.mu.Unlock()
	r.c.Log.WarnContext(ctx, "a replica is gone, its work was taken over", "replica", other, "jobs", jobs)
	return true, nil
}

// again goes on under a new name: somebody took this replica for gone. What it
// wrote under the old one since is its own.
func (r *Room) again(ctx context.Context, old string) error {
	r.c.Log.WarnContext(ctx, "this replica was taken for gone and goes on under a new name", "replica", old)
	if err := r.enter(ctx); err != nil {
		return err
	}
	if r.work != nil {
		if err := r.c.DB.Update(ctx, func(tx store.Tx) error {
			_, err := r.work.Pass(tx, old, r.ID())
			return err
		}); err != nil {
			return err
		}
	}
	return r.tookOver(ctx)
}

// adopt takes the work of owners that have no lease.
func (r *Room) adopt(ctx context.Context) error {
	if r.work == nil {
		return nil
	}
	id := r.ID()
	var owners []string
	var all map[string]int64
	err := r.c.DB.View(ctx, func(tx store.Tx) (err error) {
		// A lease is older than what is written under it, and its name never comes
		// back: whose lease is not in this snapshot is gone for good.
		if owners, err = r.work.Owners(tx); err != nil || r.c.Alone {
			return err
		}
		all, err = leases(tx)
		return err
	})
	if err != nil {
		return err
	}
	moved := 0
	for _, from := range owners {
		if _, alive := all[from]; alive || from == id || from == "" && !r.c.Alone {
			continue
		}
		if err := r.c.DB.Update(ctx, func(tx store.Tx) error {
			n, err := r.work.Pass(tx, from, id)
			moved += n
			return err
		}); err != nil {
			return err
		}
	}
	if moved == 0 {
		return nil
	}
	return r.tookOver(ctx)
}

func (r *Room) tookOver(ctx context.Context) error {
	for _, f := range r.taken {
		f(ctx)
	}
	if r.work == nil {
		return nil
	}
	return r.work.Reload(ctx)
}

// Counters reads the leases of all replicas as they are now.
func Counters(ctx context.Context, db store.DB) (map[string]int64, error) {
	var all map[string]int64
	err := db.View(ctx, func(tx store.Tx) (err error) {
		all, err = leases(tx)
		return err
	})
	return all, err
}
