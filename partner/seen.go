package partner

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"kakehashi/participant"
)

// maxNote bounds a checkpoint that is kept; maxKnown the counterparts in memory.
const (
	maxNote  = 4 << 10
	maxKnown = 10_000
)

// The learned pause: see LearnPause.
const (
	firstPause = 20 * time.Millisecond
	fixedPause = 200 * time.Millisecond // of a partner whose address was fixed by hand
	maxPause   = 500 * time.Millisecond
	leastPause = 5 * time.Millisecond
	decayAfter = 100 // messages taken at once
)

type key struct {
	participant participant.ID
	did         string
}

// state is what memory knows of a counterpart beyond its address.
type state struct {
	note    []byte
	size    int64
	at      time.Time
	pause   time.Duration
	taken   int  // in a row, since the pause changed
	learned bool // the pause was learned here, and is not written yet
	// What the next flush writes; in flight it is clean.
	dirty bool
}

// seen gathers what messages tell in passing, so that no message waits for it.
type seen struct {
	mu      sync.Mutex // guards all; never held over I/O
	known   map[key]*state
	dirty   []key
	timer   *time.Timer // exists while something is dirty
	closed  bool
	writing sync.Mutex // one flush at a time; taken before mu
}

// SawCheckpoint keeps a counterpart's checkpoint, a signed note, if its log is
// larger than in the one before. It only touches memory; the table follows
// within a second. What is no checkpoint, or larger than 4 KiB, is passed over.
// Its signature is not judged here. A smaller log than before says nothing: of
// several replicas of a counterpart one may show what another has since added to.
func (r *Room) SawCheckpoint(p participant.ID, name string, note []byte) {
	size, ok := noteSize(note)
	if !ok || name == "" {
		return
	}
	s := &r.seen
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key{p, name}
	st := s.get(k)
	if size < st.size || bytes.Equal(st.note, note) {
		return
	}
	st.note, st.size, st.at = bytes.Clone(note), size, r.c.Now()
	r.soil(k, st)
}

// noteSize reads the size of the tree from a checkpoint: its second line
// (C2SP tlog-checkpoint).
func noteSize(note []byte) (int64, bool) {
	if len(note) > maxNote {
		return 0, false
	}
	_, rest, ok := bytes.Cut(note, []byte("\n"))
	line, _, more := bytes.Cut(rest, []byte("\n"))
	if !ok || !more || len(line) == 0 || line[0] < '0' || line[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(line), 10, 64)
	return n, err == nil
}

// Pause is the wait that this counterpart needs between the answer to it and
// our next message: 0 for nearly all.
func (r *Room) Pause(p participant.ID, name string) time.Duration {
	r.seen.mu.Lock()
	defer r.seen.mu.Unlock()
	if st := r.seen.known[key{p, name}]; st != nil {
		return st.pause
	}
	return 0
}

// LearnPause learns from one message. tooEarly: an instant follow-up was refused
// or dropped and taken a moment later; the pause becomes 20 ms, then doubles up
// to 500 ms. Otherwise it was taken at the first try; after each 100 of these in
// a row the pause falls by a quarter, below 5 ms to none.
func (r *Room) LearnPause(p participant.ID, name string, tooEarly bool) {
	s := &r.seen
	k := key{p, name}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !tooEarly && (s.known[k] == nil || s.known[k].pause == 0) {
		return
	}
	st := s.get(k)
	was := st.pause
	if tooEarly {
		st.taken = 0
		st.pause = min(max(firstPause, st.pause*2), maxPause)
	} else if st.taken++; st.taken >= decayAfter {
		st.taken = 0
		if st.pause = st.pause * 3 / 4; st.pause < leastPause {
			st.pause = 0
		}
	}
	if st.pause != was {
		st.learned = true
		r.soil(k, st)
	}
}

// hear takes over a pause that another replica learned, unless this one has
// learned since.
func (s *seen) hear(k key, pause time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[k] == nil && pause == 0 {
		return
	}
	if st := s.get(k); !st.learned {
		st.pause, st.taken = max(min(pause, maxPause), 0), 0
	}
}

// expectPause begins with a pause for a counterpart of which nothing is known: what
// comes before it has stored its own step is refused, or at times lost (EDC).
func (r *Room) expectPause(p participant.ID, name string) {
	s := &r.seen
	k := key{p, name}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[k] != nil {
		return
	}
	st := s.get(k)
	st.pause, st.learned = fixedPause, true
	r.soil(k, st)
}

// get finds or makes the state of k. A full memory forgets what is written and
// needs no pause.
func (s *seen) get(k key) *state {
	if st := s.known[k]; st != nil {
		return st
	}
	if len(s.known) >= maxKnown {
		for old, st := range s.known {
			if !st.dirty && st.pause == 0 {
				delete(s.known, old)
				if len(s.known) < maxKnown*9/10 {
					break
				}
			}
		}
	}
	st := &state{}
	s.known[k] = st
	return st
}

// soil marks st for the next flush and makes the timer if there is none.
func (r *Room) soil(k key, st *state) {
	s := &r.seen
	if !st.dirty {
		st.dirty = true
		s.dirty = append(s.dirty, k)
	}
	if s.timer == nil && !s.closed {
		s.timer = time.AfterFunc(flushEvery, r.flushLater)
	}
}

func (r *Room) flushLater() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.Flush(ctx); err != nil {
		r.c.Log.Error("what was seen of counterparts cannot be kept", "err", err)
	}
}

// Flush writes what was seen and learned, in one unit for each 500 counterparts.
// What cannot be written stays for the next flush.
func (r *Room) Flush(ctx context.Context) error {
	s := &r.seen
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	left := len(s.dirty) // what comes meanwhile waits for the next timer
	s.mu.Unlock()
	for left > 0 {
		batch := s.take(left)
		left -= len(batch)
		if err := r.write(ctx, batch); err != nil {
			s.mu.Lock()
			for i := range batch {
				if st := s.known[batch[i].key]; st != nil {
					st.learned = st.learned || batch[i].learned
					r.soil(batch[i].key, st)
				}
			}
			s.mu.Unlock()
			return fmt.Errorf("keep what was seen of counterparts: %w", err)
		}
	}
	s.mu.Lock()
	if s.timer == nil && len(s.dirty) > 0 && !s.closed {
		s.timer = time.AfterFunc(flushEvery, r.flushLater)
	}
	s.mu.Unlock()
	return nil
}

// Close writes what is left; nothing is written after it.
func (r *Room) Close(ctx context.Context) error {
	r.seen.mu.Lock()
	r.seen.closed = true
	r.seen.mu.Unlock()
	return r.Flush(ctx)
}

// note is one row of a flush.
type note struct {
	key
	state
}

// take gives at most most of the oldest changes; only Flush calls it.
func (s *seen) take(most int) []note {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(most, writeAtOnce)
	batch := make([]note, n)
	for i, k := range s.dirty[:n] {
		st := s.known[k]
		batch[i] = note{k, *st}
		st.dirty, st.learned = false, false
	}
	if s.dirty = s.dirty[n:]; len(s.dirty) == 0 {
		s.dirty = nil
	}
	return batch
}

// onto lays what memory knows over a row that was read.
func (s *seen) onto(k key, p *Partner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.known[k]
	if st == nil {
		return
	}
	if kept, _ := noteSize(p.Checkpoint); st.note != nil && st.size >= kept {
		p.Checkpoint = st.note
	}
	if st.at.After(p.Seen) {
		p.Seen = st.at
	}
}
