// Package did reads and writes DIDs and their documents (DID Core 1.0): did:web,
// whose documents lie on the web, and did:key and did:jwk, which hold their key.
// It turns names into addresses and bytes into documents; it fetches nothing and
// keeps nothing. Who is believed is decided elsewhere.
package did

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"kakehashi/internal/fault"
)

const (
	prefix  = "did:web:"
	maxName = 2048
)

// name is a did:web name taken apart; host is in lower case, segments keep
// their percent-encoding with upper case digits.
type name struct {
	host, port string
	segments   []string
}

// WebURL gives the address of the document of a did:web name. It is https,
// except that with dev a loopback host is asked over http: loopback hosts are
// "localhost", names below it, and 127.0.0.0/8; other IP addresses are no names
// of did:web. The error is fault.DIDInvalid.
func WebURL(did string, dev bool) (string, error) {
	n, err := parse(did)
	if err != nil {
		return "", err
	}
	u := n.scheme(dev) + "://" + n.host
	if n.port != "" {
		u += ":" + n.port
	}
	if len(n.segments) == 0 {
		return u + "/.well-known/did.json", nil
	}
	return u + "/" + strings.Join(n.segments, "/") + "/did.json", nil
}

// Normal gives the one spelling of a did:web name: host in lower case, no port
// 443, upper case hexadecimal digits. DIDs that came from outside are compared
// as they came; this is for names that a person typed. The error is
// fault.DIDInvalid.
func Normal(did string) (string, error) {
	n, err := parse(did)
	if err != nil {
		return "", err
	}
	if n.port == "443" && !n.loopback() {
		n.port = ""
	}
	return n.String(), nil
}

// Check tells whether did is a usable name: did:web, did:key or did:jwk. The
// error is fault.DIDInvalid.
func Check(did string) error {
	if _, ok, err := Local(did); ok {
		return err
	}
	_, err := parse(did)
	return err
}

// FromURL gives the did:web name whose document lies below address: the root of
// a host, a path on it, or the address of a did.json itself. It takes what
// WebURL gives with the same dev. The error is fault.DIDInvalid.
func FromURL(address string, dev bool) (string, error) {
	bad := func(reason string) (string, error) {
		return "", fault.DIDInvalid.At(address, "did", address, "reason", reason)
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Opaque != "" {
		return bad("it is not an absolute URL")
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(address, "#") {
		return bad("the URL has more than host and path")
	}
	n := name{host: strings.ToLower(u.Hostname()), port: u.Port()}
	if u.Scheme != n.scheme(dev) {
		return bad("its scheme must be " + n.scheme(dev))
	}
	if n.port == "443" && u.Scheme == "https" || n.port == "80" && u.Scheme == "http" {
		n.port = ""
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	if path == "/.well-known/did.json" {
		path = ""
	}
	path = strings.TrimSuffix(path, "/did.json")
	if path != "" {
		n.segments = strings.Split(path[1:], "/")
	}
	d := n.String()
	if _, err := parse(d); err != nil {
		return bad("host or path cannot stand in a did:web name")
	}
	return d, nil
}

func (n name) String() string {
	s := prefix + n.host
	if n.port != "" {
		s += "%3A" + n.port
	}
	if len(n.segments) > 0 {
		s += ":" + strings.Join(n.segments, ":")
	}
	return s
}

func (n name) scheme(dev bool) string {
	if dev && n.loopback() {
		return "http"
	}
	return "https"
}

func (n name) loopback() bool {
	if n.host == "localhost" || strings.HasSuffix(n.host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(n.host)
	return err == nil && a.Is4() && a.IsLoopback()
}

func parse(did string) (name, error) {
	bad := func(reason string) (name, error) {
		shown := did
		if len(shown) > 200 {
			shown = shown[:200] + "..."
		}
		return name{}, fault.DIDInvalid.At("", "did", strconv.QuoteToASCII(shown), "reason", reason)
	}
	rest, ok := strings.CutPrefix(did, prefix)
	switch {
	case !ok:
		return bad("it does not begin with " + prefix)
	case len(did) > maxName:
		return bad("it is too long")
	}
	parts := strings.Split(rest, ":")
	n := name{host: strings.ToLower(parts[0])}
	if h, p, ok := strings.Cut(n.host, "%3a"); ok {
		port, err := strconv.ParseUint(p, 10, 16)
		if err != nil || port == 0 || strconv.FormatUint(port, 10) != p {
			return bad("the port is not a number from 1 to 65535")
		}
		n.host, n.port = h, p
	}
	if !validHost(n.host) {
		return bad("the host is not a domain name")
	}
	if len(parts) > 1 {
		n.segments = make([]string, len(parts)-1)
	}
	for i, s := range parts[1:] {
		seg, ok := segment(s)
		if !ok {
			return bad("a path segment is empty or holds a character that is not allowed")
		}
		n.segments[i] = seg
	}
	return n, nil
}

func validHost(h string) bool {
	if h == "" || len(h) > 253 {
		return false
	}
	labels := strings.Split(h, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for i := range len(l) {
			if c := l[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	// Whatever some resolver could read as an address is none of our names:
	// "2130706433" and "0x7f.1" too.
	if last := labels[len(labels)-1]; last[0] >= '0' && last[0] <= '9' {
		a, err := netip.ParseAddr(h)
		return err == nil && a.IsLoopback()
	}
	return true
}

// segment checks one path segment (idchar of DID Core section 3.1) and writes
// its percent-encoding in upper case. What would change the path once decoded
// is refused.
func segment(s string) (string, bool) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		case c == '%' && i+2 < len(s):
			v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil || v < 0x20 || v == 0x7f || v == '/' || v == '\\' || v == '.' || v == '%' {
				return "", false
			}
			if up := strings.ToUpper(s[i : i+3]); up != s[i:i+3] {
				s = s[:i] + up + s[i+3:]
			}
			i += 2
		default:
			return "", false
		}
	}
	return s, s != "" && s != "." && s != ".."
}
