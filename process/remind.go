package process

import (
	"maps"
	"sync"
	"time"

	"kakehashi/outbox"
)

// RemindAfter is how long after a repeated message the counterpart's state is
// read: it stores its own step within that time.
const RemindAfter = 2 * time.Second

// Last is our newest message of a kind that can be lost at a counterpart after it
// took it: one that repeats a message of its own may store the answer to that over
// our next step (EDC does, and then waits for ever).
type Last struct {
	Kind   Kind   `json:"kind"`
	Digest string `json:"digest"` // of its bytes, which evidence keeps
	From   State  `json:"from"`   // the state before it: a counterpart that shows it has lost the message
}

// Reminder is the letter that repeats l, the same bytes under the same @id, to a
// counterpart that shows the state before it. Any other state settles it.
func (h Head) Reminder(l Last, url, state string) Letter {
	return Letter{Head: h, Job: Job{Process: h.ID, Kind: l.Kind, Digest: l.Digest}, URL: url, State: state,
		Reached: func(peer State, _ bool) (What, Kind) {
			if peer == l.From {
				return "", ""
			}
			return Acknowledged, ""
		}}
}

// RemindLane is the lane of a process's reminders, beside that of its messages.
func (h Head) RemindLane() string { return "remind:" + h.ID }

// Reminding is the job of a reminder.
func (h Head) Reminding(kind, id string, due time.Time) (outbox.Job, error) {
	j, err := h.Put(kind, id, Job{Process: h.ID})
	j.Lane, j.Due = h.RemindLane(), due
	return j, err
}

// Reminders keeps a counterpart that repeats itself from piling them up: there is
// one of a process at a time, of this replica. Another one may see to it, so that
// nobody says here that it ended: after a minute it counts as over. A reminder too
// many reads the counterpart's state and sends nothing. The zero value is ready.
type Reminders struct {
	mu      sync.Mutex
	waiting map[string]time.Time // since when
	swept   time.Time
}

// overAfter is how long a reminder counts as waiting.
const overAfter = time.Minute

// Begin says whether a process has no reminder waiting yet; now it has.
func (r *Reminders) Begin(id string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting == nil {
		r.waiting, r.swept = map[string]time.Time{}, now
	}
	if now.Sub(r.swept) >= overAfter {
		maps.DeleteFunc(r.waiting, func(_ string, at time.Time) bool { return now.Sub(at) >= overAfter })
		r.swept = now
	}
	if at, ok := r.waiting[id]; ok && now.Sub(at) < overAfter {
		return false
	}
	r.waiting[id] = now
	return true
}

// End takes it away: it is being seen to, or was never kept.
func (r *Reminders) End(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, id)
}
