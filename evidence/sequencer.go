package evidence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"kakehashi/participant"
	"kakehashi/store"
)

const (
	batchWait  = 50 * time.Millisecond // after the first leaf, so that a batch forms
	retryWait  = time.Second           // after a failure
	stopWait   = 2 * time.Second       // for the last batch when the node stops
	unitLeaves = 500                   // a longer unit would stop every negotiation
	planLeaves = 20_000                // read at once
	sideBySide = 4                     // logs numbered at a time
)

// Run numbers leaves until ctx ends: what a crash left at its start, then
// whatever Append put on record, woken by it. It polls nothing. When ctx ends
// it numbers what is waiting and returns nil.
func (l *Log) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var done group
	for {
		if next, some := l.next(); some {
			timer.Reset(time.Until(next))
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			done.Wait()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWait)
			defer cancel()
			l.finish(last)
			return nil
		case <-l.wake:
		case <-timer.C:
			l.pass(ctx, &done)
		}
	}
}

// Flush numbers everything that was appended so far and signs a checkpoint over
// it; both are durable when it returns.
func (l *Log) Flush(ctx context.Context, p participant.ID) error {
	s := l.state(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	var numbered bool
	defer func() {
		if numbered {
			l.announce(p, s.tree.size)
		}
	}()
	for {
		if !s.loaded {
			if err := l.load(ctx, p, s); err != nil {
				return err
			}
		}
		plan, more, err := l.plan(ctx, p)
		if err != nil {
			return err
		}
		for from := 0; from < len(plan); from += unitLeaves {
			if err = l.number(ctx, p, s, plan[from:min(from+unitLeaves, len(plan))]); err != nil {
				break
			}
			numbered = true
		}
		switch {
		case errors.Is(err, errMoved):
			s.loaded = false
		case err != nil:
			return fmt.Errorf("number events of %s: %w", p, err)
		case !more:
			return nil
		}
	}
}

// plan reads what waits and puts it in order: by id, which is by time, but
// within a process by version. more: not all was read.
//
// What another unit has not committed yet is not in it and comes with the next
// plan. It cannot be an earlier version of a process that is in it: units of one
// process write its row, so each is durable before the next.
func (l *Log) plan(ctx context.Context, p participant.ID) (ws []waiting, more bool, err error) {
	err = l.view(ctx, "read waiting events", func(tx store.Tx) (err error) {
		if ws, err = readWaiting(tx, selectWaiting, string(p), int64(l.most)); err != nil {
			return err
		}
		if more = len(ws) == l.most; !more {
			return nil
		}
		ws, err = l.earlier(tx, p, ws)
		return err
	})
	order(ws)
	return ws, more, err
}

// earlier adds to the first of many waiting leaves those that must come before
// some of them: replicas make ids by clocks of their own, so an earlier version
// may have a later id than all that was read. It leaves out what may come after a
// leaf that is not read yet.
func (l *Log) earlier(tx store.Tx, p participant.ID, ws []waiting) ([]waiting, error) {
	newest := map[string]int64{} // version, by process
	for _, w := range ws {
		if w.process != "" {
			newest[w.process] = max(newest[w.process], w.version)
		}
	}
	end := ws[len(ws)-1].id
	for some := range slices.Chunk(slices.Sorted(maps.Keys(newest)), atOnce) {
		later, err := readWaiting(tx, selectLater, values([]any{string(p), end, int64(l.most)}, some)...)
		if err != nil {
			return nil, err
		}
		if len(later) == l.most {
			last := later[len(later)-1]
			until := some[len(some)-1]
			ws = slices.DeleteFunc(ws, func(w waiting) bool {
				return w.process > last.process && w.process <= until || w.process == last.process && w.version > last.version
			})
		}
		for _, w := range later {
			if w.version < newest[w.process] {
				ws = append(ws, w)
			}
		}
	}
	return ws, nil
}

// order keeps the places that a process has among ids and fills them by version.
func order(ws []waiting) {
	places := map[string][]int{}
	for i, w := range ws {
		if w.process != "" {
			places[w.process] = append(places[w.process], i)
		}
	}
	for _, at := range places {
		if slices.IsSortedFunc(at, func(a, b int) int { return cmp.Compare(ws[a].version, ws[b].version) }) {
			continue
		}
		own := make([]waiting, len(at))
		for k, i := range at {
			own[k] = ws[i]
		}
		slices.SortStableFunc(own, func(a, b waiting) int { return cmp.Compare(a.version, b.version) })
		for k, i := range at {
			ws[i] = own[k]
		}
	}
}

// number gives one batch its positions: leaves, tiles, size, root and signed
// checkpoint in one unit. The checkpoint is shown only once that is durable, so
// two that contradict each other can never be out. s.mu is held.
//
// Sequencers of other replicas may number at the same time: each unit writes the
// head as it knows it, so that of two that began at one size the second finds
// nothing to write and plans anew. Since leaves are read after the head, none of
// them can have a position while the head has not moved.
func (l *Log) number(ctx context.Context, p participant.ID, s *state, ws []waiting) error {
	hashes := make([]tlog.Hash, len(ws))
	for i, w := range ws {
		hashes[i] = w.hash
	}
	next, tiles, err := s.tree.grow(hashes)
	if err != nil {
		return err
	}
	note, err := l.sign(p, next)
	if err != nil {
		return err
	}
	err = l.c.DB.Update(ctx, func(tx store.Tx) error {
		if err := writeHead(tx, p, s.tree, next, note); err != nil {
			return err
		}
		if err := writePositions(tx, p, s.tree.size, ws); err != nil {
			return err
		}
		return writeTiles(tx, p, tiles)
	})
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrConflict) {
		return errMoved
	}
	if err != nil {
		// Whether the unit is kept is not known here: read the log again.
		s.loaded = false
		return err
	}
	s.tree = next
	s.show(&shown{next.size, note})
	return nil
}
