package participant_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"errors"
	"sync"
	"testing"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

func vault(t *testing.T, first byte) *participant.Vault {
	t.Helper()
	key := make([]byte, 32)
	key[0] = first
	v, err := participant.NewVault(key, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func tokyo() participant.Participant {
	return participant.Participant{
		ID: "tokyo", DID: "did:web:tokyo.example", Base: "https://tokyo.example/dsp/tokyo/2025-1",
		Origin: "tokyo.example", DataURL: "https://data.tokyo.example",
	}
}

func TestAParticipantAndItsKeysAreThereAfterARestart(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, participant.Schema)
	now := time.Date(2026, 4, 1, 9, 0, 0, 0, time.UTC)
	cfg := participant.Config{DB: db, Vault: vault(t, 1), Now: func() time.Time { return now }}
	room, err := participant.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(room.All()) != 0 {
		t.Fatal("an empty store hosts somebody")
	}
	if err := room.Create(t.Context(), tokyo()); err != nil {
		t.Fatal(err)
	}
	again, err := participant.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := tokyo()
	want.Created = now
	for name, r := range map[string]*participant.Room{"the room that created it": room, "after a restart": again} {
		if p, ok := r.Get("tokyo"); !ok || p != want {
			t.Errorf("%s: got %+v, want %+v", name, p, want)
		}
		if p, ok := r.ByDID("did:web:tokyo.example"); !ok || p.ID != "tokyo" {
			t.Errorf("%s: not found by its DID", name)
		}
		if all := r.All(); len(all) != 1 || all[0] != want {
			t.Errorf("%s: All gives %+v", name, all)
		}
	}
	for purpose, kid := range map[participant.Purpose]string{participant.Token: "did:web:tokyo.example#token-1", participant.Log: "did:web:tokyo.example#log-1"} {
		a, err := room.Key("tokyo", purpose)
		if err != nil {
			t.Fatal(err)
		}
		b, err := again.Key("tokyo", purpose)
		if err != nil {
			t.Fatal(err)
		}
		if a.KID != kid || b.KID != kid || a.Alg != b.Alg {
			t.Errorf("%s: key ids %q, %q", purpose, a.KID, b.KID)
		}
		switch pub := a.Signer.Public().(type) {
		case *ecdsa.PublicKey:
			if purpose != participant.Token || !pub.Equal(b.Signer.Public()) {
				t.Errorf("%s: another key after a restart", purpose)
			}
		case ed25519.PublicKey:
			if purpose != participant.Log || !pub.Equal(b.Signer.Public()) {
				t.Errorf("%s: another key after a restart", purpose)
			}
		}
	}
	if _, err := room.Key("osaka", participant.Token); !errors.Is(err, fault.NotFound) {
		t.Errorf("key of a stranger: %v", err)
	}
	cfg.Vault = vault(t, 2)
	if _, err := participant.Open(t.Context(), cfg); !errors.Is(err, fault.VaultClosed) {
		t.Errorf("opened with another key: %v", err)
	}
}

func TestPrivateKeysLieEncrypted(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, participant.Schema)
	room, err := participant.Open(t.Context(), participant.Config{DB: db, Vault: vault(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if err := room.Create(t.Context(), tokyo()); err != nil {
		t.Fatal(err)
	}
	k, err := room.Key("tokyo", participant.Log)
	if err != nil {
		t.Fatal(err)
	}
	seed := k.Signer.(ed25519.PrivateKey).Seed()
	err = db.View(t.Context(), func(tx store.Tx) error {
		var sealed []byte
		if err := tx.QueryRow(`SELECT sealed FROM participant_keys WHERE participant = $1 AND purpose = $2`, "tokyo", "log").Scan(&sealed); err != nil {
			return err
		}
		if bytes.Contains(sealed, seed) {
			t.Error("the private key lies in the clear")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// A sealed key moved to another row must not open there.
	err = db.Update(t.Context(), func(tx store.Tx) error {
		return tx.Exec(`UPDATE participant_keys SET sealed = (SELECT k.sealed FROM participant_keys k WHERE k.participant = $1 AND k.purpose = $2) WHERE participant = $3 AND purpose = $4`, "tokyo", "log", "tokyo", "token")
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := participant.Open(t.Context(), participant.Config{DB: db, Vault: vault(t, 1)}); !errors.Is(err, fault.VaultClosed) {
		t.Errorf("a key that was moved opens: %v", err)
	}
}

func TestWhatCannotBeAParticipantIsRefused(t *testing.T) {
	t.Parallel()
	room, err := participant.Open(t.Context(), participant.Config{DB: storetest.Open(t, participant.Schema), Vault: vault(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if err := room.Create(t.Context(), tokyo()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*participant.Participant)
		want   *fault.Kind
	}{
		"the same id":         {func(p *participant.Participant) { p.DID, p.Origin = "did:web:x.example", "x.example" }, fault.ParticipantExists},
		"the same DID":        {func(p *participant.Participant) { p.ID, p.Origin = "x", "x.example" }, fault.ParticipantExists},
		"the same origin":     {func(p *participant.Participant) { p.ID, p.DID = "x", "did:web:x.example" }, fault.ParticipantExists},
		"no id":               {func(p *participant.Participant) { p.ID = "" }, fault.ParticipantInvalid},
		"an id in upper case": {func(p *participant.Participant) { p.ID = "Tokyo" }, fault.ParticipantInvalid},
		"an id with a slash":  {func(p *participant.Participant) { p.ID = "a/b" }, fault.ParticipantInvalid},
		"no DID":              {func(p *participant.Participant) { p.DID = "" }, fault.DIDInvalid},
		"a DID not normal":    {func(p *participant.Participant) { p.DID = "did:web:X.example" }, fault.ParticipantInvalid},
		"a base with a slash": {func(p *participant.Participant) { p.Base += "/" }, fault.ParticipantInvalid},
		"a base of no URL":    {func(p *participant.Participant) { p.Base = "tokyo" }, fault.ParticipantInvalid},
		"no data URL":         {func(p *participant.Participant) { p.DataURL = "" }, fault.ParticipantInvalid},
		"an origin with plus": {func(p *participant.Participant) { p.Origin = "a+b" }, fault.ParticipantInvalid},
	} {
		p := tokyo()
		c.change(&p)
		if err := room.Create(t.Context(), p); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if len(room.All()) != 1 {
		t.Error("a refused participant is hosted")
	}
}

func TestOneOfTwoSimultaneousCreationsWins(t *testing.T) {
	t.Parallel()
	room, err := participant.Open(t.Context(), participant.Config{DB: storetest.Open(t, participant.Schema), Vault: vault(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = room.Create(t.Context(), tokyo()) })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), fault.ParticipantExists) {
		t.Errorf("errors %v", errs)
	}
	if len(room.All()) != 1 {
		t.Errorf("%d are hosted", len(room.All()))
	}
}

func TestTheVaultOpensOnlyWhatItSealedForThatPlace(t *testing.T) {
	t.Parallel()
	v := vault(t, 1)
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := participant.NewVault(make([]byte, n), nil); !errors.Is(err, fault.VaultKey) {
			t.Errorf("a key of %d bytes: %v", n, err)
		}
	}
	plain, aad := []byte("plain"), []byte("aad")
	a, err := v.Seal(plain, aad)
	if err != nil {
		t.Fatal(err)
	}
	b, err := v.Seal(plain, aad)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a, b) {
		t.Error("two seals are equal")
	}
	if got, err := v.Open(a, aad); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("got %q, %v", got, err)
	}
	for i := range a {
		c := bytes.Clone(a)
		c[i] ^= 1
		if _, err := v.Open(c, aad); !errors.Is(err, fault.VaultClosed) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	for name, err := range map[string]error{
		"another aad": func() error { _, err := v.Open(a, []byte("x")); return err }(),
		"another key": func() error { _, err := vault(t, 2).Open(a, aad); return err }(),
		"too short":   func() error { _, err := v.Open(a[:27], aad); return err }(),
		"nothing":     func() error { _, err := v.Open(nil, aad); return err }(),
	} {
		if !errors.Is(err, fault.VaultClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
