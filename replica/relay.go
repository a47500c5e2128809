package replica

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"kakehashi/internal/strictjson"
	"kakehashi/internal/watch"
)

// What replicas tell each other beside changes.
const (
	joining = "join"
	leaving = "leave"
)

const (
	gather     = 5 * time.Millisecond // changes that go out together
	maxGather  = 300                  // more are told as "something was missed"
	maxPayload = 7800                 // bytes of one signal
	sendWithin = 5 * time.Second
	sendAgain  = 500 * time.Millisecond
)

// word is one signal.
type word struct {
	Say     string `json:"say,omitzero"` // joining, leaving
	Missed  bool   `json:"missed,omitzero"`
	Changes []hint `json:"changes,omitzero"`
}

// hint is a change on its way, with short names since space is scarce.
type hint struct {
	Participant string `json:"p"`
	Kind        string `json:"k"`
	ID          string `json:"i"`
	State       string `json:"s,omitzero"`
	Version     int64  `json:"v,omitzero"`
	At          int64  `json:"t,omitzero"` // microseconds
}

// relay gathers what this replica changed and tells the others.
type relay struct {
	room *Room

	mu      sync.Mutex
	waiting []hint
	missed  bool
	sending bool
	stopped bool
	group   sync.WaitGroup
}

// tell takes a change; it never blocks.
func (y *relay) tell(c watch.Change) {
	r := y.room
	if r.c.Signals == nil || r.Alone() {
		return
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.stopped {
		return
	}
	if len(y.waiting) < maxGather {
		h := hint{Participant: c.Participant, Kind: c.Kind, ID: c.ID, State: c.State, Version: c.Version}
		if !c.At.IsZero() {
			h.At = c.At.UnixMicro()
		}
		y.waiting = append(y.waiting, h)
	} else {
		y.missed = true
	}
	if !y.sending {
		y.sending = true
		y.group.Add(1)
		time.AfterFunc(gather, y.flush)
	}
}

// flush sends what was gathered, and goes on while more came meanwhile.
func (y *relay) flush() {
	defer y.group.Done()
	for {
		y.mu.Lock()
		batch, missed := y.waiting, y.missed
		y.waiting, y.missed = nil, false
		if len(batch) == 0 && !missed {
			y.sending = false
			y.mu.Unlock()
			return
		}
		y.mu.Unlock()
		if err := y.send(words(batch, missed)); err != nil {
			y.room.c.Log.Warn("changes were not told to the other replicas", "err", err)
			y.mu.Lock()
			if y.missed = true; y.stopped { // their leases tell them that we are gone
				y.sending = false
			} else {
				y.group.Add(1)
				time.AfterFunc(sendAgain, y.flush)
			}
			y.mu.Unlock()
			return
		}
	}
}

func (y *relay) send(texts []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), sendWithin)
	defer cancel()
	for _, text := range texts {
		if err := y.room.c.Signals.Send(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// words packs hints into as few signals as may be.
func words(batch []hint, missed bool) (out []string) {
	if missed { // who reads everything again needs no details
		return []string{encode(word{Missed: true})}
	}
	for len(batch) > 0 {
		n, size := 0, 32
		for n < len(batch) {
			size += len(batch[n].Participant) + len(batch[n].Kind) + len(batch[n].ID) + len(batch[n].State) + 96
			if n > 0 && size > maxPayload {
				break
			}
			n++
		}
		text := encode(word{Changes: batch[:n]})
		if len(text) > maxPayload { // quotes and long names
			text = encode(word{Missed: true})
		}
		out, batch = append(out, text), batch[n:]
	}
	return out
}

func encode(w word) string {
	b, err := strictjson.Encode(w)
	if err != nil { // strings and numbers only
		return `{"missed":true}`
	}
	return string(b)
}

// stop waits until what was gathered is told.
func (y *relay) stop() {
	y.mu.Lock()
	y.stopped = true
	y.mu.Unlock()
	y.group.Wait()
}

// signal says a word about this replica itself; that it is lost costs a beat.
func (r *Room) signal(ctx context.Context, say string) {
	if r.c.Signals == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sendWithin)
	defer cancel()
	if err := r.c.Signals.Send(ctx, encode(word{Say: say})); err != nil {
		r.c.Log.WarnContext(ctx, "the other replicas were not told", "say", say, "err", err)
	}
}

// listen hears the others until ctx ends. Without signals everything counts as
// changed now and then, while there are others.
func (r *Room) listen(ctx context.Context) {
	if r.c.Signals != nil {
		err := r.c.Signals.Listen(ctx, r.hear, r.miss)
		if err == nil || ctx.Err() != nil {
			return
		}
		r.c.Log.WarnContext(ctx, "the database carries no signals: replicas look for changes instead", "err", err)
	}
	t := time.NewTimer(r.c.Sweep)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if !r.Alone() {
			r.miss()
		}
		t.Reset(r.c.Sweep + rand.N(r.c.Sweep/4+1))
	}
}

func (r *Room) hear(payload string) {
	var w word
	if err := strictjson.DecodeOpen([]byte(payload), &w); err != nil {
		r.c.Log.Warn("a word of another replica is not understood", "err", err)
		r.miss()
		return
	}
	if w.Say != "" {
		for range cap(r.kick) { // who joins waits for two beats
			select {
			case r.kick <- struct{}{}:
			default:
			}
		}
	}
	if w.Missed {
		r.miss()
	}
	if r.hints == nil {
		return
	}
	for _, h := range w.Changes {
		c := watch.Change{Participant: h.Participant, Kind: h.Kind, ID: h.ID, State: h.State, Version: h.Version}
		if h.At != 0 {
			c.At = time.UnixMicro(h.At).UTC()
		}
		r.hints.Heard(c)
	}
}

func (r *Room) miss() {
	if r.hints != nil {
		r.hints.Missed()
	}
}
