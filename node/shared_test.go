package node

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kakehashi/client"
	"kakehashi/dataplane"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/transfer"
)

// What one replica does, its people see at the other at once, and counterparts too.
func TestReplicasShowTheSame(t *testing.T) {
	t.Parallel()
	tokyo, brussels := newGroup(t, "tokyo", 2), newGroup(t, "brussels", 2)
	a, b := tokyo.replicas[0], tokyo.replicas[1]
	ours, theirs := brussels.replicas[0].client(), brussels.replicas[1].client()
	node, err := a.client().Node(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tokyo.serve(tokyo.places[0], false) // counterparts reach only the second one from here on
	long := filepath.Join(filepath.Dir(tokyo.places[0].settings.Data), "long.bin")
	if err := os.WriteFile(long, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const size = 1 << 30 // more than is read until the cut
	if err := os.Truncate(long, size); err != nil {
		t.Fatal(err)
	}
	d, err := a.client().PublishFile(t.Context(), client.PublishFile{Path: long, Title: "Long", Policy: terms(time.Now())})
	if err != nil {
		t.Fatal(err)
	}

	// The consumer's stream is open at one replica; the other one negotiates.
	ctx, cancel := context.WithTimeout(t.Context(), waitInTest)
	defer cancel()
	ready, seen, position := make(chan struct{}), make(chan error, 1), ""
	var states []string
	go func() {
		seen <- theirs.Events(ctx, func() { close(ready) }, func(e client.Event) bool {
			if e.Kind != "negotiation" && e.Kind != "transfer" && e.Kind != "" {
				t.Errorf("an event of the kind %q", e.Kind)
			}
			states, position = append(states, e.State), e.Position
			return e.State != "FINALIZED"
		})
	}()
	<-ready
	n, err := ours.Negotiate(ctx, client.StartNegotiation{Partner: node.DID, Dataset: d.ID})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-seen; err != nil {
		t.Fatalf("seen at the other replica: %v, then %v", states, err)
	}
	if n, err = theirs.Negotiation(ctx, n.ID, waitInTest, "FINALIZED"); err != nil || n.State != "FINALIZED" {
		t.Fatalf("%+v, %v", n, err)
	}
	begin := func() (client.Transfer, client.Access) {
		t.Helper()
		x, err := ours.StartTransfer(ctx, client.StartTransfer{Agreement: n.Agreement})
		if err != nil {
			t.Fatal(err)
		}
		if x, err = theirs.Transfer(ctx, x.ID, waitInTest, "STARTED"); err != nil || x.State != "STARTED" {
			t.Fatalf("%+v, %v", x, err)
		}
		access, err := theirs.Access(ctx, x.ID)
		if err != nil {
			t.Fatal(err)
		}
		return x, access
	}
	x, access := begin()

	// A position of one replica is good at the other.
	if got := resumeAt(t, ctx, brussels.replicas[0], position, x.ID); !strings.Contains(got, `"kind":"transfer"`) {
		t.Errorf("resumed at the other replica: %s", got)
	}

	// A response that one replica serves is cut when the other one suspends, and when
	// it ends the agreement.
	fetch := func(access client.Access) *http.Response {
		t.Helper()
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.Replace(access.Endpoint, tokyo.places[0].settings.PublicURL, "http://"+tokyo.places[1].settings.Listen, 1), nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Authorization", access.Authorization)
		resp, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	cut := func(what string, access client.Access, end func() error) {
		t.Helper()
		resp := fetch(access)
		if resp.StatusCode != http.StatusOK || resp.ContentLength != size {
			t.Fatalf("%s: %s of %d bytes", what, resp.Status, resp.ContentLength)
		}
		if _, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil {
			t.Fatal(err)
		}
		if err := end(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		from := time.Now()
		n, err := io.Copy(io.Discard, resp.Body)
		if took := time.Since(from); err == nil || took > time.Second+dataplane.Fresh {
			t.Errorf("%s: %d bytes more in %v, %v", what, n, took, err)
		}
		if got := fetch(access); got.StatusCode != http.StatusForbidden {
			t.Errorf("%s: the next request gets %s", what, got.Status)
		}
	}
	provided := func() string {
		t.Helper()
		all, err := b.client().Transfers(ctx, "")
		if err != nil || len(all.Items) == 0 {
			t.Fatalf("%+v, %v", all, err)
		}
		return all.Items[0].ID
	}
	cut("suspended", access, func() error { _, err := a.client().Suspend(ctx, provided(), "a pause"); return err })
	y, access := begin()
	cut("agreement ended", access, func() error { _, err := a.client().EndAgreement(ctx, n.Agreement, "no longer"); return err })

	if got, err := b.client().Agreement(ctx, n.Agreement); err != nil || got.Ended.IsZero() {
		t.Errorf("the other replica shows %+v, %v", got, err)
	}
	if y, err = ours.Transfer(ctx, y.ID, waitInTest, "TERMINATED"); err != nil || y.State != "TERMINATED" {
		t.Errorf("the consumer's transfer: %+v, %v", y, err)
	}
	them := brussels.replicas[0].participants.All()[0].DID
	if _, err := b.transfers.Receive(ctx, "tokyo", identity.Caller{ID: them, DID: them, Token: identity.Token{Issuer: them, JTI: "another", Expires: time.Now().Add(time.Minute)}},
		transfer.Message{Kind: transfer.KindRequest, Body: []byte(`{"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"@type":"TransferRequestMessage","@id":"urn:m",
		"agreementId":"` + n.Agreement + `","consumerPid":"urn:another","format":"HttpData-PULL","callbackAddress":"http://127.0.0.1:1/dsp"}`)}); !errors.Is(err, fault.AgreementEnded) {
		t.Errorf("a transfer under an agreement that the other replica ended: %v", err)
	}

	// The catalogue too is one.
	shows := func() int {
		t.Helper()
		got, err := theirs.PartnerCatalog(ctx, node.DID)
		if err != nil {
			t.Fatal(err)
		}
		return len(got.Datasets)
	}
	if n := shows(); n != 1 {
		t.Errorf("%d datasets are shown", n)
	}
	if err := a.client().Withdraw(ctx, d.ID); err != nil {
		t.Fatal(err)
	}
	if n := shows(); n != 0 {
		t.Errorf("%d datasets are shown after the other replica withdrew it", n)
	}
}

// resumeAt reads a stream from a position on until it tells of a process.
func resumeAt(t *testing.T, ctx context.Context, r running, position, id string) string {
	t.Helper()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, r.AdminURL()+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+r.APIToken())
	q.Header.Set("Last-Event-ID", position)
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if strings.Contains(lines.Text(), id) {
			return lines.Text()
		}
	}
	t.Fatalf("the stream ended: %v", lines.Err())
	return ""
}
