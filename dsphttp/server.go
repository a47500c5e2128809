// Package dsphttp is the HTTPS binding of the Dataspace Protocol, both
// directions: a server that routes, authenticates and hands messages to the
// rooms, and a client that sends ours. It is not for states or terms, and not
// for the data plane.
package dsphttp

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"kakehashi/catalog"
	dsp "kakehashi/dsp/dsp2025"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/bound"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/negotiation"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/partner"
	"kakehashi/store"
	"kakehashi/transfer"
)

// ServerConfig is what a Server needs.
type ServerConfig struct {
	DB           store.DB
	Participants *participant.Room
	Identity     *identity.Room
	Trust        Trust
	Partners     *partner.Room
	Catalog      *catalog.Room
	Negotiations *negotiation.Room
	Transfers    *transfer.Room
	Evidence     *evidence.Log
	Outbox       *outbox.Queue
	MaxBody      int64         // bytes of one message
	Within       time.Duration // in which a message is answered; 0: bound.Within
	Rate         int           // messages a second of one counterpart; 0: no limit
	AddressRate  int           // requests a second from one address, before anybody is asked who it is; 0: no limit
	Now          func() time.Time
	Log          *slog.Logger
}

// Trust hears of each message whose sender is known, before anything is done with
// it, and may refuse it with a fault.
type Trust interface {
	Admit(ctx context.Context, p participant.ID, caller identity.Caller) error
}

// Server answers the Dataspace Protocol for all participants of a node, with
// their version and DID documents. It routes by itself: below the base paths
// every answer, 404 and 405 too, is the protocol's own error body.
type Server struct {
	c         ServerConfig
	callers   *bound.Pace[sender]
	addresses *bound.Pace[netip.Prefix]
	slowest   time.Duration
	bounded   http.Handler
}

// NewServer makes the handler.
func NewServer(c ServerConfig) *Server {
	s := &Server{c: c, slowest: slowest, callers: bound.NewPace[sender](c.Rate, fault.TooFast, c.Now),
		addresses: bound.NewPace[netip.Prefix](c.AddressRate, fault.TooManyRequests, c.Now)}
	s.bounded = bound.Requests{Within: c.Within, Refuse: s.refuse}.Handler(http.HandlerFunc(s.serve))
	return s
}

// area is the part of the protocol that an address belongs to; it decides the
// type of an error body.
type area int

const (
	catalogArea area = iota
	negotiationArea
	transferArea
)

// call is one request on its way through the server.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	p      participant.Participant
	area   area
	caller identity.Caller
	body   []byte
	pid    string // from the path, decoded
	kind   string // of a message, by its address
}

// ServeHTTP answers one request, in bounded time.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.bounded.ServeHTTP(w, r) }

// refuse answers what is over a bound.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	c := &call{w: w, r: r}
	switch {
	case strings.Contains(r.URL.Path, "/negotiations/"):
		c.area = negotiationArea
	case strings.Contains(r.URL.Path, "/transfers/"):
		c.area = transferArea
	}
	c.fail(s, err)
}

// serve finds the participant whose base the path lies below.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	for _, p := range s.c.Participants.All() {
		base, err := url.Parse(p.Base)
		if err != nil {
			continue
		}
		root := strings.TrimSuffix(base.Path, "/"+dsp.Version)
		if rest, ok := strings.CutPrefix(path, base.Path+"/"); ok {
			s.route(&call{w: w, r: r, p: p}, rest)
			return
		}
		if path == root+"/.well-known/dspace-version" || path == "/.well-known/dspace-version" && len(s.c.Participants.All()) == 1 {
			s.version(&call{w: w, r: r, p: p}, base.Path, path)
			return
		}
		if at, err := documentPath(p.DID); err == nil && path == at {
			s.document(&call{w: w, r: r, p: p})
			return
		}
	}
	(&call{w: w, r: r}).fail(s, fault.NotFound.At(path, "what", path))
}

// version answers unversioned and without authentication (DSP 2025-1, 4.3).
func (s *Server) version(c *call, base, at string) {
	if !c.method(s, http.MethodGet) || !s.paced(c) {
		return
	}
	path := base
	if at != "/.well-known/dspace-version" {
		path = "/" + dsp.Version
	}
	b, err := strictjson.Encode(dsp.VersionDocument{ProtocolVersions: []dsp.ProtocolVersion{
		{Version: dsp.Version, Path: path, Binding: "HTTPS", ServiceID: c.p.DID, IdentifierType: "did:web", Auth: s.auth()},
	}})
	if err != nil {
		c.fail(s, err)
		return
	}
	c.answer(s, http.StatusOK, b)
}

// auth is how callers show who they are, nil where they need not.
func (s *Server) auth() *dsp.Auth {
	if !s.c.Identity.Proves() {
		return nil
	}
	return &dsp.Auth{Protocol: dsp.SelfIssued, Version: "1", Profile: []string{"did:web/ES256"}}
}

func (s *Server) document(c *call) {
	if !c.method(s, http.MethodGet) || !s.paced(c) {
		return
	}
	d, err := identity.Document(s.c.Participants, c.p.ID)
	if err != nil {
		c.fail(s, err)
		return
	}
	b, err := d.Encode()
	if err != nil {
		c.fail(s, err)
		return
	}
	c.answer(s, http.StatusOK, b)
}

// route reads the path below a base. A trailing slash is as good as none.
func (s *Server) route(c *call, rest string) {
	parts := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	for i, part := range parts {
		var err error
		if parts[i], err = url.PathUnescape(part); err != nil {
			c.fail(s, fault.NotFound.At(rest, "what", rest))
			return
		}
	}
	switch parts[0] {
	case "catalog":
		c.area = catalogArea
		s.routeCatalog(c, parts[1:])
	case "negotiations":
		c.area = negotiationArea
		s.routeProcess(c, parts[1:], negotiations, s.negotiation, s.showNegotiation)
	case "transfers":
		c.area = transferArea
		s.routeProcess(c, parts[1:], transfers, s.transfer, s.showTransfer)
	default:
		c.fail(s, fault.NotFound.At(rest, "what", rest))
	}
}

func (s *Server) routeCatalog(c *call, parts []string) {
	switch {
	case len(parts) == 1 && parts[0] == "request":
		allowed := c.r.URL.Query().Has(pageToken) && (c.r.Method == http.MethodGet || c.r.Method == http.MethodHead)
		if (allowed || c.method(s, http.MethodPost)) && s.admit(c, "CatalogRequestMessage") {
			s.catalog(c)
		}
	case len(parts) == 2 && parts[0] == "datasets" && parts[1] != "":
		if c.method(s, http.MethodGet) && s.admit(c, "dataset") {
			s.dataset(c, parts[1])
		}
	default:
		c.fail(s, fault.NotFound.At(c.r.URL.Path, "what", c.r.URL.Path))
	}
}

// messages are the kinds by the path after the pid; first by the path without one.
type messages struct{ first, later map[string]string }

var negotiations = messages{
	first: map[string]string{"request": string(negotiation.KindRequest), "offers": string(negotiation.KindOffer)},
	later: map[string]string{
		"request": string(negotiation.KindRequest), "offers": string(negotiation.KindOffer),
		"events": "event", "agreement": string(negotiation.KindAgreement),
		"agreement/verification": string(negotiation.KindVerification), "termination": string(negotiation.KindTermination),
	},
}

var transfers = messages{
	first: map[string]string{"request": string(transfer.KindRequest)},
	later: map[string]string{
		"start": string(transfer.KindStart), "completion": string(transfer.KindCompletion),
		"suspension": string(transfer.KindSuspension), "termination": string(transfer.KindTermination),
	},
}

func (s *Server) routeProcess(c *call, parts []string, m messages, post, show func(*call)) {
	if len(parts) == 1 {
		if kind, ok := m.first[parts[0]]; ok {
			c.kind = kind
			if c.method(s, http.MethodPost) && s.admit(c, kind) {
				post(c)
			}
			return
		}
		c.pid = parts[0]
		if c.pid != "" && c.method(s, http.MethodGet) && s.admit(c, "state") {
			show(c)
			return
		}
		if c.pid != "" {
			return
		}
	}
	if len(parts) > 1 {
		if kind, ok := m.later[strings.Join(parts[1:], "/")]; ok && parts[0] != "" {
			c.pid, c.kind = parts[0], kind
			if c.method(s, http.MethodPost) && s.admit(c, kind) {
				post(c)
			}
			return
		}
	}
	c.fail(s, fault.NotFound.At(c.r.URL.Path, "what", c.r.URL.Path))
}

// admit reads the body and finds out who is calling. It answers a request that
// is refused, and says whether to go on.
func (s *Server) admit(c *call, message string) bool {
	if !s.paced(c) {
		return false
	}
	if c.r.Method == http.MethodPost {
		if t, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || t != "application/json" && t != "application/ld+json" {
			c.fail(s, fault.UnsupportedMedia.At("Content-Type", "type", c.r.Header.Get("Content-Type")))
			return false
		}
		var err error
		if c.body, err = s.read(c); err != nil {
			c.fail(s, err)
			return false
		}
	}
	req := identity.Request{Authorization: c.r.Header.Get("Authorization"), Message: message}
	if c.r.Method == http.MethodPost {
		req.Digest = evidence.Digest(c.body)
	}
	caller, err := s.c.Identity.Verify(c.r.Context(), c.p.ID, req)
	if err != nil {
		c.fail(s, err)
		return false
	}
	c.caller = caller
	s.c.Outbox.Reached(caller.ID)
	if !s.pacedCaller(c) {
		return false
	}
	if err := s.c.Trust.Admit(c.r.Context(), c.p.ID, caller); err != nil {
		c.fail(s, err)
		return false
	}
	return true
}

func (s *Server) negotiation(c *call) {
	m := negotiation.Message{Kind: negotiation.Kind(c.kind), Pid: c.pid, Body: c.body}
	if c.kind == "event" {
		e, err := dsp.Decode[dsp.NegotiationEvent](c.body)
		if err != nil {
			c.fail(s, err)
			return
		}
		m.Decoded = &e
		m.Kind = negotiation.KindAccepted
		if e.EventType == string(negotiation.Finalized) {
			m.Kind = negotiation.KindFinalized
		}
	}
	reply, err := s.c.Negotiations.Receive(c.r.Context(), c.p.ID, c.caller, m)
	s.reply(c, reply.Status, reply.Body, reply.Lanes, reply.ConsumerPid, reply.ProviderPid, err)
}

func (s *Server) transfer(c *call) {
	reply, err := s.c.Transfers.Receive(c.r.Context(), c.p.ID, c.caller,
		transfer.Message{Kind: transfer.Kind(c.kind), Pid: c.pid, Body: c.body})
	s.reply(c, reply.Status, reply.Body, reply.Lanes, reply.ConsumerPid, reply.ProviderPid, err)
}

func (s *Server) showNegotiation(c *call) {
	if !s.spend(c) {
		return
	}
	reply, err := s.c.Negotiations.Show(c.r.Context(), c.p.ID, c.caller, c.pid)
	s.reply(c, reply.Status, reply.Body, nil, reply.ConsumerPid, reply.ProviderPid, err)
}

func (s *Server) showTransfer(c *call) {
	if !s.spend(c) {
		return
	}
	reply, err := s.c.Transfers.Show(c.r.Context(), c.p.ID, c.caller, c.pid)
	s.reply(c, reply.Status, reply.Body, nil, reply.ConsumerPid, reply.ProviderPid, err)
}

// spend uses the token up where nothing else is written.
func (s *Server) spend(c *call) bool {
	err := s.c.DB.Update(c.r.Context(), func(tx store.Tx) error { return s.c.Identity.Spend(tx, c.p.ID, c.caller) })
	if err != nil {
		c.fail(s, err)
	}
	return err == nil
}

// reply answers, flushes, and only then lets our next message go: else it could
// overtake this answer.
func (s *Server) reply(c *call, status int, body []byte, lanes []string, consumer, provider string, err error) {
	if err != nil {
		c.failFor(s, err, consumer, provider)
	} else {
		c.answer(s, status, body)
	}
	for _, lane := range lanes {
		s.c.Outbox.WakeAfter(lane, s.c.Partners.Pause(c.p.ID, c.caller.ID))
	}
}

func (c *call) method(s *Server, want string) bool {
	if c.r.Method == want || want == http.MethodGet && c.r.Method == http.MethodHead {
		return true
	}
	c.w.Header().Set("Allow", want)
	c.fail(s, fault.MethodNotAllowed.At(c.r.URL.Path, "method", c.r.Method, "allow", want))
	return false
}

func (c *call) answer(s *Server, status int, body []byte) {
	h := c.w.Header()
	if status != http.StatusNotModified {
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	h.Set("X-Content-Type-Options", "nosniff")
	if c.p.ID != "" {
		if note := s.c.Evidence.Checkpoint(c.p.ID); note != nil {
			h.Set(CheckpointHeader, base64.StdEncoding.EncodeToString(note))
		}
	}
	if err := s.write(c, status, body); err != nil {
		s.c.Log.DebugContext(c.r.Context(), "answer not delivered", "participant", string(c.p.ID), "err", err)
	}
}

// noPid stands for a pid that is not known, where the schema wants one.
const noPid = "urn:uuid:00000000-0000-0000-0000-000000000000"

func (c *call) fail(s *Server, err error) { c.failFor(s, err, "", "") }

// failFor writes the error body of the area (DSP 2025-1, 8.1).
func (c *call) failFor(s *Server, err error, consumer, provider string) {
	if errors.Is(err, context.Canceled) {
		return // nobody is there to read
	}
	f := fault.Of(err)
	switch {
	case f.Kind.Status == http.StatusTooManyRequests: // a flood is no flood of the log
		s.c.Log.DebugContext(c.r.Context(), "request refused", "participant", string(c.p.ID), "counterparty", c.caller.ID, "code", f.Kind.Code)
	case f.Kind.Status >= 500:
		s.c.Log.ErrorContext(c.r.Context(), "request failed", "participant", string(c.p.ID), "path", c.r.URL.Path,
			"counterparty", c.caller.ID, "err", err)
	default:
		s.c.Log.InfoContext(c.r.Context(), "request refused", "participant", string(c.p.ID), "path", c.r.URL.Path,
			"counterparty", c.caller.ID, "code", f.Kind.Code)
	}
	f = f.Outside()
	what := f.What("en")
	if f.Place != "" && !strings.Contains(what, f.Place) {
		what += " (" + f.Place + ")"
	}
	reason := []string{what, f.Remedy("en")}
	if consumer == "" {
		consumer = noPid
	}
	if provider == "" {
		provider = noPid
	}
	var m dsp.Message
	switch c.area {
	case negotiationArea:
		m = &dsp.NegotiationError{ConsumerPid: consumer, ProviderPid: provider, Code: f.Kind.Code, Reason: reason}
	case transferArea:
		m = &dsp.TransferError{ConsumerPid: consumer, ProviderPid: provider, Code: f.Kind.Code, Reason: reason}
	default:
		m = &dsp.CatalogError{Code: f.Kind.Code, Reason: reason}
	}
	body, err := dsp.Marshal(m)
	if err != nil {
		s.c.Log.ErrorContext(c.r.Context(), "error body not written", "err", err)
	}
	if after := f.RetryAfter(); after != "" {
		c.w.Header().Set("Retry-After", after)
	}
	if f.Kind.Status == http.StatusUnauthorized {
		c.w.Header().Set("WWW-Authenticate", "Bearer")
	}
	c.answer(s, f.Kind.Status, body)
}
