// Package portal is the web pages of a node for the people who work with it:
// what is offered, what was agreed, and every exchange message by message.
//
// Pages are made on the server and need no script. It is not for programs (api)
// nor for counterparts (dsphttp), and decides nothing that they could not.
package portal

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"kakehashi/account"
	"kakehashi/agreement"
	"kakehashi/catalog"
	"kakehashi/evidence"
	"kakehashi/internal/bound"
	"kakehashi/internal/fault"
	"kakehashi/issuer"
	"kakehashi/negotiation"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/transfer"
	"kakehashi/trust"
	"kakehashi/ui/page"
	"kakehashi/ui/text"
	"kakehashi/wallet"
)

//go:embed pages/*.html
var files embed.FS

// Config is what the pages show and change. All members but Now, Log and Secure
// are needed.
type Config struct {
	Accounts     *account.Room
	Participants *participant.Room
	Catalog      *catalog.Room
	Agreements   *agreement.Room
	Negotiations *negotiation.Room
	Transfers    *transfer.Room
	Evidence     *evidence.Log
	Outbox       *outbox.Queue
	Trust        *trust.Room
	Wallet       *wallet.Room
	Issuer       *issuer.Room
	// Access is the gate of the data: until when an agreement opens it, zero for
	// always; an error says why it does not.
	Access func(ctx context.Context, p participant.ID, agreement string, now time.Time) (until time.Time, err error)
	// EndAgreement ends an agreement and every transfer under it in one unit.
	EndAgreement func(ctx context.Context, p participant.ID, id, why string) error
	Now          func() time.Time // nil: time.Now
	Log          *slog.Logger     // nil: slog.Default
	Within       time.Duration    // in which a page is answered; 0: bound.Within
	Secure       bool             // browsers reach us over TLS: cookies go nowhere else
}

type portal struct {
	Config
	pages page.Set
	mux   *http.ServeMux
}

// visit is one request of somebody who is logged in.
type visit struct {
	w   http.ResponseWriter
	r   *http.Request
	who account.Principal
	own participant.Participant
	text.Printer
}

// New gives the pages, to be mounted at / of the listener of our own people.
// Without a session each answers 401; what changes something is refused when it
// comes from another site.
func New(c Config) http.Handler {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	s := &portal{Config: c, mux: http.NewServeMux()}
	s.pages = parse()

	s.mux.HandleFunc("GET "+page.StylePath, page.Style)
	s.mux.HandleFunc("GET /login", s.login)
	s.mux.HandleFunc("POST /language", s.language)
	s.mux.HandleFunc("POST /logout", s.logout)
	s.handle("GET /{$}", s.home)
	s.handle("GET /agreements/{id}", s.agreement)
	s.handle("POST /agreements/{id}/end", s.end)
	s.handle("GET /exchanges/{id}", s.exchange)
	s.handle("POST /exchanges/{id}/decision", s.decide)
	s.handle("POST /work", s.settle)
	s.handle("GET /trust", s.trust)
	s.handle("POST /trust/requests", s.decideIssuance)
	s.handle("POST /trust/issued", s.revokeIssued)
	s.other("/login", "GET")
	s.other("/language", "POST")
	s.other("/logout", "POST")
	s.other("/{$}", "GET")
	s.other("/agreements/{id}", "GET")
	s.other("/agreements/{id}/end", "POST")
	s.other("/exchanges/{id}", "GET")
	s.other("/exchanges/{id}/decision", "POST")
	s.other("/work", "POST")
	s.other("/trust", "GET")
	s.other("/trust/requests", "POST")
	s.other("/trust/issued", "POST")
	s.handle("/", func(v *visit) error { return fault.NotFound.At("", "what", v.r.URL.Path) })

	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, "", fault.CrossSite.At(""))
	}))
	return bound.Requests{Within: c.Within, Refuse: func(w http.ResponseWriter, r *http.Request, err error) {
		s.fail(w, r, "", err)
	}}.Handler(page.Guard(cross.Handler(s.mux)))
}

// parse reads the pages. They are part of the program; its tests show that they
// are well formed.
func parse() page.Set {
	sub, err := fs.Sub(files, "pages")
	if err == nil {
		var set page.Set
		if set, err = page.New(sub, "pieces", "home", "agreement", "end", "exchange", "counter", "trust", "fault"); err == nil {
			return set
		}
	}
	panic("portal: " + err.Error())
}

// handle serves a page to those who have a session.
func (s *portal) handle(pattern string, page func(*visit) error) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		who, err := s.session(r)
		if err != nil {
			s.fail(w, r, "", err)
			return
		}
		own, ok := s.Participants.Get(who.Participant)
		if !ok {
			s.fail(w, r, "", fault.SessionEnded.At(""))
			return
		}
		v := &visit{w: w, r: r, who: who, own: own, Printer: printer(r)}
		if err := page(v); err != nil {
			s.fail(w, r, string(own.ID), err)
		}
	})
}

// other answers the methods that an address does not take.
func (s *portal) other(path, allow string) {
	s.handle(path, func(v *visit) error {
		v.w.Header().Set("Allow", allow)
		return fault.MethodNotAllowed.At("", "method", v.r.Method, "allow", allow)
	})
}

func (s *portal) write(v *visit, status int, name string, data any) error {
	return s.pages.Write(v.w, status, name, data)
}

// frame is the frame of a page with that title.
func (v *visit) frame(title string) page.Frame {
	return page.Frame{Printer: v.Printer, Title: title, Who: string(v.own.ID), Here: here(v.r)}
}

// here is the page to come back to after a choice of language. The answer to a
// POST has no address of its own; its page is the one above.
func here(r *http.Request) string {
	if r.Method == http.MethodGet && r.URL.Path != "/login" {
		return r.URL.RequestURI()
	}
	for _, below := range []string{"/end", "/decision", "/requests", "/issued"} {
		if up, ok := strings.CutSuffix(r.URL.EscapedPath(), below); ok {
			return up
		}
	}
	return "/"
}

type faultPage struct {
	page.Frame
	Remedy, Code string
	Status       int
	Locked       bool // it takes a session, and there is none
}

// fail shows what went wrong, in the language of whoever asked, and what to do.
func (s *portal) fail(w http.ResponseWriter, r *http.Request, who string, err error) {
	f := fault.Of(err)
	if f.Kind == fault.Internal {
		s.Log.ErrorContext(r.Context(), "page failed", "participant", who, "path", r.URL.Path, "err", err)
	}
	if after := f.RetryAfter(); after != "" {
		w.Header().Set("Retry-After", after)
	}
	p := printer(r)
	data := faultPage{Frame: page.Frame{Printer: p, Title: f.What(p.Lang()), Who: who, Here: here(r)},
		Remedy: f.Remedy(p.Lang()), Code: f.Kind.Code, Status: f.Kind.Status, Locked: f.Kind.Status == http.StatusUnauthorized}
	if err := s.pages.Write(w, f.Kind.Status, "fault", data); err != nil {
		s.Log.WarnContext(r.Context(), "page not written", "participant", who, "err", err)
	}
}
