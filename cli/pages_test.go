package cli

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"kakehashi/ui/text"
)

func TestListsFollowTheirPagesWhenAsked(t *testing.T) {
	t.Parallel()
	var asked []string
	read := func(cursor string) (string, int, error) {
		asked = append(asked, cursor)
		switch cursor {
		case "":
			return "b", 3, nil
		case "b":
			return "c", 0, nil
		}
		return "", 0, nil
	}
	if total, err := pages(false, read); total != 3 || err != nil || !slices.Equal(asked, []string{""}) {
		t.Errorf("the first page: %d, %v, asked %v", total, err, asked)
	}
	asked = nil
	if total, err := pages(true, read); total != 3 || err != nil || !slices.Equal(asked, []string{"", "b", "c"}) {
		t.Errorf("all: %d, %v, asked %v", total, err, asked)
	}
	fails := errors.New("gone")
	if _, err := pages(true, func(cursor string) (string, int, error) {
		if cursor == "b" {
			return "b", 0, fails
		}
		return "b", 3, nil
	}); !errors.Is(err, fails) {
		t.Errorf("a page that fails: %v", err)
	}
	for lang, want := range map[string]string{"en": "2 of 3", "ja": "3 件のうち 2 件"} {
		var b bytes.Buffer
		c := &Context{Env: Env{Stdout: &b}, Text: text.For(lang)}
		if err := errors.Join(c.shown(2, 3), c.shown(3, 3)); err != nil || strings.Count(b.String(), want) != 1 || !strings.Contains(b.String(), "--all") {
			t.Errorf("%s: %q, %v", lang, b.String(), err)
		}
	}
}
