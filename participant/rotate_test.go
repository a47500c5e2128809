package participant_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/jws"
	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

func TestARotatedKeyStandsBesideTheNewOneForAsLongAsItIsKept(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, participant.Schema)
	vault, err := participant.NewVault(make([]byte, 32), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)
	open := func() *participant.Room {
		r, err := participant.Open(t.Context(), participant.Config{DB: db, Vault: vault, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := open()
	const id = "tokyo"
	if err := r.Create(t.Context(), participant.Participant{ID: id, DID: "did:web:tokyo.example", Base: "https://tokyo.example/dsp/tokyo/2025-1",
		Origin: "tokyo.example", DataURL: "https://tokyo.example/data/tokyo"}); err != nil {
		t.Fatal(err)
	}
	first, err := r.Key(id, participant.Token)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jws.Sign(rand.Reader, first, "JWT", "", []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	along := 0
	old, fresh, err := r.Rotate(t.Context(), id, jws.ES384, time.Hour, func(tx store.Tx, o, f jws.Key) error { along++; return nil })
	if err != nil || old.KID != first.KID || fresh.KID != "did:web:tokyo.example#token-2" || fresh.Alg != jws.ES384 || along == 0 {
		t.Fatalf("%+v %+v %d %v", old, fresh, along, err)
	}
	if _, again, err := r.Rotate(t.Context(), id, jws.EdDSA, 0, nil); err != nil || again.KID != "did:web:tokyo.example#token-3" {
		t.Fatalf("%+v %v", again, err)
	}
	kids := func(r *participant.Room) (out []string) {
		t.Helper()
		keys, err := r.Published(id)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			out = append(out, k.KID[len("did:web:tokyo.example#"):])
		}
		return out
	}
	check := func(when string, want ...string) {
		t.Helper()
		for name, room := range map[string]*participant.Room{"in memory": r, "opened anew": open()} {
			got := kids(room)
			if len(got) != len(want) {
				t.Errorf("%s, %s: %q, want %q", when, name, got, want)
				continue
			}
			for i := range got {
				if got[i] != want[i] {
					t.Errorf("%s, %s: %q, want %q", when, name, got, want)
				}
			}
		}
	}
	// The second key was kept for no time, the first for an hour.
	check("at once", "token-3", "log-1", "token-1")
	keys, err := open().Published(id)
	if err != nil {
		t.Fatal(err)
	}
	m, err := jws.Parse(signed, 4096)
	if err != nil || !m.Verify(keys[2].Signer.Public()) {
		t.Errorf("what the first key signed is not verified by what is published of it: %v", err)
	}
	now = now.Add(time.Hour)
	check("an hour later", "token-3", "log-1")

	if _, _, err := r.Rotate(t.Context(), id, "HS256", 0, nil); !errors.Is(err, fault.ParticipantInvalid) {
		t.Errorf("another algorithm: %v", err)
	}
	if _, _, err := r.Rotate(t.Context(), "nobody", jws.ES256, 0, nil); !errors.Is(err, fault.NotFound) {
		t.Errorf("a stranger: %v", err)
	}
	broken := errors.New("no")
	if _, _, err := r.Rotate(context.Background(), id, jws.ES256, 0, func(store.Tx, jws.Key, jws.Key) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("what runs along fails: %v", err)
	}
	check("after one that failed", "token-3", "log-1")
}
