package dsphttp

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kakehashi/internal/bound"
	"kakehashi/internal/fault"
)

func TestOneCounterpartIsHeldToItsPace(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	l := bound.NewPace[sender](10, fault.TooFast, func() time.Time { return now })
	a, b := sender{"tokyo", "a"}, sender{"tokyo", "b"}
	for i := range 10 {
		if _, err := l.Take(a); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if tell, err := l.Take(a); !errors.Is(err, fault.TooFast) || !tell {
		t.Errorf("the eleventh: %v, told %v", err, tell)
	}
	if tell, err := l.Take(a); !errors.Is(err, fault.TooFast) || tell {
		t.Errorf("the twelfth: %v, told %v", err, tell)
	}
	if _, err := l.Take(b); err != nil {
		t.Errorf("another counterpart: %v", err)
	}
	now = now.Add(100 * time.Millisecond)
	if _, err := l.Take(a); err != nil {
		t.Errorf("a moment later: %v", err)
	}
	if _, err := l.Take(a); !errors.Is(err, fault.TooFast) {
		t.Errorf("one more: %v", err)
	}
	now = now.Add(-time.Hour) // a clock that is put back takes nothing away
	if _, err := l.Take(b); err != nil {
		t.Errorf("after the clock went back: %v", err)
	}
	now = now.Add(2 * time.Hour)
	for i := range 10 {
		if _, err := l.Take(a); err != nil {
			t.Fatalf("message %d of a full bucket: %v", i, err)
		}
	}
	if tell, err := l.Take(a); err == nil || !tell {
		t.Errorf("an hour later: %v, told %v", err, tell)
	}
}

func TestManyAtOnceShareOneBucket(t *testing.T) {
	t.Parallel()
	l := bound.NewPace[string](5, fault.TooFast, func() time.Time { return time.Unix(0, 0) })
	var all sync.WaitGroup
	passed := make(chan bool, 64)
	for range 64 {
		all.Go(func() {
			_, err := l.Take("a")
			passed <- err == nil
		})
	}
	all.Wait()
	close(passed)
	n := 0
	for ok := range passed {
		if ok {
			n++
		}
	}
	if n != 5 {
		t.Errorf("%d of 64 passed a bucket of 5", n)
	}
}

func TestWhoseAddressItIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ a, b string }{
		{"192.0.2.1:1", "192.0.2.1:2"}, {"[::ffff:192.0.2.1]:1", "192.0.2.1:2"},
		{"[2001:db8::1]:1", "[2001:db8::2:3]:1"}, {"[fe80::1%eth0]:1", "[fe80::1%eth1]:1"}, {"", "@"},
	} {
		if bound.From(c.a) != bound.From(c.b) {
			t.Errorf("%q and %q are two", c.a, c.b)
		}
	}
	for _, c := range []struct{ a, b string }{{"192.0.2.1:1", "192.0.2.2:1"}, {"[2001:db8::1]:1", "[2001:db8:0:1::1]:1"}, {"192.0.2.1:1", ""}} {
		if bound.From(c.a) == bound.From(c.b) {
			t.Errorf("%q and %q are one", c.a, c.b)
		}
	}
}

// admitting serves what stands before authentication, which no test here passes.
func admitting(t *testing.T, c ServerConfig, in time.Duration) (*httptest.Server, chan string) {
	t.Helper()
	c.Now, c.Log, c.MaxBody = func() time.Time { return time.Unix(0, 0) }, slog.New(slog.DiscardHandler), 1<<20
	s := NewServer(c)
	s.slowest = in
	read := make(chan string, 16)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{w: w, r: r, area: negotiationArea}
		if !s.paced(c) {
			return
		}
		body, err := s.read(c)
		if err != nil {
			c.fail(s, err)
			return
		}
		read <- string(body)
		c.answer(s, http.StatusOK, bytes.Repeat([]byte("x"), len(body)))
	}))
	t.Cleanup(srv.Close)
	return srv, read
}

func TestAFloodFromOneAddressIsRefusedBeforeItIsRead(t *testing.T) {
	t.Parallel()
	srv, _ := admitting(t, ServerConfig{AddressRate: 2}, time.Minute)
	for i, want := range []int{200, 200, 429} {
		resp, err := srv.Client().Post(srv.URL, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != want {
			t.Fatalf("request %d: %s, %v", i, resp.Status, err)
		}
		if want == 429 && (resp.Header.Get("Retry-After") != "1" || !strings.Contains(string(body), `"ContractNegotiationError"`) ||
			!strings.Contains(string(body), "too-many-requests")) {
			t.Errorf("%v: %s", resp.Header, body)
		}
	}
}

func TestABodyThatDoesNotComeHoldsNoConnection(t *testing.T) {
	t.Parallel()
	srv, read := admitting(t, ServerConfig{}, 100*time.Millisecond)
	d := net.Dialer{}
	conn, err := d.DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(conn) // until the node hangs up
	if err != nil || !strings.HasPrefix(string(all), "HTTP/1.1 408 ") || !strings.Contains(string(all), "too-slow") {
		t.Errorf("%s, %v", all, err)
	}
	if len(read) != 0 {
		t.Errorf("read %q", <-read)
	}
}

// deadlines records what is set on a connection.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write []bool // set or cleared
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.read = append(d.read, !t.IsZero())
	return nil
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	d.write = append(d.write, !t.IsZero())
	return nil
}

func TestADeadlineEndsWithItsMessage(t *testing.T) {
	t.Parallel()
	s := NewServer(ServerConfig{Now: time.Now, Log: slog.New(slog.DiscardHandler), MaxBody: 100})
	d := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	c := &call{w: d, r: httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))}
	if b, err := s.read(c); err != nil || string(b) != "{}" {
		t.Fatalf("%s, %v", b, err)
	}
	c.answer(s, http.StatusOK, []byte("{}"))
	// The connection is used again, and what was read is worked on meanwhile.
	want := []bool{true, false}
	if !slices.Equal(d.read, want) || !slices.Equal(d.write, want) || d.Body.String() != "{}" {
		t.Errorf("reading %v, writing %v, answer %s", d.read, d.write, d.Body)
	}
}

func TestAnAnswerThatNobodyTakesHoldsNoConnection(t *testing.T) {
	t.Parallel()
	s := NewServer(ServerConfig{Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	s.slowest = 100 * time.Millisecond
	ended := make(chan error, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ended <- s.write(&call{w: w, r: r}, http.StatusOK, make([]byte, 64<<20))
	}))
	defer srv.Close()
	d := net.Dialer{}
	conn, err := d.DialContext(t.Context(), "tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("64 MiB went to somebody who reads nothing")
	}
}
