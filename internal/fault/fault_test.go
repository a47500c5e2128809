package fault

import (
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strings"
	"testing"
)

func TestAFaultIsItsKindAndTellsPlaceAndRemedy(t *testing.T) {
	t.Parallel()
	cause := errors.New("disk says no")
	err := fmt.Errorf("publish: %w", BadMessage.At("/offer", "reason", "doubled member").Because(cause))
	if !errors.Is(err, BadMessage) || errors.Is(err, NotFound) || !errors.Is(err, cause) {
		t.Fatal("errors.Is does not see the kind or the cause")
	}
	if got := Of(err).Remedy("en"); !strings.Contains(got, "/offer") {
		t.Errorf("remedy %q does not name the place", got)
	}
	if got := Of(err).What("ja"); !strings.Contains(got, "doubled member") {
		t.Errorf("text %q does not name the reason", got)
	}
	if Of(cause).Kind != Internal {
		t.Error("an unknown error is not internal")
	}
}

func TestEveryKindSpeaksBothLanguagesWithTheSameNames(t *testing.T) {
	t.Parallel()
	names := func(s string) string {
		all := regexp.MustCompile(`\{[a-z_]+\}`).FindAllString(s, -1)
		sort.Strings(all)
		return strings.Join(all, "")
	}
	for _, k := range All() {
		for part, w := range map[string]Words{"what": k.What, "remedy": k.Remedy} {
			if w.EN == "" || w.JA == "" {
				t.Errorf("%s: %s lacks a language", k.Code, part)
			}
			if names(w.EN) != names(w.JA) {
				t.Errorf("%s: %s names %q in English and %q in Japanese", k.Code, part, names(w.EN), names(w.JA))
			}
		}
		if k.Status < 400 || k.Status > 599 {
			t.Errorf("%s: status %d", k.Code, k.Status)
		}
	}
}
