package process

import (
	"context"
	"errors"
	"testing"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/outbox"
	"kakehashi/participant"
)

// scripted is a counterpart that answers as a test says.
type scripted struct {
	status int
	answer string
	err    error
	state  string // what its process shows; "" is 404
	asked  int
}

func (w *scripted) Send(context.Context, participant.ID, string, string, string, []byte) (int, []byte, error) {
	return w.status, []byte(w.answer), w.err
}

func (w *scripted) State(context.Context, participant.ID, string, string) (string, int, error) {
	w.asked++
	if w.state == "" {
		return "", 404, nil
	}
	return w.state, 200, nil
}

type bodies struct{}

func (bodies) Body(context.Context, participant.ID, string) ([]byte, error) { return []byte("{}"), nil }

type learned []bool

func (l *learned) LearnPause(_ participant.ID, _ string, tooEarly bool) { *l = append(*l, tooEarly) }

// What an attempt comes to: acknowledged, known otherwise, another one, or none.
func TestAnAttempt(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)
	const again, never What = "again", "never"
	for _, c := range []struct {
		name  string
		wire  scripted
		job   outbox.Job
		peer  string // pid that is known
		stray bool
		ends  bool
		want  What
		asked int
		learn []bool
	}{
		{name: "taken", wire: scripted{status: 200}, peer: "p", want: Acknowledged, learn: []bool{false}},
		{name: "a first message taken", wire: scripted{status: 201, answer: `pids`}, want: Acknowledged},
		{name: "taken after a refusal: it was too early", wire: scripted{status: 200}, job: outbox.Job{Attempts: 1}, peer: "p", want: Acknowledged, learn: []bool{true}},
		{name: "taken long after a refusal: it was down", wire: scripted{status: 200}, job: outbox.Job{Attempts: 2, Created: start.Add(-time.Minute)}, peer: "p", want: Acknowledged},
		{name: "no answer", wire: scripted{err: errors.New("cut")}, peer: "p", want: again},
		{name: "the answer was not seen, and it is there", wire: scripted{status: 500, state: "TARGET"}, job: outbox.Job{Again: true}, peer: "p", want: Acknowledged, asked: 1},
		{name: "the answer was not seen, and it ended", wire: scripted{status: 500, state: "TERMINATED"}, job: outbox.Job{Again: true}, peer: "p", want: Received, asked: 1},
		{name: "409, and it is there", wire: scripted{status: 409, state: "TARGET"}, peer: "p", want: Acknowledged, asked: 1},
		{name: "409 of a busy one", wire: scripted{status: 409, state: "BEFORE"}, peer: "p", want: again, asked: 1},
		{name: "400 at first", wire: scripted{status: 400, state: "BEFORE"}, peer: "p", want: again, asked: 1},
		{name: "400 for the fourth time", wire: scripted{status: 400, state: "BEFORE"}, job: outbox.Job{Attempts: 3}, peer: "p", want: never, asked: 1},
		{name: "404 for the fourth time", wire: scripted{status: 404}, job: outbox.Job{Attempts: 3}, peer: "p", want: again, asked: 1},
		{name: "404 for the eighth time", wire: scripted{status: 404}, job: outbox.Job{Attempts: 7}, peer: "p", want: never, asked: 1},
		{name: "404 to a termination for the fourth time", wire: scripted{status: 404}, job: outbox.Job{Attempts: 3}, peer: "p", ends: true, want: never, asked: 1},
		{name: "a stray is ended once", wire: scripted{status: 404}, peer: "p", stray: true, want: never},
		{name: "too many", wire: scripted{status: 429}, peer: "p", want: again},
		{name: "a fault of theirs", wire: scripted{status: 500}, job: outbox.Job{Attempts: 50}, peer: "p", want: again},
		{name: "gone", wire: scripted{status: 410}, peer: "p", want: never},
	} {
		var l learned
		s := NewSender(&c.wire, bodies{}, &l, func() time.Time { return start })
		letter := Letter{Head: Head{ID: "own", Role: Consumer, PeerPid: c.peer}, Job: Job{Kind: "M"}, Ends: c.ends,
			Reached: func(peer State, _ bool) (What, Kind) {
				switch peer {
				case "TARGET":
					return Acknowledged, ""
				case Terminated:
					return Received, "T"
				}
				return "", ""
			},
			Pids: func(answer []byte) (string, string, bool) { return "own", "theirs", string(answer) == "pids" },
		}
		if c.stray {
			letter.Stray = "other"
		}
		if c.job.Created.IsZero() {
			c.job.Created = start
		}
		e, err := s.Attempt(t.Context(), c.job, letter)
		got := e.What
		switch {
		case err != nil && outbox.IsPermanent(err):
			got = never
		case err != nil:
			got = again
		}
		if got != c.want || c.wire.asked != c.asked {
			t.Errorf("%s: %s after asking %d times (%v), want %s after %d", c.name, got, c.wire.asked, err, c.want, c.asked)
		}
		if c.want == Acknowledged && c.peer == "" && e.PeerPid != "theirs" {
			t.Errorf("%s: the counterpart's pid is %q", c.name, e.PeerPid)
		}
		if len(l) != len(c.learn) || len(l) == 1 && l[0] != c.learn[0] {
			t.Errorf("%s: learned %v, want %v", c.name, l, c.learn)
		}
		if err != nil && c.wire.status >= 400 && !errors.Is(err, fault.PeerRefused) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
