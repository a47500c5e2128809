package dsphttp

import (
	"net/http"
	"net/url"
	"testing"
)

// FuzzNextPage reads any Link header: the next page lies on the same host and is
// not the same page.
func FuzzNextPage(f *testing.F) {
	const at = "https://node.example/dsp/2025-1/catalog/request?continue=1"
	f.Add(`<https://node.example/x?continue=2>; rel="next"`)
	f.Add(`</x>; rel=prev, <?continue=2>; title="a,b"; rel=next`)
	f.Add(`<//elsewhere.example/>; rel="next"`)
	f.Add(`<>;rel=next`)
	f.Fuzz(func(t *testing.T, link string) {
		next, err := nextPage(at, http.Header{"Link": {link}})
		if err != nil || next == "" {
			return
		}
		u, err := url.Parse(next)
		if err != nil || u.Scheme != "https" || u.Host != "node.example" || next == at {
			t.Fatalf("%q leads to %q, %v", link, next, err)
		}
	})
}
