package node

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"kakehashi/client"
	dsp "kakehashi/dsp/dsp2025"
	"kakehashi/internal/fault"
)

// shop is a partner whose pages a test writes; {base} in them is its address.
type shop struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string // method, address, and the tag that was held
	pages map[string]func(http.ResponseWriter)
	body  string // of the first request; each further one must be the same
}

func newShop(t *testing.T) *shop {
	s := &shop{pages: map[string]func(http.ResponseWriter){}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = append(s.asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("If-None-Match")))
		if s.body == "" {
			s.body = string(b)
		}
		page, ok := s.pages[r.URL.RequestURI()]
		if string(b) != s.body || r.Header.Get("Authorization") == "" || !ok {
			t.Errorf("unexpected: %s %s\n%s", r.Method, r.URL, b)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		page(w)
	}))
	t.Cleanup(s.Close)
	return s
}

// page writes datasets and further members of a catalogue, with Link headers.
func (s *shop) page(at, members string, links ...string) {
	s.pages[at] = func(w http.ResponseWriter) {
		for _, l := range links {
			w.Header().Add("Link", strings.ReplaceAll(l, "{base}", s.URL))
		}
		_, _ = io.WriteString(w, s.catalogue(members))
	}
}

func (s *shop) catalogue(members string) string {
	return `{"@context":["` + dsp.ContextURL + `"],"@type":"Catalog","@id":"urn:c","participantId":"urn:shop",
		"service":[{"@id":"s","@type":"DataService","endpointURL":"` + s.URL + `"}]` + strings.ReplaceAll(members, "{base}", s.URL) + `}`
}

func sets(service string, ids ...string) string {
	var all []string
	for _, id := range ids {
		all = append(all, `{"@id":"`+id+`","@type":"Dataset","dct:title":"`+id+`","hasPolicy":[{"@id":"o","@type":"Offer","permission":[{"action":"use"}]}],
			"distribution":[{"@type":"Distribution","format":"HttpData-PULL","accessService":"`+service+`"}]}`)
	}
	return `,"dataset":[` + strings.Join(all, ",") + `]`
}

func ids(c client.PartnerCatalog) string {
	var all []string
	for _, d := range c.Datasets {
		all = append(all, strings.TrimSpace(d.ID+" "+d.Base))
	}
	return strings.Join(all, ", ")
}

func (s *shop) took() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.asked = nil }()
	return s.asked
}

const first = "/catalog/request"

func TestAPartnersCatalogueIsReadPageByPage(t *testing.T) {
	t.Parallel()
	c := newPlace(t, "brussels").start(t, nil).client()
	know := func(t *testing.T) (*shop, string) {
		s := newShop(t)
		id := "urn:shop:" + strings.TrimPrefix(s.URL, "http://127.0.0.1:")
		if _, err := c.FixPartner(t.Context(), client.FixPartner{ID: id, Base: s.URL}); err != nil {
			t.Fatal(err)
		}
		return s, id
	}
	read := func(t *testing.T, who string, q client.CatalogQuery) client.PartnerCatalog {
		t.Helper()
		got, err := c.CatalogPart(t.Context(), who, q)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}

	t.Run("the links are followed with the same method and body", func(t *testing.T) {
		s, id := know(t)
		s.page(first, sets("s", "a", "b"), `<{base}/catalog/request?x=1,2>; rel="next"`)
		s.page(first+"?x=1,2", sets("s", "c"), `<?p=0>; rel="prev", <{base}/catalog/request?x=3>; title="a, b"; rel=next`)
		s.page(first+"?x=3", sets("s", "d"), `<?x=1,2>; rel="previous"`, `<?p=0>; rel="first"`)
		if got := read(t, id, client.CatalogQuery{}); ids(got) != "a, b, c, d" || got.Next != "" || got.Previous != "" || got.Cut != "" {
			t.Errorf("%s %+v", ids(got), got)
		}
		want := []string{"POST " + first, "POST " + first + "?x=1,2", "POST " + first + "?x=3"}
		if got := s.took(); !slices.Equal(got, want) {
			t.Errorf("asked %q", got)
		}
		// In parts, forward and back, also in the middle of a page.
		var parts []string
		part := read(t, id, client.CatalogQuery{Limit: 1})
		for parts = append(parts, ids(part)); part.Next != "" && len(parts) < 9; parts = append(parts, ids(part)) {
			part = read(t, id, client.CatalogQuery{Limit: 1, Cursor: part.Next})
		}
		if got := strings.Join(parts, ", "); got != "a, b, c, d" {
			t.Errorf("in parts: %s", got)
		}
		if part.Previous == "" {
			t.Error("the last page leads nowhere back")
		} else if part = read(t, id, client.CatalogQuery{Limit: 1, Cursor: part.Previous}); ids(part) != "c" {
			t.Errorf("the page before the last: %s", ids(part))
		}
	})

	t.Run("pages that lead back end there", func(t *testing.T) {
		s, id := know(t)
		s.page(first, sets("s", "a"), `<?x=1>; rel="next"`)
		s.page(first+"?x=1", sets("s", "b"), `<{base}`+first+`>; rel="next"`)
		if got := read(t, id, client.CatalogQuery{}); ids(got) != "a, b" || got.Next != "" || got.Cut != s.URL+first {
			t.Errorf("%s %+v", ids(got), got)
		}
		if n := len(s.took()); n != 2 {
			t.Errorf("%d requests", n)
		}
	})

	t.Run("pages without end are read a thousand at a time", func(t *testing.T) {
		s, id := know(t)
		for i := range 1100 {
			at := first
			if i > 0 {
				at = fmt.Sprintf("%s?x=%d", first, i)
			}
			s.page(at, "", fmt.Sprintf(`<?x=%d>; rel="next"`, i+1))
		}
		got := read(t, id, client.CatalogQuery{})
		if n := len(s.took()); n != 1000 || got.Next == "" {
			t.Errorf("%d requests, %+v", n, got)
		}
	})

	t.Run("a page elsewhere is not asked for", func(t *testing.T) {
		s, id := know(t)
		s.page(first, sets("s", "a"), `<http://127.0.0.1:1/catalog/request?x=1>; rel="next"`)
		if _, err := c.CatalogPart(t.Context(), id, client.CatalogQuery{}); !errors.Is(err, fault.AnswerNotUnderstood) || !strings.Contains(err.Error(), "another host") {
			t.Error(err)
		}
		other, otherID := know(t)
		other.page(first, sets("s", "b"), `<?x=1>; rel="next"`)
		next := read(t, otherID, client.CatalogQuery{Limit: 1}).Next
		if _, err := c.CatalogPart(t.Context(), id, client.CatalogQuery{Cursor: next}); !errors.Is(err, fault.AnswerNotUnderstood) {
			t.Errorf("a cursor of another partner: %v", err)
		}
		if got := other.took(); len(got) != 1 {
			t.Errorf("the other partner was asked %q", got)
		}
	})

	t.Run("a page that is held is not sent again", func(t *testing.T) {
		s, id := know(t)
		changed := false
		s.page(first, sets("s", "a"), `<?x=1>; rel="next"`)
		plain := s.pages[first]
		s.pages[first] = func(w http.ResponseWriter) {
			w.Header().Set("ETag", `"1"`)
			if last := s.asked[len(s.asked)-1]; strings.HasSuffix(last, ` "1"`) && !changed {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			plain(w)
		}
		s.page(first+"?x=1", sets("s", "b"))
		for range 2 {
			if got := read(t, id, client.CatalogQuery{}); ids(got) != "a, b" {
				t.Error(ids(got))
			}
		}
		want := []string{"POST " + first, "POST " + first + "?x=1", "POST " + first + ` "1"`, "POST " + first + "?x=1"}
		if got := s.took(); !slices.Equal(got, want) {
			t.Errorf("asked %q", got)
		}
		s.mu.Lock()
		changed = true
		s.page(first+"?x=1", sets("s", "c"))
		s.mu.Unlock()
		if got := read(t, id, client.CatalogQuery{}); ids(got) != "a, c" {
			t.Error(ids(got))
		}
	})

	t.Run("a compressed page is read, one that becomes too large is not", func(t *testing.T) {
		s, id := know(t)
		send := func(text string) {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			_, _ = io.WriteString(z, text)
			_ = z.Close()
			s.pages[first] = func(w http.ResponseWriter) {
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write(b.Bytes())
			}
		}
		send(s.catalogue(sets("s", "a")))
		if got := read(t, id, client.CatalogQuery{}); ids(got) != "a" {
			t.Error(ids(got))
		}
		send(s.catalogue(`,"x":"` + strings.Repeat("x", 17<<20) + `"`))
		if _, err := c.CatalogPart(t.Context(), id, client.CatalogQuery{}); !errors.Is(err, fault.AnswerNotUnderstood) || !strings.Contains(err.Error(), "larger than") {
			t.Error(err)
		}
	})

	t.Run("catalogues inside count, those elsewhere are named", func(t *testing.T) {
		s, id := know(t)
		elsewhere := `"service":[{"@id":"z","@type":"DataService","endpointURL":"https://z.example/dsp"}]`
		s.page(first, sets("s", "a")+`,"catalog":[
			{"@id":"urn:n","@type":"Catalog",`+elsewhere+sets("z", "b")+`,
			 "catalog":[{"@id":"urn:nn","@type":"Catalog"`+sets("unnamed", "c")+`}]},
			{"@id":"urn:same","@type":"Catalog","service":[{"@id":"s","@type":"DataService","endpointURL":"{base}/"}]`+sets("s", "d")+`},
			{"@id":"urn:far","@type":"Catalog","dct:title":"Far","distribution":[{"@type":"Distribution","format":"Catalog","accessService":"z"}],`+elsewhere+`},
			{"@id":"urn:outer","@type":"Catalog","distribution":[{"@type":"Distribution","format":"Catalog","accessService":"s"}]},
			{"@id":"urn:nowhere","@type":"Catalog"}]`)
		got := read(t, id, client.CatalogQuery{})
		if ids(got) != "a, b https://z.example/dsp, c https://z.example/dsp, d" {
			t.Error(ids(got))
		}
		want := []client.FurtherCatalog{{ID: "urn:far", Title: "Far", Endpoint: "https://z.example/dsp"}, {ID: "urn:outer", Endpoint: s.URL}}
		if !slices.Equal(got.Further, want) {
			t.Errorf("%+v", got.Further)
		}
		if n := len(s.took()); n != 1 {
			t.Errorf("%d requests", n)
		}
	})

	t.Run("a refusal is told with the partner's reason", func(t *testing.T) {
		s, id := know(t)
		s.pages[first] = func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"@context":["`+dsp.ContextURL+`"],"@type":"CatalogError","code":"400","reason":["no filters here"]}`)
		}
		if _, err := c.CatalogPart(t.Context(), id, client.CatalogQuery{Filter: []string{"title~=x"}}); !errors.Is(err, fault.PartnerRefused) || !strings.Contains(err.Error(), "no filters here") {
			t.Error(err)
		}
	})
}

// Filters as people write them, between two of our nodes.
func TestAPartnersCatalogueIsPicked(t *testing.T) {
	t.Parallel()
	a, tokyo := newAsker(t)
	a.publish(tokyo, client.PublishFile{ID: "urn:a", Title: "Tide 100%", Description: "north"}, client.PublishFile{ID: "urn:b", Title: "Wind"},
		client.PublishFile{ID: "urn:c", Title: "low tide"})
	c, who := a.consumer.client(), a.provider.participants.All()[0].DID
	for _, q := range []struct {
		filter []string
		want   string
	}{
		{nil, "urn:a, urn:b, urn:c"},
		{[]string{"title~=tide"}, "urn:a, urn:c"},
		{[]string{"title ~= 0%"}, "urn:a"},
		{[]string{"title~=t_de"}, ""},
		{[]string{"id=urn:b"}, "urn:b"},
		{[]string{"id!=urn:b", "title~=tide", "id>=urn:b"}, "urn:c"},
		{[]string{"description=north"}, "urn:a"},
		{[]string{"format=HttpData-PULL", "id<urn:b"}, "urn:a"},
		{[]string{"dct:publisher=x"}, ""},
	} {
		got, err := c.CatalogPart(t.Context(), who, client.CatalogQuery{Filter: q.filter})
		if err != nil || ids(got) != q.want {
			t.Errorf("%q: %s %v, want %s", q.filter, ids(got), err, q.want)
		}
	}
	part, err := c.CatalogPart(t.Context(), who, client.CatalogQuery{Filter: []string{"title~=tide"}, Limit: 1})
	if err != nil || ids(part) != "urn:a" || part.Next == "" {
		t.Fatal(ids(part), err)
	}
	if part, err = c.CatalogPart(t.Context(), who, client.CatalogQuery{Filter: []string{"title~=tide"}, Limit: 1, Cursor: part.Next}); err != nil || ids(part) != "urn:c" || part.Next != "" {
		t.Errorf("%s %+v %v", ids(part), part, err)
	}
	for _, bad := range []client.CatalogQuery{{Filter: []string{"tide"}}, {Filter: []string{"=x"}}, {Filter: []string{"title="}}, {Cursor: "x"}, {Cursor: "!"}} {
		if _, err := c.CatalogPart(t.Context(), who, bad); !errors.Is(err, fault.BadMessage) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := c.CatalogPart(t.Context(), who, client.CatalogQuery{Filter: []string{"price=1"}}); !errors.Is(err, fault.PartnerRefused) || !strings.Contains(err.Error(), "operandLeft") {
		t.Errorf("an unknown member: %v", err)
	}
	if own, err := a.provider.client().Datasets(t.Context(), ""); err != nil || own.Total != 3 {
		t.Errorf("our own list counts %d, %v", own.Total, err)
	}
}

// Further catalogues are shown on the first page, valid, and named to the user.
func TestFurtherCataloguesAreNamedToPartners(t *testing.T) {
	t.Parallel()
	a, tokyo := newAsker(t)
	p := a.provider.client()
	f, err := p.AddCatalog(t.Context(), client.AddCatalog{Title: "大阪港", Endpoint: "https://osaka.example/dsp/port/2025-1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.AddCatalog(t.Context(), client.AddCatalog{Title: "x", Endpoint: "osaka.example"}); !errors.Is(err, fault.FurtherCatalog) {
		t.Errorf("an address that is none: %v", err)
	}
	if c, _ := a.catalogue("POST", "/catalog/request", request("")); len(c.Catalog) != 1 || c.Dataset != nil {
		t.Errorf("a catalogue of nothing but others: %+v", c)
	}
	a.publish(tokyo, numbered(3)...)
	c, links := a.catalogue("POST", "/catalog/request", request(`{"limit":2}`))
	if len(c.Catalog) != 1 || c.Catalog[0].ID != f.ID || dsp.Text(c.Catalog[0].Title) != "大阪港" || c.Catalog[0].Endpoint(c.Catalog[0].Distribution[0]) != f.Endpoint {
		t.Errorf("%+v", c.Catalog)
	}
	if c, _ := a.catalogue("POST", links["next"], request("")); len(c.Catalog) != 0 {
		t.Error("they are on the second page too")
	}
	who := a.provider.participants.All()[0].DID
	if got, err := a.consumer.client().PartnerCatalog(t.Context(), who); err != nil || !slices.Equal(got.Further, []client.FurtherCatalog{f}) || len(got.Datasets) != 3 {
		t.Errorf("%+v %v", got, err)
	}
	if all, err := p.Catalogs(t.Context()); err != nil || !slices.Equal(all.Items, []client.FurtherCatalog{f}) {
		t.Errorf("%+v %v", all, err)
	}
	if err := p.RemoveCatalog(t.Context(), f.ID); err != nil {
		t.Error(err)
	}
	if err := p.RemoveCatalog(t.Context(), f.ID); !errors.Is(err, fault.NotFound) {
		t.Errorf("again: %v", err)
	}
	if c, _ := a.catalogue("POST", "/catalog/request", request("")); len(c.Catalog) != 0 {
		t.Error("it is still shown")
	}
}
