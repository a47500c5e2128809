package progress

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func line(s Snapshot) string {
	return fmt.Sprintf("%s %d/%d %d%% %d/s %v", s.Name, s.Done, s.Total, s.Percent(), s.Rate, s.Ended)
}

func TestLinesComeEveryTwoSecondsWhileSomethingMoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		d := New(Config{Out: &out, Style: Lines, Line: line})
		c := d.Counter("a", 400)
		c.Resume(100)
		time.Sleep(500 * time.Millisecond) // never at the same moment as the display
		for range 4 {
			c.Add(25)
			time.Sleep(time.Second)
		}
		time.Sleep(10*time.Second + time.Millisecond) // nothing moves: nothing is written
		rest := d.Counter("rest", 0)
		if _, err := io.Copy(io.Discard, rest.Reader(strings.NewReader("12345"))); err != nil {
			t.Fatal(err)
		}
		c.Add(200)
		c.Done()
		d.Close()
		d.Close()
		want := "a 150/400 37% 25/s false\na 200/400 50% 25/s false\na 400/400 100% 20/s true\nrest 5/0 -1% 0/s false\n"
		if out.String() != want {
			t.Errorf("got\n%swant\n%s", out.String(), want)
		}
	})
}

func TestBarsShowNameAndEnd(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	d := New(Config{Out: &out, Style: Bars})
	whole, broken, unknown := d.Counter("whole", 1<<20), d.Counter("broken", 1<<20), d.Counter("unknown", 0)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1 << 10 {
				whole.Add(1 << 7)
			}
		})
	}
	wg.Wait()
	broken.Add(1 << 19)
	unknown.Add(3)
	whole.Done()
	unknown.Done()
	d.Close()
	for _, want := range []string{"whole", "broken", "unknown", "1.0 MiB / 1.0 MiB", "512.0 KiB / 1.0 MiB"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestNothingIsDrawnForMachinesNorCountedForNobody(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	d := New(Config{Out: &out, Style: None})
	d.Counter("a", 1).Add(1)
	d.Close()
	var nobody *Counter
	nobody.Add(1)
	nobody.Resume(1)
	nobody.SetTotal(1)
	nobody.Done()
	if _, err := nobody.Writer(&out).Write(nil); err != nil || out.Len() != 0 {
		t.Errorf("wrote %q, %v", out.String(), err)
	}
}
