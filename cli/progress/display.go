package progress

import (
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// Style is how a Display draws.
type Style int

const (
	// None draws nothing: the output is for a machine.
	None Style = iota
	// Lines writes a line for each counter that moved, every two seconds, and
	// one at its end: the output is a file or a pipe.
	Lines
	// Bars draws bars that move: the output is a terminal.
	Bars
)

const (
	everyLine = 2 * time.Second
	everyBar  = 100 * time.Millisecond
)

// Config is what a Display needs.
type Config struct {
	Out   io.Writer
	Style Style
	Line  func(Snapshot) string // for Lines, without line end; in the language of the reader
	Now   func() time.Time      // nil: time.Now
}

// Display draws counters from its own goroutine until Close. It is safe for
// concurrent use.
type Display struct {
	now  func() time.Time
	draw drawer
	stop chan struct{}
	gone chan struct{}

	mu       sync.Mutex
	counters []*Counter
	closed   bool
}

// drawer is called by one goroutine at a time; last is the final call.
type drawer interface {
	draw(all []Snapshot, last bool)
}

// New starts a Display.
func New(c Config) *Display {
	d := &Display{now: c.Now, stop: make(chan struct{}), gone: make(chan struct{})}
	if d.now == nil {
		d.now = time.Now
	}
	every := everyLine
	switch c.Style {
	case Lines:
		d.draw = &lines{out: c.Out, line: c.Line}
	case Bars:
		d.draw, every = newBars(c.Out), everyBar
	default:
		close(d.gone)
		return d
	}
	go d.run(every)
	return d
}

// Counter adds a counter; total 0 is not known.
func (d *Display) Counter(name string, total int64) *Counter {
	return d.add(&Counter{name: name}, total)
}

// Rows adds a counter of rows; total 0 is not known.
func (d *Display) Rows(name string, total int64) *Counter {
	return d.add(&Counter{name: name, rows: true}, total)
}

func (d *Display) add(c *Counter, total int64) *Counter {
	c.now, c.start = d.now, d.now()
	c.SetTotal(total)
	d.mu.Lock()
	d.counters = append(d.counters, c)
	d.mu.Unlock()
	return c
}

// Close draws the last state of every counter and returns when nothing more is
// written. It may be called again.
func (d *Display) Close() {
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		close(d.stop)
	}
	d.mu.Unlock()
	<-d.gone
}

func (d *Display) run(every time.Duration) {
	defer close(d.gone)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.draw.draw(d.all(), false)
		case <-d.stop:
			d.draw.draw(d.all(), true)
			return
		}
	}
}

func (d *Display) all() []Snapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]Snapshot, len(d.counters))
	for i, c := range d.counters {
		out[i] = c.snapshot()
	}
	return out
}

type lines struct {
	out   io.Writer
	line  func(Snapshot) string
	shown []Snapshot
}

func (l *lines) draw(all []Snapshot, _ bool) {
	for i, s := range all {
		if i == len(l.shown) {
			l.shown = append(l.shown, Snapshot{})
		}
		if was := l.shown[i]; was.Ended || was.Done == s.Done && !s.Ended {
			continue
		}
		if s.Done == 0 && s.Total == 0 { // there was nothing to do
			continue
		}
		l.shown[i] = s
		_, _ = io.WriteString(l.out, l.line(s)+"\n") // what cannot be shown must not end the work
	}
}

type bars struct {
	p   *mpb.Progress
	all []*mpb.Bar
}

func newBars(out io.Writer) *bars {
	return &bars{p: mpb.New(mpb.WithOutput(out), mpb.WithWidth(40), mpb.WithRefreshRate(everyBar), mpb.WithAutoRefresh())}
}

func (b *bars) draw(all []Snapshot, last bool) {
	for i, s := range all {
		if i == len(b.all) {
			numbers := []decor.Decorator{decor.CountersKibiByte("% .1f / % .1f", decor.WCSyncSpace), decor.Name(" "), decor.AverageSpeed(decor.SizeB1024(0), "% .1f", decor.WCSyncSpace)}
			if s.Rows {
				numbers = []decor.Decorator{decor.CountersNoUnit("%d / %d", decor.WCSyncSpace), decor.Name(" "), decor.AverageSpeed(0, "%.0f/s", decor.WCSyncSpace)}
			}
			b.all = append(b.all, b.p.AddBar(s.Total,
				mpb.PrependDecorators(decor.Name(s.Name, decor.WCSyncSpaceR)),
				mpb.AppendDecorators(numbers...)))
		}
		bar := b.all[i]
		switch {
		case bar.Completed() || bar.Aborted():
		case s.Ended:
			bar.SetTotal(max(s.Total, s.Done), false)
			bar.SetCurrent(s.Done)
			bar.SetTotal(-1, true)
		default:
			bar.SetTotal(s.Total, false)
			bar.SetCurrent(s.Done)
			if last {
				bar.Abort(false)
			}
		}
	}
	if last {
		b.p.Wait()
	}
}
