package dataplane

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

// problem is an error body of RFC 9457. The type is about:blank, so the title is
// that of the status; code tells the kinds apart.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Remedy string `json:"remedy"`
	Place  string `json:"place,omitempty"`
}

// Refuse answers with err as a problem in the caller's language. What is no
// fault is told as internal, without its text. Formats use it before they have
// written anything.
func Refuse(w http.ResponseWriter, r *http.Request, err error) {
	f, lang := fault.Of(err).Outside(), language(r)
	body, err := strictjson.Encode(problem{
		Type: "about:blank", Title: http.StatusText(f.Kind.Status), Status: f.Kind.Status,
		Detail: f.What(lang), Code: f.Kind.Code, Remedy: f.Remedy(lang), Place: f.Place,
	})
	if err != nil {
		http.Error(w, f.Kind.Code, f.Kind.Status)
		return
	}
	h := w.Header()
	for _, name := range []string{"Content-Disposition", "Content-Encoding", "ETag", "Last-Modified", "Repr-Digest", "Accept-Ranges"} {
		h.Del(name) // they spoke of the data
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Language", lang)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	switch {
	case f.Kind.Status == http.StatusUnauthorized:
		h.Add("WWW-Authenticate", `Bearer realm="data"`)
		h.Add("WWW-Authenticate", `Basic realm="data", charset="UTF-8"`)
	case errors.Is(f, fault.MethodNotAllowed):
		h.Set("Allow", f.Args["allow"])
	case f.RetryAfter() != "":
		h.Set("Retry-After", f.RetryAfter())
	}
	w.WriteHeader(f.Kind.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the caller has gone; nothing more to tell
	}
}

// language is "ja" when the first language asked for is Japanese.
func language(r *http.Request) string {
	first, _, _ := strings.Cut(r.Header.Get("Accept-Language"), ",")
	if first = strings.ToLower(strings.TrimSpace(first)); first == "ja" || strings.HasPrefix(first, "ja-") || strings.HasPrefix(first, "ja;") {
		return "ja"
	}
	return "en"
}
