package process

import "testing"

func TestOneReminderOfAProcessAtATime(t *testing.T) {
	t.Parallel()
	var r Reminders
	if !r.Begin("a") || r.Begin("a") || !r.Begin("b") {
		t.Error("a second reminder waits, or the first does not")
	}
	r.End("a")
	if !r.Begin("a") || len(r.waiting) != 2 {
		t.Error("it does not begin again")
	}
}

func TestOnlyWhoShowsTheStateBeforeIsReminded(t *testing.T) {
	t.Parallel()
	l := Head{ID: "x"}.Reminder(Last{Kind: "M", Digest: "d", From: Requested}, "u", "s")
	for peer, want := range map[State]What{Requested: "", Terminated: Acknowledged, "STARTED": Acknowledged, "": Acknowledged} {
		if what, _ := l.Reached(peer, true); what != want {
			t.Errorf("at %q: %q, want %q", peer, what, want)
		}
	}
}
