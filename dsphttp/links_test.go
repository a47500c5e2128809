package dsphttp

import (
	"net/url"
	"strings"
	"testing"
)

func TestLinkHeaders(t *testing.T) {
	t.Parallel()
	const at = "https://p.example/dsp/catalog/request?cursor=1"
	for _, c := range []struct{ lines, next, previous string }{
		{`<https://p.example/a>; rel="next"`, "https://p.example/a", ""},
		{`<https://p.example/a>; rel=next`, "https://p.example/a", ""},
		{`<https://p.example/a>;REL="NEXT"`, "https://p.example/a", ""},
		{`<?cursor=2>; rel="next"`, "https://p.example/dsp/catalog/request?cursor=2", ""},
		{`<https://p.example/a>; rel="next", <https://p.example/b>; rel="prev"`, "https://p.example/a", "https://p.example/b"},
		{"<https://p.example/a>; rel=\"next\"\n<https://p.example/b>; rel=\"previous\"", "https://p.example/a", "https://p.example/b"},
		{`<https://p.example/b>; rel="first previous",<https://p.example/a>; rel="last next"`, "https://p.example/a", "https://p.example/b"},
		{`<https://p.example/a?x=1,2;3>; title="a, <b>; rel=prev \" c"; rel="next"`, "https://p.example/a?x=1,2;3", ""},
		{`<https://p.example/a>; rel="next"; rel="prev"`, "https://p.example/a", ""},
		{`, ,<https://p.example/a> ; rel = "next" ,`, "https://p.example/a", ""},
		{`<https://p.example/a>; rel="nextish"`, "", ""},
		{`<https://p.example/a>`, "", ""},
		{`https://p.example/a; rel="next"`, "", ""},
		{`<https://p.example/a; rel="next"`, "", ""},
		{`<https://p.example/a>; rel="next`, "https://p.example/a", ""},
		{``, "", ""},
	} {
		lines := strings.Split(c.lines, "\n")
		next, err1 := linked(at, lines, "next")
		previous, err2 := linked(at, lines, "previous", "prev")
		if next != c.next || previous != c.previous || err1 != nil || err2 != nil {
			t.Errorf("%s: %q %q %v %v", c.lines, next, previous, err1, err2)
		}
	}
	if _, err := linked(at, []string{"<http://[>; rel=next"}, "next"); err == nil {
		t.Error("an address that is none is taken")
	}
}

func FuzzLinkHeader(f *testing.F) {
	for _, s := range []string{`<https://p.example/a>; rel="next", <b>; rel=prev`, `<a>;rel="a\"b";x`, `<>`, `<a>;;;,<b>;=`, "<a>; rel=\"next",
		`</x>; rel=prev, <?continue=2>; title="a,b"; rel=next`, `<//elsewhere.example/>; rel="next"`, `<>;rel=next`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		links := readLinks([]string{s})
		if len(links) > maxLinks {
			t.Errorf("%d links", len(links))
		}
		for _, l := range links {
			if !strings.Contains(s, l.target) {
				t.Errorf("the target %q is not in %q", l.target, s)
			}
		}
		next, err := linked("https://p.example/x", []string{s}, "next")
		if err != nil || next == "" {
			return
		}
		if u, err := url.Parse(next); err != nil || !u.IsAbs() {
			t.Errorf("%q leads to %q, %v", s, next, err)
		} else if same := u.Scheme == "https" && u.Host == "p.example" && u.User == nil; same != sameOrigin("https://p.example/x", next) {
			t.Errorf("%q is of the same origin: %v", next, !same)
		}
	})
}
