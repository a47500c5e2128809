package dataplane

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/store"
)

// window is at most WindowTime and WindowBytes of use of one grant, shared by
// its requests. Its row says open before the first byte leaves.
type window struct {
	grant  Grant
	id     string
	opened time.Time // when the row was there: from then on it may be used

	bytes, items, requests int64
	left                   int64  // bytes that may still be reserved
	payload                string // digest of what was handed out, when the format knows it
	writing                int    // reservations not given back
	sealed                 bool   // takes no more use; settled once writing is 0
}

func (w *window) usable(now time.Time) bool {
	return !w.sealed && w.left > 0 && now.Sub(w.opened) < WindowTime
}

// take reserves up to want bytes in the grant's window, opening one when there
// is none: the only place that lets bytes go. It fails with the reason once the
// session was cut or the grant is no longer open.
func (p *Plane) take(s *Session, want int64) (*window, int64, error) {
	l := s.live
	for {
		if s.Err() != nil {
			return nil, 0, context.Cause(s)
		}
		p.mu.Lock()
		if l.dead { // who marks it so has cut its sessions under the same lock
			p.mu.Unlock()
			return nil, 0, context.Cause(s)
		}
		if w := l.window; w != nil && w.usable(p.c.Now()) {
			n := min(want, w.left)
			w.left -= n
			w.writing++
			p.mu.Unlock()
			return w, n, nil
		}
		if other := l.opening; other != nil {
			p.mu.Unlock()
			select {
			case <-other:
			case <-s.Done():
			}
			continue
		}
		if l.window != nil {
			p.seal(l.window)
			l.window = nil
		}
		opened := make(chan struct{})
		l.opening = opened
		p.mu.Unlock()

		w, err := p.openWindow(s)

		p.mu.Lock()
		l.opening = nil
		if w != nil {
			p.open[w] = struct{}{}
			p.arm(WindowTime + settleDelay)
			if l.dead {
				p.seal(w)
			} else {
				l.window = w
			}
		}
		p.mu.Unlock()
		close(opened)
		if err != nil {
			return nil, 0, err
		}
	}
}

// give returns a reservation of which used bytes were handed to the kernel.
func (p *Plane) give(w *window, reserved, used int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.writing--
	w.bytes += used
	w.left += reserved - used
	if w.sealed && w.writing == 0 {
		p.arm(settleDelay)
	}
}

// begin counts one request.
func (p *Plane) begin(s *Session) error {
	w, _, err := p.take(s, 0)
	if err != nil {
		return err
	}
	p.mu.Lock()
	w.requests++
	p.mu.Unlock()
	p.give(w, 0, 0)
	return nil
}

// Count adds to what is on record for the session: items of the service, and
// bytes that did not go through the plane's own ResponseWriter, which counts
// the rest. It adds nothing once the session was cut.
func (s *Session) Count(bytes, items int64) {
	w, _, err := s.plane.take(s, 0)
	if err != nil {
		return
	}
	s.plane.mu.Lock()
	w.items += items
	w.bytes += bytes
	w.left -= bytes
	s.plane.mu.Unlock()
	s.plane.give(w, 0, 0)
}

// Payload names the digest ("sha256:<hex>") of what is handed out, for the record.
func (s *Session) Payload(digest string) {
	s.plane.mu.Lock()
	defer s.plane.mu.Unlock()
	s.payload = digest
	if w := s.live.window; w != nil && !w.sealed {
		w.payload = digest
	}
}

func (p *Plane) openWindow(s *Session) (*window, error) {
	if err := p.judge(s.Context, s.live); err != nil {
		return nil, err
	}
	w := &window{grant: s.Grant, id: ids.Short(), left: WindowBytes}
	err := p.c.DB.Update(s.Context, func(tx store.Tx) error {
		var id string
		err := tx.QueryRow(sqlWindowAllow, string(s.Participant), s.ID).Scan(&id)
		if errors.Is(err, store.ErrNotFound) { // closed or suspended by anybody: only the unit sees why for certain
			now, err := scan(tx.QueryRow(sqlGet, string(s.Participant), s.ID))
			if err != nil {
				return err
			}
			return refusal(now.State, now.Why)
		}
		if err != nil {
			return err
		}
		return tx.Exec(sqlWindowOpen, string(s.Participant), s.ID, w.id, p.c.Now().UnixMicro(), p.c.Replicas.ID())
	})
	switch {
	case err == nil:
		w.opened = p.c.Now()
		return w, nil
	case s.Err() != nil:
		return nil, context.Cause(s)
	case errors.Is(err, fault.GrantClosed), errors.Is(err, fault.GrantSuspended):
		p.stale(s.ID)
		return nil, err
	}
	return nil, fault.Unavailable.At("").Because(fmt.Errorf("open a window of use: %w", err))
}

// seal ends a window's use. p.mu is held.
func (p *Plane) seal(w *window) {
	w.sealed = true
	if w.writing == 0 {
		p.arm(settleDelay)
	}
}

// arm has a sweep run in d at the latest. p.mu is held.
func (p *Plane) arm(d time.Duration) {
	at := time.Now().Add(d)
	if !p.due.IsZero() && !at.Before(p.due) {
		return
	}
	p.due = at
	if p.timer == nil {
		p.timer = time.AfterFunc(d, func() {
			ctx, done := context.WithTimeout(context.Background(), time.Minute)
			defer done()
			if err := p.sweep(ctx, false); err != nil {
				p.c.Log.Error("windows of use could not be closed; trying again", "err", err)
			}
		})
		return
	}
	p.timer.Reset(d)
}

// Flush puts every window that no response is writing into on record now.
func (p *Plane) Flush(ctx context.Context) error { return p.sweep(ctx, true) }

// sweep settles the windows whose time is over, or all idle ones.
func (p *Plane) sweep(ctx context.Context, all bool) error {
	p.sweeping.Lock()
	defer p.sweeping.Unlock()
	now := p.c.Now()
	p.mu.Lock()
	p.due = time.Time{}
	var ready []*window
	for w := range p.open {
		if w.writing > 0 {
			continue // give arms the next sweep
		}
		if all || w.sealed || !w.usable(now) {
			w.sealed = true
			if l := p.live[w.grant.ID]; l != nil && l.window == w {
				l.window = nil
			}
			ready = append(ready, w)
		}
	}
	p.mu.Unlock()

	var failed error
	for len(ready) > 0 && failed == nil {
		some := ready[:min(len(ready), settleMost)]
		failed = p.c.DB.Update(ctx, func(tx store.Tx) error {
			for _, w := range some {
				if err := p.settle(tx, w); err != nil {
					return err
				}
			}
			return nil
		})
		if failed == nil {
			p.settled(some)
			ready = ready[len(some):]
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.open {
		switch {
		case failed != nil:
			p.arm(WindowTime)
		case w.writing == 0 && w.sealed:
			p.arm(settleDelay)
		case w.writing == 0:
			p.arm(max(settleDelay, WindowTime-p.c.Now().Sub(w.opened)+settleDelay))
		default:
			// A window with a blocked writer is sealed, so that give wakes us.
			if !w.usable(p.c.Now()) {
				w.sealed = true
			} else {
				p.arm(WindowTime)
			}
		}
	}
	return failed
}

// settleIdle puts the grant's idle window on record in the unit that stops the
// grant, so that its totals are whole without a unit more.
func (p *Plane) settleIdle(tx store.Tx, grant string) error {
	var idle []*window
	p.mu.Lock()
	for w := range p.open {
		if w.grant.ID == grant && w.writing == 0 {
			w.sealed = true
			if l := p.live[grant]; l != nil && l.window == w {
				l.window = nil
			}
			idle = append(idle, w)
		}
	}
	if len(idle) > 0 {
		p.arm(settleDelay) // in case this unit fails
	}
	p.mu.Unlock()
	for _, w := range idle {
		if err := p.settle(tx, w); err != nil {
			return err
		}
	}
	if len(idle) > 0 {
		tx.AfterCommit(func() { p.settled(idle) })
	}
	return nil
}

// settle writes a sealed window's counts. Two units may try; the first one does it.
func (p *Plane) settle(tx store.Tx, w *window) error {
	return p.closeRow(tx, w.grant, w.id, "closed", w.bytes, w.items, w.requests, w.payload)
}

func (p *Plane) settled(ws []*window) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range ws {
		delete(p.open, w)
	}
}

func (p *Plane) closeRow(tx store.Tx, g Grant, id, state string, bytes, items, requests int64, payload string) error {
	var opened int64
	now := p.c.Now().UnixMicro()
	err := tx.QueryRow(sqlWindowClose, string(g.Participant), g.ID, id, now, bytes, items, requests, state).Scan(&opened)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	} else if err != nil {
		return fmt.Errorf("close window %s: %w", id, err)
	}
	if err := tx.Exec(sqlCount, string(g.Participant), g.ID, bytes, items, requests); err != nil {
		return fmt.Errorf("count window %s: %w", id, err)
	}
	facts := map[string]string{
		"window": id, "opened": time.UnixMicro(opened).UTC().Format("2006-01-02T15:04:05.000Z"),
		"bytes": strconv.FormatInt(bytes, 10), "requests": strconv.FormatInt(requests, 10),
		"meaning": "handed to the operating system", // decisions 24, 25: not yet delivered
	}
	if g.Way == WayReceive {
		facts["meaning"] = "received"
	}
	if items > 0 {
		facts["items"] = strconv.FormatInt(items, 10)
	}
	if state == stateAtMost {
		facts["meaning"] = "at most; the node stopped before it could count"
		delete(facts, "requests")
	}
	return p.leaf(tx, "kh.plane.window", g, facts, payload)
}

const stateAtMost = "at-most"

// recover closes the windows that an owner who is gone left open, at their limit.
func (p *Plane) recover(ctx context.Context, owner string) error {
	for {
		n := 0
		err := p.c.DB.Update(ctx, func(tx store.Tx) error {
			rows, err := tx.Query(sqlLeftOpen, owner)
			if err != nil {
				return err
			}
			var left []window
			for rows.Next() {
				var w window
				var opened int64
				g := &w.grant
				err := rows.Scan(&w.id, &opened, (*string)(&g.Participant), &g.ID, &g.Transfer, &g.Agreement,
					&g.Counterparty, &g.Dataset, &g.Service, &g.Format, (*string)(&g.Way))
				if err != nil {
					return errors.Join(err, rows.Close())
				}
				left = append(left, w)
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil {
				return err
			}
			for _, w := range left {
				if err := p.closeRow(tx, w.grant, w.id, stateAtMost, WindowBytes, 0, 0, ""); err != nil {
					return err
				}
			}
			n = len(left)
			return nil
		})
		if err != nil || n == 0 {
			return err
		}
		p.c.Log.Warn("windows of use were open when the node stopped; recorded as at most their limit", "windows", n, "replica", owner)
	}
}
