package process

import (
	"context"
	"errors"
	"testing"
	"time"

	"kakehashi/internal/watch"
	"kakehashi/internal/watch/watchtest"
	"kakehashi/store"
	"kakehashi/store/storetest"
	"testing/fstest"
)

// note is a process with nothing but its head.
type note struct{ Head }

func (note) Encode() ([]byte, error) { return []byte("{}"), nil }
func (note) Newer() bool             { return false }

var notes = store.SchemaIn("note", fstest.MapFS{"schema/0001_init.sql": {Data: []byte(`CREATE TABLE note_processes (
	participant TEXT NOT NULL, id TEXT NOT NULL, role TEXT NOT NULL, counterparty TEXT NOT NULL, peer_pid TEXT, start_key TEXT,
	state TEXT NOT NULL, version BIGINT NOT NULL, agreement TEXT NOT NULL, body BYTEA NOT NULL, created BIGINT NOT NULL,
	updated BIGINT NOT NULL, PRIMARY KEY (participant, id));`)}})

func newBook(db store.DB, w Watch) *Book[note] {
	return NewBook("note", db, w, func(h Head, _ []byte) (note, error) { return note{h}, nil })
}

// move writes the next version of a process as a replica does.
func move(t *testing.T, db store.DB, b *Book[note], state State, version int64) {
	t.Helper()
	q := note{Head{Participant: "tokyo", ID: "n", Role: Provider, Counterparty: "c", State: state, Version: version, Created: time.Unix(1, 0), Updated: time.Unix(version, 0)}}
	err := db.Update(context.Background(), func(tx store.Tx) error {
		tx.AfterCommit(func() { b.Ring(q) })
		if version == 1 {
			return b.Insert(tx, q)
		}
		return b.Save(tx, q, version-1)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func version(t *testing.T, b *Book[note]) int64 {
	t.Helper()
	q, _, err := b.Find(t.Context(), "tokyo", "n")
	if err != nil {
		t.Fatal(err)
	}
	return q.Version
}

func TestABookForgetsWhatAnotherReplicaMoved(t *testing.T) {
	t.Parallel()
	db, hubs := storetest.Open(t, notes), watchtest.New()
	a, b := newBook(db, hubs.A), newBook(db, hubs.B)
	move(t, db, a, "X", 1)
	if version(t, b) != 1 {
		t.Fatal("not read")
	}
	move(t, db, a, "Y", 2)
	if v := version(t, b); v != 2 {
		t.Errorf("told of version 2, it shows %d", v)
	}
	hubs.B.Heard(watch.Change{Participant: "tokyo", Kind: "note", ID: "n", Version: 1}) // late
	if _, ok := b.Known("tokyo", "n"); !ok {
		t.Error("it forgets what is newer than it hears of")
	}
	hubs.Cut()
	move(t, db, a, "Z", 3)
	if v := version(t, b); v != 2 {
		t.Fatalf("nobody told it, and it shows %d", v)
	}
	// What it would write is refused by the table.
	q, _ := b.Known("tokyo", "n")
	q.Version++
	if err := db.Update(t.Context(), func(tx store.Tx) error { return b.Save(tx, q, 2) }); !errors.Is(err, ErrMoved) {
		t.Errorf("a stale process is written: %v", err)
	}
	hubs.B.Missed()
	if v := version(t, b); v != 3 {
		t.Errorf("told that something was missed, it shows %d", v)
	}
}

// behind runs meanwhile between the reading of a snapshot and its use.
type behind struct {
	store.DB
	meanwhile func()
}

func (d *behind) View(ctx context.Context, fn func(store.Tx) error) error {
	err := d.DB.View(ctx, fn)
	if d.meanwhile != nil {
		d.meanwhile()
	}
	return err
}

func TestWhatIsReadWhileAnotherReplicaMovesItIsNotKept(t *testing.T) {
	t.Parallel()
	db, hubs := storetest.Open(t, notes), watchtest.New()
	slow := &behind{DB: db}
	a, b := newBook(db, hubs.A), newBook(slow, hubs.B)
	move(t, db, a, "X", 1)
	slow.meanwhile = func() { slow.meanwhile = nil; move(t, db, a, "Y", 2) }
	if v := version(t, b); v != 1 {
		t.Fatalf("read version %d", v)
	}
	if v := version(t, b); v != 2 {
		t.Errorf("it kept version %d", v)
	}
}

func TestWhoAwaitsHearsOfAnotherReplica(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		tell func(*watchtest.Pair)
	}{
		{"told", func(*watchtest.Pair) {}},
		{"missed", func(p *watchtest.Pair) { p.B.Missed() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db, hubs := storetest.Open(t, notes), watchtest.New()
			a, b := newBook(db, hubs.A), newBook(db, hubs.B)
			move(t, db, a, "X", 1)
			if c.name == "missed" {
				hubs.Cut()
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			asked := make(chan struct{}, 16)
			got := make(chan error, 1)
			go func() {
				_, err := b.Await(ctx, "tokyo", "n", func(q note) bool { asked <- struct{}{}; return q.State == "Y" })
				got <- err
			}()
			<-asked
			move(t, db, a, "Y", 2)
			c.tell(hubs)
			if err := <-got; err != nil {
				t.Error(err)
			}
		})
	}
}
