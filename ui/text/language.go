package text

import (
	"strings"
	"sync"

	"golang.org/x/text/language"
)

// Language is the language of a command line: that of the flag, else of
// KAKEHASHI_LANG, else of the locale (LC_ALL, LC_MESSAGES, LANG; the first that
// is set decides, as POSIX has it), else English. "auto" counts as not set.
func Language(flag string, env func(string) (string, bool)) string {
	if lang, ok := known(flag); ok {
		return lang
	}
	if env == nil {
		return Languages[0]
	}
	if v, _ := env("KAKEHASHI_LANG"); v != "" {
		if lang, ok := known(v); ok {
			return lang
		}
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v, _ := env(name); v != "" {
			lang, _ := known(v)
			return lang
		}
	}
	return Languages[0]
}

// known finds the language of a tag or locale: ja, ja-JP, ja_JP.UTF-8. What is
// none of ours is English, with ok false.
func known(s string) (string, bool) {
	if i := strings.IndexAny(s, "-_.@"); i >= 0 {
		s = s[:i]
	}
	for _, lang := range Languages {
		if strings.EqualFold(s, lang) {
			return lang, true
		}
	}
	return Languages[0], false
}

var matcher = sync.OnceValue(func() language.Matcher {
	tags := make([]language.Tag, len(Languages))
	for i, l := range Languages {
		tags[i] = language.Make(l)
	}
	return language.NewMatcher(tags)
})

// maxAccept bounds the Accept-Language header that is looked at.
const maxAccept = 1 << 10

// FromAccept is the language of a browser: that of the cookie, in which a
// person's choice lies, else what Accept-Language (RFC 9110 section 12.5.4)
// prefers, else English.
func FromAccept(header, cookie string) string {
	if lang, ok := known(cookie); ok {
		return lang
	}
	if len(header) > maxAccept {
		header = header[:maxAccept]
	}
	tags, _, err := language.ParseAcceptLanguage(header)
	if err != nil || len(tags) == 0 {
		return Languages[0]
	}
	_, i, confidence := matcher().Match(tags...)
	if confidence == language.No {
		return Languages[0]
	}
	return Languages[i]
}
