package node

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"kakehashi/client"
)

// silent is a connector that takes messages and answers none until it is let go.
type silent struct {
	*httptest.Server
	taken chan string // path of each message, when it came
}

func newSilent(t *testing.T) silent {
	t.Helper()
	s := silent{taken: make(chan string, 1000)}
	release := make(chan struct{})
	s.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s.taken <- r.URL.Path
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(sync.OnceFunc(func() { close(release) }))
	return s
}

// A counterpart that never answers holds all the calls that one may have, with
// more waiting behind them. Exchanges with another go on beside it, in both roles,
// though none of those calls has ended; they take as long as they did before.
func TestASilentCounterpartHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	const inFlight, asked = 128, 300 // half of the lanes that run at once; more than all
	quiet := newSilent(t)
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	one, two := tokyo.start(t, nil), brussels.start(t, nil)
	us, them := one.client(), two.client()
	d := publish(t, tokyo, one, []byte("a,b\n1,2\n"))
	other := publish(t, brussels, two, []byte("c,d\n3,4\n"))

	whole := func(name string) time.Duration {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), waitInTest)
		defer cancel()
		began := time.Now()
		for i, x := range []struct {
			by      *client.Client
			partner running
			dataset string
		}{{them, one, d.ID}, {us, two, other.ID}} {
			node, err := x.partner.client().Node(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := x.by.Get(ctx, client.Want{Partner: node.DID, Dataset: x.dataset, Fresh: true, Out: filepath.Join(t.TempDir(), fmt.Sprint(name, i))}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		return time.Since(began)
	}
	whole("first") // finds addresses and keys
	before := whole("before")

	if _, err := us.FixPartner(t.Context(), client.FixPartner{ID: "silent", Base: quiet.URL}); err != nil {
		t.Fatal(err)
	}
	for i := range asked {
		if _, err := us.Negotiate(t.Context(), client.StartNegotiation{Partner: "silent", Dataset: fmt.Sprint("urn:x:", i),
			Offer: fmt.Sprint("urn:x:offer:", i), Policy: map[string]any{"permission": []any{map[string]any{"action": "use"}}}}); err != nil {
			t.Fatal(err)
		}
	}
	for range inFlight {
		<-quiet.taken
	}
	beside := whole("beside")
	if n := len(quiet.taken); n != 0 {
		t.Errorf("%d calls more than its share run at the same time", n)
	}
	t.Logf("two exchanges took %s, and %s beside %d calls that nobody answers", before, beside, inFlight)
	// The calls last for the outgoing timeout, 30 s: whoever waited for one would show.
	if beside > before+5*time.Second {
		t.Errorf("two exchanges took %s, and %s beside a silent counterpart", before, beside)
	}
}
