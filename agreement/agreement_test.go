package agreement_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kakehashi/agreement"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

const (
	tokyo = participant.ID("tokyo")
	osaka = participant.ID("osaka")
)

type keyring struct{ ed25519.PrivateKey }

func (k keyring) Key(participant.ID, participant.Purpose) (participant.Key, error) {
	return participant.Key{KID: "did:web:tokyo.example.jp#log", Alg: "EdDSA", Signer: k.PrivateKey}, nil
}

// plain seals nothing: what evidence does with it is its own affair.
type plain struct{}

func (plain) Seal(b, _ []byte) ([]byte, error) { return b, nil }
func (plain) Open(b, _ []byte) ([]byte, error) { return b, nil }

var now = time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)

// rooms gives two rooms on one store, as two programs would have them.
func rooms(t *testing.T) (store.DB, *evidence.Log, *agreement.Room, *agreement.Room) {
	t.Helper()
	db := storetest.Open(t, evidence.Schema, agreement.Schema)
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	log, err := evidence.Open(t.Context(), evidence.Config{
		DB: db,
		Participants: func() []participant.Participant {
			return []participant.Participant{{ID: tokyo, DID: "did:web:tokyo.example.jp", Origin: "tokyo.example.jp"},
				{ID: osaka, DID: "did:web:osaka.example.jp", Origin: "osaka.example.jp"}}
		},
		Keys: keyring{key}, Vault: plain{}, Now: func() time.Time { return now }, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	c := agreement.Config{DB: db, Evidence: log, Now: func() time.Time { return now }}
	return db, log, agreement.Open(c), agreement.Open(c)
}

func one(n int) agreement.Agreement {
	return agreement.Agreement{
		ID: fmt.Sprintf("urn:uuid:%02d", n), Role: agreement.Consumer, Counterparty: "did:web:brussels.example.eu", Assigner: "did:web:brussels.example.eu",
		Assignee: "did:web:tokyo.example.jp", Dataset: "架け橋", Offer: "offer-1", Policy: strictjson.Raw(`{"permission":[]}`),
		Body: strictjson.Raw(fmt.Sprintf(`{"@id":"%d"}`, n)), Negotiation: "n-1", Signed: now.Add(time.Duration(n/2) * time.Second),
	}
}

func conclude(db store.DB, r *agreement.Room, p participant.ID, a agreement.Agreement) error {
	return db.Update(context.Background(), func(tx store.Tx) error { return r.Conclude(tx, p, a) })
}

func end(db store.DB, r *agreement.Room, id, why string) error {
	return db.Update(context.Background(), func(tx store.Tx) error { return r.End(tx, tokyo, id, why) })
}

func TestAnAgreementIsConcludedOnceAndReadAsItWas(t *testing.T) {
	t.Parallel()
	db, log, r, other := rooms(t)
	if err := conclude(db, r, tokyo, one(1)); err != nil {
		t.Fatal(err)
	}
	second := one(1)
	second.Offer = "offer-2"
	if err := conclude(db, other, tokyo, second); !errors.Is(err, store.ErrConflict) {
		t.Errorf("concluded twice: %v", err)
	}
	if err := conclude(db, r, osaka, second); err != nil {
		t.Errorf("another participant's agreement with the same id: %v", err)
	}
	for who, room := range map[string]*agreement.Room{"who concluded it": r, "another": other} {
		a, err := room.Get(t.Context(), tokyo, one(1).ID)
		if err != nil || a.Offer != "offer-1" || a.Dataset != "架け橋" || string(a.Body) != `{"@id":"1"}` || !a.Signed.Equal(one(1).Signed) || !a.Ended.IsZero() {
			t.Errorf("%s reads %+v: %v", who, a, err)
		}
	}
	if _, err := r.Get(t.Context(), tokyo, "urn:uuid:none"); !errors.Is(err, fault.AgreementUnknown) {
		t.Errorf("one that is none: %v", err)
	}
	if kept, err := log.Body(t.Context(), tokyo, evidence.Digest(one(1).Body)); err != nil || string(kept) != `{"@id":"1"}` {
		t.Errorf("evidence holds %q: %v", kept, err)
	}
}

// Ended by two at once, it has one end and one leaf that says so.
func TestAnAgreementEndsOnce(t *testing.T) {
	t.Parallel()
	db, log, r, _ := rooms(t)
	a := one(1)
	if err := conclude(db, r, tokyo, a); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	var failed atomic.Int64
	for i := range 8 {
		group.Go(func() {
			if end(db, r, a.ID, fmt.Sprint("reason ", i)) != nil {
				failed.Add(1)
			}
		})
	}
	group.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d of the ends failed", failed.Load())
	}
	got, err := r.Get(t.Context(), tokyo, a.ID)
	if err != nil || !got.Ended.Equal(now) || !strings.HasPrefix(got.Why, "reason ") {
		t.Errorf("it is %+v: %v", got, err)
	}
	if err := log.Flush(t.Context(), tokyo); err != nil {
		t.Fatal(err)
	}
	history, err := log.History(t.Context(), tokyo, a.ID)
	if err != nil || len(history) != 2 {
		t.Errorf("%d leaves: %v", len(history), err)
	}
	if _, err := r.InForce(t.Context(), tokyo, a.Counterparty, a.Dataset); !errors.Is(err, fault.AgreementUnknown) {
		t.Errorf("in force: %v", err)
	}
	if err := end(db, r, "urn:uuid:none", ""); !errors.Is(err, fault.AgreementUnknown) {
		t.Errorf("the end of none: %v", err)
	}
}

func TestPagesAreNewestFirstAndMissNone(t *testing.T) {
	t.Parallel()
	db, _, r, _ := rooms(t)
	const all = 11
	var want []string
	for n := range all {
		if err := conclude(db, r, tokyo, one(n)); err != nil {
			t.Fatal(err)
		}
		want = append(want, one(n).ID)
	}
	slices.Reverse(want) // two of each are of the same moment: then by id
	if err := conclude(db, r, osaka, one(50)); err != nil {
		t.Fatal(err)
	}
	if err := end(db, r, one(all-1).ID, "over"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for from := ""; ; {
		page, next, err := r.List(t.Context(), tokyo, from, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page {
			got = append(got, a.ID)
		}
		if from = next; next == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %v\nwant %v", got, want)
	}
	if n, err := r.Count(t.Context(), tokyo); err != nil || n != all {
		t.Errorf("%d of %d: %v", n, all, err)
	}
	if a, err := r.InForce(t.Context(), tokyo, one(0).Counterparty, one(0).Dataset); err != nil || a.ID != one(all-2).ID {
		t.Errorf("in force is %s: %v", a.ID, err)
	}
	if _, _, err := r.List(t.Context(), tokyo, one(50).ID, 3); !errors.Is(err, fault.NotFound) {
		t.Errorf("from another participant's: %v", err)
	}
}
