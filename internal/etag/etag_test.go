package etag

import "testing"

func TestIfNoneMatch(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{`"a"`: true, `W/"a"`: true, `"b", "a"`: true, `*`: true, `a`: false, `"b"`: false, ``: false, `"a-gzip"`: false} {
		if got := Holds([]string{line}, `"a"`); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}
