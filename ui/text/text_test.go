package text

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestLanguage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		flag string
		env  map[string]string
		want string
	}{
		{"", nil, "en"},
		{"ja", map[string]string{"LANG": "en_US.UTF-8"}, "ja"},
		{"auto", map[string]string{"LANG": "ja_JP.UTF-8"}, "ja"},
		{"", map[string]string{"KAKEHASHI_LANG": "en", "LANG": "ja_JP.UTF-8"}, "en"},
		{"", map[string]string{"LC_ALL": "C", "LANG": "ja_JP.UTF-8"}, "en"},
		{"", map[string]string{"LC_ALL": "", "LC_MESSAGES": "ja", "LANG": "C"}, "ja"},
		{"", map[string]string{"LANG": "jav_ID"}, "en"},
		{"", map[string]string{"LANG": "ja@cjk"}, "ja"},
	} {
		env := func(k string) (string, bool) { v, ok := c.env[k]; return v, ok }
		if got := Language(c.flag, env); got != c.want {
			t.Errorf("%q %v: %s", c.flag, c.env, got)
		}
	}
	if got := Language("ja", nil); got != "ja" {
		t.Errorf("without an environment: %s", got)
	}
}

func TestFromAccept(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ header, cookie, want string }{
		{"", "", "en"},
		{"ja-JP,ja;q=0.9,en;q=0.8", "", "ja"},
		{"ja-JP,ja;q=0.9,en;q=0.8", "en", "en"},
		{"en-GB,ja;q=0.5", "", "en"},
		{"de,ja;q=0.5", "", "ja"},
		{"de,fr", "", "en"},
		{"*", "", "en"},
		{";;;q=x", "", "en"},
		{"de", "xx", "en"},
		{strings.Repeat("de,", 10_000) + "ja", "", "en"},
	} {
		if got := FromAccept(c.header, c.cookie); got != c.want {
			t.Errorf("%.40q %q: %s", c.header, c.cookie, got)
		}
	}
}

func TestPrinter(t *testing.T) {
	t.Parallel()
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	one := fstest.MapFS{"en.json": file(`{"a":"{n} of {m}"}`), "ja.json": file(`{"a":"{m} 件中 {n} 件"}`)}
	c, err := New(one, fstest.MapFS{"en.json": file(`{"b":"x"}`), "ja.json": file(`{"b":"y"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.For("ja").T("a", "n", 1, "m", "{n}"); got != "{n} 件中 1 件" {
		t.Errorf("got %q", got)
	}
	if got := c.For("fr"); got.Lang() != "en" || got.T("b") != "x" || got.T("absent") != "absent" || got.Has("absent") {
		t.Errorf("got %v", got.Lang())
	}
	if (Printer{}).T("a") != "a" {
		t.Error("the zero Printer gives no key")
	}
	for name, bad := range map[string]fstest.MapFS{
		"twice":    one,
		"one only": {"en.json": file(`{"c":"x"}`), "ja.json": file(`{}`)},
		"doubled":  {"en.json": file(`{"c":"x","c":"y"}`), "ja.json": file(`{"c":"x"}`)},
		"no file":  {"en.json": file(`{}`)},
	} {
		if _, err := New(one, bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
