package transfer

import (
	"context"
	"testing"
	"time"

	"kakehashi/agreement"
	"kakehashi/internal/watch"
	"kakehashi/outbox"
	"kakehashi/store"
)

// endElsewhere ends the agreement as another replica does whose unit saw no transfer.
func (w *world) endElsewhere() {
	w.t.Helper()
	n := w.tokyo
	other := agreement.Open(agreement.Config{DB: n.db, Evidence: n.log, Now: time.Now})
	check(w.t, n.db.Update(w.t.Context(), func(tx store.Tx) error { return other.End(tx, n.who.ID, agreementID, "a reason") }))
}

// A replica that was not told of the end yet starts nothing under the agreement.
func TestNoTransferBeginsUnderAnAgreementThatAnotherReplicaEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hub, now := watch.New(), time.Now()
	hub.Company(func() bool { return true })
	w.tokyo.halt()
	w.tokyo.agreed = agreement.Open(agreement.Config{DB: w.tokyo.db, Evidence: w.tokyo.log, Watch: hub, Now: func() time.Time { return now }})
	w.tokyo.boot()
	if _, err := w.tokyo.agreed.Get(t.Context(), "tokyo", agreementID); err != nil {
		t.Fatal(err)
	}
	w.endElsewhere()
	if a, err := w.tokyo.agreed.Get(t.Context(), "tokyo", agreementID); err != nil || !a.Ended.IsZero() {
		t.Fatalf("memory knows already: %+v, %v", a, err)
	}
	q := w.brussels.await(w.start().ID, Terminated)
	if q.Code == "" {
		t.Errorf("the consumer is not told why: %+v", q)
	}
	if all, _, err := w.tokyo.room.List(t.Context(), "tokyo", Filter{}, "", 0); err != nil || len(all) != 0 {
		t.Errorf("a transfer began: %+v, %v", all, err)
	}
}

// A transfer that began in a unit beside the one that ended its agreement is found
// by the job that looks again.
func TestATransferBesideTheEndOfItsAgreementIsEnded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	room := w.tokyo.room
	check(t, w.tokyo.db.Update(t.Context(), func(tx store.Tx) error { return room.OnAgreementEnded(tx, "tokyo", agreementID, "a reason") }))
	if n := w.tokyo.looks(); n != 1 {
		t.Fatalf("%d jobs look again", n)
	}
	c, _ := w.both(w.start(), Started)
	w.endElsewhere()
	settle, err := room.ended(t.Context(), outbox.Job{Participant: "tokyo", ID: "j", Kind: JobEnded, Data: []byte(`{"agreement":"` + agreementID + `","why":"a reason"}`)})
	check(t, err)
	check(t, w.tokyo.db.Update(t.Context(), settle))
	w.both(c, Terminated)
}

func (n *node) looks() (jobs int) {
	n.w.t.Helper()
	check(n.w.t, n.db.View(context.Background(), func(tx store.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM outbox_jobs WHERE participant = $1 AND kind = $2`, string(n.who.ID), JobEnded).Scan(&jobs)
	}))
	return jobs
}

// When a replica is gone, those that are left know when the terms end of what it
// had started.
func TestTheEndsThatAnotherReplicaKnewAreRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.tokyo.until = time.Now().Add(2 * time.Second)
	c, p := w.both(w.start(), Started)
	room := w.tokyo.room
	room.ends.set(key{"tokyo", p.ID}, time.Time{}) // as if it were in another program's memory
	room.Reload()
	room.Reload() // twice does not wait
	w.both(c, Completed)
}
