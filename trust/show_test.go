package trust_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/watch"
	"kakehashi/store"
	"kakehashi/trust"
	"kakehashi/vc"
)

var ask = []string{"Accreditation"}

func TestWhatACounterpartShowsIsHeldAndOnRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.trusts("Accreditation")
	w.shows(w.accreditation())
	w.ok(w.comes())
	for range 3 { // asked once
		got, err := w.room.Show(t.Context(), tokyo, munich, ask)
		if err != nil || len(got) != 1 || got[0].Issuer != authority || got[0].Basis.Kind != "issuer" || got[0].Presentation == "" {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	if w.queries != 1 || !slices.Equal(w.scopes, []string{"org.eclipse.dspace.dcp.vc.type:Accreditation:read"}) {
		t.Errorf("%d queries, %v", w.queries, w.scopes)
	}
	again := w.open() // after a restart it is still known
	if got, err := again.Held(t.Context(), tokyo, munich, ask); err != nil || len(got) != 1 {
		t.Fatalf("after a restart: %+v, %v", got, err)
	}
	if w.leaves("kh.credential.verified") != 1 {
		t.Error("the verification is not on record once")
	}
	w.pass(6 * time.Minute)
	w.ok(w.comes())
	if _, err := w.room.Show(t.Context(), tokyo, munich, ask); err != nil || w.queries != 2 {
		t.Errorf("not asked again: %d, %v", w.queries, err)
	}
}

// leaves counts those of a type.
func (w *world) leaves(typ string) (n int) {
	w.Helper()
	w.ok(w.db.View(w.Context(), func(tx store.Tx) error {
		n = 0
		rows, err := tx.Query("SELECT data FROM evidence_leaves")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var b []byte
			if err := rows.Scan(&b); err != nil {
				return err
			}
			if strings.Contains(string(b), `"`+typ+`"`) {
				n++
			}
		}
		return rows.Err()
	}))
	return n
}

func TestWhatDoesNotCount(t *testing.T) {
	t.Parallel()
	expired := start.Add(-time.Minute)
	tests := map[string]struct {
		set  func(w *world)
		want *fault.Kind
	}{
		"issuer unknown":             {func(w *world) { w.ok(w.room.RemoveIssuer(w.Context(), tokyo, authority)); w.shows(w.accreditation()) }, fault.CredentialUntrusted},
		"issuer trusted for another": {func(w *world) { w.shows(w.credential(vc.Draft{Types: []string{"Membership"}})) }, fault.CredentialUntrusted},
		"expired":                    {func(w *world) { w.shows(w.credential(vc.Draft{Types: ask, ValidUntil: expired})) }, fault.CredentialExpired},
		"not yet valid":              {func(w *world) { w.shows(w.credential(vc.Draft{Types: ask, ValidFrom: start.Add(time.Hour)})) }, fault.CredentialEarly},
		"about another":              {func(w *world) { w.shows(w.credential(vc.Draft{Types: ask, Subject: paris})) }, fault.CredentialSubject},
		"one of two about another":   {func(w *world) { w.shows(w.accreditation(), w.credential(vc.Draft{Types: ask, Subject: paris})) }, fault.CredentialSubject},
		"issued with the key of another": {func(w *world) {
			was := w.keys[authority]
			w.keys[authority] = w.keys[munich]
			raw := w.accreditation()
			w.keys[authority] = was
			w.shows(raw)
		}, fault.CredentialSignature},
		"issued with a key of the same name": {func(w *world) {
			was := w.keys[authority]
			w.keys[authority] = newKey(w, authority)
			raw := w.accreditation()
			w.keys[authority] = was
			w.shows(raw)
		}, fault.CredentialSignature},
		"issuer gone":       {func(w *world) { raw := w.accreditation(); delete(w.keys, authority); w.shows(raw) }, fault.CredentialIssuer},
		"no answer in form": {func(w *world) { w.place("https://munich.example/cs/presentations/query", 200, `{"presentation":`) }, fault.PresentationUnreadable},
		"answer too large": {func(w *world) {
			w.place("https://munich.example/cs/presentations/query", 200, strings.Repeat(" ", 2<<20))
		}, fault.PresentationUnreadable},
		"refuses to show": {func(w *world) { w.answers(func() (int, []string) { return http.StatusForbidden, nil }) }, fault.PresentationUnreadable},
		"shows nothing":   {func(w *world) { w.answers(func() (int, []string) { return http.StatusOK, nil }) }, fault.CredentialLacking},
		"garbage":         {func(w *world) { w.answers(func() (int, []string) { return http.StatusOK, []string{"a.b.c"} }) }, fault.PresentationInvalid},
		"a credential in place of a presentation": {func(w *world) {
			w.answers(func() (int, []string) { return http.StatusOK, []string{w.accreditation()} })
		}, fault.PresentationInvalid},
		"for another verifier": {func(w *world) {
			w.answers(func() (int, []string) {
				return 200, []string{w.presentation(showing{audience: paris}, w.accreditation())}
			})
		}, fault.PresentationInvalid},
		"of another holder": {func(w *world) {
			w.answers(func() (int, []string) {
				return 200, []string{w.presentation(showing{holder: paris}, w.accreditation())}
			})
		}, fault.PresentationInvalid},
		"signed by another": {func(w *world) {
			w.answers(func() (int, []string) { return 200, []string{w.presentation(showing{key: paris}, w.accreditation())} })
		}, fault.PresentationInvalid},
		"presentation expired": {func(w *world) {
			w.answers(func() (int, []string) {
				return 200, []string{w.presentation(showing{at: start.Add(-time.Hour)}, w.accreditation())}
			})
		}, fault.PresentationInvalid},
		"presentation of the future": {func(w *world) {
			w.answers(func() (int, []string) {
				return 200, []string{w.presentation(showing{at: start.Add(time.Hour)}, w.accreditation())}
			})
		}, fault.PresentationInvalid},
		"the same presentation twice": {func(w *world) {
			p := w.presentation(showing{}, w.accreditation())
			w.answers(func() (int, []string) { return 200, []string{p, p} })
		}, fault.PresentationInvalid},
		"good, and one of a second presentation bad": {func(w *world) {
			w.answers(func() (int, []string) {
				return 200, []string{w.presentation(showing{}, w.accreditation()), w.presentation(showing{key: paris}, w.accreditation())}
			})
		}, fault.PresentationInvalid},
		"revoked": {func(w *world) {
			w.publishes(vc.ListDraft{}, 7)
			w.shows(w.credential(vc.Draft{Types: ask, Statuses: entry(7)}))
		}, fault.CredentialRevoked},
		"status list gone": {func(w *world) { w.shows(w.credential(vc.Draft{Types: ask, Statuses: entry(7)})) }, fault.CredentialStatus},
		"status list too short": {func(w *world) {
			w.publishes(vc.ListDraft{})
			w.shows(w.credential(vc.Draft{Types: ask, Statuses: entry(vc.MinBits)}))
		}, fault.CredentialStatus},
		"status list of another issuer": {func(w *world) {
			w.publishes(vc.ListDraft{Issuer: paris})
			w.shows(w.credential(vc.Draft{Types: ask, Statuses: entry(7)}))
		}, fault.CredentialStatus},
		"status list of another purpose": {func(w *world) {
			w.publishes(vc.ListDraft{Purpose: vc.Suspension})
			w.shows(w.credential(vc.Draft{Types: ask, Statuses: entry(7)}))
		}, fault.CredentialStatus},
		"status list expired": {func(w *world) {
			w.publishes(vc.ListDraft{ValidUntil: expired})
			w.shows(w.credential(vc.Draft{Types: ask, Statuses: entry(7)}))
		}, fault.CredentialStatus},
		"status list is no list": {func(w *world) {
			w.place(statusURL, 200, w.accreditation())
			w.shows(w.credential(vc.Draft{Types: ask, Statuses: entry(7)}))
		}, fault.CredentialStatus},
		"schema gone": {func(w *world) {
			w.shows(w.credential(vc.Draft{Types: ask, Schemas: []vc.Schema{{ID: "https://authority.example/schema", Type: "JsonSchema"}}}))
		}, fault.CredentialSchema},
		"schema broken": {func(w *world) {
			w.place("https://authority.example/schema", 200, `{"type":"object","required":["rank"]}`)
			w.shows(w.credential(vc.Draft{Types: ask, Schemas: []vc.Schema{{ID: "https://authority.example/schema", Type: "JsonSchema"}}}))
		}, fault.CredentialSchema},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.trusts("Accreditation")
			test.set(w)
			w.ok(w.comes())
			got, err := w.room.Show(t.Context(), tokyo, munich, ask)
			if !errors.Is(err, test.want) || len(got) != 0 {
				t.Fatalf("%v, %v; want %s", got, err, test.want.Code)
			}
			if held, err := w.room.Held(t.Context(), tokyo, munich, ask); err == nil {
				t.Errorf("held all the same: %v", held)
			}
			if w.leaves("kh.credential.verified") != 0 {
				t.Error("it stands on record as verified")
			}
			if test.want != fault.PresentationUnreadable && w.leaves("kh.credential.refused") != 1 {
				t.Error("the refusal is not on record")
			}
		})
	}
}

func TestAReplayedAnswerIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.trusts("Accreditation", "Membership")
	p := w.presentation(showing{}, w.credential(vc.Draft{Types: []string{"Accreditation", "Membership"}}))
	w.answers(func() (int, []string) { return http.StatusOK, []string{p} })
	w.ok(w.comes())
	// It counts as each of its types that its issuer is trusted for.
	if got, err := w.room.Show(t.Context(), tokyo, munich, []string{"Accreditation", "Membership"}); err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	w.pass(6 * time.Minute / 2)
	if _, err := w.room.Show(t.Context(), tokyo, munich, ask); err != nil {
		t.Fatal("what is held fresh is asked for: ", err)
	}
	w.pass(2*time.Minute + time.Second) // beyond the freshness, within the life of the presentation and its leeway
	w.ok(w.comes())
	if _, err := w.room.Show(t.Context(), tokyo, munich, ask); !errors.Is(err, fault.PresentationInvalid) || !strings.Contains(err.Error(), "used before") {
		t.Fatalf("the same answer again: %v", err)
	}
}

func TestACounterpartThatNeverAnswersHoldsOnlyItsOwnCallerUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.trusts("Accreditation")
	asked := make(chan struct{}, 1)
	w.answers(func() (int, []string) { asked <- struct{}{}; return 0, nil })
	w.ok(w.comes())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := w.room.Show(ctx, tokyo, munich, ask); done <- err }()
	<-asked
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestWhoMustShowIsRefusedWithoutAccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.trusts("Accreditation")
	w.shows(w.accreditation())
	w.ok(w.room.Admit(t.Context(), tokyo, w.caller(munich, ""))) // nothing is asked of anybody yet
	w.ok(w.room.SetRule(t.Context(), tokyo, trust.Rule{Ask: ask}))
	if err := w.room.Admit(t.Context(), tokyo, w.caller(munich, "")); !errors.Is(err, fault.CredentialLacking) {
		t.Fatalf("without an access token: %v", err)
	}
	w.ok(w.comes())
	if err := w.room.Admit(t.Context(), tokyo, w.caller(paris, "opaque")); !errors.Is(err, fault.PresentationUnreadable) {
		t.Fatalf("without a credential service: %v", err)
	}
	if err := w.room.Admit(t.Context(), tokyo, w.caller("did:web:nobody.example", "opaque")); !errors.Is(err, fault.PresentationUnreadable) {
		t.Fatalf("without a document: %v", err)
	}
	// A rule of its own is in place of that for all.
	w.ok(w.room.SetRule(t.Context(), tokyo, trust.Rule{Counterparty: paris, TwoParts: true}))
	w.ok(w.room.Admit(t.Context(), tokyo, w.caller(paris, "")))
	w.ok(w.room.SetRule(t.Context(), tokyo, trust.Rule{Counterparty: munich, TwoParts: true, Ask: ask}))
	w.pass(6 * time.Minute)
	w.ok(w.comes())
	if !slices.Equal(w.scopes, []string{"org.eclipse.dspace.dcp.vc.type:Accreditation"}) {
		t.Errorf("scopes of two parts: %v", w.scopes)
	}
	if w.room.Lenient(munich) {
		t.Error("lenient with nobody having said so")
	}
	w.ok(w.room.SetRule(t.Context(), tokyo, trust.Rule{Counterparty: munich, Lenient: true}))
	if !w.room.Lenient(munich) || w.room.Lenient(paris) {
		t.Error("lenient with the wrong one")
	}
	if err := w.room.SetRule(t.Context(), tokyo, trust.Rule{Lenient: true}); !errors.Is(err, fault.BadMessage) {
		t.Errorf("lenient with all: %v", err)
	}
}

func TestMoreThanWasAskedIsNotKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.trusts("Accreditation", "Secret")
	w.shows(w.accreditation(), w.credential(vc.Draft{Types: []string{"Secret"}}))
	w.ok(w.comes())
	if got, err := w.room.Show(t.Context(), tokyo, munich, ask); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if _, err := w.room.Held(t.Context(), tokyo, munich, []string{"Secret"}); !errors.Is(err, fault.CredentialLacking) {
		t.Errorf("what nobody asked for is held: %v", err)
	}
	if _, err := w.room.Held(t.Context(), tokyo, paris, ask); !errors.Is(err, fault.CredentialLacking) {
		t.Errorf("held for another: %v", err)
	}
}

func TestWhatIsHeldCountsByTheTrustOfNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.trusts("Accreditation", "Membership")
	w.shows(w.credential(vc.Draft{Types: []string{"Accreditation", "Membership"}}))
	w.ok(w.comes())
	if _, err := w.room.Show(t.Context(), tokyo, munich, ask); err != nil {
		t.Fatal(err)
	}
	sub := w.hub.Subscribe(watch.Filter{Kind: trust.Changed})
	defer sub.Close()
	// Trusted for its other type only, it is an accreditation no more.
	w.ok(w.room.RemoveIssuer(t.Context(), tokyo, authority))
	w.trusts("Membership")
	if _, err := w.room.Held(t.Context(), tokyo, munich, ask); !errors.Is(err, fault.CredentialUntrusted) {
		t.Errorf("counts for what its issuer is not trusted for: %v", err)
	}
	if got, err := w.room.Held(t.Context(), tokyo, munich, []string{"Membership"}); err != nil || got[0].Basis.Type != "Membership" {
		t.Errorf("%v, %v", got, err)
	}
	if changes, _, err := sub.Next(t.Context()); err != nil || changes[0].ID != munich || changes[0].Participant != string(tokyo) {
		t.Errorf("told %v, %v", changes, err)
	}
}

func TestRevocationIsHeardOfWhenTheListIsRead(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]string{vc.Revocation: "credential-revoked", vc.Suspension: "credential-suspended"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.trusts("Accreditation")
			e := entry(9)
			e[0].Purpose = name
			w.publishes(vc.ListDraft{Purpose: name})
			w.shows(w.credential(vc.Draft{Types: ask, Statuses: e}))
			w.ok(w.comes())
			if _, err := w.room.Show(t.Context(), tokyo, munich, ask); err != nil {
				t.Fatal(err)
			}
			sub := w.hub.Subscribe(watch.Filter{Kind: trust.Changed})
			defer sub.Close()
			w.publishes(vc.ListDraft{Purpose: name}, 9)
			w.pass(time.Minute)
			w.room.RefreshStatus(t.Context())
			if _, err := w.room.Held(t.Context(), tokyo, munich, ask); err == nil || fault.Of(err).Kind.Code != kind {
				t.Fatalf("%v", err)
			}
			if _, _, err := sub.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			again := w.open()
			if _, err := again.Held(t.Context(), tokyo, munich, ask); err == nil || fault.Of(err).Kind.Code != kind {
				t.Fatalf("after a restart: %v", err)
			}
			w.publishes(vc.ListDraft{Purpose: name})
			w.pass(time.Minute)
			w.room.RefreshStatus(t.Context())
			if _, err := w.room.Held(t.Context(), tokyo, munich, ask); err != nil {
				t.Fatalf("lifted: %v", err)
			}
			if w.leaves("kh.credential.status") != 2 {
				t.Errorf("%d changes of status on record", w.leaves("kh.credential.status"))
			}
		})
	}
}

func TestAStatusThatNobodyCanReadCountsForAWhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.trusts("Accreditation")
	w.publishes(vc.ListDraft{})
	w.shows(w.credential(vc.Draft{Types: ask, Statuses: entry(9)}))
	w.ok(w.comes())
	if _, err := w.room.Show(t.Context(), tokyo, munich, ask); err != nil {
		t.Fatal(err)
	}
	w.pass(20 * time.Minute) // the list was read meanwhile
	w.room.RefreshStatus(t.Context())
	w.trusts("Another") // which has the tables read again, where looks are not written
	if _, err := w.room.Held(t.Context(), tokyo, munich, ask); err != nil {
		t.Fatalf("a look was forgotten: %v", err)
	}
	w.place(statusURL, http.StatusServiceUnavailable, "")
	w.pass(14 * time.Minute)
	w.room.RefreshStatus(t.Context())
	if _, err := w.room.Held(t.Context(), tokyo, munich, ask); err != nil {
		t.Fatalf("after 14 minutes: %v", err)
	}
	w.pass(2 * time.Minute)
	w.room.RefreshStatus(t.Context())
	if _, err := w.room.Held(t.Context(), tokyo, munich, ask); !errors.Is(err, fault.CredentialStatus) {
		t.Fatalf("after 16 minutes: %v", err)
	}
}

func TestARefusalForRevocationReachesWhatIsHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.trusts("Accreditation")
	w.publishes(vc.ListDraft{})
	raw := w.credential(vc.Draft{Types: ask, Statuses: entry(9)})
	w.shows(raw)
	w.ok(w.comes())
	if _, err := w.room.Show(t.Context(), tokyo, munich, ask); err != nil {
		t.Fatal(err)
	}
	w.publishes(vc.ListDraft{}, 9)
	w.pass(6 * time.Minute)
	w.ok(w.comes())
	if _, err := w.room.Show(t.Context(), tokyo, munich, ask); !errors.Is(err, fault.CredentialRevoked) {
		t.Fatal(err)
	}
	if _, err := w.room.Held(t.Context(), tokyo, munich, ask); !errors.Is(err, fault.CredentialRevoked) {
		t.Errorf("still held as good: %v", err)
	}
}

func TestWhoShowsNothingAfterARevocationLearnsOfIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.trusts("Accreditation")
	w.publishes(vc.ListDraft{})
	w.shows(w.credential(vc.Draft{Types: ask, Statuses: entry(9)}))
	w.ok(w.comes())
	if _, err := w.room.Show(t.Context(), tokyo, munich, ask); err != nil {
		t.Fatal(err)
	}
	w.answers(func() (int, []string) { return http.StatusOK, nil })
	w.pass(6 * time.Minute)
	w.ok(w.comes())
	// What is held is good, and yet it is not shown.
	if _, err := w.room.Show(t.Context(), tokyo, munich, ask); !errors.Is(err, fault.CredentialLacking) {
		t.Fatal(err)
	}
	w.publishes(vc.ListDraft{}, 9)
	w.pass(time.Minute)
	if _, err := w.room.Show(t.Context(), tokyo, munich, ask); !errors.Is(err, fault.CredentialRevoked) {
		t.Fatal(err)
	}
}

func TestWhatRunsOutCountsNoMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.trusts("Accreditation")
	w.shows(w.credential(vc.Draft{Types: ask, ValidUntil: start.Add(time.Hour)}))
	w.ok(w.comes())
	if _, err := w.room.Show(t.Context(), tokyo, munich, ask); err != nil {
		t.Fatal(err)
	}
	w.pass(59 * time.Minute)
	if _, err := w.room.Held(t.Context(), tokyo, munich, ask); err != nil {
		t.Fatal(err)
	}
	w.pass(2 * time.Minute)
	if _, err := w.room.Held(t.Context(), tokyo, munich, ask); !errors.Is(err, fault.CredentialExpired) {
		t.Fatal(err)
	}
	sub := w.hub.Subscribe(watch.Filter{Kind: trust.Changed})
	defer sub.Close()
	w.room.RefreshStatus(t.Context())
	if changes, _ := sub.Take(); len(changes) != 1 {
		t.Errorf("told %v", changes)
	}
	if shown := w.room.Shown(tokyo); len(shown) != 1 || !errors.Is(shown[0].Err, fault.CredentialExpired) {
		t.Errorf("%+v", shown)
	}
	w.pass(25 * time.Hour)
	w.room.RefreshStatus(t.Context())
	if shown := w.room.Shown(tokyo); len(shown) != 0 {
		t.Errorf("kept for ever: %+v", shown)
	}
}

func BenchmarkHeldWarm(b *testing.B) {
	w := newWorld(b)
	w.trusts("Accreditation")
	w.publishes(vc.ListDraft{})
	w.shows(w.credential(vc.Draft{Types: ask, Statuses: entry(9)}))
	w.ok(w.comes())
	if _, err := w.room.Show(b.Context(), tokyo, munich, ask); err != nil {
		b.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"held": func() error { _, err := w.room.Held(b.Context(), tokyo, munich, ask); return err },
		"show": func() error { _, err := w.room.Show(b.Context(), tokyo, munich, ask); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
