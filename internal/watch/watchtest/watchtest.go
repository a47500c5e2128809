// Package watchtest joins hubs in memory, for tests of what replicas remember: as
// the signals of a database do, without one. It is not for programs.
package watchtest

import (
	"sync/atomic"

	"kakehashi/internal/watch"
)

// Pair is two replicas' hubs.
type Pair struct {
	A, B *watch.Hub
	deaf atomic.Bool
}

// New joins two hubs that know of each other.
func New() *Pair {
	p := &Pair{A: watch.New(), B: watch.New()}
	for _, h := range []struct{ from, to *watch.Hub }{{p.A, p.B}, {p.B, p.A}} {
		h.from.Relay(func(c watch.Change) {
			if !p.deaf.Load() {
				h.to.Heard(c)
			}
		})
		h.from.Company(func() bool { return true })
	}
	return p
}

// Cut has no change told any more: the one that made it died before it could.
func (p *Pair) Cut() { p.deaf.Store(true) }
