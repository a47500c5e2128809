package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"kakehashi/internal/fault"
)

// Limits of a query: what one request may make the node do.
const (
	DefaultPage = 100
	MaxPage     = 1000
	maxCriteria = 20
	maxValues   = 100  // of one criterion
	maxValue    = 1024 // bytes of a value that is compared
	maxOffset   = 1_000_000
)

// Operators of a Criterion.
var operators = []string{"=", "!=", "in", "like", "ilike", "<", "<=", ">", ">="}

// Query picks and orders datasets. The zero value is all of them, by id.
type Query struct {
	Where   []Criterion `json:"w,omitzero"`
	ByTitle bool        `json:"t,omitzero"` // in the order of titles, else of ids
	Desc    bool        `json:"d,omitzero"`
	Offset  int         `json:"o,omitzero"`
	Limit   int         `json:"l,omitzero"` // datasets of one page; DefaultPage when 0
}

// Criterion compares a member of a dataset; all of a query's criteria must hold.
// like knows % for any text and _ for one character, with \ before either to
// mean itself; ilike does not tell capitals. A member with several values holds
// when one of them does, with != when none is equal; what is absent is only !=.
type Criterion struct {
	Member   string   `json:"m"` // as Member names it
	Operator string   `json:"o"`
	Values   []string `json:"v"`          // one, or up to 100 for in
	Number   bool     `json:"n,omitzero"` // compared as numbers; a value that is none does not hold
}

// members are the names under which counterparts know what a dataset consists of.
var members = map[string]string{
	"id": "id", "@id": "id", "edc:id": "id", "https://w3id.org/edc/v0.0.1/ns/id": "id",
	"title": "title", "dct:title": "title", "http://purl.org/dc/terms/title": "title",
	"name": "title", "edc:name": "title", "https://w3id.org/edc/v0.0.1/ns/name": "title",
	"description": "description", "dct:description": "description", "http://purl.org/dc/terms/description": "description",
	"edc:description": "description", "https://w3id.org/edc/v0.0.1/ns/description": "description",
	"format": "format", "dct:format": "format", "http://purl.org/dc/terms/format": "format", "distribution.format": "format",
	"edc:format": "format", "https://w3id.org/edc/v0.0.1/ns/format": "format",
}

// Member gives the member that a name stands for: id, title, description, format,
// or a further member as Dataset.Meta has it. ok is false for what no dataset
// can have.
func Member(name string) (member string, ok bool) {
	if m := members[name]; m != "" {
		return m, true
	}
	for prefix, iri := range map[string]string{"dct:": "http://purl.org/dc/terms/", "dcat:": "http://www.w3.org/ns/dcat#"} {
		if rest, ok := strings.CutPrefix(name, iri); ok {
			name = prefix + rest
		}
	}
	return name, furtherMember(name)
}

// furtherMember is true for a name that Dataset.Meta may have: a term of DCT or
// DCAT or a whole IRI, so that it means the same to every reader.
func furtherMember(name string) bool {
	if members[name] != "" || len(name) > 512 || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '"' || r == 0x7f }) {
		return false
	}
	for _, prefix := range []string{"dct:", "dcat:", "http://", "https://", "urn:"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" {
			return true
		}
	}
	return false
}

// check refuses what goes beyond the limits; at is the place of the query.
func (q *Query) check() error {
	refuse := func(at, reason string) error { return fault.CatalogFilter.At(at, "reason", reason) }
	switch {
	case q.Offset < 0 || q.Offset > maxOffset:
		return refuse("/filter/0/offset", fmt.Sprintf("an offset from 0 to %d is possible", maxOffset))
	case q.Limit < 0:
		return refuse("/filter/0/limit", "a limit of at least 1 is possible")
	case len(q.Where) > maxCriteria:
		return refuse("/filter/0/filterExpression", fmt.Sprintf("at most %d criteria are possible", maxCriteria))
	}
	if q.Limit == 0 {
		q.Limit = DefaultPage
	}
	q.Limit = min(q.Limit, MaxPage)
	for i, c := range q.Where {
		at := "/filter/0/filterExpression/" + strconv.Itoa(i)
		m, ok := Member(c.Member)
		if !ok {
			return refuse(at+"/operandLeft", fmt.Sprintf("%.100q is no member of a dataset", c.Member))
		}
		q.Where[i].Member = m
		if !slices.Contains(operators, c.Operator) {
			return refuse(at+"/operator", fmt.Sprintf("%.100q is none of %s", c.Operator, strings.Join(operators, " ")))
		}
		switch {
		case len(c.Values) == 0, len(c.Values) > 1 && c.Operator != "in":
			return refuse(at+"/operandRight", "one value is expected")
		case len(c.Values) > maxValues:
			return refuse(at+"/operandRight", fmt.Sprintf("at most %d values are possible", maxValues))
		}
		for _, v := range c.Values {
			if len(v) > maxValue && (m != "id" || len(v) > 2*maxValue) {
				return refuse(at+"/operandRight", fmt.Sprintf("a value has at most %d bytes", maxValue))
			}
		}
	}
	return nil
}

// ids are those that a query can only be about, and whether there is such a bound.
func (q *Query) ids() ([]string, bool) {
	for _, c := range q.Where {
		if c.Member == "id" && (c.Operator == "=" || c.Operator == "in") {
			return c.Values, true
		}
	}
	return nil, false
}

// matcher is a query made ready for many rows.
type matcher []func(*row) (bool, error)

func (q *Query) matcher() matcher {
	var m matcher
	for _, c := range q.Where {
		holds := c.holds()
		none := c.Operator == "!="
		m = append(m, func(r *row) (bool, error) {
			values, err := r.member(c.Member)
			if err != nil {
				return false, err
			}
			return slices.ContainsFunc(values, holds) != none, nil
		})
	}
	return m
}

func (m matcher) match(r *row) (bool, error) {
	for _, f := range m {
		if ok, err := f(r); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// holds tells of one value; that of != is the one of =.
func (c Criterion) holds() func(string) bool {
	if c.Operator == "like" || c.Operator == "ilike" {
		return like(c.Values[0], c.Operator == "ilike")
	}
	compare := func(have, want string) (int, bool) { return strings.Compare(have, want), true }
	if c.Number {
		compare = func(have, want string) (int, bool) {
			a, err1 := strconv.ParseFloat(have, 64)
			b, err2 := strconv.ParseFloat(want, 64)
			return cmp.Compare(a, b), err1 == nil && err2 == nil
		}
	}
	accept := map[string]func(int) bool{
		"<": func(n int) bool { return n < 0 }, "<=": func(n int) bool { return n <= 0 },
		">": func(n int) bool { return n > 0 }, ">=": func(n int) bool { return n >= 0 },
	}[c.Operator]
	if accept == nil {
		accept = func(n int) bool { return n == 0 }
	}
	return func(have string) bool {
		for _, want := range c.Values {
			if n, ok := compare(have, want); ok && accept(n) {
				return true
			}
		}
		return false
	}
}
