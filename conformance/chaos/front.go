package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Kinds of faults on the way to a side, with their share of all requests.
var fates = []struct {
	kind  string
	share float64
}{
	{"dropped before", 0.02}, // the connection breaks, the node saw nothing
	{"dropped after", 0.02},  // the node did it, the answer is lost
	{"cut", 0.01},            // half of the answer, then the connection breaks
	{"twice", 0.02},          // the node gets it twice; the second answer counts
	{"reordered", 0.03},      // it waits until another one has passed
	{"delayed", 0.03},
}

const (
	mostDelay = 400 * time.Millisecond
	mostHold  = 300 * time.Millisecond // of a request that waits for another to pass
	mostBody  = 4 << 20
)

// front is what the other side reaches as the address of a side: a balancer over
// its replicas, on a bad line.
type front struct {
	side  *side
	dice  *dice
	slow  *slowness                // nil: the side knows its state when it answers
	loses func(*http.Request) bool // requests whose answers are lost as well; nil: none
	calm  atomic.Bool
	turn  atomic.Int64
	http  *http.Transport
	serve *http.Server

	mu     sync.Mutex
	counts map[string]int
	passed chan struct{} // closed and replaced when a request has passed
}

func newFront(address string, s *side, d *dice, slow *slowness) (*front, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	f := &front{side: s, dice: d, slow: slow, counts: map[string]int{}, passed: make(chan struct{}),
		http: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, ResponseHeaderTimeout: time.Minute}}
	f.serve = &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = f.serve.Serve(l) }()
	return f, nil
}

func (f *front) close() error {
	f.http.CloseIdleConnections()
	return f.serve.Close()
}

func (f *front) count(kind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[kind]++
}

// faults are how many were injected, by kind.
func (f *front) faults() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.counts)
}

func (f *front) fate() string {
	at := f.dice.roll()
	if f.calm.Load() {
		return ""
	}
	for _, x := range fates {
		if at < x.share {
			return x.kind
		}
		at -= x.share
	}
	return ""
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, mostBody))
	if err != nil {
		return
	}
	kind := f.fate()
	if kind == "" && f.loses != nil && !f.calm.Load() && f.loses(r) {
		kind = "dropped after"
	}
	if kind != "" {
		f.count(kind)
	}
	switch kind {
	case "dropped before":
		reset(w)
		return
	case "reordered":
		f.mu.Lock()
		passed := f.passed
		f.mu.Unlock()
		wait(r.Context(), passed, mostHold)
	case "delayed":
		wait(r.Context(), nil, f.dice.between(0, mostDelay))
	case "twice":
		// As a line does that repeats what it has carried: nobody waits for the first.
		if a, err := f.forward(context.WithoutCancel(r.Context()), r, body); err == nil {
			a.Body.Close()
		}
	}
	if f.slow != nil && !f.slow.admits(w, r, body) {
		f.count("refused: not committed yet")
		return
	}
	ctx := r.Context()
	if kind == "dropped after" {
		ctx = context.WithoutCancel(ctx)
	}
	answer, err := f.forward(ctx, r, body)
	if err != nil {
		reset(w)
		return
	}
	defer answer.Body.Close()
	var reply []byte
	if f.slow != nil {
		if reply, err = io.ReadAll(io.LimitReader(answer.Body, mostBody)); err != nil {
			reset(w)
			return
		}
		reply = f.slow.answered(r, body, answer.StatusCode, reply)
		answer.Body = io.NopCloser(bytes.NewReader(reply))
		answer.Header.Set("Content-Length", strconv.Itoa(len(reply)))
	}
	f.mu.Lock()
	close(f.passed)
	f.passed = make(chan struct{})
	f.mu.Unlock()
	if kind == "dropped after" {
		reset(w)
		return
	}
	maps.Copy(w.Header(), answer.Header)
	w.WriteHeader(answer.StatusCode)
	if kind == "cut" {
		n, _ := strconv.ParseInt(answer.Header.Get("Content-Length"), 10, 64)
		_, _ = io.CopyN(w, answer.Body, n/2)
		_ = http.NewResponseController(w).Flush()
		reset(w)
		return
	}
	if _, err := io.Copy(w, answer.Body); err != nil {
		reset(w)
	}
}

// forward asks a replica; one that takes no connection is passed over, as a
// balancer does.
func (f *front) forward(ctx context.Context, r *http.Request, body []byte) (*http.Response, error) {
	all := f.side.replicas
	first := int(f.turn.Add(1))
	var failed error
	for i := range all {
		to := all[(first+i)%len(all)]
		out := r.Clone(ctx)
		out.RequestURI = ""
		out.URL = &url.URL{Scheme: "http", Host: to.listen, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		answer, err := f.http.RoundTrip(out)
		if err == nil {
			return answer, nil
		}
		failed = err
		var dial *net.OpError
		if !errors.As(err, &dial) || dial.Op != "dial" {
			break
		}
	}
	return nil, failed
}

// wait returns after d, when ctx ends, or when passed is closed.
func wait(ctx context.Context, passed <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-passed:
	case <-ctx.Done():
	}
}

// reset breaks the connection off, so that nobody takes a part for the whole.
func reset(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2, which no node speaks here
	}
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	c.Close()
}
