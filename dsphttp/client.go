package dsphttp

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
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
// that keeps it can tell a node that was restored from yesterday.
const CheckpointHeader = "Kakehashi-Checkpoint"

// Bounds of what a client reads of an answer.
const (
	maxReply   = 1 << 20
	maxCatalog = 16 << 20
	maxPages   = 1000
)

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
	return &Client{c: c, shown: recent.New[showing, shown](1000)}
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

// Catalog asks a provider for all that it shows us, page after page.
func (c *Client) Catalog(ctx context.Context, p participant.ID, who partner.Partner) (dsp.Catalog, error) {
	body, err := dsp.Marshal(&dsp.CatalogRequest{})
	if err != nil {
		return dsp.Catalog{}, err
	}
	var all dsp.Catalog
	next := who.Base + dsp.PathCatalogRequest
	for page := 0; next != ""; page++ {
		if page == maxPages {
			return all, fault.AnswerNotUnderstood.At(next, "partner", who.DID, "reason", "its catalogue does not end")
		}
		status, reply, header, err := c.do(ctx, p, who.DID, http.MethodPost, next, "CatalogRequestMessage", body, maxCatalog)
		if err != nil {
			return all, err
		}
		if status != http.StatusOK {
			return all, refusal(who.DID, status, reply)
		}
		got, err := dsp.Decode[dsp.Catalog](reply)
		if err != nil {
			return all, fault.AnswerNotUnderstood.At(next, "partner", who.DID, "reason", fault.Of(err).What("en")).Because(err)
		}
		if page == 0 {
			all = got
		} else {
			all.Dataset = append(all.Dataset, got.Dataset...)
		}
		for _, set := range got.Dataset {
			c.shown.Put(showing{p, who.Base, set.ID}, shown{set, c.c.Now()})
		}
		if next, err = nextPage(next, header); err != nil {
			return all, fault.AnswerNotUnderstood.At(next, "partner", who.DID, "reason", err.Error())
		}
	}
	return all, nil
}

// Dataset asks a provider for one dataset; what it showed in the last 10 s is
// believed.
func (c *Client) Dataset(ctx context.Context, p participant.ID, who partner.Partner, id string) (dsp.Dataset, error) {
	if s, ok := c.shown.Get(showing{p, who.Base, id}); ok && c.c.Now().Sub(s.at) < believed {
		return s.Dataset, nil
	}
	at := who.Base + dsp.PathDatasets + url.PathEscape(id)
	status, reply, _, err := c.do(ctx, p, who.DID, http.MethodGet, at, "dataset", nil, maxReply)
	if err != nil {
		return dsp.Dataset{}, err
	}
	if status == http.StatusNotFound {
		return dsp.Dataset{}, fault.NotFound.At(at, "what", id)
	}
	if status != http.StatusOK {
		return dsp.Dataset{}, refusal(who.DID, status, reply)
	}
	d, err := dsp.Decode[dsp.Dataset](reply)
	if err != nil {
		return d, fault.AnswerNotUnderstood.At(at, "partner", who.DID, "reason", fault.Of(err).What("en")).Because(err)
	}
	c.shown.Put(showing{p, who.Base, id}, shown{d, c.c.Now()})
	return d, nil
}

func (c *Client) do(ctx context.Context, p participant.ID, counterparty, method, url, message string, body []byte, limit int64) (int, []byte, http.Header, error) {
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
	resp, err := c.c.HTTP.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return 0, nil, nil, context.Cause(ctx)
		}
		return 0, nil, nil, fault.PartnerUnreachable.At(url, "address", url).Because(err)
	}
	defer resp.Body.Close()
	reply, err := strictjson.Read(resp.Body, limit)
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

// nextPage finds rel="next" among Link headers (RFC 8288), on the same host.
func nextPage(at string, h http.Header) (string, error) {
	for _, line := range h.Values("Link") {
		for _, link := range strings.Split(line, ",") {
			target, params, ok := strings.Cut(strings.TrimSpace(link), ">")
			if !ok || !strings.HasPrefix(target, "<") {
				continue
			}
			for _, param := range strings.Split(params, ";") {
				k, v, _ := strings.Cut(strings.TrimSpace(param), "=")
				if !strings.EqualFold(k, "rel") || strings.Trim(v, `"`) != "next" {
					continue
				}
				base, err := url.Parse(at)
				if err != nil {
					return "", err
				}
				next, err := base.Parse(target[1:])
				if err != nil {
					return "", err
				}
				if next.Host != base.Host || next.Scheme != base.Scheme {
					return "", fmt.Errorf("the next page lies on another host, %s", next.Host)
				}
				if next.String() == at {
					return "", fmt.Errorf("the next page is the same page")
				}
				return next.String(), nil
			}
		}
	}
	return "", nil
}
