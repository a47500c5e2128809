// Package bound keeps what comes in from outside within limits, whatever else
// goes wrong: how long a request waits for its answer, how many are worked on,
// how long a body takes to arrive, how many connections a listener holds.
//
// It is for servers of messages and pages. A stream is bounded until it begins;
// how long it may take is for who serves it.
package bound

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"kakehashi/internal/fault"
)

// ErrLate is the cause with which the context of a request ends that was not
// answered in time.
var ErrLate = errors.New("the answer was not ready in time")

// What faces take when they are told nothing else.
const (
	Within = 25 * time.Second
	Body   = 30 * time.Second
	Most   = 4096
)

// Requests are the limits of one handler; zero members are the constants above.
type Requests struct {
	// Within is how long a request may take until its answer begins, once its body
	// has arrived; Extra, if set, is added for one.
	Within time.Duration
	Extra  func(*http.Request) time.Duration
	Body   time.Duration // how long a body may take to arrive
	Most   int           // requests at once
	// Refuse answers what is over a limit: fault.NotInTime, fault.TooBusy.
	Refuse func(http.ResponseWriter, *http.Request, error)
}

// Handler holds next to the limits. What is late is answered, and left to end by
// itself, for a unit of work that began cannot be called back: its effect may
// yet be kept, as with an answer that was lost on its way.
func (l Requests) Handler(next http.Handler) http.Handler {
	if l.Within <= 0 {
		l.Within = Within
	}
	if l.Body <= 0 {
		l.Body = Body
	}
	if l.Most <= 0 {
		l.Most = Most
	}
	var busy atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if busy.Add(1) > int64(l.Most) {
			busy.Add(-1)
			l.Refuse(w, r, fault.TooBusy.At("", "limit", l.Most))
			return
		}
		within := l.Within
		if l.Extra != nil {
			within += l.Extra(r)
		}
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		out := &answer{w: w, rc: http.NewResponseController(w), header: http.Header{}, cut: make(chan struct{})}
		r = r.WithContext(ctx)
		var timer *time.Timer
		if r.Body == nil || r.Body == http.NoBody {
			timer = time.AfterFunc(within, func() { out.late(cancel) })
		} else {
			timer = time.AfterFunc(max(within, l.Body), func() { out.late(cancel) }) // until it has arrived
			_ = out.SetReadDeadline(time.Now().Add(l.Body))                          // where it cannot be set, the timer counts
			r.Body = &body{ReadCloser: r.Body, arrived: func() {
				timer.Reset(within)
				_ = out.SetReadDeadline(time.Time{})
			}}
		}
		defer timer.Stop()
		done := make(chan any, 1)
		go func() {
			defer busy.Add(-1)
			defer func() { done <- recover() }()
			next.ServeHTTP(out, r)
		}()
		select {
		case p := <-done:
			if p != nil {
				panic(p) // as without a bound; http.ErrAbortHandler among them
			}
			out.begin()
		case <-out.cut:
			l.Refuse(w, r, fault.NotInTime.At("", "within", within))
		}
	})
}

// body notes when a request has arrived whole.
type body struct {
	io.ReadCloser
	arrived func()
	over    bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !b.over {
		b.over = true
		b.arrived()
	}
	return n, err
}

// answer is the response of a handler until it is late; from then on it takes
// nothing more. Its header is its own until it begins.
type answer struct {
	w      http.ResponseWriter
	rc     *http.ResponseController
	header http.Header

	mu    sync.Mutex
	begun bool
	over  bool
	cut   chan struct{} // closed when it is late
}

func (a *answer) late(cancel context.CancelCauseFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun || a.over {
		return
	}
	a.over = true
	cancel(ErrLate)
	close(a.cut)
}

// begin says whether the answer may still be written. What is begun is not late
// any more.
func (a *answer) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return false
	}
	if !a.begun {
		a.begun = true
		h := a.w.Header()
		for k, v := range a.header {
			h[k] = v
		}
	}
	return true
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.begin() {
		a.w.WriteHeader(status)
	}
}

// Write implements http.ResponseWriter; what is late is http.ErrHandlerTimeout.
func (a *answer) Write(b []byte) (int, error) {
	if !a.begin() {
		return 0, http.ErrHandlerTimeout
	}
	return a.w.Write(b)
}

// Flush implements http.Flusher.
func (a *answer) Flush() { _ = a.FlushError() }

// FlushError is Flush for http.ResponseController.
func (a *answer) FlushError() error {
	if !a.begin() {
		return http.ErrHandlerTimeout
	}
	return a.rc.Flush()
}

// SetReadDeadline is for http.ResponseController.
func (a *answer) SetReadDeadline(t time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return http.ErrHandlerTimeout
	}
	return a.rc.SetReadDeadline(t)
}

// SetWriteDeadline is for http.ResponseController.
func (a *answer) SetWriteDeadline(t time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return http.ErrHandlerTimeout
	}
	return a.rc.SetWriteDeadline(t)
}
