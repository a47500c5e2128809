package cli

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kakehashi/evidence"
	"kakehashi/evidence/bundle"
	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

// recorded makes the log of one participant with one received message, and
// gives a bundle of it, one whose message is not in it, and the trust file of
// somebody who knows the log.
func recorded(t *testing.T) (whole, partial, trust string) {
	t.Helper()
	const agreement = "urn:uuid:0193a1c0-0000-7000-8000-000000000001"
	db := storetest.Open(t, participant.Schema, evidence.Schema)
	vault, err := participant.NewVault(make([]byte, 32), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	room, err := participant.Open(t.Context(), participant.Config{DB: db, Vault: vault, Now: time.Now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	tokyo := participant.Participant{ID: "tokyo", DID: "did:web:tokyo.example.jp", Base: "https://tokyo.example.jp/dsp/tokyo/2025-1",
		Origin: "tokyo.example.jp", DataURL: "https://tokyo.example.jp"}
	if err := room.Create(t.Context(), tokyo); err != nil {
		t.Fatal(err)
	}
	log, err := evidence.Open(t.Context(), evidence.Config{DB: db, Participants: room.All, Keys: room, Vault: vault, Now: time.Now,
		Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	message := []byte(`{"@type":"ContractRequestMessage"}`)
	put := func(process string, bodies ...evidence.Body) {
		err := db.Update(t.Context(), func(tx store.Tx) error {
			return log.Append(tx, "tokyo", evidence.Leaf{Type: "kh.negotiation.requested", Process: process, Version: 1, Direction: evidence.In,
				Counterparty: "did:web:brussels.example.eu", Correlation: map[string]string{"agreement": agreement},
				Hashes: map[string]string{"message": evidence.Digest(message)}}, bodies...)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	export := func(name string) string {
		var b bytes.Buffer
		if err := log.Export(t.Context(), "tokyo", &b, evidence.Selection{Agreement: agreement}); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	put("urn:uuid:p1")
	partial = export("partial.kh-evidence.zip")
	put("urn:uuid:p2", evidence.Body{Digest: evidence.Digest(message), Bytes: message, Class: "message"})
	whole = export("whole.kh-evidence.zip")

	key, err := room.Key("tokyo", participant.Log)
	if err != nil {
		t.Fatal(err)
	}
	vkey, err := bundle.LogKey(tokyo.Origin, key.Signer.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	trust = filepath.Join(dir, "trust.txt")
	if err := os.WriteFile(trust, []byte("log "+vkey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return whole, partial, trust
}

func TestVerifySaysWhatIsProvenByItsExitCode(t *testing.T) {
	t.Parallel()
	whole, partial, trust := recorded(t)
	b, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	forged := filepath.Join(t.TempDir(), "forged.zip")
	if err := os.WriteFile(forged, bytes.ReplaceAll(b, []byte("brussels"), []byte("brüssel")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		code int
		args []string
	}{
		{"verified", 0, []string{whole, "--trust", trust}},
		{"incomplete", 3, []string{partial, "--trust", trust}},
		{"no anchor", 4, []string{whole}},
		{"forged", 2, []string{forged, "--trust", trust}},
		{"the worst of several", 2, []string{whole, forged, partial, "--trust", trust}},
		{"no anchor is worse than incomplete", 4, []string{whole, partial}},
		{"a pair of one side", 2, []string{whole, partial, "--pair", "--trust", trust}},
	} {
		for _, more := range [][]string{nil, {"--lang=ja"}, {"--json"}} {
			code, out, errs := run(t.Context(), nil, append(append([]string{"verify"}, c.args...), more...)...)
			if code != c.code || out == "" || errs != "" {
				t.Errorf("%s %v: exit %d, want %d\n%s%s", c.name, more, code, c.code, out, errs)
			}
			if json := strings.HasPrefix(out, `{"`); json != (len(more) == 1 && more[0] == "--json") {
				t.Errorf("%s %v: printed %.60s", c.name, more, out)
			}
		}
	}
}
