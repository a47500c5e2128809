package trust_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"kakehashi/dcp"
	"kakehashi/did"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/internal/watch"
	"kakehashi/jws"
	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/store/storetest"
	"kakehashi/trust"
	"kakehashi/vc"
)

const (
	tokyo     = participant.ID("tokyo")
	tokyoDID  = "did:web:tokyo.example"
	munich    = "did:web:munich.example"
	paris     = "did:web:paris.example"
	authority = "did:web:authority.example"
	statusURL = "https://authority.example/status/1"
	listURL   = "https://list.example/japan"
)

var start = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// world is a room of tokyo's, and the others around it, who are reached without a
// network.
type world struct {
	testing.TB
	db    store.DB
	log   *evidence.Log
	hosts *participant.Room
	hub   *watch.Hub
	room  *trust.Room

	mu      sync.Mutex
	now     time.Time
	keys    map[string]jws.Key
	serve   map[string]func(*http.Request) (int, string) // by URL
	queries int
	scopes  []string
}

func (w *world) clock() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// Resolve gives the documents of all who have a key.
func (w *world) Resolve(_ context.Context, name string) (did.Document, error) {
	if p, ok := w.hosts.ByDID(name); ok {
		return identity.Document(w.hosts, p.ID)
	}
	k, ok := w.keys[name]
	if !ok {
		return did.Document{}, fault.DIDUnresolved.At("", "did", name, "reason", "test")
	}
	o := did.Own{DID: name, CredentialService: "https://" + strings.TrimPrefix(name, "did:web:") + "/cs", Keys: []did.OwnKey{{KID: k.KID,
		Public: k.Signer.Public(), For: []did.Relationship{did.Authentication, did.Assertion, did.Invocation}}}}
	if name == paris {
		o.CredentialService = ""
	}
	return did.Build(o)
}

// RoundTrip answers for the others.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	f := w.serve[r.URL.String()]
	w.mu.Unlock()
	status, body := http.StatusNotFound, ""
	if f != nil {
		status, body = f(r)
	}
	if status == 0 { // never answers
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func newKey(t testing.TB, name string) jws.Key {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jws.Key{KID: name + "#key-1", Alg: jws.ES256, Signer: k}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, now: start, hub: watch.New(), keys: map[string]jws.Key{}, serve: map[string]func(*http.Request) (int, string){}}
	w.db = storetest.Open(t, participant.Schema, evidence.Schema, identity.Schema, trust.Schema)
	vault, err := participant.NewVault(bytes.Repeat([]byte{7}, 32), rand.Reader)
	w.ok(err)
	w.hosts, err = participant.Open(t.Context(), participant.Config{DB: w.db, Vault: vault, Now: w.clock, Rand: rand.Reader})
	w.ok(err)
	w.ok(w.hosts.Create(t.Context(), participant.Participant{ID: tokyo, DID: tokyoDID, Base: "https://tokyo.example/dsp/tokyo/2025-1",
		Origin: "tokyo.example", DataURL: "https://tokyo.example", Created: start}))
	w.log, err = evidence.Open(t.Context(), evidence.Config{DB: w.db, Participants: w.hosts.All, Keys: w.hosts, Vault: vault, Now: w.clock,
		Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	w.ok(err)
	for _, name := range []string{munich, paris, authority, "did:web:other.example"} {
		w.keys[name] = newKey(t, name)
	}
	w.room = w.open()
	return w
}

// open opens the room as another replica, or after a restart.
func (w *world) open() *trust.Room {
	w.Helper()
	r, err := trust.Open(w.Context(), trust.Config{DB: w.db, Participants: w.hosts, Evidence: w.log, Watch: w.hub,
		HTTP: &http.Client{Transport: w}, Fresh: 5 * time.Minute, Refresh: time.Minute, Now: w.clock, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	w.ok(err)
	who, err := identity.Open(identity.Config{DB: w.db, Participants: w.hosts, Resolver: w, Lenient: r.Lenient, Now: w.clock})
	w.ok(err)
	r.Bind(who)
	return r
}

// credential is what an issuer attests of somebody.
func (w *world) credential(d vc.Draft) string {
	w.Helper()
	if d.Model == 0 {
		d.Model = vc.VC20
	}
	if d.Issuer == "" {
		d.Issuer = authority
	}
	if d.Subject == "" {
		d.Subject = munich
	}
	if d.ValidFrom.IsZero() {
		d.ValidFrom = start.Add(-time.Hour)
	}
	if d.Claims == nil {
		d.Claims = map[string]any{"level": "gold"}
	}
	raw, err := vc.Issue(rand.Reader, w.keys[d.Issuer], d)
	w.ok(err)
	return raw
}

func (w *world) accreditation() string {
	return w.credential(vc.Draft{Types: []string{"Accreditation"}})
}

type showing struct {
	holder, audience string
	key              string // whose; "" the holder's
	at               time.Time
}

func (w *world) presentation(s showing, raw ...string) string {
	w.Helper()
	if s.holder == "" {
		s.holder = munich
	}
	if s.audience == "" {
		s.audience = tokyoDID
	}
	if s.key == "" {
		s.key = s.holder
	}
	if s.at.IsZero() {
		s.at = w.clock()
	}
	var all []vc.Credential
	for _, r := range raw {
		c, err := vc.ParseCredential(r)
		w.ok(err)
		all = append(all, c)
	}
	made, err := vc.Present(vc.PresentConfig{Random: rand.Reader, Key: w.keys[s.key], Holder: s.holder, Audience: s.audience, Now: s.at, Lifetime: 5 * time.Minute}, all)
	w.ok(err)
	if len(made) != 1 {
		w.Fatalf("%d presentations", len(made))
	}
	return made[0]
}

// answers has munich's credential service answer each query anew.
func (w *world) answers(f func() (int, []string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.serve["https://munich.example/cs/presentations/query"] = func(r *http.Request) (int, string) {
		b, _ := io.ReadAll(r.Body)
		q, err := dcp.DecodeQuery(b)
		if err != nil {
			return http.StatusBadRequest, err.Error()
		}
		w.mu.Lock()
		w.queries++
		w.scopes = q.Scopes
		w.mu.Unlock()
		status, all := f()
		if status != http.StatusOK {
			return status, ""
		}
		body, err := dcp.PresentationResponse{Presentations: all}.Encode()
		if err != nil {
			return http.StatusInternalServerError, err.Error()
		}
		return status, string(body)
	}
}

func (w *world) shows(raw ...string) {
	w.answers(func() (int, []string) { return http.StatusOK, []string{w.presentation(showing{}, raw...)} })
}

func (w *world) caller(name, access string) identity.Caller {
	return identity.Caller{ID: name, DID: name, Token: identity.Token{Issuer: name, Access: access}}
}

// comes has munich send a message.
func (w *world) comes() error { return w.room.Admit(w.Context(), tokyo, w.caller(munich, "opaque")) }

func (w *world) trusts(types ...string) {
	w.Helper()
	w.ok(w.room.AddIssuer(w.Context(), tokyo, trust.Issuer{DID: authority, Types: types}))
}

// publishes has the authority serve its status list.
func (w *world) publishes(l vc.ListDraft, bits ...int64) {
	w.Helper()
	b := vc.NewBitstring(0)
	for _, i := range bits {
		b.Set(i, true)
	}
	l.URL, l.Bits, l.ValidFrom = statusURL, b, start.Add(-time.Hour)
	if l.EntryType == "" {
		l.EntryType = vc.BitstringEntry
	}
	if l.Issuer == "" {
		l.Issuer = authority
	}
	if l.Purpose == "" {
		l.Purpose = vc.Revocation
	}
	raw, err := vc.IssueStatusList(rand.Reader, w.keys[l.Issuer], l)
	w.ok(err)
	w.place(statusURL, http.StatusOK, raw)
}

func (w *world) place(url string, status int, body string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.serve[url] = func(*http.Request) (int, string) { return status, body }
}

func entry(index int64) []vc.StatusEntry {
	return []vc.StatusEntry{{Type: vc.BitstringEntry, Purpose: vc.Revocation, List: statusURL, Index: index}}
}
