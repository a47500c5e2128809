// Package text holds the sentences of the program in English and Japanese: a
// catalogue of keys for each language, a Printer that fills them in, and the
// choice of the language of a command line or of a browser. Faults carry their
// own two texts (internal/fault), and so do settings (config); what speaks to
// programs, such as logs and wire formats, is English and not here.
package text

import (
	"embed"
	"fmt"
	"io/fs"
	"sort"
	"strings"
	"sync"

	"kakehashi/internal/strictjson"
)

// Languages are those that every text exists in; the first is the one that is
// taken when nothing else fits.
var Languages = []string{"en", "ja"}

//go:embed en.json ja.json
var own embed.FS

// Catalogue is a set of texts in all languages. It is safe for concurrent use.
type Catalogue struct {
	words map[string]func() map[string]string // by language, read when first asked for
}

// Own is the catalogue of the program itself, as New takes it; services give
// theirs beside it.
func Own() fs.FS { return own }

// New merges catalogues; each file system holds en.json and ja.json, one flat
// object of key and text. A key that stands in two of them, or in one language
// only, is an error.
func New(sources ...fs.FS) (*Catalogue, error) {
	merged := map[string]map[string]string{}
	for _, lang := range Languages {
		merged[lang] = map[string]string{}
		for _, src := range sources {
			words, err := read(src, lang)
			if err != nil {
				return nil, err
			}
			for k, v := range words {
				if _, twice := merged[lang][k]; twice {
					return nil, fmt.Errorf("text %q stands in two catalogues", k)
				}
				merged[lang][k] = v
			}
		}
	}
	if k := lonely(merged); k != "" {
		return nil, fmt.Errorf("text %q lacks a language", k)
	}
	c := &Catalogue{words: map[string]func() map[string]string{}}
	for lang, words := range merged {
		c.words[lang] = func() map[string]string { return words }
	}
	return c, nil
}

func lonely(merged map[string]map[string]string) string {
	count := map[string]int{}
	for _, words := range merged {
		for k := range words {
			count[k]++
		}
	}
	var out []string
	for k, n := range count {
		if n != len(Languages) {
			out = append(out, k)
		}
	}
	sort.Strings(out)
	return strings.Join(out, ", ")
}

func read(src fs.FS, lang string) (map[string]string, error) {
	b, err := fs.ReadFile(src, lang+".json")
	if err != nil {
		return nil, fmt.Errorf("read catalogue: %w", err)
	}
	var words map[string]string
	if err := strictjson.Decode(b, &words); err != nil {
		return nil, fmt.Errorf("read catalogue %s: %w", lang, err)
	}
	return words, nil
}

// program reads one language at its first use: a command speaks only one.
var program = func() *Catalogue {
	c := &Catalogue{words: map[string]func() map[string]string{}}
	for _, lang := range Languages {
		c.words[lang] = sync.OnceValue(func() map[string]string {
			words, err := read(own, lang)
			if err != nil {
				return nil // a test reads both files; without them keys are shown
			}
			return words
		})
	}
	return c
}()

// For is a printer of the program's own texts; a language that it does not
// know is English.
func For(lang string) Printer { return program.For(lang) }

// For is a printer in lang; a language that it does not know is English.
func (c *Catalogue) For(lang string) Printer {
	words, ok := c.words[lang]
	if !ok {
		lang = Languages[0]
		words = c.words[lang]
	}
	return Printer{lang: lang, words: words}
}

// Printer gives texts in one language. The zero Printer gives keys.
type Printer struct {
	lang  string
	words func() map[string]string
}

// Lang is "en" or "ja", as fault and bundle take it.
func (p Printer) Lang() string { return p.lang }

// Has tells whether there is a text for key.
func (p Printer) Has(key string) bool {
	if p.words == nil {
		return false
	}
	_, ok := p.words()[key]
	return ok
}

// T is the text for key; args are pairs of name and value that replace {name}.
// A key that is not there is given back itself; a test keeps that from
// happening.
func (p Printer) T(key string, args ...any) string {
	s := key
	if p.words != nil {
		if w, ok := p.words()[key]; ok {
			s = w
		}
	}
	if len(args) < 2 {
		return s
	}
	pairs := make([]string, 0, len(args))
	for i := 0; i+1 < len(args); i += 2 {
		pairs = append(pairs, "{"+fmt.Sprint(args[i])+"}", fmt.Sprint(args[i+1]))
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

// Keys lists the keys that begin with prefix, for tests.
func (p Printer) Keys(prefix string) []string {
	var out []string
	if p.words != nil {
		for k := range p.words() {
			if strings.HasPrefix(k, prefix) {
				out = append(out, k)
			}
		}
	}
	sort.Strings(out)
	return out
}
