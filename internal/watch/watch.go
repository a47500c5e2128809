// Package watch tells waiting callers and memories that something has changed,
// on this replica or on another.
//
// It is a hint, kept nowhere: Publish never blocks, a subscriber that falls
// behind loses changes and is told so, and a hint between replicas may come late
// or never. Who needs certainty reads the state after subscribing, and again when
// Lost says so; what must not be decided on a stale memory is decided in the
// tables. It is not a queue and not a log.
package watch

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Change says that something is in a new state: a process, or what the kind names
// ("dataset", "agreement", "grant", ...). It holds nothing that a log may not hold.
type Change struct {
	Participant string // "" if it is the whole node's
	Kind        string // "negotiation", "transfer", ...
	ID          string // of the process; "" if all of the kind may have changed
	State       string
	Version     int64 // grows with each change of the process; 0 where the kind has none
	At          time.Time
}

// Filter chooses changes; an empty field matches all. Kinds is for who wants
// several kinds and not all; with Kind it is not looked at.
type Filter struct {
	Participant, Kind, ID string
	Kinds                 []string
}

func (f *Filter) matches(c Change) bool {
	switch {
	case f.Participant != "" && f.Participant != c.Participant, f.ID != "" && f.ID != c.ID:
		return false
	case f.Kind != "":
		return f.Kind == c.Kind
	}
	return len(f.Kinds) == 0 || slices.Contains(f.Kinds, c.Kind)
}

// Buffer is how many changes a subscriber may be behind before it loses some.
const Buffer = 64

// Hub spreads changes. Subscribers to one process cost nothing to the others.
type Hub struct {
	mu   sync.RWMutex // guards the maps and the closing of subs
	byID map[string]map[*Sub]struct{}
	wide map[*Sub]struct{} // no ID in the filter

	relay     atomic.Pointer[func(Change)]
	elsewhere atomic.Pointer[[]hook] // replaced, never changed
	company   atomic.Pointer[func() bool]
}

// hook is a memory that wants to hear of other replicas.
type hook struct {
	kind string
	f    func(c Change, lost bool)
}

// New makes a hub.
func New() *Hub {
	return &Hub{byID: map[string]map[*Sub]struct{}{}, wide: map[*Sub]struct{}{}}
}

// Publish hands c to those of this replica who want it, and to the relay. It
// never blocks, so it may be called from AfterCommit.
func (h *Hub) Publish(c Change) {
	h.spread(c)
	if relay := h.relay.Load(); relay != nil {
		(*relay)(c)
	}
}

// Relay sets who carries what Publish tells to the other replicas; nil for nobody.
// f runs within Publish: it must not block, and it may be called side by side.
func (h *Hub) Relay(f func(Change)) {
	if f == nil {
		h.relay.Store(nil)
		return
	}
	h.relay.Store(&f)
}

// Company sets who tells whether other replicas are at work; until then, nobody is.
func (h *Hub) Company(f func() bool) { h.company.Store(&f) }

// Shared says that other replicas may be changing the same tables now: a memory
// that must not be wrong for long is then believed for a moment only.
func (h *Hub) Shared() bool {
	f := h.company.Load()
	return f != nil && (*f)()
}

// Elsewhere has f called for each change of a kind that another replica made, or
// of any kind for ""; before the subscribers hear of it, so that they do not read
// a memory that f makes forget. When changes may have been missed, f is called
// with lost and a Change of no more than its kind: all may have changed. f must
// not block, and it may be called side by side. There is no way to take it back.
func (h *Hub) Elsewhere(kind string, f func(c Change, lost bool)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.store(append(slices.Clip(h.hooks()), hook{kind, f}))
}

func (h *Hub) store(all []hook) { h.elsewhere.Store(&all) }

func (h *Hub) hooks() []hook {
	if all := h.elsewhere.Load(); all != nil {
		return *all
	}
	return nil
}

// Heard brings a change of another replica: first to the memories, then to the
// subscribers. It is not relayed.
func (h *Hub) Heard(c Change) {
	for _, k := range h.hooks() {
		if k.kind == "" || k.kind == c.Kind {
			k.f(c, false)
		}
	}
	h.spread(c)
}

// Missed says that changes of other replicas may have been lost: each memory is
// told so, then each subscriber.
func (h *Hub) Missed() {
	for _, k := range h.hooks() {
		k.f(Change{Kind: k.kind}, true)
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for s := range h.wide {
		s.miss()
	}
	for _, m := range h.byID {
		for s := range m {
			s.miss()
		}
	}
}

func (h *Hub) spread(c Change) {
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
	s.wake()
}

// miss tells of changes that nobody knows.
func (s *Sub) miss() {
	s.mu.Lock()
	s.lost = true
	s.mu.Unlock()
	s.wake()
}

func (s *Sub) wake() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// More is readable while Take may give something.
func (s *Sub) More() <-chan struct{} { return s.more }

// Take gives what came since the last Take, oldest first. lost says that changes
// were dropped or missed besides: read the state again.
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
