package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kakehashi/conformance/conversations"
	"kakehashi/conformance/result"
	"kakehashi/conformance/script"
)

func kitsConversations(t *testing.T) []script.Conversation {
	t.Helper()
	all, err := script.Load(conversations.Files)
	if err != nil {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(c script.Conversation) bool { return !official.MatchString(c.ID) })
	if len(all) != 67 {
		t.Fatalf("%d conversations of the kit", len(all))
	}
	return all
}

// said is what the kit prints when all that it runs passes.
func said(all []script.Conversation) []string {
	var lines []string
	for _, c := range all {
		if c.Disabled == "" {
			lines = append(lines, "[2026-11-23T22:50:12] SUCCESSFUL: "+c.ID)
		}
	}
	return append(lines, "kit found=67 succeeded=65 failed=0 skipped=2")
}

func heard(lines []string, all []script.Conversation) (outcome, bool) {
	o := outcome{cases: map[string]bool{}, failures: map[string]string{}}
	ended := false
	for _, l := range lines {
		ended = o.read(l) || ended
	}
	o.judge(all)
	return o, ended
}

func TestOnlyAKitThatSaysSoPasses(t *testing.T) {
	t.Parallel()
	all := kitsConversations(t)
	o, ended := heard(said(all), all)
	if want := (result.Counts{Found: 67, Pass: 65, Disabled: 2}); o.counts != want || !ended {
		t.Fatalf("%+v, ended %t", o.counts, ended)
	}
	for name, change := range map[string]func([]string) []string{
		"a case is absent": func(l []string) []string { return l[1:] },
		"a case failed": func(l []string) []string {
			l[3] = strings.Replace(l[3], "SUCCESSFUL", "FAILED", 1)
			return l
		},
		"the counts tell of a failure": func(l []string) []string {
			l[len(l)-1] = "kit found=67 succeeded=64 failed=1 skipped=2"
			return l
		},
		"a case was skipped": func(l []string) []string {
			l[len(l)-1] = "kit found=67 succeeded=64 failed=0 skipped=3"
			return l
		},
		"nothing ran": func([]string) []string { return []string{"kit found=0 succeeded=0 failed=0 skipped=0"} },
	} {
		if o, _ := heard(change(said(all)), all); o.counts.Code() != result.Failed {
			t.Errorf("%s: passes with %+v", name, o.counts)
		}
	}
	if _, ended := heard(said(all)[:65], all); ended {
		t.Error("a kit that broke off counts as ended")
	}
}

func TestTheDocumentListsEachCaseAsPassed(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "conformance.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := kitsConversations(t)
	o, _ := heard(said(all), all)
	pom, err := os.ReadFile(filepath.Join("kit", "pom.xml"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(pom), "<kit.version>")
	version, _, _ := strings.Cut(after, "<")
	if want := document(version, o, all); string(doc) != want {
		t.Error("docs/conformance.md is not what a complete run of this kit writes: make tck UPDATE=1")
	}
}
