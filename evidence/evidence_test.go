package evidence

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kakehashi/evidence/bundle"
	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

// keyring holds the keys of the participants of a test.
type keyring map[participant.Purpose]participant.Key

func (k keyring) Key(_ participant.ID, p participant.Purpose) (participant.Key, error) {
	return k[p], nil
}

// box seals with one AES key.
type box struct{ cipher.AEAD }

func (b box) Seal(plain, aad []byte) ([]byte, error) {
	nonce := make([]byte, b.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return b.AEAD.Seal(nonce, nonce, plain, aad), nil
}

func (b box) Open(sealed, aad []byte) ([]byte, error) {
	if len(sealed) < b.NonceSize() {
		return nil, errors.New("too short")
	}
	return b.AEAD.Open(nil, sealed[:b.NonceSize()], sealed[b.NonceSize():], aad)
}

const tokyo = participant.ID("tokyo")

func config(t testing.TB, db store.DB) Config {
	t.Helper()
	_, logKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tokenKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 2, 0, 0, 123e6, time.UTC)
	return Config{
		DB: db,
		Participants: func() []participant.Participant {
			return []participant.Participant{{ID: tokyo, DID: "did:web:tokyo.example.jp", Origin: "tokyo.example.jp"}}
		},
		Keys: keyring{
			participant.Log:   {KID: "did:web:tokyo.example.jp#log", Alg: "EdDSA", Signer: logKey},
			participant.Token: {KID: "did:web:tokyo.example.jp#k1", Alg: "ES256", Signer: tokenKey},
		},
		Vault: box{gcm},
		Now:   func() time.Time { return at },
		Rand:  rand.Reader,
		Log:   slog.New(slog.DiscardHandler),
	}
}

func open(t testing.TB, c Config) *Log {
	t.Helper()
	l, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// put appends n leaves, 20 a unit, to 3 processes.
func put(t testing.TB, l *Log, n int) {
	t.Helper()
	for from := 0; from < n; from += 20 {
		err := l.c.DB.Update(t.Context(), func(tx store.Tx) error {
			for i := from; i < min(n, from+20); i++ {
				if err := l.Append(tx, tokyo, sample(i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func sample(i int) Leaf {
	return Leaf{Type: "kh.negotiation.requested", Process: fmt.Sprintf("urn:uuid:p%d", i%3), Version: int64(i + 1), Direction: In,
		Counterparty: "did:web:brussels.example.eu",
		Correlation:  map[string]string{"consumerPid": "urn:uuid:c", "providerPid": "urn:uuid:p", "agreement": "urn:uuid:a"},
		Hashes:       map[string]string{"message": Digest(fmt.Append(nil, i))},
		Facts:        map[string]string{"state": "REQUESTED"}}
}

func exec(t testing.TB, db store.DB, query string, args ...any) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx store.Tx) error { return tx.Exec(query, args...) }); err != nil {
		t.Fatal(err)
	}
}

func TestAppendIsOnRecordWithItsUnitAndNumberedByTheSequencer(t *testing.T) {
	t.Parallel()
	l := open(t, config(t, storetest.Open(t, Schema)))
	refused := errors.New("no")
	err := l.c.DB.Update(t.Context(), func(tx store.Tx) error {
		if err := l.Append(tx, tokyo, sample(0)); err != nil {
			return err
		}
		return refused
	})
	if !errors.Is(err, refused) {
		t.Fatal(err)
	}
	body := []byte(`{"@type":"ContractRequestMessage"}`)
	leaf := Leaf{Type: "kh.negotiation.requested", Process: "p", Version: 1, Direction: In, Hashes: map[string]string{"message": Digest(body)}}
	err = l.c.DB.Update(t.Context(), func(tx store.Tx) error {
		for range 2 { // the same body twice is kept once
			if err := l.Append(tx, tokyo, leaf, Body{Bytes: body, Class: ClassMessage}); err != nil {
				return err
			}
			leaf.Version++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	es, err := l.History(t.Context(), tokyo, "p")
	if err != nil || len(es) != 2 || es[0].Position != -1 || es[0].Actor != "did:web:tokyo.example.jp" || !es[0].Time.Equal(l.c.Now()) {
		t.Fatalf("%+v, %v", es, err)
	}
	if l.Checkpoint(tokyo) != nil {
		t.Fatal("a checkpoint of nothing")
	}
	if got, err := l.Body(t.Context(), tokyo, Digest(body)); err != nil || !bytes.Equal(got, body) {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := l.Body(t.Context(), tokyo, Digest(nil)); !errors.Is(err, fault.NotFound) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	cancel() // numbers what is waiting before it ends
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	es, err = l.History(t.Context(), tokyo, "p")
	if err != nil || es[0].Position != 0 || es[1].Position != 1 {
		t.Fatalf("%+v, %v", es, err)
	}
	if cp := string(l.Checkpoint(tokyo)); !strings.HasPrefix(cp, "tokyo.example.jp\n2\n") {
		t.Fatalf("checkpoint %q", cp)
	}
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	l := open(t, config(t, storetest.Open(t, Schema)))
	for name, c := range map[string]struct {
		leaf Leaf
		body []Body
	}{
		"no type":          {leaf: Leaf{}},
		"too long":         {leaf: Leaf{Type: "kh.x", Facts: map[string]string{"x": strings.Repeat("x", 16<<10)}}},
		"a bare hash":      {leaf: Leaf{Type: "kh.x", Hashes: map[string]string{"message": "abc"}}},
		"a strange name":   {leaf: Leaf{Type: "kh.x", Facts: map[string]string{"a b": ""}}},
		"not UTF-8":        {leaf: Leaf{Type: "kh.x", Process: "\xff"}},
		"negative version": {leaf: Leaf{Type: "kh.x", Version: -1}},
		"direction":        {leaf: Leaf{Type: "kh.x", Direction: "up"}},
		"wrong digest":     {Leaf{Type: "kh.x"}, []Body{{Digest: Digest(nil), Bytes: []byte("x"), Class: ClassMessage}}},
		"no class":         {Leaf{Type: "kh.x"}, []Body{{Bytes: []byte("x")}}},
	} {
		err := l.c.DB.Update(t.Context(), func(tx store.Tx) error { return l.Append(tx, tokyo, c.leaf, c.body...) })
		if !errors.Is(err, fault.BadLeaf) {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := l.c.DB.Update(t.Context(), func(tx store.Tx) error { return l.Append(tx, "nobody", sample(0)) })
	if !errors.Is(err, fault.NotFound) {
		t.Errorf("an unknown participant: %v", err)
	}
}

func TestABodyOfAnotherDoesNotPass(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	l := open(t, config(t, db))
	err := db.Update(t.Context(), func(tx store.Tx) error {
		return l.Append(tx, tokyo, Leaf{Type: "kh.x"}, Body{Bytes: []byte("x"), Class: ClassMessage})
	})
	if err != nil {
		t.Fatal(err)
	}
	exec(t, db, `UPDATE evidence_bodies SET digest = $1 WHERE participant = $2`, Digest([]byte("y")), string(tokyo))
	if _, err := l.Body(t.Context(), tokyo, Digest([]byte("y"))); err == nil {
		t.Fatal("a body was opened under another digest")
	}
}

// The sequencer is woken, forms a batch and is done within 100 ms.
func TestNumberedWithin100ms(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := blank(Config{Log: slog.New(slog.DiscardHandler)})
		var mu sync.Mutex
		var views []time.Duration
		start := time.Now()
		l.c.DB = viewer(func() error {
			mu.Lock()
			defer mu.Unlock()
			views = append(views, time.Since(start))
			if len(views) == 1 {
				return errors.New("the database is away")
			}
			return nil
		})
		l.logs[tokyo] = &state{loaded: true}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.Run(ctx) }()
		synctest.Wait()
		for range 10 {
			l.touch(tokyo)
		}
		time.Sleep(5 * time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if len(views) != 2 || views[0] != batchWait || views[1] != batchWait+retryWait {
			t.Fatalf("looked at the database at %v", views)
		}
	})
}

// viewer is a database that counts looks; only the timing of Run is tested with it.
type viewer func() error

func (v viewer) View(context.Context, func(store.Tx) error) error   { return v() }
func (v viewer) Update(context.Context, func(store.Tx) error) error { return v() }

func TestACrashBeforeNumberingLosesNothing(t *testing.T) {
	t.Parallel()
	c := config(t, storetest.Open(t, Schema))
	l := open(t, c)
	put(t, l, 30)
	if err := l.Flush(t.Context(), tokyo); err != nil {
		t.Fatal(err)
	}
	put(t, l, 10) // and the program dies here
	l = open(t, c)
	if cp := string(l.Checkpoint(tokyo)); !strings.HasPrefix(cp, "tokyo.example.jp\n30\n") {
		t.Fatalf("checkpoint %q", cp)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if cp := string(l.Checkpoint(tokyo)); !strings.HasPrefix(cp, "tokyo.example.jp\n40\n") {
		t.Fatalf("checkpoint %q", cp)
	}
}

func TestTwoSequencersNeverLeaveAHoleOrNumberTwice(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema)
	c := config(t, db)
	logs := []*Log{open(t, c), open(t, c), open(t, c)}
	const each = 400
	var wg sync.WaitGroup
	version := make(chan int64, 3*each)
	for i := range int64(3 * each) {
		version <- i + 1
	}
	for _, l := range logs {
		stop := make(chan struct{})
		wg.Go(func() {
			defer close(stop)
			for range each / 10 {
				versions := make([]int64, 10)
				for i := range versions {
					versions[i] = <-version
				}
				err := db.Update(t.Context(), func(tx store.Tx) error {
					for _, v := range versions {
						leaf := sample(int(v))
						leaf.Version = v
						if err := l.Append(tx, tokyo, leaf); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for {
				if err := l.Flush(t.Context(), tokyo); err != nil {
					t.Error(err)
					return
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	wg.Wait()
	if err := logs[0].Flush(t.Context(), tokyo); err != nil {
		t.Fatal(err)
	}
	seen := map[int64]bool{}
	for _, p := range []string{"urn:uuid:p0", "urn:uuid:p1", "urn:uuid:p2"} {
		es, err := logs[0].History(t.Context(), tokyo, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range es {
			if e.Position < 0 || e.Position >= 3*each || seen[e.Position] {
				t.Fatalf("position %d", e.Position)
			}
			seen[e.Position] = true
		}
	}
	if len(seen) != 3*each {
		t.Fatalf("%d leaves numbered, want %d", len(seen), 3*each)
	}
	open(t, c) // tiles, head and leaves agree
}

func TestARestartRefusesALogThatWasChanged(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		sql  []string
		want *fault.Kind
	}{
		{"head put back", []string{`UPDATE evidence_logs SET size = 10 WHERE participant = 'tokyo'`}, fault.LogRolledBack},
		{"head gone", []string{`DELETE FROM evidence_logs WHERE participant = 'tokyo'`}, fault.LogRolledBack},
		{"leaves gone", []string{`DELETE FROM evidence_leaves WHERE participant = 'tokyo' AND position > 100`}, fault.LogDamaged},
		{"leaves unnumbered and head put back", []string{`UPDATE evidence_leaves SET position = NULL WHERE participant = 'tokyo' AND position >= 256`,
			`UPDATE evidence_logs SET size = 256 WHERE participant = 'tokyo'`}, fault.LogRolledBack},
		{"tile gone", []string{`DELETE FROM evidence_tiles WHERE participant = 'tokyo' AND level = 1`}, fault.LogDamaged},
		{"tile of other hashes", []string{`UPDATE evidence_tiles SET data = (SELECT s.data FROM evidence_tiles s WHERE s.participant = 'tokyo' AND s.level = 0 AND s.n = 1)
			WHERE participant = 'tokyo' AND level = 0 AND n = 0`, `UPDATE evidence_logs SET root = checkpoint WHERE participant = 'tokyo'`}, fault.LogDamaged},
		{"checkpoint of another key", []string{`UPDATE evidence_logs SET checkpoint = root WHERE participant = 'tokyo'`}, fault.LogDamaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := storetest.Open(t, Schema)
			cfg := config(t, db)
			l := open(t, cfg)
			put(t, l, 300)
			if err := l.Flush(t.Context(), tokyo); err != nil {
				t.Fatal(err)
			}
			for _, q := range c.sql {
				exec(t, db, q)
			}
			if _, err := Open(t.Context(), cfg); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestAnOlderCopyOfTheWholeDatabaseIsSeenFromOutside(t *testing.T) {
	t.Parallel()
	c := config(t, storetest.Open(t, Schema))
	l := open(t, c)
	put(t, l, 20)
	if err := l.Flush(t.Context(), tokyo); err != nil {
		t.Fatal(err)
	}
	at20 := l.Checkpoint(tokyo)
	put(t, l, 20)
	if err := l.Flush(t.Context(), tokyo); err != nil {
		t.Fatal(err)
	}
	at40 := l.Checkpoint(tokyo)
	for _, cp := range [][]byte{at20, at40} {
		if err := l.Compare(t.Context(), tokyo, cp); err != nil {
			t.Fatal(err)
		}
	}
	older := c // as restored from a copy made before
	older.DB = storetest.Open(t, Schema)
	l = open(t, older)
	put(t, l, 20)
	if err := l.Flush(t.Context(), tokyo); err != nil {
		t.Fatal(err)
	}
	for _, cp := range [][]byte{at20, at40} { // a fork of the same size, and a longer one
		older.Seen = func(participant.ID) []byte { return cp }
		if _, err := Open(t.Context(), older); !errors.Is(err, fault.LogRolledBack) {
			t.Fatal(err)
		}
	}
	if err := l.Compare(t.Context(), tokyo, []byte("nonsense")); err == nil || errors.Is(err, fault.LogRolledBack) {
		t.Fatal(err)
	}
}

func TestExportIsVerifiedOffline(t *testing.T) {
	t.Parallel()
	l := open(t, config(t, storetest.Open(t, Schema)))
	put(t, l, 600) // other leaves around it
	secret := []byte(`{"@type":"TransferStartMessage","dataAddress":{}}`)
	agreed := []byte(`{"@type":"ContractAgreementMessage"}`)
	err := l.c.DB.Update(t.Context(), func(tx store.Tx) error {
		corr := map[string]string{"agreement": "urn:uuid:b"}
		if err := l.Append(tx, tokyo, Leaf{Type: "kh.negotiation.agreed", Process: "n", Version: 1, Direction: Out, Counterparty: "did:web:b.example",
			Correlation: corr, Hashes: map[string]string{"message": Digest(agreed)}}, Body{Bytes: agreed, Class: ClassMessage}); err != nil {
			return err
		}
		return l.Append(tx, tokyo, Leaf{Type: "kh.transfer.started", Process: "t", Version: 1, Direction: Out, Counterparty: "did:web:b.example",
			Hashes: map[string]string{"message": Digest(secret)}}, Body{Bytes: secret, Class: ClassSecret})
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, l, 5)
	anchors, err := l.Trust(tokyo)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := bundle.ParseTrust(strings.NewReader(anchors))
	if err != nil {
		t.Fatal(err)
	}
	export := func(sel Selection) ([]byte, bundle.Report) {
		t.Helper()
		var b, again bytes.Buffer
		if err := l.Export(t.Context(), tokyo, &b, sel); err != nil {
			t.Fatal(err)
		}
		if err := l.Export(t.Context(), tokyo, &again, sel); err != nil || !bytes.Equal(b.Bytes(), again.Bytes()) {
			t.Fatal("the same content gave other bytes", err)
		}
		r, err := bundle.Verify(bytes.NewReader(b.Bytes()), int64(b.Len()), trust)
		if err != nil {
			t.Fatal(err)
		}
		return b.Bytes(), r
	}
	sel := Selection{Agreement: "urn:uuid:b", Processes: []string{"t"}, Keys: map[string][]byte{"did.json": []byte("{}")}}
	b, r := export(sel)
	if r.Verdict != bundle.Verified || len(r.Events) != 2 || r.Events[0].Held != bundle.HeldHere || r.Events[1].Held != bundle.HeldWithheld || r.Size != 607 {
		t.Fatalf("%+v", r)
	}
	if bytes.Contains(b, secret) {
		t.Fatal("the bundle shows a data plane token of a transfer that may still run")
	}
	sel.ShowSecrets = true
	if b, r = export(sel); r.Verdict != bundle.Verified || !bytes.Contains(b, secret) {
		t.Fatalf("%+v", r)
	}
	if _, r = export(Selection{Agreement: "urn:uuid:a"}); r.Verdict != bundle.Incomplete || len(r.Events) != 605 {
		t.Fatalf("%s of %d events", r.Verdict, len(r.Events)) // their messages were never kept
	}
	if err := l.Export(t.Context(), tokyo, &bytes.Buffer{}, Selection{Agreement: "none"}); !errors.Is(err, fault.NoEvidence) {
		t.Fatal(err)
	}
}
