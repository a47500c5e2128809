// Package guard is the one way out to addresses that a counterpart has chosen:
// callback addresses, DID documents, data addresses.
//
// Only https, no user info, no fragment, no redirect, and no address of the
// inside: loopback, private, link-local and their like are refused when the
// connection is made, by the address that the name has at that moment, so that a
// name that changes its address gains nothing (the Dataspace Protocol leaves this
// to the connector; see SSRF in the OWASP lists). It does not judge who answers
// and reads no bodies; no proxy is used, since that would hide the address.
package guard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

// Config says what is allowed beyond the public internet.
type Config struct {
	// Dev allows loopback hosts, over http too.
	Dev bool
	// Allow are the networks of the inside that the operator opens; http is
	// allowed to them when the URL has the address itself as its host.
	Allow []netip.Prefix
	// TLS is for tests and private certificate authorities; nil is the system's.
	TLS *tls.Config

	ConnectTimeout time.Duration // 5 s
	Timeout        time.Duration // of a whole exchange, 30 s
	MaxResponse    int64         // bytes of an answer's body, 16 MiB
	// Resolver asks for the addresses of names; nil is the system's.
	Resolver *net.Resolver
}

// Guard holds the connections. It is safe for concurrent use.
type Guard struct {
	c      Config
	client *http.Client
	stream *http.Client
	pool   *http.Transport
}

// New makes a guard with an empty pool of connections.
func New(c Config) *Guard {
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	if c.MaxResponse <= 0 {
		c.MaxResponse = 16 << 20
	}
	g := &Guard{c: c}
	dialer := &net.Dialer{Timeout: c.ConnectTimeout, KeepAlive: 30 * time.Second, Resolver: c.Resolver, ControlContext: g.control}
	g.pool = &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        c.TLS,
		TLSHandshakeTimeout:    c.ConnectTimeout,
		ResponseHeaderTimeout:  c.Timeout,
		ExpectContinueTimeout:  2 * time.Second, // a push asks before it sends its body
		MaxIdleConns:           4096,
		MaxIdleConnsPerHost:    256, // as many as the outbox has lanes at once
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true, // a small answer must not become a large one
		MaxResponseHeaderBytes: 64 << 10,
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	g.client = &http.Client{Transport: &judge{g, c.MaxResponse}, CheckRedirect: stay, Timeout: c.Timeout}
	g.stream = &http.Client{Transport: &judge{g, 0}, CheckRedirect: stay}
	return g
}

// HTTP is the client for messages and documents: bounded in time and size. A
// body beyond MaxResponse reads as strictjson.ErrTooLarge; a redirect comes back
// as it is.
func (g *Guard) HTTP() *http.Client { return g.client }

// Stream is the client for bulk bytes: only connecting and the wait for the
// answer's head are bounded.
func (g *Guard) Stream() *http.Client { return g.stream }

// Close drops the idle connections.
func (g *Guard) Close() { g.pool.CloseIdleConnections() }

// Check tells before anything is sent whether raw could be called, as far as
// that can be seen without asking for the address of a name. The error is
// fault.AddressRefused.
func (g *Guard) Check(raw string) error {
	if len(raw) > 2048 {
		return refuse(raw[:64]+"...", "longer than 2048 characters")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return refuse(printable(raw), "not a URL")
	}
	if strings.Contains(raw, "#") {
		return refuse(show(u), "it has a fragment")
	}
	return g.judge(u)
}

// Read reads the whole body of an answer, at most limit bytes, and closes it.
// A larger one is strictjson.ErrTooLarge.
func Read(resp *http.Response, limit int64) ([]byte, error) {
	defer resp.Body.Close()
	if resp.ContentLength > limit {
		return nil, strictjson.ErrTooLarge
	}
	return strictjson.Read(resp.Body, limit)
}

// judge refuses what can be refused by the URL alone.
func (g *Guard) judge(u *url.URL) error {
	host := u.Hostname()
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return refuse(show(u), "not https")
	case host == "" || u.Opaque != "":
		return refuse(show(u), "it has no host")
	case u.User != nil:
		return refuse(show(u), "it has user info")
	case u.Fragment != "":
		return refuse(show(u), "it has a fragment")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return refuse(show(u), "its port is no port")
		}
	}
	ip, err := netip.ParseAddr(host)
	literal := err == nil
	if literal {
		if why := g.inside(ip); why != "" {
			return refuse(show(u), why)
		}
	}
	local := loopbackName(host)
	if local && !g.c.Dev {
		return refuse(show(u), "loopback")
	}
	if u.Scheme == "http" {
		switch {
		case g.c.Dev && (local || literal && ip.Unmap().IsLoopback()):
		case literal && g.listed(ip):
		default:
			return refuse(show(u), "not https")
		}
	}
	return nil
}

func loopbackName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// control judges the address itself, after the name was resolved.
func (g *Guard) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !strings.HasPrefix(network, "tcp") {
		return refuse(address, "not an address of TCP")
	}
	if why := g.inside(at.Addr()); why != "" {
		return refuse(address, why)
	}
	return nil
}

func refuse(address, why string) error {
	return fault.AddressRefused.At("", "address", address, "why", why)
}

// show is a URL without what may be secret in it.
func show(u *url.URL) string {
	c := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, Opaque: u.Opaque}
	return printable(c.String())
}

func printable(s string) string {
	if len(s) > 200 {
		s = s[:200] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return -1
		}
		return r
	}, s)
}

// judge is the transport: each request passes it, whoever made its URL.
type judge struct {
	g     *Guard
	limit int64
}

func (j *judge) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := j.g.judge(r.URL); err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	resp, err := j.g.pool.RoundTrip(r)
	if err != nil || j.limit == 0 || resp.Body == http.NoBody {
		return resp, err
	}
	if resp.ContentLength > j.limit {
		resp.Body.Close()
		return nil, fmt.Errorf("answer of %s: %w", r.URL.Host, strictjson.ErrTooLarge)
	}
	resp.Body = &bounded{resp.Body, j.limit}
	return resp, nil
}

// CloseIdleConnections lets http.Client reach the pool.
func (j *judge) CloseIdleConnections() { j.g.Close() }

// bounded is a body that ends with an error, not an EOF, beyond its limit.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, strictjson.ErrTooLarge
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, strictjson.ErrTooLarge
	}
	return n, err
}

// Refused tells whether err is a refusal of this package.
func Refused(err error) bool { return errors.Is(err, fault.AddressRefused) }
