package account_test

import (
	"errors"
	"testing"
	"time"

	"kakehashi/account"
	"kakehashi/internal/fault"
	"kakehashi/internal/watch/watchtest"
	"kakehashi/store/storetest"
)

func TestATokenThatAnotherReplicaRevokedEnds(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{true, false} {
		db, hubs, now := storetest.Open(t, account.Schema), watchtest.New(), time.Unix(1, 0)
		c := account.Config{DB: db, Now: func() time.Time { return now }}
		c.Watch = hubs.A
		a, err := account.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		c.Watch = hubs.B
		b, err := account.Open(c)
		if err != nil {
			t.Fatal(err)
		}
		token, err := a.NewToken(t.Context(), "tokyo", "ci", []string{"admin"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Check(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		all, err := a.Tokens(t.Context(), "tokyo")
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		if !told {
			hubs.Cut()
		}
		if err := a.Revoke(t.Context(), "tokyo", all[0].ID); err != nil {
			t.Fatal(err)
		}
		if !told {
			now = now.Add(5 * time.Second)
		}
		if _, err := b.Check(t.Context(), token); !errors.Is(err, fault.APITokenInvalid) {
			t.Errorf("told %v: %v", told, err)
		}
	}
}
