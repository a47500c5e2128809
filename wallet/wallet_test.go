package wallet_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"log/slog"
	"testing"
	"time"

	"kakehashi/dcp"
	"kakehashi/did"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/internal/watch"
	"kakehashi/jws"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/store/storetest"
	"kakehashi/vc"
	"kakehashi/wallet"
)

const (
	us       = "tokyo"
	ourDID   = "did:web:tokyo.example"
	verifier = "did:web:verifier.example"
)

type documents struct{}

func (documents) Resolve(_ context.Context, name string) (did.Document, error) {
	if doc, ok, err := did.Local(name); ok {
		return doc, err
	}
	return did.Document{}, fault.DIDUnresolved.At("", "did", name, "reason", "it is not there")
}

// noLists is for credentials that name none.
type noLists struct{}

func (noLists) List(context.Context, vc.StatusEntry, string) (vc.StatusList, error) {
	return vc.StatusList{}, errors.New("there is no list")
}

func newWallet(t *testing.T) (*wallet.Room, *participant.Room) {
	t.Helper()
	db := storetest.Open(t, participant.Schema, evidence.Schema, outbox.Schema, identity.Schema, wallet.Schema)
	vault, err := participant.NewVault(bytes.Repeat([]byte{7}, 32), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hosts, err := participant.Open(t.Context(), participant.Config{DB: db, Vault: vault})
	if err != nil {
		t.Fatal(err)
	}
	if err := hosts.Create(t.Context(), participant.Participant{ID: us, DID: ourDID, Base: "https://tokyo.example/dsp/tokyo/2025-1",
		Origin: "tokyo.example", DataURL: "https://tokyo.example"}); err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	log, err := evidence.Open(t.Context(), evidence.Config{DB: db, Participants: hosts.All, Keys: hosts, Vault: vault, Now: time.Now, Rand: rand.Reader, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	who, err := identity.Open(identity.Config{DB: db, Participants: hosts, Resolver: documents{}})
	if err != nil {
		t.Fatal(err)
	}
	w, err := wallet.Open(t.Context(), wallet.Config{DB: db, Participants: hosts, Identity: who,
		Status: func(participant.ID) vc.StatusLists { return noLists{} }, Schemas: vc.NewSchemas(nil, time.Now), Evidence: log,
		Outbox: outbox.New(outbox.Config{DB: db, Log: quiet}), Watch: watch.New(), Now: time.Now, Rand: rand.Reader, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return w, hosts
}

// issue makes a credential of somebody whose name is its key.
func issue(t *testing.T, change func(*vc.Draft)) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	name, err := did.KeyName(public)
	if err != nil {
		t.Fatal(err)
	}
	d := vc.Draft{Model: vc.VC20, ID: "urn:uuid:1", Types: []string{"Licence"}, Issuer: name, Subject: ourDID, ValidFrom: time.Now().Add(-time.Hour), ValidUntil: time.Now().Add(time.Hour)}
	change(&d)
	doc, _, err := did.Local(name)
	if err != nil {
		t.Fatal(err)
	}
	kid, _ := doc.Sole()
	raw, err := vc.Issue(rand.Reader, jws.Key{KID: kid, Alg: jws.EdDSA, Signer: private}, d)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestAnImportedCredentialIsKeptUntilItIsRemoved(t *testing.T) {
	t.Parallel()
	w, _ := newWallet(t)
	raw := issue(t, func(*vc.Draft) {})
	kept, err := w.Import(t.Context(), us, raw)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second time it is the same
		if _, err := w.Import(t.Context(), us, raw); err != nil {
			t.Fatal(err)
		}
	}
	all, err := w.Credentials(t.Context(), us)
	if err != nil || len(all) != 1 || all[0].Digest != kept.Digest {
		t.Fatalf("%+v, %v", all, err)
	}
	if got, err := w.Raw(t.Context(), us, kept.Digest); err != nil || got != raw {
		t.Errorf("%q, %v", got, err)
	}
	if err := w.Remove(t.Context(), us, kept.Digest); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Raw(t.Context(), us, kept.Digest); !errors.Is(err, fault.NotFound) {
		t.Errorf("what was removed is shown: %v", err)
	}
	if err := w.Remove(t.Context(), us, kept.Digest); !errors.Is(err, fault.NotFound) {
		t.Errorf("removed twice: %v", err)
	}
	for name, c := range map[string]struct {
		raw  string
		want *fault.Kind
	}{
		"about another":          {issue(t, func(d *vc.Draft) { d.Subject = verifier }), fault.CredentialSubject},
		"expired":                {issue(t, func(d *vc.Draft) { d.ValidUntil = time.Now().Add(-time.Minute) }), fault.CredentialExpired},
		"in the name of another": {issue(t, func(d *vc.Draft) { d.Issuer = verifier }), fault.CredentialSignature},
		"a text":                 {"x", fault.CredentialInvalid},
		"of unknown state": {issue(t, func(d *vc.Draft) {
			d.Statuses = []vc.StatusEntry{{Type: vc.BitstringEntry, Purpose: vc.Revocation, List: "https://x.example/l", Index: 1}}
		}), fault.CredentialStatus},
	} {
		if _, err := w.Import(t.Context(), us, c.raw); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNothingIsSharedUnlessItsOwnerSaysSo(t *testing.T) {
	t.Parallel()
	w, hosts := newWallet(t)
	token := func() string {
		t.Helper()
		raw, err := w.AccessToken(t.Context(), us, verifier)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	if token() != "" {
		t.Error("an access token was made though nothing is shared")
	}
	if err := w.Share(t.Context(), us, wallet.Share{Type: "Licence", Counterparty: "did:web:another.example"}, false); err != nil {
		t.Fatal(err)
	}
	if token() != "" {
		t.Error("what is shared with another is shared with the verifier")
	}
	if err := w.Share(t.Context(), us, wallet.Share{Type: "Licence"}, false); err != nil {
		t.Fatal(err)
	}
	m, a, err := dcp.ParseAccess(token(), ourDID, verifier, time.Now())
	key, keyErr := hosts.Key(us, participant.Token)
	if err != nil || keyErr != nil || !m.Verify(key.Signer.Public()) || len(a.Scopes) != 1 || a.Scopes[0].Type() != "Licence" {
		t.Errorf("%+v, %v", a, err)
	}
	if err := w.Share(t.Context(), us, wallet.Share{Type: "Licence"}, true); err != nil {
		t.Fatal(err)
	}
	if token() != "" {
		t.Error("it is shared still")
	}
	for _, s := range []wallet.Share{{}, {Type: "a b"}, {Type: "Licence", Counterparty: "x"}} {
		if err := w.Share(t.Context(), us, s, false); err == nil {
			t.Errorf("%+v is shared", s)
		}
	}
	if err := w.Expect(t.Context(), us, verifier, "pid", false); err != nil {
		t.Fatal(err)
	}
	if err := w.Expect(t.Context(), us, verifier, "pid", true); !errors.Is(err, fault.RequestExists) {
		t.Errorf("expected twice: %v", err)
	}
	if err := w.Prune(t.Context()); err != nil {
		t.Error(err)
	}
}
