package node

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"kakehashi/client"
	"kakehashi/internal/fault"
)

// breaking is a way to a node on which event streams break after some bytes.
type breaking struct {
	http.RoundTripper
	after int64

	mu     sync.Mutex
	opened int
}

func (b *breaking) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil && strings.HasSuffix(r.URL.Path, "/events") {
		b.mu.Lock()
		b.opened++
		b.mu.Unlock()
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, b.after), resp.Body}
	}
	return resp, err
}

func TestNoChangeIsLostWhenStreamsBreak(t *testing.T) {
	t.Parallel()
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	provider, consumer := tokyo.start(t, nil), brussels.start(t, nil)
	d := publish(t, tokyo, provider, []byte("a,b\n1,2\n"))
	us, err := provider.client().Node(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	way := &breaking{RoundTripper: &http.Transport{}, after: 3000} // some events, and more than all processes at once
	watching := consumer.client()
	watching.HTTP = &http.Client{Transport: way}

	const n = 12
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error, 1)
	finals, versions := map[string]bool{}, map[string]int64{}
	position := ""
	go func() {
		done <- watching.EventsOf(ctx, client.Filter{Kind: "negotiation"}, func() { close(ready) }, func(e client.Event) bool {
			position = e.Position
			if e.Kind != "negotiation" || e.ID == "" {
				t.Errorf("an event %+v", e)
			}
			versions[e.ID] = max(versions[e.ID], e.Version)
			if e.State == "FINALIZED" {
				finals[e.ID] = true
			}
			return len(finals) < n
		})
	}()
	<-ready
	c := consumer.client()
	var ids []string
	for range n {
		q, err := c.Negotiate(t.Context(), client.StartNegotiation{Partner: us.DID, Dataset: d.ID})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, q.ID)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	cancel()
	if all, err := c.Negotiations(t.Context(), ""); err != nil || all.Total != n || len(all.Items) != n {
		t.Errorf("the list: %d of %d, %v", len(all.Items), all.Total, err)
	} else if rest, err := c.Negotiations(t.Context(), all.Items[0].ID); err != nil || rest.Total != 0 || len(rest.Items) != n-1 {
		t.Errorf("what follows the first: %d of %d, %v", len(rest.Items), rest.Total, err)
	}
	if all, err := c.Agreements(t.Context(), ""); err != nil || all.Total != n {
		t.Errorf("agreements: %d, %v", all.Total, err)
	}
	for _, id := range ids {
		if !finals[id] {
			t.Errorf("%s was lost", id)
		}
	}
	if way.opened < 2 {
		t.Error("the stream did not break")
	}
	way.RoundTripper.(*http.Transport).CloseIdleConnections()

	// The position lives longer than the node, and a stream of one process tells
	// of that one.
	// A node that stops ends its streams, instead of waiting for their readers.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, consumer.AdminURL()+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+consumer.APIToken())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	whole := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, resp.Body)
		whole <- errors.Join(err, resp.Body.Close())
	}()
	if err := consumer.stop(); err != nil {
		t.Fatal(err)
	}
	if err := <-whole; err != nil {
		t.Errorf("the stream was cut: %v", err)
	}
	consumer = brussels.start(t, nil)
	again := consumer.client()
	seen := 0
	if err := again.EventsOf(t.Context(), client.Filter{ID: ids[n-1], After: "1"}, func() {}, func(e client.Event) bool {
		if seen++; e.ID != ids[n-1] || e.State != "FINALIZED" {
			t.Errorf("resumed with %+v", e)
		}
		return false
	}); err != nil || seen != 1 {
		t.Errorf("%d events, %v", seen, err)
	}
	if position == "" {
		t.Error("events have no position")
	}
	for _, bad := range []client.Filter{{After: "yesterday"}, {After: "-1"}} {
		err := again.EventsOf(t.Context(), bad, func() { t.Error("opened") }, nil)
		if !errors.Is(err, fault.BadMessage) {
			t.Errorf("after %q: %v", bad.After, err)
		}
	}
}
