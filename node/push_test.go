package node

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"kakehashi/client"
)

// agreed makes an agreement about a dataset and gives its id.
func agreed(t *testing.T, c *client.Client, partner, dataset string) string {
	t.Helper()
	n, err := c.Negotiate(t.Context(), client.StartNegotiation{Partner: partner, Dataset: dataset})
	if err == nil {
		n, err = c.AwaitNegotiation(t.Context(), n.ID, "FINALIZED")
	}
	if err != nil {
		t.Fatal(err)
	}
	return n.Agreement
}

// reached waits until a transfer is in a state.
func reached(t *testing.T, c *client.Client, id, state string) client.Transfer {
	t.Helper()
	x, err := c.Transfer(t.Context(), id, waitInTest, state)
	if err != nil || x.State != state {
		t.Fatalf("waiting for %s: %+v, %v", state, x, err)
	}
	return x
}

// leafOf finds the leaf of a type in a timeline.
func leafOf(t *testing.T, c *client.Client, id, typ string) client.Entry {
	t.Helper()
	h, err := c.History(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range h.Items {
		if e.Type == typ {
			return e
		}
	}
	t.Fatalf("no %s in %+v", typ, h.Items)
	return client.Entry{}
}

func TestTwoNodesPushToEachOther(t *testing.T) {
	t.Parallel()
	w := &tap{t: t, seen: map[string]int{}}
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	a := tokyo.startWith(t, nil, w.wrap)
	b := brussels.startWith(t, nil, w.wrap)
	content := make([]byte, 3<<20+7)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	for _, way := range []struct {
		name     string
		from, to running
		place    place
		provider string
	}{{"from tokyo", a, b, tokyo, a.participants.All()[0].DID}, {"from brussels", b, a, brussels, b.participants.All()[0].DID}} {
		t.Run(way.name, func(t *testing.T) {
			d := publish(t, way.place, way.from, content)
			c := way.to.client()
			x, err := c.StartTransfer(t.Context(), client.StartTransfer{Agreement: agreed(t, c, way.provider, d.ID), Format: "HttpData-PUSH"})
			if err != nil {
				t.Fatal(err)
			}
			x = reached(t, c, x.ID, "COMPLETED")
			got, err := os.ReadFile(x.File)
			if err != nil || !bytes.Equal(got, content) || x.Digest != digest || x.Bytes != int64(len(content)) {
				t.Fatalf("%d bytes arrived: %+v, %v", len(got), x, err)
			}
			if e := leafOf(t, c, x.ID, "kh.plane.received"); e.Hashes["payload"] != digest {
				t.Errorf("what arrived is on record as %+v", e)
			}
			if e := leafOf(t, c, x.ID, "kh.transfer.completed"); e.Hashes["payload"] != digest || e.Hashes["claimed"] != digest {
				t.Errorf("the completion is on record as %+v", e)
			}
			p := reached(t, way.from.client(), x.PeerID, "COMPLETED")
			if p.Digest != digest || p.Bytes != int64(len(content)) {
				t.Errorf("the provider says that it sent %+v", p)
			}
			if e := leafOf(t, way.from.client(), p.ID, "kh.transfer.completed"); e.Hashes["payload"] != digest {
				t.Errorf("the provider's completion is on record as %+v", e)
			}
		})
	}
}

// held is a public face whose first push stops in the middle until it is let go.
type held struct {
	once    sync.Once
	arrives chan struct{}
	let     chan struct{}
}

func (h *held) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/data/") && r.Method == http.MethodPost {
			h.once.Do(func() { r.Body = &stopping{ReadCloser: r.Body, h: h, left: 100 << 10} })
		}
		next.ServeHTTP(w, r)
	})
}

type stopping struct {
	io.ReadCloser
	h    *held
	left int
}

func (s *stopping) Read(b []byte) (int, error) {
	if s.left <= 0 {
		if s.left > -1<<30 {
			s.left = -1 << 30
			close(s.h.arrives)
		}
		<-s.h.let
	}
	n, err := s.ReadCloser.Read(b)
	s.left -= n
	return n, err
}

func TestAPushIsSuspendedAndResumedByEitherSide(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"provider", "consumer"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			h := &held{arrives: make(chan struct{}), let: make(chan struct{})}
			tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
			provider, consumer := tokyo.start(t, nil), brussels.startWith(t, nil, h.wrap)
			// More than the buffers of a connection hold: what lies in them when the
			// provider suspends would still arrive, and be the whole.
			content := bytes.Repeat([]byte("a line of a table\n"), 24<<20/18)
			d := publish(t, tokyo, provider, content)
			c, p := consumer.client(), provider.client()
			x, err := c.StartTransfer(t.Context(), client.StartTransfer{Agreement: agreed(t, c, provider.participants.All()[0].DID, d.ID), Format: "HttpData-PUSH"})
			if err != nil {
				t.Fatal(err)
			}
			<-h.arrives
			theirs := reached(t, c, x.ID, "STARTED").PeerID
			side, id := p, theirs
			if by == "consumer" {
				side, id = c, x.ID
			}
			if _, err := side.Suspend(t.Context(), id, "the line is needed for something else"); err != nil {
				t.Fatal(err)
			}
			close(h.let)
			reached(t, p, theirs, "SUSPENDED")
			if got := reached(t, c, x.ID, "SUSPENDED"); got.File != "" {
				t.Errorf("a part was kept as the whole: %s", got.File)
			}
			if _, err := side.Resume(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			x = reached(t, c, x.ID, "COMPLETED")
			reached(t, p, theirs, "COMPLETED")
			if got, err := os.ReadFile(x.File); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes arrived, %v", len(got), err)
			}
		})
	}
}

// What cannot be sent ends the transfer, and the consumer reads why.
func TestAPushThatCannotBeServedIsTerminated(t *testing.T) {
	t.Parallel()
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	provider, consumer := tokyo.start(t, nil), brussels.start(t, nil)
	d := publish(t, tokyo, provider, []byte("as published"))
	c := consumer.client()
	a := agreed(t, c, provider.participants.All()[0].DID, d.ID)
	if err := os.WriteFile(filepath.Join(tokyo.settings.Data, "table.csv"), []byte("changed since then"), 0o600); err != nil {
		t.Fatal(err)
	}
	x, err := c.StartTransfer(t.Context(), client.StartTransfer{Agreement: a, Format: "HttpData-PUSH"})
	if err != nil {
		t.Fatal(err)
	}
	x = reached(t, c, x.ID, "TERMINATED")
	if !strings.Contains(x.Reason, "409") || x.File != "" {
		t.Errorf("got %+v", x)
	}
}
