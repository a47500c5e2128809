package node

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"kakehashi/client"
	"kakehashi/config"
	"kakehashi/store/storetest"
)

// group is a participant that several replicas serve from one database, behind a
// balancer that asks each in turn.
type group struct {
	places   []place
	replicas []running

	mu      sync.Mutex
	serving []*url.URL
	turn    atomic.Int64
}

// newGroup starts n replicas; it skips the test where there is no database server.
func newGroup(t *testing.T, name string, n int) *group {
	t.Helper()
	at := storetest.URL(t)
	if at == "" {
		t.Skipf("%s is not set: replicas need a database server, see make postgres", storetest.Environment)
	}
	g := &group{}
	front := freeAddress(t)
	key := make([]byte, 32)
	copy(key, name)
	var token []byte
	for i := range n {
		dir := t.TempDir()
		ports := [2]string{freeAddress(t), freeAddress(t)}
		s, err := config.Load(config.Source{New: true, Path: filepath.Join(dir, "node.yaml"), Env: func(string) (string, bool) { return "", false },
			Flags: map[string]string{"participant": name, "listen": ports[0], "admin_listen": ports[1], "development": "true", "data": dir,
				"files_roots": filepath.Dir(dir), "public_url": "http://" + front, "store": at}})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, tokenFile)
		if i == 0 {
			if _, err := Init(t.Context(), s, key); err != nil {
				t.Fatal(err)
			}
			if token, err = os.ReadFile(file); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(file, token, 0o600); err != nil {
			t.Fatal(err)
		}
		g.places = append(g.places, place{settings: s, key: key})
	}
	for _, p := range g.places {
		g.replicas = append(g.replicas, p.start(t, nil))
		g.serve(p, true)
	}
	l, err := net.Listen("tcp", front)
	if err != nil {
		t.Fatal(err)
	}
	balancer := &http.Server{Handler: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		g.mu.Lock()
		defer g.mu.Unlock()
		r.SetURL(g.serving[int(g.turn.Add(1))%len(g.serving)])
		r.Out.Host = r.In.Host
	}}}
	done := make(chan error, 1)
	go func() { done <- balancer.Serve(l) }()
	t.Cleanup(func() { balancer.Close(); <-done })
	return g
}

// serve lets the balancer ask a replica, or no more.
func (g *group) serve(p place, on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := &url.URL{Scheme: "http", Host: p.settings.Listen}
	var left []*url.URL
	for _, u := range g.serving {
		if u.Host != at.Host {
			left = append(left, u)
		}
	}
	if g.serving = left; on {
		g.serving = append(g.serving, at)
	}
}

func TestReplicasServeOneParticipant(t *testing.T) {
	t.Parallel()
	tokyo := newGroup(t, "tokyo", 3)
	brussels := newGroup(t, "brussels", 2)
	for i, r := range tokyo.replicas {
		if live, err := r.Node.replicas.Live(t.Context()); err != nil || len(live) != 3 || r.Node.replicas.Alone() {
			t.Errorf("replica %d: %v, %v", i, live, err)
		}
	}
	content := []byte("week,cases\n2026-W01,12\n")
	d := publish(t, tokyo.places[0], tokyo.replicas[0], content)
	node, err := tokyo.replicas[1].client().Node(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	exchange := func(n int) error {
		out := filepath.Join(t.TempDir(), fmt.Sprint(n, ".csv"))
		got, err := brussels.replicas[n%2].client().Get(t.Context(), client.Want{Partner: node.DID, Dataset: d.ID, Out: out})
		if err != nil {
			return fmt.Errorf("exchange %d: %w", n, err)
		}
		if b, err := os.ReadFile(out); err != nil || string(b) != string(content) {
			return fmt.Errorf("exchange %d: got %q, %w", n, b, err)
		}
		for _, r := range tokyo.replicas[:2] {
			if _, err := r.client().Agreement(t.Context(), got.Agreement); err != nil {
				return fmt.Errorf("a replica does not know the agreement of exchange %d: %w", n, err)
			}
		}
		return nil
	}
	var all errgroup.Group
	for n := range 8 {
		all.Go(func() error { return exchange(n) })
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	// One leaves while exchanges run: what it had begun, another ends.
	for n := range 8 {
		all.Go(func() error { return exchange(8 + n) })
	}
	tokyo.serve(tokyo.places[2], false)
	if err := tokyo.replicas[2].stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, r := range []running{tokyo.replicas[0], brussels.replicas[1]} {
		p := r.Node.participants.All()[0].ID
		if err := r.Node.evidence.Flush(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if report, err := r.Node.evidence.Check(t.Context(), p); err != nil || report.Err() != nil {
			t.Errorf("the evidence of %s: %v, %v", p, err, report.Err())
		}
	}
}
