package node

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kakehashi/client"
	"kakehashi/dataplane"
	dsp "kakehashi/dsp/dsp2025"
	"kakehashi/dsp/dsp2025/conform"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/strictjson"
)

// asker sends requests of its own making to a provider's catalogue, each with a
// token of the consumer.
type asker struct {
	*testing.T
	provider, consumer running
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask sends one request to a path below the base or to a whole address; headers
// are pairs.
func (a asker) ask(method, at string, body []byte, headers ...string) answer {
	a.Helper()
	who := a.provider.participants.All()[0]
	if !strings.HasPrefix(at, "http") {
		at = who.Base + at
	}
	use := identity.Use{Message: "test"}
	if method == http.MethodPost {
		use.Digest = evidence.Digest(body)
	}
	auth, err := a.consumer.identity.Authorize(a.Context(), a.consumer.participants.All()[0].ID, who.DID, use)
	if err != nil {
		a.Fatal(err)
	}
	req, err := http.NewRequestWithContext(a.Context(), method, at, bytes.NewReader(body))
	if err != nil {
		a.Fatal(err)
	}
	req.Header.Set("Authorization", auth)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableCompression: true}}).Do(req)
	if err != nil {
		a.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		a.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, b}
}

// catalogue asks for a page that must be one and conform.
func (a asker) catalogue(method, at string, body []byte) (dsp.Catalog, map[string]string) {
	a.Helper()
	got := a.ask(method, at, body)
	if got.status != http.StatusOK {
		a.Fatalf("%s %s: %d %s", method, at, got.status, got.body)
	}
	if err := conform.Check("catalog/catalog", got.body); err != nil {
		a.Error(err)
	}
	c, err := dsp.Decode[dsp.Catalog](got.body)
	if err != nil {
		a.Fatal(err)
	}
	links := map[string]string{}
	for _, l := range got.header.Values("Link") {
		to, rel, ok := strings.Cut(strings.TrimPrefix(l, "<"), `>; rel="`)
		if !ok {
			a.Fatalf("a Link header %q", l)
		}
		links[strings.TrimSuffix(rel, `"`)] = to
	}
	return c, links
}

func titles(c dsp.Catalog) string {
	var all []string
	for _, d := range c.Dataset {
		all = append(all, dsp.Text(d.Title))
	}
	return strings.Join(all, " ")
}

func newAsker(t *testing.T) (asker, place) {
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	return asker{t, tokyo.start(t, nil), brussels.start(t, nil)}, tokyo
}

func (a asker) publish(p place, sets ...client.PublishFile) {
	a.Helper()
	path := filepath.Join(p.settings.Data, "table.csv")
	if err := os.WriteFile(path, []byte("a"), 0o600); err != nil {
		a.Fatal(err)
	}
	for _, f := range sets {
		f.Path, f.Policy = path, terms(time.Now())
		if _, err := a.provider.client().PublishFile(a.Context(), f); err != nil {
			a.Fatal(err)
		}
	}
}

func request(filter string) []byte {
	if filter != "" {
		filter = `,"filter":[` + filter + `]`
	}
	return []byte(`{"@context":["` + dsp.ContextURL + `","https://w3id.org/edc/dspace/v0.0.1"],"@type":"CatalogRequestMessage"` + filter + `}`)
}

func numbered(n int) (all []client.PublishFile) {
	for i := range n {
		all = append(all, client.PublishFile{ID: fmt.Sprintf("urn:x:%02d", i), Title: fmt.Sprint(i)})
	}
	return all
}

// A catalogue is walked by its Link headers, by POST and by GET, forward and back;
// the token of a page carries the filter, and that of the body no longer counts.
func TestTheCatalogueIsServedInPages(t *testing.T) {
	t.Parallel()
	a, tokyo := newAsker(t)
	if c, links := a.catalogue("POST", "/catalog/request", request("")); c.Dataset != nil || len(links) != 0 {
		t.Errorf("an empty catalogue: %+v %v", c, links)
	}
	a.publish(tokyo, numbered(8)...)
	first, second := "0 1 2", "3 4 5"
	c, links := a.catalogue("POST", "/catalog/request", request(`{"@type":"QuerySpec","limit":3}`))
	if titles(c) != first || links["next"] == "" || len(links) != 1 {
		t.Fatalf("first page %q %v", titles(c), links)
	}
	for _, follow := range []struct {
		method string
		body   []byte
	}{{"POST", request("")}, {"POST", request(`{"limit":1}`)}, {"POST", []byte{}}, {"GET", nil}} {
		c, more := a.catalogue(follow.method, links["next"], follow.body)
		if titles(c) != second || more["previous"] == "" || more["previous"] != more["prev"] || more["next"] == "" {
			t.Errorf("%s %s: %q %v", follow.method, follow.body, titles(c), more)
			continue
		}
		if c, end := a.catalogue(follow.method, more["next"], follow.body); titles(c) != "6 7" || end["next"] != "" {
			t.Errorf("the last page: %q %v", titles(c), end)
		}
		if c, back := a.catalogue(follow.method, more["prev"], follow.body); titles(c) != first || back["prev"] != "" || back["next"] == "" {
			t.Errorf("the first page again: %q %v", titles(c), back)
		}
	}
}

// The filter is EDC's QuerySpec, under bare, prefixed and full names.
func TestTheCatalogueIsFiltered(t *testing.T) {
	t.Parallel()
	a, tokyo := newAsker(t)
	a.publish(tokyo, client.PublishFile{ID: "urn:a", Title: "Tide-north"}, client.PublishFile{ID: "urn:b", Title: "Wind"},
		client.PublishFile{ID: "urn:c", Title: "tide-south"})
	const edc = "https://w3id.org/edc/v0.0.1/ns/"
	for filter, want := range map[string]string{
		`{"@type":"QuerySpec","offset":0,"limit":50,"sortOrder":"DESC","sortField":"title","filterExpression":[]}`:                                                              "tide-south Wind Tide-north",
		`{"@type":"QuerySpec","filterExpression":[{"@type":"Criterion","operandLeft":"` + edc + `id","operator":"=","operandRight":"urn:b"}]}`:                                  "Wind",
		`{"@type":"edc:QuerySpec","edc:filterExpression":[{"edc:operandLeft":{"@value":"dct:title"},"edc:operator":"ilike","edc:operandRight":{"@value":"TIDE%"}}]}`:            "Tide-north tide-south",
		`{"@type":"` + edc + `QuerySpec","` + edc + `filterExpression":{"` + edc + `operandLeft":"id","` + edc + `operator":"in","` + edc + `operandRight":["urn:a","urn:b"]}}`: "Tide-north Wind",
		`{"offset":1,"limit":1}`: "Wind",
		`{"filterExpression":[{"operandLeft":"format","operator":"=","operandRight":"None-PULL"}]}`: "",
		`{}`: "Tide-north Wind tide-south",
	} {
		if c, _ := a.catalogue("POST", "/catalog/request", request(filter)); titles(c) != want {
			t.Errorf("%s: %q, want %q", filter, titles(c), want)
		}
	}
}

func TestTheCatalogueRefusesByName(t *testing.T) {
	t.Parallel()
	a, tokyo := newAsker(t)
	a.publish(tokyo, numbered(2)...)
	_, links := a.catalogue("POST", "/catalog/request", request(`{"limit":1}`))
	next := links["next"]
	for _, c := range []struct {
		name, method, at string
		body             []byte
		status           int
		code, tells      string
	}{
		{"an unknown member", "POST", "/catalog/request", request(`{"x":1}`), 400, "catalog-filter-unsupported", "/filter/0/x"},
		{"an unknown operand", "POST", "/catalog/request", request(`{"filterExpression":[{"operandLeft":"price","operator":"=","operandRight":1}]}`), 400, "catalog-filter-unsupported", "/filter/0/filterExpression/0/operandLeft"},
		{"sorted by what is no key", "POST", "/catalog/request", request(`{"sortField":"description"}`), 400, "catalog-filter-unsupported", "/filter/0/sortField"},
		{"two filters", "POST", "/catalog/request", request(`{},{}`), 400, "catalog-filter-unsupported", "/filter/1"},
		{"a filter that is text", "POST", "/catalog/request", request(`"tide"`), 400, "catalog-filter-unsupported", "/filter/0"},
		{"a limit of nothing", "POST", "/catalog/request", request(`{"limit":0}`), 400, "catalog-filter-unsupported", "/filter/0/limit"},
		{"a damaged token", "POST", next[:len(next)-2], request(""), 400, "catalog-token-damaged", "continuation token"},
		{"a damaged token, by GET", "GET", "/catalog/request?cursor=x", nil, 400, "catalog-token-damaged", "token x"},
		{"GET without a token", "GET", "/catalog/request", nil, 405, "method-not-allowed", "POST"},
		{"another method", "DELETE", next, nil, 405, "method-not-allowed", "POST"},
		{"an unknown dataset", "GET", "/catalog/datasets/urn:none", nil, 404, "not-found", "urn:none"},
	} {
		got := a.ask(c.method, c.at, c.body)
		e, err := dsp.Decode[dsp.CatalogError](got.body)
		if err != nil || conform.Check("catalog/catalog-error", got.body) != nil {
			t.Errorf("%s: %v\n%s", c.name, err, got.body)
			continue
		}
		if got.status != c.status || e.Code != c.code || len(e.Reason) != 2 || !strings.Contains(strings.Join(e.Reason, " "), c.tells) {
			t.Errorf("%s: %d %s %q, want %d %s %s", c.name, got.status, e.Code, e.Reason, c.status, c.code, c.tells)
		}
	}
	if got := a.ask("POST", next, request(""), "Content-Type", "text/plain"); got.status != 415 || !strings.Contains(string(got.body), "CatalogError") {
		t.Errorf("a media type: %d %s", got.status, got.body)
	}
}

// What is asked for again and has not changed is not sent again; what is large is
// compressed for those who accept it, under a tag of its own.
func TestCatalogueAnswersAreTaggedAndCompressed(t *testing.T) {
	t.Parallel()
	a, tokyo := newAsker(t)
	a.publish(tokyo, numbered(8)...)
	_, links := a.catalogue("POST", "/catalog/request", request(`{"limit":4}`))
	for _, c := range []struct {
		method, at string
		body       []byte
		large      bool
	}{
		{"POST", "/catalog/request", request(""), true},
		{"POST", links["next"], request(""), true},
		{"GET", links["next"], nil, true},
		{"GET", "/catalog/datasets/urn:x:03", nil, false},
	} {
		plain := a.ask(c.method, c.at, c.body)
		zipped := a.ask(c.method, c.at, c.body, "Accept-Encoding", "br, gzip;q=0.5")
		none := a.ask(c.method, c.at, c.body, "Accept-Encoding", "gzip;q=0, identity")
		tag, ztag := plain.header.Get("ETag"), zipped.header.Get("ETag")
		if plain.status != 200 || zipped.status != 200 || !bytes.Equal(plain.body, none.body) || none.header.Get("ETag") != tag ||
			len(tag) < 10 || strings.HasPrefix(tag, "W/") || plain.header.Get("Vary") != "Accept-Encoding, Authorization" {
			t.Errorf("%s %s: %d %v", c.method, c.at, plain.status, plain.header)
		}
		if c.large {
			r, err := gzip.NewReader(bytes.NewReader(zipped.body))
			if err != nil {
				t.Fatalf("%s: %v %v", c.at, err, zipped.header)
			}
			b, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(b, plain.body) || zipped.header.Get("Content-Encoding") != "gzip" || ztag == tag || len(zipped.body) >= len(b) {
				t.Errorf("%s: compressed: %v %v", c.at, err, zipped.header)
			}
		} else if zipped.header.Get("Content-Encoding") != "" || ztag != tag {
			t.Errorf("%s: what is small is compressed: %v", c.at, zipped.header)
		}
		for _, h := range [][]string{{"If-None-Match", tag}, {"If-None-Match", `"x", W/` + tag}, {"If-None-Match", ztag, "Accept-Encoding", "gzip"}, {"If-None-Match", "*"}} {
			again := a.ask(c.method, c.at, c.body, h...)
			if again.status != http.StatusNotModified || len(again.body) != 0 || again.header.Get("ETag") == "" || again.header.Get("Content-Type") != "" {
				t.Errorf("%s %v: %d %v %q", c.at, h, again.status, again.header, again.body)
			}
			if c.at == links["next"] && len(again.header.Values("Link")) == 0 {
				t.Errorf("%s: an unchanged page leads nowhere: %v", c.at, again.header)
			}
		}
		if again := a.ask(c.method, c.at, c.body, "If-None-Match", `"other"`); again.status != 200 {
			t.Errorf("%s: another tag: %d", c.at, again.status)
		}
	}
	before := a.ask("POST", "/catalog/request", request(""))
	a.publish(tokyo, client.PublishFile{ID: "urn:x:99", Title: "new"})
	if after := a.ask("POST", "/catalog/request", request(""), "If-None-Match", before.header.Get("ETag")); after.status != 200 || after.header.Get("ETag") == before.header.Get("ETag") {
		t.Errorf("a changed catalogue: %d %v", after.status, after.header)
	}
}

// A dataset's id is any IRI, one segment of the path when it is encoded.
func TestADatasetIsFoundByAnyIRI(t *testing.T) {
	t.Parallel()
	a, tokyo := newAsker(t)
	for _, id := range []string{"urn:uuid:0d0c2f0e-5f2e-4e0e-9d4e-0a3b1f9d2c11", "https://x.example/y?z=1#a", "https://x.example/y/", "urn:x:潮位/大阪 2026", "urn:x:100%25", "urn:x:a+b&c=d;e"} {
		a.publish(tokyo, client.PublishFile{ID: id, Title: "x"})
		got := a.ask("GET", "/catalog/datasets/"+url.PathEscape(id), nil)
		d, err := dsp.Decode[dsp.Dataset](got.body)
		if err != nil || got.status != 200 || d.ID != id {
			t.Errorf("%s: %d %s %v", id, got.status, got.body, err)
		}
		if err := conform.Check("catalog/dataset", got.body); err != nil {
			t.Error(err)
		}
		if got, err := a.consumer.client().Negotiate(t.Context(), client.StartNegotiation{Partner: a.provider.participants.All()[0].DID, Dataset: id}); err != nil || got.Dataset != id {
			t.Errorf("%s through the client: %+v %v", id, got, err)
		}
	}
}

// What a caller may not see is what does not exist: the same answer, byte for
// byte but for the id.
func TestAForbiddenDatasetIsAnUnknownOne(t *testing.T) {
	t.Parallel()
	a, tokyo := newAsker(t)
	path := filepath.Join(tokyo.settings.Data, "t")
	if err := os.WriteFile(path, []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.provider.client().PublishFile(t.Context(), client.PublishFile{ID: "urn:forbidden", Title: "x", Path: path, Policy: strictjson.Raw(
		`{"permission":[{"action":"use","constraint":[{"leftOperand":"dateTime","operator":"gt","rightOperand":{"@value":"2999-01-01T00:00:00Z","@type":"xsd:dateTime"}}]}]}`)}); err != nil {
		t.Fatal(err)
	}
	forbidden, unknown := a.ask("GET", "/catalog/datasets/urn:forbidden", nil), a.ask("GET", "/catalog/datasets/urn:unknown00", nil)
	if forbidden.status != 404 || unknown.status != 404 ||
		string(forbidden.body) != strings.ReplaceAll(string(unknown.body), "urn:unknown00", "urn:forbidden") {
		t.Errorf("%d %s\n%d %s", forbidden.status, forbidden.body, unknown.status, unknown.body)
	}
	if c, _ := a.catalogue("POST", "/catalog/request", request("")); slices.ContainsFunc(c.Dataset, func(d dsp.Dataset) bool { return d.ID == "urn:forbidden" }) {
		t.Error("it is in the catalogue")
	}
}

// HttpData-PULL stands for the first format over HTTP of a service that has no
// such format of its own.
func TestTheFormatThatHttpDataStandsFor(t *testing.T) {
	t.Parallel()
	serve := func(http.ResponseWriter, *http.Request, *dataplane.Session) {}
	for _, c := range []struct {
		have []dataplane.Format
		want string
	}{
		{[]dataplane.Format{{Name: "TAXII21-PULL", Serve: serve}, {Name: "STIX-PULL", Serve: serve}}, "TAXII21-PULL"},
		{[]dataplane.Format{{Name: "Mqtt-PULL"}, {Name: "Json-PUSH", Serve: serve}, {Name: "Json-PULL", Serve: serve}}, "Json-PULL"},
		{[]dataplane.Format{{Name: "Json-PULL", Serve: serve}, {Name: "HttpData-PULL", Serve: serve}}, ""},
		{[]dataplane.Format{{Name: "Mqtt-PULL"}}, ""},
		{nil, ""},
	} {
		if f, ok := pullOverHTTP(c.have); f.Name != c.want || ok != (c.want != "") {
			t.Errorf("%v: %q", c.have, f.Name)
		}
	}
}
