package main

import (
	"strings"
	"testing"

	"kakehashi/conformance/result"
)

func TestTestsAreCountedAsTheyEnded(t *testing.T) {
	t.Parallel()
	stream := `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"quiet\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB/x","Output":"loud\n"}
{"Action":"fail","Package":"p","Test":"TestB/x"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestC","Output":"why not\n"}
{"Action":"skip","Package":"p","Test":"TestC"}
{"Action":"output","Package":"p","Output":"FAIL\n"}
{"Action":"fail","Package":"p"}
# q
q/x.go:1: does not build
{"Action":"output","Package":"r","Test":"TestD","Output":"panic: gone\n"}
{"Action":"fail","Package":"r"}
`
	var out strings.Builder
	c, err := count(strings.NewReader(stream), &out)
	if err != nil {
		t.Fatal(err)
	}
	if want := (result.Counts{Found: 5, Pass: 1, Fail: 3, Skip: 1}); c != want {
		t.Errorf("%+v, want %+v", c, want)
	}
	if got, want := out.String(), "loud\nwhy not\nFAIL\n# q\nq/x.go:1: does not build\npanic: gone\n"; got != want {
		t.Errorf("it wrote\n%s", got)
	}
}
