// Package finding gathers what a look over kept tables finds, and the keys that
// such a look compares. It is no log: a report is made once and shown.
package finding

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"kakehashi/internal/fault"
)

// most of one kind are kept; the rest are counted.
const most = 20

// Report is what was found. It is for one goroutine.
type Report struct {
	Findings []*fault.Error
	More     map[string]int64 // by code: how many beyond those
	Counts   []Count
	kinds    map[string]int
}

// Count is how many of something there are.
type Count struct {
	What string
	N    int64
}

// Found adds a finding.
func (r *Report) Found(f *fault.Error) {
	if r.kinds == nil {
		r.kinds, r.More = map[string]int{}, map[string]int64{}
	}
	if r.kinds[f.Kind.Code]++; r.kinds[f.Kind.Code] > most {
		r.More[f.Kind.Code]++
		return
	}
	r.Findings = append(r.Findings, f)
}

// Beyond says that there are n more findings about kind, which nobody lists.
func (r *Report) Beyond(kind *fault.Kind, n int64) {
	if n == 0 {
		return
	}
	if r.kinds == nil {
		r.kinds, r.More = map[string]int{}, map[string]int64{}
	}
	r.More[kind.Code] += n
}

// Counted adds a count.
func (r *Report) Counted(what string, n int64) { r.Counts = append(r.Counts, Count{what, n}) }

// Index tells what is known of ids, in 24 bytes each: only the first half of a
// SHA-256 is kept. Fill it, then ask.
type Index struct {
	rows  []entry
	ready bool
}

type entry struct {
	sum   [16]byte
	value int64
}

func sumOf(participant, id string) (s [16]byte) {
	b := make([]byte, 0, 128)
	b = append(append(append(b, participant...), 0), id...)
	full := sha256.Sum256(b)
	copy(s[:], full[:])
	return s
}

// Put adds what is known of an id that is put once.
func (x *Index) Put(participant, id string, value int64) {
	x.rows = append(x.rows, entry{sumOf(participant, id), value})
	x.ready = false
}

// Get gives what was put.
func (x *Index) Get(participant, id string) (int64, bool) {
	if !x.ready {
		slices.SortFunc(x.rows, func(a, b entry) int { return bytes.Compare(a.sum[:], b.sum[:]) })
		x.ready = true
	}
	s := sumOf(participant, id)
	at, ok := slices.BinarySearchFunc(x.rows, s, func(e entry, s [16]byte) int { return bytes.Compare(e.sum[:], s[:]) })
	if !ok {
		return 0, false
	}
	return x.rows[at].value, true
}
