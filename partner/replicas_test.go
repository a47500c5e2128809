package partner

import (
	"testing"
	"time"

	"kakehashi/internal/watch/watchtest"
	"kakehashi/store/storetest"
)

func TestWhatAnotherReplicaFixedAndLearned(t *testing.T) {
	t.Parallel()
	db, hubs := storetest.Open(t, Schema), watchtest.New()
	open := func(c Config) *Room {
		c.DB = db
		r, err := Open(c)
		if err != nil {
			t.Fatal(err)
		}
		r.c.Dev = true
		return r
	}
	a, b := open(Config{Watch: hubs.A}), open(Config{Watch: hubs.B})
	fix := func(base string) {
		t.Helper()
		if _, err := a.Fix(t.Context(), tokyo, Partner{DID: "KIT", Base: base}); err != nil {
			t.Fatal(err)
		}
		if got, err := b.Resolve(t.Context(), tokyo, "KIT"); err != nil || got.Base != base {
			t.Errorf("fixed to %s, the other replica finds %+v, %v", base, got, err)
		}
	}
	fix("http://127.0.0.1:1")
	fix("http://127.0.0.1:2")

	flush := func(r *Room) {
		t.Helper()
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	pauses := func(what string, here, there, start time.Duration) {
		t.Helper()
		if got := a.Pause(tokyo, "KIT"); got != here {
			t.Errorf("%s: the first replica waits %s", what, got)
		}
		if got := b.Pause(tokyo, "KIT"); got != there {
			t.Errorf("%s: the second replica waits %s", what, got)
		}
		if got := open(Config{}).Pause(tokyo, "KIT"); got != start {
			t.Errorf("%s: one that starts waits %s", what, got)
		}
	}
	flush(a)
	pauses("fixed", fixedPause, fixedPause, fixedPause)
	a.LearnPause(tokyo, "KIT", true)
	pauses("learned", 2*fixedPause, fixedPause, fixedPause)
	flush(a)
	pauses("told", 2*fixedPause, 2*fixedPause, 2*fixedPause)

	// What the other one sees of it otherwise does not undo what was learned here.
	b.SawCheckpoint(tokyo, "KIT", checkpoint(5))
	hubs.Cut()
	a.LearnPause(tokyo, "KIT", true)
	flush(a)
	flush(b)
	pauses("a checkpoint was seen", maxPause, 2*fixedPause, maxPause)

	c := open(Config{Watch: hubs.B})
	c.LearnPause(tokyo, "NEW", true)
	c.seen.hear(key{tokyo, "NEW"}, maxPause)
	if got := c.Pause(tokyo, "NEW"); got != firstPause {
		t.Errorf("what another one learned goes before what was just learned here: %s", got)
	}
}
