package catalog_test

import (
	"strings"
	"testing"

	"kakehashi/catalog"
)

// slowLike says what like means, plainly: a table over both texts.
func slowLike(pattern, text string, fold bool) bool {
	if fold {
		pattern, text = strings.ToLower(pattern), strings.ToLower(text)
	}
	type step struct {
		any, one bool
		r        rune
	}
	var steps []step
	runes := []rune(pattern)
	for i := 0; i < len(runes); i++ {
		switch {
		case runes[i] == '%':
			steps = append(steps, step{any: true})
		case runes[i] == '_':
			steps = append(steps, step{one: true})
		case runes[i] == '\\' && i+1 < len(runes):
			i++
			steps = append(steps, step{r: runes[i]})
		default:
			steps = append(steps, step{r: runes[i]})
		}
	}
	have := []rune(text)
	can := make([]bool, len(have)+1) // the steps so far can end before have[i]
	can[0] = true
	for _, s := range steps {
		next := make([]bool, len(have)+1)
		for i := range next {
			switch {
			case s.any:
				next[i] = can[i] || i > 0 && next[i-1]
			case i > 0:
				next[i] = can[i-1] && (s.one || s.r == have[i-1])
			}
		}
		can = next
	}
	return can[len(have)]
}

func TestLike(t *testing.T) {
	t.Parallel()
	texts := []string{"", "a", "ab", "aab", "aXb", "a%b", "潮位 a_b", "ba", "abab", "AB", "a\\b"}
	patterns := []string{"", "%", "%%", "_", "__", "a%", "%a", "%a%", "a_b", "a%b", `a\%b`, `%a\_b`, "%_b", "a_%", "_%_", "%ab%ab%", "潮_ %", "a\\", `a\\b`, "%b%a"}
	hits := 0
	for _, p := range patterns {
		for _, s := range texts {
			for _, fold := range []bool{false, true} {
				want := slowLike(p, s, fold)
				if got := catalog.Like(p, fold)(s); got != want {
					t.Errorf("%q like %q, fold %v: %v", s, p, fold, got)
				}
				if want {
					hits++
				}
			}
		}
	}
	if hits < 60 {
		t.Errorf("%d hits", hits)
	}
}
