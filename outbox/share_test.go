package outbox

import (
	"fmt"
	"testing"
	"time"
)

// Several peers that never answer leave room for the rest, and a peer that had to
// step aside takes more once others have ended.
func TestSilentPeersLeaveRoomForTheRest(t *testing.T) {
	t.Parallel()
	q, now := New(Config{Parallel: 16}), time.Unix(0, 0)
	start := func() (n int) {
		for q.pop(now) != nil {
			n++
		}
		return n
	}
	ask := func(peer string, n int) int {
		for i := range n {
			q.ready.push(&lane{name: fmt.Sprint(peer, i), ready: true, items: []*item{{job: Job{Peer: peer}}}})
		}
		return start()
	}
	for _, c := range []struct {
		peer       string
		asks, runs int
	}{{"a", 8, 8}, {"b", 40, 4}, {"c", 40, 2}, {"d", 40, 1}, {"quick", 1, 1}} {
		if n := ask(c.peer, c.asks); n != c.runs {
			t.Errorf("%d of %s run, want %d", n, c.peer, c.runs)
		}
	}
	q.leave("quick")
	for range 8 {
		q.leave("a")
	}
	if n := start(); n != 0 {
		t.Errorf("%d lanes run of peers that have nothing more to do", n)
	}
	for i, want := range []int{2, 2, 1, 1} { // b has 4, and up to 6 now that c and d have 3
		q.leave("b")
		if n := start(); n != want {
			t.Errorf("after %d of b have ended %d more run, want %d", i+1, n, want)
		}
	}
	for _, peer := range []string{"b", "c", "d"} {
		for q.peers[peer] != nil {
			q.leave(peer)
			start()
		}
	}
	if q.taken != 0 || len(q.peers) != 0 {
		t.Errorf("%d slots are counted as taken by %d peers", q.taken, len(q.peers))
	}
}

// A lane that stepped aside and has nothing to do any more gives its turn on.
func TestALaneThatWasEmptiedGivesItsTurnOn(t *testing.T) {
	t.Parallel()
	q, now := New(Config{Parallel: 2}), time.Unix(0, 0)
	var all []*lane
	for i := range 6 {
		l := &lane{name: fmt.Sprint(i), ready: true, items: []*item{{job: Job{Peer: "a"}}}}
		all = append(all, l)
		q.ready.push(l)
	}
	if l := q.pop(now); l != all[0] || q.pop(now) != nil {
		t.Fatal("not one runs")
	}
	for _, l := range all[1:5] {
		l.items = nil // dropped
	}
	q.leave("a")
	if l := q.pop(now); l != all[5] || q.pop(now) != nil {
		t.Fatal("the last one does not run")
	}
	q.leave("a")
	if len(q.peers) != 0 || q.taken != 0 {
		t.Errorf("%d peers, %d taken", len(q.peers), q.taken)
	}
}
