package process

import (
	"testing"
	"time"
)

func TestOneReminderOfAProcessAtATime(t *testing.T) {
	t.Parallel()
	var r Reminders
	now := time.Unix(0, 0)
	if !r.Begin("a", now) || r.Begin("a", now) || !r.Begin("b", now) {
		t.Error("a second reminder waits, or the first does not")
	}
	r.End("a")
	if !r.Begin("a", now) || len(r.waiting) != 2 {
		t.Error("it does not begin again")
	}
}

func TestAReminderThatAnotherReplicaSeesToIsOverInTime(t *testing.T) {
	t.Parallel()
	var r Reminders
	now := time.Unix(0, 0)
	r.Begin("a", now)
	r.Begin("b", now)
	if now = now.Add(overAfter - 1); r.Begin("a", now) {
		t.Error("a second reminder waits")
	}
	if now = now.Add(1); !r.Begin("a", now) || r.Begin("a", now) {
		t.Error("it does not begin again")
	}
	if len(r.waiting) != 1 {
		t.Errorf("what is over is kept: %v", r.waiting)
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
