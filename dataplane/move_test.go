package dataplane

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/store"
)

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// grant opens one of a way.
func (r *rig) grant(way Way, source string) (a Access) {
	r.t.Helper()
	r.update(func(tx store.Tx) (err error) {
		a, err = r.plane.Open(tx, Grant{Participant: tokyo, Transfer: "urn:t", Agreement: "urn:a", Counterparty: "did:web:b",
			Dataset: "urn:d", Format: "HttpData-PUSH", Way: way, Source: []byte(source)})
		return err
	})
	return a
}

// deliver sends a body to a grant and gives status, code and the digest that the
// answer names.
func (r *rig) deliver(method string, a Access, body io.Reader, header ...string) (status int, said, digest string) {
	r.t.Helper()
	q, err := http.NewRequest(method, a.Address, body)
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+a.Token)
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	res, err := r.server.Client().Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(b), announced(res.Header)
}

// kept are the files in the folder of what was received.
func (r *rig) kept() []string {
	r.t.Helper()
	all, err := filepath.Glob(filepath.Join(r.config.Folder, "*"))
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

func TestABodyIsReceivedOnce(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"POST", "PUT"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.server.Start()
			a := r.grant(WayReceive, "")
			content := bytes.Repeat([]byte("0123456789"), 50_000)
			// Without a length, so that the body goes in chunks.
			status, said, digest := r.deliver(method, a, io.MultiReader(bytes.NewReader(content)))
			if status != 204 || digest != digestOf(content) {
				t.Fatalf("got %d %s %s", status, digest, said)
			}
			m := <-r.moved
			got, err := os.ReadFile(m.File)
			if err != nil || !bytes.Equal(got, content) || m.Bytes != 500_000 || m.Digest != digestOf(content) || m.File != filepath.Join(r.config.Folder, a.Grant) {
				t.Fatalf("%d bytes are kept as %+v, %v", len(got), m, err)
			}
			if found := r.leaves.of("kh.plane.received"); len(found) != 1 || found[0].Hashes["payload"] != m.Digest || found[0].Facts["bytes"] != "500000" {
				t.Errorf("on record: %+v", found)
			}
			status, said, _ = r.deliver(method, a, strings.NewReader("something else"))
			if status != 409 || !strings.Contains(said, `"already-received"`) || !strings.Contains(said, m.Digest) {
				t.Errorf("a second body: %d %s", status, said)
			}
			if again, err := os.ReadFile(m.File); err != nil || !bytes.Equal(again, content) || len(r.kept()) != 1 {
				t.Errorf("the second body changed what is kept: %v, %v", r.kept(), err)
			}
		})
	}
}

func TestABodyThatIsRefusedLeavesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Start()
	a := r.grant(WayReceive, "")
	other := r.grant(WayReceive, "")
	pull := r.open("")
	with := func(a Access, token string) Access { a.Token = token; return a }
	below := a
	below.Address += "x"
	for _, c := range []struct {
		name, method string
		to           Access
		body         io.Reader
		header       []string
		status       int
		code         string
	}{
		{"token of another grant", "POST", with(a, other.Token), strings.NewReader("x"), nil, 401, "grant-unknown"},
		{"no token", "POST", with(a, ""), strings.NewReader("x"), nil, 401, "token-missing"},
		{"fetched", "GET", a, nil, nil, 405, "method-not-allowed"},
		{"below the address", "POST", below, strings.NewReader("x"), nil, 404, "not-found"},
		{"too large", "POST", a, bytes.NewReader(make([]byte, 1<<20+1)), nil, 413, "received-too-large"},
		{"too large, in chunks", "POST", a, io.MultiReader(bytes.NewReader(make([]byte, 1<<20+1))), nil, 413, "received-too-large"},
		{"another digest", "POST", a, strings.NewReader("x"), []string{"Repr-Digest", reprDigest(digestOf([]byte("y")))}, 400, "received-other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, said, _ := r.deliver(c.method, c.to, c.body, c.header...)
			if status != c.status || !strings.Contains(said, `"`+c.code+`"`) {
				t.Errorf("got %d %s", status, said)
			}
		})
	}
	if status, said, _ := r.deliver("POST", pull, strings.NewReader("x")); status == 204 {
		t.Errorf("a pull took a body: %s", said)
	}
	r.stop(other)
	if status, said, _ := r.deliver("POST", other, strings.NewReader("x")); status != 403 || !strings.Contains(said, "grant-closed") {
		t.Errorf("after the end: %d %s", status, said)
	}
	if len(r.kept()) != 0 || len(r.moved) != 0 {
		t.Errorf("left behind: %v, %d on record", r.kept(), len(r.moved))
	}
	if status, said, _ := r.deliver("POST", a, strings.NewReader("x"), "Repr-Digest", reprDigest(digestOf([]byte("x")))); status != 204 {
		t.Errorf("the right body after all: %d %s", status, said)
	}
}

// A sender that breaks off, and a grant that is cut while the body comes.
func TestAPartIsNeverTakenForTheWhole(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		end  func(*rig, Access, net.Conn)
	}{
		{"the sender goes", func(_ *rig, _ Access, c net.Conn) { c.Close() }},
		{"the transfer ends", func(r *rig, a Access, _ net.Conn) { r.stop(a) }},
		{"the transfer is suspended", func(r *rig, a Access, _ net.Conn) {
			r.update(func(tx store.Tx) error { return r.plane.Suspend(tx, tokyo, a.Grant, "a pause") })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.server.Start()
			a := r.grant(WayReceive, "")
			conn, err := net.Dial("tcp", r.server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			path := strings.TrimPrefix(a.Address, r.server.URL)
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n", path, a.Token)
			b := make([]byte, 64)
			if n, err := conn.Read(b); err != nil || !strings.Contains(string(b[:n]), "100") {
				t.Fatalf("not asked to go on: %q, %v", b[:n], err)
			}
			if _, err := conn.Write([]byte("half")); err != nil {
				t.Fatal(err)
			}
			c.end(r, a, conn)
			_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			if n, err := conn.Read(b); err == nil && strings.HasPrefix(string(b[:n]), "HTTP/1.1 2") {
				t.Errorf("half a body was answered with %q", b[:n])
			}
			ctx, done := context.WithTimeout(t.Context(), 5*time.Second)
			defer done()
			if err := r.plane.Close(ctx); err != nil { // waits for the session to end
				t.Fatal(err)
			}
			if len(r.kept()) != 0 || len(r.moved) != 0 {
				t.Errorf("kept: %v", r.kept())
			}
		})
	}
}

func TestPartsThatACrashLeftAreRemoved(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Start()
	if err := os.MkdirAll(r.config.Folder, 0o700); err != nil {
		t.Fatal(err)
	}
	part, whole := filepath.Join(r.config.Folder, "a.1"+partOf), filepath.Join(r.config.Folder, "b")
	for _, f := range []string{part, whole} {
		if err := os.WriteFile(f, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := New(t.Context(), r.config); err != nil {
		t.Fatal(err)
	}
	if got := r.kept(); len(got) != 1 || got[0] != whole {
		t.Errorf("left: %v", got)
	}
}

// servePush answers as the grant's source says.
func (r *rig) servePush(w http.ResponseWriter, q *http.Request, s *Session) {
	switch string(s.Source) {
	case "gone":
		Refuse(w, q, fault.SourceGone.At("", "dataset", "urn:d"))
	case "short":
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("only this"))
	case "panic":
		panic("a service's mistake")
	case "empty":
	case "endless":
		for s.Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	default:
		s.Payload(digestOf([]byte(s.Source)))
		w.Header().Set("Content-Type", "text/csv")
		w.Header().Set("Content-Length", fmt.Sprint(len(s.Source)))
		_, _ = w.Write(s.Source)
	}
}

func TestAPushSendsTheBodyAsItIsServed(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"a,b\n1,2\n", strings.Repeat("0123456789", 20_000), "empty"} {
		r := newRig(t)
		r.server.Start()
		body := []byte(content)
		if content == "empty" {
			body = nil
		}
		var got []byte
		var head http.Header
		to := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
			got, _ = io.ReadAll(q.Body)
			head = q.Header
		}))
		t.Cleanup(to.Close)
		a := r.grant(WayPush, content)
		m, err := r.plane.Push(t.Context(), tokyo, a.Grant, Target{URL: to.URL + "/in", Method: "PUT", Header: http.Header{"X-Key": {"secret"}}})
		if err != nil || m.Bytes != int64(len(body)) || m.Digest != digestOf(body) || !bytes.Equal(got, body) {
			t.Fatalf("%d bytes arrived of %d: %+v, %v", len(got), len(body), m, err)
		}
		if head.Get("X-Key") != "secret" || body != nil && head.Get("Content-Type") != "text/csv" {
			t.Errorf("it came with %v", head)
		}
		if err := r.plane.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if found := r.leaves.of("kh.plane.window"); len(found) != 1 || found[0].Facts["bytes"] != fmt.Sprint(len(body)) || found[0].Hashes["payload"] != m.Digest {
			t.Errorf("on record: %+v", found)
		}
		if status, _ := r.get(a, ""); status != 401 {
			t.Errorf("the grant of a push can be fetched from: %d", status)
		}
	}
}

// Between two planes: a repeat whose answer was lost counts as sent.
func TestAPushThatArrivedBeforeCountsAsSent(t *testing.T) {
	t.Parallel()
	r, other := newRig(t), newRig(t)
	r.server.Start()
	other.server.Start()
	from, into := r.grant(WayPush, "the file"), other.grant(WayReceive, "")
	to := Target{URL: into.Address, Method: "POST", Header: http.Header{"Authorization": {"Bearer " + into.Token}}}
	for range 2 {
		if m, err := r.plane.Push(t.Context(), tokyo, from.Grant, to); err != nil || m.Bytes != 8 || m.Digest != digestOf([]byte("the file")) {
			t.Fatalf("got %+v, %v", m, err)
		}
	}
	if len(other.kept()) != 1 {
		t.Errorf("kept: %v", other.kept())
	}
	if _, err := r.plane.Push(t.Context(), tokyo, r.grant(WayPush, "another").Grant, to); !errors.Is(err, fault.PushRefused) || fault.Of(err).Args["status"] != "409" {
		t.Errorf("another body to the same address: %v", err)
	}
}

func TestWhatEndsAPush(t *testing.T) {
	t.Parallel()
	answer := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	for _, c := range []struct {
		name, source string
		to           http.HandlerFunc // nil: nobody listens
		want         *fault.Kind
		status       string
	}{
		{"the receiver does not know the address", "x", answer(404), fault.PushRefused, "404"},
		{"the receiver is out of order", "x", answer(503), fault.PushRefused, "503"},
		{"a redirect is not followed by the guarded client, and no success", "x", answer(304), fault.PushRefused, "304"},
		{"nobody listens", "x", nil, fault.PushBroken, ""},
		{"the source is gone", "gone", answer(200), fault.PushUnserved, "410"},
		{"the source breaks off", "short", answer(200), fault.PushBroken, ""},
		{"the service fails", "panic", answer(200), fault.PushUnserved, "500"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.server.Start()
			to := httptest.NewServer(c.to)
			defer to.Close()
			if c.to == nil {
				to.Close()
			}
			_, err := r.plane.Push(t.Context(), tokyo, r.grant(WayPush, c.source).Grant, Target{URL: to.URL, Method: "POST"})
			if !errors.Is(err, c.want) || fault.Of(err).Args["status"] != c.status {
				t.Errorf("got %v", err)
			}
			if err != nil && strings.Contains(err.Error(), to.URL) {
				t.Errorf("the error names the address: %v", err)
			}
		})
	}
}

func TestAPushIsCutWithItsGrant(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		cut  func(*rig, Access)
		want *fault.Kind
	}{
		{"ended", (*rig).stop, fault.GrantClosed},
		{"suspended", func(r *rig, a Access) {
			r.update(func(tx store.Tx) error { return r.plane.Suspend(tx, tokyo, a.Grant, "a pause") })
		}, fault.GrantSuspended},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.server.Start()
			arrives, broke := make(chan struct{}), make(chan error, 1)
			to := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
				if _, err := io.ReadFull(q.Body, make([]byte, 1<<10)); err != nil {
					t.Error(err)
				}
				close(arrives)
				_, err := io.Copy(io.Discard, q.Body)
				broke <- err
			}))
			defer to.Close()
			a := r.grant(WayPush, "endless")
			done := make(chan error, 1)
			go func() {
				_, err := r.plane.Push(context.WithoutCancel(t.Context()), tokyo, a.Grant, Target{URL: to.URL, Method: "POST"})
				done <- err
			}()
			<-arrives
			c.cut(r, a)
			if err := <-done; !errors.Is(err, c.want) {
				t.Errorf("the push ended with %v", err)
			}
			if err := <-broke; err == nil {
				t.Error("the receiver takes a part for the whole")
			}
			if _, err := r.plane.Push(t.Context(), tokyo, a.Grant, Target{URL: to.URL, Method: "POST"}); !errors.Is(err, c.want) {
				t.Errorf("once more: %v", err)
			}
		})
	}
}

// A service that takes bodies itself gets the whole one, and no file is made.
func TestAServiceReceives(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.server.Start()
	took := make(chan string, 1)
	r.config.Formats = append(r.config.Formats, Format{Service: "inbox", Name: "Inbox-PUSH",
		Receive: func(ctx context.Context, s *Session, h http.Header, body io.Reader) error {
			b, err := io.ReadAll(io.LimitReader(body, 5)) // the plane reads on to the end
			if h.Get("Content-Type") == "text/none" {
				return fault.BadMessage.At("", "reason", "not that")
			}
			took <- string(b)
			return err
		}})
	var err error
	if r.plane, err = New(t.Context(), r.config); err != nil {
		t.Fatal(err)
	}
	var a Access
	r.update(func(tx store.Tx) error {
		a, err = r.plane.Open(tx, Grant{Participant: tokyo, Transfer: "urn:t", Agreement: "urn:a", Counterparty: "did:web:b", Format: "Inbox-PUSH", Way: WayReceive})
		return err
	})
	if status, said, _ := r.deliver("POST", a, strings.NewReader("x"), "Content-Type", "text/none"); status != 400 || len(r.moved) != 0 {
		t.Errorf("what the service refuses: %d %s", status, said)
	}
	if status, said, digest := r.deliver("POST", a, strings.NewReader("first and the rest")); status != 204 || digest != digestOf([]byte("first and the rest")) {
		t.Fatalf("got %d %s", status, said)
	}
	if m := <-r.moved; <-took != "first" || m.File != "" || m.Bytes != 18 || len(r.kept()) != 0 {
		t.Errorf("got %+v, files %v", m, r.kept())
	}
}

// A sender that falls silent in the middle of its body is told so, and its grant
// takes the next try.
func TestABodyThatStallsIsEnded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.plane.stalled = 200 * time.Millisecond
	r.server.Start()
	a := r.grant(WayReceive, "")
	body, send := io.Pipe()
	go func() { _, _ = send.Write([]byte("half of ")) }()
	status, said, _ := r.deliver("POST", a, body)
	if status < 400 || status >= 500 || !strings.Contains(said, `"`+fault.ReceivedPart.Code+`"`) {
		t.Errorf("a body that stalls: %d %s", status, said)
	}
	if len(r.kept()) != 0 {
		t.Errorf("kept: %v", r.kept())
	}
	if status, said, _ := r.deliver("POST", a, strings.NewReader("the whole")); status != 204 {
		t.Errorf("the next try: %d %s", status, said)
	}
	<-r.moved
}
