package node

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"os"
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
