// Package evidence keeps what happened: one append-only Merkle log for each
// participant, with checkpoints signed by its log key (C2SP tlog-checkpoint,
// tlog-tiles), and the bodies that its leaves name, encrypted.
//
// A leaf is written in the unit of work that causes it; a sequencer numbers it
// within 100 ms and signs the new head. History and export read the leaves, so
// there is no second record to reconcile. It is not for personal data, secrets
// or tokens: leaves hold digests. Checking is package bundle's.
package evidence

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"kakehashi/evidence/bundle"
	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/participant"
	"kakehashi/store"
)

// Keys gives the keys of participants; the log uses those of purpose
// participant.Log (Ed25519), and participant.Token to render anchors.
type Keys interface {
	Key(participant.ID, participant.Purpose) (participant.Key, error)
}

// Sealer encrypts bodies at rest; aad binds a body to its participant and digest.
type Sealer interface {
	Seal(plain, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
}

// Config is what Open needs.
type Config struct {
	DB           store.DB
	Participants func() []participant.Participant // all that are hosted now
	Keys         Keys
	Vault        Sealer
	Now          func() time.Time
	Rand         io.Reader // handed to the signers
	Log          *slog.Logger
	// Seen gives the newest checkpoint of a participant that is known from
	// outside of the database, or nil; Open refuses a log that is older. Optional.
	Seen func(participant.ID) []byte
}

// Log is the evidence of all participants of a node.
type Log struct {
	c       Config
	tenants atomic.Pointer[map[participant.ID]participant.Participant]

	replicas Replicas // nil: nobody else is at work
	hints    Hints    // nil: there are none
	newID    func() string
	most     int // leaves read at once

	mu      sync.Mutex // guards the rest
	logs    map[participant.ID]*state
	work    map[participant.ID]*work
	running int           // logs that are looked after now
	wake    chan struct{} // capacity 1
}

// state is one participant's log in memory. mu is held by whoever numbers.
type state struct {
	mu     sync.Mutex
	loaded bool
	tree   tree
	shown  atomic.Pointer[shown] // newest durable checkpoint
	stale  atomic.Bool           // another replica may have signed a newer one
	asked  atomic.Bool           // it is being read
}

// shown is a checkpoint that anybody may have been given.
type shown struct {
	size int64
	note []byte
}

// show makes a durable checkpoint the one that is given, unless a newer one is.
func (s *state) show(n *shown) {
	for {
		old := s.shown.Load()
		if old != nil && old.size >= n.size || s.shown.CompareAndSwap(old, n) {
			return
		}
	}
}

// Open checks each participant's log against its own checkpoint and refuses one
// that was rolled back (fault.LogRolledBack) or changed (fault.LogDamaged).
func Open(ctx context.Context, c Config) (*Log, error) {
	if c.DB == nil || c.Participants == nil || c.Keys == nil || c.Vault == nil || c.Now == nil || c.Rand == nil || c.Log == nil {
		return nil, errors.New("open evidence: a member of the config is missing")
	}
	l := blank(c)
	for _, p := range c.Participants() {
		s := l.state(p.ID)
		s.mu.Lock()
		err := l.load(ctx, p.ID, s)
		s.mu.Unlock()
		if err != nil {
			return nil, fmt.Errorf("open evidence of %s: %w", p.ID, err)
		}
	}
	l.Recheck(ctx) // what a crash left
	return l, nil
}

func blank(c Config) *Log {
	return &Log{c: c, newID: ids.Short, most: planLeaves, logs: map[participant.ID]*state{},
		work: map[participant.ID]*work{}, wake: make(chan struct{}, 1)}
}

func (l *Log) state(p participant.ID) *state {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.logs[p]
	if s == nil {
		s = &state{}
		l.logs[p] = s
	}
	return s
}

// tenant looks a participant up; the list is read again for one that is new.
func (l *Log) tenant(p participant.ID) (participant.Participant, error) {
	if m := l.tenants.Load(); m != nil {
		if t, ok := (*m)[p]; ok {
			return t, nil
		}
	}
	m := map[participant.ID]participant.Participant{}
	for _, t := range l.c.Participants() {
		m[t.ID] = t
	}
	l.tenants.Store(&m)
	if t, ok := m[p]; ok {
		return t, nil
	}
	return participant.Participant{}, fault.NotFound.At("", "what", "participant "+string(p))
}

// Append puts a leaf on record in the caller's unit: durable with it, or not at
// all. Bodies that the leaf names and that are not kept yet are kept encrypted.
// The leaf has its position within 100 ms after the unit committed, or a second
// later when the replica that numbers is gone; within a process, positions follow
// versions. It is at most 16 KiB, else fault.BadLeaf.
func (l *Log) Append(tx store.Tx, p participant.ID, leaf Leaf, bodies ...Body) error {
	t, err := l.tenant(p)
	if err != nil {
		return err
	}
	for _, b := range bodies {
		if err := l.keep(tx, p, b); err != nil {
			return err
		}
	}
	at := leaf.At
	if at.IsZero() {
		at = l.c.Now()
	}
	at = at.UTC()
	id := l.newID()
	data, err := encode(make([]byte, 0, 1024), &leaf, id, t.DID, at)
	if err != nil {
		return fault.BadLeaf.At(leaf.Type, "reason", err.Error())
	}
	var agreement any
	if a := leaf.Correlation["agreement"]; a != "" {
		agreement = a
	}
	if err := tx.Exec(insertLeaf, string(p), leaf.Process, leaf.Version, id, at.UnixMicro(), leaf.Type, agreement, data); err != nil {
		return fmt.Errorf("append %s: %w", leaf.Type, err)
	}
	l.expect(p, id)
	tx.AfterCommit(func() { l.touch(p) })
	return nil
}

func (l *Log) keep(tx store.Tx, p participant.ID, b Body) error {
	digest := Digest(b.Bytes)
	if b.Digest != "" && b.Digest != digest {
		return fault.BadLeaf.At("", "reason", "a body does not have the digest "+b.Digest)
	}
	if b.Class == "" || len(b.Bytes) > bundle.MaxBody {
		return fault.BadLeaf.At("", "reason", "body "+digest+" has no class or is too large")
	}
	sealed, err := l.c.Vault.Seal(b.Bytes, bodyAAD(p, digest))
	if err != nil {
		return fmt.Errorf("seal body %s: %w", digest, err)
	}
	var until any
	if !b.Keep.IsZero() {
		until = b.Keep.UnixMicro()
	}
	if err := tx.Exec(insertBody, string(p), digest, b.Class, until, sealed); err != nil {
		return fmt.Errorf("keep body %s: %w", digest, err)
	}
	return nil
}

// bodyAAD keeps a sealed body from passing as another's or as another body.
func bodyAAD(p participant.ID, digest string) []byte {
	return []byte("evidence_bodies\x00" + string(p) + "\x00" + digest)
}

// Body gives the plain bytes of a kept body; fault.NotFound if it is not kept.
func (l *Log) Body(ctx context.Context, p participant.ID, digest string) (b []byte, err error) {
	err = l.view(ctx, "read body", func(tx store.Tx) error {
		b, err = l.BodyTx(tx, p, digest)
		return err
	})
	return b, err
}

// BodyTx is Body inside a unit.
func (l *Log) BodyTx(tx store.Tx, p participant.ID, digest string) ([]byte, error) {
	b, _, err := l.body(tx, p, digest)
	return b, err
}

func (l *Log) body(tx store.Tx, p participant.ID, digest string) (plain []byte, class string, err error) {
	var sealed []byte
	err = tx.QueryRow(selectBody, string(p), digest).Scan(&class, &sealed)
	if errors.Is(err, store.ErrNotFound) {
		return nil, "", fault.NotFound.At(digest, "what", "body "+digest)
	}
	if err != nil {
		return nil, "", fmt.Errorf("read body %s: %w", digest, err)
	}
	plain, err = l.c.Vault.Open(sealed, bodyAAD(p, digest))
	if err != nil {
		return nil, "", fmt.Errorf("open body %s: %w", digest, err)
	}
	return plain, class, nil
}

// History gives the leaves of a process in their order; none: an empty list.
func (l *Log) History(ctx context.Context, p participant.ID, process string) ([]Entry, error) {
	var out []Entry
	err := l.view(ctx, "read history", func(tx store.Tx) error {
		rs, err := readRecords(tx, selectHistory, string(p), process)
		if err != nil {
			return err
		}
		out = make([]Entry, len(rs))
		for i, r := range rs {
			if out[i], err = decode(r.data, r.position); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// Checkpoint is the newest signed checkpoint of a participant's log that is
// durable, from memory; nil before its first. One that another replica signed is
// there within about a second. The bytes are not to be changed.
func (l *Log) Checkpoint(p participant.ID) []byte {
	s := l.state(p)
	if s.stale.Load() && s.asked.CompareAndSwap(false, true) {
		l.read(p)
	}
	if n := s.shown.Load(); n != nil {
		return n.note
	}
	return nil
}

// Trust renders the lines of a trust file for a participant: its log's key and
// its key for messages. Who receives them by a safe way can check its bundles.
func (l *Log) Trust(p participant.ID) (string, error) {
	_, vkey, err := l.signer(p)
	if err != nil {
		return "", err
	}
	t, err := l.tenant(p)
	if err != nil {
		return "", err
	}
	k, err := l.c.Keys.Key(p, participant.Token)
	if err != nil {
		return "", fmt.Errorf("token key of %s: %w", p, err)
	}
	return bundle.Anchors(t.DID, map[string]crypto.PublicKey{k.KID: k.Signer.Public()}, vkey)
}
