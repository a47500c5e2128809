package postgres

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	jitter "math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"kakehashi/store"
)

// ErrNoSignals tells of a server that lets programs say nothing to each other: it
// has no LISTEN, or something between us and it does not pass on what it says.
var ErrNoSignals = errors.New("store: the server has no LISTEN and NOTIFY")

// MostSignal is how many bytes a signal may have.
const MostSignal = 7900

const (
	tell        = "SELECT pg_notify($1, $2)"
	probeWithin = 2 * time.Second
	sendWithin  = 5 * time.Second
	mostQuiet   = 10 * time.Second // then the line is asked whether it is still there
	againAfter  = 50 * time.Millisecond
	againWithin = time.Second
)

var tellShape = &shape{params: []uint32{typeText, typeText}, cols: []uint32{typeVoid}, formats: []int16{0}, reads: true}

// Signals are short texts between the programs that share a database and a
// schema. They are hints: some may be lost or come twice, and nothing may be
// wrong without them, only later.
type Signals struct {
	db   *DB
	from string // begins what is ours
}

// Signals gives the DB's way to the others; what it sends, it does not hear.
// Each call makes one of its own.
func (db *DB) Signals() *Signals { return &Signals{db: db, from: rand.Text()[:16]} }

// Send tells payload, of at most MostSignal bytes of text, to all that listen. It
// is no part of any transaction: what it speaks of must be durable already. A
// server without signals is ErrNoSignals.
func (s *Signals) Send(ctx context.Context, payload string) error {
	if len(payload) > MostSignal {
		return fmt.Errorf("store: a signal of %d bytes, at most %d", len(payload), MostSignal)
	}
	return s.send(ctx, ":"+payload)
}

// send tries twice, since a connection of the pool may have just ended.
func (s *Signals) send(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	for n := 1; ; n++ {
		err := s.once(ctx, text)
		var l *lost
		if n > 1 || !errors.As(err, &l) || ctx.Err() != nil {
			return err
		}
	}
}

func (s *Signals) once(ctx context.Context, text string) error {
	if s.db.isClosed() {
		return store.ErrClosed
	}
	c, err := s.db.take(ctx)
	if err != nil {
		return err
	}
	defer func() { s.db.give(c) }()
	ended := context.AfterFunc(ctx, func() { c.net.Close() })
	st := c.kept[tell]
	if st == nil {
		st = c.keep(tell, tellShape)
		c.parse(st.name, tell)
	}
	if err = c.run(st, tell, []any{s.db.channel, s.from + text}); err == nil {
		err = c.sync()
	}
	if !ended() {
		c.fail(ctx.Err())
		return ctx.Err()
	}
	if err != nil && c.broken == nil { // nothing of a statement that failed stays
		c.close()
	}
	return s.lacking(err)
}

// Listen calls heard with each signal of others, until ctx ends: then it returns
// nil. lost is called once it hears, and whenever something may have been missed:
// after a break, and from time to time while the line cannot be had again. Both
// are called one at a time and must not block. It returns ErrNoSignals when the
// server does not tell it what it sends itself, and store.ErrClosed after Close.
func (s *Signals) Listen(ctx context.Context, heard func(payload string), lost func()) error {
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.db.closed:
			cancel()
		case <-within.Done():
		}
	}()
	l := &listener{Signals: s, heard: heard, lost: lost}
	rest, told := againAfter, false
	for {
		err := l.run(within)
		switch {
		case ctx.Err() != nil:
			return nil
		case s.db.isClosed():
			return store.ErrClosed
		case errors.Is(err, ErrNoSignals) && !l.proven:
			return err
		}
		if l.here {
			rest, told, l.here = againAfter, false, false
		}
		if !told {
			s.db.log.Warn("other programs are not heard for now", "err", err)
			told = true
		}
		lost()
		wait := time.NewTimer(rest/2 + jitter.N(rest))
		select {
		case <-wait.C:
		case <-within.Done():
			wait.Stop()
		}
		rest = min(2*rest, againWithin)
	}
}

type listener struct {
	*Signals
	heard  func(string)
	lost   func()
	proven bool // the server has told us once
	here   bool // it does at present
}

// run listens on a connection of its own until that breaks.
func (l *listener) run(ctx context.Context) error {
	c, err := l.db.connect(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	defer context.AfterFunc(ctx, func() { c.net.Close() })()
	if err := c.script("LISTEN " + l.db.channel); err != nil {
		return l.lacking(err)
	}
	probe := "?" + rand.Text()
	if err := l.send(ctx, probe); err != nil {
		return err
	}
	quiet, asked := min(mostQuiet, l.db.patience/2), false
	for {
		limit := quiet
		if !l.here {
			limit = probeWithin
		} else if asked {
			limit = min(askWithin, quiet)
		}
		c.net.SetReadDeadline(time.Now().Add(limit))
		m, err := c.in.Receive()
		var silent net.Error
		switch {
		case err == nil:
		case !errors.As(err, &silent) || !silent.Timeout() || asked:
			return err
		case !l.here:
			return ErrNoSignals
		default: // is it still there?
			asked = true
			c.end(c.message('S'))
			c.net.SetWriteDeadline(time.Now().Add(askWithin))
			if _, err := c.net.Write(c.out); err != nil {
				return err
			}
			c.out = c.out[:0]
			continue
		}
		switch m := m.(type) {
		case *pgproto3.ReadyForQuery:
			asked = false
		case *pgproto3.ErrorResponse:
			return pgconn.ErrorResponseToPgError(m)
		case *pgproto3.NotificationResponse:
			l.take(m.Payload, probe)
		}
	}
}

// take sorts what comes in.
func (l *listener) take(text, probe string) {
	if rest, ours := strings.CutPrefix(text, l.from); ours {
		if rest == probe && !l.here {
			l.here, l.proven = true, true
			l.lost()
		}
		return
	}
	if len(text) > len(l.from) && text[len(l.from)] == ':' {
		l.heard(text[len(l.from)+1:])
	}
}

// lacking makes ErrNoSignals of what a server says that does not know them.
func (s *Signals) lacking(err error) error {
	switch state(err) {
	case "42601", "42883", "0A000": // syntax, no such function, not supported
		return fmt.Errorf("%w: %w", ErrNoSignals, err)
	case "":
		return err
	}
	return s.db.translate(err, false)
}

// channel is the name under which the programs of one schema speak: a server has
// one space of names for all schemas of a database.
func channel(schema string) string {
	sum := sha256.Sum256([]byte(schema))
	return "kakehashi_" + hex.EncodeToString(sum[:8])
}
