package node

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"unicode"

	"kakehashi/client"
	"kakehashi/dsp/dsp2025/conform"
	"kakehashi/internal/strictjson"
)

// schemaOf names the published schema of a message or object by its @type.
func schemaOf(typ string) string {
	var b strings.Builder
	for i, r := range typ {
		if unicode.IsUpper(r) {
			if i > 0 {
				b.WriteByte('-')
			}
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	name := b.String()
	switch {
	case strings.HasPrefix(name, "contract"):
		return "negotiation/" + name
	case strings.HasPrefix(name, "transfer"):
		if name == "transfer-process" {
			return "transfer/transfer-process"
		}
		return "transfer/" + name
	}
	return "catalog/" + name
}

// tap is a proxy in front of a node that keeps all that goes over the wire.
type tap struct {
	mu   sync.Mutex
	seen map[string]int
	t    *testing.T
}

func (w *tap) check(what string, body []byte) {
	var head struct {
		Type string `json:"@type"`
	}
	if len(body) == 0 || strictjson.DecodeOpen(body, &head) != nil || head.Type == "" {
		return
	}
	w.mu.Lock()
	w.seen[head.Type]++
	w.mu.Unlock()
	if err := conform.Check(schemaOf(head.Type), body); err != nil {
		w.t.Errorf("%s: %s does not conform: %v\n%s", what, head.Type, err, body)
	}
}

// wrap checks each request and each answer of a handler.
func (w *tap) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		w.check(r.Method+" "+r.URL.Path, body)
		r.Header.Del("Accept-Encoding") // what is compressed could not be looked at
		next.ServeHTTP(&copied{rw, w, r.URL}, r)
	})
}

type copied struct {
	http.ResponseWriter
	w  *tap
	at *url.URL
}

func (c *copied) Write(b []byte) (int, error) {
	if strings.HasPrefix(c.Header().Get("Content-Type"), "application/json") {
		c.w.check("answer of "+c.at.Path, b)
	}
	return c.ResponseWriter.Write(b)
}

func (c *copied) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Each message and each answer between two nodes is valid against the published
// schema of its type, in runs that complete, are suspended, and are ended.
func TestEverythingOnTheWireConforms(t *testing.T) {
	t.Parallel()
	w := &tap{t: t, seen: map[string]int{}}
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	provider := tokyo.startWith(t, nil, w.wrap)
	consumer := brussels.startWith(t, nil, w.wrap)
	d := publish(t, tokyo, provider, []byte("a"))
	who := provider.participants.All()[0]
	c, ctx := consumer.client(), t.Context()
	if _, err := c.Get(ctx, client.Want{Partner: who.DID, Dataset: d.ID, Out: t.TempDir() + "/f"}); err != nil {
		t.Fatal(err)
	}
	a, err := c.AgreementInForce(ctx, who.DID, d.ID)
	if err != nil {
		t.Fatal(err)
	}
	x, err := c.StartTransfer(ctx, client.StartTransfer{Agreement: a.ID})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		do   func() (client.Transfer, error)
		want string
	}{
		{func() (client.Transfer, error) { return x, nil }, "STARTED"},
		{func() (client.Transfer, error) { return c.Suspend(ctx, x.ID, "a pause") }, "SUSPENDED"},
		{func() (client.Transfer, error) { return c.Resume(ctx, x.ID) }, "STARTED"},
		{func() (client.Transfer, error) { return c.TerminateTransfer(ctx, x.ID, "no longer needed") }, "TERMINATED"},
	} {
		if _, err := step.do(); err != nil {
			t.Fatalf("to %s: %v", step.want, err)
		}
		got, err := c.Transfer(ctx, x.ID, waitInTest, step.want)
		if err != nil || got.State != step.want {
			t.Fatalf("to %s: %+v, %v", step.want, got, err)
		}
	}
	// Ours holds at once; the message follows.
	if x, err := c.Transfer(ctx, x.ID, 0); err != nil {
		t.Fatal(err)
	} else if x, err = provider.client().Transfer(ctx, x.PeerID, waitInTest, "TERMINATED"); err != nil || x.State != "TERMINATED" {
		t.Fatalf("the provider was not told: %+v, %v", x, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, typ := range []string{"CatalogRequestMessage", "Catalog", "ContractRequestMessage", "ContractNegotiation", "ContractAgreementMessage",
		"ContractAgreementVerificationMessage", "ContractNegotiationEventMessage", "TransferRequestMessage", "TransferStartMessage",
		"TransferSuspensionMessage", "TransferTerminationMessage", "TransferCompletionMessage", "TransferProcess"} {
		if w.seen[typ] == 0 {
			t.Errorf("no %s went over the wire", typ)
		}
	}
}
