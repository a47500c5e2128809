package dsphttp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"time"

	"kakehashi/internal/bound"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/participant"
)

// sender is a caller that has been authenticated.
type sender struct {
	p      participant.ID
	caller string
}

// paced counts a request of the address that it comes from, whoever sends it. It
// answers one that is too many, and says whether to go on.
func (s *Server) paced(c *call) bool {
	tell, err := s.addresses.Take(bound.From(c.r.RemoteAddr))
	return s.within(c, tell, err)
}

// pacedCaller is paced for a counterpart that has shown who it is.
func (s *Server) pacedCaller(c *call) bool {
	tell, err := s.callers.Take(sender{c.p.ID, c.caller.ID})
	return s.within(c, tell, err)
}

func (s *Server) within(c *call, tell bool, err error) bool {
	if err == nil {
		return true
	}
	if tell { // an address is personal data, so it is not named
		s.c.Log.WarnContext(c.r.Context(), "too many requests, some are refused", "participant", string(c.p.ID),
			"counterparty", c.caller.ID, "code", fault.Of(err).Kind.Code)
	}
	c.fail(s, err)
	return false
}

// slowest is how long a message may take to arrive, and an answer to be taken: a
// counterpart that dribbles or reads nothing holds no connection for longer.
const slowest = 30 * time.Second

// read takes the body in, within the time that one may take.
func (s *Server) read(c *call) ([]byte, error) {
	s.deadline(c, (*http.ResponseController).SetReadDeadline, s.slowest)
	b, err := strictjson.Read(c.r.Body, s.c.MaxBody)
	switch {
	case err == nil:
		// What was read in time may be worked on for longer.
		s.deadline(c, (*http.ResponseController).SetReadDeadline, 0)
		return b, nil
	case errors.Is(err, strictjson.ErrTooLarge):
		return nil, fault.TooLarge.At("", "limit", s.c.MaxBody)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fault.TooSlow.At("", "within", s.slowest)
	}
	return nil, fault.BadMessage.At("", "reason", "the body could not be read").Because(err)
}

// write puts the answer on its way, whole, within the time that one may take.
func (s *Server) write(c *call, status int, body []byte) error {
	s.deadline(c, (*http.ResponseController).SetWriteDeadline, s.slowest)
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead && status != http.StatusNotModified {
		if _, err := c.w.Write(body); err != nil {
			return err
		}
	}
	if err := http.NewResponseController(c.w).Flush(); err != nil {
		return err
	}
	s.deadline(c, (*http.ResponseController).SetWriteDeadline, 0)
	return nil
}

// deadline sets one of the connection's deadlines, 0 for none. They are the
// system's and follow its clock.
func (s *Server) deadline(c *call, set func(*http.ResponseController, time.Time) error, in time.Duration) {
	var at time.Time
	if in > 0 {
		at = time.Now().Add(in)
	}
	if err := set(http.NewResponseController(c.w), at); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.c.Log.Log(context.WithoutCancel(c.r.Context()), slog.LevelDebug, "no deadline on a connection", "err", err)
	}
}
