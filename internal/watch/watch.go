// Package watch tells waiting callers of this replica that the state of a
// process has changed.
//
// It is a hint, kept nowhere: Publish never blocks, a subscriber that falls
// behind loses changes and is told so, and changes made by another replica do not
// come through it. Who needs certainty reads the state after subscribing, and
// again when Lost says so.
package watch

import (
	"context"
	"sync"
	"time"
)

// Change says that a process is in a new state. It holds nothing that a log
// may not hold.
type Change struct {
	Participant string
	Kind        string // "negotiation", "transfer", ...
	ID          string // of the process
	State       string
	Version     int64 // grows with each change of the process
	At          time.Time
}

// Filter chooses changes; an empty field matches all.
type Filter struct{ Participant, Kind, ID string }

func (f Filter) matches(c Change) bool {
	return (f.Participant == "" || f.Participant == c.Participant) &&
		(f.Kind == "" || f.Kind == c.Kind) && (f.ID == "" || f.ID == c.ID)
}

// Buffer is how many changes a subscriber may be behind before it loses some.
const Buffer = 64

// Hub spreads changes. Subscribers to one process cost nothing to the others.
type Hub struct {
	mu   sync.RWMutex // guards the maps and the closing of subs
	byID map[string]map[*Sub]struct{}
	wide map[*Sub]struct{} // no ID in the filter
}

// New makes a hub.
func New() *Hub {
	return &Hub{byID: map[string]map[*Sub]struct{}{}, wide: map[*Sub]struct{}{}}
}

// Publish hands c to those who want it. It never blocks, so it may be called
// from AfterCommit.
func (h *Hub) Publish(c Change) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for s := range h.byID[c.ID] {
		s.offer(c)
	}
	for s := range h.wide {
		s.offer(c)
	}
}

// Subscribe gives the changes from now on that match f. Close it.
func (h *Hub) Subscribe(f Filter) *Sub {
	s := &Sub{hub: h, filter: f, more: make(chan struct{}, 1), gone: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.ID == "" {
		h.wide[s] = struct{}{}
		return s
	}
	m := h.byID[f.ID]
	if m == nil {
		m = map[*Sub]struct{}{}
		h.byID[f.ID] = m
	}
	m[s] = struct{}{}
	return s
}

// Sub is one subscription.
type Sub struct {
	hub    *Hub
	filter Filter
	more   chan struct{} // holds one token while there is something to take
	gone   chan struct{}
	once   sync.Once

	mu      sync.Mutex // guards below; taken after Hub.mu
	waiting []Change
	lost    bool
}

func (s *Sub) offer(c Change) {
	if !s.filter.matches(c) {
		return
	}
	s.mu.Lock()
	if len(s.waiting) >= Buffer {
		s.lost = true
	} else {
		s.waiting = append(s.waiting, c)
	}
	s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// More is readable while Take may give something.
func (s *Sub) More() <-chan struct{} { return s.more }

// Take gives what came since the last Take, oldest first. lost says that newer
// changes than these were dropped: read the state again.
func (s *Sub) Take() (changes []Change, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changes, lost = s.waiting, s.lost
	s.waiting, s.lost = nil, false
	return changes, lost
}

// Next waits for changes and takes them. The error is ctx's, or context.Canceled
// after Close.
func (s *Sub) Next(ctx context.Context) (changes []Change, lost bool, err error) {
	for {
		if changes, lost = s.Take(); len(changes) > 0 || lost {
			return changes, lost, nil
		}
		select {
		case <-s.more:
		case <-s.gone:
			return nil, false, context.Canceled
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
	}
}

// Close ends the subscription; it may be called twice.
func (s *Sub) Close() {
	s.once.Do(func() {
		close(s.gone)
		s.hub.mu.Lock()
		defer s.hub.mu.Unlock()
		delete(s.hub.wide, s)
		if m := s.hub.byID[s.filter.ID]; m != nil {
			if delete(m, s); len(m) == 0 {
				delete(s.hub.byID, s.filter.ID)
			}
		}
	})
}
