package dsp2025

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

// QuerySpec is the filter of a catalogue request as Eclipse EDC writes it; the
// protocol leaves the form of filters open. Which members and operators it may
// name is for its reader to judge.
type QuerySpec struct {
	Offset    int
	Limit     int    // 0: as many as the provider likes
	SortField string // "": as the provider likes
	Desc      bool
	Criteria  []Criterion
}

// Criterion is one condition of a QuerySpec.
type Criterion struct {
	Left, Operator string
	Right          []string
	Number         bool // Right was written as JSON numbers
}

// Filter writes the QuerySpec as the filter of a request: by full names, so that
// it means the same whatever contexts the reader knows.
func (q QuerySpec) Filter() ([]strictjson.Raw, error) {
	spec := map[string]any{"@type": edc + "QuerySpec"}
	if q.Offset > 0 {
		spec[edc+"offset"] = q.Offset
	}
	if q.Limit > 0 {
		spec[edc+"limit"] = q.Limit
	}
	if q.SortField != "" {
		spec[edc+"sortField"] = q.SortField
		spec[edc+"sortOrder"] = map[bool]string{false: "ASC", true: "DESC"}[q.Desc]
	}
	criteria := make([]any, 0, len(q.Criteria))
	for _, c := range q.Criteria {
		right := make([]any, len(c.Right))
		for i, v := range c.Right {
			if right[i] = v; c.Number {
				right[i] = strictjson.Raw(v)
			}
		}
		var value any = right
		if len(right) == 1 && c.Operator != "in" {
			value = right[0]
		}
		criteria = append(criteria, map[string]any{"@type": edc + "Criterion",
			edc + "operandLeft": c.Left, edc + "operator": c.Operator, edc + "operandRight": value})
	}
	if len(criteria) > 0 {
		spec[edc+"filterExpression"] = criteria
	}
	b, err := strictjson.Encode(spec)
	return []strictjson.Raw{b}, err
}

// ReadQuerySpec reads the filter of a request: at most one QuerySpec, its
// members bare, with the prefix edc: or by their full names. What is not
// understood is fault.CatalogFilter with its place.
func ReadQuerySpec(filter []strictjson.Raw) (QuerySpec, error) {
	var q QuerySpec
	if len(filter) == 0 {
		return q, nil
	}
	if len(filter) > 1 {
		return q, misread("/filter/1", "one QuerySpec is expected, not more")
	}
	const at = "/filter/0"
	members, err := named(filter[0], at, "QuerySpec")
	if err != nil {
		return q, err
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		raw, at := members[name], at+"/"+name
		switch name {
		case "offset", "limit":
			n, err := whole(raw, at)
			if err != nil {
				return q, err
			}
			if name == "offset" {
				q.Offset = n
			} else if q.Limit = n; n == 0 {
				return q, misread(at, "at least 1 is expected")
			}
		case "sortField":
			v, err := scalar(raw, at)
			if err != nil {
				return q, err
			}
			q.SortField = v.text
		case "sortOrder":
			v, err := scalar(raw, at)
			if err != nil {
				return q, err
			}
			switch strings.ToUpper(local(v.text)) {
			case "ASC":
			case "DESC":
				q.Desc = true
			default:
				return q, misread(at, "ASC or DESC is expected")
			}
		case "filterExpression":
			list, err := items(raw, at)
			if err != nil {
				return q, err
			}
			for i, item := range list {
				c, err := readCriterion(item, at+"/"+strconv.Itoa(i))
				if err != nil {
					return q, err
				}
				q.Criteria = append(q.Criteria, c)
			}
		default:
			return q, misread(at, "a QuerySpec has no such member here")
		}
	}
	return q, nil
}

func readCriterion(raw strictjson.Raw, at string) (Criterion, error) {
	var c Criterion
	members, err := named(raw, at, "Criterion")
	if err != nil {
		return c, err
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		raw, at := members[name], at+"/"+name
		switch name {
		case "operandLeft", "operator":
			v, err := scalar(raw, at)
			if err != nil {
				return c, err
			}
			if name == "operator" {
				c.Operator = strings.ToLower(v.text)
			} else {
				c.Left = v.text
			}
		case "operandRight":
			list, err := items(raw, at)
			if err != nil {
				return c, err
			}
			c.Number = len(list) > 0
			for i, item := range list {
				v, err := scalar(item, at+"/"+strconv.Itoa(i))
				if err != nil {
					return c, err
				}
				c.Right = append(c.Right, v.text)
				c.Number = c.Number && v.number
			}
		default:
			return c, misread(at, "a Criterion has no such member here")
		}
	}
	switch {
	case c.Left == "":
		return c, misread(at+"/operandLeft", "it is missing")
	case c.Operator == "":
		return c, misread(at+"/operator", "it is missing")
	case len(c.Right) == 0:
		return c, misread(at+"/operandRight", "it is missing")
	}
	return c, nil
}

func misread(at, reason string) error { return fault.CatalogFilter.At(at, "reason", reason) }

// local is a name without the prefix or the namespace of EDC.
func local(name string) string {
	if rest, ok := strings.CutPrefix(name, edc); ok {
		return rest
	}
	return strings.TrimPrefix(name, "edc:")
}

// named gives the members of an object by their local names, without the
// keywords of JSON-LD and what is null.
func named(raw strictjson.Raw, at, typ string) (map[string]strictjson.Raw, error) {
	var all map[string]strictjson.Raw
	if raw.Kind() != '{' || strictjson.DecodeOpen(raw, &all) != nil {
		return nil, misread(at, "an object of type "+typ+" is expected")
	}
	out := make(map[string]strictjson.Raw, len(all))
	for name, value := range all {
		switch {
		case name == "@type":
			list, err := items(value, at+"/@type")
			if err != nil {
				return nil, err
			}
			for _, item := range list {
				if v, err := scalar(item, at+"/@type"); err != nil || strings.TrimSuffix(local(v.text), "Dto") != typ {
					return nil, misread(at+"/@type", "the type "+typ+" is expected")
				}
			}
			continue
		case strings.HasPrefix(name, "@"), value.Kind() == 'n':
			continue
		}
		short := local(name)
		if _, twice := out[short]; twice {
			return nil, misread(at, "the member "+quoted(short)+" is there twice")
		}
		if len(short) > 100 {
			return nil, misread(at, "the member "+quoted(short)+" is not known")
		}
		out[short] = value
	}
	return out, nil
}

type literal struct {
	text   string
	number bool
}

// scalar reads a text, number or truth value, by itself, as @value or @id, or as
// the only item of an array.
func scalar(raw strictjson.Raw, at string) (literal, error) {
	switch raw.Kind() {
	case '"':
		var s string
		if strictjson.DecodeOpen(raw, &s) == nil {
			return literal{text: s}, nil
		}
	case '0':
		return literal{text: string(raw), number: true}, nil
	case 't', 'f':
		return literal{text: string(raw)}, nil
	case '{':
		var v struct {
			Value strictjson.Raw `json:"@value"`
			ID    string         `json:"@id"`
			Type  string         `json:"@type"`
		}
		if strictjson.DecodeOpen(raw, &v) == nil {
			if len(v.Value) > 0 && v.Value.Kind() != '{' && v.Value.Kind() != '[' {
				return scalar(v.Value, at)
			}
			if v.ID != "" {
				return literal{text: v.ID}, nil
			}
		}
	case '[':
		var list []strictjson.Raw
		if strictjson.DecodeOpen(raw, &list) == nil && len(list) == 1 && list[0].Kind() != '[' {
			return scalar(list[0], at)
		}
	}
	return literal{}, misread(at, "one text or number is expected")
}

// items reads an array, a list of JSON-LD, or one value as such an array.
func items(raw strictjson.Raw, at string) ([]strictjson.Raw, error) {
	var list []strictjson.Raw
	switch raw.Kind() {
	case '[':
		if strictjson.DecodeOpen(raw, &list) != nil {
			return nil, misread(at, "it is not readable")
		}
		if len(list) == 1 && list[0].Kind() == '{' {
			return items(list[0], at)
		}
		return list, nil
	case '{':
		var l struct {
			List []strictjson.Raw `json:"@list"`
		}
		if strictjson.DecodeOpen(raw, &l) == nil && l.List != nil {
			return l.List, nil
		}
	}
	return []strictjson.Raw{raw}, nil
}

// whole reads a number without a fraction, from 0.
func whole(raw strictjson.Raw, at string) (int, error) {
	v, err := scalar(raw, at)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(v.text)
	if err != nil || n < 0 || n > 1<<31-1 {
		return 0, misread(at, "a whole number from 0 is expected")
	}
	return n, nil
}
