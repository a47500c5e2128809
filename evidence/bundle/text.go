package bundle

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"kakehashi/internal/fault"
)

// Write renders the report for people: lang "ja" is Japanese, else English.
func (r Report) Write(w io.Writer, lang string) error {
	p := page{lang: lang}
	p.head("verdict", verdicts[r.Verdict].In(lang))
	p.report(r)
	_, err := w.Write(p.b.Bytes())
	return err
}

// Write renders the pair for people, with the report of each side.
func (r Pair) Write(w io.Writer, lang string) error {
	p := page{lang: lang}
	p.head("verdict", verdicts[r.Verdict].In(lang))
	p.head("pair", "")
	for _, f := range r.Problems {
		p.item(p.finding(f))
	}
	p.item(p.part("pair-both", "n", strconv.Itoa(r.Agreed)))
	if len(r.OneSided) > 0 {
		p.head("pair-one", "")
		for _, s := range r.OneSided {
			line := fmt.Sprintf("%s  #%d  %s  %s  %s", plain(s.Tenant), s.Position, p.direction(s.Direction), plain(s.Type), plain(s.Message))
			if s.Signed {
				line += "  (" + senders[SenderSigned].In(lang) + ")"
			}
			p.item(line)
		}
	}
	p.head("pair-left", verdicts[r.A.Verdict].In(lang))
	p.report(r.A)
	p.head("pair-right", verdicts[r.B.Verdict].In(lang))
	p.report(r.B)
	_, err := w.Write(p.b.Bytes())
	return err
}

type page struct {
	b    bytes.Buffer
	lang string
}

func (p *page) part(name string, args ...string) string {
	return fill(parts[name], p.lang, args...)
}

func (p *page) finding(f Finding) string {
	w, ok := findings[f.Code]
	if !ok {
		w = fault.Words{EN: "{where} {detail}", JA: "{where} {detail}"}
	}
	return fill(w, p.lang, "where", f.Where, "detail", f.Detail)
}

func fill(w fault.Words, lang string, args ...string) string {
	pairs := make([]string, 0, len(args))
	for i := 0; i+1 < len(args); i += 2 {
		pairs = append(pairs, "{"+args[i]+"}", plain(args[i+1]))
	}
	return strings.NewReplacer(pairs...).Replace(w.In(lang))
}

// plain keeps a bundle from writing control characters to a terminal, or lines
// that look like the report's own.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

func (p *page) head(name, rest string) {
	if p.b.Len() > 0 {
		p.b.WriteByte('\n')
	}
	p.b.WriteString(p.part(name))
	if rest != "" {
		p.b.WriteString(": " + rest)
	}
	p.b.WriteByte('\n')
}

func (p *page) item(s string) { p.b.WriteString("  " + s + "\n") }

func (p *page) direction(d string) string {
	switch d {
	case "in":
		return p.part("received")
	case "out":
		return p.part("sent")
	}
	return "-"
}

func (p *page) report(r Report) {
	if len(r.Problems) > 0 {
		p.head("problems", "")
		for _, f := range r.Problems {
			p.item(p.finding(f))
		}
	}
	if len(r.Missing) > 0 {
		p.head("missing", "")
		for _, f := range r.Missing {
			p.item(p.finding(f))
		}
	}
	if r.Tenant != "" {
		p.head("who", "")
		p.item(p.part("recorder", "tenant", r.Tenant))
		if names := r.counterparts(); len(names) > 0 {
			p.item(p.part("with", "names", strings.Join(names, ", ")))
		}
		if r.Agreement != "" {
			p.item(p.part("agreement", "id", r.Agreement))
		}
	}
	if n := len(r.Events); n > 0 {
		first, last := r.Events[0].Time, r.Events[0].Time
		for _, e := range r.Events { // one layout, so text order is time order
			first, last = min(first, e.Time), max(last, e.Time)
		}
		p.head("when", "")
		p.item(p.part("span", "first", first, "last", last))
		p.head("what", "")
		for _, e := range r.Events {
			p.item(p.event(e))
		}
	}
	p.head("proven", "")
	if r.Verdict == Invalid {
		p.item(p.part("nothing"))
		return
	}
	p.proven(r)
	p.head("unproven", "")
	for _, f := range r.Notes {
		p.item(p.finding(f))
	}
	p.item(p.part("u-time"))
	if slices.ContainsFunc(r.Events, func(e Event) bool { return e.Direction == "out" }) {
		p.item(p.part("u-sent"))
	}
	p.item(p.part("u-all"))
	p.item(p.part("u-truth"))
}

func (p *page) proven(r Report) {
	n := strconv.Itoa(len(r.Events))
	if r.Anchored {
		p.item(p.part("p-log", "n", n, "origin", r.Origin, "size", strconv.FormatInt(r.Size, 10), "root", r.Root))
	} else {
		p.item(p.part("p-self", "n", n))
	}
	if slices.ContainsFunc(r.Events, func(e Event) bool { return e.Held == HeldHere }) {
		p.item(p.part("p-bodies"))
	}
	signed := 0
	for _, e := range r.Events {
		if e.Sender == SenderSigned {
			signed++
		}
	}
	if signed > 0 {
		p.item(p.part("p-signed", "n", strconv.Itoa(signed)))
	}
}

func (p *page) event(e Event) string {
	s := fmt.Sprintf("#%d  %s  %s  %s", e.Position, e.Time, plain(e.Type), p.direction(e.Direction))
	if e.Process != "" {
		s += "  " + plain(e.Process)
	}
	if e.Sender != "" {
		s += "  [" + senders[e.Sender].In(p.lang) + "]"
	}
	return s
}

func (r Report) counterparts() []string {
	var out []string
	for _, e := range r.Events {
		if e.Counterparty != "" && !slices.Contains(out, e.Counterparty) {
			out = append(out, e.Counterparty)
		}
	}
	return out
}
