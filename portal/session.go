package portal

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"kakehashi/account"
	"kakehashi/internal/fault"
	"kakehashi/ui/text"
)

// languageCookie holds a choice of language. It is shared by the nodes of a host.
const languageCookie = "kakehashi_language"

const maxForm = 16 << 10

// cookieName is the name of the session's cookie. Cookies know no ports, and the
// nodes of one machine must not log each other's people out: the port is in it.
func (s *portal) cookieName(r *http.Request) string {
	name := "kakehashi_session"
	if s.Secure {
		name = "__Host-" + name
	}
	if _, port, err := net.SplitHostPort(r.Host); err == nil && port != "" && strings.Trim(port, "0123456789") == "" {
		name += "_" + port
	}
	return name
}

func (s *portal) cookie(r *http.Request, value string, age int) *http.Cookie {
	return &http.Cookie{Name: s.cookieName(r), Value: value, Path: "/", HttpOnly: true, Secure: s.Secure,
		SameSite: http.SameSiteStrictMode, MaxAge: age}
}

// session says who asks.
func (s *portal) session(r *http.Request) (account.Principal, error) {
	c, err := r.Cookie(s.cookieName(r))
	if err != nil {
		return account.Principal{}, fault.Unauthorized.At("")
	}
	return s.Accounts.Session(r.Context(), c.Value)
}

// login redeems a one-time link. It is a GET because a person opens it from a
// terminal; the code is good once, so whoever gets hold of the address later has
// nothing.
func (s *portal) login(w http.ResponseWriter, r *http.Request) {
	session, err := s.Accounts.Redeem(r.Context(), r.URL.Query().Get("code"))
	if err != nil {
		s.fail(w, r, "", err)
		return
	}
	http.SetCookie(w, s.cookie(r, session, 0)) // ends with the browser; the room ends it before
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *portal) logout(w http.ResponseWriter, r *http.Request) {
	c, err := r.Cookie(s.cookieName(r))
	if err != nil {
		s.fail(w, r, "", fault.Unauthorized.At(""))
		return
	}
	if err := s.Accounts.Logout(r.Context(), c.Value); err != nil {
		s.fail(w, r, "", err)
		return
	}
	http.SetCookie(w, s.cookie(r, "", -1))
	s.fail(w, r, "", fault.SessionEnded.At(""))
}

// language keeps a choice. It needs no session: whoever is not in yet must be
// able to read how to get in.
func (s *portal) language(w http.ResponseWriter, r *http.Request) {
	if err := form(w, r); err != nil {
		s.fail(w, r, "", err)
		return
	}
	if lang := r.PostForm.Get("lang"); slices.Contains(text.Languages, lang) {
		http.SetCookie(w, &http.Cookie{Name: languageCookie, Value: lang, Path: "/", HttpOnly: true, Secure: s.Secure,
			SameSite: http.SameSiteStrictMode, MaxAge: 365 * 24 * 3600})
	}
	http.Redirect(w, r, local(r.PostForm.Get("back")), http.StatusSeeOther)
}

// local is where to go back to: a path of ours, never another host.
func local(back string) string {
	u, err := url.Parse(back)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(back, "/") ||
		strings.HasPrefix(back, "//") || strings.ContainsAny(back, "\\\r\n\t") {
		return "/"
	}
	return u.String()
}

func form(w http.ResponseWriter, r *http.Request) error { return formOf(w, r, maxForm) }

func formOf(w http.ResponseWriter, r *http.Request, most int64) error {
	r.Body = http.MaxBytesReader(w, r.Body, most)
	if err := r.ParseForm(); err != nil {
		return fault.FormUnreadable.At("").Because(err)
	}
	return nil
}

func printer(r *http.Request) text.Printer {
	chosen := ""
	if c, err := r.Cookie(languageCookie); err == nil {
		chosen = c.Value
	}
	return text.For(text.FromAccept(r.Header.Get("Accept-Language"), chosen))
}
