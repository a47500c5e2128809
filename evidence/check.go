package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"kakehashi/evidence/bundle"
	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/store"
)

const (
	checkRows    = 1000 // read at once
	checkOpened  = 100  // bodies opened at once
	mostFindings = 100
)

// Report is what Check found. Findings holds the first 100, More how many there
// are beyond; none: the log holds together.
type Report struct {
	Participant participant.ID
	Leaves      int64     // numbered
	Waiting     int64     // without a position yet: none once the node has been at rest for seconds
	Oldest      time.Time // of those that wait; zero: none
	Bodies      int64     // opened, when there was a key
	Findings    []*fault.Error
	More        int64
}

// Err joins the findings; nil when there are none.
func (r Report) Err() error {
	if len(r.Findings) == 0 {
		return nil
	}
	all := make([]error, 0, len(r.Findings)+1)
	for _, f := range r.Findings {
		all = append(all, f)
	}
	if r.More > 0 {
		all = append(all, fmt.Errorf("and %d more", r.More))
	}
	return errors.Join(all...)
}

func (r *Report) found(f *fault.Error) {
	if len(r.Findings) < mostFindings {
		r.Findings = append(r.Findings, f)
	} else {
		r.More++
	}
}

func (r *Report) damaged(format string, args ...any) {
	r.found(fault.LogDamaged.At("", "participant", string(r.Participant), "reason", fmt.Sprintf(format, args...)))
}

// bodied are the hashes of leaves whose bytes are kept. Who lets a body go after
// its retention empties its row and leaves keep_until there.
var bodied = map[string]bool{"message": true, "sending": true, "refused": true, "stray": true, "agreement": true, "token": true}

// Logs lists the participants that have leaves.
func Logs(ctx context.Context, db store.DB) (all []participant.ID, err error) {
	err = db.View(ctx, func(tx store.Tx) error {
		all = nil
		for after := ""; ; {
			err := tx.QueryRow(selectNextLog, after).Scan(&after)
			if errors.Is(err, store.ErrNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			all = append(all, participant.ID(after))
		}
	})
	return all, err
}

// Check is Check of a log of this node, with its key and its vault.
func (l *Log) Check(ctx context.Context, p participant.ID) (Report, error) {
	_, vkey, err := l.signer(p)
	if err != nil {
		return Report{}, err
	}
	return Check(ctx, l.c.DB, p, vkey, l.c.Vault)
}

// Check reads a whole log on one snapshot and compares all that must agree:
// positions without hole, order and versions within each process, rows and leaves,
// tiles, root and head recomputed from the leaves, the signature of the
// checkpoint by vkey, the bodies that leaves name, and, with vault, what they
// hold. vkey "" and vault nil leave their part out. Memory is bounded, whatever
// the size of the log; a million leaves take about a minute. The error is the
// store's or ctx's: what is wrong with the log is in the report.
func Check(ctx context.Context, db store.DB, p participant.ID, vkey string, vault Sealer) (Report, error) {
	var verifier note.Verifier
	if vkey != "" {
		v, err := note.NewVerifier(vkey)
		if err != nil {
			return Report{}, fmt.Errorf("check evidence of %s: %w", p, err)
		}
		verifier = v
	}
	var r Report
	err := db.View(ctx, func(tx store.Tx) error {
		c := check{ctx: ctx, tx: tx, r: &r}
		r = Report{Participant: p}
		if err := c.tree(verifier); err != nil {
			return err
		}
		if err := c.waiting(); err != nil {
			return err
		}
		if err := c.processes(); err != nil {
			return err
		}
		if vault == nil {
			return nil
		}
		return c.bodies(vault)
	})
	if err != nil {
		return r, fmt.Errorf("check evidence of %s: %w", p, err)
	}
	return r, nil
}

// check is one reading of one log.
type check struct {
	ctx   context.Context
	tx    store.Tx
	r     *Report
	tiles int64 // that there must be
	bad   [8]bool
}

func (c *check) who() string { return string(c.r.Participant) }

// tree recomputes everything from the leaves in the order of their positions.
func (c *check) tree(verifier note.Verifier) error {
	h, err := readHead(c.tx, c.r.Participant)
	if err != nil {
		return err
	}
	t := emptyTree()
	for want := int64(0); ; {
		rows, err := c.rows(selectNumbered, c.who(), want, checkRows)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		hashes := make([]tlog.Hash, len(rows))
		for i, w := range rows {
			if w.position != want {
				c.r.found(fault.LogHole.At("", "participant", c.who(), "position", want, "next", w.position))
			}
			want = w.position + 1
			hashes[i] = tlog.RecordHash(w.data)
		}
		if err := c.leaves(rows); err != nil {
			return err
		}
		var grown []tile
		if t, grown, err = t.grow(hashes); err != nil {
			return err
		}
		for _, g := range grown {
			if len(g.data) < tileWidth*tlog.HashSize {
				continue // compared when it has grown to its end
			}
			if err := c.tile(g); err != nil {
				return err
			}
		}
	}
	c.r.Leaves = t.size
	for level, edge := range t.edge {
		if len(edge) == 0 {
			continue
		}
		if err := c.tile(tile{level, t.size >> (tileHeight * (level + 1)), edge}); err != nil {
			return err
		}
	}
	var stored int64
	if err := c.tx.QueryRow(countTiles, c.who()).Scan(&stored); err != nil {
		return err
	}
	if stored > c.tiles {
		c.r.damaged("%d tiles are stored, %d belong to it", stored, c.tiles)
	}
	c.head(h, t, verifier)
	return nil
}

func (c *check) tile(want tile) error {
	c.tiles++
	data, err := readTile(c.tx, c.r.Participant, want.level, want.n)
	if err != nil && !errors.Is(err, errNoTile) {
		return err
	}
	if err == nil && bytes.Equal(data, want.data) || c.bad[min(want.level, len(c.bad)-1)] {
		return nil
	}
	c.bad[min(want.level, len(c.bad)-1)] = true // those after it differ with it
	if err != nil {
		c.r.damaged("%v", err)
	} else {
		c.r.damaged("tile %d/%d is not that of its events", want.level, want.n)
	}
	return nil
}

func (c *check) head(h head, t tree, verifier note.Verifier) {
	switch {
	case h.size < t.size:
		c.r.found(fault.LogRolledBack.At("", "participant", c.who(), "reason", fmt.Sprintf("%d events are numbered, the checkpoint covers %d", t.size, h.size)))
	case h.size > t.size:
		c.r.damaged("the checkpoint covers %d events, only %d are there", h.size, t.size)
	case h.size > 0 && !bytes.Equal(h.root, t.root[:]):
		c.r.damaged("the events have another root than the head")
	}
	if verifier == nil || h.size == 0 {
		return
	}
	signed, err := bundle.OpenCheckpoint(h.note, verifier)
	switch {
	case err != nil:
		c.r.damaged("the stored checkpoint is not signed with the participant's key")
	case signed.Size != h.size || !bytes.Equal(signed.Root[:], h.root):
		c.r.damaged("the signed checkpoint covers %d events with another root or size than the head", signed.Size)
	}
}

// waiting reads the leaves that have no position.
func (c *check) waiting() error {
	for after := ""; ; {
		rows, err := c.rows(selectUnnumbered, c.who(), after, checkRows)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return nil
		}
		for _, w := range rows {
			if at := time.UnixMicro(w.at).UTC(); c.r.Oldest.IsZero() || at.Before(c.r.Oldest) {
				c.r.Oldest = at
			}
		}
		c.r.Waiting += int64(len(rows))
		after = rows[len(rows)-1].id
		if err := c.leaves(rows); err != nil {
			return err
		}
	}
}

// row is a whole row of evidence_leaves.
type row struct {
	process   string
	version   int64
	id        string
	at        int64
	typ       string
	agreement *string
	position  int64 // -1: none
	data      []byte
}

func (c *check) rows(query string, args ...any) ([]row, error) {
	if err := c.ctx.Err(); err != nil {
		return nil, err
	}
	rows, err := c.tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []row
	for rows.Next() {
		w := row{position: -1}
		var position *int64
		if err := rows.Scan(&w.process, &w.version, &w.id, &w.at, &w.typ, &w.agreement, &position, &w.data); err != nil {
			return nil, err
		}
		if position != nil {
			w.position = *position
		}
		out = append(out, w)
	}
	return out, rows.Err()
}

// leaves compares rows with the leaves in them, and looks for the bodies they name.
func (c *check) leaves(rows []row) error {
	named := map[string]string{} // digest: id of a leaf
	for _, w := range rows {
		leaf, err := bundle.ParseLeaf(w.data)
		if err != nil {
			c.r.damaged("the event %s of %s cannot be read", w.id, w.process)
			continue
		}
		agreement := ""
		if w.agreement != nil {
			agreement = *w.agreement
		}
		if leaf.Process != w.process || leaf.Version != w.version || leaf.ID != "urn:uuid:"+w.id || leaf.Type != w.typ || leaf.Correlation["agreement"] != agreement {
			c.r.damaged("the row of event %s of %s says something else than the event", w.id, w.process)
		}
		for name, digest := range leaf.Hashes {
			if bodied[name] {
				named[digest] = w.id
			}
		}
	}
	return c.kept(named)
}

// kept removes from named what is there; the rest is found missing.
func (c *check) kept(named map[string]string) error {
	var all []string
	for d := range named {
		all = append(all, d)
	}
	for some := range slices.Chunk(all, atOnce) {
		rows, err := c.tx.Query(selectKept, values([]any{c.who()}, some)...)
		if err != nil {
			return err
		}
		for rows.Next() {
			var d string
			if err := rows.Scan(&d); err != nil {
				rows.Close()
				return err
			}
			delete(named, d)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
	}
	for digest, id := range named {
		c.r.found(fault.BodyMissing.At("", "participant", c.who(), "digest", digest, "event", id))
	}
	return nil
}

// bodies opens each body.
func (c *check) bodies(vault Sealer) error {
	for after := ""; ; {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		rows, err := c.tx.Query(selectBodies, c.who(), after, checkOpened)
		if err != nil {
			return err
		}
		n := 0
		for ; rows.Next(); n++ {
			var sealed []byte
			if err := rows.Scan(&after, &sealed); err != nil {
				rows.Close()
				return err
			}
			plain, err := vault.Open(sealed, bodyAAD(c.r.Participant, after))
			if err != nil || Digest(plain) != after {
				c.r.found(fault.BodyDamaged.At("", "participant", c.who(), "digest", after))
			}
			c.r.Bodies++
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
	}
}
