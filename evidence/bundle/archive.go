package bundle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync/atomic"
)

// The archive is a zip (APPNOTE 6.3) of which every byte is fixed by names and
// contents: entries stored, in ascending order of their names, all times zero,
// no comments, no extra fields, no data descriptors, no zip64. So one exchange
// has one bundle, and a reader can refuse whatever was slipped in between.

const (
	sigLocal   = 0x04034b50
	sigCentral = 0x02014b50
	sigEnd     = 0x06054b50
	lenLocal   = 30
	lenCentral = 46
	lenEnd     = 22
	zipVersion = 20
	zipUTF8    = 0x0800
	zipDate    = 0x0021 // 1980-01-01, the zero of the format
)

var errOrder = errors.New("names are not in ascending order")

type entry struct {
	name   string
	crc    uint32
	size   uint32
	offset uint32 // of its local header
}

// Writer writes an archive in one pass.
type Writer struct {
	w       io.Writer
	at      int64
	entries []entry
}

// NewWriter starts an archive on w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Add writes one file; names must ascend.
func (z *Writer) Add(name string, data []byte) error {
	if n := len(z.entries); n > 0 && z.entries[n-1].name >= name {
		return fmt.Errorf("add %s: %w", name, errOrder)
	}
	size := int64(lenLocal + len(name) + len(data))
	if len(z.entries) >= MaxEntries || z.at+size > MaxBundle {
		return fmt.Errorf("add %s: the archive is full (%d files, %d bytes)", name, len(z.entries), z.at)
	}
	e := entry{name: name, crc: crc32.ChecksumIEEE(data), size: uint32(len(data)), offset: uint32(z.at)}
	if _, err := z.w.Write(e.local()); err != nil {
		return err
	}
	if _, err := z.w.Write(data); err != nil {
		return err
	}
	z.at += size
	z.entries = append(z.entries, e)
	return nil
}

// Close writes the directory; the archive is not valid without it.
func (z *Writer) Close() error {
	_, err := z.w.Write(directory(z.entries, uint32(z.at)))
	return err
}

func (e entry) local() []byte {
	b := make([]byte, lenLocal, lenLocal+len(e.name))
	le := binary.LittleEndian
	le.PutUint32(b, sigLocal)
	e.common(b[4:])
	return append(b, e.name...)
}

// common is what local and central headers share: version needed to name length.
func (e entry) common(b []byte) {
	le := binary.LittleEndian
	le.PutUint16(b, zipVersion)
	le.PutUint16(b[2:], zipUTF8)
	le.PutUint16(b[8:], zipDate)
	le.PutUint32(b[10:], e.crc)
	le.PutUint32(b[14:], e.size)
	le.PutUint32(b[18:], e.size)
	le.PutUint16(b[22:], uint16(len(e.name)))
}

func directory(es []entry, at uint32) []byte {
	le := binary.LittleEndian
	var out []byte
	for _, e := range es {
		b := make([]byte, lenCentral, lenCentral+len(e.name))
		le.PutUint32(b, sigCentral)
		le.PutUint16(b[4:], zipVersion)
		e.common(b[6:])
		le.PutUint32(b[42:], e.offset)
		out = append(out, append(b, e.name...)...)
	}
	end := make([]byte, lenEnd)
	le.PutUint32(end, sigEnd)
	le.PutUint16(end[8:], uint16(len(es)))
	le.PutUint16(end[10:], uint16(len(es)))
	le.PutUint32(end[12:], uint32(len(out)))
	le.PutUint32(end[16:], at)
	return append(out, end...)
}

// archive is an opened bundle; files are read one at a time.
type archive struct {
	r       io.ReaderAt
	entries []entry
	broken  atomic.Pointer[readError] // of the source itself, not of the content
}

type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }

// brokenSource is the first error of the source that was met.
func (a *archive) brokenSource() error {
	if e := a.broken.Load(); e != nil {
		return e.err
	}
	return nil
}

// openArchive walks the local headers and then compares every byte of the
// directory with the one that they call for.
func openArchive(r io.ReaderAt, size int64) (*archive, error) {
	if size > MaxBundle {
		return nil, fmt.Errorf("larger than %d bytes", int64(MaxBundle))
	}
	a := &archive{r: r}
	le := binary.LittleEndian
	var at int64
	var head [lenLocal]byte
	for {
		if size-at < lenEnd {
			return nil, errors.New("ends before its directory")
		}
		if err := a.read(head[:4], at); err != nil {
			return nil, err
		}
		if le.Uint32(head[:]) != sigLocal {
			break
		}
		if size-at < lenLocal {
			return nil, errors.New("ends inside an entry")
		}
		if err := a.read(head[:], at); err != nil {
			return nil, err
		}
		name := make([]byte, le.Uint16(head[26:]))
		e := entry{crc: le.Uint32(head[14:]), size: le.Uint32(head[18:]), offset: uint32(at)}
		next := at + lenLocal + int64(len(name)) + int64(e.size)
		if len(name) > 255 || next > size-lenEnd {
			return nil, errors.New("an entry reaches beyond the end")
		}
		if err := a.read(name, at+lenLocal); err != nil {
			return nil, err
		}
		e.name = string(name)
		if n := len(a.entries); n > 0 && a.entries[n-1].name >= e.name {
			return nil, errOrder
		}
		if !bytes.Equal(e.local()[:lenLocal], head[:]) {
			return nil, fmt.Errorf("header of %q is not of the fixed form", e.name)
		}
		if limit := limitOf(e.name); int64(e.size) > limit {
			return nil, fmt.Errorf("%q is not allowed in a bundle, or larger than %d bytes", e.name, limit)
		}
		if a.entries = append(a.entries, e); len(a.entries) > MaxEntries {
			return nil, fmt.Errorf("more than %d files", MaxEntries)
		}
		at = next
	}
	want := directory(a.entries, uint32(at))
	if int64(len(want)) != size-at {
		return nil, errors.New("directory does not fit the entries")
	}
	got := make([]byte, len(want))
	if err := a.read(got, at); err != nil {
		return nil, err
	}
	if !bytes.Equal(got, want) {
		return nil, errors.New("directory does not fit the entries")
	}
	return a, nil
}

func (a *archive) read(b []byte, at int64) error {
	n, err := a.r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	e := &readError{err}
	a.broken.CompareAndSwap(nil, e)
	return e
}

func (a *archive) find(name string) (entry, bool) {
	i, ok := slices.BinarySearchFunc(a.entries, name, func(e entry, n string) int {
		switch {
		case e.name < n:
			return -1
		case e.name > n:
			return 1
		}
		return 0
	})
	if !ok {
		return entry{}, false
	}
	return a.entries[i], true
}

// bytes reads one file and checks its CRC.
func (a *archive) bytes(e entry) ([]byte, error) {
	b := make([]byte, e.size)
	if err := a.read(b, int64(e.offset)+lenLocal+int64(len(e.name))); err != nil {
		return nil, err
	}
	if crc32.ChecksumIEEE(b) != e.crc {
		return nil, errors.New("its check sum is wrong")
	}
	return b, nil
}
