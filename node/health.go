package node

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/store"
)

// How fresh a look at the store is, how long one may take, and for how long a
// write that it refused counts.
const (
	lookEvery  = time.Second
	lookWithin = 2 * time.Second
	refusedFor = 5 * time.Second
)

// pulse is the store with a note of whether it takes what is written.
type pulse struct {
	store.DB

	mu      sync.Mutex
	refused error // of the last unit, if the store could not keep it
	since   time.Time

	looked  time.Time
	looking chan struct{} // closed when the look that is under way ends
	seen    error
}

// Update implements store.DB.
func (p *pulse) Update(ctx context.Context, fn func(store.Tx) error) error {
	err := p.DB.Update(ctx, fn)
	bad := errors.Is(err, fault.Unavailable)
	if bad || err == nil {
		p.mu.Lock()
		if p.refused = nil; bad {
			p.refused, p.since = err, time.Now()
		}
		p.mu.Unlock()
	}
	return err
}

// ready reads a row of nothing, at most once a second whoever asks, and says why
// the store cannot be used.
func (p *pulse) ready() error {
	p.mu.Lock()
	if p.refused != nil && time.Since(p.since) < refusedFor {
		defer p.mu.Unlock()
		return p.refused
	}
	if p.looking == nil && time.Since(p.looked) >= lookEvery {
		done := make(chan struct{})
		p.looking = done
		go p.look(done)
	}
	under, seen := p.looking, p.seen
	p.mu.Unlock()
	if under == nil {
		return seen
	}
	t := time.NewTimer(lookWithin)
	defer t.Stop()
	select {
	case <-under:
	case <-t.C:
		return fault.NotInTime.At("", "within", lookWithin)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

func (p *pulse) look(done chan struct{}) {
	err := p.DB.View(context.Background(), func(tx store.Tx) error {
		var one int64
		return tx.QueryRow("SELECT 1").Scan(&one)
	})
	p.mu.Lock()
	p.seen, p.looked, p.looking = err, time.Now(), nil
	p.mu.Unlock()
	close(done)
}

// health answers /livez and /readyz, to anybody: the first says that the program
// runs, the second that it can do its work and is not about to stop.
func (n *Node) health(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/livez" && r.URL.Path != "/readyz" {
			next.ServeHTTP(w, r)
			return
		}
		status, text := http.StatusOK, "ok"
		h := w.Header()
		if r.URL.Path == "/readyz" {
			if why := n.unready(); why != "" {
				status, text = http.StatusServiceUnavailable, why
				h.Set("Retry-After", "1")
			}
		}
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(text + "\n")) // who asked has gone
	})
}

// unready tells in a word why requests should go to another replica, "" if not.
func (n *Node) unready() string {
	select {
	case <-n.stopping:
		return "stopping"
	default:
	}
	if err := n.pulse.ready(); err != nil {
		return fault.Of(err).Kind.Code // and nothing of where the store is
	}
	return ""
}
