// Package page is what all web pages of a node have in common: the frame around
// the content, one style sheet, the headers that keep everything else out, and
// how times are written. Nothing in it needs a script or another host.
//
// It knows no room and no session; those are portal's.
package page

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"time"
	_ "time/tzdata" // deadlines are shown in two zones, also where the system has none

	"kakehashi/ui/text"
)

//go:embed frame.html
var frame embed.FS

//go:embed style.css
var style []byte

// StylePath is where the style sheet is asked for.
const StylePath = "/style.css"

// Frame is what stands around the content of each page. A page's data embeds
// it, so that a template has its texts.
type Frame struct {
	text.Printer
	Title string // plain text; escaped like everything else
	Who   string // whose portal it is; "" without a session
	Here  string // path and query of this page, to come back to
}

// Choice is a language that can be chosen.
type Choice struct {
	Lang, Name string
	Current    bool
}

// Choices lists the languages under their own names.
func (Frame) Choices(now string) []Choice {
	own := map[string]string{"en": "English", "ja": "日本語"}
	out := make([]Choice, 0, len(text.Languages))
	for _, l := range text.Languages {
		out = append(out, Choice{Lang: l, Name: own[l], Current: l == now})
	}
	return out
}

// Set is the pages of one face.
type Set map[string]*template.Template

// New parses each file of pages as the content of a page of its own; it defines
// "content". What the file shared defines can be used in all of them.
func New(pages fs.FS, shared string, names ...string) (Set, error) {
	base, err := template.New("frame").Funcs(template.FuncMap{
		"utc": UTC, "machine": machine, "tokyo": in(tokyo), "brussels": in(brussels),
	}).ParseFS(frame, "frame.html")
	if err == nil {
		base, err = base.ParseFS(pages, shared+".html")
	}
	if err != nil {
		return nil, fmt.Errorf("parse the frame of the pages: %w", err)
	}
	out := Set{}
	for _, n := range names {
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(pages, n+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("parse the page %s: %w", n, err)
		}
		out[n] = t
	}
	return out, nil
}

// Write writes a page. It is put together before the first byte goes out, so an
// error leaves w as it was.
func (s Set) Write(w http.ResponseWriter, status int, name string, data any) error {
	t, ok := s[name]
	if !ok {
		return fmt.Errorf("there is no page %s", name)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "frame.html", data); err != nil {
		return fmt.Errorf("write the page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, err := w.Write(b.Bytes())
	return err
}

// Guard sets the headers of everything that a browser gets from us: content of
// our own only, no script, in no frame, kept by no cache.
func Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		h.Set("Vary", "Accept-Language, Cookie")
		next.ServeHTTP(w, r)
	})
}

// Style serves the style sheet. It holds nothing of anybody, so it needs no session.
func Style(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=300")
	_, _ = w.Write(style) // an error is a browser that went away
}

var tokyo, brussels = zone("Asia/Tokyo"), zone("Europe/Brussels")

func zone(name string) *time.Location {
	l, err := time.LoadLocation(name)
	if err != nil { // never: tzdata is embedded
		return time.UTC
	}
	return l
}

// UTC writes a time so that it reads the same in both languages.
func UTC(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }

func machine(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func in(l *time.Location) func(time.Time) string {
	return func(t time.Time) string { return t.In(l).Format("2006-01-02 15:04 MST") }
}
