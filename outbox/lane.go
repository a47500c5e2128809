package outbox

import (
	"container/heap"
	"context"
	"time"
)

// item is a job in memory. Queue.mu guards it.
type item struct {
	job    Job
	owner  string // the name under which its row is ours
	turn   int64  // place in the lane's rows, 0: not read
	seq    int64  // memory took it as the so manyth
	behind int    // times it was found behind another replica's job, in a row
	lane   *lane
	at     time.Time // earliest start, with the monotonic clock
	held   bool      // waits for Wake; at is when it stops waiting
	parked bool
	gone   bool // dropped or settled; the worker must not touch the row
	waited time.Duration
	cancel context.CancelCauseFunc // of the running attempt
}

// runs says that a worker has it.
func (it *item) runs() bool { return it.lane.busy && it.lane.items[0] == it }

// lane is the queue of one process. It exists while it has jobs.
type lane struct {
	name  string
	items []*item
	busy  bool   // a worker runs its first job
	ready bool   // waits for a slot
	aside string // peer for which it stepped aside, until it runs
	spot  int    // place in the clock, from 1; 0: not in it
	at    time.Time
}

// place puts a durable job into its lane. held: until Wake.
func (q *Queue) place(j Job, owner string, held bool) {
	now := q.cfg.Now()
	it := &item{job: j, owner: owner, held: held, at: until(j.Due, now)}
	if held {
		it.at = later(it.at, now.Add(q.cfg.Hold))
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(it, now)
}

// before is the order of a lane: that of its rows where it is known, else that in
// which this program made them.
func (it *item) before(other *item) bool {
	if it.turn > 0 && other.turn > 0 {
		return it.turn < other.turn
	}
	return it.job.Created.Before(other.job.Created)
}

// add puts it in its order, which is nearly always the end, and never before a
// running job.
func (q *Queue) add(it *item, now time.Time) bool {
	k := key{it.job.Participant, it.job.ID}
	if q.jobs[k] != nil {
		return false
	}
	q.jobs[k] = it
	q.placed++
	it.seq = q.placed
	l := q.lanes[it.job.Lane]
	if l == nil {
		l = &lane{name: it.job.Lane}
		q.lanes[l.name] = l
	}
	it.lane = l
	l.items = append(l.items, it)
	first := 0
	if l.busy {
		first = 1
	}
	for i := len(l.items) - 1; i > first && l.items[i].before(l.items[i-1]); i-- {
		l.items[i], l.items[i-1] = l.items[i-1], l.items[i]
	}
	q.judge(l, now)
	return true
}

// forget takes a job whose row is gone out of memory and ends its attempt; false:
// it was not there.
func (q *Queue) forget(k key) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.jobs[k]
	if it == nil {
		return false
	}
	q.lose(it)
	return true
}

// lose is forget for an item. q.mu is held.
func (q *Queue) lose(it *item) {
	delete(q.jobs, key{it.job.Participant, it.job.ID})
	it.gone = true
	if it.runs() { // the worker takes it off the lane
		if it.cancel != nil {
			it.cancel(ErrGone)
		}
		return
	}
	l := it.lane
	for i := range l.items {
		if l.items[i] == it {
			l.items = append(l.items[:i], l.items[i+1:]...)
			break
		}
	}
	q.judge(l, q.cfg.Now())
}

// judge decides what a lane does next. Every change of a lane ends in it.
func (q *Queue) judge(l *lane, now time.Time) {
	q.line(l, now)
	q.spread(now)
}

// line is judge without giving out slots.
func (q *Queue) line(l *lane, now time.Time) {
	if l.busy || l.ready {
		return
	}
	if len(l.items) == 0 {
		q.clock.drop(l)
		delete(q.lanes, l.name)
		return
	}
	it := l.items[0]
	switch {
	case it.parked:
		q.clock.drop(l)
	case it.at.After(now):
		q.clock.set(l, it.at)
		q.arm(now)
	case q.base == nil || q.stopped: // Run starts the clock
		q.clock.set(l, it.at)
	default:
		q.clock.drop(l)
		l.ready = true
		q.ready.push(l)
	}
}

// spread gives free slots to lanes that wait for one.
func (q *Queue) spread(now time.Time) {
	for q.active < q.cfg.Parallel && !q.stopped {
		l := q.pop(now)
		if l == nil {
			return
		}
		q.active++
		q.workers.Add(1)
		go q.work(l)
	}
}

// pop takes the next lane that may run and marks it busy. Lanes of a peer that
// has its share step aside until one of its own ends.
func (q *Queue) pop(now time.Time) *lane {
	for {
		l := q.ready.pop()
		if l == nil {
			return nil
		}
		if len(l.items) == 0 || l.items[0].parked || l.items[0].at.After(now) { // its first was dropped
			name := l.aside
			l.ready, l.aside = false, ""
			q.line(l, now)
			q.lineUp(name, 1) // another takes the turn that this one does not need
			continue
		}
		if name := l.items[0].job.Peer; name != "" {
			p := q.peers[name]
			if p == nil {
				p = &peer{}
				q.peers[name] = p
			}
			if p.active >= q.share(p) {
				l.aside = name
				p.aside.push(l)
				continue
			}
			p.active++
			q.taken++
		}
		l.ready, l.busy, l.aside = false, true, ""
		return l
	}
}

// share is how many slots a peer may have: half of what the other peers leave.
// So one that answers nothing leaves half, a second one a quarter: many have to
// be silent before others wait for them.
func (q *Queue) share(p *peer) int {
	return max(1, (q.cfg.Parallel-(q.taken-p.active))/2)
}

// leave ends a peer's use of a slot and lets its next lanes line up: two, for its
// share may have grown since they stepped aside.
func (q *Queue) leave(name string) {
	p := q.peers[name]
	if p == nil {
		return
	}
	p.active--
	q.taken--
	q.lineUp(name, 2)
}

// lineUp lets lanes of a peer that stepped aside line up again, and forgets a
// peer of which nothing runs or waits.
func (q *Queue) lineUp(name string, n int) {
	p := q.peers[name]
	if p == nil {
		return
	}
	lined := false
	for range n {
		if l := p.aside.pop(); l != nil {
			q.ready.push(l)
			lined = true
		}
	}
	if p.active == 0 && !lined {
		delete(q.peers, name)
	}
}

// peer counts what runs for one counterpart.
type peer struct {
	active int
	aside  fifo
}

// fifo is a queue of lanes.
type fifo struct {
	list []*lane
	head int
}

func (f *fifo) push(l *lane) { f.list = append(f.list, l) }

func (f *fifo) pop() *lane {
	if f.head == len(f.list) {
		return nil
	}
	l := f.list[f.head]
	f.list[f.head] = nil
	if f.head++; f.head == len(f.list) {
		f.list, f.head = f.list[:0], 0
	} else if f.head > 1024 && f.head > len(f.list)/2 {
		f.list = append(f.list[:0], f.list[f.head:]...)
		f.head = 0
	}
	return l
}

// clock holds the lanes that wait for a time, and one timer for all of them.
type clock struct {
	lanes laneHeap
	timer *time.Timer
	next  time.Time // when the timer fires; zero: it is not set
}

func (c *clock) set(l *lane, at time.Time) {
	l.at = at
	if l.spot == 0 {
		heap.Push(&c.lanes, l)
	} else {
		heap.Fix(&c.lanes, l.spot-1)
	}
}

func (c *clock) drop(l *lane) {
	if l.spot != 0 {
		heap.Remove(&c.lanes, l.spot-1)
	}
}

// arm sets the timer when the first lane is earlier than it. A timer that fires
// too early only looks again.
func (q *Queue) arm(now time.Time) {
	c := &q.clock
	if len(c.lanes) == 0 || q.base == nil || q.stopped {
		return
	}
	at := c.lanes[0].at
	if !c.next.IsZero() && !at.Before(c.next) {
		return
	}
	c.next = at
	d := max(at.Sub(now), 0)
	if c.timer == nil {
		c.timer = time.AfterFunc(d, q.tick)
	} else {
		c.timer.Reset(d)
	}
}

// tick judges the lanes whose time has come.
func (q *Queue) tick() {
	now := q.cfg.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.clock.next = time.Time{}
	if q.base == nil || q.stopped {
		return
	}
	for len(q.clock.lanes) > 0 && !q.clock.lanes[0].at.After(now) {
		l := q.clock.lanes[0]
		q.clock.drop(l)
		q.judge(l, now)
	}
	q.arm(now)
}

type laneHeap []*lane

func (h laneHeap) Len() int           { return len(h) }
func (h laneHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h laneHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].spot, h[j].spot = i+1, j+1
}
func (h *laneHeap) Push(x any) {
	l := x.(*lane)
	*h = append(*h, l)
	l.spot = len(*h)
}
func (h *laneHeap) Pop() any {
	n := len(*h) - 1
	l := (*h)[n]
	(*h)[n] = nil
	*h = (*h)[:n]
	l.spot = 0
	return l
}

// resumes is until for a job that was read from the table: by a clock that was set
// back since it was written it would wait for as long as that. None waits longer
// than its room meant, or after a failure than a counterpart can ask for.
func resumes(j Job, now time.Time) time.Time {
	most := maxRetryAfter
	if j.Attempts == 0 {
		most = max(j.Due.Sub(j.Created), 0)
	}
	if at := now.Add(most); at.Before(until(j.Due, now)) {
		return at
	}
	return until(j.Due, now)
}

// until is when a kept time comes by the monotonic clock of now, so that a clock
// that is set back does not stretch a wait.
func until(due, now time.Time) time.Time {
	if d := due.Sub(now); d > 0 {
		return now.Add(d)
	}
	return now
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
