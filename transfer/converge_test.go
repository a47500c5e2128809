package transfer

import (
	"flag"
	"fmt"
	"kakehashi/process"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var (
	modelSeed  = flag.Uint64("model.seed", 0, "walk only this seed of the model check and tell its steps")
	modelSteps = flag.Int("model.steps", 2_000_000, "least number of steps of the model check")
)

// walk is one run of the two machines over a network that loses, doubles,
// delays and reorders. pick chooses; what it chose is in trace.
type walk struct {
	pick  func(label string, n int) int
	trace []string
	steps int
	c, p  *side
	apart bool // quiet in different states, until the next message
}

// side is one machine with what its room and its outbox would add.
type side struct {
	w     *walk
	p     Process
	other *side
	n     int // messages written

	job     string // the attempt under way
	again   bool   // an earlier attempt may have arrived
	refused int

	in      []letter // on their way to this side, any of which may come next
	answers []answer // on their way back to this side

	sent  map[string]letter // by job
	order []letter          // what this side applied, oldest first
	took  map[string]int    // how often each message had an effect
	tap   Tap               // the provider's
}

// letter is one copy of a message.
type letter struct {
	e     Event
	job   string
	first bool // goes to no process of the receiver yet
}

type answer struct {
	job string
	ok  bool
}

func newWalk(pick func(string, int) int) *walk {
	w := &walk{pick: pick}
	w.c = &side{w: w, p: Process{Head: process.Head{ID: "c", Role: Consumer}}}
	w.p = &side{w: w, p: Process{Head: process.Head{ID: "p", Role: Provider}}}
	w.c.other, w.p.other = w.p, w.c
	for _, s := range []*side{w.c, w.p} {
		s.sent, s.took = map[string]letter{}, map[string]int{}
	}
	return w
}

func (w *walk) note(format string, a ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, a...))
}

func (s *side) exists() bool { return s.p.Version > 0 }

// step moves the machine and does what the room does with its effects. It
// checks what must hold of any step.
func (s *side) step(e Event, l letter) error {
	before := s.p
	q, fx, err := Step(s.p, e)
	if err != nil {
		if q.State != before.State || q.Version != before.Version || q.Pending != before.Pending {
			return fmt.Errorf("%w, but the process changed", errModel)
		}
		return err
	}
	s.p = q
	s.w.note("  %s %s %s %s%s -> %q, in flight %s", q.ID, e.What, e.Kind, e.ID, e.Job, q.State, inFlight(q))
	repeat := len(fx) == 1 && fx[0].Do == process.Repeat
	if e.What == process.Received && e.ID != "" && !repeat {
		if s.took[e.ID]++; s.took[e.ID] > 1 {
			return fmt.Errorf("%w: %s had an effect twice", errModel, e.ID)
		}
		s.order = append(s.order, l)
	}
	if repeat && (q.State != before.State || q.Version != before.Version) {
		return fmt.Errorf("%w: a repeat of %s moved it", errModel, e.ID)
	}
	if before.State.Final() && q.State != before.State {
		return fmt.Errorf("%w: it left %s", errModel, before.State)
	}
	if !repeat && q.Version <= before.Version {
		return fmt.Errorf("%w: a step without a version", errModel)
	}
	for _, f := range fx {
		if err := s.do(f); err != nil {
			return err
		}
	}
	if s.tap == TapOpen && s.p.State != Started && (s.p.Pending == nil || s.p.Pending.Kind != KindStart) {
		return fmt.Errorf("%w: the tap is open in %s", errModel, s.p.State)
	}
	return nil
}

func inFlight(p Process) string {
	if p.Pending == nil {
		return "nothing"
	}
	return p.Pending.Job
}

var errModel = fmt.Errorf("the model is broken")

func (s *side) do(f process.Effect) error {
	switch f.Do {
	case process.Send:
		s.n++
		m := *s.p.Pending
		m.Job = fmt.Sprintf("%s%d-%s", s.p.ID, s.n, strings.ToLower(string(m.To)))
		m.ID, m.Digest = m.Job, m.Job
		s.p.Pending, s.refused, s.again, s.job = &m, 0, false, ""
		l := letter{job: m.Job, first: s.p.PeerPid == "", e: Event{What: process.Received, Kind: m.Kind, ID: m.ID, Digest: m.Digest, PeerPid: s.p.ID}}
		s.sent[m.Job] = l
		if m.Kind == KindStart && s.p.Role == Provider {
			if s.tap == TapClosed {
				return fmt.Errorf("%w: a closed tap is opened again", errModel)
			}
			s.tap = TapOpen
		}
	case process.Reached:
		// Suspensions and resumptions that cross, or come late, cannot be told
		// from those that answer each other: the protocol has no count of them.
		if s.other.took[f.Job] != 1 && f.Kind != KindStart && f.Kind != KindSuspension {
			return fmt.Errorf("%w: %s counts as acknowledged and was never applied", errModel, f.Job)
		}
	case Pause:
		if s.tap == TapOpen {
			s.tap = TapPaused
		}
	case Close:
		s.tap = TapClosed
	}
	return nil
}

// attempt puts a copy of the message in flight on the wire, unless the
// counterpart's state settles it.
func (s *side) attempt() error {
	if s.p.Pending == nil || s.job == s.p.Pending.Job {
		return nil
	}
	if s.p.State == Terminated && s.p.Pending.Kind != KindTermination {
		// We ended it before anybody answered: the sender gives up here.
		return s.settle(Event{What: process.Failed, Kind: s.p.Pending.Kind, Job: s.p.Pending.Job})
	}
	if s.again {
		settled, err := s.ask(false)
		if settled || err != nil {
			return err
		}
	}
	s.job = s.p.Pending.Job
	s.w.note("%s sends %s", s.p.ID, s.job)
	s.other.in = append(s.other.in, s.sent[s.job])
	return nil
}

// deliver hands over one copy and answers it.
func (s *side) deliver(i int, keep, answered bool) error {
	l := s.in[i]
	if !keep {
		s.in = slices.Delete(s.in, i, i+1)
	}
	err := s.take(l)
	if err != nil && isModel(err) {
		return err
	}
	if answered {
		s.other.answers = append(s.other.answers, answer{l.job, err == nil})
	}
	return nil
}

// take is what the room does with a message.
func (s *side) take(l letter) error {
	if l.first && s.exists() {
		return nil // found by its sender's pid: a repeat
	}
	if !l.first && !s.exists() {
		return process.ErrIllegal // 404
	}
	return s.step(l.e, l)
}

func isModel(err error) bool { return err != nil && strings.HasPrefix(err.Error(), errModel.Error()) }

// hear takes one of the answers that are on their way.
func (s *side) hear(i int) error {
	a := s.answers[i]
	s.answers = slices.Delete(s.answers, i, i+1)
	if s.p.Pending == nil || s.p.Pending.Job != a.job || s.job != a.job {
		return nil // it was settled otherwise, or given up waiting for
	}
	s.job = ""
	if a.ok {
		return s.settle(Event{What: process.Acknowledged, Kind: s.p.Pending.Kind, Job: a.job, PeerPid: s.other.p.ID})
	}
	s.refused++
	last := s.refused >= process.Believed || s.p.Pending.Kind == KindTermination
	settled, err := s.ask(last)
	if settled || err != nil {
		return err
	}
	s.again = true
	if last {
		return s.settle(Event{What: process.Failed, Kind: s.p.Pending.Kind, Job: a.job})
	}
	return nil
}

// settle is an outcome; a stale one is nothing.
func (s *side) settle(e Event) error {
	err := s.step(e, letter{})
	if isModel(err) {
		return err
	}
	return nil
}

// ask reads the other side's state, as the sender does before it tries again.
func (s *side) ask(last bool) (settled bool, err error) {
	if s.p.PeerPid == "" {
		return false, nil
	}
	shown := s.other.p.State
	if shown == None && s.other.p.Pending != nil {
		shown = s.other.p.Pending.To
	}
	m := *s.p.Pending
	what, kind := reached(s.p, shown, last)
	switch what {
	case process.Acknowledged:
		if s.other.took[m.ID] == 0 && shown != Terminated && !last {
			return true, fmt.Errorf("%w: %s counts as acknowledged by the state %s and was never applied", errModel, m.Job, shown)
		}
		return true, s.settle(Event{What: process.Acknowledged, Kind: m.Kind, Job: m.Job, PeerPid: s.other.p.ID})
	case process.Received:
		return true, s.settle(Event{What: process.Received, Kind: kind, PeerPid: s.other.p.ID})
	}
	return false, nil
}

// restart writes and reads the process; what was under way is not known any more.
func (s *side) restart() error {
	b, err := s.p.Encode()
	if err != nil {
		return err
	}
	q, err := decode(s.p.Head, b)
	if err != nil {
		return err
	}
	s.p, s.answers, s.job, s.again = q, nil, "", true
	return nil
}

// decide tries any decision, legal or not, and mostly those that go on.
func (s *side) decide() error {
	if !s.exists() && s == s.w.p {
		return nil
	}
	kind := Kinds[s.w.pick("kind", len(Kinds))]
	if s.w.pick("legal", 3) > 0 {
		for _, kind = range Kinds {
			if _, ok := Table.Next(s.p.Role, s.p.State, kind, process.Out); ok && s.w.pick("this one", 2) == 0 {
				break
			}
		}
	}
	if kind == KindTermination && s.w.pick("end", 8) > 0 {
		return nil
	}
	if !s.exists() && (s.other.exists() || kind == KindTermination) {
		return nil // one transfer in a walk
	}
	e := Event{What: process.Decided, Kind: kind, Reason: "because"}
	if err := s.step(e, letter{}); isModel(err) {
		return err
	}
	return nil
}

// one does one random thing.
func (w *walk) one() error {
	w.steps++
	s := []*side{w.c, w.p}[w.pick("side", 2)]
	switch what := w.pick("what", 13); what {
	case 0, 1, 2:
		return s.decide()
	case 3, 4:
		return s.attempt()
	case 5, 6, 7:
		if n := len(s.in); n > 0 {
			i, keep, answered := w.pick("which", n), w.pick("doubled", 5) == 0, w.pick("answered", 4) > 0
			w.note("%s gets %s (doubled %v, answered %v)", s.p.ID, s.in[i].job, keep, answered)
			return s.deliver(i, keep, answered)
		}
	case 8, 9:
		if n := len(s.answers); n > 0 {
			i := w.pick("answer", n)
			w.note("%s hears %+v", s.p.ID, s.answers[i])
			return s.hear(i)
		}
	case 10:
		if n := len(s.in); n > 0 {
			i := w.pick("lost", n)
			w.note("%s never gets %s", s.p.ID, s.in[i].job)
			s.in = slices.Delete(s.in, i, i+1)
		}
	case 11:
		if w.pick("restart", 3) == 0 {
			w.note("%s restarts", s.p.ID)
			return s.restart()
		}
		w.note("%s waits no longer for the answer", s.p.ID)
		s.job, s.again = "", true
	case 12:
		// A proxy repeats an old message; one among the last that are known by name.
		if n := len(s.order); n > 0 {
			l := s.order[max(0, n-process.MaxSeen)+w.pick("old", min(n, process.MaxSeen))]
			state, version := s.p.State, s.p.Version
			w.note("%s gets %s once more", s.p.ID, l.job)
			if err := s.take(l); isModel(err) {
				return err
			}
			if s.p.State != state || s.p.Version != version {
				return fmt.Errorf("%w: a late %s moved %s to %s", errModel, l.job, state, s.p.State)
			}
		}
	}
	return nil
}

// quiet lets everything arrive, in order and answered, until nothing moves.
func (w *walk) quiet() error {
	w.note("the network heals")
	for range 64 {
		for _, s := range []*side{w.c, w.p} {
			for len(s.in) > 0 {
				if err := s.deliver(0, false, true); err != nil {
					return err
				}
			}
		}
		for _, s := range []*side{w.c, w.p} {
			for len(s.answers) > 0 {
				if err := s.hear(0); err != nil {
					return err
				}
			}
		}
		if w.c.p.Pending == nil && w.p.p.Pending == nil {
			return nil
		}
		for _, s := range []*side{w.c, w.p} {
			s.job, s.again = "", s.again || s.job != ""
			if err := s.attempt(); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("%w: still in flight: consumer %+v, provider %+v", errModel, w.c.p.Pending, w.p.p.Pending)
}

// check is what must hold once the network is quiet.
func (w *walk) check() error {
	c, p := w.c, w.p
	switch {
	case c.p.State == p.p.State:
	case c.p.State == Terminated && !p.exists(), p.p.State == Terminated && !c.exists():
		return nil // the other side never heard of it
	case c.p.State == Terminated && c.p.PeerPid == "":
		return w.learns(p)
	case p.p.State == Terminated && p.p.PeerPid == "":
		return w.learns(c)
	case !c.p.State.Final() && !p.p.State.Final():
		w.apart = true
		return w.next()
	default:
		return fmt.Errorf("%w: consumer %s, provider %s", errModel, c.p.State, p.p.State)
	}
	if p.tap == TapOpen && p.p.State != Started {
		return fmt.Errorf("%w: the tap is open in %s", errModel, p.p.State)
	}
	if s := c.p.State; s != None && !s.Final() {
		return w.next()
	}
	return nil
}

// learns checks that a side whose counterpart gave up before it heard a pid to
// which it could say so finds that out by its next message.
func (w *walk) learns(s *side) error {
	for _, k := range Kinds {
		if k != KindTermination && s.step(Event{What: process.Decided, Kind: k}, letter{}) == nil {
			break
		}
	}
	if err := w.quiet(); err != nil {
		return err
	}
	if s.p.State != Terminated || w.c.p.State != w.p.p.State {
		return fmt.Errorf("%w: consumer %s, provider %s, and no message tells", errModel, w.c.p.State, w.p.p.State)
	}
	return nil
}

// next checks that from here every message that one side may decide on brings
// both into the same state, or is refused by the sender's own machine.
func (w *walk) next() error {
	moved := 0
	for _, role := range []Role{Consumer, Provider} {
		for _, k := range Kinds {
			v := w.copy()
			s := v.c
			if role == Provider {
				s = v.p
			}
			from := [2]State{v.c.p.State, v.p.p.State}
			err := s.step(Event{What: process.Decided, Kind: k}, letter{})
			if err != nil && !isModel(err) {
				continue
			}
			if err == nil {
				err = v.quiet()
			}
			if err != nil {
				return err
			}
			if moved++; v.c.p.State != v.p.p.State {
				return fmt.Errorf("%w: from consumer %s, provider %s a %s of the %s leads to %s and %s", errModel,
					from[0], from[1], k, role, v.c.p.State, v.p.p.State)
			}
		}
	}
	if moved == 0 {
		return fmt.Errorf("%w: consumer %s, provider %s, and no message moves them", errModel, w.c.p.State, w.p.p.State)
	}
	return nil
}

func (w *walk) copy() *walk {
	v := newWalk(w.pick)
	for from, to := range map[*side]*side{w.c: v.c, w.p: v.p} {
		to.p, to.n, to.tap = from.p, from.n, from.tap
		to.sent, to.took, to.order = maps.Clone(from.sent), maps.Clone(from.took), slices.Clone(from.order)
	}
	return v
}

func (w *walk) run(steps int) error {
	for range steps {
		if err := w.one(); err != nil {
			return err
		}
	}
	if err := w.quiet(); err != nil {
		return err
	}
	return w.check()
}

// The model check: two machines meet again, whatever is lost, doubled, late, out
// of order, restarted or decided at the same moment on both sides. No message
// has two effects, nothing counts as acknowledged that did not arrive, the
// provider's tap is open only in STARTED and while a start is under way, and
// what is not over can go on. The same seed is the same walk.
func TestModel(t *testing.T) {
	t.Parallel()
	first, steps, apart, ends := uint64(1), 0, 0, map[State]int{}
	if *modelSeed != 0 {
		first = *modelSeed
	}
	for seed := first; ; seed++ {
		rnd := rand.New(rand.NewPCG(seed, 2025))
		w := newWalk(func(_ string, n int) int { return rnd.IntN(n) })
		err := w.run(40 + rnd.IntN(200))
		steps += w.steps
		ends[w.c.p.State]++
		if w.apart {
			apart++
		}
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(w.trace, "\n"))
		}
		if *modelSeed != 0 {
			t.Logf("%s", strings.Join(w.trace, "\n"))
			return
		}
		if steps >= *modelSteps {
			t.Logf("%d steps in %d walks, ended in %v; %d met only by the next message", steps, seed, ends, apart)
			break
		}
	}
	for _, s := range Table.States() {
		if ends[s] == 0 {
			t.Errorf("no walk ended in %s: the model does not reach it", s)
		}
	}
}

// The same with choices that shrink: what it finds is short.
func TestTwoSidesConverge(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWalk(func(label string, n int) int { return rapid.IntRange(0, n-1).Draw(t, label) })
		if err := w.run(rapid.IntRange(0, 150).Draw(t, "steps")); err != nil {
			t.Fatalf("%v\n%s", err, strings.Join(w.trace, "\n"))
		}
	})
}
