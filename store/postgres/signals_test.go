package postgres_test

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/store"
	"kakehashi/store/postgres"
	"kakehashi/store/storetest/cluster"
)

// ear is a Listen that runs.
type ear struct {
	heard chan string
	lost  chan bool
	ended chan error
	stop  context.CancelFunc
}

func listen(t *testing.T, s *postgres.Signals) *ear {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	e := &ear{heard: make(chan string, 1000), lost: make(chan bool, 1000), ended: make(chan error, 1), stop: stop}
	go func() {
		e.ended <- s.Listen(ctx, func(p string) { e.heard <- p }, func() { e.lost <- true })
	}()
	t.Cleanup(func() {
		stop()
		if err, open := <-e.ended; open && err != nil {
			t.Errorf("listen ended with %v", err)
		}
	})
	return e
}

const patient = 20 * time.Second // for what must come; only a failing test waits so long

func (e *ear) awaitLost(t *testing.T) {
	t.Helper()
	select {
	case <-e.lost:
	case err := <-e.ended:
		close(e.ended)
		t.Fatalf("listen ended: %v", err)
	case <-time.After(patient):
		t.Fatal("lost was not called")
	}
}

func (e *ear) await(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-e.heard:
		if got != want {
			t.Errorf("heard %.40q, want %.40q", got, want)
		}
	case <-time.After(patient):
		t.Fatalf("%.40q was not heard", want)
	}
}

func send(t *testing.T, s *postgres.Signals, payload string) {
	t.Helper()
	if err := s.Send(t.Context(), payload); err != nil {
		t.Fatal(err)
	}
}

func TestTwoProgramsHearEachOtherAndNotThemselves(t *testing.T) {
	t.Parallel()
	at := server(t)
	a, b := open(t, at, 2).Signals(), open(t, at, 2).Signals()
	elsewhere := open(t, server(t), 2).Signals() // another schema of the same database
	atA, atB, other := listen(t, a), listen(t, b), listen(t, elsewhere)
	atA.awaitLost(t)
	atB.awaitLost(t)
	other.awaitLost(t)
	long := strings.Repeat("架", postgres.MostSignal/3)
	for _, payload := range []string{"first", "", "it's $1; 架け橋 🌉", long} {
		send(t, a, payload)
		atB.await(t, payload)
	}
	send(t, b, "back")
	atA.await(t, "back") // and none of its own before it
	send(t, elsewhere, "there")
	send(t, a, "last")
	atB.await(t, "last")
	if len(other.heard)+len(atA.heard)+len(atB.heard) != 0 {
		t.Error("something was heard by whom it is not for")
	}
}

func TestWhatIsNoSignalIsRefused(t *testing.T) {
	t.Parallel()
	db := open(t, server(t), 2)
	s := db.Signals()
	if err := s.Send(t.Context(), strings.Repeat("x", postgres.MostSignal+1)); err == nil {
		t.Error("a signal that is too long was sent")
	}
	if err := s.Send(t.Context(), "a\x00b"); !errors.Is(err, fault.StoreText) {
		t.Errorf("NUL: %v", err)
	}
	send(t, s, "goes on")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Send(ended, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
	db.Close()
	if err := s.Send(t.Context(), "x"); !errors.Is(err, store.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestListenEndsWithTheStore(t *testing.T) {
	t.Parallel()
	db := open(t, server(t), 2)
	e := listen(t, db.Signals())
	e.awaitLost(t)
	db.Close()
	if err := <-e.ended; !errors.Is(err, store.ErrClosed) {
		t.Errorf("got %v", err)
	}
	close(e.ended)
}

// The connection that listens breaks: what was missed is told as such, and what
// comes later is heard.
func TestAListenerThatIsCutSaysSoAndHearsAgain(t *testing.T) {
	t.Parallel()
	at := server(t)
	const name = "to-be-cut"
	db, other := open(t, at+"&application_name="+name, 2), open(t, at, 2)
	e := listen(t, db.Signals())
	e.awaitLost(t)
	for round := range 3 {
		if err := other.View(t.Context(), func(tx store.Tx) error {
			var n int
			err := tx.QueryRow("SELECT COUNT(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = $1 AND query LIKE 'LISTEN%'", name).Scan(&n)
			if n != 1 {
				t.Errorf("round %d: %d were cut", round, n)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		e.awaitLost(t) // the break
		e.awaitLost(t) // and that it hears again
		s := other.Signals()
		send(t, s, "after")
		e.await(t, "after")
	}
}

// through opens a store over a line that the test may harm.
func through(t *testing.T, at string, patience time.Duration, schemas ...store.Schema) (*postgres.DB, *cluster.Line) {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	line, err := cluster.NewLine(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { line.Close() })
	db, err := postgres.Open(context.Background(), postgres.Config{URL: line.URL(at), Schemas: schemas, Conns: 4,
		Patience: patience, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db, line
}

// Nobody tells a program whose line was dropped silently; it asks.
func TestAListenerNoticesALineThatWasDroppedSilently(t *testing.T) {
	t.Parallel()
	at := server(t)
	db, line := through(t, at, time.Second)
	other := open(t, at, 2).Signals()
	e := listen(t, db.Signals())
	e.awaitLost(t)
	line.Silence(true)
	e.awaitLost(t)
	line.Cut()
	line.Silence(false)
	for {
		select {
		case <-e.lost: // it may hear again
			send(t, other, "after")
		case <-e.heard:
			return
		case <-time.After(patient):
			t.Fatal("it hears nothing any more")
		}
	}
}

func TestAServerWithoutSignalsIsKnownAtOnce(t *testing.T) {
	t.Parallel()
	at := server(t)
	mute := func(m cluster.Message) cluster.Verdict {
		if m.FromServer && m.Kind == 'A' { // as a pooler of connections that is one for each transaction
			return cluster.Drop
		}
		return cluster.Pass
	}
	unable := func(t *testing.T, s *postgres.Signals) {
		t.Helper()
		err := s.Listen(t.Context(), func(string) { t.Error("it heard something") }, func() { t.Error("lost was called") })
		if !errors.Is(err, postgres.ErrNoSignals) {
			t.Errorf("listen: %v", err)
		}
	}
	t.Run("what is sent does not come", func(t *testing.T) {
		t.Parallel()
		db, line := through(t, at, 0)
		line.Tamper(mute)
		unable(t, db.Signals())
	})
	t.Run("it has no LISTEN", func(t *testing.T) {
		t.Parallel()
		db, line := through(t, at, 0)
		line.Tamper(func(m cluster.Message) cluster.Verdict {
			if !m.FromServer && m.Kind == 'Q' && strings.HasPrefix(string(m.Body), "LISTEN") {
				copy(m.Body, "LOSTEN") // a syntax error
			}
			return cluster.Pass
		})
		unable(t, db.Signals())
	})
	t.Run("it has no NOTIFY", func(t *testing.T) {
		t.Parallel()
		db, line := through(t, at, 0)
		line.Tamper(func(m cluster.Message) cluster.Verdict {
			if i := strings.Index(string(m.Body), "pg_notify"); !m.FromServer && m.Kind == 'P' && i >= 0 {
				copy(m.Body[i:], "pg_nobody")
			}
			return cluster.Pass
		})
		s := db.Signals()
		if err := s.Send(t.Context(), "x"); !errors.Is(err, postgres.ErrNoSignals) {
			t.Errorf("send: %v", err)
		}
		unable(t, s)
	})
}
