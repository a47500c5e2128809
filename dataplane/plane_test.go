package dataplane

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

// leaves keeps what was appended by units that committed.
type leaves struct {
	mu     sync.Mutex
	all    []evidence.Leaf
	window chan struct{} // a window's leaf was kept
}

func (l *leaves) Append(tx store.Tx, _ participant.ID, leaf evidence.Leaf, _ ...evidence.Body) error {
	tx.AfterCommit(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = append(l.all, leaf)
		if leaf.Type == "kh.plane.window" {
			select {
			case l.window <- struct{}{}:
			default:
			}
		}
	})
	return nil
}

func (l *leaves) of(typ string) (found []evidence.Leaf) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, leaf := range l.all {
		if leaf.Type == typ {
			found = append(found, leaf)
		}
	}
	return found
}

// gate permits until a time, or refuses.
type gate struct {
	mu    sync.Mutex
	until time.Time
	err   error
	asked int
}

func (g *gate) Access(context.Context, participant.ID, string, time.Time) (time.Time, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked++
	return g.until, g.err
}

func (g *gate) set(until time.Time, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.until, g.err = until, err
}

type rig struct {
	t      testing.TB
	db     store.DB
	plane  *Plane
	config Config
	server *httptest.Server
	leaves *leaves
	gate   *gate
	began  chan struct{} // one per served request
	moved  chan Moved    // one per received body
}

const tokyo = participant.ID("tokyo")

func newRig(t testing.TB) *rig {
	r := &rig{t: t, leaves: &leaves{window: make(chan struct{}, 1)}, gate: &gate{}, began: make(chan struct{}, 4096), moved: make(chan Moved, 16)}
	r.db = storetest.Open(t, Schema)
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { r.plane.Handler().ServeHTTP(w, q) }))
	r.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	r.server.Config.ConnContext = ConnContext
	r.config = Config{
		DB: r.db, Gate: r.gate, Evidence: r.leaves, Log: slog.New(slog.DiscardHandler),
		Participants: func(id participant.ID) (participant.Participant, bool) {
			return participant.Participant{ID: id, DID: "did:web:tokyo.example", DataURL: "http://" + r.server.Listener.Addr().String()}, id == tokyo
		},
		Formats: []Format{{Service: "test", Name: "HttpData-PULL", Serve: r.serve}, {Service: "test", Name: "HttpData-PUSH", Serve: r.servePush}},
		Folder:  filepath.Join(t.TempDir(), "received"), MaxReceived: 1 << 20, HTTP: &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}},
		Received: func(tx store.Tx, g Grant, m Moved) error {
			tx.AfterCommit(func() { r.moved <- m })
			return nil
		},
	}
	var err error
	if r.plane, err = New(t.Context(), r.config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, done := context.WithTimeout(context.Background(), 10*time.Second)
		defer done()
		if err := r.plane.Close(ctx); err != nil {
			t.Error(err)
		}
		r.server.Close()
	})
	return r
}

// serve answers by the path: how a test chooses what the format does.
func (r *rig) serve(w http.ResponseWriter, q *http.Request, s *Session) {
	r.began <- struct{}{}
	kind, arg, _ := strings.Cut(strings.Trim(q.URL.Path, "/"), "/")
	switch kind {
	case "", "ten":
		_, _ = w.Write([]byte("ten bytes."))
	case "file":
		http.ServeFile(w, q, string(s.Source))
	case "endless":
		for s.Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	case "wait":
		<-q.Context().Done()
	case "short":
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("only this"))
	case "panic":
		panic("a service's mistake")
	case "echo":
		_, _ = io.WriteString(w, q.URL.Path+"?"+q.URL.RawQuery)
	case "items":
		n, _ := strconv.Atoi(arg)
		s.Count(0, int64(n))
	case "proto":
		_, _ = io.WriteString(w, q.Proto)
	}
}

func (r *rig) update(f func(store.Tx) error) {
	r.t.Helper()
	if err := r.db.Update(context.Background(), f); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) open(source string) (a Access) {
	r.t.Helper()
	r.update(func(tx store.Tx) (err error) {
		a, err = r.plane.Open(tx, Grant{Participant: tokyo, Transfer: "urn:t", Agreement: "urn:a", Counterparty: "did:web:b",
			Dataset: "urn:d", Format: "HttpData-PULL", Source: []byte(source)})
		return err
	})
	return a
}

func (r *rig) stop(a Access) {
	r.t.Helper()
	r.update(func(tx store.Tx) error { return r.plane.Stop(tx, tokyo, a.Grant, "the transfer was terminated") })
}

func (r *rig) request(method, url, authorization string) *http.Response {
	r.t.Helper()
	q, err := http.NewRequest(method, url, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if authorization != "" {
		q.Header.Set("Authorization", authorization)
	}
	res, err := r.server.Client().Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func (r *rig) get(a Access, path string) (int, string) {
	r.t.Helper()
	res := r.request("GET", a.Address+path, "Bearer "+a.Token)
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func (r *rig) windows(state string) (n int) {
	r.t.Helper()
	err := r.db.View(context.Background(), func(tx store.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM dataplane_windows WHERE participant = 'tokyo' AND state = $1`, state).Scan(&n)
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

func TestTheTokenMayComeInEachFormThatClientsSend(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Start()
	a := r.open("")
	other := r.open("")
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, c := range []struct {
		name, authorization, code string
	}{
		{"bearer", "Bearer " + a.Token, ""},
		{"bearer in lower case", "bearer  " + a.Token, ""},
		{"alone", a.Token, ""},
		{"TAXII", "Token " + a.Token, ""},
		{"basic", basic(a.Grant + ":" + a.Token), ""},
		{"basic without a name", basic(":" + a.Token), ""},
		{"none", "", "token-missing"},
		{"another scheme", "Digest " + a.Token, "token-missing"},
		{"too short", "Bearer abc", "token-missing"},
		{"basic that is no base64", "Basic ***", "token-missing"},
		{"basic without a colon", basic(a.Token), "token-missing"},
		{"the token of another grant", "Bearer " + other.Token, "grant-unknown"},
		{"a guess", "Bearer " + strings.Repeat("A", 43), "grant-unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := r.request("GET", a.Address, c.authorization)
			b, _ := io.ReadAll(res.Body)
			if c.code == "" {
				if res.StatusCode != 200 || string(b) != "ten bytes." {
					t.Fatalf("got %d %s", res.StatusCode, b)
				}
				return
			}
			if res.StatusCode != 401 || !strings.Contains(string(b), `"code":"`+c.code+`"`) || res.Header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("got %d %s", res.StatusCode, b)
			}
			if len(res.Header.Values("WWW-Authenticate")) != 2 {
				t.Error("no challenge")
			}
		})
	}
	t.Run("two of them", func(t *testing.T) {
		q, _ := http.NewRequest("GET", a.Address, nil)
		q.Header["Authorization"] = []string{"Bearer " + a.Token, "Bearer " + a.Token}
		res, err := r.server.Client().Do(q)
		if err != nil || res.StatusCode != 401 {
			t.Fatal(res, err)
		}
	})
}

func TestTheFormatSeesThePathBelowTheGrant(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Start()
	a := r.open("")
	for path, want := range map[string]string{"echo/x%2Fy//z?q=1": "/echo/x/y//z?q=1", "echo": "/echo?"} {
		if code, got := r.get(a, path); code != 200 || got != want {
			t.Errorf("%s: got %d %q", path, code, got)
		}
	}
	if res := r.request("GET", strings.TrimSuffix(a.Address, "/"), a.Token); res.StatusCode != 200 {
		t.Errorf("without the last slash: %d", res.StatusCode)
	}
	if res := r.request("GET", r.server.URL+"/prefix/data/"+a.Grant+"/echo/data/x", a.Token); res.StatusCode != 200 {
		t.Errorf("below a prefix: %d", res.StatusCode)
	}
	if res := r.request("GET", r.server.URL+"/data/", a.Token); res.StatusCode != 404 {
		t.Errorf("no grant: %d", res.StatusCode)
	}
	if res := r.request("GET", r.server.URL+"/data/00000000-0000-0000-0000-000000000000/", a.Token); res.StatusCode != 401 {
		t.Errorf("unknown grant: %d", res.StatusCode)
	}
}

func TestAGrantsLife(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Start()
	a := r.open("")
	expect := func(a Access, status int, text string) {
		t.Helper()
		if code, body := r.get(a, ""); code != status || !strings.Contains(body, text) {
			t.Fatalf("got %d %s, want %d %s", code, body, status, text)
		}
	}
	expect(a, 200, "ten bytes.")
	r.update(func(tx store.Tx) error { return r.plane.Suspend(tx, tokyo, a.Grant, "a credential ran out") })
	r.update(func(tx store.Tx) error { return r.plane.Suspend(tx, tokyo, a.Grant, "again") })
	expect(a, 403, "a credential ran out")

	var b, c Access
	r.update(func(tx store.Tx) (err error) { b, err = r.plane.Resume(tx, tokyo, a.Grant); return })
	expect(a, 401, "grant-unknown")
	expect(b, 200, "ten bytes.")
	r.update(func(tx store.Tx) (err error) { c, err = r.plane.Reissue(tx, tokyo, a.Grant); return })
	expect(b, 401, "grant-unknown")
	expect(c, 200, "ten bytes.")
	if b.Address != a.Address || c.Address != a.Address {
		t.Error("the address changed")
	}

	r.stop(c)
	r.stop(c)
	expect(c, 403, "the transfer was terminated")
	for name, f := range map[string]func(store.Tx) error{
		"suspend": func(tx store.Tx) error { return r.plane.Suspend(tx, tokyo, a.Grant, "x") },
		"resume":  func(tx store.Tx) error { _, err := r.plane.Resume(tx, tokyo, a.Grant); return err },
		"reissue": func(tx store.Tx) error { _, err := r.plane.Reissue(tx, tokyo, a.Grant); return err },
	} {
		if err := r.db.Update(t.Context(), f); !errors.Is(err, fault.GrantClosed) {
			t.Errorf("%s after the end: %v", name, err)
		}
	}
	err := r.db.Update(t.Context(), func(tx store.Tx) error { return r.plane.Stop(tx, "brussels", a.Grant, "not mine") })
	if !errors.Is(err, fault.NotFound) {
		t.Errorf("stop of another participant's grant: %v", err)
	}

	closed := r.leaves.of("kh.grant.closed")
	if len(closed) != 1 || closed[0].Facts["bytes"] != "30" || closed[0].Facts["requests"] != "3" {
		t.Errorf("closed: %+v", closed)
	}
	if info, err := r.plane.Get(t.Context(), tokyo, a.Grant); err != nil || info.Bytes != 30 || info.State != StateClosed || info.Generation != 3 || info.Closed.IsZero() {
		t.Errorf("kept: %+v %v", info, err)
	}
	for _, l := range r.leaves.all {
		if strings.Contains(fmt.Sprint(l), c.Token) {
			t.Error("a leaf shows a token")
		}
	}
}

func TestAUnitThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Start()
	a := r.open("")
	if code, _ := r.get(a, ""); code != 200 {
		t.Fatal(code)
	}
	undone := errors.New("undone")
	err := r.db.Update(t.Context(), func(tx store.Tx) error {
		return errors.Join(r.plane.Stop(tx, tokyo, a.Grant, "no"), undone)
	})
	if !errors.Is(err, undone) {
		t.Fatal(err)
	}
	if code, _ := r.get(a, ""); code != 200 {
		t.Error("a stop that was undone closed the grant", code)
	}
	if err := r.plane.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if info, _ := r.plane.Get(t.Context(), tokyo, a.Grant); info.Bytes != 20 || info.Requests != 2 {
		t.Errorf("counted %+v", info)
	}
}

func TestTheAgreementsEndClosesAllItsGrants(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Start()
	a, b := r.open(""), r.open("")
	n := 0
	r.update(func(tx store.Tx) (err error) {
		n, err = r.plane.StopAgreement(tx, tokyo, "urn:a", "the agreement ended")
		return err
	})
	for _, x := range []Access{a, b} {
		if code, body := r.get(x, ""); code != 403 || !strings.Contains(body, "the agreement ended") {
			t.Errorf("got %d %s", code, body)
		}
	}
	if n != 2 || len(r.leaves.of("kh.grant.closed")) != 2 {
		t.Errorf("closed %d", n)
	}
}

func TestTheGateDecidesEachRequest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var clock sync.Map
	clock.Store("now", time.Now())
	r.plane.c.Now = func() time.Time { v, _ := clock.Load("now"); return v.(time.Time) }
	r.server.Start()
	a := r.open("")
	for range 5 {
		if code, _ := r.get(a, ""); code != 200 {
			t.Fatal(code)
		}
	}
	if r.gate.asked != 1 {
		t.Errorf("the gate was asked %d times", r.gate.asked)
	}
	r.gate.set(time.Time{}, fault.GrantClosed.At("", "why", "purpose not agreed"))
	clock.Store("now", r.plane.c.Now().Add(Fresh))
	if code, body := r.get(a, ""); code != 403 || !strings.Contains(body, "purpose not agreed") {
		t.Errorf("got %d %s", code, body)
	}
	r.gate.set(r.plane.c.Now().Add(-time.Second), nil)
	if code, body := r.get(a, ""); code != 403 || !strings.Contains(body, "terms ended") {
		t.Errorf("got %d %s", code, body)
	}
}

func TestOpenRefusesWhatNobodyCanServe(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, c := range map[string]struct {
		g    Grant
		want error
	}{
		"format":  {Grant{Participant: tokyo, Format: "Kafka-PULL"}, fault.FormatUnknown},
		"service": {Grant{Participant: tokyo, Service: "city", Format: "HttpData-PULL"}, fault.FormatUnknown},
		"filter":  {Grant{Participant: tokyo, Format: "HttpData-PULL", Filter: []byte(`{"and":[]}`)}, fault.FilterUnsupported},
	} {
		err := r.db.Update(t.Context(), func(tx store.Tx) error { _, err := r.plane.Open(tx, c.g); return err })
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := r.config
	bad.Formats = []Format{{Service: "test", Name: "TAXII-2.1-PULL", Serve: r.serve}}
	if _, err := New(t.Context(), bad); err == nil {
		t.Error("a format name with two hyphens passed")
	}
}

func TestProblemsSpeakJapanese(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	q := httptest.NewRequest("GET", "/data/x/", nil)
	q.Header.Set("Accept-Language", "ja-JP,en;q=0.5")
	w := httptest.NewRecorder()
	r.plane.Handler().ServeHTTP(w, q)
	if !strings.Contains(w.Body.String(), "トークン") || w.Header().Get("Content-Language") != "ja" {
		t.Error(w.Body)
	}
}

func FuzzToken(f *testing.F) {
	for _, s := range []string{"Bearer x", "Basic Og==", "token ", " ", "Basic", "Bearer " + strings.Repeat("A", 43)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, ok := bare(s); ok && len(got) != 43 {
			t.Errorf("%q gave %q", s, got)
		}
	})
}

// sparse makes a file of n zero bytes that takes no disk.
func sparse(t testing.TB, n int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data.bin")
	f, err := os.Create(path)
	if err == nil {
		err = errors.Join(f.Truncate(n), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// raw speaks HTTP by hand, so that a test sees what the connection did.
func (r *rig) raw(a Access, path, proto string) net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	_, _ = fmt.Fprintf(c, "GET /data/%s/%s %s\r\nHost: x\r\nAuthorization: %s\r\n\r\n", a.Grant, path, proto, a.Token)
	return c
}

func readAll(c io.Reader) (int64, error) {
	var b bytes.Buffer
	b.Grow(64 << 10)
	var n int64
	for {
		m, err := io.CopyN(io.Discard, c, 1<<20)
		n += m
		if err != nil {
			return n, err
		}
	}
}
