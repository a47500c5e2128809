package text

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

var (
	placeholder = regexp.MustCompile(`\{[a-z_]+\}`)
	// use is a text that is asked for: .T("key" in Go, .T "key" in a page. A
	// key that is put together, .T("help."+name), uses all that begin so.
	use = regexp.MustCompile(`\.T[ (]"([a-z0-9_.-]+)"(\s*\+)?`)
)

// A catalogue is used by the folders below its own root; that of the program by
// every folder.
func catalogues(t *testing.T) map[string]fs.FS {
	t.Helper()
	out := map[string]fs.FS{"": own}
	found, err := filepath.Glob(filepath.Join(root, "services", "*", "strings", "en.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		service, err := filepath.Rel(root, filepath.Dir(filepath.Dir(f)))
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.ToSlash(service)+"/"] = os.DirFS(filepath.Dir(f))
	}
	return out
}

func TestEveryTextSpeaksBothLanguagesWithTheSameNames(t *testing.T) {
	t.Parallel()
	for where, c := range catalogues(t) {
		words := map[string]map[string]string{}
		for _, lang := range Languages {
			w, err := read(c, lang)
			if err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			words[lang] = w
		}
		if k := lonely(words); k != "" {
			t.Errorf("%s: one language only: %s", where, k)
		}
		for k, en := range words["en"] {
			ja := words["ja"][k]
			a, b := names(en), names(ja)
			if !slices.Equal(a, b) {
				t.Errorf("%s%s: %v in English, %v in Japanese", where, k, a, b)
			}
			if strings.TrimSpace(en) == "" || strings.TrimSpace(ja) == "" {
				t.Errorf("%s%s is empty", where, k)
			}
		}
	}
}

// names are the placeholders of a text, each once: a language may repeat one.
func names(s string) []string {
	out := placeholder.FindAllString(s, -1)
	slices.Sort(out)
	return slices.Compact(out)
}

func TestEveryTextIsUsedAndEveryUseHasOne(t *testing.T) {
	t.Parallel()
	all := catalogues(t)
	words := map[string]map[string]string{}
	used := map[string]bool{} // folder of the catalogue + key
	for where, c := range all {
		w, err := read(c, "en")
		if err != nil {
			t.Fatal(err)
		}
		words[where] = w
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); path != root && (strings.HasPrefix(n, ".") || n == "testdata" || n == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		ext := filepath.Ext(path)
		if ext != ".go" && ext != ".html" && ext != ".tmpl" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		for _, m := range use.FindAllStringSubmatch(string(b), -1) {
			key, begins := m[1], m[2] != ""
			found := false
			for where := range all {
				if !strings.HasPrefix(filepath.ToSlash(rel), where) {
					continue
				}
				for k := range words[where] {
					if k == key || begins && strings.HasPrefix(k, key) {
						used[where+k], found = true, true
					}
				}
			}
			if !found {
				t.Errorf("%s: there is no text %q", rel, key)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for where := range all {
		for k := range words[where] {
			if !used[where+k] {
				t.Errorf("%stext %q is not used", where, k)
			}
		}
	}
}
