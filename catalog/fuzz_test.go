package catalog_test

import (
	"errors"
	"testing"
	"unicode/utf8"

	"kakehashi/catalog"
	"kakehashi/internal/fault"
)

// FuzzToken reads any token: it is refused by name, or written again as it was.
func FuzzToken(f *testing.F) {
	for _, c := range []catalog.Cursor{{}, {Query: catalog.Query{Limit: 3, ByTitle: true, Where: []catalog.Criterion{{Member: "id", Operator: "in", Values: []string{"a"}}}}, Back: true, Skip: 2}} {
		s, err := c.Token()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(s)
	}
	f.Add("AAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := catalog.ParseToken(s)
		if err != nil {
			if !errors.Is(err, fault.CatalogToken) {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if _, err := c.Token(); err != nil {
			t.Fatalf("%q: %+v: %v", s, c, err)
		}
	})
}

func FuzzPattern(f *testing.F) {
	f.Add("%a_b\\%", "xxaxb%", true)
	f.Add("é_%", "éa", false)
	f.Add("%%__", "", true)
	f.Fuzz(func(t *testing.T, pattern, text string, fold bool) {
		if len(pattern) > 200 || len(text) > 200 || !utf8.ValidString(pattern) || !utf8.ValidString(text) { // JSON is UTF-8
			return
		}
		if catalog.Like(pattern, fold)(text) != slowLike(pattern, text, fold) {
			t.Errorf("%q like %q, fold %v: %v", text, pattern, fold, !slowLike(pattern, text, fold))
		}
	})
}
