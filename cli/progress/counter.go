// Package progress shows how far long work is. A Counter is what the work
// counts on, cheap and safe from every goroutine; a Display draws all counters
// at intervals: as bars on a terminal, as lines elsewhere, or not at all. It is
// not for results; those a command prints itself.
package progress

import (
	"io"
	"sync/atomic"
	"time"
)

// Counter counts one piece of work, in bytes or in rows. A nil Counter counts nothing, so
// that work need not ask whether somebody watches.
type Counter struct {
	name  string
	rows  bool // not bytes
	start time.Time
	total atomic.Int64 // 0: not known
	done  atomic.Int64
	first atomic.Int64 // was there before: not counted in the rate
	ended atomic.Bool
	now   func() time.Time
}

// Add counts n more.
func (c *Counter) Add(n int64) {
	if c != nil {
		c.done.Add(n)
	}
}

// Resume says that n bytes were there before the work began.
func (c *Counter) Resume(n int64) {
	if c != nil {
		c.first.Store(n)
		c.done.Store(n)
	}
}

// SetTotal says how much there is, once that is known.
func (c *Counter) SetTotal(n int64) {
	if c != nil {
		c.total.Store(max(n, 0))
	}
}

// Done says that the work is finished; without it a Display shows it as broken
// off.
func (c *Counter) Done() {
	if c != nil {
		c.ended.Store(true)
	}
}

// Reader counts what is read through it.
func (c *Counter) Reader(r io.Reader) io.Reader { return reader{r, c} }

// Writer counts what is written through it.
func (c *Counter) Writer(w io.Writer) io.Writer { return writer{w, c} }

type reader struct {
	io.Reader
	c *Counter
}

func (r reader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.c.Add(int64(n))
	return n, err
}

type writer struct {
	io.Writer
	c *Counter
}

func (w writer) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.c.Add(int64(n))
	return n, err
}

// Snapshot is a counter at one moment.
type Snapshot struct {
	Name        string
	Rows        bool  // rows are counted, else bytes
	Done, Total int64 // Total 0: not known
	Rate        int64 // a second since it began, without what was there before
	Ended       bool
}

// Percent is how much is done, 0 to 100; -1 if the total is not known.
func (s Snapshot) Percent() int {
	if s.Total <= 0 {
		return -1
	}
	return int(min(s.Done, s.Total) * 100 / s.Total)
}

func (c *Counter) snapshot() Snapshot {
	s := Snapshot{Name: c.name, Rows: c.rows, Ended: c.ended.Load(), Done: c.done.Load(), Total: c.total.Load()}
	if d := c.now().Sub(c.start); d > 0 {
		s.Rate = int64(float64(s.Done-c.first.Load()) / d.Seconds())
	}
	return s
}
