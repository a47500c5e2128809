package main

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"kakehashi/cli"
)

// Both READMEs hold the same commands, in the same order.
func TestTheREADMEsHoldTheSameCommands(t *testing.T) {
	t.Parallel()
	commands := func(name string) []string {
		b, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
			for _, line := range strings.Split(strings.TrimSpace(block[1]), "\n") {
				out = append(out, strings.TrimSpace(line))
			}
		}
		return out
	}
	en, ja := commands("README.md"), commands("README.ja.md")
	if len(en) < 5 || !slices.Equal(en, ja) {
		t.Errorf("the commands differ:\nREADME.md    %q\nREADME.ja.md %q", en, ja)
	}
}

// Each command that the agenda's page names does what it says there.
func TestTheAgendasCommandsRun(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../docs/agenda.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, m := range regexp.MustCompile("`go run ./cmd/kakehashi ([^`]+)`").FindAllStringSubmatch(string(b), -1) {
		found[m[1]] = true
	}
	if len(found) < 2 {
		t.Fatalf("the page names %d commands: the search is broken", len(found))
	}
	for line := range found {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			env := cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Now: time.Now,
				LookupEnv: func(string) (string, bool) { return "", false }}
			if code := cli.Main(t.Context(), append(strings.Fields(line), "--json"), env, wiring()); code != 0 {
				t.Errorf("exit %d\n%s%s", code, out.String(), errs.String())
			}
		})
	}
}
