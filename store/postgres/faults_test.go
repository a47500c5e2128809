package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"kakehashi/internal/fault"
	"kakehashi/store"
	"kakehashi/store/postgres"
	"kakehashi/store/storetest/cluster"
)

// warm gives db n connections, and a row 1000+i by each.
func warm(t *testing.T, db store.DB, n int) {
	t.Helper()
	var group, begun sync.WaitGroup
	begun.Add(n)
	for i := range n {
		group.Go(func() {
			var once sync.Once
			if err := db.Update(context.Background(), func(tx store.Tx) error {
				once.Do(func() { begun.Done(); begun.Wait() })
				return tx.Exec("INSERT INTO t_rows (participant, id) VALUES ($1, $2)", "tokyo", 1000+i)
			}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

// ledger is what units were told.
type ledger struct {
	mu         sync.Mutex
	kept, open []int // acknowledged; told that it is not known
}

func (l *ledger) put(t *testing.T, db store.DB, id int) error {
	err := put(db, id)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.kept = append(l.kept, id)
	case errors.Is(err, fault.StoreUnknown) && errors.Is(err, fault.Unavailable):
		l.open = append(l.open, id)
	case !errors.Is(err, fault.StoreAway) || !errors.Is(err, fault.Unavailable):
		t.Errorf("unit %d failed with %v", id, err)
	}
	return err
}

// check compares with what is there: all that was acknowledged, and nothing that
// was told to have failed.
func (l *ledger) check(t *testing.T, db store.DB) {
	t.Helper()
	have := kept(t, db)
	for _, id := range l.kept {
		if !have[id] {
			t.Errorf("%d was acknowledged and is not there", id)
		}
	}
	for id := range have {
		if id < 1000 && !slices.Contains(l.kept, id) && !slices.Contains(l.open, id) {
			t.Errorf("%d was told to have failed and is there", id)
		}
	}
}

func TestACutInTheMiddleOfACommitIsTakenForNeither(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cut  func(cluster.Message) bool
		kept int
	}{
		"before the server hears of it": {func(m cluster.Message) bool { return m.Kind == 'B' && m.Query == "COMMIT" }, 0},
		"before its answer comes":       {func(m cluster.Message) bool { return m.FromServer && m.Kind == 'C' && string(m.Body) == "COMMIT\x00" }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, line := through(t, server(t), 0, rowsSchema)
			if err := put(db, 1); err != nil {
				t.Fatal(err)
			}
			var cut atomic.Int64
			line.Tamper(func(m cluster.Message) cluster.Verdict {
				if c.cut(m) && cut.Add(1) == 1 {
					return cluster.Cut
				}
				return cluster.Pass
			})
			runs := 0
			err := db.Update(t.Context(), func(tx store.Tx) error {
				runs++
				tx.AfterCommit(func() { t.Error("something followed a commit that nobody knows of") })
				if err := tx.QueryRow("SELECT COUNT(*) FROM t_rows WHERE participant = $1", "tokyo").Scan(new(int)); err != nil {
					return err
				}
				return tx.Exec("INSERT INTO t_rows (participant, id) VALUES ($1, $2)", "tokyo", 2)
			})
			if !errors.Is(err, fault.StoreUnknown) || !errors.Is(err, fault.Unavailable) || errors.Is(err, fault.StoreAway) {
				t.Errorf("it was told %v", err)
			}
			if runs != 1 {
				t.Errorf("it ran %d times, and may have been kept twice", runs)
			}
			line.Tamper(nil)
			if n := len(kept(t, db)); n != 1+c.kept {
				t.Errorf("%d rows are kept", n)
			}
			if err := put(db, 3); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestACutBeforeTheCommitCostsASecondRun(t *testing.T) {
	t.Parallel()
	db, line := through(t, server(t), 0, rowsSchema)
	warm(t, db, 1)
	var cut atomic.Int64
	line.Tamper(func(m cluster.Message) cluster.Verdict {
		if m.FromServer && m.Kind == 'D' && cut.Add(1) == 1 {
			return cluster.Cut
		}
		return cluster.Pass
	})
	runs := 0
	err := db.Update(t.Context(), func(tx store.Tx) error {
		runs++
		if err := tx.Exec("INSERT INTO t_rows (participant, id) VALUES ($1, $2)", "tokyo", runs); err != nil {
			return err
		}
		return tx.QueryRow("SELECT COUNT(*) FROM t_rows WHERE participant = $1", "tokyo").Scan(new(int))
	})
	if have := kept(t, db); err != nil || runs != 2 || len(have) != 2 || !have[2] {
		t.Errorf("%v after %d runs; kept %v", err, runs, have)
	}
}

// Longer than the patience: every unit is told, none hangs, and the store goes
// on by itself.
func TestAServerThatFallsSilentIsGivenUpAndFoundAgain(t *testing.T) {
	t.Parallel()
	db, line := through(t, server(t), 300*time.Millisecond, rowsSchema)
	warm(t, db, 4)
	var told ledger
	for round := range 2 {
		line.Silence(true)
		var group sync.WaitGroup
		for i := range 16 {
			group.Go(func() {
				if err := told.put(t, db, round*100+i); err == nil {
					t.Error("a unit was acknowledged by nobody")
				}
				if err := db.View(context.Background(), func(tx store.Tx) error {
					return tx.QueryRow("SELECT COUNT(*) FROM t_rows WHERE participant = $1", "tokyo").Scan(new(int))
				}); !errors.Is(err, fault.StoreAway) {
					t.Errorf("a view: %v", err)
				}
			})
		}
		group.Wait()
		line.Cut() // what it holds of old connections comes late or never
		line.Silence(false)
		for i := range 8 {
			if err := told.put(t, db, round*100+50+i); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		}
		told.check(t, db)
	}
}

func TestASlowServerMakesUnitsSlowAndNothingElse(t *testing.T) {
	t.Parallel()
	db, line := through(t, server(t), 0, rowsSchema)
	warm(t, db, 4)
	line.Delay(20 * time.Millisecond)
	var told ledger
	var group sync.WaitGroup
	for g := range 16 {
		group.Go(func() {
			for i := range 4 {
				if err := told.put(t, db, g*10+i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	told.check(t, db)
}

func TestAConnectionThatIsRefusedIsNamedAndHadLater(t *testing.T) {
	t.Parallel()
	db, line := through(t, server(t), 0, rowsSchema)
	warm(t, db, 4)
	line.Refuse(true)
	line.Cut()
	if err := put(db, 1); !errors.Is(err, fault.StoreAway) || !errors.Is(err, fault.Unavailable) {
		t.Errorf("update: %v", err)
	}
	if err := db.View(t.Context(), func(store.Tx) error { return nil }); !errors.Is(err, fault.StoreAway) {
		t.Errorf("view: %v", err)
	}
	line.Refuse(false)
	if err := put(db, 1); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A firewall that has forgotten connections that rest takes none of their units.
func TestConnectionsThatAFirewallForgotAreNoticedBeforeTheyAreUsed(t *testing.T) {
	t.Parallel()
	db, line := through(t, server(t), 2*time.Second, rowsSchema)
	warm(t, db, 4)
	line.Forget()
	db.Rest(30 * time.Second)
	began := time.Now()
	for i := range 20 {
		if err := put(db, i); err != nil {
			t.Error(err)
		}
	}
	// Once for all of them it waits, not once for each.
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	if n := len(kept(t, db)); n != 24 {
		t.Errorf("%d rows", n)
	}
}

// connections counts those of the program that calls itself name.
func connections(t *testing.T, db store.DB, name string) (n int) {
	t.Helper()
	if err := db.View(t.Context(), func(tx store.Tx) error {
		return tx.QueryRow("SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = $1", name).Scan(&n)
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestConnectionsThatNobodyNeedsAreGivenUp(t *testing.T) {
	t.Parallel()
	at := server(t)
	const name = "needs-few"
	db, other := open(t, at+"&application_name="+name, 8, rowsSchema), open(t, at, 1)
	warm(t, db, 8)
	if n := connections(t, other, name); n != 8 {
		t.Fatalf("%d connections", n)
	}
	db.Rest(2 * time.Minute)
	for i := range 10 {
		if err := put(db, i); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(patient)
	for n := connections(t, other, name); n != 1; n = connections(t, other, name) { // the server sees an end a moment later
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are left", n)
		}
	}
}

// A server that takes fewer connections than its programs would like: they make
// do with what they have, and one that has none is told so.
func TestAServerWithoutRoomForMoreConnections(t *testing.T) {
	t.Parallel()
	c := own(t, "max_connections=8", "superuser_reserved_connections=0")
	a, b := open(t, c.URL(), 16, rowsSchema), open(t, c.URL(), 16)
	var group sync.WaitGroup
	for g := range 32 {
		group.Go(func() {
			db := []store.DB{a, b}[g%2]
			for i := range 8 {
				if err := put(db, g*10+i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if n := len(kept(t, a)); n != 256 {
		t.Errorf("%d of 256 are kept", n)
	}
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Error(err)
	}
	var full []*pgconn.PgConn
	for { // the server sees the ends of the others a moment later
		p, err := pgconn.Connect(t.Context(), c.URL())
		if err != nil {
			break
		}
		full = append(full, p)
	}
	hasty := func() (*postgres.DB, error) {
		return postgres.Open(context.Background(), postgres.Config{URL: c.URL(), Patience: 200 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	}
	for {
		db, err := hasty()
		if err == nil { // one more end was seen
			p, err := pgconn.Connect(t.Context(), c.URL())
			db.Close()
			if err == nil {
				full = append(full, p)
			}
			continue
		}
		if !errors.Is(err, fault.StoreCrowded) || !errors.Is(err, fault.Unavailable) {
			t.Errorf("got %v", err)
		}
		break
	}
	for _, p := range full {
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	deadline := time.Now().Add(patient)
	for {
		db, err := hasty()
		if err == nil {
			db.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(fmt.Errorf("there is room again: %w", err))
		}
	}
}
