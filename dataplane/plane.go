package dataplane

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/watch"
	"kakehashi/participant"
	"kakehashi/store"
)

// Limits of the plane. They are part of its promise, so no setting changes them.
const (
	// WindowTime and WindowBytes bound a window of use: what the record may claim
	// too much after a crash.
	WindowTime  = time.Second
	WindowBytes = 64 << 20
	// Fresh is how long a grant's row and the gate's answer are believed, which
	// bounds how late this replica learns of a cut that another one made.
	Fresh = 500 * time.Millisecond

	settleDelay = 200 * time.Millisecond // windows that close within it share a unit
	keptGrants  = 10_000                 // grants in memory; idle ones beyond it are forgotten
	settleMost  = 200                    // windows a unit, so that negotiations are not kept waiting
)

// Config is what a Plane needs.
type Config struct {
	DB           store.DB
	Gate         Gate
	Evidence     Recorder
	Watch        *watch.Hub // tells and hears of changed grants; nil: nobody else is told
	Replicas     Replicas   // nil: nobody else
	Participants func(participant.ID) (participant.Participant, bool)
	Formats      []Format
	// Folder is where received bodies lie, each under the id of its grant; "":
	// none is received.
	Folder      string
	MaxReceived int64 // largest received body in bytes; 0: 4 GiB
	// Received is told of each body that arrived whole, in the unit that puts it on record.
	Received func(store.Tx, Grant, Moved) error
	HTTP     *http.Client     // reaches addresses of counterparties; nil: nothing is pushed
	Now      func() time.Time // nil: time.Now
	Rand     io.Reader        // nil: crypto/rand
	Log      *slog.Logger     // nil: slog.Default()
}

// Plane is the data plane inside a node. Its methods may be called at once from
// many goroutines; those that take a store.Tx take effect when its unit commits.
type Plane struct {
	c       Config
	formats map[formatKey]*Format
	stalled time.Duration // a sender that sends nothing for so long has gone

	mu      sync.Mutex           // guards all below and every field of live, window and Session.ended
	live    map[string]*live     // by grant id: what is cached and what runs
	open    map[*window]struct{} // committed as open and not settled yet
	timer   *time.Timer          // next sweep; armed only while windows are open
	due     time.Time
	closing bool
	taking  map[string]bool  // grants whose body is being received
	doubted map[string]*live // in use, and to be read again
	looking bool             // look runs
	ticking bool
	ticker  *time.Timer

	sweeping sync.Mutex     // one sweep at a time
	sessions sync.WaitGroup // running sessions, and look
}

type formatKey struct{ service, name string }

// live is a grant in use: the row as last read, the gate's last answer, and
// what runs on it.
type live struct {
	record
	read   time.Time // when the row was read; zero: read it again
	epoch  int       // grows with each change of our own, so that an older read is not kept
	judged time.Time
	until  time.Time
	dead   bool // forgotten: nothing new starts on it

	window   *window
	opening  chan struct{} // closed when the window being opened is there, or failed
	sessions map[*Session]struct{}
}

// New makes the plane and closes what a crash left: each window that is still
// open and whose replica is gone is put on record as "at most" its limit. One plane
// a replica may run on a store.
func New(ctx context.Context, c Config) (*Plane, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Watch == nil {
		c.Watch = watch.New()
	}
	if c.Replicas == nil {
		c.Replicas = single{}
	}
	p := &Plane{c: c, stalled: stalled, formats: map[formatKey]*Format{}, live: map[string]*live{}, open: map[*window]struct{}{}, taking: map[string]bool{},
		doubted: map[string]*live{}}
	for i := range c.Formats {
		f := &c.Formats[i]
		word, dir, _ := strings.Cut(f.Name, "-")
		if word == "" || (dir != "PULL" && dir != "PUSH") {
			return nil, fmt.Errorf("format %q of service %q: a name is Word-PULL or Word-PUSH", f.Name, f.Service)
		}
		k := formatKey{f.Service, f.Name}
		if f.Serve == nil && f.Receive == nil || p.formats[k] != nil {
			return nil, fmt.Errorf("format %q of service %q serves nothing or is there twice", f.Name, f.Service)
		}
		p.formats[k] = f
	}
	if p.c.MaxReceived <= 0 {
		p.c.MaxReceived = 4 << 30
	}
	if err := p.adopt(ctx, true); err != nil {
		return nil, fmt.Errorf("take over what a crash left: %w", err)
	}
	c.Watch.Elsewhere(Changed, p.heard)
	return p, nil
}

// Close admits nothing more, cuts what still runs, and puts all windows on
// record. Shut the HTTP server down first to let downloads end by themselves.
func (p *Plane) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closing = true
	for _, l := range p.live {
		p.cut(l, fault.Unavailable.At(""))
	}
	p.mu.Unlock()
	ended := make(chan struct{})
	go func() { p.sessions.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	err := p.Flush(ctx)
	p.mu.Lock()
	for _, t := range []*time.Timer{p.timer, p.ticker} {
		if t != nil {
			t.Stop()
		}
	}
	p.mu.Unlock()
	return err
}

// format finds how a grant is served. An empty service is enough when only one
// service has the format.
func (p *Plane) format(service, name string) (*Format, error) {
	if f := p.formats[formatKey{service, name}]; f != nil {
		return f, nil
	}
	var found *Format
	var known []string
	for i := range p.c.Formats {
		f := &p.c.Formats[i]
		if service != "" && f.Service != service {
			continue
		}
		known = append(known, f.Name)
		if service == "" && f.Name == name {
			if found != nil {
				found = nil
				break
			}
			found = f
		}
	}
	if found == nil {
		return nil, fault.FormatUnknown.At("/format", "format", name, "known", strings.Join(known, ", "))
	}
	return found, nil
}

// known gives the grant of that id with a row read at most Fresh ago.
func (p *Plane) known(ctx context.Context, id string) (*live, error) {
	for {
		now := p.c.Now()
		p.mu.Lock()
		l, epoch := p.live[id], 0
		if l != nil {
			if epoch = l.epoch; now.Sub(l.read) < Fresh {
				p.mu.Unlock()
				return l, nil
			}
		}
		p.mu.Unlock()

		r, err := p.find(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil, fault.GrantUnknown.At("")
		} else if err != nil {
			return nil, err
		}
		p.mu.Lock()
		cur := p.live[id]
		if cur != l || (l != nil && l.epoch != epoch) {
			p.mu.Unlock()
			continue // our own node changed it meanwhile; what we read may be older
		}
		if l == nil {
			l = p.remember(id)
		}
		l.record, l.read = r, now
		if r.State != StateOpen {
			p.cut(l, refusal(r.State, r.Why))
		}
		p.mu.Unlock()
		return l, nil
	}
}

// remember makes the entry of a grant, forgetting an idle one when there are
// too many. p.mu is held.
func (p *Plane) remember(id string) *live {
	for other, l := range p.live {
		if len(p.live) < keptGrants {
			break
		}
		if len(l.sessions) == 0 && l.window == nil && l.opening == nil {
			l.dead = true
			delete(p.live, other)
		}
	}
	l := &live{sessions: map[*Session]struct{}{}}
	p.live[id] = l
	return l
}

// forget ends all use of a grant at once; it runs after the unit that closed or
// suspended it. A request that was admitted on the old entry must open a window
// of its own, and the row refuses that.
func (p *Plane) forget(id, state, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.live[id]; l != nil {
		p.drop(l, state, why)
	}
}

// drop is forget of an entry that is there. p.mu is held.
func (p *Plane) drop(l *live, state, why string) {
	l.dead = true
	delete(p.live, l.ID)
	p.cut(l, refusal(state, why))
	if l.window != nil {
		p.seal(l.window)
		l.window = nil
	}
}

// stale has the row read again before the next request; running ones go on.
func (p *Plane) stale(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.live[id]; l != nil {
		l.epoch++
		l.read = time.Time{}
	}
}

// cut ends the sessions of a grant. p.mu is held; it does not block.
func (p *Plane) cut(l *live, cause error) {
	for s := range l.sessions {
		s.cancel(cause)
		go s.reset() // may wait for the connection's own goroutine
	}
}

// refusal is the fault for a grant that is not open.
func refusal(state, why string) error {
	if state == StateSuspended {
		return fault.GrantSuspended.At("", "why", why)
	}
	return fault.GrantClosed.At("", "why", why)
}
