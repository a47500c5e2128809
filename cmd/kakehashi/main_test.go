package main

import (
	"slices"
	"testing"

	"kakehashi/cli"
	"kakehashi/ui/text"
)

func TestTheHelpOfEveryCommandHasItsTexts(t *testing.T) {
	t.Parallel()
	for _, lang := range text.Languages {
		p := text.For(lang)
		keys, err := cli.HelpKeys(wiring(), p)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			if !p.Has(k) {
				t.Errorf("%s: there is no text %s", lang, k)
			}
		}
		for _, k := range p.Keys("help.") {
			if !slices.Contains(keys, k) {
				t.Errorf("%s: no help asks for the text %s", lang, k)
			}
		}
	}
}
