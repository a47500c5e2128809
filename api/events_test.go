package api

import (
	"context"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kakehashi/internal/recent"
	"kakehashi/internal/watch"
	"kakehashi/participant"
)

// table is a feed whose rows a test writes.
type table []watch.Change

func (t *table) changed(_ context.Context, _ participant.ID, id string, since time.Time, after string) ([]watch.Change, error) {
	for i, c := range *t {
		if (c.At.After(since) || c.At.Equal(since) && c.ID > after) && (id == "" || c.ID == id) {
			return (*t)[i:min(i+2, len(*t))], nil // a page of two
		}
	}
	return nil, nil
}

// reading runs e in a bubble and gives what it writes; read takes what is there.
func reading(t *testing.T, e *events, sub *watch.Sub) (read func() string) {
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	e.w, e.flush, e.now, e.sent = w, func() {}, time.Now, recent.New[string, int64](maxSent)
	done := make(chan struct{})
	go func() { defer close(done); _ = e.run(ctx, sub); _ = w.Close() }()
	t.Cleanup(func() { cancel(); _ = r.Close(); <-done })
	text := make(chan string)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := r.Read(buf)
			if err != nil {
				close(text)
				return
			}
			text <- string(buf[:n])
		}
	}()
	return func() string {
		var all strings.Builder
		for {
			synctest.Wait()
			select {
			case s := <-text:
				all.WriteString(s)
			default:
				return all.String()
			}
		}
	}
}

func at(base time.Time, kind, id string, version int64, after time.Duration) watch.Change {
	return watch.Change{Participant: "p", Kind: kind, ID: id, State: "S" + strconv.FormatInt(version, 10), Version: version, At: base.Add(after)}
}

// told lists id and version of what a stream told, "lost" for an event without an id.
func told(text string) (out []string) {
	for _, line := range strings.Split(text, "\n") {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			_, rest, _ := strings.Cut(data, `"id":"`)
			id, rest, _ := strings.Cut(rest, `"`)
			_, state, _ := strings.Cut(rest, `"state":"`)
			state, _, _ = strings.Cut(state, `"`)
			if id == "" {
				id = "lost"
			}
			out = append(out, id+state)
		}
	}
	return out
}

func lastID(text string) string {
	at := strings.LastIndex(text, "id: ")
	id, _, _ := strings.Cut(text[at+4:], "\n")
	return id
}

func TestAResumedStreamTellsAllKindsInOneOrderAndNothingTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		base := time.Now()
		talks := table{at(base, "negotiation", "a", 3, 1*time.Second), at(base, "negotiation", "b", 2, 2*time.Second), at(base, "negotiation", "c", 9, 4*time.Second)}
		moves := table{at(base, "transfer", "x", 1, 3*time.Second), at(base, "transfer", "y", 1, 20*time.Second)}
		time.Sleep(5 * time.Second)
		hub := watch.New()
		sub := hub.Subscribe(watch.Filter{Participant: "p"})
		// These came between the subscription and the reading: one is older than the row.
		hub.Publish(at(base, "negotiation", "c", 8, 3900*time.Millisecond))
		hub.Publish(at(base, "negotiation", "c", 9, 4*time.Second))
		hub.Publish(at(base, "negotiation", "b", 3, 5*time.Second))
		e := &events{p: "p", at: base.Add(1500 * time.Millisecond).Add(overlap), resume: true,
			feeds: map[string]feed{"negotiation": talks.changed, "transfer": moves.changed}}
		text := reading(t, e, sub)()
		if got := strings.Join(told(text), " "); got != "bS2 xS1 cS9 yS1 bS3" {
			t.Errorf("told %s in\n%s", got, text)
		}
		// y is newer than the moment at which the reading began: others as new may
		// be durable later, so the position stays before it.
		if want := base.Add(1500 * time.Millisecond).Add(overlap); lastID(text) != strconv.FormatInt(want.UnixMicro(), 10) {
			t.Errorf("the position is %s, not %d", lastID(text), want.UnixMicro())
		}
	})
}

func TestAnIdleStreamSaysThatItIsThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		read := reading(t, &events{p: "p", at: time.Now()}, watch.New().Subscribe(watch.Filter{}))
		if s := read(); !strings.HasPrefix(s, ": open\nid: ") {
			t.Errorf("opened with %q", s)
		}
		time.Sleep(3*beat + time.Second)
		if s := read(); strings.Count(s, ": still here\n\n") != 3 {
			t.Errorf("heard %q", s)
		}
	})
}

func TestASlowReaderIsToldAndGetsTheNewestStates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		base := time.Now()
		hub := watch.New()
		sub := hub.Subscribe(watch.Filter{Participant: "p"})
		var rows table
		read := reading(t, &events{p: "p", at: base, feeds: map[string]feed{"negotiation": rows.changed}}, sub)
		read()
		const n = watch.Buffer + 40
		for i := range n { // the reader takes nothing meanwhile: the stream hangs in its first write
			c := at(base, "negotiation", "n"+strconv.Itoa(1000+i), 1, time.Duration(i+1)*time.Millisecond)
			rows = append(rows, c)
			hub.Publish(c)
		}
		got := told(read())
		seen := map[string]int{}
		for _, s := range got {
			seen[s]++
		}
		if seen["lost"] != 1 {
			t.Errorf("told %d times that some were lost", seen["lost"])
		}
		for i := range n {
			if id := "n" + strconv.Itoa(1000+i) + "S1"; seen[id] != 1 {
				t.Errorf("%s came %d times", id, seen[id])
			}
		}
	})
}

// Without hints of single changes everything may have changed now and then: the
// reader hears of that only when something has.
func TestWhatAnotherReplicaDidNotTellIsReadFromTheTables(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		base := time.Now()
		hub := watch.New()
		sub := hub.Subscribe(watch.Filter{Participant: "p", Kinds: []string{"negotiation"}})
		var rows table
		read := reading(t, &events{p: "p", at: base, feeds: map[string]feed{"negotiation": rows.changed}}, sub)
		read()
		for i, step := range []struct {
			change func(c watch.Change)
			want   string
		}{
			{func(watch.Change) {}, "a0S1"},                               // missed
			{func(watch.Change) {}, "a1S1"},                               // missed again
			{hub.Heard, "a2S1"},                                           // told by the other replica
			{func(c watch.Change) { hub.Publish(c) }, "a3S1"},             // our own
			{func(c watch.Change) { hub.Heard(c); hub.Heard(c) }, "a4S1"}, // told twice
		} {
			c := at(base, "negotiation", "a"+strconv.Itoa(i), 1, time.Duration(i+1)*time.Millisecond)
			rows = append(rows, c)
			step.change(c)
			hub.Heard(watch.Change{Participant: "p", Kind: "grant", ID: "g", State: "closed"}) // no process
			hub.Missed()
			got := strings.TrimPrefix(strings.Join(told(read()), " "), "lost ")
			if got != step.want {
				t.Errorf("step %d: told %q, want %q", i, got, step.want)
			}
			hub.Missed()
			if got := told(read()); len(got) != 0 {
				t.Errorf("step %d: nothing has changed, and told %q", i, got)
			}
		}
	})
}
