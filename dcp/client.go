package dcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

// Client sends messages. Base addresses come from DID documents.
type Client struct {
	HTTP *http.Client // guarded: the addresses are the counterpart's choice
	// Authorize makes the Authorization header of one message: a token for audience
	// over body, which may be nil, that carries echo, the audience's own access
	// token, where it is not "".
	Authorize func(ctx context.Context, audience, message string, body []byte, echo string) (string, error)
}

// Refusal is an answer that is not 2xx.
type Refusal struct {
	URL    string
	Status int
	Detail string // of a problem (RFC 9457), "" for other bodies
}

func (r *Refusal) Error() string {
	s := fmt.Sprintf("%s answers %d %s", r.URL, r.Status, http.StatusText(r.Status))
	if r.Detail != "" {
		s += ": " + r.Detail
	}
	return s
}

// Final tells whether sending the same again is of no use.
func (r *Refusal) Final() bool {
	return r.Status >= 400 && r.Status < 500 && r.Status != http.StatusUnauthorized && r.Status != http.StatusRequestTimeout && r.Status != http.StatusTooManyRequests
}

// Query asks a holder's credential service for what scopes cover and gives the
// presentations, unread.
func (c Client) Query(ctx context.Context, base, holder, access string, scopes []Scope) ([]string, error) {
	var q PresentationQuery
	for _, s := range scopes {
		q.Scopes = append(q.Scopes, s.String())
	}
	body, err := q.Encode()
	if err != nil {
		return nil, err
	}
	reply, _, err := c.do(ctx, http.MethodPost, join(base, "presentations/query"), holder, TypeQuery, body, access)
	if err != nil {
		return nil, err
	}
	r, err := DecodeResponse(reply)
	return r.Presentations, err
}

// Request asks an issuer for credentials and gives the id under which RequestStatus
// asks about it.
func (c Client) Request(ctx context.Context, base, issuer string, m CredentialRequest) (id string, err error) {
	body, err := m.Encode()
	if err != nil {
		return "", err
	}
	_, h, err := c.do(ctx, http.MethodPost, join(base, "credentials"), issuer, TypeRequest, body, "")
	if err != nil {
		return "", err
	}
	location, err := url.Parse(h.Get("Location"))
	if err != nil || location.Path == "" {
		return "", fault.AnswerNotUnderstood.At("Location", "partner", issuer, "reason", "the answer does not say where the request is")
	}
	parts := strings.Split(strings.TrimSuffix(location.Path, "/"), "/")
	return parts[len(parts)-1], nil
}

// RequestStatus asks an issuer how a request stands.
func (c Client) RequestStatus(ctx context.Context, base, issuer, id string) (CredentialStatus, error) {
	reply, _, err := c.do(ctx, http.MethodGet, join(base, "requests/"+url.PathEscape(id)), issuer, TypeStatus, nil, "")
	if err != nil {
		return CredentialStatus{}, err
	}
	return DecodeStatus(reply)
}

// Metadata asks an issuer what it can make. It must speak for itself.
func (c Client) Metadata(ctx context.Context, base, issuer string) (IssuerMetadata, error) {
	reply, _, err := c.do(ctx, http.MethodGet, join(base, "metadata"), "", TypeMetadata, nil, "")
	if err != nil {
		return IssuerMetadata{}, err
	}
	m, err := DecodeMetadata(reply)
	if err == nil && m.Issuer != issuer {
		err = fault.AnswerNotUnderstood.At("/issuer", "partner", issuer, "reason", fmt.Sprintf("the metadata are those of %.200q", m.Issuer))
	}
	return m, err
}

// Deliver brings credentials, or the news that there are none, to a holder. echo
// is the access token that came with its request, or "".
func (c Client) Deliver(ctx context.Context, base, holder, echo string, m CredentialMessage) error {
	body, err := m.Encode()
	if err != nil {
		return err
	}
	_, _, err = c.do(ctx, http.MethodPost, join(base, "credentials"), holder, TypeCredentials, body, echo)
	return err
}

// Offer tells a holder what it may ask for.
func (c Client) Offer(ctx context.Context, base, holder string, m CredentialOffer) error {
	body, err := m.Encode()
	if err != nil {
		return err
	}
	_, _, err = c.do(ctx, http.MethodPost, join(base, "offers"), holder, TypeOffer, body, "")
	return err
}

func join(base, path string) string { return strings.TrimSuffix(base, "/") + "/" + path }

// do sends a request, with a token unless audience is "".
func (c Client) do(ctx context.Context, method, address, audience, message string, body []byte, echo string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, nil, fault.PartnerUnreachable.At(address, "address", address).Because(err)
	}
	if audience != "" {
		auth, err := c.Authorize(ctx, audience, message, body, echo)
		if err != nil {
			return nil, nil, fmt.Errorf("authorize %s to %s: %w", message, audience, err)
		}
		req.Header.Set("Authorization", auth)
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		return nil, nil, fault.PartnerUnreachable.At(address, "address", address).Because(err)
	}
	defer resp.Body.Close()
	reply, err := strictjson.Read(resp.Body, 4*MaxMessage)
	if err != nil {
		if errors.Is(err, strictjson.ErrTooLarge) {
			return nil, nil, fault.TooLarge.At(address, "limit", 4*MaxMessage)
		}
		return nil, nil, fault.PartnerUnreachable.At(address, "address", address).Because(fmt.Errorf("read the answer: %w", err))
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		var p struct {
			Detail string `json:"detail"`
		}
		_ = strictjson.DecodeOpen(reply, &p) // another body has no detail
		return nil, nil, &Refusal{URL: address, Status: resp.StatusCode, Detail: clip(p.Detail)}
	}
	return reply, resp.Header, nil
}
