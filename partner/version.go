package partner

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strings"

	"kakehashi/dsp/dsp2025"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

// spoken is the one version that the node speaks.
const spoken = dsp2025.Version

// version is one entry of a version document. Others may add members, such as
// "profile" (EDC).
type version struct {
	Version   string `json:"version"`
	Path      string `json:"path"`
	Binding   string `json:"binding,omitempty"`
	ServiceID string `json:"serviceId,omitempty"`
	Auth      auth   `json:"auth"`
}

// auth is the protocol by which the partner wants callers to show who they are,
// "" if it does not say.
type auth string

// UnmarshalJSON takes the protocol of an object; a form that the standard does
// not know makes no document unreadable.
func (a *auth) UnmarshalJSON(b []byte) error {
	var o struct {
		Protocol string `json:"protocol"`
	}
	if strictjson.DecodeOpen(b, &o) != nil || o.Protocol == "" {
		o.Protocol = "unknown"
	}
	if string(b) == "null" {
		o.Protocol = ""
	}
	*a = auth(o.Protocol)
	return nil
}

type versions []version

const maxEntries = 200

// decode reads a version document.
func decode(b []byte) (versions, error) {
	var doc struct {
		Versions []strictjson.Raw `json:"protocolVersions"`
	}
	if err := strictjson.DecodeOpen(b, &doc); err != nil {
		return nil, err
	}
	switch {
	case len(doc.Versions) == 0:
		return nil, errors.New("its version document lists no version")
	case len(doc.Versions) > maxEntries:
		return nil, errors.New("its version document lists too many versions")
	}
	var out versions
	var first error
	for _, raw := range doc.Versions {
		var v version
		// An entry of another form, for an edition to come, hides no other.
		if err := strictjson.DecodeOpen(raw, &v); err != nil {
			first = cmp.Or(first, err)
			continue
		}
		out = append(out, v)
	}
	if len(out) == 0 {
		return nil, first
	}
	return out, nil
}

// choose picks the entry of 2025-1 over HTTPS and gives the base, root and path
// together. With want only the entry of that base will do; its path may also be
// written from the root of the host. Of several, one that wants no auth or the
// one spoken here goes first, then DCP, whose callers show such a token too; one
// with an auth that is not known is the last resort.
func (vs versions) choose(who, root, want string) (version, string, error) {
	var best version
	var base string
	rank := 0
	usable := false
	for _, v := range vs {
		if v.Version != spoken || v.Binding != "" && !strings.EqualFold(v.Binding, "HTTPS") {
			continue
		}
		path, ok := cleanPath(v.Path)
		if !ok {
			continue
		}
		usable = true
		at := root + path
		if want != "" && at != want {
			if at = origin(root) + path; at != want {
				continue
			}
		}
		n := 1
		switch v.Auth {
		case "", dsp2025.SelfIssued:
			n = 3
		case "DCP":
			n = 2
		}
		if n > rank {
			best, base, rank = v, at, n
		}
	}
	switch {
	case rank > 0:
		return best, base, nil
	case usable:
		return version{}, "", notDSP(root+versionPath, "its version document does not list "+want)
	}
	return version{}, "", fault.NoCommonVersion.At(root+versionPath, "partner", who, "offered", vs.offered())
}

// offered names the versions for people.
func (vs versions) offered() string {
	var names []string
	for _, v := range vs {
		n := clip(v.Version)
		if v.Binding != "" && !strings.EqualFold(v.Binding, "HTTPS") {
			n += " (" + clip(v.Binding) + ")"
		}
		if n != "" && !slices.Contains(names, n) && len(names) < 10 {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, ", ")
}

// cleanPath refuses a path that would lead elsewhere than below the root.
func cleanPath(p string) (string, bool) {
	p = strings.TrimRight(p, "/")
	if p == "" {
		return "", true
	}
	if p[0] != '/' || len(p) > 1024 || strings.ContainsAny(p, "?#\\") || strings.Contains(p, "//") {
		return "", false
	}
	u, err := url.Parse(p)
	if err != nil || u.Host != "" || u.Scheme != "" {
		return "", false
	}
	for s := range strings.SplitSeq(u.Path, "/") {
		if s == "." || s == ".." {
			return "", false
		}
	}
	return p, true
}

func origin(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return ""
	}
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}
