// Package outbox does the work that leaves a transaction: messages to
// counterparts, commands to data planes, duties, notices.
//
// A room puts a job in the unit of work that decides on it, so that either both
// are kept or neither. A lane is a process: its jobs run in order, one at a time,
// and lanes run side by side. Nothing polls: the unit's commit places the job in
// memory, and Wake, called once the reply that caused it is flushed, runs it. A
// job's effect on the tables is its settle function, which runs in the unit that
// removes the job. Jobs are done at least once: a crash between the sending and
// the settling sends again, so a receiver must know a repeat.
//
// The outbox is not a scheduler for work that nobody decided on in a unit, and
// knows neither protocols nor counterparts.
//
// With several replicas on the same tables a job is born owned by the one that put
// it, and the owner of a lane's oldest open job acts on the lane. While others are
// about, a worker asks the table whose turn it is before it acts, and what it
// settles counts only for the owner. What replicas hand over comes by Pass and
// Reload.
package outbox

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"kakehashi/internal/format"
	"kakehashi/internal/watch"
	"kakehashi/participant"
	"kakehashi/replica"
	"kakehashi/store"
)

// Job is one piece of work. Participant, Lane, ID and Kind are required.
type Job struct {
	Participant participant.ID
	// Lane is the process that the job belongs to; its name is unique over the
	// participants of a node, as ids made by package ids are.
	Lane string
	ID   string // unique in the participant, chosen by who puts the job
	Kind string // names the handler
	// Peer is the counterpart that the job waits for, "" for none. One peer never
	// takes more than half of the capacity that the other peers leave.
	Peer string
	Data []byte // small JSON for the handler; not changed after Put
	// Due is the earliest time of the next attempt; zero at Put means at once. A
	// job that is not due yet holds back those behind it in the lane.
	Due     time.Time
	Created time.Time // set by Put; orders the lane
	// Attempts counts the attempts that failed.
	Attempts int
	// Again says that an earlier attempt may have reached the counterpart: it
	// failed with an unseen answer, or the node stopped before it was settled.
	Again     bool
	LastError string // of the last failed attempt
}

// Handler does a job: I/O first, outside of any unit. settle, which may be nil,
// then runs in the unit that removes the job; it holds only tx and pure code and
// may run again. err has the job tried again later: see Permanent and RetryAfter.
// ctx ends when the node stops, and with the cause ErrGone when the job was
// dropped. The texts of errors are kept and shown: no secrets in them.
type Handler func(ctx context.Context, j Job) (settle func(store.Tx) error, err error)

// Fail gives the settle function for a job that has failed for good, so that its
// process can be ended in the unit that removes the job. nil parks the job.
type Fail func(j Job, err error) (settle func(store.Tx) error)

// ErrGone is the cause with which a running attempt is cancelled when its job
// was dropped. A settle that finds the job gone is undone without a word.
var ErrGone = errors.New("the job was dropped: what it was for is acknowledged")

// Replicas tells who this program is among those that serve the same tables.
// replica.Room does.
type Replicas interface {
	ID() string  // the name under which jobs are owned; it may change
	Alone() bool // for certain
}

// single is a queue that has its tables for itself.
type single struct{}

func (single) ID() string  { return replica.Single }
func (single) Alone() bool { return true }

// Watch spreads hints; watch.Hub does.
type Watch interface {
	Publish(watch.Change)
}

// Config is what a Queue needs. DB is required.
type Config struct {
	DB       store.DB
	Replicas Replicas // nil: nobody else
	Watch    Watch    // nil: other replicas are not told of lanes that changed hands
	Format   int64    // of bodies, the newest that this program reads; 0: format.Reads
	Log      *slog.Logger
	Now      func() time.Time
	// Jitter gives numbers in [0,1) for spreading retries.
	Jitter func() float64

	Parallel int             // lanes that run at once, 256
	Backoff  []time.Duration // waits after the first, second, ... failure; the last one repeats
	GiveUp   time.Duration   // attempts and waits of one job together, 24 h; time that the node was off is not counted
	Hold     time.Duration   // a job that nobody woke runs after this, 2 s
	Grace    time.Duration   // running attempts may end by themselves for so long once Run is told to stop, 500 ms
	Sweep    time.Duration   // between two runs of the safety net, 30 s
}

func (c *Config) defaults() {
	if c.Replicas == nil {
		c.Replicas = single{}
	}
	if c.Format == 0 {
		c.Format = format.Reads
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Jitter == nil {
		c.Jitter = rand.Float64
	}
	if c.Parallel <= 0 {
		c.Parallel = 256
	}
	if len(c.Backoff) == 0 {
		// Who starts anew is back within a minute or two: the waits grow slowly there.
		c.Backoff = []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, time.Second, 3 * time.Second,
			5 * time.Second, 10 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second, 30 * time.Second,
			time.Minute, time.Minute, 2 * time.Minute, 5 * time.Minute}
	}
	for _, d := range []struct {
		p *time.Duration
		v time.Duration
	}{{&c.GiveUp, 24 * time.Hour}, {&c.Hold, 2 * time.Second}, {&c.Grace, 500 * time.Millisecond}, {&c.Sweep, 30 * time.Second}} {
		if *d.p <= 0 {
			*d.p = d.v
		}
	}
}

// Queue is the outbox of one node.
type Queue struct {
	cfg Config

	mu       sync.Mutex // guards all below; held for a few steps in memory, never over I/O
	kinds    map[string]kind
	jobs     map[key]*item
	lanes    map[string]*lane
	clock    clock                           // lanes that wait for a time
	ready    fifo                            // lanes that wait for a slot
	moves    map[string]participant.ID       // lanes that another replica touched, until Run reads them again
	hints    chan struct{}                   // holds one token while there are such lanes
	away     map[string]map[string]time.Time // by counterpart that was not reached: lanes, and when they may try again
	cut      atomic.Int64                    // lanes in it; changed under mu
	peers    map[string]*peer                // those with a running or waiting lane
	active   int                             // slots in use, one goroutine each
	taken    int                             // of these, by jobs that name a peer
	base     context.Context                 // parent of all attempts; nil until Run has loaded
	running  bool
	stopped  bool
	placed   int64 // items that memory took so far
	swept    int64
	done     int64
	failures int64
	workers  sync.WaitGroup
	stamp    atomic.Int64 // last created, in microseconds; not under mu
}

type kind struct {
	do    Handler
	fail  Fail
	about func(Job) Subject
}

type key struct {
	participant participant.ID
	id          string
}

// New makes a queue; Run starts it.
func New(c Config) *Queue {
	c.defaults()
	return &Queue{
		cfg:   c,
		kinds: map[string]kind{},
		jobs:  map[key]*item{},
		lanes: map[string]*lane{},
		peers: map[string]*peer{},
		away:  map[string]map[string]time.Time{},
		moves: map[string]participant.ID{},
		hints: make(chan struct{}, 1),
	}
}

// Option is a rare wish about a kind of jobs.
type Option func(*kind)

// OnFail names what happens to jobs of the kind that failed for good.
func OnFail(f Fail) Option { return func(k *kind) { k.fail = f } }

// Handle names the handler of a kind, before Run. A job of a kind that has none
// is parked.
func (q *Queue) Handle(name string, h Handler, opts ...Option) {
	k := kind{do: h}
	for _, o := range opts {
		o(&k)
	}
	q.mu.Lock()
	q.kinds[name] = k
	q.mu.Unlock()
}

// Put writes a job within tx: one INSERT. Once the unit is durable the job is
// held until Wake(j.Lane), or for 2 s if nobody wakes it. Put by the settle of
// another job it needs no Wake: no reply is pending there. An id that the
// participant has in the outbox already is store.ErrConflict.
func (q *Queue) Put(tx store.Tx, j Job) error {
	if j.Participant == "" || j.Lane == "" || j.ID == "" || j.Kind == "" {
		return errors.New("outbox: a job needs participant, lane, id and kind")
	}
	now := q.cfg.Now()
	j.Created = q.next(now)
	if j.Due.IsZero() {
		j.Due = now // not Created, which may be a little later
	}
	if j.Data == nil {
		j.Data = []byte{}
	}
	j.Attempts, j.Again, j.LastError = 0, false, ""
	owner := q.cfg.Replicas.ID()
	if err := q.insert(tx, j, owner); err != nil {
		return err
	}
	_, settled := tx.(*settling)
	tx.AfterCommit(func() { q.place(j, owner, !settled) })
	return nil
}

// next is now, or later by as much as makes it later than any it gave before, so
// that jobs of one unit keep their order.
func (q *Queue) next(now time.Time) time.Time {
	for {
		last := q.stamp.Load()
		next := max(now.UnixMicro(), last+1)
		if q.stamp.CompareAndSwap(last, next) {
			return time.UnixMicro(next)
		}
	}
}

// settling marks the units in which jobs are settled.
type settling struct{ store.Tx }

// Wake runs the jobs of a lane that are held. It reads nothing and returns at
// once. Call it when the reply to what caused them has been flushed. It does not
// cut short the wait after a failure.
func (q *Queue) Wake(laneName string) { q.WakeAfter(laneName, 0) }

// WakeAfter is Wake after a pause, for a counterpart that refuses an instant
// follow-up.
func (q *Queue) WakeAfter(laneName string, pause time.Duration) {
	now := q.cfg.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lanes[laneName]
	if l == nil {
		return
	}
	for _, it := range l.items {
		if it.held {
			it.held = false
			it.at = later(now.Add(pause), until(it.job.Due, now))
		}
	}
	q.judge(l, now)
}

// Drop removes a job in somebody else's unit, because what it was for is
// acknowledged otherwise. Once that is durable a running attempt of it is
// cancelled with the cause ErrGone, and the lane goes on. A job that is not there
// is no error.
func (q *Queue) Drop(tx store.Tx, p participant.ID, laneName, id string) error {
	if err := q.remove(tx, p, laneName, id); err != nil {
		return err
	}
	tx.AfterCommit(func() {
		if !q.forget(key{p, id}) {
			q.moved(p, laneName)
		}
	})
	return nil
}

// Retry runs a parked or waiting job at once and gives it its whole time again.
// Its lane is this replica's from then on. fault.JobUnknown if it is not there.
func (q *Queue) Retry(ctx context.Context, p participant.ID, id string) error {
	now := q.cfg.Now()
	var laneName string
	taken := false
	err := q.cfg.DB.Update(ctx, func(tx store.Tx) (err error) {
		if laneName, taken, err = q.revive(tx, p, id, now); err != nil {
			return err
		}
		tx.AfterCommit(func() {
			q.mu.Lock()
			defer q.mu.Unlock()
			it := q.jobs[key{p, id}]
			if it == nil || it.runs() {
				return
			}
			it.parked, it.held, it.at = false, false, now
			it.job.Attempts, it.waited = 0, 0
			q.judge(it.lane, now)
		})
		return nil
	})
	if err != nil || !taken {
		return err
	}
	q.moved(p, laneName)
	return q.reread(ctx, p, laneName)
}

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks err as final: no further attempt is made, the kind's OnFail
// has its say, else the job is parked.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// IsPermanent says that err was marked by Permanent.
func IsPermanent(err error) bool {
	var final permanent
	return errors.As(err, &final)
}

type newer struct {
	error
	format int64
}

func (n newer) Unwrap() error { return n.error }

// Newer marks err as one of a body whose format this program does not read: the
// lane is left to a replica that reads it, now or one that comes.
func Newer(err error, format int64) error {
	if err == nil {
		return nil
	}
	return newer{err, format}
}

type retryAfter struct {
	error
	after time.Duration
}

func (r retryAfter) Unwrap() error { return r.error }

// RetryAfter marks err with the wait that the counterpart asked for. The job
// waits at least that long, but no more than an hour.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return retryAfter{err, d}
}
