package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"kakehashi/evidence/bundle"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/participant"
	"kakehashi/store"
)

// Selection says which leaves go into a bundle: those whose correlation names
// Agreement, and those of Processes.
type Selection struct {
	Agreement string
	Processes []string
	// ShowSecrets shows bodies of ClassSecret too. Set it only once the transfer
	// that their tokens open has ended; until then the bundle has their digests.
	ShowSecrets bool
	// Keys are further files below keys/, by name, such as DID documents as they
	// were resolved. A verifier does not believe them.
	Keys map[string][]byte
}

// exported is what a bundle is made of.
type exported struct {
	records  map[int64][]byte // leaves by position
	note     []byte
	proofs   map[int64][]byte
	bodies   map[string][]byte // by digest
	withheld []bundle.Withheld
}

// Export writes a bundle (docs/evidence-format.md) to w, after numbering what
// was appended so far. The same content and clock give the same bytes. It is
// fault.NoEvidence if nothing matches.
func (l *Log) Export(ctx context.Context, p participant.ID, w io.Writer, sel Selection) error {
	t, err := l.tenant(p)
	if err != nil {
		return err
	}
	for name := range sel.Keys {
		if !bundle.IsKeyName(name) || "keys/"+name == bundle.LogKeyName || len(sel.Keys[name]) > bundle.MaxKeyFile {
			return fmt.Errorf("export evidence: %q cannot be the name of a key file, or it is too large", name)
		}
	}
	_, vkey, err := l.signer(p)
	if err != nil {
		return err
	}
	if err := l.Flush(ctx, p); err != nil {
		return err
	}
	var x exported
	err = l.view(ctx, "export evidence", func(tx store.Tx) error {
		x = exported{records: map[int64][]byte{}, proofs: map[int64][]byte{}, bodies: map[string][]byte{}}
		if err := x.selectLeaves(tx, p, sel); err != nil {
			return err
		}
		if err := x.prove(tx, p); err != nil {
			return err
		}
		return x.attach(l, tx, p, sel.ShowSecrets)
	})
	if err != nil {
		return err
	}
	return x.write(w, bundle.Manifest{Format: bundle.Format, Tenant: t.DID, Origin: t.Origin, Agreement: sel.Agreement,
		Made: l.c.Now().UTC().Format(time.RFC3339), Withheld: x.withheld, Keys: slices.Sorted(maps.Keys(sel.Keys))}, vkey, sel.Keys)
}

func (x *exported) selectLeaves(tx store.Tx, p participant.ID, sel Selection) error {
	if sel.Agreement != "" {
		rs, err := readRecords(tx, selectAgreement, string(p), sel.Agreement)
		if err != nil {
			return err
		}
		x.add(rs)
	}
	for _, process := range sel.Processes {
		rs, err := readRecords(tx, selectHistory, string(p), process)
		if err != nil {
			return err
		}
		x.add(rs)
	}
	if len(x.records) == 0 {
		what := sel.Agreement
		if what == "" {
			what = strings.Join(sel.Processes, ", ")
		}
		return fault.NoEvidence.At("", "what", what)
	}
	if 2*len(x.records) > bundle.MaxEntries {
		return fault.BundleTooLarge.At("", "reason", fmt.Sprintf("%d events", len(x.records)))
	}
	return nil
}

func (x *exported) add(rs []record) {
	for _, r := range rs {
		if r.position >= 0 {
			x.records[r.position] = r.data
		}
	}
}

// prove makes the inclusion proofs against the newest checkpoint of the snapshot.
func (x *exported) prove(tx store.Tx, p participant.ID) error {
	h, err := readHead(tx, p)
	if err != nil {
		return err
	}
	x.note = h.note
	hashes := newReader(func(level int, n int64) ([]byte, error) { return readTile(tx, p, level, n) })
	for pos := range x.records {
		proof, err := tlog.ProveRecord(h.size, pos, hashes)
		if err != nil {
			return fmt.Errorf("prove event %d: %w", pos, err)
		}
		x.proofs[pos] = bundle.Proof{Index: pos, Hashes: proof, Note: h.note}.Marshal()
	}
	return nil
}

// attach adds the bodies that the leaves name and that are kept.
func (x *exported) attach(l *Log, tx store.Tx, p participant.ID, secrets bool) error {
	seen := map[string]bool{}
	for _, pos := range slices.Sorted(maps.Keys(x.records)) {
		leaf, err := bundle.ParseLeaf(x.records[pos])
		if err != nil {
			return l.damaged(p, fmt.Sprintf("event %d cannot be read", pos))
		}
		for _, digest := range leaf.Hashes {
			if seen[digest] {
				continue
			}
			seen[digest] = true
			b, class, err := l.body(tx, p, digest)
			switch {
			case errors.Is(err, fault.NotFound): // never kept, or past its retention
			case err != nil:
				return err
			case class == ClassSecret && !secrets:
				x.withheld = append(x.withheld, bundle.Withheld{Digest: digest, Class: class})
			default:
				x.bodies[digest] = b
			}
		}
	}
	slices.SortFunc(x.withheld, func(a, b bundle.Withheld) int { return strings.Compare(a.Digest, b.Digest) })
	return nil
}

func (x *exported) write(w io.Writer, m bundle.Manifest, vkey string, keys map[string][]byte) error {
	man, err := strictjson.Encode(m)
	if err != nil {
		return err
	}
	files := map[string][]byte{bundle.ManifestName: man, bundle.ReadmeName: []byte(bundle.Readme), bundle.LogKeyName: []byte(vkey + "\n")}
	for name, b := range keys {
		files["keys/"+name] = b
	}
	for pos, b := range x.records {
		files[bundle.EventName(pos)] = b
		files[bundle.ProofName(pos)] = x.proofs[pos]
	}
	total := 0
	for digest, b := range x.bodies {
		files[bundle.BodyName(digest)] = b
	}
	for name, b := range files {
		total += len(b) + 2*len(name) + 128
	}
	if len(files) > bundle.MaxEntries || total > bundle.MaxBundle {
		return fault.BundleTooLarge.At("", "reason", fmt.Sprintf("%d files, %d bytes", len(files), total))
	}
	z := bundle.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := z.Add(name, files[name]); err != nil {
			return fmt.Errorf("write bundle: %w", err)
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	return nil
}
