package copying

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/store"
	"kakehashi/store/schema"
)

// An archive is gzip over frames: a byte for the kind, the length of what follows
// as an unsigned varint, and that. After magic comes the manifest; then for each
// table of it its rows and its sum; at last the SHA-256 of all before.
const (
	magic = "kakehashi store 1\n"

	frameManifest byte = 'M' // Manifest, JSON
	frameRow      byte = 'R' // a row in its form
	frameSum      byte = 'S' // Sum, JSON
	frameEnd      byte = 'E' // digest, 32 bytes
)

// Most bytes of a frame: the largest body that a node takes, and room for the rest.
const (
	mostManifest = 16 << 20
	mostRow      = 256 << 20
)

// Manifest is what an archive says of itself.
type Manifest struct {
	Made     time.Time         `json:"made"`
	Program  string            `json:"program"` // version that made it
	Place    string            `json:"place"`   // of what
	Rows     int64             `json:"rows"`
	Tables   []schema.Table    `json:"tables"`
	Versions map[string][]step `json:"versions"` // by owner
}

type step struct {
	Version int64  `json:"version"`
	Name    string `json:"name"`
	Digest  string `json:"digest"`
}

// Backup writes all that db holds at one moment to w, also while db is served.
// told is told of rows; total is called once with how many there are. Secrets stay
// encrypted as they are, everything else is readable in it.
func Backup(ctx context.Context, db Engine, w io.Writer, m Manifest, total func(int64), told func(int)) ([]Table, error) {
	zip, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	out := &frames{w: bufio.NewWriterSize(zip, 64<<10), sum: sha256.New()}
	var tables []Table
	// A view runs once: what is written is not written twice.
	err = db.View(ctx, func(tx store.Tx) error {
		all, versions, err := inventory(tx, db)
		if err != nil {
			return err
		}
		if m.Rows, err = Count(tx, all); err != nil {
			return err
		}
		total(m.Rows)
		m.Tables, m.Versions = all, map[string][]step{}
		for o, applied := range versions {
			m.Versions[o] = []step{}
			for _, s := range applied {
				m.Versions[o] = append(m.Versions[o], step{s.Version, s.Name, s.Digest})
			}
		}
		out.raw([]byte(magic))
		if err := out.json(frameManifest, m); err != nil {
			return err
		}
		for _, t := range all {
			s := Sum{}
			h := sha256.New()
			if err := newPages(t).each(ctx, tx, func(b Batch) error {
				for _, f := range b.Forms {
					h.Write(f)
					out.frame(frameRow, f)
				}
				s.Rows += int64(len(b.Rows))
				told(len(b.Rows))
				return out.err
			}); err != nil {
				return fmt.Errorf("read table %s: %w", t.Name, err)
			}
			s.Digest = hex.EncodeToString(h.Sum(nil))
			if err := out.json(frameSum, s); err != nil {
				return err
			}
			tables = append(tables, Table{t.Name, s})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.frame(frameEnd, out.sum.Sum(nil))
	if out.err == nil {
		out.err = out.w.Flush()
	}
	return tables, errors.Join(out.err, zip.Close())
}

// frames writes an archive; err is the first that happened.
type frames struct {
	w   *bufio.Writer
	sum hash.Hash
	err error
}

func (f *frames) raw(b []byte) {
	f.sum.Write(b)
	if f.err == nil {
		_, f.err = f.w.Write(b)
	}
}

func (f *frames) frame(kind byte, b []byte) {
	f.raw(binary.AppendUvarint([]byte{kind}, uint64(len(b))))
	f.raw(b)
}

func (f *frames) json(kind byte, v any) error {
	b, err := strictjson.Encode(v)
	if err != nil {
		return err
	}
	f.frame(kind, b)
	return f.err
}

// Archive is a backup that was read through and found whole: a Source.
type Archive struct {
	Manifest
	place string
	file  io.ReadSeeker
	sums  map[string]Sum

	in *unframer // where Read is
	at int       // table that comes next
}

// OpenArchive reads a backup to its end and checks every digest; anything else is
// fault.ArchiveDamaged. place names it; total and told are as of Backup.
func OpenArchive(file io.ReadSeeker, place string, total func(int64), told func(int)) (*Archive, error) {
	a := &Archive{place: place, file: file, sums: map[string]Sum{}}
	in, err := a.begin(&a.Manifest)
	if err != nil {
		return nil, err
	}
	total(a.Manifest.Rows)
	for _, t := range a.Manifest.Tables {
		got := Sum{}
		h := sha256.New()
		want, err := in.table(func(form []byte) error {
			row, err := readRow(form, len(t.Columns))
			for i := 0; err == nil && i < len(row); i++ {
				_, err = plain(row[i], t.Columns[i].Type)
			}
			if err != nil {
				return err
			}
			h.Write(form)
			got.Rows++
			told(1)
			return nil
		})
		if err != nil {
			return nil, a.damaged(err)
		}
		if got.Digest = hex.EncodeToString(h.Sum(nil)); got != want {
			return nil, a.damaged(fmt.Errorf("the digest of table %s differs", t.Name))
		}
		a.sums[t.Name] = got
	}
	if err := in.end(); err != nil {
		return nil, a.damaged(err)
	}
	return a, nil
}

func (a *Archive) damaged(err error) error {
	return fault.ArchiveDamaged.At(a.place, "place", a.place, "reason", err.Error()).Because(err)
}

// begin reads from the start up to behind the manifest.
func (a *Archive) begin(m *Manifest) (*unframer, error) {
	if _, err := a.file.Seek(0, io.SeekStart); err != nil {
		return nil, a.damaged(err)
	}
	in, err := newUnframer(a.file)
	if err != nil {
		return nil, a.damaged(err)
	}
	kind, b, err := in.next()
	if err == nil && kind != frameManifest {
		err = errFrame
	}
	if err == nil {
		err = strictjson.Decode(b, m)
	}
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return nil, a.damaged(err)
	}
	return in, nil
}

// check sees that the names in it are such as a store has: they go into statements.
func (m Manifest) check() error {
	for _, t := range m.Tables {
		names := append([]string{t.Name}, t.Key...)
		for _, c := range t.Columns {
			names = append(names, c.Name)
		}
		for _, n := range names {
			if !plainName(n) {
				return fmt.Errorf("%q is no name", n)
			}
		}
		if len(t.Key) == 0 || len(t.Columns) == 0 || t.Owner() == owner || m.Versions[t.Owner()] == nil {
			return fmt.Errorf("table %s is not one of a store", t.Name)
		}
		for _, k := range t.Key {
			if !slices.ContainsFunc(t.Columns, func(c schema.Column) bool { return c.Name == k }) {
				return fmt.Errorf("table %s has no column %s", t.Name, k)
			}
		}
	}
	return nil
}

func plainName(s string) bool {
	for i, c := range []byte(s) {
		if (c < 'a' || c > 'z') && c != '_' && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) < 64
}

// Place is the digest of what the archive holds: the same backup under another
// name is the same.
func (a *Archive) Place() string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(a.sums)) {
		fmt.Fprintln(h, name, a.sums[name])
	}
	return "backup " + hex.EncodeToString(h.Sum(nil))[:16]
}

// Tables lists what the archive holds.
func (a *Archive) Tables() []schema.Table { return a.Manifest.Tables }

// Versions are the steps by which its tables were made.
func (a *Archive) Versions() map[string][]schema.Step {
	out := map[string][]schema.Step{}
	for o, steps := range a.Manifest.Versions {
		out[o] = []schema.Step{}
		for _, s := range steps {
			out[o] = append(out[o], schema.Step{Version: s.Version, Name: s.Name, Digest: s.Digest})
		}
	}
	return out
}

// Rows is how many it has in all.
func (a *Archive) Rows() int64 { return a.Manifest.Rows }

// Read hands out a table's rows. It only goes forwards.
func (a *Archive) Read(ctx context.Context, t schema.Table, skip int64, _ []any, f func(Batch) error) error {
	if a.in == nil {
		in, err := a.begin(new(Manifest))
		if err != nil {
			return err
		}
		a.in, a.at = in, 0
	}
	for ; a.at < len(a.Manifest.Tables); a.at++ {
		ours := a.Manifest.Tables[a.at].Name == t.Name
		var b Batch
		size := 0
		give := func() error {
			if len(b.Rows) == 0 {
				return nil
			}
			err := errors.Join(f(b), ctx.Err())
			b, size = Batch{}, 0
			return err
		}
		_, err := a.in.table(func(form []byte) error {
			if !ours {
				return nil
			}
			if skip--; skip >= 0 {
				return nil
			}
			row, err := readRow(form, len(t.Columns))
			if err != nil {
				return a.damaged(err)
			}
			b.Rows = append(b.Rows, row)
			if size += len(form); len(b.Rows) < batchRows && size < batchBytes {
				return nil
			}
			return give()
		})
		if err != nil {
			return err
		}
		if ours {
			a.at++
			return give()
		}
	}
	return fmt.Errorf("table %s is not behind the last one that was read", t.Name)
}

// Sum is what was found at the opening.
func (a *Archive) Sum(_ context.Context, t schema.Table, told func(int)) (Sum, error) {
	told(int(a.sums[t.Name].Rows))
	return a.sums[t.Name], nil
}

var errFrame = errors.New("it is cut off or not in this form")

// unframer reads an archive.
type unframer struct {
	raw *bufio.Reader // of what is compressed
	zip *gzip.Reader
	in  *bufio.Reader
	sum hash.Hash
	buf []byte
}

func newUnframer(r io.Reader) (*unframer, error) {
	u := &unframer{raw: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
	var err error
	if u.zip, err = gzip.NewReader(u.raw); err != nil {
		return nil, err
	}
	u.zip.Multistream(false)
	u.in = bufio.NewReaderSize(u.zip, 64<<10)
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(u.in, head); err != nil || string(head) != magic {
		return nil, errFrame
	}
	u.sum.Write(head)
	return u, nil
}

// next reads a frame; its bytes are good until the next one.
func (u *unframer) next() (byte, []byte, error) {
	kind, err := u.in.ReadByte()
	if err != nil {
		return 0, nil, cut(err)
	}
	size, err := binary.ReadUvarint(u.in)
	if err != nil {
		return 0, nil, cut(err)
	}
	most := uint64(mostRow)
	if kind != frameRow {
		most = mostManifest
	}
	if size > most {
		return 0, nil, errFrame
	}
	if kind != frameEnd {
		u.sum.Write(binary.AppendUvarint([]byte{kind}, size))
	}
	// Grown as it comes, so that a length that lies costs nothing.
	u.buf = u.buf[:0]
	for left := int(size); left > 0; {
		n := min(left, 1<<20)
		at := len(u.buf)
		u.buf = slices.Grow(u.buf, n)[:at+n]
		if _, err := io.ReadFull(u.in, u.buf[at:]); err != nil {
			return 0, nil, cut(err)
		}
		left -= n
	}
	if kind != frameEnd {
		u.sum.Write(u.buf)
	}
	return kind, u.buf, nil
}

func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errFrame
	}
	return err
}

// table reads the rows of a table and its sum.
func (u *unframer) table(f func(form []byte) error) (s Sum, err error) {
	for {
		kind, b, err := u.next()
		switch {
		case err != nil:
			return s, err
		case kind == frameSum:
			err := strictjson.Decode(b, &s)
			return s, err
		case kind != frameRow:
			return s, errFrame
		}
		if err := f(b); err != nil {
			return s, err
		}
	}
}

// end sees that the digest is right and nothing follows.
func (u *unframer) end() error {
	want := u.sum.Sum(nil)
	kind, b, err := u.next()
	if err != nil {
		return err
	}
	if kind != frameEnd || string(b) != string(want) {
		return errors.New("its digest differs")
	}
	if _, err := u.in.ReadByte(); err != io.EOF {
		return errFrame
	}
	if _, err := u.raw.ReadByte(); err != io.EOF {
		return errors.New("something follows its end")
	}
	return nil
}
