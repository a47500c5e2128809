package outbox

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/format"
	"kakehashi/store"
)

// maxRetryAfter bounds the wait that a counterpart can ask for.
const maxRetryAfter = time.Hour

// work runs lanes in one slot until none waits.
func (q *Queue) work(l *lane) {
	defer q.workers.Done()
	for l != nil {
		q.mu.Lock()
		it := l.items[0]
		do := q.kinds[it.job.Kind]
		ctx, cancel := context.WithCancelCause(q.base)
		it.cancel, it.held = cancel, false
		job, waited, dropped := it.job, it.waited, it.gone
		q.mu.Unlock()

		after := outcome{verdict: gone}
		if !dropped {
			after.verdict = q.turn(ctx, job)
		}
		if after.verdict == its {
			after = q.attempt(ctx, do, job, waited)
		}
		cancel(nil)
		l = q.finish(l, it, after)
	}
}

// outcome is what an attempt left of its job.
type outcome struct {
	verdict  verdict
	open     bool // the row is still there
	counted  bool // as a failure; else the node is stopping
	wait     time.Duration
	parked   bool
	attempts int
	waited   time.Duration
	text     string
	away     bool          // the counterpart was not reached
	least    time.Duration // that it asked us to wait
}

// finish takes the job off its lane or sets its next time, and gives the slot
// to the next lane.
func (q *Queue) finish(l *lane, it *item, o outcome) *lane {
	now := q.cfg.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	it.cancel = nil
	l.busy = false
	if it.job.Peer != "" {
		q.leave(it.job.Peer)
	}
	switch {
	case !it.gone && o.verdict != its && o.verdict != gone:
		it.at = now.Add(lookIn(o.verdict, it.behind))
		it.behind++
		slices.SortStableFunc(l.items, func(a, b *item) int {
			switch {
			case a.before(b):
				return -1
			case b.before(a):
				return 1
			}
			return 0
		})
	case !o.open || it.gone:
		if !it.gone {
			delete(q.jobs, key{it.job.Participant, it.job.ID})
			it.gone = true
		}
		l.items[0] = nil
		l.items = l.items[1:]
		q.done++
		if o.verdict == its && it.job.Peer != "" {
			q.reached(it.job.Peer, now)
		}
	case o.counted:
		it.behind = 0
		it.job.Attempts, it.job.LastError, it.waited = o.attempts, o.text, o.waited
		it.job.Again = true
		it.parked, it.at = o.parked, now.Add(o.wait)
		it.job.Due = it.at
		q.failures++
		if o.away {
			q.unreached(l, it, o.least, now)
		}
	}
	q.line(l, now)
	if q.stopped {
		q.active--
		return nil
	}
	next := q.pop(now)
	if next == nil {
		q.active--
	}
	q.spread(now) // a lane of the peer may have lined up as well
	return next
}

// attempt runs the handler and brings its result into the tables.
func (q *Queue) attempt(ctx context.Context, k kind, j Job, waited time.Duration) outcome {
	began := q.cfg.Now()
	var settle func(store.Tx) error
	var err error
	switch err = format.Look("job", j.ID, j.Data); { // of a newer program, also when its kind is unknown here
	case err != nil:
	case k.do == nil:
		err = Permanent(fault.HandlerMissing.At(j.Lane, "kind", j.Kind))
	default:
		settle, err = q.call(ctx, k.do, j)
	}
	if err == nil {
		err = q.settle(ctx, j, settle)
		if err == nil || errors.Is(err, ErrGone) {
			return outcome{}
		}
		err = fmt.Errorf("settle %s: %w", j.Kind, err)
	}
	if context.Cause(ctx) != nil { // dropped, or the node stops: no fault of the job
		return outcome{open: !errors.Is(context.Cause(ctx), ErrGone)}
	}

	if err = q.leaves(ctx, j, err); err == nil {
		return outcome{}
	}
	o := outcome{open: true, counted: true, attempts: j.Attempts + 1, text: clip(err.Error())}
	o.wait = q.pause(j.Attempts, err)
	o.away, o.least = patience(err)
	o.waited = waited + q.cfg.Now().Sub(began) + o.wait
	lost := IsPermanent(err)
	if !lost && o.waited > q.cfg.GiveUp {
		lost = true
		err = fault.GaveUp.At(j.Lane, "attempts", o.attempts, "span", (o.waited - o.wait).Round(time.Second)).Because(err)
		o.text = clip(err.Error())
	}
	log := q.cfg.Log.With("participant", j.Participant, "process_id", j.Lane, "kind", j.Kind, "job", j.ID, "attempt", o.attempts)
	if lost && k.fail != nil {
		j.Attempts, j.Again, j.LastError = o.attempts, true, o.text
		if settle = q.failing(k.fail, j, err); settle != nil {
			e := q.settle(ctx, j, settle)
			if e == nil || errors.Is(e, ErrGone) {
				log.Warn("job failed for good", "err", err)
				return outcome{verdict: gone}
			}
			if e = q.leaves(ctx, j, e); e == nil {
				return outcome{}
			}
			log.Error("what follows a failed job cannot be kept", "err", e)
		}
	}
	o.parked = lost
	e := q.keep(ctx, j, o)
	if errors.Is(e, ErrGone) {
		return outcome{}
	}
	if e != nil {
		// The row says less than memory does; after a restart the job is simply
		// tried again.
		o.parked = false
		log.Error("the state of a job cannot be kept", "err", e)
		return o
	}
	if lost {
		log.Warn("job parked", "err", err)
	} else {
		log.Info("job failed, will be tried again", "wait", o.wait, "err", err)
	}
	return o
}

func (q *Queue) call(ctx context.Context, h Handler, j Job) (settle func(store.Tx) error, err error) {
	defer func() {
		if p := recover(); p != nil {
			q.cfg.Log.Error("panic in a job", "participant", j.Participant, "process_id", j.Lane, "kind", j.Kind,
				"err", fmt.Sprint(p), "stack", string(debug.Stack()))
			settle, err = nil, fmt.Errorf("panic in the handler of %s: %v", j.Kind, p)
		}
	}()
	return h(ctx, j)
}

// failing asks a kind what follows; a panic there parks the job.
func (q *Queue) failing(f Fail, j Job, err error) (settle func(store.Tx) error) {
	defer func() {
		if p := recover(); p != nil {
			q.cfg.Log.Error("panic in what follows a failed job", "participant", j.Participant, "process_id", j.Lane,
				"kind", j.Kind, "err", fmt.Sprint(p), "stack", string(debug.Stack()))
			settle = nil
		}
	}()
	return f(j, err)
}

// settle runs settle and removes the job in the same unit. What was sent is
// settled also while the node stops. The job's row comes last, as it does in a
// unit that moves a process and drops the job: two that met the other way round
// would wait for each other.
func (q *Queue) settle(ctx context.Context, j Job, settle func(store.Tx) error) error {
	ctx = context.WithoutCancel(ctx)
	err := q.cfg.DB.Update(ctx, func(tx store.Tx) error {
		if settle != nil {
			if err := settle(&settling{tx}); err != nil {
				return err
			}
		}
		return q.take(tx, j)
	})
	if err == nil || errors.Is(err, ErrGone) || settle == nil {
		return err
	}
	// Whoever dropped the job may have moved what settle found moved.
	if found, e := q.one(ctx, key{j.Participant, j.ID}, q.ownerOf(j)); e == nil && len(found) == 0 {
		return ErrGone
	}
	return err
}

// pause is the wait after one more failure: the schedule, or what the
// counterpart asked for if that is more, and a fifth up or down.
func (q *Queue) pause(attempts int, err error) time.Duration {
	d := q.cfg.Backoff[min(attempts, len(q.cfg.Backoff)-1)]
	d += time.Duration((q.cfg.Jitter()*0.4 - 0.2) * float64(d))
	var r retryAfter
	if errors.As(err, &r) {
		d = max(d, min(r.after, maxRetryAfter))
	}
	return d
}

// clip bounds what is kept of an error's text.
func clip(s string) string {
	const most = 1000
	if len(s) > most {
		s = s[:most]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
}
