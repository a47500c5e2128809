//go:build unix

package node

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"kakehashi/client"
	"kakehashi/config"
	"kakehashi/internal/fault"
	"kakehashi/store"
)

// another is one more place of the group, for a program that is not started here.
func (g *group) another(t *testing.T) place {
	t.Helper()
	first := g.places[0]
	dir := t.TempDir()
	s, err := config.Load(config.Source{New: true, Path: filepath.Join(dir, "node.yaml"), Env: func(string) (string, bool) { return "", false },
		Flags: map[string]string{"participant": first.settings.Participant, "listen": freeAddress(t), "admin_listen": freeAddress(t),
			"development": "true", "data": dir, "files_roots": filepath.Dir(dir), "public_url": first.settings.PublicURL, "store": first.settings.Store}})
	if err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(filepath.Join(first.settings.Data, tokenFile))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, tokenFile), token, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return place{settings: s, key: first.key}
}

// ahead builds this test's program as the next release would be: it writes bodies
// of the next format and reads both.
func ahead(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "ahead")
	if b, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "kakehashi_ahead", "-o", out, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, b)
	}
	return out
}

// bodies reads what a table holds of each process.
func bodies(t *testing.T, n *Node, query string) (all [][]byte) {
	t.Helper()
	err := n.db.View(t.Context(), func(tx store.Tx) error {
		all = nil
		rows, err := tx.Query(query)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var b []byte
			if err := rows.Scan(&b); err != nil {
				return err
			}
			all = append(all, b)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// move writes a transfer as a step of the newer build does: the same in its format.
func move(t *testing.T, n *Node, id string) {
	t.Helper()
	err := n.db.Update(t.Context(), func(tx store.Tx) error {
		var body []byte
		if err := tx.QueryRow(`SELECT body FROM transfer_processes WHERE id = $1`, id).Scan(&body); err != nil {
			return err
		}
		body = bytes.Replace(body, []byte(`{"v":1,`), []byte(`{"v":2,`), 1)
		return tx.Exec(`UPDATE transfer_processes SET body = $2, version = version + 1 WHERE id = $1`, id, body)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Two builds serve one database while a node is updated. The older one leaves to
// the newer what that has written, and all that either began is finished.
func TestTwoBuildsSideBySide(t *testing.T) {
	t.Parallel()
	tokyo := newGroup(t, "tokyo", 1)
	older := tokyo.replicas[0]
	brussels := newPlace(t, "brussels")
	b := brussels.start(t, nil)
	d := publish(t, tokyo.places[0], older, []byte("week,cases\n"))
	did := older.participants.All()[0].DID
	agreement := agreed(t, b.client(), did, d.ID)
	x, err := b.client().StartTransfer(t.Context(), client.StartTransfer{Agreement: agreement})
	if err != nil {
		t.Fatal(err)
	}
	reached(t, b.client(), x.ID, "STARTED")
	peer := onlyTransfer(t, older.client())
	reached(t, older.client(), peer, "STARTED")

	at := tokyo.another(t)
	child := at.spawnAs(t, ahead(t), 0, false)
	newer := child.client()
	insist(t, "the newer build", func() (client.Node, error) { return newer.Node(t.Context()) })

	// The counterpart is away: a message of the older build waits, and then the newer
	// one ends the process.
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := older.client().Suspend(t.Context(), peer, "a while"); err != nil {
		t.Fatal(err)
	}
	if _, err := newer.TerminateTransfer(t.Context(), peer, "over"); err != nil {
		t.Fatal(err)
	}
	if got := bodies(t, older.Node, `SELECT body FROM transfer_processes`); len(got) != 1 || !bytes.HasPrefix(got[0], []byte(`{"v":2,`)) {
		t.Fatalf("the newer build wrote %s", got)
	}
	if _, err := older.client().Transfer(t.Context(), peer, 0); !errors.Is(err, fault.NewerProgram) {
		t.Errorf("the older build says %v", err)
	}
	l, err := older.client().Transfers(t.Context(), "")
	if err != nil || len(l.Items) != 1 || !l.Items[0].Newer || l.Items[0].State != "TERMINATED" {
		t.Errorf("it lists %+v, %v", l.Items, err)
	}
	b = brussels.start(t, nil)
	reached(t, b.client(), x.ID, "TERMINATED")

	// The newer one moves a process while a message of the older one is on its way,
	// which the counterpart takes: the older one can neither settle nor forget it.
	y, err := b.client().StartTransfer(t.Context(), client.StartTransfer{Agreement: agreement})
	if err != nil {
		t.Fatal(err)
	}
	reached(t, b.client(), y.ID, "STARTED")
	l, err = older.client().Transfers(t.Context(), "")
	if err != nil || len(l.Items) != 2 {
		t.Fatal(l.Items, err)
	}
	peer2 := l.Items[0].ID
	reached(t, older.client(), peer2, "STARTED")
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := older.client().Suspend(t.Context(), peer2, "a while"); err != nil {
		t.Fatal(err)
	}
	move(t, older.Node, peer2)
	b = brussels.start(t, nil)
	reached(t, newer, peer2, "SUSPENDED")
	reached(t, b.client(), y.ID, "SUSPENDED")

	// Exchanges through the balancer, which asks either.
	tokyo.serve(at, true)
	for range 3 {
		out := filepath.Join(t.TempDir(), "out")
		if _, err := b.client().Get(t.Context(), client.Want{Partner: did, Dataset: d.ID, Out: out}); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(out); err != nil || string(got) != "week,cases\n" {
			t.Errorf("%q, %v", got, err)
		}
	}
	// Nothing is left on its way.
	until := time.Now().Add(waitInTest)
	for left := 1; left > 0; left = len(bodies(t, older.Node, `SELECT data FROM outbox_jobs`)) {
		if time.Now().After(until) {
			t.Fatalf("%d jobs are left: %s", left, bodies(t, older.Node, `SELECT data FROM outbox_jobs`))
		}
		<-time.After(20 * time.Millisecond) // another program's table tells nobody
	}
	all, err := newer.Transfers(t.Context(), "")
	if err != nil || len(all.Items) != 5 {
		t.Fatalf("%d transfers, %v", len(all.Items), err)
	}
	for _, x := range all.Items {
		if x.Newer || x.State != "COMPLETED" && x.ID != peer && x.ID != peer2 {
			t.Errorf("the newer build shows %+v", x)
		}
	}
}
