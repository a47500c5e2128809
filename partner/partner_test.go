package partner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kakehashi/did"
	"kakehashi/internal/fault"
	"kakehashi/internal/guard"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

const tokyo = "tokyo"

// peer is a connector on loopback that serves the documents of a test.
type peer struct {
	*httptest.Server
	docs  map[string]string // path -> body; %s stands for the peer's address
	calls atomic.Int64
}

func newPeer(t *testing.T, docs map[string]string) *peer {
	t.Helper()
	p := &peer{docs: docs}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.calls.Add(1)
		body, ok := p.docs[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, p.fill(body))
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *peer) fill(s string) string {
	return strings.NewReplacer("{url}", p.URL, "{did}", p.did()).Replace(s)
}

// did is the name of the peer's host.
func (p *peer) did() string {
	return "did:web:" + strings.Replace(strings.TrimPrefix(p.URL, "http://"), ":", "%3A", 1)
}

// fetched resolves did:web over the test's own HTTP, without identity.
type fetched struct{ http *http.Client }

func (f fetched) Resolve(ctx context.Context, name string) (did.Document, error) {
	at, err := did.WebURL(name, true)
	if err != nil {
		return did.Document{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return did.Document{}, err
	}
	resp, err := f.http.Do(req)
	if err != nil {
		return did.Document{}, fault.DIDUnresolved.At("", "did", name, "reason", "no answer").Because(err)
	}
	b, err := guard.Read(resp, 1<<20)
	if err != nil || resp.StatusCode != http.StatusOK {
		return did.Document{}, fault.DIDUnresolved.At("", "did", name, "reason", resp.Status)
	}
	doc, err := did.Parse(b)
	if err == nil && doc.ID != name {
		err = fault.DIDDocument.At("", "did", name, "reason", "of another")
	}
	return doc, err
}

func room(t *testing.T, db store.DB, now func() time.Time) *Room {
	t.Helper()
	g := guard.New(guard.Config{Dev: true, Timeout: 5 * time.Second})
	t.Cleanup(g.Close)
	r, err := Open(Config{DB: db, HTTP: g.HTTP(), Resolver: fetched{g.HTTP()}, Now: now, Dev: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
	return r
}

func document(id string, services ...string) string {
	var all []map[string]string
	for i := 0; i+1 < len(services); i += 2 {
		all = append(all, map[string]string{"id": fmt.Sprintf("%s#s%d", id, i), "type": services[i], "serviceEndpoint": services[i+1]})
	}
	b, _ := json.Marshal(map[string]any{"@context": []string{"https://www.w3.org/ns/did/v1"}, "id": id, "service": all})
	return string(b)
}

const (
	both  = `{"protocolVersions":[{"version":"0.8","path":"/0.8","binding":"HTTPS"},{"version":"2025-1","path":"/2025-1","binding":"HTTPS","serviceId":"{did}","identifierType":"did:web","more":{"x":1}}]}`
	older = `{"protocolVersions":[{"version":"2024/1","path":"/2024/1"},{"version":"v0.8","path":"/"}]}`
)

func TestResolve(t *testing.T) {
	t.Parallel()
	own := document("{did}", "CatalogService", "{url}/dsp/osaka/2025-1/catalog", "DataService", "{url}/dsp/osaka/.well-known/dspace-version")
	for _, c := range []struct {
		name string
		docs map[string]string
		who  string
		base string // below the peer
		did  string // "{did}" or ""
		err  *fault.Kind
		says string
	}{
		{"our node by DID", map[string]string{"/.well-known/did.json": own, "/dsp/osaka/.well-known/dspace-version": both},
			"{did}", "/dsp/osaka/2025-1", "{did}", nil, ""},
		{"our node by its root", map[string]string{"/.well-known/did.json": own, "/dsp/osaka/.well-known/dspace-version": both},
			"{url}/dsp/osaka", "/dsp/osaka/2025-1", "{did}", nil, ""},
		{"our node by its base", map[string]string{"/.well-known/did.json": own, "/dsp/osaka/.well-known/dspace-version": both},
			"{url}/dsp/osaka/2025-1/", "/dsp/osaka/2025-1", "{did}", nil, ""},
		{"our node by its version document", map[string]string{"/.well-known/did.json": own, "/dsp/osaka/.well-known/dspace-version": both},
			"{url}/dsp/osaka/.well-known/dspace-version", "/dsp/osaka/2025-1", "{did}", nil, ""},
		{"path from the host's root", map[string]string{"/.well-known/did.json": own,
			"/.well-known/dspace-version": `{"protocolVersions":[{"version":"2025-1","path":"/dsp/osaka/2025-1","binding":"HTTPS"}]}`},
			"{url}", "/dsp/osaka/2025-1", "{did}", nil, ""},
		{"only a data service", map[string]string{
			"/.well-known/did.json":       document("{did}", "DataService", "{url}/.well-known/dspace-version"),
			"/.well-known/dspace-version": both}, "{did}", "/2025-1", "{did}", nil, ""},
		{"a root as the catalogue's endpoint", map[string]string{
			"/.well-known/did.json":               document("{did}", "CatalogService", "{url}/api/dsp/catalog"),
			"/api/dsp/.well-known/dspace-version": both}, "{did}", "/api/dsp/2025-1", "{did}", nil, ""},
		{"no DID document", map[string]string{"/x/.well-known/dspace-version": both}, "{url}/x", "/x/2025-1", "", nil, ""},
		{"the DID of somebody else's address", map[string]string{
			"/.well-known/did.json":         document("{did}", "CatalogService", "{url}/other/2025-1/catalog"),
			"/x/.well-known/dspace-version": both}, "{url}/x", "/x/2025-1", "", nil, ""},
		{"only older versions", map[string]string{"/.well-known/did.json": own, "/dsp/osaka/.well-known/dspace-version": older},
			"{did}", "", "", fault.NoCommonVersion, "2024/1, v0.8"},
		{"only another binding", map[string]string{"/.well-known/dspace-version": `{"protocolVersions":[{"version":"2025-1","path":"/","binding":"GRPC"}]}`},
			"{url}", "", "", fault.NoCommonVersion, "2025-1 (GRPC)"},
		{"a path that leads elsewhere", map[string]string{"/.well-known/dspace-version": `{"protocolVersions":[{"version":"2025-1","path":"/../x"}]}`},
			"{url}", "", "", fault.NoCommonVersion, ""},
		{"no service in the document", map[string]string{"/.well-known/did.json": document("{did}")}, "{did}", "", "", fault.PartnerNoService, ""},
		{"no connector", map[string]string{}, "{url}/a/b", "", "", fault.PartnerNotDSP, "404"},
		{"no JSON", map[string]string{"/.well-known/dspace-version": "<html>"}, "{url}", "", "", fault.PartnerNotDSP, ""},
		{"doubled member", map[string]string{"/.well-known/dspace-version": `{"protocolVersions":[],"protocolVersions":[]}`}, "{url}", "", "", fault.PartnerNotDSP, "doubled"},
		{"too large", map[string]string{"/.well-known/dspace-version": strings.Repeat(" ", 1<<20)}, "{url}", "", "", fault.PartnerNotDSP, "too large"},
		{"nobody listens", nil, "http://127.0.0.1:1/dsp", "", "", fault.PartnerUnreachable, "127.0.0.1:1"},
		{"not a dev host", nil, "http://192.168.0.1/dsp", "", "", fault.AddressRefused, "private"},
		{"plain http elsewhere", nil, "http://node.example/dsp", "", "", fault.AddressRefused, "https"},
		{"a password", nil, "https://a:secret@node.example/", "", "", fault.AddressRefused, "user info"},
		{"another scheme", nil, "ftp://node.example/", "", "", fault.AddressRefused, ""},
		{"an unknown title", nil, "Osaka Port", "", "", fault.PartnerUnknown, "Osaka Port"},
		{"nothing", nil, "  ", "", "", fault.PartnerUnknown, ""},
		{"a DID that does not resolve", map[string]string{}, "{did}", "", "", fault.DIDUnresolved, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPeer(t, c.docs)
			r := room(t, storetest.Open(t, Schema), nil)
			got, err := r.Resolve(t.Context(), tokyo, p.fill(c.who))
			if c.err != nil {
				if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says) {
					t.Fatalf("got %v, want %s with %q", err, c.err.Code, c.says)
				}
				if strings.Contains(err.Error(), "secret") {
					t.Error("the error shows a password")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Base != p.URL+c.base || got.DID != p.fill(c.did) {
				t.Fatalf("got %+v", got)
			}
			calls := p.calls.Load()
			if again, err := r.Resolve(t.Context(), tokyo, p.fill(c.who)); err != nil || again.Base != got.Base {
				t.Fatalf("again: %+v, %v", again, err)
			}
			if p.calls.Load() != calls {
				t.Error("asked again within 5 minutes")
			}
			all, err := r.List(t.Context(), tokyo)
			if err != nil {
				t.Fatal(err)
			}
			if kept := len(all) == 1 && all[0].Base == got.Base; kept != (c.did != "") {
				t.Errorf("kept %+v", all)
			}
		})
	}
}

func TestAServerThatFailsIsUnreachableNotForeign(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }))
	defer srv.Close()
	r := room(t, storetest.Open(t, Schema), nil)
	if _, err := r.Resolve(t.Context(), tokyo, srv.URL); !errors.Is(err, fault.PartnerUnreachable) {
		t.Fatalf("got %v", err)
	}
}

func TestAPartnerThatMovesIsFoundAgain(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	p := newPeer(t, map[string]string{
		"/.well-known/did.json":         document("{did}", "CatalogService", "{url}/a/2025-1/catalog"),
		"/a/.well-known/dspace-version": both, "/b/.well-known/dspace-version": both,
	})
	r := room(t, storetest.Open(t, Schema), func() time.Time { return now })
	if got, err := r.Resolve(t.Context(), tokyo, p.did()); err != nil || got.Base != p.URL+"/a/2025-1" {
		t.Fatalf("%+v, %v", got, err)
	}
	p.docs["/.well-known/did.json"] = document("{did}", "CatalogService", "{url}/b/2025-1/catalog")
	if got, _ := r.Resolve(t.Context(), tokyo, p.did()); got.Base != p.URL+"/a/2025-1" {
		t.Fatalf("%+v", got)
	}
	r.Forget(tokyo, p.did())
	if got, err := r.Resolve(t.Context(), tokyo, p.did()); err != nil || got.Base != p.URL+"/b/2025-1" {
		t.Fatalf("%+v, %v", got, err)
	}
	p.docs["/.well-known/did.json"] = document("{did}", "CatalogService", "{url}/a/2025-1/catalog")
	now = now.Add(fresh + time.Second)
	if got, err := r.Resolve(t.Context(), tokyo, p.did()); err != nil || got.Base != p.URL+"/a/2025-1" {
		t.Fatalf("%+v, %v", got, err)
	}
	if all, err := r.List(t.Context(), tokyo); err != nil || len(all) != 1 || all[0].Base != p.URL+"/a/2025-1" {
		t.Fatalf("%+v, %v", all, err)
	}
	if all, err := r.List(t.Context(), "osaka"); err != nil || len(all) != 0 {
		t.Fatalf("another participant sees %+v, %v", all, err)
	}
}

func TestATitleIsAName(t *testing.T) {
	t.Parallel()
	p := newPeer(t, map[string]string{
		"/.well-known/did.json":         document("{did}", "CatalogService", "{url}/a/2025-1/catalog"),
		"/a/.well-known/dspace-version": both,
	})
	r := room(t, storetest.Open(t, Schema), nil)
	if err := r.Pin(t.Context(), tokyo, Partner{DID: p.did(), Title: "大阪港"}); err != nil {
		t.Fatal(err)
	}
	got, err := r.Resolve(t.Context(), tokyo, "大阪港")
	if err != nil || got.DID != p.did() || got.Title != "大阪港" || got.Base == "" {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := r.Pin(t.Context(), tokyo, Partner{DID: "did:web:other.example", Title: "大阪港"}); err != nil {
		t.Fatal(err)
	}
	r.Forget(tokyo, "大阪港")
	if _, err := r.Resolve(t.Context(), tokyo, "大阪港"); !errors.Is(err, fault.PartnerAmbiguous) {
		t.Fatalf("got %v", err)
	}
	for _, bad := range []Partner{{DID: "did:key:z"}, {DID: p.did(), Title: "https://x"}} {
		if err := r.Pin(t.Context(), tokyo, bad); err == nil {
			t.Errorf("pinned %+v", bad)
		}
	}
}

func TestChooseOfSeveral(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, doc, want, base string }{
		{"DCP goes before another protocol", `[{"version":"2025-1","path":"/a","auth":{"protocol":"OAuth","version":"2"}},{"version":"2025-1","path":"/b","auth":{"protocol":"DCP","version":"1.0"}}]`, "", "https://h/r/b"},
		{"none goes before DCP", `[{"version":"2025-1","path":"/a","auth":{"protocol":"DCP","version":"1.0"}},{"version":"2025-1","path":"/b"}]`, "", "https://h/r/b"},
		{"ours goes before another", `[{"version":"2025-1","path":"/a","auth":{"protocol":"OAuth","version":"2","profile":["x"]}},{"version":"2025-1","path":"/b","auth":{"protocol":"self-issued token","version":"1","profile":["did:web/ES256"]}}]`, "", "https://h/r/b"},
		{"the first of equals", `[{"version":"2025-1","path":"/a","profile":"http-dsp-profile-2025-1"},{"version":"2025-1","path":"/b","profile":"other"}]`, "", "https://h/r/a"},
		{"null is no auth", `[{"version":"2025-1","path":"/a","auth":{"protocol":"DCP"}},{"version":"2025-1","path":"/b","auth":null}]`, "", "https://h/r/b"},
		{"auth and profile of other forms", `[{"version":"2025-1","path":"/a","auth":"DCP"},{"version":"2025-1","path":"/b","auth":{"protocol":"DCP","profile":"vc"}}]`, "", "https://h/r/b"},
		{"an entry of another form hides no other", `[{"version":{"major":2026},"path":1},"2024-1",{"version":"2025-1","path":"/b","x":[{}]}]`, "", "https://h/r/b"},
		{"another protocol is better than none", `[{"version":"2025-1","path":"/a","auth":{"protocol":"OAuth","version":"2"}}]`, "", "https://h/r/a"},
		{"the root itself", `[{"version":"2025-1","path":"/","binding":"https"}]`, "", "https://h/r"},
		{"the one that is asked for", `[{"version":"2025-1","path":"/a"},{"version":"2025-1","path":"/b"}]`, "https://h/r/b", "https://h/r/b"},
		{"written from the host", `[{"version":"2025-1","path":"/r/b"}]`, "https://h/r/b", "https://h/r/b"},
		{"listed by nobody", `[{"version":"2025-1","path":"/a"}]`, "https://h/r/b", ""},
	} {
		vs, err := decode([]byte(`{"protocolVersions":` + c.doc + `}`))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if _, got, err := vs.choose("x", "https://h/r", c.want); got != c.base || (err == nil) != (c.base != "") {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

func FuzzVersionDocument(f *testing.F) {
	f.Add([]byte(both))
	f.Add([]byte(older))
	f.Add([]byte(`{"protocolVersions":[{"version":"2025-1","path":"//evil"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		vs, err := decode(b)
		if err != nil {
			return
		}
		const root = "https://node.example/dsp"
		if _, base, err := vs.choose("x", root, ""); err == nil && base != root && !strings.HasPrefix(base, root+"/") {
			t.Fatalf("base %q lies outside its root", base)
		}
		_ = vs.offered()
	})
}

func TestAFixedAddressIsTakenAsItIs(t *testing.T) {
	t.Parallel()
	r := room(t, storetest.Open(t, Schema), nil)
	if _, err := r.Fix(t.Context(), tokyo, Partner{DID: "TCK_PARTICIPANT", Base: "http://127.0.0.1:1/dsp/", Title: "the kit"}); err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"TCK_PARTICIPANT", "the kit", "http://127.0.0.1:1/dsp"} {
		if got, err := r.Resolve(t.Context(), tokyo, who); err != nil || got.DID != "TCK_PARTICIPANT" || got.Base != "http://127.0.0.1:1/dsp" {
			t.Errorf("%s: %+v, %v", who, got, err)
		}
	}
	if got := r.Pause(tokyo, "TCK_PARTICIPANT"); got != fixedPause {
		t.Errorf("its first pause is %s", got)
	}
	r.LearnPause(tokyo, "TCK_PARTICIPANT", true)
	if got, err := r.Fix(t.Context(), tokyo, Partner{DID: "TCK_PARTICIPANT", Base: "http://127.0.0.1:2"}); err != nil || got.Base != "http://127.0.0.1:2" {
		t.Errorf("moved: %+v, %v", got, err)
	}
	if got := r.Pause(tokyo, "TCK_PARTICIPANT"); got != 2*fixedPause {
		t.Errorf("what was learned is %s after it moved", got)
	}
	if _, err := r.Resolve(t.Context(), "osaka", "TCK_PARTICIPANT"); err == nil {
		t.Error("another participant finds it")
	}
	for _, base := range []string{"", "ftp://x", "https://u@x", "https://x?y", "x/y"} {
		if _, err := r.Fix(t.Context(), tokyo, Partner{DID: "x", Base: base}); err == nil {
			t.Errorf("%q is taken", base)
		}
	}
}

func TestTheIdOfAFixedCounterpartIsComparedWhole(t *testing.T) {
	t.Parallel()
	r := room(t, storetest.Open(t, Schema), nil)
	for _, who := range []Partner{
		{DID: "alpha", Base: "http://127.0.0.1:1", Title: "zeta"}, // the id of another
		{DID: "zeta", Base: "http://127.0.0.1:2", Title: "both"},
		{DID: "urn:x:a/", Base: "http://127.0.0.1:3", Title: "both"},
		{DID: "urn:x:a", Base: "http://127.0.0.1:4/"},
	} {
		if got, err := r.Fix(t.Context(), tokyo, who); err != nil || got.DID != who.DID || got.Base != strings.TrimRight(who.Base, "/") {
			t.Fatalf("%s: %+v, %v", who.DID, got, err)
		}
	}
	for who, base := range map[string]string{"alpha": "http://127.0.0.1:1", "zeta": "http://127.0.0.1:2", "urn:x:a/": "http://127.0.0.1:3",
		"urn:x:a": "http://127.0.0.1:4", "http://127.0.0.1:4/": "http://127.0.0.1:4"} {
		if got, err := r.Resolve(t.Context(), tokyo, who); err != nil || got.Base != base {
			t.Errorf("%s: %+v, %v", who, got, err)
		}
	}
	for _, who := range []string{"Alpha", "urn:x:a//", "alph"} {
		if got, err := r.Resolve(t.Context(), tokyo, who); !errors.Is(err, fault.PartnerUnknown) {
			t.Errorf("%s: %+v, %v", who, got, err)
		}
	}
	if _, err := r.Resolve(t.Context(), tokyo, "both"); !errors.Is(err, fault.PartnerAmbiguous) {
		t.Errorf("a title of two: %v", err)
	}
	if _, err := r.Fix(t.Context(), tokyo, Partner{DID: "alpha", Base: "http://127.0.0.1:9", Title: "new"}); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Resolve(t.Context(), tokyo, "http://127.0.0.1:1"); err == nil && got.DID == "alpha" {
		t.Errorf("the address that it left still leads to it: %+v", got)
	}
	for _, who := range []Partner{{DID: " "}, {DID: "a\nb"}, {DID: "a\x00"}, {DID: "\xff"}, {DID: strings.Repeat("a", 2049)},
		{DID: "a", Title: "did:web:bank.example"}, {DID: "a", Title: "https://bank.example"}, {DID: "a", Title: "b\tc"}} {
		who.Base = "http://127.0.0.1:5"
		if _, err := r.Fix(t.Context(), tokyo, who); !errors.Is(err, fault.PartnerName) {
			t.Errorf("%q, %q: %v", who.DID, who.Title, err)
		}
	}
}
