package catalog_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"kakehashi/catalog"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/participant"
	"kakehashi/policy"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

const (
	tokyo = participant.ID("tokyo")
	kyoto = "did:web:kyoto.example"
)

var (
	open  = strictjson.Raw(`{"permission":[{"action":"use"}]}`)
	later = strictjson.Raw(`{"permission":[{"action":"use","constraint":[{"leftOperand":"dateTime","operator":"gt","rightOperand":{"@value":"2999-01-01T00:00:00Z","@type":"xsd:dateTime"}}]}]}`)
)

type rig struct {
	testing.TB
	db   store.DB
	room *catalog.Room
	log  *evidence.Log
}

func newRig(t testing.TB) rig {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	db := storetest.Open(t, participant.Schema, evidence.Schema, catalog.Schema)
	vault, err := participant.NewVault(bytes.Repeat([]byte{7}, 32), rand.Reader)
	check(err)
	hosts, err := participant.Open(t.Context(), participant.Config{DB: db, Vault: vault, Now: time.Now, Rand: rand.Reader})
	check(err)
	check(hosts.Create(t.Context(), participant.Participant{ID: tokyo, DID: "did:web:tokyo.example", Base: "https://tokyo.example/dsp/tokyo/2025-1",
		Origin: "tokyo.example", DataURL: "https://tokyo.example", Created: time.Now()}))
	log, err := evidence.Open(t.Context(), evidence.Config{DB: db, Participants: hosts.All, Keys: hosts, Vault: vault, Now: time.Now,
		Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	check(err)
	return rig{t, db, catalog.Open(catalog.Config{DB: db, Policy: policy.New(policy.Config{Now: time.Now}), Evidence: log, Now: time.Now}), log}
}

func (r rig) publish(all ...catalog.Dataset) {
	r.Helper()
	for part := range slices.Chunk(all, 500) {
		err := r.db.Update(r.Context(), func(tx store.Tx) error {
			for _, d := range part {
				if len(d.Formats) == 0 {
					d.Formats = []string{"HttpData-PULL"}
				}
				if len(d.Offers) == 0 {
					d.Offers = []catalog.Offer{{ID: "offer:" + d.ID, Policy: open}}
				}
				if _, err := r.room.Publish(tx, tokyo, d); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			r.Fatal(err)
		}
	}
}

// ids walks from a cursor to the end and gives the ids of each page; it ends the
// test when the walk does not.
func (r rig) ids(at catalog.Cursor, back bool) (pages [][]string, last catalog.Cursor) {
	r.Helper()
	for range 10_000 {
		token, err := at.Token()
		if err != nil {
			r.Fatal(err)
		}
		if at, err = catalog.ParseToken(token); err != nil { // each page is reached as a counterpart reaches it
			r.Fatal(err)
		}
		page, err := r.room.Page(r.Context(), tokyo, kyoto, at)
		if err != nil {
			r.Fatal(err)
		}
		var ids []string
		for _, d := range page.Datasets {
			ids = append(ids, d.ID)
			if len(d.Offers) != 1 || d.Offers[0].ID != "offer:"+d.ID {
				r.Fatalf("%s has the offers %v", d.ID, d.Offers)
			}
		}
		pages = append(pages, ids)
		next := page.Next
		if back {
			next = page.Previous
		}
		if next == nil {
			return pages, at
		}
		at = *next
	}
	r.Fatal("the walk does not end")
	return nil, at
}

func where(member, operator string, values ...string) catalog.Criterion {
	return catalog.Criterion{Member: member, Operator: operator, Values: values}
}

// Each filter, by its plain meaning, in each order, with small and large pages,
// forward to the end and from there back to the beginning.
func TestPagesHoldWhatTheFilterMeans(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var all []catalog.Dataset
	for i := range 60 {
		d := catalog.Dataset{ID: fmt.Sprintf("urn:x:%02d", i), Title: fmt.Sprintf("Tide gauge %d", i%7), Service: "files"}
		if i%3 == 0 {
			d.Description = "10% of the harbour_north"
		}
		if i%4 == 0 {
			d.Meta = map[string]string{"dct:publisher": "Osaka", "https://x.example/rank": fmt.Sprint(i)}
		}
		if i%5 == 0 {
			d.Formats = []string{"HttpData-PULL", "HttpData-PUSH"}
		}
		if i%10 == 9 { // nobody may see it yet
			d.Offers = []catalog.Offer{{ID: "offer:" + d.ID, Policy: later}}
		}
		all = append(all, d)
	}
	r.publish(all...)
	cases := []struct {
		name string
		all  []catalog.Criterion
		want func(catalog.Dataset) bool
	}{
		{"all", nil, func(catalog.Dataset) bool { return true }},
		{"id", []catalog.Criterion{where("@id", "=", "urn:x:07")}, func(d catalog.Dataset) bool { return d.ID == "urn:x:07" }},
		{"id by EDC's name, one unseen, one unknown", []catalog.Criterion{where("https://w3id.org/edc/v0.0.1/ns/id", "in", "urn:x:41", "urn:x:09", "urn:x:03", "none")},
			func(d catalog.Dataset) bool { return d.ID == "urn:x:41" || d.ID == "urn:x:03" }},
		{"id not", []catalog.Criterion{where("id", "!=", "urn:x:07")}, func(d catalog.Dataset) bool { return d.ID != "urn:x:07" }},
		{"id above", []catalog.Criterion{where("id", ">=", "urn:x:50")}, func(d catalog.Dataset) bool { return d.ID >= "urn:x:50" }},
		{"title like", []catalog.Criterion{where("dct:title", "like", "Tide%3")}, func(d catalog.Dataset) bool { return strings.HasSuffix(d.Title, "3") }},
		{"title like tells capitals", []catalog.Criterion{where("title", "like", "tide%")}, func(catalog.Dataset) bool { return false }},
		{"title ilike", []catalog.Criterion{where("title", "ilike", "tIDE g_uge 4")}, func(d catalog.Dataset) bool { return strings.HasSuffix(d.Title, "4") }},
		{"description with what is escaped", []catalog.Criterion{where("description", "like", `10\% %harbour\_north`)}, func(d catalog.Dataset) bool { return d.Description != "" }},
		{"format", []catalog.Criterion{where("format", "=", "HttpData-PUSH")}, func(d catalog.Dataset) bool { return len(d.Formats) == 2 }},
		{"format not", []catalog.Criterion{where("format", "!=", "HttpData-PUSH")}, func(d catalog.Dataset) bool { return len(d.Formats) < 2 }},
		{"published member by its IRI", []catalog.Criterion{where("http://purl.org/dc/terms/publisher", "=", "Osaka")}, func(d catalog.Dataset) bool { return d.Meta != nil }},
		{"number", []catalog.Criterion{{Member: "https://x.example/rank", Operator: "<", Values: []string{"1.2e1"}, Number: true}},
			func(d catalog.Dataset) bool { return d.Meta != nil && d.ID < "urn:x:12" }},
		{"two criteria", []catalog.Criterion{where("id", "<", "urn:x:30"), where("title", "=", "Tide gauge 1")},
			func(d catalog.Dataset) bool { return d.ID < "urn:x:30" && d.Title == "Tide gauge 1" }},
	}
	for _, c := range cases {
		for _, order := range []struct{ title, desc bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
			var want []catalog.Dataset
			for i, d := range all {
				if i%10 != 9 && c.want(d) {
					want = append(want, d)
				}
			}
			slices.SortStableFunc(want, func(a, b catalog.Dataset) int {
				n := strings.Compare(a.ID, b.ID)
				if order.title && a.Title != b.Title {
					n = strings.Compare(a.Title, b.Title)
				}
				if order.desc {
					n = -n
				}
				return n
			})
			for _, limit := range []int{1, 7, 1000} {
				for _, offset := range []int{0, 5} {
					q := catalog.Query{Where: slices.Clone(c.all), ByTitle: order.title, Desc: order.desc, Limit: limit, Offset: offset}
					var ids []string
					for _, d := range want[min(offset, len(want)):] {
						ids = append(ids, d.ID)
					}
					pages, last := r.ids(catalog.Cursor{Query: q}, false)
					if got := slices.Concat(pages...); !slices.Equal(got, ids) {
						t.Errorf("%s, %+v, limit %d, offset %d: %v, want %v", c.name, order, limit, offset, got, ids)
					}
					for i, p := range pages[:len(pages)-1] {
						if len(p) != limit {
							t.Errorf("%s: page %d holds %d, limit %d", c.name, i, len(p), limit)
						}
					}
					if offset > 0 || len(ids) == 0 {
						continue
					}
					pages, _ = r.ids(last, true)
					slices.Reverse(pages)
					if got := slices.Concat(pages...); !slices.Equal(got, ids) {
						t.Errorf("%s, %+v, limit %d, back: %v, want %v", c.name, order, limit, got, ids)
					}
				}
			}
		}
	}
}

func TestAQueryBeyondTheLimitsIsRefusedByPlace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	many := make([]catalog.Criterion, 21)
	for i := range many {
		many[i] = where("id", "=", "x")
	}
	for _, c := range []struct {
		q     catalog.Query
		place string
	}{
		{catalog.Query{Offset: -1}, "/filter/0/offset"},
		{catalog.Query{Offset: 1_000_001}, "/filter/0/offset"},
		{catalog.Query{Limit: -1}, "/filter/0/limit"},
		{catalog.Query{Where: many}, "/filter/0/filterExpression"},
		{catalog.Query{Where: []catalog.Criterion{where("hasPolicy", "=", "x")}}, "/filter/0/filterExpression/0/operandLeft"},
		{catalog.Query{Where: []catalog.Criterion{where("id", "=", "x"), where("id", "contains", "x")}}, "/filter/0/filterExpression/1/operator"},
		{catalog.Query{Where: []catalog.Criterion{where("id", "=", "x", "y")}}, "/filter/0/filterExpression/0/operandRight"},
		{catalog.Query{Where: []catalog.Criterion{where("id", "in", make([]string, 101)...)}}, "/filter/0/filterExpression/0/operandRight"},
		{catalog.Query{Where: []catalog.Criterion{where("title", "like", strings.Repeat("x", 1025))}}, "/filter/0/filterExpression/0/operandRight"},
	} {
		_, err := r.room.Page(t.Context(), tokyo, kyoto, catalog.Cursor{Query: c.q})
		if f := fault.Of(err); f.Kind != fault.CatalogFilter || f.Place != c.place {
			t.Errorf("%+v: %v, want %s", c.q, err, c.place)
		}
	}
}

func TestADamagedTokenIsRefused(t *testing.T) {
	t.Parallel()
	token, err := catalog.Cursor{Query: catalog.Query{Limit: 3}}.Token()
	if err != nil {
		t.Fatal(err)
	}
	for i := range token {
		b := []byte(token)
		if b[i]++; b[i] == token[i] {
			continue
		}
		if _, err := catalog.ParseToken(string(b)); !errors.Is(err, fault.CatalogToken) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	for _, s := range []string{"", "x", token[:len(token)-1], token + "A", token + "="} {
		if _, err := catalog.ParseToken(s); !errors.Is(err, fault.CatalogToken) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// A query that finds nothing looks at a bounded number of datasets for one
// answer, and the answer leads on.
func TestOneAnswerLooksAtABoundedNumberOfDatasets(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.room.LookAt(60)
	r.publish(many(70)...)
	r.publish(catalog.Dataset{ID: "z", Title: "the last", Service: "files"})
	q := catalog.Query{Where: []catalog.Criterion{where("title", "=", "the last")}}
	pages, _ := r.ids(catalog.Cursor{Query: q}, false)
	if len(pages) != 2 || len(pages[0]) != 0 || len(pages[1]) != 1 {
		t.Errorf("the pages are %v", pages)
	}
	pages, _ = r.ids(catalog.Cursor{Query: catalog.Query{Offset: 69, Limit: 10}}, false)
	if got := slices.Concat(pages...); len(pages) != 2 || !slices.Equal(got, []string{"urn:x:00069", "z"}) {
		t.Errorf("the pages after an offset are %v", pages)
	}
}

func many(n int) []catalog.Dataset {
	all := make([]catalog.Dataset, n)
	for i := range all {
		all[i] = catalog.Dataset{ID: fmt.Sprintf("urn:x:%05d", i), Title: fmt.Sprintf("Dataset %d", i), Description: "counts of a week", Service: "files"}
	}
	return all
}

func TestFormatsAreNamedAsConnectorsReadThem(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, ok := range map[string]bool{"HttpData-PULL": true, "TAXII21-PULL": true, "Kafka-PUSH": true, "TAXII-2.1-PULL": false,
		"HttpData": false, "-PULL": false, "HttpData-pull": false, "Http Data-PULL": false, "": false} {
		err := r.db.Update(t.Context(), func(tx store.Tx) error {
			_, err := r.room.Publish(tx, tokyo, catalog.Dataset{Title: "x", Formats: []string{name}, Offers: []catalog.Offer{{Policy: open}}})
			return err
		})
		if ok != (err == nil) || !ok && !errors.Is(err, fault.FormatName) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestAnHTTPFormatIsShownAsHttpDataToo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.room.AlsoHTTP("taxii", "TAXII21-PULL")
	r.publish(
		catalog.Dataset{ID: "a", Title: "a", Service: "taxii", Formats: []string{"TAXII21-PULL"}},
		catalog.Dataset{ID: "b", Title: "b", Service: "taxii", Formats: []string{"Kafka-PULL"}},
		catalog.Dataset{ID: "c", Title: "c", Service: "files"})
	page, err := r.room.Page(t.Context(), tokyo, kyoto, catalog.Cursor{})
	if err != nil || len(page.Datasets) != 3 {
		t.Fatal(page, err)
	}
	for i, want := range []string{"TAXII21-PULL HttpData-PULL", "Kafka-PULL", "HttpData-PULL"} {
		if got := strings.Join(page.Datasets[i].Formats, " "); got != want {
			t.Errorf("%s: %s, want %s", page.Datasets[i].ID, got, want)
		}
	}
	if d, err := r.room.Kept(t.Context(), tokyo, "a"); err != nil || len(d.Formats) != 2 {
		t.Errorf("what transfers are judged by has %v, %v", d.Formats, err)
	}
}

func TestFurtherMembersHaveNamesThatMeanTheSameToAll(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, ok := range map[string]bool{"dct:publisher": true, "dcat:keyword": true, "https://x.example/rank": true,
		"dct:title": false, "publisher": false, "@id": false, "hasPolicy": false, "http://purl.org/dc/terms/publisher": false, "x:y": false} {
		err := r.db.Update(t.Context(), func(tx store.Tx) error {
			_, err := r.room.Publish(tx, tokyo, catalog.Dataset{Title: "x", Formats: []string{"HttpData-PULL"}, Meta: map[string]string{name: "v"},
				Offers: []catalog.Offer{{Policy: open}}})
			return err
		})
		if ok != (err == nil) || !ok && !errors.Is(err, fault.DatasetIncomplete) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestFurtherCatalogues(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	add := func(title, endpoint string) (f catalog.Further, err error) {
		err = r.db.Update(t.Context(), func(tx store.Tx) error {
			f, err = r.room.AddFurther(tx, tokyo, catalog.Further{Title: title, Endpoint: endpoint})
			return err
		})
		return f, err
	}
	for _, bad := range [][2]string{{"", "https://a.example/dsp"}, {"a", "a.example"}, {"a", "ftp://a.example"}, {"a", "https://u:p@a.example"}, {"a", "https://a.example/#x"}} {
		if _, err := add(bad[0], bad[1]); !errors.Is(err, fault.FurtherCatalog) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	var ids []string
	for i := range 100 {
		f, err := add(fmt.Sprint(i), "https://a.example/dsp")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, f.ID)
	}
	if _, err := add("one more", "https://a.example/dsp"); !errors.Is(err, fault.FurtherCatalog) {
		t.Errorf("the 101st: %v", err)
	}
	remove := func(id string) error {
		return r.db.Update(t.Context(), func(tx store.Tx) error { return r.room.RemoveFurther(tx, tokyo, id) })
	}
	if err := remove(ids[3]); err != nil {
		t.Error(err)
	}
	if err := remove(ids[3]); !errors.Is(err, fault.NotFound) {
		t.Errorf("again: %v", err)
	}
	if all, err := r.room.Further(t.Context(), tokyo); err != nil || len(all) != 99 || all[3].Title != "4" {
		t.Errorf("%d are left, %v", len(all), err)
	}
	if all, err := r.room.Further(t.Context(), "osaka"); err != nil || len(all) != 0 {
		t.Errorf("another participant shows %v, %v", all, err)
	}
}

func BenchmarkPage100Of10000(b *testing.B) {
	r := newRig(b)
	r.publish(many(10_000)...)
	for b.Loop() {
		page, err := r.room.Page(b.Context(), tokyo, kyoto, catalog.Cursor{})
		if err != nil || len(page.Datasets) != 100 {
			b.Fatal(len(page.Datasets), err)
		}
	}
}
