package dataplane

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"

	"kakehashi/internal/fault"
)

// Facts are what is known of a request before it is admitted.
type Facts struct {
	Grant  string // from the address, or the user name of a stream
	Method string // of HTTP or of the stream's protocol
	Path   string // below the grant's base
}

// Session is one admitted request or stream of any protocol. Its context ends
// with the grant; context.Cause says why. Whoever called Admit calls End.
type Session struct {
	context.Context
	Grant

	plane  *Plane
	live   *live
	cancel context.CancelCauseFunc
	reset  func() // frees a blocked write; set before the session is in use
	expire *time.Timer
	ended  bool

	payload string // digest that the format named
}

// Admit checks the token and the terms for one request. The token may come as
// Authorization carries it: Bearer T, Token T, Basic with T as password, or T
// alone. Errors: fault.TokenMissing and GrantUnknown (401), GrantClosed and
// GrantSuspended (403) with the reason, and what the gate explains.
func (p *Plane) Admit(ctx context.Context, token string, f Facts) (*Session, error) {
	return p.admit(ctx, token, f, func() {})
}

func (p *Plane) admit(ctx context.Context, token string, f Facts, reset func()) (*Session, error) {
	t, ok := bare(token)
	if !ok {
		return nil, fault.TokenMissing.At("")
	}
	if len(f.Grant) != 36 { // ours are UUIDs: no read for what cannot be one
		return nil, fault.GrantUnknown.At("")
	}
	digest := sha256.Sum256([]byte(t))
	return p.join(ctx, f.Grant, func(r record) error {
		if r.Way == WayPush || subtle.ConstantTimeCompare(digest[:], r.digest) != 1 {
			return fault.GrantUnknown.At("")
		}
		return nil
	}, reset)
}

// join begins one use of a grant that may says is allowed, if the grant is open
// and the terms permit it.
func (p *Plane) join(ctx context.Context, id string, may func(record) error, reset func()) (*Session, error) {
	began := p.c.Now()
	for {
		l, err := p.known(ctx, id)
		if err != nil {
			return nil, err
		}
		p.mu.Lock()
		r, read := l.record, l.read
		p.mu.Unlock()
		err = may(r)
		if err == nil && r.State != StateOpen {
			err = refusal(r.State, r.Why)
		}
		if err != nil && read.Before(began) && p.c.Watch.Shared() { // opened again, or with a new token, by another replica?
			p.stale(id)
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := p.judge(ctx, l); err != nil {
			return nil, err
		}
		s := &Session{Grant: r.Grant, plane: p, live: l, reset: reset}
		s.Context, s.cancel = context.WithCancelCause(ctx)
		p.mu.Lock()
		if p.closing {
			p.mu.Unlock()
			s.cancel(nil)
			return nil, fault.Unavailable.At("")
		}
		if l.dead {
			p.mu.Unlock()
			s.cancel(nil)
			continue // it was changed or forgotten while we judged
		}
		l.sessions[s] = struct{}{}
		p.sessions.Add(1)
		p.ticks()
		s.watch()
		p.mu.Unlock()
		return s, nil
	}
}

// End gives the session back. It may be called twice.
func (s *Session) End() {
	s.plane.mu.Lock()
	defer s.plane.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	delete(s.live.sessions, s)
	if s.expire != nil {
		s.expire.Stop()
	}
	s.cancel(context.Canceled)
	s.plane.sessions.Done()
}

// judge asks the gate, unless its last answer still holds. An answer is kept
// until its end, and never longer than a row: so a change of policy is seen as
// soon as a change of the grant.
func (p *Plane) judge(ctx context.Context, l *live) error {
	now := p.c.Now()
	p.mu.Lock()
	who, agreement := l.Participant, l.Agreement
	holds := now.Sub(l.judged) < Fresh && (l.until.IsZero() || now.Before(l.until))
	p.mu.Unlock()
	if holds {
		return nil
	}
	until, err := p.c.Gate.Access(ctx, who, agreement, now)
	if err != nil {
		return err
	}
	if !until.IsZero() && !now.Before(until) {
		return fault.GrantClosed.At("", "why", "the terms ended at "+until.UTC().Format(time.RFC3339))
	}
	p.mu.Lock()
	l.judged, l.until = now, until
	p.mu.Unlock()
	return nil
}

// watch asks the gate again the moment its answer ends and cuts the session
// when it refuses. p.mu is held.
func (s *Session) watch() {
	until := s.live.until
	if until.IsZero() {
		return
	}
	s.expire = time.AfterFunc(until.Sub(s.plane.c.Now()), func() {
		if err := s.plane.judge(s.Context, s.live); err != nil && s.Err() == nil {
			s.cancel(err)
			s.reset()
			return
		}
		s.plane.mu.Lock()
		defer s.plane.mu.Unlock()
		if !s.ended {
			s.watch()
		}
	})
}

// bare takes the token out of any form in which clients send it.
func bare(authorization string) (string, bool) {
	t := strings.TrimSpace(authorization)
	if scheme, rest, found := strings.Cut(t, " "); found {
		t = strings.TrimSpace(rest)
		switch strings.ToLower(scheme) {
		case "bearer", "token":
		case "basic":
			b, err := base64.StdEncoding.DecodeString(t)
			if err != nil {
				return "", false
			}
			_, password, found := strings.Cut(string(b), ":")
			if !found {
				return "", false
			}
			t = password
		default:
			return "", false
		}
	}
	return t, len(t) == base64.RawURLEncoding.EncodedLen(tokenBytes)
}
