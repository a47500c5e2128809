package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"kakehashi/internal/fault"
)

// Source is where settings come from. What a flag says goes before what the
// environment says, that before the file, and the default comes last.
type Source struct {
	// Path of the YAML file; "" for none. Relative paths in it, and those of
	// defaults, start from its folder; those of flags and environment from Dir.
	Path string
	// New: the file is about to be written, it need not be there yet.
	New bool
	// Dir is the working folder; "" is the process's.
	Dir string
	// Env looks up an environment variable, as os.LookupEnv; nil: none is read.
	Env func(string) (string, bool)
	// Flags by the name of the setting. Lists are separated by commas, as in
	// the environment.
	Flags map[string]string
}

// Faults is all that is wrong with the settings, in the order of the file and
// then of the settings. errors.Is finds each kind of it.
type Faults []*fault.Error

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, e := range f {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "; ")
}

func (f Faults) Unwrap() []error {
	out := make([]error, len(f))
	for i, e := range f {
		out[i] = e
	}
	return out
}

// Load reads, checks and completes the settings. The error is Faults and holds
// every fault at once; the Settings are then of no use.
func Load(src Source) (Settings, error) {
	s := Settings{places: map[string]string{}}
	dir := src.Dir
	if dir == "" {
		d, err := os.Getwd()
		if err != nil {
			return s, Faults{fault.ConfigUnreadable.At(".", "reason", reason(err)).Because(err)}
		}
		dir = d
	}
	base := dir
	var faults Faults
	file := map[string]given{}
	if src.Path != "" {
		full := src.Path
		if !filepath.IsAbs(full) {
			full = filepath.Join(dir, full)
		}
		base = filepath.Dir(full)
		var wrong []*fault.Error
		if _, err := os.Stat(full); !src.New || !errors.Is(err, fs.ErrNotExist) {
			file, wrong = readFile(src.Path, full)
		}
		faults = append(faults, wrong...)
	}
	known := map[string]bool{}
	failed := map[string]bool{}
	for _, f := range Fields() {
		known[f.Name] = true
		g, ok := src.outside(f, dir)
		if !ok {
			g, ok = file[f.Name]
		}
		if !ok {
			if f.Default == "" || f.derived() {
				continue
			}
			g = given{texts: []string{f.Default}, base: base}
		}
		values := make([]any, 0, len(g.texts))
		for _, t := range g.texts {
			v, wrong := f.one(t, g.base, g.place)
			if wrong != nil {
				faults = append(faults, wrong)
				failed[f.Name] = true
				continue
			}
			values = append(values, v)
		}
		if !failed[f.Name] {
			f.set(&s, values)
			if g.place != "" {
				s.places[f.Name] = g.place
			}
		}
	}
	var strange []string
	for name := range src.Flags {
		if !known[name] {
			strange = append(strange, name)
		}
	}
	sort.Strings(strange)
	for _, name := range strange {
		faults = append(faults, unknown(name, "--"+strings.ReplaceAll(name, "_", "-")))
	}
	c := check{s: &s, failed: failed, faults: &faults, src: src}
	c.complete()
	c.rules()
	if len(faults) > 0 {
		return s, faults
	}
	return s, nil
}

// outside is what flag or environment say of a setting.
func (src Source) outside(f Field, dir string) (given, bool) {
	text, place := "", ""
	if v, ok := src.Flags[f.Name]; ok {
		text, place = v, "--"+f.Flag()
	} else if src.Env == nil {
		return given{}, false
	} else if v, ok := src.Env(f.Env()); ok {
		text, place = v, f.Env()
	} else {
		return given{}, false
	}
	g := given{texts: []string{text}, base: dir, place: place}
	if f.List {
		g.texts = strings.Split(text, ",")
		for i := range g.texts {
			g.texts[i] = strings.TrimSpace(g.texts[i])
		}
	}
	return g, true
}
