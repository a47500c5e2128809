package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"kakehashi/internal/fault"
	"kakehashi/store/postgres"
)

// Field describes one setting.
type Field struct {
	Name    string   // as in the file
	Default string   // as text; "<other>" stands for another setting; "" is none
	Choices []string // the only values, if any
	List    bool     // several values
	Bool    bool
	EN, JA  string

	kind     string // name text template url address store path file bool size count duration network choice
	min, max string
	write    bool // a new file always states it
	index    int
}

// Flag is its name on the command line, without the hyphens.
func (f Field) Flag() string { return strings.ReplaceAll(f.Name, "_", "-") }

// Env is its environment variable.
func (f Field) Env() string { return "KAKEHASHI_" + strings.ToUpper(f.Name) }

// Doc is its documentation in lang ("ja", else English).
func (f Field) Doc(lang string) string { return fault.Words{EN: f.EN, JA: f.JA}.In(lang) }

// Fields lists all settings in their order.
func Fields() []Field { return fields() }

var fields = sync.OnceValue(func() []Field {
	t := reflect.TypeFor[Settings]()
	var out []Field
	for i := range t.NumField() {
		sf := t.Field(i)
		tag := sf.Tag
		if !sf.IsExported() {
			continue
		}
		f := Field{
			Name: tag.Get("name"), Default: tag.Get("default"), EN: tag.Get("en"), JA: tag.Get("ja"),
			kind: tag.Get("kind"), min: tag.Get("min"), max: tag.Get("max"), write: tag.Get("init") == "write", index: i,
		}
		if c := tag.Get("choices"); c != "" {
			f.kind, f.Choices = "choice", strings.Split(c, ",")
		}
		typ := sf.Type
		if f.List = typ.Kind() == reflect.Slice; f.List {
			typ = typ.Elem()
		}
		switch typ {
		case reflect.TypeFor[bool]():
			f.kind, f.Bool = "bool", true
		case reflect.TypeFor[int]():
			f.kind = "count"
		case reflect.TypeFor[Size]():
			f.kind = "size"
		case reflect.TypeFor[time.Duration]():
			f.kind = "duration"
		case reflect.TypeFor[netip.Prefix]():
			f.kind = "network"
		}
		out = append(out, f)
	}
	return out
})

var names = sync.OnceValue(func() []string {
	var out []string
	for _, f := range Fields() {
		out = append(out, f.Name)
	}
	return out
})

func field(name string) Field {
	for _, f := range Fields() {
		if f.Name == name {
			return f
		}
	}
	return Field{}
}

// derived tells whether the default follows from other settings.
func (f Field) derived() bool { return strings.Contains(f.Default, "<") }

const (
	maxText = 200 // characters of a title
	maxName = 63
	maxHost = 253 // RFC 1035 section 2.3.4
)

var (
	validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	validHost = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)
)

// one parses a single value. base is the folder that relative paths start from.
func (f Field) one(text, base, place string) (any, *fault.Error) {
	wrong := func(k *fault.Kind, more ...any) (any, *fault.Error) {
		return nil, k.At(place, append([]any{"name", f.Name, "value", shown(text)}, more...)...)
	}
	if text == "" {
		return wrong(fault.SettingEmpty)
	}
	switch f.kind {
	case "bool":
		if text != "true" && text != "false" {
			return wrong(fault.SettingBool)
		}
		return text == "true", nil
	case "choice":
		for _, c := range f.Choices {
			if text == c {
				return text, nil
			}
		}
		return wrong(fault.SettingChoice, "choices", strings.Join(f.Choices, ", "))
	case "name":
		if len(text) > maxName || !validName.MatchString(text) {
			return wrong(fault.SettingName)
		}
	case "text", "template":
		if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxText || strings.ContainsFunc(text, unicode.IsControl) {
			return wrong(fault.SettingText, "max", maxText)
		}
	case "address":
		if !validAddress(text) {
			return wrong(fault.SettingAddress)
		}
	case "url":
		u, ok := plainURL(text)
		if !ok {
			return wrong(fault.SettingURL)
		}
		return u, nil
	case "store":
		if _, err := postgres.Parse(text); err != nil {
			return nil, fault.SettingStore.At(place, "name", f.Name) // the value may hold a password
		}
	case "path", "file":
		if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
			return wrong(fault.SettingPath)
		}
		if !filepath.IsAbs(text) {
			text = filepath.Join(base, text)
		}
		return filepath.Clean(text), nil
	case "size":
		lo, _ := parseSize(f.min)
		hi, _ := parseSize(f.max)
		n, ok := parseSize(text)
		if !ok || n < lo || n > hi {
			return wrong(fault.SettingSize, "min", f.min, "max", f.max)
		}
		return n, nil
	case "count":
		lo, _ := strconv.Atoi(f.min)
		hi, _ := strconv.Atoi(f.max)
		n, err := strconv.Atoi(text)
		if err != nil || n < lo || n > hi {
			return wrong(fault.SettingCount, "min", f.min, "max", f.max)
		}
		return n, nil
	case "duration":
		lo, _ := parseDuration(f.min)
		hi, _ := parseDuration(f.max)
		d, ok := parseDuration(text)
		if !ok || d < lo || d > hi {
			return wrong(fault.SettingDuration, "min", f.min, "max", f.max)
		}
		return d, nil
	case "network":
		p, err := netip.ParsePrefix(text)
		if err != nil || p != p.Masked() {
			return wrong(fault.SettingNetwork)
		}
		return p, nil
	}
	return text, nil
}

// set puts parsed values into the struct: one, or all of a list.
func (f Field) set(s *Settings, values []any) {
	v := reflect.ValueOf(s).Elem().Field(f.index)
	if !f.List {
		v.Set(reflect.ValueOf(values[0]).Convert(v.Type()))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, len(values)))
	for _, one := range values {
		v.Set(reflect.Append(v, reflect.ValueOf(one)))
	}
}

// texts gives what set has put as text that one takes again.
func (f Field) texts(s Settings) []string {
	v := reflect.ValueOf(s).Field(f.index)
	if !f.List {
		return []string{format(v.Interface())}
	}
	var out []string
	for i := range v.Len() {
		out = append(out, format(v.Index(i).Interface()))
	}
	return out
}

func format(v any) string {
	switch v := v.(type) {
	case Size:
		return formatSize(v)
	case time.Duration:
		return formatDuration(v)
	}
	return fmt.Sprint(v)
}

// shown is a value as an error repeats it: quoted, and cut if it is long.
func shown(s string) string {
	const most = 80
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "..."
	}
	return strconv.Quote(s)
}

func validAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != port {
		return false
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return host == "" || len(host) <= maxHost && validHost.MatchString(host)
}

func plainURL(s string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#") || u.Opaque != "" {
		return "", false
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return "", false
		}
	}
	return strings.TrimRight(s, "/"), true
}
