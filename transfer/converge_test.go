package transfer

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// side is one machine with what its room and its outbox would add: names of
// messages, and how often the one in flight was refused.
type side struct {
	p       Process
	other   *side
	n       int
	refused int
	applied []Event // what the other side took, for late duplicates
	answers []answer
}

// answer is on its way back.
type answer struct {
	job string
	ok  bool
}

func (s *side) step(e Event) error {
	q, fx, err := Step(s.p, e)
	if err != nil {
		return err
	}
	s.p = q
	for _, f := range fx {
		if f.Do == Send {
			s.n++
			pending := *s.p.Pending
			pending.Job = fmt.Sprintf("%s-%d", s.p.Role, s.n)
			pending.ID, pending.Digest = pending.Job, pending.Job
			s.p.Pending, s.refused = &pending, 0
		}
	}
	return nil
}

// attempt delivers the message in flight; its answer comes later, or never.
func (s *side) attempt(lost bool) {
	if s.p.Pending == nil {
		return
	}
	m := *s.p.Pending
	e := Event{What: Received, Kind: m.Kind, ID: m.ID, Digest: m.Digest, PeerPid: s.p.ID}
	err := s.other.step(e)
	if err == nil {
		s.applied = append(s.applied, e)
	}
	if !lost {
		s.answers = append(s.answers, answer{m.Job, err == nil})
	}
}

// hear takes the oldest answer that is on its way.
func (s *side) hear() {
	if len(s.answers) == 0 {
		return
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	if s.p.Pending == nil || s.p.Pending.Job != a.job {
		return // it was settled otherwise; the attempt was cancelled
	}
	if a.ok {
		_ = s.step(Event{What: Acknowledged, Kind: s.p.Pending.Kind, Job: a.job, PeerPid: s.other.p.ID})
		return
	}
	s.ask()
}

// ask reads the other side's state, as the sender does before it tries again.
func (s *side) ask() {
	shown := s.other.p.State
	if shown == None && s.other.p.Pending != nil {
		shown = s.other.p.Pending.To
	}
	job, kind := s.p.Pending.Job, s.p.Pending.Kind
	what, other := reached(s.p, shown)
	switch what {
	case Acknowledged:
		_ = s.step(Event{What: Acknowledged, Kind: kind, Job: job, PeerPid: s.other.p.ID})
	case Received:
		_ = s.step(Event{What: Received, Kind: other, PeerPid: s.other.p.ID})
	default:
		if s.refused++; s.refused > 3 {
			_ = s.step(Event{What: Failed, Kind: kind, Job: job})
		}
	}
}

// Two machines meet again in the same state, whatever is lost, doubled, late or
// decided at the same moment on both sides.
func TestTwoSidesConverge(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := &side{p: Process{ID: "c", Role: Consumer}}
		p := &side{p: Process{ID: "p", Role: Provider}}
		c.other, p.other = p, c
		if err := c.step(Event{What: Decided, Kind: KindRequest}); err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 150).Draw(t, "steps") {
			s := []*side{c, p}[rapid.IntRange(0, 1).Draw(t, "side")]
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				kinds := [][]Kind{{KindStart}, {KindSuspension}, {KindCompletion}}[rapid.IntRange(0, 2).Draw(t, "kind")]
				if rapid.IntRange(0, 19).Draw(t, "end") == 0 {
					kinds = []Kind{KindTermination}
				}
				if s == p && p.p.State == None {
					continue // the provider does not know of it yet
				}
				for _, k := range kinds { // the first that the state allows
					if s.step(Event{What: Decided, Kind: k}) == nil {
						break
					}
				}
			case 1, 2:
				s.attempt(rapid.Bool().Draw(t, "lost"))
			case 3, 4:
				s.hear()
			case 5:
				if len(s.applied) > 0 { // a proxy repeats an old message
					before := s.other.p.Version
					e := s.applied[rapid.IntRange(max(0, len(s.applied)-maxSeen/2), len(s.applied)-1).Draw(t, "again")]
					_ = s.other.step(e)
					if s.other.p.Version != before {
						t.Fatalf("a repeat of %s moved %s to %s", e.Kind, s.other.p.Role, s.other.p.State)
					}
				}
			}
		}
		for range 200 { // the network heals
			for _, s := range []*side{c, p} {
				s.attempt(false)
				for len(s.answers) > 0 {
					s.hear()
				}
			}
		}
		if c.p.Pending != nil || p.p.Pending != nil {
			t.Fatalf("still in flight: consumer %+v, provider %+v", c.p.Pending, p.p.Pending)
		}
		if c.p.State != p.p.State && !(p.p.State == None && c.p.State == Terminated) {
			t.Fatalf("consumer %s, provider %s", c.p.State, p.p.State)
		}
	})
}
