package identity_test

import (
	"errors"
	"net/http"
	"testing"

	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/store"
)

// mocked is a world whose room takes a template.
func mocked(t *testing.T, text, caller string) *world {
	t.Helper()
	w := newWorld(t)
	tmpl, err := identity.NewTemplate(text, caller)
	if err != nil {
		t.Fatal(err)
	}
	if w.room, err = identity.Open(identity.Config{DB: w.db, Participants: w.hosts, Resolver: w.docs, Template: tmpl, Now: w.clock}); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestARoomWithATemplateTakesItAndTokens(t *testing.T) {
	t.Parallel()
	w := mocked(t, `{"region":"eu","audience":"{counterparty}","clientId":"{self}"}`, "")
	if w.room.Proves() {
		t.Error("it says that callers prove who they are")
	}
	h, err := w.room.Authorize(t.Context(), "tokyo", "provider", identity.Use{Message: "m", Digest: body})
	if err != nil || h != `{"audience":"provider","clientId":"`+tokyoDID+`","region":"eu"}` {
		t.Errorf("sent %s, %v", h, err)
	}
	for _, c := range []struct {
		name, header, id string
		claimed          bool
	}{
		{"an id that is no DID", `{"region":"eu","audience":"` + tokyoDID + `","clientId":"provider"}`, "provider", true},
		{"somebody else's DID", `{"region":"eu","audience":"` + tokyoDID + `","clientId":"` + peerDID + `"}`, peerDID, true},
		{"a token", "Bearer " + w.token(t, w.claims()), peerDID, false},
	} {
		got, err := w.room.Verify(t.Context(), "tokyo", identity.Request{Authorization: c.header, Message: "m", Digest: body})
		if err != nil || got.ID != c.id || got.Claimed != c.claimed || got.Signed == c.claimed || (got.DID == "") != c.claimed || (got.Token.JTI == "") != c.claimed {
			t.Errorf("%s: %+v, %v", c.name, got, err)
			continue
		}
		for n := range 2 { // a template is sent again and again, a token once
			err := w.db.Update(t.Context(), func(tx store.Tx) error { return w.room.Spend(tx, "tokyo", got) })
			if want := n == 1 && !c.claimed; want != errors.Is(err, fault.TokenReplayed) || !want && err != nil {
				t.Errorf("%s: spent %d times: %v", c.name, n, err)
			}
		}
	}
	if n := w.spent(t); n != 1 {
		t.Errorf("%d tokens are kept as spent", n)
	}
	for _, header := range []string{"", "Bearer x", `{}`, `{"region":"eu","audience":"did:web:kyoto.example","clientId":"provider"}`,
		`{"region":"eu","audience":"` + tokyoDID + `","clientId":"a\u0000b"}`, `{"region":"eu","audience":"` + tokyoDID + `","clientId":"a\nb"}`} {
		_, err := w.room.Verify(t.Context(), "tokyo", identity.Request{Authorization: header, Message: "m", Digest: body})
		if err == nil || fault.Of(err).Kind.Status != http.StatusUnauthorized {
			t.Errorf("%s: %v", header, err)
		}
	}
}

func TestWithoutATemplateNobodyIsTakenAtHisWord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, header := range []string{"Bearer tck", `{"region":"eu","audience":"` + tokyoDID + `","clientId":"provider"}`, "provider"} {
		_, err := w.room.Verify(t.Context(), "tokyo", identity.Request{Authorization: header, Message: "m", Digest: body})
		if err == nil || fault.Of(err).Kind.Status != http.StatusUnauthorized {
			t.Errorf("%s: %v", header, err)
		}
	}
	if !w.room.Proves() {
		t.Error("it says that callers prove nothing")
	}
}
