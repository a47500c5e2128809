// Package decision asks the organisation's own work-flow for the decisions that a
// dataset or a negotiation leaves to people: a webhook that is told what waits,
// and that may answer at once or leave it to the portal and the API.
//
// It decides nothing and keeps nothing but its jobs; what an approval may agree
// to is judged by the rooms, as for anybody else.
package decision

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"kakehashi/client"
	"kakehashi/dsp/dsp2025"
	"kakehashi/internal/fault"
	"kakehashi/internal/format"
	"kakehashi/internal/ids"
	"kakehashi/internal/strictjson"
	"kakehashi/negotiation"
	"kakehashi/odrl"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/process"
	"kakehashi/store"
	"kakehashi/transfer"
)

// SignatureHeader carries "sha256=" and the hexadecimal HMAC-SHA256 of the body.
const SignatureHeader = "Kakehashi-Signature"

const (
	jobAsk  = "decision.ask"
	timeout = time.Minute // of one call
	maxSize = 1 << 20     // of an answer
)

// Negotiations are those of the node.
type Negotiations interface {
	Get(ctx context.Context, p participant.ID, id string) (negotiation.Process, error)
	Decide(ctx context.Context, p participant.ID, id string, version int64, d process.Decision) (negotiation.Process, error)
}

// Transfers are those of the node.
type Transfers interface {
	Get(ctx context.Context, p participant.ID, id string) (transfer.Process, error)
	Decide(ctx context.Context, p participant.ID, id string, version int64, d process.Decision) (transfer.Process, error)
}

// Outbox asks after the commit.
type Outbox interface {
	Put(store.Tx, outbox.Job) error
	Handle(kind string, h outbox.Handler, opts ...outbox.Option)
}

// Config is what a Webhook needs.
type Config struct {
	URL    string // the operator's own choice: not guarded
	Key    []byte // of the HMAC
	Outbox Outbox
}

// Webhook is a process.Asker.
type Webhook struct {
	c            Config
	http         *http.Client
	negotiations Negotiations
	transfers    Transfers
}

// New names its handler to the outbox, which must not run before Bind.
func New(c Config) *Webhook {
	w := &Webhook{c: c, http: &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	c.Outbox.Handle(jobAsk, w.ask, outbox.About(about))
	return w
}

// Bind gives the rooms, which need the webhook to be opened.
func (w *Webhook) Bind(n Negotiations, t Transfers) { w.negotiations, w.transfers = n, t }

// asked is the data of a job.
type asked struct {
	Format  int64  `json:"v,omitzero"`
	Kind    string `json:"kind"`
	ID      string `json:"id"`
	Version int64  `json:"version"`
}

// Ask implements process.Asker. The question has a lane of its own, so that a
// slow webhook never holds back a message; all questions together are one peer to
// the outbox.
func (w *Webhook) Ask(tx store.Tx, p participant.ID, kind, id string, version int64) (string, error) {
	data, err := strictjson.Encode(asked{format.Mark(), kind, id, version})
	if err != nil {
		return "", err
	}
	lane := "decision:" + id
	return lane, w.c.Outbox.Put(tx, outbox.Job{Participant: p, Lane: lane, ID: ids.Short(), Kind: jobAsk, Peer: "decision webhook", Data: data})
}

func about(j outbox.Job) outbox.Subject {
	var a asked
	_ = strictjson.Decode(j.Data, &a) // a job that cannot be read is about nothing
	return outbox.Subject{Process: a.ID}
}

// ask is one call. The decision is taken in a unit of its own and counts for the
// version that was shown: asked again after a crash it finds that one gone.
func (w *Webhook) ask(ctx context.Context, j outbox.Job) (func(store.Tx) error, error) {
	var a asked
	if err := format.Look("job", j.ID, j.Data); err != nil {
		return nil, err
	}
	if err := strictjson.Decode(j.Data, &a); err != nil {
		return nil, outbox.Permanent(fmt.Errorf("read job %s: %w", j.ID, err))
	}
	q, waits, err := w.question(ctx, j.Participant, a)
	if err != nil || !waits || q.Version != a.Version {
		return nil, err
	}
	d, err := w.call(ctx, q)
	if err != nil || d == nil {
		return nil, err
	}
	if a.Kind == kindTransfer {
		_, err = w.transfers.Decide(ctx, j.Participant, a.ID, a.Version, *d)
	} else {
		_, err = w.negotiations.Decide(ctx, j.Participant, a.ID, a.Version, *d)
	}
	switch {
	case errors.Is(err, fault.DecidedOn), errors.Is(err, fault.NotYourTurn):
		return nil, nil // decided otherwise meanwhile
	case err != nil && fault.Of(err).Kind.Status < 500:
		return nil, outbox.Permanent(err) // the node will not do that, however often it is told
	}
	return nil, err
}

const kindTransfer = "transfer"

func (w *Webhook) question(ctx context.Context, p participant.ID, a asked) (q client.Question, waits bool, err error) {
	if a.Kind == kindTransfer {
		t, err := w.transfers.Get(ctx, p, a.ID)
		return client.Question{Kind: a.Kind, ID: t.ID, Role: string(t.Role), State: string(t.State), Version: t.Version,
			Counterparty: t.Counterparty, Dataset: t.Dataset, Agreement: t.Agreement, Format: t.As, Same: true}, t.Waits(), err
	}
	n, err := w.negotiations.Get(ctx, p, a.ID)
	q = client.Question{Kind: a.Kind, ID: n.ID, Role: string(n.Role), State: string(n.State), Version: n.Version,
		Counterparty: n.Counterparty, Dataset: n.Dataset, Offer: n.OfferID, Agreement: n.Agreement, Same: n.Same}
	if len(n.Terms) > 0 {
		q.Policy = json.RawMessage(n.Terms)
		if rules, err := odrl.Parse(n.Terms); err == nil {
			q.Terms = odrl.Describe(rules, "en")
		}
	}
	return q, n.Turn(), err
}

// call asks; nil without an error is "later".
func (w *Webhook) call(ctx context.Context, q client.Question) (*process.Decision, error) {
	body, err := strictjson.Encode(q)
	if err != nil {
		return nil, outbox.Permanent(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.c.URL, bytes.NewReader(body))
	if err != nil {
		return nil, outbox.Permanent(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", q.ID+"/"+strconv.FormatInt(q.Version, 10))
	req.Header.Set(SignatureHeader, Sign(w.c.Key, body))
	resp, err := w.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the decision webhook: %w", err)
	}
	defer resp.Body.Close()
	answer, err := strictjson.Read(resp.Body, maxSize)
	if err != nil {
		return nil, fmt.Errorf("read the answer of the decision webhook: %w", err)
	}
	switch {
	case resp.StatusCode == http.StatusAccepted, resp.StatusCode == http.StatusNoContent:
		return nil, nil
	case resp.StatusCode == http.StatusOK:
		return read(answer)
	}
	err = fault.WebhookRefused.At(w.c.URL, "status", resp.StatusCode)
	if resp.StatusCode >= 400 && resp.StatusCode < 500 && resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusRequestTimeout {
		err = outbox.Permanent(err)
	}
	return nil, err
}

// read takes an answer with the same rules as the API.
func read(answer []byte) (*process.Decision, error) {
	bad := func(reason string) (*process.Decision, error) {
		return nil, outbox.Permanent(fault.WebhookAnswer.At("", "reason", reason))
	}
	var a client.Decision
	if err := strictjson.Decode(answer, &a); err != nil {
		return bad(err.Error())
	}
	d := process.Decision{Choice: process.Choice(a.Decision), Code: a.Code, Reason: a.Reason}
	switch d.Choice {
	case process.Approve, process.Counter:
	case process.Refuse:
		if d.Reason == "" {
			return bad("whoever is refused is told why: reason is missing")
		}
		if d.Code == "" {
			d.Code = "refused"
		}
	default:
		return bad("decision is approve, refuse or counter")
	}
	if a.Policy != nil {
		raw, err := strictjson.Encode(a.Policy)
		if err != nil {
			return bad(err.Error())
		}
		if _, err := odrl.Parse(raw); err != nil {
			return nil, outbox.Permanent(err)
		}
		if d.Terms, err = dsp2025.Rules(raw); err != nil {
			return nil, outbox.Permanent(err)
		}
	}
	return &d, nil
}

// Sign is the value of SignatureHeader for a body.
func Sign(key, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}
