package bound

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kakehashi/internal/fault"
)

func refuse(w http.ResponseWriter, _ *http.Request, err error) {
	http.Error(w, fault.Of(err).Kind.Code, fault.Of(err).Kind.Status)
}

func get(h http.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	return w
}

func TestWhatIsLateIsAnsweredAndEndsByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		free, wrote := make(chan struct{}), make(chan error, 1)
		var stuck atomic.Bool
		stuck.Store(true)
		h := Requests{Within: time.Minute, Most: 1, Refuse: refuse}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Of", "handler")
			if !stuck.Load() {
				w.WriteHeader(201)
				return
			}
			<-free
			if context.Cause(r.Context()) != ErrLate {
				t.Errorf("the request ended with %v", context.Cause(r.Context()))
			}
			_, err := w.Write([]byte("too late"))
			wrote <- err
		}))
		began := time.Now()
		w := get(h)
		if took := time.Since(began); w.Code != 503 || took != time.Minute || w.Header().Get("Of") != "" || w.Body.String() != "not-in-time\n" {
			t.Errorf("late: %d %q after %v, %v", w.Code, w.Body, took, w.Header())
		}
		if w := get(h); w.Code != 503 || w.Body.String() != "too-busy\n" {
			t.Errorf("one too many: %d %q", w.Code, w.Body)
		}
		stuck.Store(false)
		close(free)
		if err := <-wrote; !errors.Is(err, http.ErrHandlerTimeout) {
			t.Errorf("the late answer was taken: %v", err)
		}
		synctest.Wait()
		if w := get(h); w.Code != 201 || w.Header().Get("Of") != "handler" {
			t.Errorf("afterwards: %d %v", w.Code, w.Header())
		}
	})
}

func TestWhatHasBegunIsNotCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := Requests{Within: time.Second, Extra: func(*http.Request) time.Duration { return time.Minute }, Refuse: refuse}.Handler(
			http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Minute) // it wished to wait so long
				w.(http.Flusher).Flush()
				time.Sleep(time.Hour)
				if r.Context().Err() != nil {
					t.Error("a stream was cut")
				}
				if _, err := w.Write([]byte("end")); err != nil {
					t.Error(err)
				}
			}))
		if w := get(h); w.Code != 200 || w.Body.String() != "end" {
			t.Errorf("got %d %q", w.Code, w.Body)
		}
	})
}

func TestAPanicIsTheServers(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("the panic did not come through")
		}
	}()
	get(Requests{Refuse: refuse}.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })))
}

func TestABodyHasATimeOfItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, dribble := io.Pipe()
		go func() {
			time.Sleep(10 * time.Second)
			dribble.Close()
		}()
		h := Requests{Within: time.Second, Body: 30 * time.Second, Refuse: refuse}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := io.ReadAll(r.Body); err != nil {
				t.Error(err)
			}
			<-r.Context().Done()
		}))
		w := httptest.NewRecorder()
		began := time.Now()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/", r))
		if took := time.Since(began); w.Code != 503 || took != 11*time.Second {
			t.Errorf("%d after %v, want 503 a second after the body", w.Code, took)
		}
	})
}

// One connection too many ends the one that waited longest, and never one whose
// request is worked on.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	const most = 3
	conns := NewConnections(most)
	hold, held := make(chan struct{}), make(chan struct{}, most)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			held <- struct{}{}
			<-hold
		}
	}))
	conns.Serve(server.Config, nil)
	idles, note := make(chan struct{}, 8), server.Config.ConnState
	server.Config.ConnState = func(c net.Conn, s http.ConnState) {
		note(c, s)
		if s == http.StateIdle {
			idles <- struct{}{}
		}
	}
	server.Start()
	defer server.Close()
	dial := func(path string) net.Conn {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return c
	}
	answered := func(c net.Conn) bool {
		b := make([]byte, 12)
		_, err := io.ReadFull(c, b)
		return err == nil && string(b) == "HTTP/1.1 200"
	}
	drained := func(c net.Conn) bool { // it was closed, with or without an answer before
		_, err := io.Copy(io.Discard, c)
		var late net.Error
		return !errors.As(err, &late) || !late.Timeout()
	}
	dial("/hold")
	<-held
	idle := dial("/")
	if !answered(idle) {
		t.Fatal("no answer")
	}
	<-idles
	dial("/hold")
	<-held
	dial("/hold") // the idle one makes room
	<-held
	if !drained(idle) {
		t.Error("the idle connection was kept")
	}
	if c := dial("/"); !drained(c) { // all are at work
		t.Error("one too many was taken")
	}
	if n := conns.Open(); n != most {
		t.Errorf("%d open, want %d", n, most)
	}
	close(hold)
}

func TestADribbledBodyEndsInTime(t *testing.T) {
	t.Parallel()
	got := make(chan error, 1)
	server := httptest.NewServer(Requests{Body: 100 * time.Millisecond, Refuse: refuse}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		got <- err
	})))
	defer server.Close()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nslow"); err != nil {
		t.Fatal(err)
	}
	if err := <-got; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading it ended with %v", err)
	}
}
