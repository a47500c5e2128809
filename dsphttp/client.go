package dsphttp

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	dsp "kakehashi/dsp/dsp2025"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/internal/recent"
	"kakehashi/internal/strictjson"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/partner"
)

// CheckpointHeader carries, on each of our DSP answers, the newest signed
// checkpoint of the answering participant's evidence log, in base64. A partner
// that keeps it can tell a node that was restored from yesterday: the node
// compares the newest that the partner has with its tables. An older one in an
// answer is no sign of that, a replica may be a moment behind.
const CheckpointHeader = "Kakehashi-Checkpoint"

// maxReply is how many bytes a client reads of an answer.
const maxReply = 1 << 20

// ClientConfig is what a Client needs.
type ClientConfig struct {
	HTTP     *http.Client // guarded: the addresses are the counterpart's choice
	Identity *identity.Room
	Partners *partner.Room
	Now      func() time.Time
}

// Client sends our messages. It signs each with a fresh token that names the
// digest of the body.
type Client struct {
	c     ClientConfig
	shown *recent.Of[showing, shown]
	pages *recent.Of[asked, page]
}

// showing is one dataset as one partner shows it to one participant.
type showing struct {
	p             participant.ID
	base, dataset string
}

type shown struct {
	dsp.Dataset
	at time.Time
}

// believed is how long a dataset that a partner showed is not asked for again.
// An offer that was withdrawn meanwhile is refused by the partner, by name; a
// catalogue request always asks.
const believed = 10 * time.Second

// NewClient makes a client.
func NewClient(c ClientConfig) *Client {
	return &Client{c: c, shown: recent.New[showing, shown](1000), pages: recent.New[asked, page](remembering)}
}

// Send posts body to url. err is for an attempt without an answer; the status
// of an answer, whatever it is, is no error.
func (c *Client) Send(ctx context.Context, p participant.ID, counterparty, url, message string, body []byte) (status int, reply []byte, err error) {
	status, reply, _, err = c.do(ctx, p, counterparty, http.MethodPost, url, message, body, maxReply)
	return status, reply, err
}

// State reads the state of the counterpart's process at url; "" when the answer
// holds none.
func (c *Client) State(ctx context.Context, p participant.ID, counterparty, url string) (state string, status int, err error) {
	status, reply, _, err := c.do(ctx, p, counterparty, http.MethodGet, url, "state", nil, maxReply)
	if err != nil || status != http.StatusOK {
		return "", status, err
	}
	return dsp.StateIn(reply), status, nil
}

// do sends one request and reads the whole answer, at most limit bytes of it when
// it is no longer compressed. headers are pairs of name and value.
func (c *Client) do(ctx context.Context, p participant.ID, counterparty, method, url, message string, body []byte, limit int64, headers ...string) (int, []byte, http.Header, error) {
	use := identity.Use{Message: message}
	if body != nil {
		use.Digest = evidence.Digest(body)
	}
	auth, err := c.c.Identity.Authorize(ctx, p, counterparty, use)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("authorize %s to %s: %w", message, counterparty, err)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, fault.PartnerUnreachable.At(url, "address", url).Because(err)
	}
	req.Header.Set("Authorization", auth)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.c.HTTP.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return 0, nil, nil, context.Cause(ctx)
		}
		return 0, nil, nil, fault.PartnerUnreachable.At(url, "address", url).Because(err)
	}
	defer resp.Body.Close()
	reply, err := readBody(resp, limit)
	if errors.Is(err, strictjson.ErrTooLarge) {
		return 0, nil, nil, notUnderstood(counterparty, url, fmt.Sprintf("it is larger than %d bytes", limit), err)
	}
	if err != nil {
		return 0, nil, nil, fault.PartnerUnreachable.At(url, "address", url).Because(fmt.Errorf("read the answer: %w", err))
	}
	if h := resp.Header.Get(CheckpointHeader); h != "" && len(h) < 4096 {
		if note, err := base64.StdEncoding.DecodeString(h); err == nil {
			c.c.Partners.SawCheckpoint(p, counterparty, note)
		}
	}
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s >= 0 && s <= 86400 {
			return 0, nil, nil, outbox.RetryAfter(fmt.Errorf("%s answers %s", url, resp.Status), time.Duration(s)*time.Second)
		}
	}
	return resp.StatusCode, reply, resp.Header, nil
}

// refusal turns a partner's error answer into a fault that names its code and reason.
func refusal(partner string, status int, reply []byte) error {
	code, reasons := dsp.Refusal(reply)
	reason := http.StatusText(status)
	if len(reasons) > 0 {
		reason = strings.Join(reasons, "; ")
	}
	return fault.PartnerRefused.At("", "partner", partner, "status", status, "code", code, "reason", reason)
}
