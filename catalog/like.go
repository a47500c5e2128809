package catalog

import (
	"strings"
	"unicode/utf8"
)

// like makes a test for a pattern, valid UTF-8, with % and _. It is done here and not in SQL,
// because the engines differ in what like says about capitals.
func like(pattern string, fold bool) func(string) bool {
	if fold {
		pattern = strings.ToLower(pattern)
	}
	parts := []part{{}}
	for len(pattern) > 0 {
		r, n := utf8.DecodeRuneInString(pattern)
		pattern = pattern[n:]
		last := &parts[len(parts)-1]
		switch {
		case r == '%':
			parts = append(parts, part{})
			continue
		case r == '_':
			r = anyRune
			last.any = true
		case r == '\\' && pattern != "":
			r, n = utf8.DecodeRuneInString(pattern)
			pattern = pattern[n:]
		}
		last.runes = append(last.runes, r)
	}
	for i := range parts {
		parts[i].text = string(parts[i].runes)
	}
	return func(s string) bool {
		if fold {
			s = strings.ToLower(s)
		}
		first, rest := parts[0], parts[1:]
		n, ok := first.at(s)
		if !ok {
			return false
		}
		if s = s[n:]; len(rest) == 0 {
			return s == ""
		}
		for _, p := range rest[:len(rest)-1] {
			end, ok := p.find(s)
			if !ok {
				return false
			}
			s = s[end:]
		}
		return rest[len(rest)-1].ends(s)
	}
}

// anyRune stands for _ in a part; it is no character of a text.
const anyRune = rune(-1)

// part is what stands between two % of a pattern.
type part struct {
	runes []rune
	text  string // the same where there is no _
	any   bool
}

// at says whether s begins with the part, and how many bytes that takes.
func (p part) at(s string) (int, bool) {
	if !p.any {
		return len(p.text), strings.HasPrefix(s, p.text)
	}
	n := 0
	for _, want := range p.runes {
		have, size := utf8.DecodeRuneInString(s[n:])
		if size == 0 || want != anyRune && want != have {
			return 0, false
		}
		n += size
	}
	return n, true
}

// find gives the end of the first place of the part in s.
func (p part) find(s string) (int, bool) {
	if !p.any {
		i := strings.Index(s, p.text)
		return i + len(p.text), i >= 0
	}
	for i := 0; ; {
		if n, ok := p.at(s[i:]); ok {
			return i + n, true
		}
		_, size := utf8.DecodeRuneInString(s[i:])
		if size == 0 {
			return 0, false
		}
		i += size
	}
}

// ends says whether s ends with the part.
func (p part) ends(s string) bool {
	if !p.any {
		return strings.HasSuffix(s, p.text)
	}
	i := len(s)
	for range p.runes {
		_, size := utf8.DecodeLastRuneInString(s[:i])
		if size == 0 {
			return false
		}
		i -= size
	}
	n, ok := p.at(s[i:])
	return ok && i+n == len(s)
}
