package node

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"kakehashi/client"
	"kakehashi/internal/fault"
	"kakehashi/store"
	"kakehashi/store/copying"
	"kakehashi/store/storetest"
)

func nobody(string, int64) func(int) { return func(int) {} }

// away is where the store of p can be copied to: a server when there is one and p
// is not on it, else a file.
func (p place) away(t *testing.T) place {
	t.Helper()
	to := p
	to.settings.Data = t.TempDir()
	token, err := os.ReadFile(filepath.Join(p.settings.Data, tokenFile))
	if err == nil {
		err = os.WriteFile(filepath.Join(to.settings.Data, tokenFile), token, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	to.settings.Store = ""
	if p.settings.Store == "" {
		to.settings.Store = storetest.URL(t)
	}
	return to
}

// at is how an operator names the store of p.
func (p place) at() string {
	if p.settings.Store != "" {
		return p.settings.Store
	}
	return filepath.Join(p.settings.Data, databaseFile)
}

func TestANodeMovesToAnotherStoreAndBack(t *testing.T) {
	t.Parallel()
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	provider, consumer := tokyo.start(t, nil), brussels.start(t, nil)
	d := publish(t, tokyo, provider, []byte("week,cases\n2026-W01,12\n"))
	want := client.Want{Partner: tokyo.did(t, provider), Dataset: d.ID, Out: filepath.Join(t.TempDir(), "got.csv")}
	first, err := consumer.client().Get(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	moved := tokyo.away(t)
	if _, _, err := CopyStore(t.Context(), tokyo.settings, moved.at(), false, nobody); !errors.Is(err, fault.StoreServed) && !errors.Is(err, fault.StoreInUse) {
		t.Errorf("while it serves: got %v", err)
	}
	if _, _, err := CopyStore(t.Context(), tokyo.settings, tokyo.at(), false, nobody); !errors.Is(err, fault.CopyItself) {
		t.Errorf("onto itself: got %v", err)
	}
	if err := provider.stop(); err != nil {
		t.Fatal(err)
	}
	there, _, err := CopyStore(t.Context(), tokyo.settings, moved.at(), false, nobody)
	if err != nil {
		t.Fatal(err)
	}
	home := moved.away(t)
	back, _, err := CopyStore(t.Context(), moved.settings, home.at(), false, nobody)
	if err != nil {
		t.Fatal(err)
	}
	for i := range there {
		if there[i] != back[i] {
			t.Errorf("there %v, back %v", there[i], back[i])
		}
	}
	// The counterpart goes on with the agreement that it has, whichever store serves it.
	for _, p := range []place{moved, home} {
		n := p.start(t, nil)
		if _, err := n.client().Agreement(t.Context(), first.Agreement); err != nil {
			t.Errorf("the agreement: %v", err)
		}
		got, err := consumer.client().Get(t.Context(), want)
		if err != nil {
			t.Fatal(err)
		}
		if got.Agreement != first.Agreement {
			t.Errorf("agreement %s, want %s again", got.Agreement, first.Agreement)
		}
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// did is the node's own.
func (p place) did(t *testing.T, r running) string {
	t.Helper()
	n, err := r.client().Node(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n.DID
}

func TestABackupOfANodeThatServesIsANode(t *testing.T) {
	t.Parallel()
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	provider, consumer := tokyo.start(t, nil), brussels.start(t, nil)
	d := publish(t, tokyo, provider, []byte("week,cases\n2026-W01,12\n"))
	want := client.Want{Partner: tokyo.did(t, provider), Dataset: d.ID, Out: filepath.Join(t.TempDir(), "got.csv")}
	first, err := consumer.client().Get(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	// While others exchange.
	busy := make(chan error, 1)
	go func() {
		for range 5 {
			if _, err := consumer.client().Get(t.Context(), want); err != nil {
				busy <- err
				return
			}
		}
		busy <- nil
	}()
	var file bytes.Buffer
	kept, err := BackupStore(t.Context(), tokyo.settings, "test", &file, nobody)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-busy; err != nil {
		t.Fatal(err)
	}
	if err := provider.stop(); err != nil {
		t.Fatal(err)
	}
	a, err := VerifyBackup(bytes.NewReader(file.Bytes()), "a", nobody)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := RestoreStore(t.Context(), tokyo.settings, a, "", false, nobody); !errors.Is(err, fault.CopyNotEmpty) {
		t.Errorf("over a node: got %v", err)
	}
	restored := tokyo.away(t)
	got, _, err := RestoreStore(t.Context(), restored.settings, a, "", false, nobody)
	if err != nil {
		t.Fatal(err)
	}
	for i := range kept {
		if kept[i] != got[i] {
			t.Errorf("kept %v, restored %v", kept[i], got[i])
		}
	}
	n := restored.start(t, nil)
	if _, err := n.client().Agreement(t.Context(), first.Agreement); err != nil {
		t.Error(err)
	}
	other := restored
	other.key = bytes.Repeat([]byte{7}, 32)
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Settings: other.settings, MasterKey: other.key}); !errors.Is(err, fault.VaultClosed) {
		t.Errorf("with another master key: got %v", err)
	}
}

func TestANodeOpensNoHalfCopy(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "tokyo")
	half := p.away(t)
	open, _, err := opener(half.settings, "")
	if err != nil {
		t.Fatal(err)
	}
	db, err := open(t.Context(), copying.Schema)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(t.Context(), func(tx store.Tx) error {
		return tx.Exec("INSERT INTO copying_marks (source, begun) VALUES ($1, $2)", storePlace(p.settings), time.Now().UnixMicro())
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Settings: half.settings, MasterKey: half.key}); !errors.Is(err, fault.CopyUnfinished) {
		t.Errorf("opened: got %v", err)
	}
	if _, err := BackupStore(t.Context(), half.settings, "test", &bytes.Buffer{}, nobody); !errors.Is(err, fault.CopyUnfinished) {
		t.Errorf("backed up: got %v", err)
	}
	if _, _, err := CopyStore(t.Context(), half.settings, filepath.Join(t.TempDir(), "x.db"), false, nobody); !errors.Is(err, fault.CopyUnfinished) {
		t.Errorf("copied on: got %v", err)
	}
	// The copy that was begun ends it.
	if _, _, err := CopyStore(t.Context(), p.settings, half.at(), false, nobody); err != nil {
		t.Fatal(err)
	}
	half.start(t, nil)
}

func TestTablesOfAServiceThatIsGoneAreDropped(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "tokyo")
	radio := store.Schema{Owner: "radio", Files: fstest.MapFS{"0001_init.sql": {Data: []byte(`CREATE TABLE radio_cells (participant TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (participant, id));`)}}}
	open, _, err := opener(p.settings, "")
	if err != nil {
		t.Fatal(err)
	}
	db, err := open(t.Context(), radio)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(t.Context(), func(tx store.Tx) error {
		return tx.Exec("INSERT INTO radio_cells (participant, id) VALUES ('tokyo', 'a')")
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := CopyStore(t.Context(), p.settings, p.away(t).at(), false, nobody); !errors.Is(err, fault.CopyUnknown) {
		t.Errorf("copy with tables of nobody: got %v", err)
	}
	drop := func(name string, sure bool) (int, int64, error) {
		return DropService(context.WithoutCancel(t.Context()), p.settings, name, sure)
	}
	if _, _, err := drop("radio", false); !errors.Is(err, fault.DropUnsure) {
		t.Errorf("unsure: got %v", err)
	}
	for _, name := range []string{"files", "negotiation", "copying"} {
		if _, _, err := drop(name, true); !errors.Is(err, fault.DropInUse) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if n, rows, err := drop("radio", true); n != 2 || rows != 2 || err != nil {
		t.Errorf("got %d tables with %d rows, %v", n, rows, err)
	}
	if _, _, err := drop("radio", true); !errors.Is(err, fault.DropNothing) {
		t.Errorf("again: got %v", err)
	}
	p.start(t, nil)
}

func TestAReplicaJoinsTheNodeThatIsThere(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "tokyo")
	second := p
	second.settings.Data = t.TempDir()
	if p.settings.Store == "" { // a file is for one node: what joins is another machine's
		if _, _, err := CopyStore(t.Context(), p.settings, second.at(), false, nobody); err != nil {
			t.Fatal(err)
		}
	} else {
		p.start(t, nil)
		second.settings.Listen, second.settings.AdminListen = freeAddress(t), freeAddress(t)
	}
	wrong := second
	wrong.settings.PublicURL = "http://127.0.0.1:1"
	if _, err := Join(t.Context(), wrong.settings, wrong.key); !errors.Is(err, fault.JoinDiffers) {
		t.Errorf("under another address: got %v", err)
	}
	if _, err := Join(t.Context(), second.settings, bytes.Repeat([]byte{7}, 32)); !errors.Is(err, fault.VaultClosed) {
		t.Errorf("with another master key: got %v", err)
	}
	if _, err := Join(t.Context(), second.settings, second.key); err != nil {
		t.Fatal(err)
	}
	if _, err := Join(t.Context(), second.settings, second.key); !errors.Is(err, fault.FileExists) {
		t.Errorf("again: got %v", err)
	}
	if _, err := second.start(t, nil).client().Node(t.Context()); err != nil {
		t.Errorf("its own token: %v", err)
	}
	empty := second
	empty.settings.Data, empty.settings.Store = t.TempDir(), storetest.URL(t)
	if _, err := Join(t.Context(), empty.settings, empty.key); !errors.Is(err, fault.NoParticipant) {
		t.Errorf("an empty store: got %v", err)
	}
}
