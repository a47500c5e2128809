package dcp

import (
	"slices"
	"strings"

	"kakehashi/internal/fault"
)

// The aliases of scopes (DCP 1.0, section 5.4.1.2).
const (
	TypeAlias = "org.eclipse.dspace.dcp.vc.type" // by the type of a credential
	IDAlias   = "org.eclipse.dspace.dcp.vc.id"   // by its id
)

const maxScope = 2048

// Scope is a part of somebody's credentials. The standard has two parts, alias
// and discriminator; what is deployed adds a third, the operation.
type Scope struct {
	Alias         string
	Discriminator string
	Operation     string // "read", "write", "all", "*", or "" where two parts were given
}

// TypeScope asks to read the credentials of a type.
func TypeScope(typ string) Scope {
	return Scope{Alias: TypeAlias, Discriminator: typ, Operation: "read"}
}

// ParseScope reads "alias:discriminator" and "alias:discriminator:operation". A
// discriminator may hold colons. Whether an alias is known, Covers tells. The
// error is fault.ScopeUnreadable.
func ParseScope(text string) (Scope, error) {
	alias, rest, ok := strings.Cut(text, ":")
	if !ok || alias == "" || len(text) > maxScope || strings.ContainsAny(text, " \t\r\n") {
		return Scope{}, fault.ScopeUnreadable.At("", "scope", clip(text))
	}
	s := Scope{Alias: alias, Discriminator: rest}
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && slices.Contains([]string{"read", "write", "all", "*"}, rest[i+1:]) {
		s.Discriminator, s.Operation = rest[:i], rest[i+1:]
	}
	if s.Discriminator == "" {
		return Scope{}, fault.ScopeUnreadable.At("", "scope", clip(text))
	}
	return s, nil
}

// String writes the scope with as many parts as it has.
func (s Scope) String() string {
	text := s.Alias + ":" + s.Discriminator
	if s.Operation != "" {
		text += ":" + s.Operation
	}
	return text
}

// TwoParts is s as the standard writes it, for peers that know no operation.
func (s Scope) TwoParts() Scope { s.Operation = ""; return s }

// Covers tells whether reading a credential of these types with this id is part
// of the scope. An alias that is not known covers nothing, and so does "write".
func (s Scope) Covers(types []string, id string) bool {
	if s.Operation == "write" {
		return false
	}
	switch s.Alias {
	case TypeAlias:
		return slices.Contains(types, s.Type())
	case IDAlias:
		return id != "" && id == s.Discriminator
	}
	return false
}

// Type is the credential type that a scope by type names: the discriminator, or
// what stands after the last # of one that is a whole IRI. "" for other scopes.
func (s Scope) Type() string {
	if s.Alias != TypeAlias {
		return ""
	}
	if i := strings.LastIndexByte(s.Discriminator, '#'); i >= 0 {
		return s.Discriminator[i+1:]
	}
	return s.Discriminator
}

// Within tells whether everything of s is also part of one of granted.
func (s Scope) Within(granted []Scope) bool {
	return slices.ContainsFunc(granted, func(g Scope) bool {
		if g.Alias != s.Alias || g.Operation == "write" || s.Operation == "write" {
			return false
		}
		if s.Alias == TypeAlias {
			return g.Type() == s.Type()
		}
		return g.Discriminator == s.Discriminator
	})
}

func clip(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "..."
	}
	return s
}
