// Package replica is this program among those that serve the same tables: it
// holds its lease, takes over the work of one that is gone, and carries hints of
// changes between them.
//
// A lease is a counter that its owner raises each second. Another replica takes
// over only what it saw unchanged for five seconds of its own monotonic clock, so
// no two clocks are ever compared. Taking over removes the lease's row and moves
// the work in one unit; an owner that was only slow finds its row gone and goes on
// under a new name, and what it still does under the old one changes nothing.
//
// Hints are lost without harm: tables decide. It is no lock, elects nobody for
// good, and knows neither processes nor counterparts.
package replica

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"kakehashi/internal/ids"
	"kakehashi/internal/watch"
	"kakehashi/store"
)

//go:embed schema/*.sql
var files embed.FS

// Schema is what leases are kept in.
var Schema = store.SchemaIn("replica", files)

// Single is the name of a program that has its store for itself.
const Single = "single"

// Work is what replicas own row by row, and what one takes over from another.
type Work interface {
	// Owners lists the names under which rows lie.
	Owners(tx store.Tx) ([]string, error)
	// Pass moves rows from one owner to another and tells how many at least; ""
	// stands for nobody. From nobody, only rows of a format that this program reads.
	Pass(tx store.Tx, from, to string) (int, error)
	// Reload brings memory in line with the rows of ID.
	Reload(ctx context.Context) error
}

// Hints spreads changes among the callers of this replica. watch.Hub does.
type Hints interface {
	// Relay has f called with each change that this replica publishes.
	Relay(f func(watch.Change))
	// Heard spreads a change of another replica.
	Heard(c watch.Change)
	// Missed says that changes of other replicas may have been lost.
	Missed()
}

// Signals carries short texts to the other programs on a store, at most once each.
type Signals interface {
	// Send hands payload to those who listen now.
	Send(ctx context.Context, payload string) error
	// Listen calls heard with what others send, and lost whenever some may have
	// been missed. It returns nil when ctx ends, an error when the server carries none.
	Listen(ctx context.Context, heard func(payload string), lost func()) error
}

// Config is what a Room needs. DB is required.
type Config struct {
	DB      store.DB
	Alone   bool    // the store lets one program in: no lease is needed
	Signals Signals // nil: none
	// Home is a place that only one program at a time runs from, and it holds that
	// place now: the work of its forerunner is its own at once. "" for none.
	Home string
	Log  *slog.Logger

	Beat  time.Duration // between two raises of the counter, 1 s
	Lapse time.Duration // a counter that did not move for so long has no owner, 5 s
	Sweep time.Duration // without signals others may have changed something so often, 500 ms
}

// Room is this program's place among the replicas.
type Room struct {
	c Config

	mu     sync.Mutex
	id     string
	seen   map[string]sight // the others
	looked time.Time        // when the table was read last
	work   Work
	hints  Hints
	taken  []func(context.Context)
	relay  relay
	kick   chan struct{} // somebody joins: beat now
}

// sight is what was seen of another's lease.
type sight struct {
	counter int64
	since   time.Time // it has this counter, with the monotonic clock
}

// Open takes a lease and returns once each other replica knows of it, so that
// none of them believes to be alone any more: in two beats, or when the silent
// ones have lapsed.
func Open(ctx context.Context, c Config) (*Room, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		p *time.Duration
		v time.Duration
	}{{&c.Beat, time.Second}, {&c.Lapse, 5 * time.Second}, {&c.Sweep, 500 * time.Millisecond}} {
		if *d.p <= 0 {
			*d.p = d.v
		}
	}
	r := &Room{c: c, id: Single, seen: map[string]sight{}, kick: make(chan struct{}, 2)}
	r.relay.room = r
	if c.Alone {
		return r, nil
	}
	if err := r.join(ctx); err != nil {
		return nil, fmt.Errorf("join the replicas of the store: %w", err)
	}
	return r, nil
}

// join enters the lease and waits until the others have beaten twice: the first
// beat may have begun before the row was there.
func (r *Room) join(ctx context.Context) error {
	if err := r.enter(ctx); err != nil {
		return err
	}
	for id, counter := range r.forerunners() {
		if _, err := r.take(ctx, id, counter); err != nil {
			return errors.Join(err, r.Leave(context.WithoutCancel(ctx)))
		}
	}
	r.mu.Lock()
	first := maps.Clone(r.seen)
	r.mu.Unlock()
	r.signal(ctx, joining)
	t := time.NewTicker(max(r.c.Beat/10, time.Millisecond))
	defer t.Stop()
	for {
		r.mu.Lock()
		maps.DeleteFunc(first, func(id string, s sight) bool {
			now, there := r.seen[id]
			return !there || now.counter >= s.counter+2
		})
		r.mu.Unlock()
		if len(first) == 0 {
			return nil
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), r.Leave(context.WithoutCancel(ctx)))
		}
		if err := r.beat(ctx); err != nil {
			return errors.Join(err, r.Leave(context.WithoutCancel(ctx)))
		}
	}
}

// enter makes a new lease and reads those of the others.
func (r *Room) enter(ctx context.Context) error {
	id := r.c.Home + homeEnd + ids.Short()
	var all map[string]int64
	err := r.c.DB.Update(ctx, func(tx store.Tx) (err error) {
		if err := tx.Exec(sqlEnter, id); err != nil {
			return err
		}
		all, err = leases(tx)
		return err
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.id = id
	r.note(all, time.Now())
	return nil
}

// homeEnd parts a home from the name of one program.
const homeEnd = "/"

// forerunners are the leases of programs that ran from the same home.
func (r *Room) forerunners() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]int64{}
	for id, s := range r.seen {
		if home, _, ok := strings.Cut(id, homeEnd); ok && home != "" && home == r.c.Home {
			out[id] = s.counter
		}
	}
	return out
}

// ID is the name under which this replica owns work now. It changes when the
// replica was taken for gone.
func (r *Room) ID() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.id
}

// Alone says that no other replica is at work: for certain, as a joining one waits
// until this one knows of it.
func (r *Room) Alone() bool {
	if r.c.Alone {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// Who could not beat for a while may have lapsed without knowing it.
	return len(r.seen) == 0 && time.Since(r.looked) < r.c.Lapse/2
}

// Leads says that of all replicas this one is to do what name stands for. Two may
// think so for a moment, or nobody: a hint, to spare them from doing it all at once.
func (r *Room) Leads(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	own := weight(r.id, name)
	for id := range r.seen {
		if weight(id, name) > own {
			return false
		}
	}
	return true
}

func weight(id, name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	h.Write([]byte{0})
	h.Write([]byte(id))
	x := h.Sum64() // whose last bytes mix too little
	x ^= x >> 31
	x *= 0x9e3779b97f4a7c15
	return x ^ x>>29
}

// Own names the work that has owners, before Run.
func (r *Room) Own(w Work) { r.work = w }

// OnTaken has f called when another replica was taken over or left, before Run:
// what only that one had in memory is to be read again. f holds up the next beat.
func (r *Room) OnTaken(f func(context.Context)) { r.taken = append(r.taken, f) }

// Connect carries the changes of h to the others and theirs to h, before Run.
func (r *Room) Connect(h Hints) {
	r.hints = h
	if !r.c.Alone {
		h.Relay(r.relay.tell)
	}
}

// adoptEvery is after how many beats work is looked for whose owner has no lease:
// what a lapsed one wrote last.
const adoptEvery = 30

// Run takes over what lies without an owner and keeps the lease until ctx ends.
// Errors are logged: when the store is away for long the lease lapses, and is
// taken anew.
func (r *Room) Run(ctx context.Context) {
	var listening sync.WaitGroup
	if !r.c.Alone {
		listening.Go(func() { r.listen(ctx) })
	}
	defer listening.Wait()
	defer r.relay.stop()
	t := time.NewTimer(0)
	defer t.Stop()
	beats := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-r.kick:
		}
		err := r.beat(ctx)
		if err == nil && beats%adoptEvery == 0 {
			err = r.adopt(ctx)
		}
		switch {
		case err == nil && r.c.Alone:
			return
		case err == nil:
			beats++
		case ctx.Err() == nil:
			r.c.Log.ErrorContext(ctx, "the lease of this replica cannot be kept", "err", err)
		}
		t.Reset(r.c.Beat)
	}
}

// Leave gives this replica's work to whoever comes first and ends its lease, so
// that nobody waits for it to lapse. Nothing may be begun any more.
func (r *Room) Leave(ctx context.Context) error {
	if r.c.Alone {
		return nil
	}
	id := r.ID()
	err := r.c.DB.Update(ctx, func(tx store.Tx) error {
		if r.work != nil {
			if _, err := r.work.Pass(tx, id, ""); err != nil {
				return err
			}
		}
		return tx.Exec(sqlLeave, id)
	})
	if err != nil {
		return fmt.Errorf("hand over the work of this replica: %w", err)
	}
	r.signal(ctx, leaving)
	return nil
}
