package evidence

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/internal/watch"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

// town is replicas of a test and what they tell each other.
type town struct {
	leader  atomic.Int32
	deaf    atomic.Bool // nothing that is told is heard
	mu      sync.Mutex
	told    map[string]int
	signed  chan int64 // sizes, of all
	hearing []func(watch.Change, bool)
}

func newTown() *town { return &town{told: map[string]int{}, signed: make(chan int64, 10_000)} }

// home is one replica's place in a town.
type home struct {
	*town
	me int32
}

func (h home) Alone() bool       { return false }
func (h home) Leads(string) bool { return h.leader.Load() == h.me }

func (h home) Publish(c watch.Change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told[c.State]++
	if c.State == newsSigned {
		h.signed <- c.Version
	}
	for i, f := range h.hearing {
		if int32(i) != h.me && !h.deaf.Load() {
			f(c, false)
		}
	}
}

func (h home) Elsewhere(kind string, f func(watch.Change, bool)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hearing = append(h.hearing, func(c watch.Change, lost bool) {
		if c.Kind == kind || lost {
			f(c, lost)
		}
	})
}

// move opens a log as the next replica of the town.
func (w *town) move(t testing.TB, c Config) *Log {
	l := open(t, c)
	l.Join(home{w, int32(len(w.hearing))}, home{w, int32(len(w.hearing))})
	return l
}

// wait returns when a log of this size was signed.
func (w *town) wait(t testing.TB, size int64) {
	t.Helper()
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	for {
		select {
		case got := <-w.signed:
			if got == size {
				return
			}
		case <-late.C:
			t.Fatalf("%d leaves are not numbered", size)
		}
	}
}

// run runs a log until the test ends or stop is called.
func run(t testing.TB, l *Log) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// begin does what is due at the start of a log, and forgets the second look.
func begin(t testing.TB, l *Log) {
	t.Helper()
	for _, k := range l.take(time.Now()) {
		err := l.do(t.Context(), k)
		if l.did(k, err); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range l.work {
		w.again = time.Time{}
	}
}

// mortal is a database that refuses everything once its program is dead.
type mortal struct {
	store.DB
	dead atomic.Bool
}

var errDead = errors.New("this program is dead")

func (m *mortal) View(ctx context.Context, fn func(store.Tx) error) error {
	if m.dead.Load() {
		return errDead
	}
	return m.DB.View(ctx, fn)
}

func (m *mortal) Update(ctx context.Context, fn func(store.Tx) error) error {
	return m.DB.Update(ctx, func(tx store.Tx) error {
		if m.dead.Load() {
			return errDead
		}
		if err := fn(tx); err != nil {
			return err
		}
		if m.dead.Load() { // in the middle of it
			return errDead
		}
		return nil
	})
}

// stepsSchema has processes whose row each unit writes, as those of rooms.
var stepsSchema = store.Schema{Owner: "steps", Files: fstest.MapFS{"0001_init.sql": &fstest.MapFile{Data: []byte(
	`CREATE TABLE steps_processes (participant TEXT NOT NULL, id TEXT NOT NULL, version BIGINT NOT NULL, PRIMARY KEY (participant, id));`)}}}

// step moves a process by one version, with its leaf, as two replicas may at once.
func step(ctx context.Context, l *Log, process string) error {
	return l.c.DB.Update(ctx, func(tx store.Tx) error {
		var v int64
		err := tx.QueryRow(`INSERT INTO steps_processes (participant, id, version) VALUES ($1, $2, 1)
			ON CONFLICT (participant, id) DO UPDATE SET version = steps_processes.version + 1 RETURNING version`, string(tokyo), process).Scan(&v)
		if err != nil {
			return err
		}
		return l.Append(tx, tokyo, Leaf{Type: "kh.negotiation.requested", Process: process, Version: v})
	})
}

// plain appends n leaves of no process.
func plain(t testing.TB, l *Log, n int) {
	t.Helper()
	err := l.c.DB.Update(t.Context(), func(tx store.Tx) error {
		for range n {
			if err := l.Append(tx, tokyo, Leaf{Type: "kh.catalog.requested"}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// clockBehind makes ids by a clock that is behind by d.
func clockBehind(d time.Duration) func() string {
	return func() string {
		at := fmt.Sprintf("%012x", time.Now().Add(-d).UnixMilli())
		return at[:8] + "-" + at[8:] + ids.Short()[13:]
	}
}

func TestReplicasNumberOneLogWhileTheirLeaderDies(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema, stepsSchema)
	c := config(t, db)
	w := newTown()
	first := &mortal{DB: db}
	cfg := c
	cfg.DB = first
	logs := []*Log{w.move(t, cfg), w.move(t, c), w.move(t, c)}
	logs[1].newID = clockBehind(time.Hour)
	for _, l := range logs {
		run(t, l)
	}
	const each = 150
	var kept atomic.Int64
	var group sync.WaitGroup
	for i, l := range logs {
		group.Go(func() {
			for n := range each {
				if i == 0 && n == each/2 {
					first.dead.Store(true)
				}
				err := step(t.Context(), l, fmt.Sprintf("urn:uuid:p%d", rand.N(5)))
				switch {
				case err == nil:
					kept.Add(1)
				case i != 0 || !errors.Is(err, errDead):
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	w.wait(t, kept.Load()) // replica 0 still counts as the leader: the others do not wait for it
	w.leader.Store(2)
	for range 20 {
		if err := step(t.Context(), logs[1], "urn:uuid:p1"); err != nil {
			t.Fatal(err)
		}
	}
	w.wait(t, kept.Load()+20)
	sound(t, logs[1], kept.Load()+20)
	if kept.Load() != 2*each+each/2 {
		t.Errorf("%d leaves are kept", kept.Load())
	}
}

func TestAReplicaThatDoesNotLeadTellsAndTheLeaderNumbers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTown()
		start := time.Now()
		var mu sync.Mutex
		looked := make([][]time.Duration, 2)
		looks := func(i int) []time.Duration {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(looked[i])
		}
		logs := make([]*Log, 2)
		for i := range logs {
			c := config(t, viewer(func() error {
				mu.Lock()
				defer mu.Unlock()
				looked[i] = append(looked[i], time.Since(start))
				return nil
			}))
			logs[i] = blank(c)
			logs[i].logs[tokyo] = &state{loaded: true}
			logs[i].Join(home{w, int32(i)}, home{w, int32(i)})
			run(t, logs[i])
		}
		synctest.Wait()
		logs[1].touch(tokyo)
		time.Sleep(time.Second)
		if a, b := looks(0), looks(1); len(b) != 0 || len(a) != 1 || a[0] > 50*time.Millisecond {
			t.Errorf("the leader looked at %v, the other at %v", a, b)
		}
		for range 100 {
			logs[1].touch(tokyo)
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		w.mu.Lock()
		told := w.told[newsWaiting]
		w.mu.Unlock()
		if told < 15 || told > 22 {
			t.Errorf("the leader was told %d times in a second", told)
		}
		if a, b := looks(0), looks(1); len(a) < 15 || len(a) > 22 || len(b) != 0 {
			t.Errorf("the leader looked %d times, the other %d", len(a), len(b))
		}
	})
}

func TestWhatTheLeaderLeavesWaitingIsNumberedByItsWriter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		leader int32
	}{{"the leader does not hear", 0}, {"nobody leads", 7}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := storetest.Open(t, Schema)
			w := newTown()
			w.deaf.Store(true)
			w.leader.Store(c.leader)
			w.move(t, config(t, db)) // the leader, at rest
			l := w.move(t, config(t, db))
			begin(t, l)
			run(t, l)
			plain(t, l, 5)
			w.wait(t, 5)
			sound(t, l, 5)
			l.mu.Lock()
			if !l.work[tokyo].deaf.After(time.Now()) {
				t.Error("the leader is waited for again")
			}
			l.mu.Unlock()
			plain(t, l, 5)
			w.wait(t, 10)
		})
	}
}

// A unit whose answer was lost is kept, and nobody was told of its leaf.
func TestALeafWhoseUnitHadNoAnswerDoesNotWait(t *testing.T) {
	t.Parallel()
	c := config(t, storetest.Open(t, Schema))
	c.DB = silent{c.DB}
	w := newTown()
	l := w.move(t, c)
	begin(t, l)
	run(t, l)
	err := c.DB.Update(t.Context(), func(tx store.Tx) error { return l.Append(tx, tokyo, Leaf{Type: "kh.catalog.requested"}) })
	if !errors.Is(err, errNoAnswer) {
		t.Fatal(err)
	}
	w.wait(t, 1)
	sound(t, l, 1)
}

func TestWhatAReplicaThatIsGoneLeftIsNumbered(t *testing.T) {
	t.Parallel()
	c := config(t, storetest.Open(t, Schema))
	w := newTown()
	w.leader.Store(7)
	gone, l := w.move(t, c), w.move(t, c)
	begin(t, l)
	pass := func(at time.Time) {
		t.Helper()
		for _, k := range l.take(at) {
			err := l.do(t.Context(), k)
			if l.did(k, err); err != nil {
				t.Fatal(err)
			}
		}
	}
	plain(t, gone, 3) // and it is
	now := time.Now()
	pass(now.Add(time.Hour))
	if l.Checkpoint(tokyo) != nil {
		t.Fatal("leaves were numbered that nobody told of")
	}
	l.Recheck(t.Context())
	pass(time.Now())
	sound(t, l, 3)
	plain(t, gone, 2) // the server ends its last unit now
	pass(time.Now().Add(againAfter))
	sound(t, l, 5)
}

var errNoAnswer = errors.New("the answer was lost")

// silent keeps units that append and gives an error for them.
type silent struct{ store.DB }

func (s silent) Update(ctx context.Context, fn func(store.Tx) error) error {
	appends := false
	err := s.DB.Update(ctx, func(tx store.Tx) error { return fn(noting{tx, &appends}) })
	if err == nil && appends {
		return errNoAnswer
	}
	return err
}

type noting struct {
	store.Tx
	appends *bool
}

func (n noting) Exec(query string, args ...any) error {
	*n.appends = *n.appends || query == insertLeaf
	return n.Tx.Exec(query, args...)
}

func (n noting) AfterCommit(f func()) {}

// Two replicas write the versions of the same processes, with clocks an hour
// apart, while both number, a few leaves at a time.
func TestVersionsKeepTheirOrderOverReplicasAndClocks(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema, stepsSchema)
	c := config(t, db)
	logs := []*Log{open(t, c), open(t, c)}
	logs[1].newID = clockBehind(time.Hour)
	const each = 200
	for _, waitFirst := range []bool{true, false} {
		var group, appended sync.WaitGroup
		appended.Add(len(logs))
		for _, l := range logs {
			l.most = 7
			group.Go(func() {
				for range each {
					if err := step(t.Context(), l, fmt.Sprintf("urn:uuid:p%d", rand.N(4))); err != nil {
						t.Error(err)
					}
				}
				appended.Done()
			})
			group.Go(func() {
				if waitFirst { // a long queue of leaves in which clocks have mixed all versions
					appended.Wait()
				}
				for range 40 {
					if err := l.Flush(t.Context(), tokyo); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
	}
	if err := logs[0].Flush(t.Context(), tokyo); err != nil {
		t.Fatal(err)
	}
	sound(t, logs[0], 4*each)
}

// undone is a database that fails as one does under Update: before the commit,
// or after it.
type undone struct {
	store.DB
	before, after atomic.Bool
}

func (u *undone) Update(ctx context.Context, fn func(store.Tx) error) error {
	err := u.DB.Update(ctx, func(tx store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		if u.before.Load() {
			return errNoAnswer
		}
		return nil
	})
	if err == nil && u.after.Load() {
		return errNoAnswer
	}
	return err
}

func TestACheckpointIsShownOnlyWhenItIsDurable(t *testing.T) {
	t.Parallel()
	db := &undone{DB: storetest.Open(t, Schema)}
	l := open(t, config(t, db))
	plain(t, l, 20)
	if err := l.Flush(t.Context(), tokyo); err != nil {
		t.Fatal(err)
	}
	at20 := l.Checkpoint(tokyo)
	plain(t, l, 20)
	for name, fails := range map[string]*atomic.Bool{"before the commit": &db.before, "after the commit": &db.after} {
		fails.Store(true)
		if err := l.Flush(t.Context(), tokyo); !errors.Is(err, errNoAnswer) {
			t.Fatalf("%s: %v", name, err)
		}
		fails.Store(false)
		if got := l.Checkpoint(tokyo); string(got) != string(at20) {
			t.Fatalf("%s: shows %q", name, got)
		}
		plain(t, l, 20)
		if name == "before the commit" {
			if err := l.Compare(t.Context(), tokyo, at20); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Flush(t.Context(), tokyo); err != nil {
			t.Fatal(err)
		}
		at20 = l.Checkpoint(tokyo)
		plain(t, l, 20)
	}
	if err := l.Flush(t.Context(), tokyo); err != nil {
		t.Fatal(err)
	}
	sound(t, l, 120)
}

func TestACheckpointThatAnotherReplicaSignedIsShown(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	c := config(t, db)
	w := newTown()
	a, b := w.move(t, c), w.move(t, c)
	now := time.Now()
	shows := func(size int) {
		t.Helper()
		b.Checkpoint(tokyo) // asks for a newer one, if there is news of it
		now = now.Add(2 * readEvery)
		for _, k := range b.take(now) {
			b.did(k, b.do(t.Context(), k))
		}
		if got := string(b.Checkpoint(tokyo)); !strings.HasPrefix(got, fmt.Sprintf("tokyo.example.jp\n%d\n", size)) {
			t.Fatalf("shows %q, want %d", got, size)
		}
	}
	number := func() {
		plain(t, a, 20)
		if err := a.Flush(t.Context(), tokyo); err != nil {
			t.Fatal(err)
		}
	}
	begin(t, b)
	number()
	shows(20)
	number()
	shows(40)
	w.deaf.Store(true)
	number()
	shows(40)
	b.hear(watch.Change{Kind: newsKind}, true)
	shows(60)
	b.state(tokyo).show(&shown{40, []byte("older")}) // read before, and late
	shows(60)
	if n := len(b.work); n > 1 {
		t.Errorf("%d logs are worked on", n)
	}
}

func TestAReplicaThatIsBehindJudgesByTheTables(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	c := config(t, db)
	a, b := open(t, c), open(t, c)
	plain(t, a, 20)
	if err := a.Flush(t.Context(), tokyo); err != nil {
		t.Fatal(err)
	}
	if err := b.Compare(t.Context(), tokyo, a.Checkpoint(tokyo)); err != nil {
		t.Fatalf("a checkpoint that another replica signed: %v", err)
	}
	plain(t, b, 5) // b's memory is behind the head: it reads it again
	if err := b.Flush(t.Context(), tokyo); err != nil {
		t.Fatal(err)
	}
	sound(t, b, 25)
}

// A database that lost what it had acknowledged, as one that failed over may.
func TestARunningNodeDoesNotSignASecondHistory(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	l := open(t, config(t, db))
	plain(t, l, 20)
	if err := l.Flush(t.Context(), tokyo); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{`DELETE FROM evidence_leaves WHERE participant = $1`, `DELETE FROM evidence_tiles WHERE participant = $1`, `DELETE FROM evidence_logs WHERE participant = $1`} {
		exec(t, db, q, string(tokyo))
	}
	plain(t, l, 5)
	if err := l.Flush(t.Context(), tokyo); !errors.Is(err, fault.LogRolledBack) {
		t.Fatal(err)
	}
}
