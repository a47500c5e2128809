package dataplane

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kakehashi/internal/watch/watchtest"
	"kakehashi/store"
)

// present is the replicas that are at work, as their leases say.
type present struct {
	mu   sync.Mutex
	live map[string]bool
}

func (p *present) set(id string, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live[id] = on
}

// named is one of them.
type named struct {
	id string
	*present
}

func (n named) ID() string { return n.id }

func (n named) Live(context.Context) (map[string]bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := map[string]bool{n.id: true}
	for id, on := range n.live {
		if on {
			out[id] = true
		}
	}
	return out, nil
}

// pair is a plane that counterparts reach, and the plane of another replica on the
// same tables and the same folder.
type pair struct {
	*rig
	other *Plane
	hubs  *watchtest.Pair
	at    *present
}

func newPair(t *testing.T) *pair {
	r := newRig(t)
	p := &pair{rig: r, hubs: watchtest.New(), at: &present{live: map[string]bool{"a/1": true, "b/2": true}}}
	if err := r.plane.Close(t.Context()); err != nil { // the rig's own is alone
		t.Fatal(err)
	}
	r.config.Watch, r.config.Replicas = p.hubs.A, named{"a/1", p.at}
	var err error
	if r.plane, err = New(t.Context(), r.config); err != nil {
		t.Fatal(err)
	}
	c := r.config
	c.Watch, c.Replicas = p.hubs.B, named{"b/2", p.at}
	if p.other, err = New(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, done := context.WithTimeout(context.Background(), 10*time.Second)
		defer done()
		if err := p.other.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	r.server.Start()
	return p
}

func (p *pair) elsewhere(f func(tx store.Tx) error) { p.t.Helper(); p.update(f) }

// What another replica closes or suspends is cut here within a second: a response
// that runs, and one whose reader has stopped reading; told, or not.
func TestAGrantThatAnotherReplicaClosesIsCut(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*pair, Access) func(store.Tx) error{
		"closed": func(p *pair, a Access) func(store.Tx) error {
			return func(tx store.Tx) error { return p.other.Stop(tx, tokyo, a.Grant, "x") }
		},
		"suspended": func(p *pair, a Access) func(store.Tx) error {
			return func(tx store.Tx) error { return p.other.Suspend(tx, tokyo, a.Grant, "x") }
		},
	} {
		for _, told := range []bool{true, false} {
			for _, path := range []string{"endless", "wait"} {
				t.Run(fmt.Sprintf("%s/told=%v/%s", name, told, path), func(t *testing.T) {
					t.Parallel()
					p := newPair(t)
					a := p.open("")
					c := p.raw(a, path, "HTTP/1.1")
					<-p.began
					if !told {
						p.hubs.Cut()
					}
					p.elsewhere(end(p, a))
					from, gone := time.Now(), make(chan struct{})
					go func() { p.plane.sessions.Wait(); close(gone) }() // its reader reads nothing
					select {
					case <-gone:
						if took := time.Since(from); took > time.Second+Fresh {
							t.Errorf("it ran on for %v", took)
						}
					case <-time.After(20 * time.Second):
						t.Fatal("it still runs")
					}
					if path == "wait" { // cut before its first byte: that can still be said
						said := make([]byte, len("HTTP/1.1 403"))
						if _, err := io.ReadFull(c, said); err != nil || string(said) != "HTTP/1.1 403" {
							t.Errorf("answered %q, %v", said, err)
						}
					} else if _, err := readAll(c); err == io.EOF || err == nil {
						t.Error("it ended as if it were whole")
					}
					if code, body := p.get(a, ""); code != 403 {
						t.Errorf("the next request: %d %s", code, body)
					}
				})
			}
		}
	}
}

// A token that another replica has just made is good here, and so is one that it
// opened again, whatever is remembered of them.
func TestWhatAnotherReplicaOpensIsServedAtOnce(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{true, false} {
		p := newPair(t)
		if !told {
			p.hubs.Cut()
		}
		var a, b, c Access
		p.elsewhere(func(tx store.Tx) (err error) {
			a, err = p.other.Open(tx, Grant{Participant: tokyo, Transfer: "urn:t", Agreement: "urn:a", Counterparty: "did:web:b", Dataset: "urn:d", Format: "HttpData-PULL"})
			return err
		})
		expect := func(what string, x Access, want int) {
			t.Helper()
			if code, body := p.get(x, ""); code != want {
				t.Errorf("told %v, %s: %d %s", told, what, code, body)
			}
		}
		expect("opened", a, 200)
		p.elsewhere(func(tx store.Tx) (err error) { b, err = p.other.Reissue(tx, tokyo, a.Grant); return err })
		expect("a new token", b, 200)
		expect("the old token", a, 401) // the new one has had the row read
		p.elsewhere(func(tx store.Tx) error { return p.other.Suspend(tx, tokyo, a.Grant, "x") })
		if told {
			expect("suspended", b, 403)
		}
		p.elsewhere(func(tx store.Tx) (err error) { c, err = p.other.Resume(tx, tokyo, a.Grant); return err })
		expect("resumed", c, 200)
	}
}

// Windows and parts of bodies are taken over from a replica that is gone, and from
// no other; a second one that does it finds nothing.
func TestOnlyWhatAReplicaThatIsGoneLeftIsTakenOver(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a := p.open("")
	if code, _ := p.get(a, ""); code != 200 || p.windows("open") != 1 {
		t.Fatal("no window is open")
	}
	part := filepath.Join(p.config.Folder, strings.Replace(p.plane.partName(a.Grant), "*", "123", 1))
	if err := os.MkdirAll(p.config.Folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(part, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := p.config
	c.Watch, c.Replicas = nil, named{"c/3", p.at}
	starts := func() *Plane {
		t.Helper()
		third, err := New(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = third.Close(context.Background()) })
		return third
	}
	third := starts()
	if err := p.other.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.windows("open") != 1 || len(p.kept()) != 1 {
		t.Fatalf("what is at work was taken over: %d windows, %v", p.windows("open"), p.kept())
	}
	p.at.set("a/1", false) // its lease is gone
	var both sync.WaitGroup
	for _, plane := range []*Plane{p.other, third} {
		both.Go(func() {
			if err := plane.Reload(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if p.windows("open") != 0 || p.windows("at-most") != 1 || len(p.leaves.of("kh.plane.window")) != 1 || len(p.kept()) != 0 {
		t.Errorf("%d open, %d at most, %d leaves, %v", p.windows("open"), p.windows("at-most"), len(p.leaves.of("kh.plane.window")), p.kept())
	}
	if err := p.plane.Flush(t.Context()); err != nil || len(p.leaves.of("kh.plane.window")) != 1 {
		t.Errorf("counted twice: %v", err)
	}
}

// Two bodies of one grant that come in side by side at two replicas: one is
// received, and what is kept of it stays.
func TestABodyThatAnotherReplicaHasIsNotReceivedAgain(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a := p.grant(WayReceive, "")
	if code, said, _ := p.deliver("POST", a, strings.NewReader("")); code != 204 { // the other one remembers the grant as it was
		t.Fatal(code, said)
	}
	b := p.grant(WayReceive, "")
	s, err := p.plane.Admit(t.Context(), b.Token, Facts{Grant: b.Grant})
	if err != nil {
		t.Fatal(err)
	}
	s.End()
	from, send := io.Pipe()
	done := make(chan string, 1)
	go func() {
		code, said, _ := p.deliver("POST", b, from)
		done <- fmt.Sprint(code, said)
	}()
	if _, err := io.WriteString(send, "the "); err != nil {
		t.Fatal(err)
	}
	// The other replica takes the whole in the meantime.
	if err := p.db.Update(t.Context(), func(tx store.Tx) error {
		var id string
		return tx.QueryRow(sqlReceived, string(tokyo), b.Grant, digestOf([]byte("the body"))).Scan(&id)
	}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(p.config.Folder, b.Grant)
	if err := os.WriteFile(file, []byte("the body"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(send, "body"); err != nil {
		t.Fatal(err)
	}
	_ = send.Close()
	if got := <-done; !strings.Contains(got, "already-received") || !strings.Contains(got, digestOf([]byte("the body"))) {
		t.Errorf("answered %s", got)
	}
	if kept, err := os.ReadFile(file); err != nil || string(kept) != "the body" {
		t.Errorf("kept %q, %v", kept, err)
	}
}
