package odrl

import (
	"slices"
	"strings"
	"time"
)

// Describe gives the rules as short sentences in lang ("ja", else English).
func Describe(p Policy, lang string) []string {
	w := english
	if lang == "ja" {
		w = japanese
	}
	var out []string
	for _, part := range []struct {
		kind  int
		rules []Rule
	}{{permitted, p.Permissions}, {prohibited, p.Prohibitions}, {obliged, p.Obligations}} {
		for _, r := range part.rules {
			var parts []string
			for _, c := range r.Constraints {
				s := w.constraint(c)
				if !w.phrased(c) {
					s = w.cond + s
				}
				parts = append(parts, s)
			}
			for _, d := range r.Duties {
				parts = append(parts, strings.ReplaceAll(w.duty, "{action}", w.action(d.Action)))
			}
			s := strings.ReplaceAll(w.rule[part.kind], "{action}", w.action(r.Action))
			if len(parts) > 0 {
				s += w.open + strings.Join(parts, w.comma) + w.close
			}
			out = append(out, s)
		}
	}
	return out
}

// Explain is what stood in the way, as sentences in lang.
func (d Decision) Explain(lang string) string {
	parts := make([]string, 0, len(d.Why))
	for _, x := range d.Why {
		if s := x.Explain(lang); !slices.Contains(parts, s) {
			parts = append(parts, s)
		}
	}
	if lang == "ja" {
		return strings.Join(parts, "。")
	}
	return strings.Join(parts, "; ")
}

// Explain is the finding as a sentence in lang.
func (x Finding) Explain(lang string) string {
	w := english
	if lang == "ja" {
		w = japanese
	}
	fill := func(s string) string {
		return strings.NewReplacer("{operand}", w.operand(x.Operand), "{action}", w.action(x.Want), "{want}", x.Want,
			"{terms}", w.constraint(x.c), "{saw}", x.Saw, "{source}", w.source(x.Source), "{place}", x.Pointer).Replace(s)
	}
	if x.Operator == "" {
		key := x.Operand
		if key == "prohibition" && x.Truth != True {
			key = "prohibition, perhaps"
		}
		return fill(w.rules[key])
	}
	switch {
	case x.Saw == "":
		return fill(w.unknown)
	case x.Truth == Unknown:
		return fill(w.unjudged)
	case x.Operand == "dateTime":
		return fill(w.now)
	}
	return fill(w.saw)
}

const (
	permitted = iota
	prohibited
	obliged
)

// wording is how one language says it. {v} is a value or several.
type wording struct {
	rule               [3]string
	duty               string
	open, comma, close string
	cond               string // before a condition that is a clause
	or, and            string // between values
	quote, unquote     string
	group              [2]string
	actions            map[string]string
	operands           map[string]string
	sources            map[string]string
	operators          map[string]string // of any operand
	purpose            map[string]string
	instant, day       map[string]string // of dateTime
	logic              map[string][2]string
	rules              map[string]string // of findings about a rule
	unknown, unjudged  string
	now, saw           string
}

func (w *wording) action(s string) string  { return known(w.actions, s) }
func (w *wording) operand(s string) string { return known(w.operands, s) }
func (w *wording) source(s string) string  { return known(w.sources, s) }

func known(m map[string]string, s string) string {
	if v, ok := m[s]; ok {
		return v
	}
	return s
}

func (w *wording) constraint(c Constraint) string {
	if c.Logic != "" {
		parts := make([]string, 0, len(c.Parts))
		for _, p := range c.Parts {
			parts = append(parts, w.constraint(p))
		}
		l := w.logic[c.Logic]
		if len(parts) == 1 {
			return parts[0]
		}
		return w.group[0] + strings.Join(parts, l[0]) + w.group[1] + l[1]
	}
	if from, _, ok := span(c); ok && c.Operand == "dateTime" {
		if t, known := w.instant[c.Operator]; known && len(c.Right[0]) > len(time.DateOnly) {
			return strings.ReplaceAll(t, "{v}", clock(from))
		}
		if t, known := w.day[c.Operator]; known {
			return strings.ReplaceAll(t, "{v}", c.Right[0])
		}
	}
	values := make([]string, 0, len(c.Right))
	for _, v := range c.Right {
		values = append(values, w.quote+v+w.unquote)
	}
	between := w.or
	if c.Operator == "isAllOf" {
		between = w.and
	}
	v := strings.Join(values, between)
	if t, ok := w.purpose[c.Operator]; ok && c.Operand == "purpose" {
		return strings.ReplaceAll(t, "{v}", v)
	}
	return strings.NewReplacer("{operand}", w.operand(c.Operand), "{v}", v).Replace(w.operators[c.Operator])
}

// phrased says whether a constraint is told as a phrase, "until noon", and not
// as a clause, "count is 5".
func (w *wording) phrased(c Constraint) bool {
	if c.Logic != "" {
		return slices.ContainsFunc(c.Parts, w.phrased)
	}
	_, _, ok := span(c)
	_, told := w.instant[c.Operator]
	_, purpose := w.purpose[c.Operator]
	return c.Operand == "dateTime" && ok && told || c.Operand == "purpose" && purpose
}

// clock is an instant to the minute where it is a whole one.
func clock(t time.Time) string {
	t = t.UTC()
	layout := "2006-01-02 15:04"
	if t.Second() != 0 || t.Nanosecond() != 0 {
		layout = "2006-01-02 15:04:05.999999999"
	}
	return t.Format(layout) + " UTC"
}
