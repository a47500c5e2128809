package replica

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"kakehashi/internal/watch"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

const never = time.Hour

// pile is work that counts what is whose, in memory.
type pile struct {
	mu      sync.Mutex
	rows    map[string]int
	reloads chan struct{}
}

func newPile() *pile { return &pile{rows: map[string]int{}, reloads: make(chan struct{}, 100)} }

func (p *pile) Owners(store.Tx) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for id := range p.rows {
		all = append(all, id)
	}
	return all, nil
}

func (p *pile) Pass(tx store.Tx, from, to string) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.rows[from]
	if n > 0 {
		tx.AfterCommit(func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.rows[to] += p.rows[from] // with what came there meanwhile
			delete(p.rows, from)
		})
	}
	return n, nil
}

func (p *pile) Reload(context.Context) error {
	p.reloads <- struct{}{}
	return nil
}

func (p *pile) of(id string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rows[id]
}

func (p *pile) add(id string, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rows[id] += n
}

func open(t *testing.T, db store.DB, w Work, change func(*Config)) *Room {
	t.Helper()
	c := Config{DB: db, Beat: 5 * time.Millisecond, Lapse: never}
	if change != nil {
		change(&c)
	}
	r, err := Open(t.Context(), c)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	r.Own(w)
	return r
}

// count is how many are at work.
func count(t *testing.T, r *Room) int {
	t.Helper()
	live, err := r.Live(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(live)
}

// run beats until stop or the end of the test.
func run(t *testing.T, r *Room) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() { defer close(ended); r.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	return stop
}

// until waits for reloads until ok.
func until(t *testing.T, w *pile, what string, ok func() bool) {
	t.Helper()
	for !ok() {
		select {
		case <-w.reloads:
		case <-time.After(30 * time.Second):
			t.Fatalf("never: %s", what)
		}
	}
}

func TestWhoJoinsReturnsOnceTheOthersKnow(t *testing.T) {
	t.Parallel()
	db, w := storetest.Open(t, Schema), newPile()
	a := open(t, db, w, nil)
	if !a.Alone() {
		t.Error("the first is not alone")
	}
	run(t, a)
	b := open(t, db, w, nil)
	if a.Alone() || b.Alone() {
		t.Error("one of two believes to be alone")
	}
	if count(t, a) != 2 || count(t, b) != 2 {
		t.Errorf("they count %d and %d", count(t, a), count(t, b))
	}
	led := 0
	for i := range 100 {
		name := fmt.Sprint("log ", i)
		if a.Leads(name) == b.Leads(name) {
			t.Errorf("both or none lead %s", name)
		}
		if a.Leads(name) {
			led++
		}
	}
	if led < 20 || led > 80 {
		t.Errorf("one leads %d of 100", led)
	}
}

func TestAJoiningReplicaWaitsForASecondBeat(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	a := open(t, db, newPile(), nil) // no Run: it beats by hand
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	joined := make(chan error, 1)
	go func() {
		_, err := Open(ctx, Config{DB: db, Beat: time.Millisecond, Lapse: never})
		joined <- err
	}()
	for a.Alone() { // it is entered and waits
		if err := a.beat(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	cancel() // one beat or more passed, which may be enough
	if err := <-joined; err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	left, err := Counters(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if _, there := left[a.ID()]; !there || len(left) > 2 {
		t.Errorf("leases afterwards: %v", left)
	}
}

func TestWorkOfASilentReplicaIsTakenOverOnce(t *testing.T) {
	t.Parallel()
	db, w := storetest.Open(t, Schema), newPile()
	silent := open(t, db, w, nil)
	w.add(silent.ID(), 7)
	lapse := func(c *Config) { c.Lapse = 300 * time.Millisecond }
	a := open(t, db, w, lapse) // silent never beats: a waits until it has lapsed
	taken := make(chan struct{}, 10)
	a.OnTaken(func(context.Context) { taken <- struct{}{} })
	until(t, w, "taken over", func() bool { return w.of(silent.ID()) == 0 || count(t, a) == 1 })
	run(t, a)
	<-taken // the rows lay there before a had named its work
	until(t, w, "taken over", func() bool { return w.of(a.ID()) == 7 })

	// The silent one comes back: its name is gone, it goes on under another and
	// takes nothing back.
	old := silent.ID()
	w.add(old, 2) // what it wrote under the old name without knowing
	if err := silent.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	if silent.ID() == old {
		t.Error("it keeps a name that it has lost")
	}
	if w.of(old) != 0 || w.of(silent.ID()) != 2 || w.of(a.ID()) != 7 {
		t.Errorf("rows: old %d, its own %d, taken %d", w.of(old), w.of(silent.ID()), w.of(a.ID()))
	}
}

func TestWhoStartsAnewFromItsHomeTakesOverAtOnce(t *testing.T) {
	t.Parallel()
	db, w := storetest.Open(t, Schema), newPile()
	home := func(name string) func(*Config) { return func(c *Config) { c.Home = name } }
	before := open(t, db, w, home("a"))
	w.add(before.ID(), 4)
	after := open(t, db, w, home("a")) // before never beats nor lapses
	run(t, after)
	until(t, w, "taken over", func() bool { return w.of(after.ID()) == 4 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	silent := before
	before = open(t, db, w, home("b")) // joins after, which beats
	if silent.ID() == before.ID() {
		t.Error("two have one name")
	}
	if _, err := Open(ctx, Config{DB: db, Home: "c", Beat: time.Millisecond, Lapse: never}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one takes the lease of another home: %v", err)
	}
}

func TestALeaseIsTakenOnlyUnmovedAndOnce(t *testing.T) {
	t.Parallel()
	db, w := storetest.Open(t, Schema), newPile()
	a := open(t, db, w, nil)
	w.add(a.ID(), 1)
	b := &Room{c: a.c, id: "b", seen: map[string]sight{}, work: w}
	before, err := Counters(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took, err := b.take(t.Context(), a.ID(), before[a.ID()]); err != nil || took || w.of(a.ID()) != 1 {
		t.Errorf("a lease that moved was taken: %v, %v", took, err)
	}
	if took, err := b.take(t.Context(), a.ID(), before[a.ID()]+1); err != nil || !took || w.of("b") != 1 {
		t.Errorf("a lease that stands still was not taken: %v, %v", took, err)
	}
	if took, err := b.take(t.Context(), a.ID(), before[a.ID()]+1); err != nil || took {
		t.Errorf("it was taken twice: %v, %v", took, err)
	}
}

func TestWhoDidNotLookSawNothingStandStill(t *testing.T) {
	t.Parallel()
	r := &Room{c: Config{Beat: time.Second, Lapse: 5 * time.Second}, id: "me", seen: map[string]sight{}}
	at := time.Now()
	all := map[string]int64{"me": 1, "other": 4}
	r.note(all, at)
	for range 4 {
		at = at.Add(time.Second)
		r.note(all, at)
	}
	if got := r.silent(at); len(got) != 0 {
		t.Errorf("after 4 s: %v", got)
	}
	blind := maps.Clone(r.seen)
	at = at.Add(10 * time.Second) // this program stood still itself
	r.note(all, at)
	if got := r.silent(at); len(got) != 0 {
		t.Errorf("after a gap of its own it takes over %v, seen before %v", got, blind)
	}
	for range 5 {
		at = at.Add(time.Second)
		r.note(all, at)
	}
	if got := r.silent(at); got["other"] != 4 {
		t.Errorf("after 5 s of looking: %v", got)
	}
	if !r.note(map[string]int64{"me": 9}, at) {
		t.Error("nobody is told that one left")
	}
}

func TestWhoLeavesHandsOverAtOnce(t *testing.T) {
	t.Parallel()
	db, w := storetest.Open(t, Schema), newPile()
	a := open(t, db, w, nil)
	run(t, a)
	b := open(t, db, w, nil)
	stop := run(t, b)
	w.add(b.ID(), 3)
	stop()
	if err := b.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := w.of(b.ID()); n != 0 {
		t.Errorf("%d rows lie under a name that nobody has", n)
	}
	until(t, w, "handed over", func() bool { return w.of(a.ID()) == 3 })
	until(t, w, "alone again", func() bool { return a.Alone() })
	if left, err := Counters(t.Context(), db); err != nil || len(left) != 1 {
		t.Errorf("leases %v, %v", left, err)
	}
}

func TestWorkWithoutALeaseIsAdoptedAtTheStart(t *testing.T) {
	t.Parallel()
	for _, alone := range []bool{true, false} {
		t.Run(fmt.Sprint("alone ", alone), func(t *testing.T) {
			t.Parallel()
			w := newPile()
			w.add("long gone", 2)
			w.add("", 1)
			r := open(t, storetest.Open(t, Schema), w, func(c *Config) { c.Alone = alone })
			run(t, r)
			until(t, w, "adopted", func() bool { return w.of(r.ID()) == 3 })
		})
	}
}

// air carries signals between rooms of a test.
type air struct {
	mu     sync.Mutex
	heard  []func(string)
	silent bool
}

type radio struct {
	*air
	own int
}

func (a *air) radio() *radio {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.heard = append(a.heard, nil)
	return &radio{a, len(a.heard) - 1}
}

func (r *radio) Send(_ context.Context, payload string) error {
	if len(payload) > maxPayload {
		return errors.New("too long")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, f := range r.heard {
		if i != r.own && f != nil {
			f(payload)
		}
	}
	return nil
}

func (r *radio) Listen(ctx context.Context, heard func(string), lost func()) error {
	r.mu.Lock()
	if r.silent {
		r.mu.Unlock()
		return errors.New("this server carries no signals")
	}
	r.heard[r.own] = heard
	r.mu.Unlock()
	lost()
	<-ctx.Done()
	return nil
}

// ears notes what a room hears.
type ears struct {
	relay  func(watch.Change)
	heard  chan watch.Change
	missed chan struct{}
}

func newEars() *ears {
	return &ears{heard: make(chan watch.Change, 1000), missed: make(chan struct{}, 1000)}
}

func (e *ears) Relay(f func(watch.Change)) { e.relay = f }
func (e *ears) Heard(c watch.Change)       { e.heard <- c }
func (e *ears) Missed()                    { e.missed <- struct{}{} }

func TestChangesReachTheOthersAndNobodyWhoIsAlone(t *testing.T) {
	t.Parallel()
	db, w, sky := storetest.Open(t, Schema), newPile(), &air{}
	with := func(c *Config) { c.Signals = sky.radio() }
	a, ea := open(t, db, w, with), newEars()
	a.Connect(ea)
	run(t, a)
	<-ea.missed // it listens
	b, eb := open(t, db, w, with), newEars()
	b.Connect(eb)
	run(t, b)
	<-eb.missed
	want := watch.Change{Participant: "tokyo", Kind: "negotiation", ID: "x", State: "AGREED", Version: 3, At: time.UnixMicro(1700000000000001).UTC()}
	ea.relay(want)
	if got := <-eb.heard; got != want {
		t.Errorf("heard %+v", got)
	}
	for i := range 2 * maxGather { // more than is told one by one
		ea.relay(watch.Change{Participant: "tokyo", Kind: "k", ID: fmt.Sprint(i)})
	}
	select {
	case <-eb.missed:
	case <-time.After(30 * time.Second):
		t.Error("what was too much was not told")
	}
	select {
	case c := <-ea.heard:
		t.Errorf("a hears itself: %+v", c)
	default:
	}
}

func TestWithoutSignalsOthersMayHaveChangedSomethingNowAndThen(t *testing.T) {
	t.Parallel()
	db, w, sky := storetest.Open(t, Schema), newPile(), &air{silent: true}
	with := func(c *Config) { c.Signals, c.Sweep = sky.radio(), time.Millisecond }
	a, ea := open(t, db, w, with), newEars()
	a.Connect(ea)
	run(t, a)
	b, eb := open(t, db, w, with), newEars()
	b.Connect(eb)
	run(t, b)
	for range 3 {
		<-ea.missed
		<-eb.missed
	}
}

func TestWordsFitIntoSignals(t *testing.T) {
	t.Parallel()
	var batch []hint
	for i := range maxGather {
		batch = append(batch, hint{Participant: "tokyo", Kind: "negotiation", ID: fmt.Sprintf("urn:uuid:%036d", i), State: "REQUESTED", Version: 1, At: 1})
	}
	n := 0
	for _, text := range words(batch, false) {
		if len(text) > maxPayload {
			t.Errorf("a signal of %d bytes", len(text))
		}
		r := Room{hints: &ears{heard: make(chan watch.Change, maxGather)}}
		r.hear(text)
		n += len(r.hints.(*ears).heard)
	}
	if n != maxGather {
		t.Errorf("%d of %d arrive", n, maxGather)
	}
}
