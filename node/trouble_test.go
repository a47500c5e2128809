//go:build unix

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kakehashi/client"
	"kakehashi/internal/fault"
	"kakehashi/store"
)

// troubled is a store that is refused what an engine in trouble refuses.
type troubled struct {
	store.DB
	kind atomic.Pointer[fault.Kind] // nil: all is well
	met  atomic.Int64               // units refused

	mu   sync.Mutex
	hold chan struct{} // units wait for it; nil: none does
	held atomic.Int64
}

const secretPlace = "db.internal:5432/secret"

func (d *troubled) refused() error {
	k := d.kind.Load()
	if k == nil {
		return nil
	}
	d.met.Add(1)
	return store.Refused(k, secretPlace, errors.New("planted"))
}

func (d *troubled) wait() {
	d.mu.Lock()
	hold := d.hold
	d.mu.Unlock()
	if hold != nil {
		d.held.Add(1)
		<-hold
	}
}

func (d *troubled) Update(ctx context.Context, fn func(store.Tx) error) error {
	if err := d.refused(); err != nil {
		return err
	}
	d.wait()
	return d.DB.Update(ctx, fn)
}

func (d *troubled) View(ctx context.Context, fn func(store.Tx) error) error {
	if d.kind.Load() == fault.StoreAway { // the others can still be read
		return d.refused()
	}
	d.wait()
	return d.DB.View(ctx, fn)
}

func (d *troubled) wrap(db store.DB) store.DB { d.DB = db; return d }

// stop holds all units back until the function that it returns is called.
func (d *troubled) stop() (goOn func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	hold := make(chan struct{})
	d.hold = hold
	return sync.OnceFunc(func() {
		d.mu.Lock()
		d.hold = nil
		d.mu.Unlock()
		close(hold)
	})
}

// answered is what a call to a listener got.
type answered struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, method, url, token, lang string) answered {
	t.Helper()
	var body io.Reader
	if method != http.MethodGet && method != http.MethodDelete {
		body = strings.NewReader("{}")
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept-Language", lang)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answered{resp.StatusCode, resp.Header, string(b)}
}

// operations lists what the API offers, with any ids filled in.
func operations(t *testing.T, r running) (out [][2]string) {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	a := ask(t, "GET", r.AdminURL()+"/api/v1/openapi.json", r.APIToken(), "en")
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	for path, methods := range doc.Paths {
		for m := range methods {
			out = append(out, [2]string{strings.ToUpper(m), "/api/v1" + strings.ReplaceAll(path, "{id}", "urn:uuid:x")})
		}
	}
	if len(out) < 20 {
		t.Fatalf("operations: %v", out)
	}
	return out
}

// healthy waits until a node says that it is ready.
func healthy(t *testing.T, r running) {
	t.Helper()
	until := time.Now().Add(waitInTest)
	for {
		a := ask(t, "GET", r.PublicURL()+"/readyz", "", "en")
		if a.status == 200 {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("not ready: %d %s", a.status, a.body)
		}
		<-time.After(50 * time.Millisecond) // nothing tells when the balancer is to ask again
	}
}

// While the store takes nothing, everybody is told so by name, to come back;
// nothing is acknowledged, nothing given up, and all goes on by itself after.
func TestAStoreInTroubleIsNamedAndNothingIsLost(t *testing.T) {
	t.Parallel()
	for _, kind := range []*fault.Kind{fault.StoreAway, fault.StoreFull, fault.StoreReadOnly} {
		t.Run(kind.Code, func(t *testing.T) {
			t.Parallel()
			db := &troubled{}
			heard := &answers{first: make(chan struct{}), of: "/negotiations/"}
			tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
			a, b := tokyo.startWith(t, db.wrap, heard.wrap), brussels.start(t, nil)
			d := publish(t, tokyo, a, []byte("week,cases\n"))
			consumer, provider := b.client(), a.client()
			did := a.participants.All()[0].DID
			before, err := consumer.PartnerCatalog(t.Context(), did) // learns the address
			if err != nil || len(before.Datasets) != 1 {
				t.Fatal(before, err)
			}
			all := operations(t, a)
			healthy(t, a)

			db.kind.Store(kind)
			// The catalogue is refused with the token, which nobody can spend: terms by hand.
			n, err := consumer.Negotiate(t.Context(), client.StartNegotiation{Partner: did, Dataset: d.ID, Offer: d.Offers[0].ID, Policy: d.Offers[0].Policy})
			if err != nil {
				t.Fatal(err)
			}
			<-heard.first
			heard.mu.Lock()
			got := heard.seen[0]
			heard.mu.Unlock()
			if got.Code != 503 || got.Header().Get("Retry-After") == "" || !strings.Contains(got.Body.String(), fault.NotNow.Code) ||
				strings.Contains(got.Body.String(), "secret") || strings.Contains(got.Body.String(), "disk") {
				t.Errorf("a counterpart was answered %d %v %s", got.Code, got.Header(), got.Body)
			}
			refused := 0
			for _, o := range all {
				if kind != fault.StoreAway && o[0] == "GET" || strings.Contains(o[1], "/events") {
					continue // reading goes on
				}
				x := ask(t, o[0], a.AdminURL()+o[1], a.APIToken(), "ja")
				switch {
				case x.status == 503:
					refused++
					if x.header.Get("Retry-After") == "" || !strings.Contains(x.body, kind.Code) && !strings.Contains(x.body, fault.Unavailable.Code) {
						t.Errorf("%s: %d %v %s", o, x.status, x.header, x.body)
					}
				case x.status == 401, x.status >= 500, x.status < 300 && o[0] != "GET":
					t.Errorf("%s: %d %s", o, x.status, x.body)
				}
			}
			if refused == 0 {
				t.Error("nothing was refused for the store")
			}
			if x := ask(t, "GET", a.PublicURL()+"/readyz", "", "en"); x.status != 503 || x.body != kind.Code+"\n" || x.header.Get("Retry-After") == "" {
				t.Errorf("ready? %+v", x)
			}
			for _, at := range []string{a.PublicURL(), a.AdminURL()} {
				if x := ask(t, "GET", at+"/livez", "", "en"); x.status != 200 {
					t.Errorf("alive? %+v", x)
				}
			}
			again(t, consumer, func() { db.kind.Store(nil) })
			if n, err = consumer.AwaitNegotiation(t.Context(), n.ID, "FINALIZED"); err != nil {
				t.Fatal(err)
			}
			if got := onlyNegotiation(t, provider); got != n.PeerID {
				t.Errorf("it has %s, the consumer %s", got, n.PeerID)
			}
			healthy(t, a)
			if db.met.Load() == 0 {
				t.Error("the store was never in trouble")
			}
		})
	}
}

// again waits until a message is to be tried again, mends what was in its way and
// has it tried at once.
func again(t *testing.T, c *client.Client, mend func()) {
	t.Helper()
	until := time.Now().Add(waitInTest)
	for {
		work, err := c.Work(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if len(work.Items) == 1 && work.Items[0].State == "retrying" {
			mend()
			if err := c.RetryWork(t.Context(), work.Items[0].ID); err != nil {
				t.Fatal(err)
			}
			return
		}
		if time.Now().After(until) {
			t.Fatalf("no message is being tried again: %+v", work.Items)
		}
		<-time.After(5 * time.Millisecond) // the list tells nobody when it changes
	}
}

// What a node cannot keep of its own it does not say yes to; what was on its way
// out waits.
func TestOwnWorkWaitsForTheStore(t *testing.T) {
	t.Parallel()
	db := &troubled{}
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	a := tokyo.start(t, nil)
	b := brussels.startWith(t, db.wrap, func(h http.Handler) http.Handler { return h })
	d := publish(t, tokyo, a, []byte("week,cases\n"))
	consumer, did := b.client(), a.participants.All()[0].DID
	agreement := agreed(t, consumer, did, d.ID)
	db.kind.Store(fault.StoreFull)
	if x, err := consumer.StartTransfer(t.Context(), client.StartTransfer{Agreement: agreement, Key: "k"}); !errors.Is(err, fault.StoreFull) {
		t.Fatalf("acknowledged: %+v, %v", x, err)
	}
	if l, err := consumer.Transfers(t.Context(), ""); err != nil || len(l.Items) != 0 {
		t.Fatalf("kept in part: %+v, %v", l, err)
	}
	db.kind.Store(nil)
	x, err := consumer.StartTransfer(t.Context(), client.StartTransfer{Agreement: agreement, Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	reached(t, consumer, x.ID, "STARTED")
	peer := onlyTransfer(t, a.client())
	reached(t, a.client(), peer, "STARTED")
	db.kind.Store(fault.StoreAway) // the provider's next message finds nobody who can keep it
	if _, err := a.client().Suspend(t.Context(), peer, "a while"); err != nil {
		t.Fatal(err)
	}
	for met := db.met.Load(); db.met.Load() == met; { // it was refused at least once
		<-time.After(5 * time.Millisecond)
	}
	db.kind.Store(nil)
	reached(t, consumer, x.ID, "SUSPENDED")
}

// A store that answers nothing holds no caller for longer than the bound, and what
// it did in the end is no second effect.
func TestAStoreThatHangsHoldsNobodyForEver(t *testing.T) {
	t.Parallel()
	db := &troubled{}
	heard := &answers{first: make(chan struct{}), of: "/negotiations/"}
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	tokyo.within, tokyo.settings.OutgoingTimeout = 300*time.Millisecond, time.Second
	a, b := tokyo.startWith(t, db.wrap, heard.wrap), brussels.start(t, nil)
	d := publish(t, tokyo, a, []byte("week,cases\n"))
	consumer, did := b.client(), a.participants.All()[0].DID
	if _, err := consumer.PartnerCatalog(t.Context(), did); err != nil {
		t.Fatal(err)
	}
	goOn := db.stop()
	defer goOn()
	n, err := consumer.Negotiate(t.Context(), client.StartNegotiation{Partner: did, Dataset: d.ID, Offer: d.Offers[0].ID, Policy: d.Offers[0].Policy})
	if err != nil {
		t.Fatal(err)
	}
	<-heard.first
	heard.mu.Lock()
	got := heard.seen[0]
	heard.mu.Unlock()
	if got.Code != 503 || got.Header().Get("Retry-After") == "" || !strings.Contains(got.Body.String(), fault.NotInTime.Code) {
		t.Errorf("a counterpart was answered %d %v %s", got.Code, got.Header(), got.Body)
	}
	for _, o := range [][2]string{{"GET", "/api/v1/transfers"}, {"DELETE", "/api/v1/datasets/x"}} {
		if x := ask(t, o[0], a.AdminURL()+o[1], a.APIToken(), "en"); x.status != 503 || x.header.Get("Retry-After") == "" || !strings.Contains(x.body, fault.NotInTime.Code) {
			t.Errorf("%s: %s", o, x)
		}
	}
	if x := ask(t, "GET", a.PublicURL()+"/livez", "", "en"); x.status != 200 {
		t.Errorf("alive? %+v", x)
	}
	if db.held.Load() == 0 {
		t.Error("nothing hung")
	}
	again(t, consumer, goOn)
	if n, err = consumer.AwaitNegotiation(t.Context(), n.ID, "FINALIZED"); err != nil {
		t.Fatal(err)
	}
	if got := onlyNegotiation(t, a.client()); got != n.PeerID {
		t.Errorf("it has %s, the consumer %s", got, n.PeerID)
	}
}

func (a answered) String() string { return fmt.Sprint(a.status, " ", a.body) }

// Connections that send the head of a request byte by byte, or nothing, are cut;
// others are answered meanwhile.
func TestDribbledHeadsAreCutAndHinderNobody(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "tokyo")
	p.head = time.Second
	a := p.start(t, nil)
	var slow []net.Conn
	for i := range 400 {
		conn, err := net.Dial("tcp", []string{p.settings.Listen, p.settings.AdminListen}[i%2])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i%4 < 2 {
			if _, err := io.WriteString(conn, "GET /api/v1/node HTTP/1.1\r\nHo"); err != nil {
				t.Fatal(err)
			}
		}
		slow = append(slow, conn)
	}
	began := time.Now()
	for _, at := range []string{a.PublicURL(), a.AdminURL()} {
		if x := ask(t, "GET", at+"/readyz", "", "en"); x.status != 200 || time.Since(began) > p.head {
			t.Errorf("others are held up: %v after %v", x, time.Since(began))
		}
	}
	for _, conn := range slow {
		if err := conn.SetReadDeadline(began.Add(waitInTest)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a connection that dribbles is kept")
		}
	}
	if took := time.Since(began); took > waitInTest/2 {
		t.Errorf("they were kept for %v", took)
	}
}
