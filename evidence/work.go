package evidence

import (
	"context"
	"sync"
	"time"

	"kakehashi/internal/watch"
	"kakehashi/participant"
	"kakehashi/store"
)

// Replicas tells which of the programs that serve the same tables is to number a
// log. It is a hint: the tables decide.
type Replicas interface {
	// Alone says that no other program is at work.
	Alone() bool
	// Leads says that this one is to do what name stands for.
	Leads(name string) bool
}

// Hints carries news between replicas; it may lose some.
type Hints interface {
	Publish(watch.Change)
	// Elsewhere has f called for changes of a kind that another replica made; lost:
	// some were missed.
	Elsewhere(kind string, f func(c watch.Change, lost bool))
}

// News that replicas tell each other of a log, as states of kind "evidence".
const (
	newsKind    = "evidence"
	newsWaiting = "waiting" // leaves wait for the leader
	newsSigned  = "signed"  // Version is the size that is covered now
)

const (
	heardWait  = 20 * time.Millisecond  // after news, since who tells has waited already
	lookAfter  = 600 * time.Millisecond // between two looks after one's own leaves
	deafFor    = 10 * time.Second       // a leader that left leaves waiting is not waited for
	againAfter = 10 * time.Second       // a second look after a replica is gone: its last unit may end late
	readEvery  = time.Second            // the checkpoint that others signed
)

// work is what is to be done about one log, at times of the monotonic clock; a
// zero time is never.
type work struct {
	busy bool // some of it is being done

	due  time.Time // to number what waits, or to tell the leader of it
	must bool      // to number it, whoever leads
	told time.Time // when the leader was told last
	deaf time.Time // until then the leader is not waited for

	// Leaves of ours are looked after: one that has no position after about a
	// second is numbered here, whatever became of the leader, of the news, or of the
	// answer to the unit that wrote it.
	look        time.Time
	old, recent span      // old is looked after at look, then recent becomes old
	again       time.Time // to look after all, once more

	read     time.Time // to read the checkpoint that others signed
	lastRead time.Time
}

// span is a range of ids.
type span struct{ first, last string }

// afterIDs sorts after every id.
const afterIDs = "g"

func (s *span) add(first, last string) {
	if s.last == "" {
		*s = span{first, last}
		return
	}
	s.first, s.last = min(s.first, first), max(s.last, last)
}

// group waits for what runs beside Run.
type group = sync.WaitGroup

// Join tells the log of the other programs on its tables, before Run and before
// the first Append. Either may be nil.
func (l *Log) Join(r Replicas, h Hints) {
	l.replicas, l.hints = r, h
	l.mu.Lock()
	for _, s := range l.logs {
		s.stale.Store(true)
	}
	l.mu.Unlock()
	if h != nil {
		h.Elsewhere(newsKind, l.hear)
	}
}

// Recheck has every log numbered by this replica, whoever leads it: another one
// is gone, and of what it appended last nobody may know.
func (l *Log) Recheck(context.Context) {
	all := l.c.Participants()
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range all {
		w := l.workOf(p.ID)
		w.due, w.must = now, true
		w.again = now.Add(againAfter)
	}
	l.signal()
}

// workOf finds or makes the work of a log. l.mu is held.
func (l *Log) workOf(p participant.ID) *work {
	w := l.work[p]
	if w == nil {
		w = &work{}
		l.work[p] = w
	}
	return w
}

func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// leads says that this replica is the one to number p.
func (l *Log) leads(p participant.ID) bool {
	return l.replicas == nil || l.replicas.Alone() || l.replicas.Leads("evidence "+string(p))
}

// expect notes a leaf that a unit is about to write.
func (l *Log) expect(p participant.ID, id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.workOf(p)
	w.recent.add(id, id)
	if w.look.IsZero() {
		w.look = time.Now().Add(lookAfter)
		l.signal()
	}
}

// touch says that a log has leaves to number.
func (l *Log) touch(p participant.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.workOf(p)
	if !w.due.IsZero() {
		return
	}
	now := time.Now()
	if w.due = now.Add(batchWait); !l.leads(p) && now.After(w.deaf) {
		w.due = now // the leader forms the batch
		if next := w.told.Add(batchWait); next.After(now) {
			w.due = next
		}
	}
	l.signal()
}

// read has the checkpoint of a log read, at most once a second.
func (l *Log) read(p participant.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.workOf(p)
	w.read = time.Now()
	if next := w.lastRead.Add(readEvery); next.After(w.read) {
		w.read = next
	}
	l.signal()
}

// hear takes news of another replica.
func (l *Log) hear(c watch.Change, lost bool) {
	p := participant.ID(c.Participant)
	if lost { // leaves whose news was lost are looked after by who wrote them
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, s := range l.logs {
			s.stale.Store(true)
		}
		return
	}
	if _, err := l.tenant(p); err != nil {
		return // not hosted here, as far as is known
	}
	s := l.state(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case c.State == newsSigned:
		if n := s.shown.Load(); n == nil || n.size < c.Version {
			s.stale.Store(true)
		}
	case c.State == newsWaiting && l.leads(p):
		w := l.workOf(p)
		due := time.Now().Add(heardWait)
		if w.due.IsZero() || due.Before(w.due) {
			w.due = due
			l.signal()
		}
	}
}

// tell publishes news of a log, unless there is nobody to hear it.
func (l *Log) tell(p participant.ID, news string, size int64) {
	if l.hints != nil && l.replicas != nil && !l.replicas.Alone() {
		l.hints.Publish(watch.Change{Participant: string(p), Kind: newsKind, State: news, Version: size})
	}
}

func (l *Log) announce(p participant.ID, size int64) { l.tell(p, newsSigned, size) }

// next is when something is to be done. What waits for its turn is woken when
// something else is done.
func (l *Log) next() (at time.Time, some bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running >= sideBySide {
		return time.Time{}, false
	}
	for _, w := range l.work {
		if w.busy {
			continue
		}
		for _, t := range [...]time.Time{w.due, w.look, w.again, w.read} {
			if !t.IsZero() && (!some || t.Before(at)) {
				at, some = t, true
			}
		}
	}
	return at, some
}

// task is what is done about a log at once.
type task struct {
	p      participant.ID
	number bool
	tell   bool
	read   bool
	look   span
}

// pass begins what is due and returns. A log that is slow holds up no other.
func (l *Log) pass(ctx context.Context, done *group) {
	for _, t := range l.take(time.Now()) {
		if t.tell {
			l.tell(t.p, newsWaiting, 0)
		}
		done.Go(func() {
			err := l.do(ctx, t)
			if err != nil && ctx.Err() == nil {
				l.c.Log.Error("evidence is not numbered", "participant", string(t.p), "err", err)
			}
			l.did(t, err)
		})
	}
}

// take gives what is due now and marks its logs busy.
func (l *Log) take(now time.Time) (all []task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	is := func(t time.Time) bool { return !t.IsZero() && !t.After(now) }
	for p, w := range l.work {
		if w.busy {
			continue
		}
		if l.running >= sideBySide {
			break
		}
		t := task{p: p}
		if is(w.due) {
			t.number = w.must || l.leads(p) || now.Before(w.deaf)
			t.tell = !t.number
			w.due, w.must = time.Time{}, false
			if t.tell {
				w.told = now
			}
		}
		if is(w.look) {
			t.look = w.old
			w.old, w.recent, w.look = w.recent, span{}, time.Time{}
			if w.old.last != "" {
				w.look = now.Add(lookAfter)
			}
		}
		if is(w.again) {
			t.look.add("", afterIDs)
			w.again = time.Time{}
		}
		if is(w.read) {
			t.read = true
			w.read, w.lastRead = time.Time{}, now
		}
		switch {
		case t.number || t.tell || t.read || t.look.last != "":
			w.busy = true
			l.running++
			all = append(all, t)
		case w.due.IsZero() && w.look.IsZero() && w.again.IsZero() && w.read.IsZero() && now.After(w.deaf) && now.Sub(w.told) > batchWait && now.Sub(w.lastRead) > readEvery:
			delete(l.work, p)
		}
	}
	return all
}

func (l *Log) do(ctx context.Context, t task) error {
	if t.read {
		s := l.state(t.p)
		s.stale.Store(false) // before it is read: news that comes meanwhile count
		s.asked.Store(false)
		if err := l.renew(ctx, t.p); err != nil {
			s.stale.Store(true)
			l.c.Log.Warn("the newest checkpoint cannot be read", "participant", string(t.p), "err", err)
		}
	}
	number := t.number
	if !number && t.look.last != "" {
		waits, err := l.waits(ctx, t.p, t.look)
		if err != nil {
			return err
		}
		if number = waits; waits {
			l.notWaitedFor(t.p)
		}
	}
	if !number {
		return nil
	}
	return l.Flush(ctx, t.p)
}

// waits says whether some leaves of a range have no position.
func (l *Log) waits(ctx context.Context, p participant.ID, s span) (waits bool, err error) {
	err = l.view(ctx, "look after events", func(tx store.Tx) error {
		ws, err := readWaiting(tx, selectStill, string(p), s.first, s.last)
		waits = len(ws) > 0
		return err
	})
	return waits, err
}

// notWaitedFor has this replica number a log whose leader left leaves waiting.
func (l *Log) notWaitedFor(p participant.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.leads(p) {
		l.workOf(p).deaf = time.Now().Add(deafFor)
		l.c.Log.Info("the replica that numbers this evidence is not heard of; this one does", "participant", string(p))
	}
}

// did ends a task; what failed is numbered in a second.
func (l *Log) did(t task, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.workOf(t.p)
	w.busy = false
	l.running--
	if err != nil {
		w.due, w.must = time.Now().Add(retryWait), true
	}
	l.signal()
}

// finish numbers what is left when the node stops: of leaves that the leader was
// told of as well, since it may stop with this one.
func (l *Log) finish(ctx context.Context) {
	l.mu.Lock()
	todo := make(chan participant.ID, len(l.work))
	for p, w := range l.work {
		if !w.due.IsZero() || !w.look.IsZero() {
			todo <- p
		}
	}
	close(todo)
	l.mu.Unlock()
	var done group
	for range sideBySide {
		done.Go(func() {
			for p := range todo {
				if err := l.Flush(ctx, p); err != nil {
					l.c.Log.Error("evidence is not numbered", "participant", string(p), "err", err)
				}
			}
		})
	}
	done.Wait()
}
