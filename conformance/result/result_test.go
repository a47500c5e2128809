package result_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"kakehashi/conformance/result"
)

func TestOnlyACompleteRunPasses(t *testing.T) {
	t.Parallel()
	good := result.Counts{Found: 67, Pass: 65, Disabled: 2}
	for name, c := range map[string]result.Counts{
		"nothing ran":     {},
		"one failed":      {Found: 67, Pass: 64, Fail: 1, Disabled: 2},
		"one was skipped": {Found: 67, Pass: 64, Skip: 1, Disabled: 2},
		"one is missing":  {Found: 67, Pass: 64, Disabled: 2},
	} {
		if c.Code() != result.Failed {
			t.Errorf("%s: passes", name)
		}
		if result.Worst([]result.Counts{good, c}).Code() != result.Failed {
			t.Errorf("%s in one of two runs: passes", name)
		}
	}
	if good.Code() != result.Passed || result.Worst([]result.Counts{good, good}) != good {
		t.Error("a complete run does not pass")
	}
	var b strings.Builder
	good.Print(&b, "dsp-tck", "1.2")
	if got, want := b.String(), "RESULT dsp-tck found=67 pass=65 fail=0 skip=0 disabled=2 version=1.2\n"; got != want {
		t.Errorf("%q", got)
	}
}

func TestAnErrorNeverEndsWell(t *testing.T) {
	t.Parallel()
	missing := errors.New("missing")
	for _, c := range []struct {
		code int
		err  error
		want int
	}{
		{result.Passed, nil, result.Passed},
		{result.Failed, nil, result.Failed},
		{result.Passed, errors.New("broken"), result.Failed},
		{result.Passed, fmt.Errorf("%w: a tool", missing), result.Skipped},
	} {
		if got := result.End("x", c.code, c.err, missing); got != c.want {
			t.Errorf("%d, %v: ends with %d, want %d", c.code, c.err, got, c.want)
		}
	}
}
