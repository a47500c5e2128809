package node

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"kakehashi/client"
	"kakehashi/config"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

// place is where one node of a test lives, across its restarts.
type place struct {
	settings config.Settings
	key      []byte
	ahead    time.Duration // how far the node's clock is ahead
	within   time.Duration // Config.Within
	head     time.Duration // Config.Head
	jump     *atomic.Int64 // how far its clock has jumped; nil: not
}

// newPlace makes a node's folder and its participant, on free loopback ports.
func newPlace(t testing.TB, name string) place {
	t.Helper()
	dir := t.TempDir()
	ports := [2]string{freeAddress(t), freeAddress(t)}
	s, err := config.Load(config.Source{New: true, Path: filepath.Join(dir, "node.yaml"), Env: func(string) (string, bool) { return "", false },
		Flags: storetest.Flags(t, map[string]string{"participant": name, "listen": ports[0], "admin_listen": ports[1], "development": "true", "data": dir,
			"files_roots": dir, "public_url": "http://" + ports[0]})})
	if err != nil {
		t.Fatal(err)
	}
	key := make([]byte, 32)
	copy(key, name)
	if _, err := Init(t.Context(), s, key); err != nil {
		t.Fatal(err)
	}
	return place{settings: s, key: key}
}

var nextPort atomic.Int32

// freeAddress gives a loopback address that no other node of this test run gets,
// below the ports that the system hands out to outgoing connections: a node that
// is killed comes back to it.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 10_000 {
		address := fmt.Sprintf("127.0.0.1:%d", 12_000+(os.Getpid()*97+int(nextPort.Add(1)))%18_000)
		l, err := net.Listen("tcp", address)
		if err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

// running is a node that serves until stop.
type running struct {
	*Node
	stop func() error
}

func (p place) start(t testing.TB, wrap func(store.DB) store.DB) running {
	t.Helper()
	return p.startWith(t, wrap, func(h http.Handler) http.Handler { return h })
}

// waitInTest is how long a test waits for a state that must come.
const waitInTest = 20 * time.Second

// startWith starts a node whose public face is wrapped.
func (p place) startWith(t testing.TB, wrap func(store.DB) store.DB, face func(http.Handler) http.Handler) running {
	t.Helper()
	level := slog.LevelWarn
	n, err := Open(t.Context(), Config{Settings: p.settings, MasterKey: p.key, Version: "test", Store: wrap, Within: p.within, Head: p.head,
		Now: p.now,
		Log: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: level}))})
	if err != nil {
		t.Fatal(err)
	}
	n.public = face(n.public)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	<-n.Ready()
	var ended bool
	r := running{n, func() error {
		if ended {
			return nil
		}
		ended = true
		cancel()
		return <-done
	}}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return r
}

func (p place) now() time.Time {
	now := time.Now().Add(p.ahead)
	if p.jump != nil {
		now = now.Add(time.Duration(p.jump.Load()))
	}
	return now
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) { w.t.Logf("%s", b); return len(b), nil }

func (r running) client() *client.Client {
	return &client.Client{Base: r.AdminURL(), Token: r.APIToken(), Lang: "en", HTTP: &http.Client{Transport: &http.Transport{}}}
}

// terms permits use for research until tomorrow.
func terms(now time.Time) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"permission":[{"action":"use","constraint":[
		{"leftOperand":"purpose","operator":"eq","rightOperand":"research"},
		{"leftOperand":"dateTime","operator":"lt","rightOperand":{"@value":%q,"@type":"http://www.w3.org/2001/XMLSchema#dateTime"}}]}]}`,
		now.Add(24*time.Hour).UTC().Format(time.RFC3339)))
}

func publish(t testing.TB, p place, r running, content []byte) client.Dataset {
	t.Helper()
	path := filepath.Join(p.settings.Data, "table.csv")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := r.client().PublishFile(t.Context(), client.PublishFile{Path: path, Title: "Weekly counts", Policy: terms(time.Now())})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTwoNodesAgreeExchangeAndProve(t *testing.T) {
	t.Parallel()
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	provider, consumer := tokyo.start(t, nil), brussels.start(t, nil)
	content := []byte("week,cases\n2026-W01,12\n")
	d := publish(t, tokyo, provider, content)
	node, err := provider.client().Node(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "got.csv")
	got, err := consumer.client().Get(t.Context(), client.Want{Partner: node.DID, Dataset: d.ID, Out: out,
		Step: func(s client.Step) { t.Logf("%-10s %8s %v", s.Name, s.Took, s.Values) }})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil || string(b) != string(content) {
		t.Fatalf("got %q, %v", b, err)
	}
	if _, err := provider.client().Agreement(t.Context(), got.Agreement); err != nil {
		t.Errorf("the provider does not know the agreement: %v", err)
	}
	again, err := consumer.client().Get(t.Context(), client.Want{Partner: node.DID, Dataset: d.ID, Out: out})
	if err != nil || again.Agreement != got.Agreement {
		t.Errorf("the agreement was not used again: %v, %v", again, err)
	}
}
