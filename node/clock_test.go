//go:build unix

package node

import (
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kakehashi/client"
	"kakehashi/internal/watch"
)

// Clocks that jump a day ahead and back: exchanges go on, what ended stays ended,
// and who follows the changes from a moment on misses none.
func TestClocksThatJump(t *testing.T) {
	t.Parallel()
	var jump atomic.Int64
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	tokyo.jump, brussels.jump = &jump, &jump
	a, b := tokyo.start(t, nil), brussels.start(t, nil)
	d := publish(t, tokyo, a, []byte("week,cases\n"))
	c, did := b.client(), a.participants.All()[0].DID
	agreement := agreed(t, c, did, d.ID)
	x, err := c.StartTransfer(t.Context(), client.StartTransfer{Agreement: agreement})
	if err != nil {
		t.Fatal(err)
	}
	reached(t, c, x.ID, "STARTED")
	access, err := c.Access(t.Context(), x.ID)
	if err != nil {
		t.Fatal(err)
	}
	var last watch.Change
	token := strings.TrimPrefix(access.Authorization, "Bearer ")
	for _, at := range []time.Duration{12 * time.Hour, -24 * time.Hour, -12 * time.Hour, 0} {
		jump.Store(int64(at))
		out := filepath.Join(t.TempDir(), "out")
		if _, err := c.Get(t.Context(), client.Want{Partner: did, Dataset: d.ID, Out: out}); err != nil {
			t.Fatalf("with the clock at %v: %v", at, err)
		}
		changes, err := b.transfers.Changed(t.Context(), b.participants.All()[0].ID, "", last.At, last.ID)
		if err != nil || len(changes) == 0 || changes[len(changes)-1].State != "COMPLETED" {
			t.Fatalf("with the clock at %v, who follows from %v on is told %+v, %v", at, last.At, changes, err)
		}
		last = changes[len(changes)-1]
	}
	if got := ask(t, "GET", access.Endpoint, token, "en"); got.status != 200 {
		t.Fatalf("the data of a started transfer: %v", got)
	}
	jump.Store(int64(26 * time.Hour)) // the terms ended
	if got := ask(t, "GET", access.Endpoint, token, "en"); got.status == 200 || got.status >= 500 {
		t.Errorf("the data after its terms ended: %v", got)
	}
	prove(t, a.client(), c, agreement)
}
