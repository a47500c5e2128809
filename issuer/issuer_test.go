package issuer_test

import (
	"bytes"
	"context"
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
	"kakehashi/issuer"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/store/storetest"
	"kakehashi/vc"
)

const (
	us     = "tokyo"
	member = "did:web:member.example"
)

// documents knows nobody but those whose name holds their key.
type documents struct{}

func (documents) Resolve(_ context.Context, name string) (did.Document, error) {
	if doc, ok, err := did.Local(name); ok {
		return doc, err
	}
	return did.Document{}, fault.DIDUnresolved.At("", "did", name, "reason", "it is not there")
}

func newRoom(t *testing.T) (*issuer.Room, *participant.Room) {
	t.Helper()
	db := storetest.Open(t, participant.Schema, evidence.Schema, outbox.Schema, identity.Schema, issuer.Schema)
	vault, err := participant.NewVault(bytes.Repeat([]byte{7}, 32), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hosts, err := participant.Open(t.Context(), participant.Config{DB: db, Vault: vault})
	if err != nil {
		t.Fatal(err)
	}
	if err := hosts.Create(t.Context(), participant.Participant{ID: us, DID: "did:web:tokyo.example", Base: "https://tokyo.example/dsp/tokyo/2025-1",
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
	return issuer.Open(issuer.Config{DB: db, Participants: hosts, Identity: who, Evidence: log,
		Outbox: outbox.New(outbox.Config{DB: db, Log: quiet}), Watch: watch.New(), Now: time.Now, Rand: rand.Reader, Log: quiet}), hosts
}

func licence(id string) issuer.Type {
	return issuer.Type{ID: id, Type: "Licence", Profile: dcp.ProfileVC20, Lifetime: time.Hour, Approval: issuer.Attested, Claims: map[string]any{"scheme": "a", "level": "low"}}
}

func TestWhatIsIssuedSaysWhatIsKnownAndCanBeTakenBack(t *testing.T) {
	t.Parallel()
	r, hosts := newRoom(t)
	for _, id := range []string{"licence", "suspendable"} {
		typ := licence(id)
		typ.Suspendable = id == "suspendable"
		if id == "suspendable" {
			typ.Profile = dcp.ProfileVC11
		}
		if err := r.Define(t.Context(), us, typ); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Attest(t.Context(), us, issuer.Attestation{Subject: member, Type: "Licence", Claims: map[string]any{"level": "gold"}}); err != nil {
		t.Fatal(err)
	}
	key, err := hosts.Key(us, participant.Token)
	if err != nil {
		t.Fatal(err)
	}
	bit := func(i issuer.Issued, purpose string) bool {
		t.Helper()
		list, err := r.StatusList(t.Context(), us, i.List+"/"+purpose)
		if err != nil {
			t.Fatal(err)
		}
		l, err := vc.ParseStatusList([]byte(list.JWT))
		if err != nil || !l.Verify(key.Signer.Public()) {
			t.Fatalf("%+v, %v", l, err)
		}
		set, ok := l.Bits.Get(i.Index)
		if !ok {
			t.Fatal("no such bit")
		}
		return set
	}
	var all []issuer.Issued
	for _, id := range []string{"licence", "suspendable"} {
		made, raw, err := r.Issue(t.Context(), us, issuer.Order{Type: id, Holder: member, Claims: map[string]any{"scheme": "b"}})
		if err != nil {
			t.Fatal(err)
		}
		c, err := vc.ParseCredential(raw)
		if err != nil || c.Issuer != "did:web:tokyo.example" || c.Digest() != made.Digest || len(c.Statuses) != map[string]int{"licence": 1, "suspendable": 2}[id] ||
			!bytes.Contains(c.Subjects[0].Claims, []byte(`"level":"gold"`)) || !bytes.Contains(c.Subjects[0].Claims, []byte(`"scheme":"b"`)) {
			t.Errorf("%s: %+v, %v", id, c, err)
		}
		all = append(all, made)
	}
	if err := r.Mark(t.Context(), us, all[0].ID, issuer.Suspended, ""); !errors.Is(err, fault.NotSuspendable) {
		t.Errorf("suspended what cannot be: %v", err)
	}
	for _, step := range []struct {
		to                 string
		revoked, suspended bool
	}{{issuer.Suspended, false, true}, {issuer.Valid, false, false}, {issuer.Revoked, true, false}, {issuer.Revoked, true, false}} {
		if err := r.Mark(t.Context(), us, all[1].ID, step.to, "why"); err != nil {
			t.Fatal(err)
		}
		if bit(all[1], vc.Revocation) != step.revoked || bit(all[1], vc.Suspension) != step.suspended {
			t.Errorf("%s: revoked %v, suspended %v", step.to, bit(all[1], vc.Revocation), bit(all[1], vc.Suspension))
		}
	}
	if err := r.Mark(t.Context(), us, all[1].ID, issuer.Valid, ""); !errors.Is(err, fault.RequestDecided) {
		t.Errorf("what was revoked is good again: %v", err)
	}
	if bit(all[0], vc.Revocation) {
		t.Error("the other one is revoked too")
	}
	for path, want := range map[string]*fault.Kind{"x/revocation": fault.NotFound, all[0].List + "/refresh": fault.NotFound} {
		if _, err := r.StatusList(t.Context(), us, path); !errors.Is(err, want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestTypesAndOrdersThatAreRefused(t *testing.T) {
	t.Parallel()
	r, _ := newRoom(t)
	for name, change := range map[string]func(*issuer.Type){
		"no id":         func(t *issuer.Type) { t.ID = "" },
		"a space":       func(t *issuer.Type) { t.Type = "a b" },
		"no profile":    func(t *issuer.Type) { t.Profile = "ldp" },
		"no lifetime":   func(t *issuer.Type) { t.Lifetime = 0 },
		"for ever":      func(t *issuer.Type) { t.Lifetime = 100 * 365 * 24 * time.Hour },
		"no approval":   func(t *issuer.Type) { t.Approval = "" },
		"large claims":  func(t *issuer.Type) { t.Claims = map[string]any{"x": string(make([]byte, 20<<10))} },
		"a long format": func(t *issuer.Type) { t.Format = string(make([]byte, 300)) },
	} {
		typ := licence("licence")
		change(&typ)
		if err := r.Define(t.Context(), us, typ); !errors.Is(err, fault.BadMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := r.Define(t.Context(), us, licence("licence")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		order issuer.Order
		want  *fault.Kind
	}{
		"another type":    {issuer.Order{Type: "other", Holder: member}, fault.CredentialTypeUnknown},
		"no DID":          {issuer.Order{Type: "licence", Holder: "member"}, fault.DIDInvalid},
		"not to be found": {issuer.Order{Type: "licence", Holder: member, HolderPid: "p"}, fault.DIDUnresolved},
	} {
		if _, _, err := r.Issue(t.Context(), us, c.order); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := r.Decide(t.Context(), us, "nothing", true, ""); !errors.Is(err, fault.NotFound) {
		t.Errorf("decided on nothing: %v", err)
	}
	if err := r.Attest(t.Context(), us, issuer.Attestation{Subject: "x", Type: "Licence"}); !errors.Is(err, fault.DIDInvalid) {
		t.Errorf("attested nobody: %v", err)
	}
}
