package evidence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"golang.org/x/sync/errgroup"

	"kakehashi/participant"
	"kakehashi/store"
)

const (
	batchWait  = 50 * time.Millisecond // after the first wake, so that a batch forms
	retryWait  = time.Second           // after a failure
	stopWait   = 2 * time.Second       // for the last batch when the node stops
	unitLeaves = 500                   // a longer unit would stop every negotiation
	planLeaves = 20_000                // read at once; order within a process holds across what is read
	sideBySide = 4                     // logs numbered at a time
)

// Run numbers leaves until ctx ends: what a crash left at its start, then
// whatever Append put on record, woken by it. It polls nothing. When ctx ends
// it numbers what is waiting and returns nil.
func (l *Log) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWait)
			defer cancel()
			l.pass(last)
			return nil
		case <-l.wake:
			timer.Reset(batchWait)
		case <-timer.C:
			if !l.pass(ctx) {
				timer.Reset(retryWait)
			}
		}
	}
}

// pass numbers every log that was touched. A log that fails stays touched;
// false: there is one.
func (l *Log) pass(ctx context.Context) bool {
	l.mu.Lock()
	todo := make([]participant.ID, 0, len(l.dirty))
	for p := range l.dirty {
		todo = append(todo, p)
	}
	clear(l.dirty)
	l.mu.Unlock()
	var g errgroup.Group
	g.SetLimit(sideBySide)
	for _, p := range todo {
		g.Go(func() error {
			err := l.Flush(ctx, p)
			if err != nil {
				if ctx.Err() == nil {
					l.c.Log.Error("evidence is not numbered", "participant", string(p), "err", err)
				}
				l.mu.Lock()
				l.dirty[p] = true
				l.mu.Unlock()
			}
			return err
		})
	}
	return g.Wait() == nil
}

// Flush numbers everything that was appended so far and signs a checkpoint over
// it; both are durable when it returns.
func (l *Log) Flush(ctx context.Context, p participant.ID) error {
	s := l.state(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if !s.loaded {
			if err := l.load(ctx, p, s); err != nil {
				return err
			}
		}
		plan, err := l.plan(ctx, p)
		if err != nil {
			return err
		}
		for from := 0; from < len(plan); from += unitLeaves {
			if err = l.number(ctx, p, s, plan[from:min(from+unitLeaves, len(plan))]); err != nil {
				break
			}
		}
		switch {
		case errors.Is(err, errMoved):
			s.loaded = false
		case err != nil:
			return fmt.Errorf("number events of %s: %w", p, err)
		case len(plan) < planLeaves:
			return nil
		}
	}
}

// plan reads what waits and puts it in order: by id, which is by time, but
// within a process by version.
func (l *Log) plan(ctx context.Context, p participant.ID) ([]waiting, error) {
	var ws []waiting
	err := l.view(ctx, "read waiting events", func(tx store.Tx) error {
		var err error
		ws, err = readWaiting(tx, p, planLeaves)
		return err
	})
	order(ws)
	return ws, err
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
	s.note.Store(&note)
	return nil
}
