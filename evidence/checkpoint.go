package evidence

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"kakehashi/evidence/bundle"
	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/store"
)

// noteSigner signs notes with a key that may lie outside of the program.
type noteSigner struct {
	note.Verifier
	key  crypto.Signer
	rand io.Reader
}

// Sign implements note.Signer; Ed25519 signs the message itself.
func (s noteSigner) Sign(msg []byte) ([]byte, error) {
	return s.key.Sign(s.rand, msg, crypto.Hash(0))
}

// signer gives the log key of a participant and its vkey; key name is the origin.
func (l *Log) signer(p participant.ID) (noteSigner, string, error) {
	t, err := l.tenant(p)
	if err != nil {
		return noteSigner{}, "", err
	}
	k, err := l.c.Keys.Key(p, participant.Log)
	if err != nil {
		return noteSigner{}, "", fmt.Errorf("log key of %s: %w", p, err)
	}
	pub, ok := k.Signer.Public().(ed25519.PublicKey)
	if !ok {
		return noteSigner{}, "", fmt.Errorf("log key of %s is a %T, not Ed25519", p, k.Signer.Public())
	}
	vkey, err := bundle.LogKey(t.Origin, pub)
	if err != nil {
		return noteSigner{}, "", fmt.Errorf("log key of %s: %w", p, err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return noteSigner{}, "", fmt.Errorf("log key of %s: %w", p, err)
	}
	return noteSigner{v, k.Signer, l.c.Rand}, vkey, nil
}

func (l *Log) sign(p participant.ID, t tree) ([]byte, error) {
	s, _, err := l.signer(p)
	if err != nil {
		return nil, err
	}
	c := bundle.Checkpoint{Origin: s.Name(), Size: t.size, Root: t.root}
	b, err := note.Sign(&note.Note{Text: c.Text()}, s)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint of %s: %w", p, err)
	}
	return b, nil
}

// load reads the head and right edge of a log and checks that they agree with
// each other and with the leaves. s.mu is held.
func (l *Log) load(ctx context.Context, p participant.ID, s *state) error {
	s.loaded = false
	t := emptyTree()
	var h head
	// Both are older than what is read next, whoever numbers meanwhile.
	before, seen := s.shown.Load(), []byte(nil)
	if l.c.Seen != nil {
		seen = l.c.Seen(p)
	}
	err := l.view(ctx, "load log", func(tx store.Tx) error {
		var err error
		if h, err = readHead(tx, p); err != nil {
			return err
		}
		last, err := readLast(tx, p)
		if err != nil {
			return err
		}
		if last+1 > h.size {
			return l.rolledBack(p, fmt.Sprintf("%d events are numbered, the checkpoint covers %d", last+1, h.size))
		}
		if last+1 < h.size {
			return l.damaged(p, fmt.Sprintf("the checkpoint covers %d events, only %d are there", h.size, last+1))
		}
		t.size = h.size
		for level, w := range widths(h.size) {
			edge := []byte{}
			if w > 0 {
				edge, err = readTile(tx, p, level, h.size>>(tileHeight*(level+1)))
				if errors.Is(err, errNoTile) {
					return l.damaged(p, err.Error())
				}
				if err != nil {
					return err
				}
			}
			if len(edge) != w*tlog.HashSize {
				return l.damaged(p, fmt.Sprintf("the last tile of level %d has %d bytes", level, len(edge)))
			}
			t.edge = append(t.edge, edge)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if before != nil && before.size > h.size {
		return l.rolledBack(p, fmt.Sprintf("a checkpoint of %d events was shown, %d are there", before.size, h.size))
	}
	if h.size > 0 {
		if t.root, err = t.hash(); err != nil {
			return l.damaged(p, err.Error())
		}
		if err := l.ownNote(p, h, t); err != nil {
			return err
		}
		s.show(&shown{h.size, h.note})
	}
	if seen != nil {
		if err := l.compare(ctx, p, t, seen); err != nil {
			return err
		}
	}
	s.tree, s.loaded = t, true
	return nil
}

// ownNote checks the stored checkpoint against the tree that was read.
func (l *Log) ownNote(p participant.ID, h head, t tree) error {
	v, _, err := l.signer(p)
	if err != nil {
		return err
	}
	c, err := bundle.OpenCheckpoint(h.note, v)
	switch {
	case err != nil:
		return l.damaged(p, "the stored checkpoint is not signed with the participant's key")
	case c.Size > t.size:
		return l.rolledBack(p, fmt.Sprintf("a checkpoint of %d events was signed, %d are there", c.Size, t.size))
	case c.Size != t.size || c.Root != t.root || !bytes.Equal(h.root, t.root[:]):
		return l.damaged(p, "the stored hashes have another root than the checkpoint")
	}
	return nil
}

// Compare checks a checkpoint of ours that somebody else kept, such as a
// partner, against the log: fault.LogRolledBack if the log no longer contains
// what was signed. A note that our key did not sign is an error of another kind.
func (l *Log) Compare(ctx context.Context, p participant.ID, checkpoint []byte) error {
	s := l.state(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded {
		// What is in memory may be behind what another replica signed.
		if err := l.compare(ctx, p, s.tree, checkpoint); !errors.Is(err, fault.LogRolledBack) {
			return err
		}
	}
	if err := l.load(ctx, p, s); err != nil {
		return err
	}
	return l.compare(ctx, p, s.tree, checkpoint)
}

// renew reads the newest checkpoint, which another replica may have signed.
func (l *Log) renew(ctx context.Context, p participant.ID) error {
	v, _, err := l.signer(p)
	if err != nil {
		return err
	}
	var h head
	if err := l.view(ctx, "read checkpoint", func(tx store.Tx) (err error) { h, err = readHead(tx, p); return err }); err != nil || h.size == 0 {
		return err
	}
	c, err := bundle.OpenCheckpoint(h.note, v)
	if err != nil || c.Size != h.size {
		return l.damaged(p, "the stored checkpoint is not signed with the participant's key")
	}
	l.state(p).show(&shown{h.size, h.note})
	return nil
}

func (l *Log) compare(ctx context.Context, p participant.ID, t tree, checkpoint []byte) error {
	v, _, err := l.signer(p)
	if err != nil {
		return err
	}
	c, err := bundle.OpenCheckpoint(checkpoint, v)
	if err != nil {
		return fmt.Errorf("checkpoint kept outside: %w", err)
	}
	if c.Size > t.size {
		return l.rolledBack(p, fmt.Sprintf("a checkpoint of %d events was signed, %d are there", c.Size, t.size))
	}
	var root tlog.Hash
	err = l.view(ctx, "read tiles", func(tx store.Tx) error {
		root, err = tlog.TreeHash(c.Size, newReader(func(level int, n int64) ([]byte, error) { return readTile(tx, p, level, n) }))
		return err
	})
	if err != nil {
		return err
	}
	if root != c.Root {
		return l.rolledBack(p, fmt.Sprintf("its first %d events are not those that were signed", c.Size))
	}
	return nil
}

func (l *Log) rolledBack(p participant.ID, reason string) error {
	return fault.LogRolledBack.At("", "participant", string(p), "reason", reason)
}

func (l *Log) damaged(p participant.ID, reason string) error {
	return fault.LogDamaged.At("", "participant", string(p), "reason", reason)
}

var errMoved = errors.New("another sequencer moved the log")
