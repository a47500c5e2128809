package dataplane

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/store"
)

const gib = 1 << 30

func TestACutEndsARunningResponseAtTheReceiver(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		end  func(*rig, Access)
	}{
		{"stop", (*rig).stop},
		{"suspend", func(r *rig, a Access) {
			r.update(func(tx store.Tx) error { return r.plane.Suspend(tx, tokyo, a.Grant, "x") })
		}},
		{"agreement", func(r *rig, a Access) {
			r.update(func(tx store.Tx) error { _, err := r.plane.StopAgreement(tx, tokyo, "urn:a", "x"); return err })
		}},
		{"by another replica", func(r *rig, a Access) {
			r.update(func(tx store.Tx) error {
				return tx.Exec(`UPDATE dataplane_grants SET state = 'closed', why = 'x' WHERE participant = 'tokyo' AND id = $1`, a.Grant)
			})
		}},
		{"expiry", func(r *rig, a Access) { r.gate.set(time.Time{}, fault.GrantClosed.At("", "why", "expired")) }},
		{"close", func(r *rig, a Access) { _ = r.plane.Close(context.Background()) }},
	} {
		for _, h2 := range []bool{false, true} {
			t.Run(c.name+map[bool]string{false: "/1.1", true: "/2"}[h2], func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				r.gate.until = time.Now().Add(time.Second)
				if c.name != "expiry" {
					r.gate.until = time.Time{}
				}
				if h2 {
					r.server.EnableHTTP2 = true
					r.server.StartTLS()
				} else {
					r.server.Start()
				}
				a := r.open(sparse(t, 64*gib))
				res := r.request("GET", strings.Replace(a.Address, "http://"+r.server.Listener.Addr().String(), r.server.URL, 1)+"file", a.Token)
				if (res.ProtoMajor == 2) != h2 || res.ContentLength != 64*gib {
					t.Fatal(res.Proto, res.ContentLength)
				}
				if _, err := io.CopyN(io.Discard, res.Body, 8<<20); err != nil {
					t.Fatal(err)
				}
				c.end(r, a)
				from := time.Now()
				n, err := readAll(res.Body)
				within := time.Second + Fresh // 1 s, and room for a loaded machine
				if c.name == "expiry" {
					within += time.Second // the terms end that much later
				}
				if took := time.Since(from); err == io.EOF || n >= 63*gib || took > within {
					t.Errorf("after the cut came %d bytes, %v, in %v", n, err, took)
				}
			})
		}
	}
}

func TestACutFreesAWriterWhoseReceiverDoesNotRead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Start()
	a := r.open(sparse(t, 64*gib))
	c := r.raw(a, "file", "HTTP/1.1")
	if _, err := io.ReadFull(c, make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	r.stop(a)
	ended := make(chan struct{})
	go func() { r.plane.sessions.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the handler still runs")
	}
	n, err := readAll(c)
	if !errors.Is(err, syscall.ECONNRESET) || n > gib {
		t.Errorf("%d bytes and %v", n, err)
	}
	if err := r.plane.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := r.plane.Get(t.Context(), tokyo, a.Grant)
	if err != nil || info.Bytes < 512 || info.Bytes >= 64*gib {
		t.Errorf("counted %d, %v", info.Bytes, err)
	}
}

// Without a length the end of the connection is the end of the body: only a
// reset tells a part from the whole.
func TestACutIsAResetWhereTheConnectionsEndIsTheBodysEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Start()
	a := r.open("")
	c := r.raw(a, "endless", "HTTP/1.0")
	if _, err := io.ReadFull(c, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	r.stop(a)
	if _, err := readAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("ended by %v", err)
	}
}

func TestWithoutConnContextHTTP10IsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Config.ConnContext = nil
	r.server.Start()
	b, _ := io.ReadAll(r.raw(r.open(""), "", "HTTP/1.0"))
	if !strings.Contains(string(b), "http-version") {
		t.Errorf("%s", b)
	}
}

func TestACutBeforeTheFirstByteIsARefusal(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Start()
	a := r.open("")
	go func() { <-r.began; r.stop(a) }()
	if code, body := r.get(a, "wait"); code != 403 || !strings.Contains(body, "the transfer was terminated") {
		t.Errorf("got %d %s", code, body)
	}
	if code, _ := r.get(a, ""); code != 403 {
		t.Error("the connection does not work any more")
	}
}

func TestAShortBodyIsNeverEndedCleanly(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Start()
	a := r.open("")
	c := r.raw(a, "short", "HTTP/1.1")
	if n, err := readAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a body of 9 of 100 bytes ended after %d by %v", n, err)
	}
	if code, body := r.get(a, "panic"); code != 500 || strings.Contains(body, "mistake") {
		t.Errorf("a panic gave %d %s", code, body)
	}
}

func TestManySmallRequestsShareAWindow(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	now := time.Now()
	r.plane.c.Now = func() time.Time { return now }
	r.server.Start()
	a := r.open("")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				if code, _ := r.get(a, ""); code != 200 {
					t.Error(code)
				}
			}
		})
	}
	all.Wait()
	if code, _ := r.get(a, "items/7"); code != 200 {
		t.Error(code)
	}
	if n := r.windows("open"); n != 1 {
		t.Errorf("%d windows", n)
	}
	r.stop(a)
	w := r.leaves.of("kh.plane.window")
	if len(w) != 1 || w[0].Facts["requests"] != "401" || w[0].Facts["bytes"] != "4000" || w[0].Facts["items"] != "7" {
		t.Errorf("recorded %+v", w)
	}
	if r.windows("open") != 0 || r.windows("closed") != 1 {
		t.Error("the window's row is not closed")
	}
}

func TestWindowsBoundABigDownloadAndAddUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Start()
	const size = 200<<20 + 5
	a := r.open(sparse(t, size))
	res := r.request("GET", a.Address+"file", a.Token)
	if n, err := io.Copy(io.Discard, res.Body); err != nil || n != size {
		t.Fatal(n, err)
	}
	r.plane.sessions.Wait()
	r.stop(a)
	if err := r.plane.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, l := range r.leaves.of("kh.plane.window") {
		n, err := strconv.ParseInt(l.Facts["bytes"], 10, 64)
		if err != nil || n > WindowBytes {
			t.Error(n, err)
		}
		sum += n
	}
	if sum != size || r.leaves.of("kh.grant.closed")[0].Facts["bytes"] != strconv.Itoa(size) {
		t.Errorf("recorded %d of %d", sum, size)
	}
}

func TestAWindowThatACrashLeftIsAtMost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Start()
	a := r.open("")
	if code, _ := r.get(a, ""); code != 200 || r.windows("open") != 1 {
		t.Fatal("no window is open while its bytes leave")
	}
	if len(r.leaves.of("kh.plane.window")) != 0 {
		t.Fatal("closed already")
	}
	if _, err := New(t.Context(), r.config); err != nil { // the node starts again on the same store
		t.Fatal(err)
	}
	if err := r.plane.Flush(t.Context()); err != nil { // what died cannot count it a second time
		t.Fatal(err)
	}
	w := r.leaves.of("kh.plane.window")
	if len(w) != 1 || w[0].Facts["bytes"] != strconv.Itoa(WindowBytes) || !strings.Contains(w[0].Facts["meaning"], "at most") {
		t.Errorf("recorded %+v", w)
	}
	if r.windows("open") != 0 || r.windows("at-most") != 1 {
		t.Error("still open")
	}
}

func TestAStartedNodeFindsItsGrantsAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Start()
	a := r.open("")
	p, err := New(t.Context(), r.config)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(context.Background())
	s, err := p.Admit(t.Context(), a.Token, Facts{Grant: a.Grant})
	if err != nil || s.Counterparty != "did:web:b" || s.Service != "test" {
		t.Fatal(s, err)
	}
	s.Count(3, 1)
	s.End()
	s.End()
}

func TestIdleWindowsCloseByThemselves(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Start()
	a := r.open("")
	if code, _ := r.get(a, ""); code != 200 {
		t.Fatal(code)
	}
	select {
	case <-r.leaves.window:
	case <-time.After(10 * time.Second):
		t.Fatal("the window stays open")
	}
}

func Test64MiBTakesConstantMemory(t *testing.T) {
	r := newRig(t) // not parallel: it looks at the whole process
	r.server.Start()
	a := r.open(sparse(t, 64<<20))
	download := func() {
		res := r.request("GET", a.Address+"file", a.Token)
		if n, err := io.Copy(io.Discard, res.Body); err != nil || n != 64<<20 {
			t.Fatal(n, err)
		}
	}
	download()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	download()
	runtime.ReadMemStats(&after)
	if grew := after.TotalAlloc - before.TotalAlloc; grew > 2<<20 {
		t.Errorf("64 MiB allocated %d bytes", grew)
	}
}

func TestRequestsRaceWithStops(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Start()
	for range 20 {
		a := r.open("")
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for {
					q, _ := http.NewRequest("GET", a.Address, nil)
					q.Header.Set("Authorization", a.Token)
					res, err := r.server.Client().Do(q)
					if err != nil {
						continue // cut
					}
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
					if res.StatusCode != 200 {
						return
					}
				}
			})
		}
		<-r.began
		r.stop(a)
		all.Wait()
	}
	if err := r.plane.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.windows("open") != 0 {
		t.Error("windows stay open")
	}
}

func BenchmarkGet10Bytes(b *testing.B) {
	r := newRig(b)
	r.server.Start()
	a := r.open("")
	go func() {
		for range r.began {
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		q, _ := http.NewRequest("GET", a.Address, nil)
		q.Header.Set("Authorization", a.Token)
		res, err := r.server.Client().Do(q)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
}

func BenchmarkGet64MiB(b *testing.B) {
	r := newRig(b)
	r.server.Start()
	a := r.open(sparse(b, 64<<20))
	go func() {
		for range r.began {
		}
	}()
	b.SetBytes(64 << 20)
	b.ReportAllocs()
	for b.Loop() {
		q, _ := http.NewRequest("GET", a.Address+"file", nil)
		q.Header.Set("Authorization", a.Token)
		res, err := r.server.Client().Do(q)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); n != 64<<20 {
			b.Fatal(n, err)
		}
		_ = res.Body.Close()
	}
}
