package node

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"kakehashi/client"
	"kakehashi/internal/fault"
	"kakehashi/internal/finding"
	"kakehashi/store"
	"kakehashi/store/copying"
)

func codes(r *finding.Report) (out []string) {
	for _, f := range r.Findings {
		out = append(out, f.Kind.Code)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (p place) check(t *testing.T) *finding.Report {
	t.Helper()
	r, err := CheckStore(t.Context(), p.settings, p.key, nobody)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func count(r *finding.Report, what string) int64 {
	for _, c := range r.Counts {
		if c.What == what {
			return c.N
		}
	}
	return -1
}

// Each damage is planted into a store of its own and found by name; nothing else
// is, other than what the damage brings with it.
func TestWhatDoesNotBelongTogetherIsFound(t *testing.T) {
	t.Parallel()
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	provider, consumer := tokyo.start(t, nil), brussels.start(t, nil)
	d := publish(t, tokyo, provider, []byte("week,cases\n2026-W01,12\n"))
	want := client.Want{Partner: tokyo.did(t, provider), Dataset: d.ID, Out: filepath.Join(t.TempDir(), "got.csv")}
	for range 3 {
		if _, err := consumer.client().Get(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
	for name, p := range map[string]place{"provider": tokyo, "consumer": brussels} {
		r := p.check(t) // while it serves
		if len(r.Findings) > 0 {
			t.Errorf("%s, serving: found %v", name, r.Findings)
		}
		if n := count(r, "transfer_processes"); n != 3 {
			t.Errorf("%s: %d transfers were looked at, want 3", name, n)
		}
	}
	for _, r := range []running{provider, consumer} {
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
	for name, p := range map[string]place{"provider": tokyo, "consumer": brussels} {
		if r := p.check(t); len(r.Findings) > 0 {
			t.Errorf("%s, at rest: found %v", name, r.Findings)
		}
	}
	var file bytes.Buffer
	if _, err := BackupStore(t.Context(), tokyo.settings, "test", &file, nobody); err != nil {
		t.Fatal(err)
	}
	const job = `INSERT INTO outbox_jobs (participant, id, lane, kind, peer, data, due, created, owner, attempts, waited, parked, last_error, turn)
		VALUES ('tokyo', 'j', 'l', $1, '', $2, 0, 0, $3, 0, 0, FALSE, '', 1)`
	for name, c := range map[string]struct {
		damage func(store.Tx) error
		want   []string
	}{
		"a negotiation's leaves": {run("DELETE FROM evidence_leaves WHERE type LIKE 'kh.negotiation.%'"),
			[]string{"check-process-without-leaves", "log-damaged", "log-hole"}},
		"a negotiation":           {run("DELETE FROM negotiation_processes"), []string{"check-leaves-without-process"}},
		"transfers":               {run("DELETE FROM transfer_processes"), []string{"check-leaves-without-process"}},
		"an agreement":            {run("DELETE FROM agreement_agreements"), []string{"check-agreement-missing"}},
		"an agreement's body":     {run("UPDATE agreement_agreements SET body = $1", []byte("{")), []string{"check-body"}},
		"a version":               {run("UPDATE negotiation_processes SET version = version - 1"), []string{"check-version"}},
		"a process's body":        {run("UPDATE negotiation_processes SET body = $1", []byte("{")), []string{"check-body"}},
		"a message without a job": {run("UPDATE negotiation_processes SET body = $1", []byte(`{"v":1,"pending":{"kind":"agreement","job":"none","id":"","digest":"","to":"AGREED"}}`)), []string{"check-message-without-job"}},
		"a job for nothing":       {run(job, "transfer.send", []byte(`{"process":"urn:uuid:gone"}`), ""), []string{"check-job-without-process"}},
		"a job of what is over": {func(tx store.Tx) error {
			var id string
			if err := tx.QueryRow("SELECT id FROM transfer_processes LIMIT 1").Scan(&id); err != nil {
				return err
			}
			if err := tx.Exec("UPDATE transfer_processes SET body = $1", []byte("{}")); err != nil {
				return err
			}
			return tx.Exec(job, "transfer.send", []byte(`{"process":"`+id+`"}`), "")
		}, []string{"check-job-of-ended-process"}},
		"waiting for nothing":          {run("INSERT INTO transfer_waiting (participant, id) VALUES ('tokyo', 'x')"), []string{"check-waiting"}},
		"waiting though it is over":    {run("INSERT INTO negotiation_waiting (participant, id) SELECT participant, id FROM negotiation_processes"), []string{"check-waiting"}},
		"a grant of an ended transfer": {run("UPDATE dataplane_grants SET state = 'open'"), []string{"check-grant-open"}},
		"an owner without a lease": {func(tx store.Tx) error {
			if err := tx.Exec("INSERT INTO replica_leases (id, counter) VALUES ('a', 1)"); err != nil {
				return err
			}
			return tx.Exec(job, "other", []byte("{}"), "b")
		}, []string{"check-owner-without-lease"}},
		"a kept body": {run("UPDATE evidence_bodies SET sealed = $1", []byte("not what was sealed, and long enough")), []string{"body-damaged"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := tokyo.away(t)
			a, err := VerifyBackup(bytes.NewReader(file.Bytes()), name, nobody)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := RestoreStore(t.Context(), p.settings, a, "", false, nobody); err != nil {
				t.Fatal(err)
			}
			p.damage(t, c.damage)
			if p.settings.Store == "" && c.want[0] == fault.CheckOwner.Code {
				c.want = nil // a file's node has no leases
			}
			r := p.check(t)
			if got := codes(r); !slices.Equal(got, c.want) {
				t.Errorf("found %v, want %v: %v", got, c.want, r.Findings)
			}
		})
	}
}

func run(query string, args ...any) func(store.Tx) error {
	return func(tx store.Tx) error { return tx.Exec(query, args...) }
}

// damage changes the store of p behind its node's back.
func (p place) damage(t *testing.T, fn func(store.Tx) error) {
	t.Helper()
	open, _, err := opener(p.settings, "")
	if err != nil {
		t.Fatal(err)
	}
	db, err := open(t.Context(), copying.Schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(t.Context(), fn), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestACheckSaysWhyItCannotLook(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "tokyo")
	p.damage(t, run("DELETE FROM catalog_schema WHERE version > 1"))
	if _, err := CheckStore(t.Context(), p.settings, p.key, nobody); !errors.Is(err, fault.StoreOlder) {
		t.Errorf("older tables: got %v", err)
	}
	other := newPlace(t, "osaka")
	if _, err := CheckStore(t.Context(), other.settings, p.key, nobody); !errors.Is(err, fault.VaultClosed) {
		t.Errorf("another master key: got %v", err)
	}
}
