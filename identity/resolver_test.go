package identity_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kakehashi/did"
	"kakehashi/identity"
	"kakehashi/internal/fault"
)

// site serves DID documents on loopback; its clock is the resolver's.
type site struct {
	t      *testing.T
	server *httptest.Server
	did    string
	hits   atomic.Int32
	mu     sync.Mutex
	now    time.Time
	answer http.HandlerFunc
}

func newSite(t *testing.T) (*site, *identity.WebResolver) {
	t.Helper()
	s := &site{t: t, now: start}
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.hits.Add(1)
		s.mu.Lock()
		answer := s.answer
		s.mu.Unlock()
		if answer == nil {
			answer = s.document
		}
		answer(w, r)
	}))
	t.Cleanup(s.server.Close)
	var err error
	if s.did, err = did.FromURL(s.server.URL, true); err != nil {
		t.Fatal(err)
	}
	return s, identity.NewWebResolver(identity.WebConfig{HTTP: s.server.Client(), Dev: true, Now: s.clock})
}

func (s *site) clock() time.Time { s.mu.Lock(); defer s.mu.Unlock(); return s.now }

func (s *site) pass(d time.Duration) { s.mu.Lock(); defer s.mu.Unlock(); s.now = s.now.Add(d) }

func (s *site) set(h http.HandlerFunc) { s.mu.Lock(); defer s.mu.Unlock(); s.answer = h }

// document answers with the document of the DID that belongs to the address.
func (s *site) document(w http.ResponseWriter, r *http.Request) {
	name, err := did.FromURL("http://"+r.Host+r.URL.EscapedPath(), true)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	fmt.Fprintf(w, `{"id":%q}`, name)
}

func (s *site) asked(want int32) {
	s.t.Helper()
	if got := s.hits.Load(); got != want {
		s.t.Errorf("the site was asked %d times, want %d", got, want)
	}
}

func TestADocumentIsKeptForFiveMinutesAndAFailureForSeconds(t *testing.T) {
	t.Parallel()
	s, r := newSite(t)
	resolve := func() error { _, err := r.Resolve(t.Context(), s.did); return err }
	s.set(http.NotFound)
	for range 3 {
		if err := resolve(); !errors.Is(err, fault.DIDUnresolved) {
			t.Fatalf("not there: %v", err)
		}
	}
	s.asked(1)
	s.set(nil)
	s.pass(3 * time.Second)
	for range 3 {
		if err := resolve(); err != nil {
			t.Fatal(err)
		}
	}
	s.asked(2)
	s.pass(5*time.Minute - time.Nanosecond)
	if err := resolve(); err != nil {
		t.Fatal(err)
	}
	s.asked(2)
	s.pass(time.Nanosecond)
	s.set(http.NotFound)
	if err := resolve(); !errors.Is(err, fault.DIDUnresolved) {
		t.Errorf("a document is used past its time: %v", err)
	}
	s.asked(3)
}

func TestLookingAgainIsRare(t *testing.T) {
	t.Parallel()
	s, r := newSite(t)
	refresh := func() error { _, err := r.Refresh(t.Context(), s.did); return err }
	if _, err := r.Resolve(t.Context(), s.did); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := refresh(); err != nil {
			t.Fatal(err)
		}
	}
	s.asked(1)
	s.pass(10 * time.Second)
	for range 5 {
		if err := refresh(); err != nil {
			t.Fatal(err)
		}
	}
	s.asked(2)
	// While the site fails, the kept document stands and is not asked for more often.
	s.pass(10 * time.Second)
	s.set(http.NotFound)
	for range 5 {
		if err := refresh(); err != nil {
			t.Errorf("the kept document was lost: %v", err)
		}
	}
	s.asked(3)
}

func TestManyWhoWaitForOneDocumentAskOnce(t *testing.T) {
	t.Parallel()
	s, r := newSite(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	s.set(func(w http.ResponseWriter, q *http.Request) {
		close(arrived)
		<-release
		s.document(w, q)
	})
	// The first who asks goes away; the others must get the document all the same.
	gone, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := r.Resolve(gone, s.did); first <- err }()
	<-arrived
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("who went away got %v", err)
	}
	errs := make([]error, 20)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = r.Resolve(t.Context(), s.did) })
	}
	close(release)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	s.asked(1)
}

func TestMemoryOfDocumentsIsBounded(t *testing.T) {
	t.Parallel()
	s, r := newSite(t)
	name := func(i int) string { return fmt.Sprintf("%s:p:n%d", s.did, i) }
	for i := range 1001 {
		if _, err := r.Resolve(t.Context(), name(i)); err != nil {
			t.Fatal(err)
		}
		// What is in use stays.
		if _, err := r.Resolve(t.Context(), name(0)); err != nil {
			t.Fatal(err)
		}
	}
	s.asked(1001)
	if _, err := r.Resolve(t.Context(), name(1)); err != nil {
		t.Fatal(err)
	}
	s.asked(1002)
}

func TestDocumentsThatAreNotTaken(t *testing.T) {
	t.Parallel()
	text := func(f string, a ...any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, f, a...) }
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   *fault.Kind
	}{
		"another's":     {text(`{"id":"did:web:b.example"}`), fault.DIDDocument},
		"no JSON":       {text(`<html>`), fault.DIDDocument},
		"too large":     {text(`{"id":"%s"}`, strings.Repeat("x", did.MaxDocument)), fault.DIDUnresolved},
		"an error page": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }, fault.DIDUnresolved},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere/did.json", http.StatusFound)
		}, fault.DIDUnresolved},
		"broken off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		}, fault.DIDUnresolved},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, r := newSite(t)
			s.set(c.answer)
			if doc, err := r.Resolve(t.Context(), s.did); !errors.Is(err, c.want) {
				t.Errorf("got %+v, %v", doc, err)
			}
			s.asked(1)
		})
	}
	s, r := newSite(t)
	if _, err := r.Resolve(t.Context(), "did:key:x"); !errors.Is(err, fault.DIDInvalid) {
		t.Errorf("another method: %v", err)
	}
	s.server.Close()
	if _, err := r.Resolve(t.Context(), s.did); !errors.Is(err, fault.DIDUnresolved) {
		t.Errorf("nobody there: %v", err)
	}
	// Without dev a loopback host is asked over TLS, which this one lacks.
	plain, _ := newSite(t)
	strict := identity.NewWebResolver(identity.WebConfig{HTTP: plain.server.Client()})
	if _, err := strict.Resolve(t.Context(), plain.did); !errors.Is(err, fault.DIDUnresolved) {
		t.Errorf("plain HTTP without dev: %v", err)
	}
	plain.asked(0)
}

func TestHostedParticipantsResolveWithoutHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	refuse := &http.Client{Transport: noHTTP{}}
	r := identity.NewWebResolver(identity.WebConfig{HTTP: refuse, Participants: w.hosts})
	for range 2 {
		doc, err := r.Resolve(t.Context(), tokyoDID)
		if err != nil {
			t.Fatal(err)
		}
		if doc.Endpoint(did.KakehashiNode) != "https://tokyo.example/kh/tokyo/1" || doc.Endpoint(did.CatalogService) != "https://tokyo.example/dsp/tokyo/2025-1/catalog" {
			t.Errorf("services %+v", doc.Services)
		}
		if _, err := r.Refresh(t.Context(), tokyoDID); err != nil {
			t.Error(err)
		}
	}
	if _, err := r.Resolve(t.Context(), "did:web:stranger.example"); !errors.Is(err, fault.DIDUnresolved) {
		t.Errorf("a stranger: %v", err)
	}
}

type noHTTP struct{}

func (noHTTP) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no HTTP in this test")
}
