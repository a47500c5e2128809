package main

import (
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// take NAME PREFIX sets $NAME to the first word of the last command's output
// that begins with PREFIX.
func take(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: take NAME PREFIX")
	}
	for _, word := range strings.Fields(ts.ReadFile("stdout")) {
		if strings.HasPrefix(word, args[1]) {
			ts.Setenv(args[0], strings.TrimRight(word, ",;"))
			return
		}
	}
	ts.Fatalf("no word begins with %q in %q", args[1], ts.ReadFile("stdout"))
}
