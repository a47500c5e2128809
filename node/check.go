package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kakehashi/agreement"
	"kakehashi/config"
	"kakehashi/dataplane"
	"kakehashi/evidence"
	"kakehashi/evidence/bundle"
	"kakehashi/internal/fault"
	"kakehashi/internal/finding"
	"kakehashi/negotiation"
	"kakehashi/outbox"
	"kakehashi/participant"
	kept "kakehashi/process"
	"kakehashi/replica"
	"kakehashi/store"
	"kakehashi/store/copying"
	"kakehashi/store/schema"
	"kakehashi/transfer"
)

// CheckStore looks for what does not belong together in the store of s, also while
// nodes serve it: one snapshot for the tables of the rooms, one for each evidence
// log. With the master key the kept bodies are opened and compared with their
// digests as well. The error is what kept it from looking: of tables of another
// version than this program's it is fault.StoreOlder, fault.StoreNewer or
// fault.StoreChanged.
func CheckStore(ctx context.Context, s config.Settings, masterKey []byte, work Work) (r *finding.Report, err error) {
	db, err := reading(ctx, s)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	r = &finding.Report{}
	if err := versions(ctx, db, s); err != nil {
		return nil, err
	}
	if err := db.View(ctx, func(tx store.Tx) error { return together(tx, db, r, s.Store == "", work) }); err != nil {
		return nil, err
	}
	return r, logs(ctx, db, masterKey, r, work)
}

// versions sees that the tables are those of this program.
func versions(ctx context.Context, db copying.Engine, s config.Settings) error {
	tables, err := tablesOf(ctx, db)
	if err != nil {
		return err
	}
	for _, o := range schemas(s) {
		if len(tables[o.Owner]) == 0 {
			return fault.StoreOlder.At(storePlace(s), "owner", o.Owner)
		}
		steps, err := schema.Read(o.Files)
		if err != nil {
			return err
		}
		var applied []schema.Step
		if err := db.View(ctx, func(tx store.Tx) (err error) {
			applied, err = schema.Applied(tx, o.Owner)
			return err
		}); err != nil {
			return err
		}
		missing, err := schema.Missing(o.Owner, steps, applied)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			return fault.StoreOlder.At(storePlace(s), "owner", o.Owner)
		}
	}
	return nil
}

// together looks at what rooms know of each other.
func together(tx store.Tx, db copying.Engine, r *finding.Report, alone bool, work Work) error {
	all, err := db.Tables(tx)
	if err != nil {
		return err
	}
	rows, err := copying.Count(tx, slices.DeleteFunc(all, func(t schema.Table) bool {
		return !slices.Contains([]string{"agreement_agreements", "negotiation_processes", "transfer_processes"}, t.Name)
	}))
	if err != nil {
		return err
	}
	c := kept.Checked{Report: r, Agreements: &finding.Index{}, Leaves: &finding.Index{}, Jobs: &finding.Index{}, Processes: &finding.Index{},
		Told: work("check", rows)}
	if err := agreement.Check(tx, r, c.Agreements, c.Told); err != nil {
		return err
	}
	if err := evidence.Heads(tx, func(p, id string, version int64, _ string) { c.Leaves.Put(p, id, version) }); err != nil {
		return err
	}
	if err := outbox.Each(tx, func(j outbox.Job, _ string) { c.Jobs.Put(string(j.Participant), j.ID, 0) }); err != nil {
		return err
	}
	if err := negotiation.Check(tx, c); err != nil {
		return err
	}
	if err := transfer.Check(tx, c); err != nil {
		return err
	}
	if err := dataplane.Check(tx, r, c.Ended); err != nil {
		return err
	}
	if err := evidence.Heads(tx, func(p, id string, _ int64, typ string) {
		if !strings.HasPrefix(typ, "kh.negotiation.") && !strings.HasPrefix(typ, "kh.transfer.") {
			return
		}
		if _, there := c.Processes.Get(p, id); !there {
			r.Found(fault.CheckNoProcess.At(p+" "+id, "id", id, "type", typ))
		}
	}); err != nil {
		return err
	}
	var leased func(string) bool
	if !alone { // a file's node takes over whatever lies there when it starts
		held, err := replica.Leases(tx)
		if err != nil {
			return err
		}
		if len(held) > 0 {
			leased = func(owner string) bool { return slices.Contains(held, owner) }
		}
	}
	return outbox.Check(tx, r, ofProcess, c.Over, leased)
}

// ofProcess names the process that a job is for.
func ofProcess(j outbox.Job) string {
	switch j.Kind {
	case negotiation.JobSend, negotiation.JobRemind, transfer.JobSend, transfer.JobRemind, transfer.JobPush, transfer.JobFinish:
		return kept.About(j).Process
	}
	return ""
}

// logs checks the evidence log of each participant.
func logs(ctx context.Context, db copying.Engine, masterKey []byte, r *finding.Report, work Work) error {
	vault, err := participant.NewVault(masterKey, rand.Reader)
	if err != nil {
		return err
	}
	hosted, err := participant.Open(ctx, participant.Config{DB: db, Vault: vault, Now: time.Now, Rand: rand.Reader})
	if err != nil {
		return err
	}
	all, err := evidence.Logs(ctx, db)
	if err != nil {
		return err
	}
	done := work("evidence", int64(len(all)))
	for _, p := range all {
		vkey, err := logKey(hosted, p)
		if err != nil {
			return err
		}
		log, err := evidence.Check(ctx, db, p, vkey, vault)
		if err != nil {
			return err
		}
		for _, f := range log.Findings {
			r.Found(f)
		}
		r.Beyond(fault.LogDamaged, log.More)
		r.Counted("evidence leaves of "+string(p), log.Leaves)
		r.Counted("evidence leaves of "+string(p)+" without a position yet", log.Waiting)
		r.Counted("evidence bodies of "+string(p)+" opened", log.Bodies)
		done(1)
	}
	return nil
}

// logKey is what verifies the checkpoints of p, "" for nobody who is hosted here.
func logKey(hosted *participant.Room, p participant.ID) (string, error) {
	who, ok := hosted.Get(p)
	if !ok {
		return "", nil
	}
	k, err := hosted.Key(p, participant.Log)
	if err != nil {
		return "", err
	}
	pub, ok := k.Signer.Public().(ed25519.PublicKey)
	if !ok {
		return "", fmt.Errorf("log key of %s is a %T, not Ed25519", p, k.Signer.Public())
	}
	return bundle.LogKey(who.Origin, pub)
}
