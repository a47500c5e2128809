package dsphttp

import (
	"net/url"
	"strings"
)

// link is one link of a Link header.
type link struct {
	target string
	rels   []string // lower case
}

// maxLinks bounds what is read of the Link headers of one answer.
const maxLinks = 64

// readLinks reads Link headers (RFC 8288, 3): several headers, or one with
// commas; what is not well formed ends the reading of its line.
func readLinks(lines []string) []link {
	var out []link
	for _, s := range lines {
		for len(out) < maxLinks {
			s = strings.TrimLeft(s, " \t,")
			if !strings.HasPrefix(s, "<") {
				break
			}
			target, rest, ok := strings.Cut(s[1:], ">")
			if !ok {
				break
			}
			l := link{target: strings.TrimSpace(target)}
			seen := false
			for s = strings.TrimLeft(rest, " \t"); strings.HasPrefix(s, ";"); s = strings.TrimLeft(s, " \t") {
				var name, value string
				name, value, s = parameter(s[1:])
				if strings.EqualFold(name, "rel") && !seen { // further ones are passed over (3.3)
					seen = true
					l.rels = strings.Fields(strings.ToLower(value))
				}
			}
			out = append(out, l)
			if s != "" && !strings.HasPrefix(s, ",") {
				break
			}
		}
	}
	return out
}

// parameter reads name=token or name="text" at the beginning of s.
func parameter(s string) (name, value, rest string) {
	s = strings.TrimLeft(s, " \t")
	end := strings.IndexAny(s, "=;,")
	if end < 0 {
		return strings.TrimSpace(s), "", ""
	}
	if name = strings.TrimSpace(s[:end]); s[end] != '=' {
		return name, "", s[end:]
	}
	s = strings.TrimLeft(s[end+1:], " \t")
	if !strings.HasPrefix(s, `"`) {
		if end = strings.IndexAny(s, ";,"); end < 0 {
			end = len(s)
		}
		return name, strings.TrimSpace(s[:end]), s[end:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return name, b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return name, b.String(), ""
}

// linked gives the address of the first link with one of the relations, whole;
// "" if there is none.
func linked(at string, lines []string, rels ...string) (string, error) {
	for _, l := range readLinks(lines) {
		for _, have := range l.rels {
			for _, want := range rels {
				if have != want {
					continue
				}
				base, err := url.Parse(at)
				if err != nil {
					return "", err
				}
				to, err := base.Parse(l.target)
				if err != nil {
					return "", err
				}
				return to.String(), nil
			}
		}
	}
	return "", nil
}

// sameOrigin says whether two addresses are of one host: the token that we send
// is for the one only.
func sameOrigin(a, b string) bool {
	u, err1 := url.Parse(a)
	v, err2 := url.Parse(b)
	return err1 == nil && err2 == nil && u.Scheme == v.Scheme && u.Host == v.Host && v.User == nil
}
