package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/singleflight"

	"kakehashi/did"
	"kakehashi/internal/fault"
	"kakehashi/internal/recent"
	"kakehashi/internal/strictjson"
	"kakehashi/participant"
)

const (
	keepDocument = 5 * time.Minute
	keepFailure  = 3 * time.Second
	refreshEvery = 10 * time.Second
	fetchTimeout = 10 * time.Second
	maxCached    = 1000
	maxFetches   = 32 // at a time, over all DIDs
)

// WebConfig is what a WebResolver needs. HTTP is the guarded client for
// addresses that others name; it is copied and follows no redirect. Documents of
// Participants, who may be nil, are built here without HTTP. Dev allows http for
// loopback hosts. A nil Now is time.Now.
type WebConfig struct {
	HTTP         *http.Client
	Participants *participant.Room
	Dev          bool
	Now          func() time.Time
}

// WebResolver resolves did:web over HTTPS, and did:key and did:jwk by themselves.
// It keeps a document for 5 minutes and a failure for 3 seconds, 1,000 of each at
// most, and asks for one DID once at a time, however many wait for it.
type WebResolver struct {
	http   *http.Client
	hosted *participant.Room
	dev    bool
	now    func() time.Time

	flight  singleflight.Group
	fetches chan struct{}

	found    *recent.Of[string, found]
	failures *recent.Of[string, failure]
}

type found struct {
	doc   did.Document
	until time.Time
	asked time.Time // when it was last asked for, with or without success
}

type failure struct {
	err   error
	until time.Time
}

// NewWebResolver makes a resolver with an empty memory.
func NewWebResolver(c WebConfig) *WebResolver {
	h := http.Client{}
	if c.HTTP != nil {
		h = *c.HTTP
	}
	h.Jar = nil
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	w := &WebResolver{
		http: &h, hosted: c.Participants, dev: c.Dev, now: c.Now,
		fetches:  make(chan struct{}, maxFetches),
		found:    recent.New[string, found](maxCached / 2),
		failures: recent.New[string, failure](maxCached / 2),
	}
	if w.now == nil {
		w.now = time.Now
	}
	return w
}

// Resolve gives the document of a DID. The error is fault.DIDInvalid,
// fault.DIDUnresolved, fault.DIDDocument or that of ctx.
func (w *WebResolver) Resolve(ctx context.Context, name string) (did.Document, error) {
	now := w.now()
	if f, ok := w.found.Get(name); ok && now.Before(f.until) {
		return f.doc, nil
	}
	if f, ok := w.failures.Get(name); ok && now.Before(f.until) {
		return did.Document{}, f.err
	}
	return w.ask(ctx, name)
}

// Refresh is Resolve past the memory, for a key that the kept document does not
// have: it asks again at most once in 10 seconds for one DID, and gives the kept
// document in between and when asking fails.
func (w *WebResolver) Refresh(ctx context.Context, name string) (did.Document, error) {
	kept, ok := w.found.Get(name)
	now := w.now()
	ok = ok && now.Before(kept.until)
	if ok && kept.settled(now) {
		return kept.doc, nil
	}
	doc, err := w.ask(ctx, name)
	if err != nil && ok && ctx.Err() == nil {
		return kept.doc, nil
	}
	return doc, err
}

// settled tells that asking again so soon would be once too often.
func (f found) settled(now time.Time) bool { return now.Sub(f.asked) < refreshEvery }

// ask fetches, together with all who ask for the same name.
func (w *WebResolver) ask(ctx context.Context, name string) (did.Document, error) {
	if doc, ok, err := did.Local(name); ok {
		return doc, err
	}
	if doc, ok, err := w.own(name); ok || err != nil {
		return doc, err
	}
	address, err := did.WebURL(name, w.dev)
	if err != nil {
		return did.Document{}, err
	}
	// The first caller's going away must not fail the others.
	shared := w.flight.DoChan(name, func() (any, error) {
		// Another flight may have landed since the caller looked.
		f, ok := w.found.Get(name)
		if now := w.now(); ok && now.Before(f.until) && f.settled(now) {
			return f.doc, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		doc, err := w.fetch(ctx, name, address)
		w.keep(name, doc, err)
		return doc, err
	})
	select {
	case <-ctx.Done():
		return did.Document{}, fmt.Errorf("resolve %s: %w", name, ctx.Err())
	case got := <-shared:
		doc, _ := got.Val.(did.Document)
		return doc, got.Err
	}
}

func (w *WebResolver) keep(name string, doc did.Document, err error) {
	now := w.now()
	if err != nil {
		if f, ok := w.found.Get(name); ok && now.Before(f.until) {
			f.asked = now
			w.found.Put(name, f)
			return
		}
		w.failures.Put(name, failure{err: err, until: now.Add(keepFailure)})
		return
	}
	w.failures.Forget(name)
	w.found.Put(name, found{doc: doc, until: now.Add(keepDocument), asked: now})
}

// Forget drops what is kept of a name, after a key of ours was rotated.
func (w *WebResolver) Forget(name string) { w.found.Forget(name) }

// own builds the document of a hosted participant.
func (w *WebResolver) own(name string) (did.Document, bool, error) {
	if w.hosted == nil {
		return did.Document{}, false, nil
	}
	p, ok := w.hosted.ByDID(name)
	if !ok {
		return did.Document{}, false, nil
	}
	doc, err := Document(w.hosted, p.ID)
	if err != nil {
		return did.Document{}, false, err
	}
	w.keep(name, doc, nil)
	return doc, true, nil
}

func (w *WebResolver) fetch(ctx context.Context, name, address string) (did.Document, error) {
	unresolved := func(reason string, cause error) (did.Document, error) {
		e := fault.DIDUnresolved.At(address, "did", name, "reason", reason)
		if cause != nil {
			e = e.Because(cause)
		}
		return did.Document{}, e
	}
	select {
	case w.fetches <- struct{}{}:
		defer func() { <-w.fetches }()
	case <-ctx.Done():
		return unresolved("too many others are being asked for", ctx.Err())
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return unresolved("its address cannot be used", err)
	}
	req.Header.Set("Accept", "application/did+json, application/did+ld+json, application/json")
	resp, err := w.http.Do(req)
	if err != nil {
		return unresolved("its address does not answer", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return unresolved(fmt.Sprintf("its address answers %d", resp.StatusCode), nil)
	}
	b, err := strictjson.Read(resp.Body, did.MaxDocument)
	if errors.Is(err, strictjson.ErrTooLarge) {
		return unresolved("the document is larger than 256 KiB", nil)
	}
	if err != nil {
		return unresolved("its address breaks off", err)
	}
	doc, err := did.Parse(b)
	if err != nil {
		return did.Document{}, err
	}
	if doc.ID != name {
		return did.Document{}, fault.DIDDocument.At("/id", "did", name, "reason", "it is the document of another DID")
	}
	return doc, nil
}
