// Package client speaks to the management API of a node (/api/v1) for the
// command line, the demo, the bench and programs of others. It holds the API's
// types, which package api uses too, so that the two cannot differ.
//
// It is not for a counterpart: nodes speak the Dataspace Protocol with each other.
package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/internal/strictjson"
)

// maxAnswer bounds what is read of one answer.
const maxAnswer = 16 << 20

// Client is a connection to one node. It is safe for concurrent use.
type Client struct {
	Base  string // of the API's listener, such as http://127.0.0.1:8081
	Token string
	HTTP  *http.Client // http.DefaultClient when nil; it must not time out whole calls that wait
	Lang  string       // language of terms and errors: en or ja
}

// Problem is an error of the API (RFC 9457) as it came.
type Problem struct {
	Type   string `json:"type,omitempty"`
	Title  string `json:"title,omitempty"`
	Status int    `json:"status,omitempty"`
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code,omitempty"`
	Place  string `json:"place,omitempty"`
	Remedy string `json:"remedy,omitempty"`
	Errors []struct {
		Message  string `json:"message,omitempty"`
		Location string `json:"location,omitempty"`
		Value    any    `json:"value,omitempty"`
	} `json:"errors,omitempty"`
}

// rebuilt gives the fault that the node met, so that errors.Is works across the API.
func (p Problem) rebuilt() error {
	what, place := p.Detail, p.Place
	for _, e := range p.Errors {
		what, place = what+": "+e.Message, e.Location
	}
	if what == "" {
		what = p.Title
	}
	base := &fault.Kind{Code: p.Code, Status: p.Status,
		What: fault.Words{EN: what, JA: what}, Remedy: fault.Words{EN: p.Remedy, JA: p.Remedy}}
	for _, k := range fault.All() {
		if k.Code == p.Code {
			return &fault.Error{Kind: base, Place: place, Cause: k}
		}
	}
	return &fault.Error{Kind: base, Place: place}
}

func decodeProblem(b []byte, p *Problem) error { return strictjson.DecodeOpen(b, p) }

func (c *Client) http() *http.Client {
	if c.HTTP != nil {
		return c.HTTP
	}
	return http.DefaultClient
}

// keyed is a body whose caller chose the idempotency key.
type keyed interface{ key() string }

func (s StartNegotiation) key() string { return s.Key }
func (s StartOffer) key() string       { return s.Key }
func (s StartTransfer) key() string    { return s.Key }

func (c *Client) request(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var r io.Reader
	if body != nil {
		b, err := strictjson.Encode(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.Base, "/")+"/api/v1"+path, r)
	if err != nil {
		return nil, fault.NodeUnreachable.At(c.Base, "address", c.Base).Because(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	req.Header.Set("Accept-Language", c.Lang)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if k, ok := body.(keyed); ok && k.key() != "" {
		req.Header.Set("Idempotency-Key", k.key())
	} else if method == http.MethodPost {
		req.Header.Set("Idempotency-Key", ids.Short())
	}
	resp, err := c.http().Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fault.NodeUnreachable.At(c.Base, "address", c.Base).Because(err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	b, err := strictjson.Read(resp.Body, maxAnswer)
	var p Problem
	if err != nil || decodeProblem(b, &p) != nil || p.Detail == "" && p.Title == "" {
		p = Problem{Status: resp.StatusCode, Title: resp.Status}
	}
	return nil, p.rebuilt()
}

// call sends one request and decodes its answer into T.
func call[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var out T
	resp, err := c.request(ctx, method, path, body)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	b, err := strictjson.Read(resp.Body, maxAnswer)
	if err != nil {
		return out, fmt.Errorf("read the answer of %s: %w", path, err)
	}
	if len(b) == 0 {
		return out, nil
	}
	if err := strictjson.DecodeOpen(b, &out); err != nil {
		return out, fmt.Errorf("read the answer of %s: %w", path, err)
	}
	return out, nil
}

func esc(id string) string { return url.PathEscape(id) }

// Node tells whom this token speaks for.
func (c *Client) Node(ctx context.Context) (Node, error) {
	return call[Node](ctx, c, "GET", "/node", nil)
}

// Datasets is one page of what this participant offers.
func (c *Client) Datasets(ctx context.Context, cursor string) (Datasets, error) {
	return call[Datasets](ctx, c, "GET", "/datasets?cursor="+url.QueryEscape(cursor), nil)
}

// Withdraw ends the offering of a dataset.
func (c *Client) Withdraw(ctx context.Context, dataset string) error {
	_, err := call[struct{}](ctx, c, "DELETE", "/datasets/"+esc(dataset), nil)
	return err
}

// PublishFile offers a file that lies on the node's machine.
func (c *Client) PublishFile(ctx context.Context, f PublishFile) (Dataset, error) {
	return call[Dataset](ctx, c, "POST", "/files/datasets", f)
}

// Partners lists the counterparts that this node knows.
func (c *Client) Partners(ctx context.Context) (Partners, error) {
	return call[Partners](ctx, c, "GET", "/partners", nil)
}

// FixPartner keeps the address of a counterpart that announces itself nowhere.
func (c *Client) FixPartner(ctx context.Context, f FixPartner) (Partner, error) {
	return call[Partner](ctx, c, http.MethodPost, "/partners", f)
}

// PartnerCatalog asks a partner, named by DID, DSP address or title, for its
// catalogue: the first 1,000 datasets of it.
func (c *Client) PartnerCatalog(ctx context.Context, partner string) (PartnerCatalog, error) {
	return c.CatalogPart(ctx, partner, CatalogQuery{})
}

// CatalogPart asks a partner for a part of its catalogue.
func (c *Client) CatalogPart(ctx context.Context, partner string, q CatalogQuery) (PartnerCatalog, error) {
	v := url.Values{"partner": {partner}, "filter": q.Filter}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Cursor != "" {
		v.Set("cursor", q.Cursor)
	}
	return call[PartnerCatalog](ctx, c, "GET", "/partner-catalog?"+v.Encode(), nil)
}

// CatalogParts asks for one part after the other until there is no further one or
// take says that it is enough.
func (c *Client) CatalogParts(ctx context.Context, partner string, q CatalogQuery, take func(PartnerCatalog) (more bool)) error {
	for {
		part, err := c.CatalogPart(ctx, partner, q)
		if err != nil {
			return err
		}
		if q.Cursor = part.Next; !take(part) || q.Cursor == "" {
			return nil
		}
	}
}

// Catalogs lists the further catalogues that we show.
func (c *Client) Catalogs(ctx context.Context) (FurtherCatalogs, error) {
	return call[FurtherCatalogs](ctx, c, "GET", "/catalogs", nil)
}

// AddCatalog shows a further catalogue inside our own.
func (c *Client) AddCatalog(ctx context.Context, a AddCatalog) (FurtherCatalog, error) {
	return call[FurtherCatalog](ctx, c, "POST", "/catalogs", a)
}

// RemoveCatalog ends that.
func (c *Client) RemoveCatalog(ctx context.Context, id string) error {
	_, err := call[struct{}](ctx, c, "DELETE", "/catalogs/"+esc(id), nil)
	return err
}

// Negotiate starts a negotiation.
func (c *Client) Negotiate(ctx context.Context, s StartNegotiation) (Negotiation, error) {
	return call[Negotiation](ctx, c, "POST", "/negotiations", s)
}

// Offer offers a dataset of ours to a partner that has not asked.
func (c *Client) Offer(ctx context.Context, s StartOffer) (Negotiation, error) {
	return call[Negotiation](ctx, c, http.MethodPost, "/offers", s)
}

// Waiting lists what waits for a decision of ours.
func (c *Client) Waiting(ctx context.Context) (Waiting, error) {
	return call[Waiting](ctx, c, http.MethodGet, "/waiting", nil)
}

// Decide answers a negotiation that waits for us; version as it was shown, 0 for any.
func (c *Client) Decide(ctx context.Context, id string, version int64, d Decision) (Negotiation, error) {
	return call[Negotiation](ctx, c, http.MethodPost, fmt.Sprintf("/negotiations/%s/decision?version=%d", url.PathEscape(id), version), d)
}

// DecideTransfer answers a transfer that waits for us, as Decide does.
func (c *Client) DecideTransfer(ctx context.Context, id string, version int64, d Decision) (Transfer, error) {
	return call[Transfer](ctx, c, http.MethodPost, fmt.Sprintf("/transfers/%s/decision?version=%d", url.PathEscape(id), version), d)
}

// Import takes over what another connector held.
func (c *Client) Import(ctx context.Context, i Import) (Imported, error) {
	return call[Imported](ctx, c, http.MethodPost, "/import", i)
}

// Negotiation reads one; with wait it answers when the state is one of until or
// final, or when the time is over.
func (c *Client) Negotiation(ctx context.Context, id string, wait time.Duration, until ...string) (Negotiation, error) {
	return call[Negotiation](ctx, c, "GET", "/negotiations/"+esc(id)+waiting(wait, until), nil)
}

// Negotiations is one page, newest first.
func (c *Client) Negotiations(ctx context.Context, cursor string) (Negotiations, error) {
	return call[Negotiations](ctx, c, "GET", "/negotiations?cursor="+url.QueryEscape(cursor), nil)
}

// TerminateNegotiation ends one that is not final; the counterpart reads the reason.
func (c *Client) TerminateNegotiation(ctx context.Context, id, reason string) (Negotiation, error) {
	return call[Negotiation](ctx, c, "POST", "/negotiations/"+esc(id)+"/termination", Reason{reason})
}

// Agreements is one page, newest first.
func (c *Client) Agreements(ctx context.Context, cursor string) (Agreements, error) {
	return call[Agreements](ctx, c, "GET", "/agreements?cursor="+url.QueryEscape(cursor), nil)
}

// Agreement reads one.
func (c *Client) Agreement(ctx context.Context, id string) (Agreement, error) {
	return call[Agreement](ctx, c, "GET", "/agreements/"+esc(id), nil)
}

// AgreementInForce finds the newest agreement under which we may use a dataset
// of a partner; fault.AgreementUnknown if there is none.
func (c *Client) AgreementInForce(ctx context.Context, partner, dataset string) (Agreement, error) {
	q := url.Values{"partner": {partner}, "dataset": {dataset}}
	return call[Agreement](ctx, c, "GET", "/agreement-in-force?"+q.Encode(), nil)
}

// EndAgreement ends an agreement and every transfer under it.
func (c *Client) EndAgreement(ctx context.Context, id, reason string) (Agreement, error) {
	return call[Agreement](ctx, c, "POST", "/agreements/"+esc(id)+"/termination", Reason{reason})
}

// Transfer reads one; see Negotiation for wait and until.
func (c *Client) Transfer(ctx context.Context, id string, wait time.Duration, until ...string) (Transfer, error) {
	return call[Transfer](ctx, c, "GET", "/transfers/"+esc(id)+waiting(wait, until), nil)
}

// Transfers is one page, newest first.
func (c *Client) Transfers(ctx context.Context, cursor string) (Transfers, error) {
	return call[Transfers](ctx, c, "GET", "/transfers?cursor="+url.QueryEscape(cursor), nil)
}

// StartTransfer asks for the data of an agreement.
func (c *Client) StartTransfer(ctx context.Context, s StartTransfer) (Transfer, error) {
	return call[Transfer](ctx, c, "POST", "/transfers", s)
}

// Access gives address and token of a transfer that has started.
func (c *Client) Access(ctx context.Context, id string) (Access, error) {
	return call[Access](ctx, c, "GET", "/transfers/"+esc(id)+"/access", nil)
}

// Complete tells the provider that everything arrived.
func (c *Client) Complete(ctx context.Context, id string, done Completion) (Transfer, error) {
	return call[Transfer](ctx, c, "POST", "/transfers/"+esc(id)+"/completion", done)
}

// Suspend stops the bytes of a transfer until Resume.
func (c *Client) Suspend(ctx context.Context, id, reason string) (Transfer, error) {
	return call[Transfer](ctx, c, "POST", "/transfers/"+esc(id)+"/suspension", Reason{reason})
}

// Resume lets a suspended transfer go on.
func (c *Client) Resume(ctx context.Context, id string) (Transfer, error) {
	return call[Transfer](ctx, c, "POST", "/transfers/"+esc(id)+"/resumption", struct{}{})
}

// TerminateTransfer ends a transfer that is not final.
func (c *Client) TerminateTransfer(ctx context.Context, id, reason string) (Transfer, error) {
	return call[Transfer](ctx, c, "POST", "/transfers/"+esc(id)+"/termination", Reason{reason})
}

// History is the timeline of a negotiation, transfer, agreement or dataset.
func (c *Client) History(ctx context.Context, process string) (History, error) {
	return call[History](ctx, c, "GET", "/history?process="+url.QueryEscape(process), nil)
}

// Bundle streams the evidence of an agreement, a .kh-evidence.zip, to w.
func (c *Client) Bundle(ctx context.Context, agreement string, w io.Writer) error {
	return c.copy(ctx, "/evidence/bundle?agreement="+url.QueryEscape(agreement), w)
}

// Anchors writes the trust lines of this participant, for whoever verifies its
// evidence, to w.
func (c *Client) Anchors(ctx context.Context, w io.Writer) error {
	return c.copy(ctx, "/evidence/anchors", w)
}

func (c *Client) copy(ctx context.Context, path string, w io.Writer) error {
	resp, err := c.request(ctx, "GET", path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, resp.Body)
	return err
}

// PortalLink makes a link that opens the portal once.
func (c *Client) PortalLink(ctx context.Context) (Link, error) {
	return call[Link](ctx, c, "POST", "/portal-links", struct{}{})
}

func waiting(d time.Duration, until []string) string {
	if d <= 0 {
		return ""
	}
	q := url.Values{"wait": {d.String()}}
	if len(until) > 0 {
		q.Set("until", strings.Join(until, ","))
	}
	return "?" + q.Encode()
}
