package dataplane

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/participant"
)

// Limits of a push.
const (
	stalled = time.Minute     // without a byte taken by the receiver
	answers = 5 * time.Minute // from the last byte to its answer
	asking  = 64 << 10        // bodies from here on ask the receiver first (100-continue)
	words   = 4 << 10         // read of an answer's body
)

// Target is where a push goes. It holds secrets: it is never logged or kept.
type Target struct {
	URL    string
	Method string      // POST or PUT
	Header http.Header // wins over what the format says of the body
}

// Push sends the body of a grant of WayPush to the counterparty's address, as
// the grant's format serves it, in constant memory. It begins anew each time.
//
// Errors: what Admit refuses with when the grant is not open, before or on the
// way; fault.PushRefused with the receiver's status; fault.PushUnserved with the
// format's; fault.PushBroken when the connection broke. A receiver of this
// program that has the whole body already counts as sent.
func (p *Plane) Push(ctx context.Context, who participant.ID, grant string, t Target) (Moved, error) {
	s, err := p.join(ctx, grant, func(r record) error {
		if r.Participant != who || r.Way != WayPush || p.c.HTTP == nil {
			return fault.NotFound.At("", "what", "grant "+grant)
		}
		return nil
	}, func() {})
	if err != nil {
		return Moved{}, err
	}
	defer s.End()
	f, err := p.format(s.Service, s.Format)
	if err == nil {
		err = p.begin(s)
	}
	if err != nil {
		return Moved{}, err
	}
	moved, err := p.send(s, f, t)
	if err != nil && s.Err() != nil && ctx.Err() == nil { // cut, or the receiver stalled
		err = context.Cause(s)
	}
	return moved, err
}

func (p *Plane) send(s *Session, f *Format, t Target) (Moved, error) {
	read, write := io.Pipe()
	body := &pushed{header: http.Header{}, pipe: write, sum: sha256.New(), head: make(chan struct{})}
	body.timer = time.AfterFunc(stalled, func() { s.cancel(fault.PushBroken.At("").Because(errors.New("the receiver takes nothing"))) })
	body.timer.Stop()
	defer body.timer.Stop()
	out := &writer{ResponseWriter: body, s: s, announced: -1}
	inner, err := http.NewRequestWithContext(s, http.MethodGet, "/", http.NoBody)
	if err != nil {
		return Moved{}, err
	}
	served := make(chan bool, 1) // whether the body is whole
	go func() {
		panicked := p.run(f, out, inner, s)
		if out.status == 0 && !panicked && s.Err() == nil {
			out.WriteHeader(http.StatusOK) // a body without a byte
		}
		whole := !panicked && s.Err() == nil && out.whole() && out.status == http.StatusOK
		body.begin(http.StatusInternalServerError) // if nothing was said
		if whole {
			_ = write.Close()
			body.timer.Reset(answers)
		} else {
			_ = write.CloseWithError(errBroken)
		}
		served <- whole
	}()
	defer func() { _ = read.CloseWithError(errBroken) }() // frees a format that still writes
	select {
	case <-body.head:
	case <-s.Done():
		return Moved{}, context.Cause(s)
	}
	if body.status != http.StatusOK {
		<-served
		_, why := problemOf(body.refusal)
		return Moved{}, fault.PushUnserved.At("", "status", strconv.Itoa(body.status), "reason", why)
	}
	resp, err := p.c.HTTP.Do(request(s, t, body, out.announced, read))
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err // without the address, which may hold a secret
		}
		if errors.Is(err, fault.AddressRefused) {
			return Moved{}, err
		}
		if errors.Is(err, errBroken) { // by the format's end, which tells why
			<-served
			if why := new(fault.Error); errors.As(out.err, &why) {
				return Moved{}, why
			}
		}
		return Moved{}, fault.PushBroken.At("").Because(err)
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, words)) // what could be read of it is enough
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		code, why := problemOf(said)
		if code == fault.AlreadyReceived.Code && s.named() != "" && why == s.named() {
			return Moved{Bytes: max(out.announced, 0), Digest: s.named()}, nil
		}
		return Moved{}, fault.PushRefused.At("", "status", strconv.Itoa(resp.StatusCode), "code", code, "reason", why)
	}
	if !<-served {
		return Moved{}, fault.PushBroken.At("")
	}
	m := Moved{Bytes: out.written, Digest: "sha256:" + hex.EncodeToString(body.sum.Sum(nil))}
	s.Payload(m.Digest)
	return m, nil
}

var errBroken = errors.New("the push broke off")

// request is the one that carries the body.
func request(ctx context.Context, t Target, body *pushed, size int64, from io.Reader) *http.Request {
	r := &http.Request{Method: t.Method, Header: http.Header{}, ContentLength: size, Body: io.NopCloser(from)}
	r.URL, _ = url.Parse(t.URL) // refused by the guarded client if it is none
	if r.URL == nil {
		r.URL = &url.URL{}
	}
	if size == 0 {
		r.Body = http.NoBody
	}
	if size < 0 || size >= asking {
		r.Header.Set("Expect", "100-continue")
	}
	for _, name := range []string{"Content-Type", "Content-Disposition", "Repr-Digest"} {
		if v := body.header.Get(name); v != "" {
			r.Header.Set(name, v)
		}
	}
	for name, values := range t.Header {
		r.Header[name] = values
	}
	return r.WithContext(ctx)
}

// named is the digest that the format gave.
func (s *Session) named() string {
	s.plane.mu.Lock()
	defer s.plane.mu.Unlock()
	return s.payload
}

// problemOf reads an error body of this program: its code, and its place or else
// its words.
func problemOf(b []byte) (code, why string) {
	var p problem
	if strictjson.DecodeOpen(b, &p) != nil {
		return "", ""
	}
	if p.Place != "" {
		return p.Code, p.Place
	}
	return p.Code, p.Detail
}

// pushed is the http.ResponseWriter that a format writes a push to: its status
// and header first, then the body into a pipe.
type pushed struct {
	header  http.Header
	pipe    *io.PipeWriter
	sum     hash.Hash
	timer   *time.Timer
	status  int
	head    chan struct{} // closed once status and header stand
	refusal []byte
}

func (b *pushed) Header() http.Header { return b.header }

func (b *pushed) WriteHeader(status int) {
	if status >= 200 {
		b.begin(status)
	}
}

func (b *pushed) begin(status int) {
	if b.status == 0 {
		b.status = status
		b.header = b.header.Clone()
		close(b.head)
	}
}

func (b *pushed) Write(d []byte) (int, error) {
	b.begin(http.StatusOK)
	if b.status != http.StatusOK {
		b.refusal = append(b.refusal, d[:min(len(d), words-len(b.refusal))]...)
		return len(d), nil
	}
	b.timer.Reset(stalled)
	n, err := b.pipe.Write(d)
	b.timer.Stop()
	b.sum.Write(d[:n])
	return n, err
}
