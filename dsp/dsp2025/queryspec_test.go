package dsp2025_test

import (
	"reflect"
	"strings"
	"testing"

	"kakehashi/dsp/dsp2025"
	"kakehashi/dsp/dsp2025/conform"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

// What is written is valid, and reads as it was meant, also by way of expansion.
func TestAQuerySpecIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	for _, q := range []dsp2025.QuerySpec{
		{},
		{Offset: 20, Limit: 10, SortField: "title", Desc: true},
		{SortField: "id", Criteria: []dsp2025.Criterion{
			{Left: "id", Operator: "in", Right: []string{"urn:a", "urn:b"}},
			{Left: "id", Operator: "in", Right: []string{"urn:a"}},
			{Left: "dct:title", Operator: "ilike", Right: []string{`%潮位 "x"%`}},
			{Left: "https://x.example/rank", Operator: ">=", Right: []string{"10.5"}, Number: true}}},
	} {
		filter, err := q.Filter()
		if err != nil {
			t.Fatal(err)
		}
		body, err := dsp2025.Marshal(&dsp2025.CatalogRequest{Filter: filter})
		if err != nil {
			t.Fatal(err)
		}
		if err := conform.Check("catalog/catalog-request-message", body); err != nil {
			t.Error(err)
		}
		inline := strings.Replace(string(body), `["`+dsp2025.ContextURL+`"]`, `["`+dsp2025.ContextURL+`",{"x":"https://x.example/"}]`, 1)
		for _, b := range []string{string(body), inline} {
			m, err := dsp2025.Decode[dsp2025.CatalogRequest]([]byte(b))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := dsp2025.ReadQuerySpec(m.Filter); err != nil || !reflect.DeepEqual(got, q) {
				t.Errorf("%s\n%+v %v, want %+v", b, got, err, q)
			}
		}
	}
}

func TestAQuerySpecThatIsNotUnderstoodIsRefusedByPlace(t *testing.T) {
	t.Parallel()
	for filter, place := range map[string]string{
		`[1]`:                                "/filter/0",
		`["x"]`:                              "/filter/0",
		`[{},{}]`:                            "/filter/1",
		`[{"x":1}]`:                          "/filter/0/x",
		`[{"limit":0}]`:                      "/filter/0/limit",
		`[{"limit":1.5}]`:                    "/filter/0/limit",
		`[{"limit":[1,2]}]`:                  "/filter/0/limit",
		`[{"offset":-1}]`:                    "/filter/0/offset",
		`[{"offset":99999999999}]`:           "/filter/0/offset",
		`[{"limit":1,"edc:limit":2}]`:        "/filter/0",
		`[{"sortOrder":"up"}]`:               "/filter/0/sortOrder",
		`[{"sortField":{"x":1}}]`:            "/filter/0/sortField",
		`[{"@type":"Criterion"}]`:            "/filter/0/@type",
		`[{"filterExpression":["x"]}]`:       "/filter/0/filterExpression/0",
		`[{"filterExpression":[{}]}]`:        "/filter/0/filterExpression/0/operandLeft",
		`[{"filterExpression":[{"and":1}]}]`: "/filter/0/filterExpression/0/and",
		`[{"filterExpression":[{"operandLeft":"id"}]}]`:                                              "/filter/0/filterExpression/0/operator",
		`[{"filterExpression":[{"operandLeft":"id","operator":"="}]}]`:                               "/filter/0/filterExpression/0/operandRight",
		`[{"filterExpression":[{"operandLeft":"id","operator":"=","operandRight":[]}]}]`:             "/filter/0/filterExpression/0/operandRight",
		`[{"filterExpression":[{"operandLeft":"id","operator":"=","operandRight":null}]}]`:           "/filter/0/filterExpression/0/operandRight",
		`[{"filterExpression":[{"operandLeft":"id","operator":"in","operandRight":["a",{"b":1}]}]}]`: "/filter/0/filterExpression/0/operandRight/1",
	} {
		var raw []strictjson.Raw
		if err := strictjson.DecodeOpen([]byte(filter), &raw); err != nil {
			t.Fatal(err)
		}
		_, err := dsp2025.ReadQuerySpec(raw)
		if f := fault.Of(err); f.Kind != fault.CatalogFilter || f.Place != place {
			t.Errorf("%s: %v, want %s", filter, err, place)
		}
	}
}

func FuzzQuerySpec(f *testing.F) {
	for _, s := range []string{
		`{"@type":"QuerySpec","offset":0,"limit":50,"sortOrder":"ASC","sortField":"id","filterExpression":[{"operandLeft":"id","operator":"in","operandRight":["a",1,true]}]}`,
		`{"edc:filterExpression":{"@list":[{"edc:operandLeft":{"@value":"x"},"edc:operator":[{"@value":"="}],"edc:operandRight":{"@value":1}}]}}`,
		`{"https://w3id.org/edc/v0.0.1/ns/limit":[{"@value":1}]}`, `[]`, `{"@type":[[["QuerySpec"]]]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if !strictjson.Raw(b).IsValid() {
			return
		}
		q, err := dsp2025.ReadQuerySpec([]strictjson.Raw{b})
		if err != nil {
			if e := fault.Of(err); e.Kind != fault.CatalogFilter || !strings.HasPrefix(e.Place, "/filter/0") {
				t.Fatalf("%s: %v", b, err)
			}
			return
		}
		written, err := q.Filter()
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		again, err := dsp2025.ReadQuerySpec(written)
		if q.SortField == "" {
			q.Desc = false // it orders nothing then
		}
		if err != nil || !reflect.DeepEqual(again, q) {
			t.Fatalf("%s\n%+v\n%+v %v", b, q, again, err)
		}
	})
}
