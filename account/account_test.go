package account_test

import (
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"kakehashi/account"
	"kakehashi/internal/fault"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

type desk struct {
	*account.Room
	db  *counted
	now time.Time
}

// counted counts the units that write and read.
type counted struct {
	store.DB
	mu             sync.Mutex
	updates, views int
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{db: &counted{DB: storetest.Open(t, account.Schema)}, now: time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)}
	var err error
	if d.Room, err = account.Open(account.Config{DB: d.db, Now: func() time.Time { return d.now }}); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestATokenOpensUntilItIsRevoked(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	admin, err := d.NewToken(ctx, "tokyo", "ci", []string{"admin"})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := d.NewToken(ctx, "osaka", "graphs", []string{"read", "catalog:write"})
	if err != nil {
		t.Fatal(err)
	}
	if admin == reader || len(admin) != 46 || !strings.HasPrefix(admin, "kh_") {
		t.Errorf("tokens of %d characters", len(admin))
	}
	for token, want := range map[string]account.Principal{
		admin:  {Participant: "tokyo", Name: "ci", Scopes: []string{"admin"}},
		reader: {Participant: "osaka", Name: "graphs", Scopes: []string{"read", "catalog:write"}},
	} {
		views := d.db.views
		for range 3 {
			if got, err := d.Check(ctx, token); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, %v; want %+v", got, err, want)
			}
		}
		if n := d.db.views - views; n != 1 {
			t.Errorf("three checks read the store %d times", n)
		}
	}
	for _, bad := range []string{"", "kh_", admin[3:], "KH_" + admin[3:], admin + "x", admin[:45], "kh_" + strings.Repeat("A", 43), strings.Repeat("x", 1<<20)} {
		if _, err := d.Check(ctx, bad); !errors.Is(err, fault.APITokenInvalid) {
			t.Errorf("%.50q: %v", bad, err)
		}
	}
	all, err := d.Tokens(ctx, "tokyo")
	if err != nil || len(all) != 1 || all[0].Name != "ci" || !all[0].Created.Equal(d.now) {
		t.Fatalf("%+v, %v", all, err)
	}
	if err := d.Revoke(ctx, "osaka", all[0].ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("another participant revoked it: %v", err)
	}
	if _, err := d.Check(ctx, admin); err != nil {
		t.Error(err)
	}
	if err := d.Revoke(ctx, "tokyo", all[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Check(ctx, admin); !errors.Is(err, fault.APITokenInvalid) {
		t.Errorf("a revoked token: %v", err)
	}
	if err := d.Revoke(ctx, "tokyo", all[0].ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("revoked twice: %v", err)
	}
	if _, err := d.Check(ctx, reader); err != nil {
		t.Errorf("the other token: %v", err)
	}
}

func TestARevocationByAnotherReplicaIsSeenWithinHalfAMinute(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	replica, err := account.Open(account.Config{DB: d.db})
	if err != nil {
		t.Fatal(err)
	}
	token, err := d.NewToken(t.Context(), "tokyo", "x", []string{"read"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Check(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	all, err := replica.Tokens(t.Context(), "tokyo")
	if err != nil {
		t.Fatal(err)
	}
	if err := replica.Revoke(t.Context(), "tokyo", all[0].ID); err != nil {
		t.Fatal(err)
	}
	d.now = d.now.Add(30 * time.Second)
	if _, err := d.Check(t.Context(), token); !errors.Is(err, fault.APITokenInvalid) {
		t.Errorf("still open: %v", err)
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for name, scopes := range map[string][]string{
		"none": nil, "empty": {""}, "upper case": {"Admin"}, "two in one": {"read admin"}, "a line end": {"read\n"},
		"too long": {strings.Repeat("a", 65)}, "too many": strings.Fields(strings.Repeat("a ", 33)),
	} {
		if _, err := d.NewToken(t.Context(), "tokyo", "x", scopes); !errors.Is(err, fault.ScopeInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := d.NewToken(t.Context(), "tokyo", strings.Repeat("x", 201), []string{"read"}); !errors.Is(err, fault.BadMessage) {
		t.Errorf("a long name: %v", err)
	}
	reader := account.Principal{Scopes: []string{"read"}}
	if err := reader.May("read"); err != nil {
		t.Error(err)
	}
	if err := reader.May("write"); !errors.Is(err, fault.ScopeMissing) {
		t.Errorf("a reader writes: %v", err)
	}
	if err := (account.Principal{Scopes: []string{account.Admin}}).May("write"); err != nil {
		t.Error(err)
	}
	if err := (account.Principal{}).May("read"); !errors.Is(err, fault.ScopeMissing) {
		t.Errorf("nobody reads: %v", err)
	}
}

func TestALoginLinkOpensOneSession(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	code, err := d.NewLink(ctx, "tokyo")
	if err != nil {
		t.Fatal(err)
	}
	const many = 8
	sessions, errs := make([]string, many), make([]error, many)
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() { sessions[i], errs[i] = d.Redeem(ctx, code) })
	}
	wg.Wait()
	opened := 0
	for i, err := range errs {
		if err == nil {
			opened++
			who, err := d.Session(ctx, sessions[i])
			if err != nil || who.Participant != "tokyo" || who.May("anything") != nil {
				t.Errorf("%+v, %v", who, err)
			}
		} else if !errors.Is(err, fault.LoginCodeInvalid) {
			t.Error(err)
		}
	}
	if opened != 1 {
		t.Errorf("%d sessions were opened", opened)
	}
	if _, err := d.Session(ctx, code); !errors.Is(err, fault.SessionEnded) {
		t.Errorf("the code is a session: %v", err)
	}
	late, err := d.NewLink(ctx, "tokyo")
	if err != nil {
		t.Fatal(err)
	}
	d.now = d.now.Add(10 * time.Minute)
	for _, code := range []string{late, "", "x", strings.Repeat("A", 43)} {
		if _, err := d.Redeem(ctx, code); !errors.Is(err, fault.LoginCodeInvalid) {
			t.Errorf("code %.5q: %v", code, err)
		}
	}
}

func (d *desk) login(t *testing.T) string {
	t.Helper()
	code, err := d.NewLink(t.Context(), "tokyo")
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Redeem(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestASessionEndsByIdlenessAgeAndLogout(t *testing.T) {
	t.Parallel()
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		d := newDesk(t)
		s := d.login(t)
		for range 3 {
			d.now = d.now.Add(30*time.Minute - time.Microsecond)
			if _, err := d.Session(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		d.now = d.now.Add(30 * time.Minute)
		if _, err := d.Session(t.Context(), s); !errors.Is(err, fault.SessionEnded) {
			t.Errorf("idle: %v", err)
		}
	})
	t.Run("old", func(t *testing.T) {
		t.Parallel()
		d := newDesk(t)
		s := d.login(t)
		for range 35 {
			d.now = d.now.Add(20 * time.Minute)
			if _, err := d.Session(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		d.now = d.now.Add(20 * time.Minute)
		if _, err := d.Session(t.Context(), s); !errors.Is(err, fault.SessionEnded) {
			t.Errorf("twelve hours: %v", err)
		}
	})
	t.Run("logout", func(t *testing.T) {
		t.Parallel()
		d := newDesk(t)
		s, stays := d.login(t), d.login(t)
		if err := d.Logout(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Session(t.Context(), s); !errors.Is(err, fault.SessionEnded) {
			t.Errorf("logged out: %v", err)
		}
		if err := d.Logout(t.Context(), s); err != nil {
			t.Errorf("logged out twice: %v", err)
		}
		if _, err := d.Session(t.Context(), stays); err != nil {
			t.Errorf("the other session: %v", err)
		}
	})
	t.Run("writes", func(t *testing.T) {
		t.Parallel()
		d := newDesk(t)
		s := d.login(t)
		before := d.db.updates
		for range 60 { // 2 minutes of use
			d.now = d.now.Add(2 * time.Second)
			if _, err := d.Session(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		if n := d.db.updates - before; n != 2 {
			t.Errorf("two minutes of use were written %d times", n)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	d := newDesk(b)
	token, err := d.NewToken(b.Context(), "tokyo", "x", []string{"read"})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := d.Check(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
