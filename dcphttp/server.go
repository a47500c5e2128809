// Package dcphttp is the HTTPS binding of the Decentralized Claims Protocol, the
// side that answers: the credential service of a participant (queries, storage,
// offers), its issuer service (requests, their status, metadata) and the status
// lists of what it issued. It routes, authenticates and hands messages to the
// rooms; it is not for what is believed, shown or issued, and it sends nothing.
package dcphttp

import (
	"context"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"kakehashi/account"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/bound"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/issuer"
	"kakehashi/participant"
	"kakehashi/wallet"
)

// Config is what a Server needs.
type Config struct {
	Participants *participant.Room
	Identity     *identity.Room
	Accounts     *account.Room // whose tokens let an agent of a participant have tokens made
	Wallet       *wallet.Room
	Issuer       *issuer.Room
	MaxBody      int64         // bytes of one message
	Within       time.Duration // in which a message is answered; 0: bound.Within
	Rate         int           // messages a second of one counterpart; 0: no limit
	AddressRate  int           // requests a second from one address; 0: no limit
	Now          func() time.Time
	Log          *slog.Logger
}

// Server answers for all participants of a node.
type Server struct {
	c         Config
	callers   *bound.Pace[sender]
	addresses *bound.Pace[netip.Prefix]
	bounded   http.Handler
}

// sender is a caller that has been authenticated.
type sender struct {
	p      participant.ID
	caller string
}

// New makes the handler.
func New(c Config) *Server {
	s := &Server{c: c, callers: bound.NewPace[sender](c.Rate, fault.TooFast, c.Now),
		addresses: bound.NewPace[netip.Prefix](c.AddressRate, fault.TooManyRequests, c.Now)}
	s.bounded = bound.Requests{Within: c.Within, Refuse: func(w http.ResponseWriter, r *http.Request, err error) {
		(&call{s: s, w: w, r: r}).fail(err)
	}}.Handler(http.HandlerFunc(s.serve))
	return s
}

// Below tells whether the path of a request lies below one of the bases that this
// server answers.
func (s *Server) Below(path string) bool {
	for _, p := range s.c.Participants.All() {
		if strings.HasPrefix(path, root(p)+"/dcp/") {
			return true
		}
	}
	return false
}

// root is the path of the public URL, without a slash at its end.
func root(p participant.Participant) string {
	base, err := url.Parse(p.Root())
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(base.Path, "/")
}

// call is one request on its way through the server.
type call struct {
	s      *Server
	w      http.ResponseWriter
	r      *http.Request
	p      participant.Participant
	caller identity.Caller
	body   []byte
}

// ServeHTTP answers one request, in bounded time.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.bounded.ServeHTTP(w, r) }

// serve finds the participant and the service that the path names:
// ROOT/dcp/SERVICE/NAME/REST.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	c := &call{s: s, w: w, r: r}
	if !c.paced() {
		return
	}
	path := strings.TrimSuffix(r.URL.EscapedPath(), "/")
	for _, p := range s.c.Participants.All() {
		rest, ok := strings.CutPrefix(path, root(p)+"/dcp/")
		if !ok {
			continue
		}
		service, rest, _ := strings.Cut(rest, "/")
		name, rest, _ := strings.Cut(rest, "/")
		if name != string(p.ID) {
			continue
		}
		rest, err := url.PathUnescape(rest)
		if err != nil {
			break
		}
		c.p = p
		c.route(service, rest)
		return
	}
	c.fail(fault.NotFound.At(r.URL.Path, "what", r.URL.Path))
}

// route is the table of addresses (DCP 1.0, sections 5 and 6).
func (c *call) route(service, rest string) {
	switch {
	case service == "cs" && rest == "presentations/query":
		c.message("PresentationQueryMessage", c.query)
	case service == "cs" && rest == "credentials":
		c.message("CredentialMessage", c.store)
	case service == "cs" && rest == "offers":
		c.message("CredentialOfferMessage", c.offer)
	case service == "issuer" && rest == "credentials":
		c.message("CredentialRequestMessage", c.request)
	case service == "issuer" && strings.HasPrefix(rest, "requests/"):
		if c.method(http.MethodGet) && c.admit("status") {
			c.status(strings.TrimPrefix(rest, "requests/"))
		}
	case service == "issuer" && rest == "metadata":
		if c.method(http.MethodGet) {
			c.metadata()
		}
	case service == "status" && rest != "":
		if c.method(http.MethodGet) {
			c.statusList(rest)
		}
	default:
		c.fail(fault.NotFound.At(c.r.URL.Path, "what", c.r.URL.Path))
	}
}

// message takes in what was posted and hands it on.
func (c *call) message(name string, to func()) {
	if !c.method(http.MethodPost) {
		return
	}
	if t, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || t != "application/json" && t != "application/ld+json" {
		c.fail(fault.UnsupportedMedia.At("Content-Type", "type", c.r.Header.Get("Content-Type")))
		return
	}
	var err error
	switch c.body, err = strictjson.Read(c.r.Body, c.s.c.MaxBody); {
	case errors.Is(err, strictjson.ErrTooLarge):
		c.fail(fault.TooLarge.At("", "limit", c.s.c.MaxBody))
	case err != nil:
		c.fail(fault.BadMessage.At("", "reason", "the body could not be read").Because(err))
	case c.admit(name):
		to()
	}
}

// admit finds out who is calling. It answers a request that is refused, and says
// whether to go on.
func (c *call) admit(message string) bool {
	q := identity.Request{Authorization: c.r.Header.Get("Authorization"), Message: message}
	if c.body != nil {
		q.Digest = evidence.Digest(c.body)
	}
	var err error
	if c.caller, err = c.s.c.Identity.Verify(c.r.Context(), c.p.ID, q); err != nil {
		c.fail(err)
		return false
	}
	if c.caller.Claimed { // who proves nothing has no part in what rests on proof
		c.fail(fault.AuthorizationMissing.At(""))
		return false
	}
	tell, err := c.s.callers.Take(sender{c.p.ID, c.caller.ID})
	return c.within(tell, err)
}

func (c *call) paced() bool {
	tell, err := c.s.addresses.Take(bound.From(c.r.RemoteAddr))
	return c.within(tell, err)
}

func (c *call) within(tell bool, err error) bool {
	if err == nil {
		return true
	}
	if tell { // an address is personal data, so it is not named
		c.s.c.Log.WarnContext(c.r.Context(), "too many requests, some are refused", "participant", string(c.p.ID),
			"counterparty", c.caller.ID, "code", fault.Of(err).Kind.Code)
	}
	c.fail(err)
	return false
}

func (c *call) method(want string) bool {
	if c.r.Method == want || want == http.MethodGet && c.r.Method == http.MethodHead {
		return true
	}
	c.w.Header().Set("Allow", want)
	c.fail(fault.MethodNotAllowed.At(c.r.URL.Path, "method", c.r.Method, "allow", want))
	return false
}

// answer writes status and body, which may be nil.
func (c *call) answer(status int, mediaType string, body []byte) {
	h := c.w.Header()
	if body != nil {
		h.Set("Content-Type", mediaType)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	rc := http.NewResponseController(c.w)
	if err := rc.SetWriteDeadline(time.Now().Add(bound.Body)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		c.s.c.Log.DebugContext(c.r.Context(), "no deadline on a connection", "err", err)
	}
	c.w.WriteHeader(status)
	if c.r.Method == http.MethodHead || status == http.StatusNotModified {
		return
	}
	if _, err := c.w.Write(body); err != nil {
		c.s.c.Log.DebugContext(c.r.Context(), "answer not delivered", "participant", string(c.p.ID), "err", err)
	}
}

// problem is an error body (RFC 9457); DCP defines none of its own.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Remedy string `json:"remedy,omitempty"`
	Place  string `json:"place,omitempty"`
}

func (c *call) fail(err error) {
	if errors.Is(err, context.Canceled) {
		return // nobody is there to read
	}
	f := fault.Of(err)
	level := slog.LevelInfo
	switch {
	case f.Kind.Status == http.StatusTooManyRequests: // a flood is no flood of the log
		level = slog.LevelDebug
	case f.Kind.Status >= 500:
		level = slog.LevelError
	}
	c.s.c.Log.Log(c.r.Context(), level, "request refused", "participant", string(c.p.ID), "path", c.r.URL.Path,
		"counterparty", c.caller.ID, "code", f.Kind.Code, "err", err)
	f = f.Outside()
	body, err := strictjson.Encode(problem{Type: "about:blank", Title: http.StatusText(f.Kind.Status), Status: f.Kind.Status,
		Detail: f.What("en"), Code: f.Kind.Code, Remedy: f.Remedy("en"), Place: f.Place})
	if err != nil {
		c.s.c.Log.ErrorContext(c.r.Context(), "error body not written", "err", err)
	}
	h := c.w.Header()
	h.Set("Cache-Control", "no-store")
	if after := f.RetryAfter(); after != "" {
		h.Set("Retry-After", after)
	}
	if f.Kind.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	c.answer(f.Kind.Status, "application/problem+json", body)
}
