package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"kakehashi/internal/fault"
)

// maxRequest bounds the body of a request to a data plane address.
const maxRequest = 1 << 20

// Handler serves /data/GRANT/... Set ConnContext on its server. Mount it without http.ServeMux's path cleaning
// (decisions 9) and on a server without a WriteTimeout: downloads take as long as
// they take, and a cut frees what is blocked.
func (p *Plane) Handler() http.Handler { return http.HandlerFunc(p.serve) }

func (p *Plane) serve(w http.ResponseWriter, r *http.Request) {
	below, grant, ok := split(r)
	if !ok {
		Refuse(w, r, fault.NotFound.At("", "what", "this address"))
		return
	}
	tokens := r.Header.Values("Authorization")
	if len(tokens) != 1 {
		Refuse(w, r, fault.TokenMissing.At(""))
		return
	}
	conn := newConnection(w, r)
	if conn.raw == nil && !r.ProtoAtLeast(1, 1) {
		Refuse(w, r, fault.HTTPVersion.At(""))
		return
	}
	s, err := p.admit(r.Context(), tokens[0], Facts{Grant: grant, Method: r.Method, Path: below.Path}, conn.free)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	defer s.End()
	if s.Way == WayReceive {
		p.receive(w, r, below.Path, s, conn)
		return
	}
	f, err := p.format(s.Service, s.Format)
	if err == nil {
		err = p.begin(s)
	}
	if err != nil {
		conn.done()
		p.refuse(w, r, err)
		return
	}

	inner := r.WithContext(s)
	inner.URL = below
	inner.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	out := &writer{
		ResponseWriter: w, s: s, announced: -1,
		head: r.Method == http.MethodHead, direct: r.TLS == nil && r.ProtoMajor == 1,
	}
	panicked := p.run(f, out, inner, s)
	conn.done()
	switch {
	case out.status == 0 && s.Err() != nil: // cut before it said anything
		if err := conn.unfree(); err == nil {
			p.refuse(w, r, fault.Of(causeOf(s)))
			return
		}
		conn.abort()
	case out.status == 0 && panicked:
		Refuse(w, r, fault.Internal.At(""))
	case panicked || s.Err() != nil || !out.whole():
		conn.abort()
	}
}

// run has the format answer. A panic of it is ours to log; http.ErrAbortHandler
// is a format's way to end a response by reset.
func (p *Plane) run(f *Format, w *writer, r *http.Request, s *Session) (panicked bool) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		panicked = true
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			if w.status == 0 {
				w.status = http.StatusOK // it wants no answer
			}
			return
		}
		p.c.Log.Error("a format of the data plane panicked", "participant", s.Participant, "process_id", s.Transfer,
			"format", s.Format, "err", fmt.Sprint(v), "stack", string(debug.Stack()))
	}()
	f.Serve(w, r, s)
	return false
}

func (p *Plane) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if f := fault.Of(err); f.Kind.Status >= 500 {
		p.c.Log.Error("a data plane request could not be served", "err", f)
	}
	Refuse(w, r, err)
}

func causeOf(s *Session) error {
	var f *fault.Error
	if err := context.Cause(s); errors.As(err, &f) {
		return f
	}
	return fault.Unavailable.At("")
}

// split takes all up to /data/GRANT off the path, also below a prefix of the
// data URL; what is left starts with "/".
func split(r *http.Request) (below *url.URL, grant string, ok bool) {
	_, rest, ok := strings.Cut(r.URL.Path, "/data/")
	if !ok {
		return nil, "", false
	}
	grant, path, _ := strings.Cut(rest, "/")
	u := *r.URL
	u.Path = "/" + path
	if u.RawPath != "" {
		_, raw, ok := strings.Cut(u.RawPath, "/data/"+grant)
		if !ok {
			return nil, "", false // an escaped grant id is none of ours
		}
		if u.RawPath = raw; raw == "" {
			u.RawPath = "/"
		}
	}
	return &u, grant, grant != ""
}
