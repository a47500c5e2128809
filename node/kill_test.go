//go:build unix

package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"kakehashi/client"
	"kakehashi/config"
	"kakehashi/evidence/bundle"
	"kakehashi/internal/fault"
	"kakehashi/store"
)

// child is what a node in a process of its own is told.
type child struct {
	Flags map[string]string
	Key   []byte
	At    int64 // the commit at which it kills itself; 0: never
	After bool  // after that commit, else before it
}

const childEnv = "KAKEHASHI_TEST_CHILD"

func TestMain(m *testing.M) {
	if raw, ok := os.LookupEnv(childEnv); ok {
		os.Exit(runChild(raw))
	}
	os.Exit(m.Run())
}

// runChild is a node that kills itself with SIGKILL at the commit it was told.
func runChild(raw string) int {
	var c child
	if err := json.Unmarshal([]byte(raw), &c); err != nil {
		return 2
	}
	s, err := config.Load(config.Source{New: true, Path: filepath.Join(c.Flags["data"], "node.yaml"),
		Env: func(string) (string, bool) { return "", false }, Flags: c.Flags})
	if err != nil {
		return 3
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	n, err := Open(context.Background(), Config{Settings: s, MasterKey: c.Key, Version: "test", Log: log,
		Store: func(db store.DB) store.DB { return &deadly{DB: db, at: c.At, after: c.After} }})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 4
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := n.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 5
	}
	return 0
}

// deadly kills its process before or after the unit of that number.
type deadly struct {
	store.DB
	count atomic.Int64
	at    int64
	after bool
}

func (d *deadly) Update(ctx context.Context, fn func(store.Tx) error) error {
	n := d.count.Add(1)
	if n == d.at && !d.after {
		d.die()
	}
	err := d.DB.Update(ctx, fn)
	if n == d.at {
		d.die()
	}
	return err
}

func (d *deadly) die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// process is a child that is started again, without a death, when it dies.
type process struct {
	t       *testing.T
	c       child
	program string
	base    string
	token   string
	ended   chan struct{}
	stderr  bytes.Buffer

	mu       sync.Mutex
	cmd      *exec.Cmd
	stopping bool // the test is over: a death now is not answered by a start
}

func (p place) spawn(t *testing.T, at int64, after bool) *process {
	t.Helper()
	return p.spawnAs(t, os.Args[0], at, after)
}

// spawnAs is spawn with another build of this test's program.
func (p place) spawnAs(t *testing.T, program string, at int64, after bool) *process {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.settings.Data, tokenFile))
	if err != nil {
		t.Fatal(err)
	}
	s := p.settings
	q := &process{t: t, program: program, base: "http://" + s.AdminListen, token: strings.TrimSpace(string(raw)), ended: make(chan struct{}),
		c: child{Key: p.key, At: at, After: after, Flags: map[string]string{"participant": s.Participant, "listen": s.Listen,
			"admin_listen": s.AdminListen, "development": "true", "data": s.Data, "files_roots": s.FilesRoots[0], "public_url": s.PublicURL}}}
	if s.Store != "" {
		q.c.Flags["store"] = s.Store
	}
	go q.watch(q.run())
	t.Cleanup(q.end)
	return q
}

// run starts the child; nil when the test is over or it cannot be started.
func (q *process) run() *exec.Cmd {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopping {
		return nil
	}
	raw, err := json.Marshal(q.c)
	if err != nil {
		q.t.Error(err)
		return nil
	}
	q.cmd = exec.Command(q.program)
	q.cmd.Env = append(os.Environ(), childEnv+"="+string(raw))
	q.cmd.Stderr = &q.stderr
	if err := q.cmd.Start(); err != nil {
		q.t.Error(err)
		return nil
	}
	return q.cmd
}

// watch starts the child again once, without a death, when it killed itself.
func (q *process) watch(cmd *exec.Cmd) {
	defer close(q.ended)
	for cmd != nil {
		_ = cmd.Wait()
		status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !ok || status.Signal() != syscall.SIGKILL {
			return
		}
		q.c.At = 0
		cmd = q.run()
	}
}

func (q *process) end() {
	q.mu.Lock()
	q.stopping = true
	if q.cmd != nil {
		_ = q.cmd.Process.Signal(syscall.SIGTERM)
	}
	q.mu.Unlock()
	select {
	case <-q.ended:
	case <-time.After(20 * time.Second):
		_ = q.cmd.Process.Kill()
		q.t.Errorf("the node did not stop:\n%s", q.stderr.String())
	}
}

func (q *process) client() *client.Client {
	return &client.Client{Base: q.base, Token: q.token, Lang: "en", HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
}

// insist makes a call until the node that it goes to answers.
func insist[T any](t *testing.T, what string, call func() (T, error)) T {
	t.Helper()
	until := time.Now().Add(40 * time.Second)
	for {
		v, err := call()
		if err == nil {
			return v
		}
		transient := errors.Is(err, fault.NodeUnreachable) || errors.Is(err, fault.PartnerUnreachable) ||
			errors.Is(err, fault.DIDUnresolved) || errors.Is(err, fault.Internal) || errors.Is(err, fault.DownloadBroken) ||
			strings.Contains(err.Error(), "EOF") || strings.Contains(err.Error(), "reset")
		if !transient || time.Now().After(until) {
			t.Fatalf("%s: %v", what, err)
		}
		<-time.After(20 * time.Millisecond) // a refused connection answers at once
	}
}

// Either node is killed with SIGKILL before and after each of its commits in the
// course of one exchange. Started again, the exchange completes: one negotiation,
// one agreement, one transfer on both sides, the same leaves as without a death,
// and evidence that verifies and agrees.
func TestKilledAtEachCommitNothingIsLostOrDoubled(t *testing.T) {
	t.Parallel()
	want := exchangeWithDeath(t, "", 0, false)
	if want == nil {
		t.Fatal("no exchange without a death")
	}
	for _, who := range []string{"provider", "consumer"} {
		for _, after := range []bool{false, true} {
			for at := int64(1); at <= 16; at++ {
				if testing.Short() && at%5 != 0 {
					continue
				}
				when := "before"
				if after {
					when = "after"
				}
				t.Run(fmt.Sprintf("%s %s commit %d", who, when, at), func(t *testing.T) {
					t.Parallel()
					got := exchangeWithDeath(t, who, at, after)
					if !slices.Equal(got, want) {
						t.Errorf("leaves differ from those of an exchange without a death:\ngot  %v\nwant %v", got, want)
					}
				})
			}
		}
	}
}

// exchangeWithDeath runs one exchange and returns the leaves of its processes on
// both sides.
func exchangeWithDeath(t *testing.T, who string, at int64, after bool) []string {
	t.Helper()
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	content := []byte("week,cases\n2026-W01,12\n")
	first := tokyo.start(t, nil)
	d := publish(t, tokyo, first, content)
	node, err := first.client().Node(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	deaths := map[string]int64{who: at}
	provider := tokyo.spawn(t, deaths["provider"], after)
	consumer := brussels.spawn(t, deaths["consumer"], after)
	p, c := provider.client(), consumer.client()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	n := insist(t, "negotiate", func() (client.Negotiation, error) {
		return c.Negotiate(ctx, client.StartNegotiation{Partner: node.DID, Dataset: d.ID, Key: "n"})
	})
	n = insist(t, "await agreement", func() (client.Negotiation, error) { return c.AwaitNegotiation(ctx, n.ID, "FINALIZED") })
	x := insist(t, "transfer", func() (client.Transfer, error) {
		return c.StartTransfer(ctx, client.StartTransfer{Agreement: n.Agreement, Key: "t"})
	})
	insist(t, "await start", func() (client.Transfer, error) { return c.AwaitTransfer(ctx, x.ID, "STARTED") })
	access := insist(t, "access", func() (client.Access, error) { return c.Access(ctx, x.ID) })
	out := filepath.Join(t.TempDir(), "out")
	file := insist(t, "download", func() (client.Downloaded, error) {
		return client.Download(ctx, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, access, out, nil)
	})
	insist(t, "complete", func() (client.Transfer, error) {
		if now, err := c.Transfer(ctx, x.ID, 0); err == nil && now.State == "COMPLETED" {
			return now, nil
		}
		got, err := c.Complete(ctx, x.ID, client.Completion{Bytes: file.Bytes, Digest: file.Digest})
		if err != nil && fault.Of(err).Kind.Code == "not-your-turn" { // the first try had its effect
			return c.Transfer(ctx, x.ID, 0)
		}
		return got, err
	})
	insist(t, "await completion", func() (client.Transfer, error) { return c.AwaitTransfer(ctx, x.ID, "COMPLETED") })
	peer := insist(t, "provider's side", func() (client.Transfer, error) { return p.AwaitTransfer(ctx, onlyTransfer(t, p), "COMPLETED") })
	insist(t, "provider's negotiation", func() (client.Negotiation, error) { return p.AwaitNegotiation(ctx, onlyNegotiation(t, p), "FINALIZED") })
	if b, err := os.ReadFile(out); err != nil || string(b) != string(content) {
		t.Errorf("got %q, %v", b, err)
	}
	onlyTransfer(t, c)
	onlyNegotiation(t, c)
	prove(t, p, c, n.Agreement)

	var leaves []string
	for _, side := range []struct {
		c   *client.Client
		ids []string
	}{{p, []string{onlyNegotiation(t, p), peer.ID, n.Agreement}}, {c, []string{n.ID, x.ID, n.Agreement}}} {
		for _, id := range side.ids {
			h := insist(t, "history", func() (client.History, error) { return side.c.History(ctx, id) })
			for _, e := range h.Items {
				// A window of use that a crash left open is on record as "at most", and
				// the next try opens another: their number is not fixed.
				if e.Type != "kh.plane.window" {
					leaves = append(leaves, e.Type+" "+e.Direction)
				}
			}
		}
	}
	return leaves
}

func onlyNegotiation(t *testing.T, c *client.Client) string {
	t.Helper()
	l := insist(t, "negotiations", func() (client.Negotiations, error) { return c.Negotiations(t.Context(), "") })
	if len(l.Items) != 1 {
		t.Fatalf("%d negotiations, want one: %+v", len(l.Items), l.Items)
	}
	return l.Items[0].ID
}

func onlyTransfer(t *testing.T, c *client.Client) string {
	t.Helper()
	l := insist(t, "transfers", func() (client.Transfers, error) { return c.Transfers(t.Context(), "") })
	if len(l.Items) != 1 {
		t.Fatalf("%d transfers, want one: %+v", len(l.Items), l.Items)
	}
	return l.Items[0].ID
}

// prove exports both sides' evidence and verifies it as a third party would,
// with the keys of both.
func prove(t *testing.T, p, c *client.Client, agreement string) {
	t.Helper()
	var anchors bytes.Buffer
	var sides [2]bundle.Input
	for i, side := range []*client.Client{p, c} {
		insist(t, "anchors", func() (int, error) { return 0, side.Anchors(t.Context(), &anchors) })
		var b bytes.Buffer
		insist(t, "bundle", func() (int, error) { b.Reset(); return 0, side.Bundle(t.Context(), agreement, &b) })
		sides[i] = bundle.Input{R: bytes.NewReader(b.Bytes()), Size: int64(b.Len())}
	}
	trust, err := bundle.ParseTrust(&anchors)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := bundle.VerifyPair(sides[0], sides[1], trust)
	if err != nil {
		t.Fatal(err)
	}
	if pair.Verdict.Exit() != 0 {
		var report bytes.Buffer
		_ = pair.Write(&report, "en")
		t.Errorf("the evidence of both sides does not verify:\n%s", report.String())
	}
}
