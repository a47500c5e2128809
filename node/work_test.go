package node

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"kakehashi/client"
	"kakehashi/internal/fault"
)

// await asks the API until it says what must come.
func await[T any](t *testing.T, call func() (T, error), done func(T) bool) T {
	t.Helper()
	for {
		v, err := call()
		if err != nil {
			t.Fatal(err)
		}
		if done(v) {
			return v
		}
	}
}

func TestWhatDoesNotGetThroughIsSeenRetriedAndEnded(t *testing.T) {
	t.Parallel()
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	var shut atomic.Bool
	provider := tokyo.startWith(t, nil, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if shut.Load() && r.Method == http.MethodPost {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	consumer := brussels.start(t, nil)
	d := publish(t, tokyo, provider, []byte("a,b\n"))
	us, err := provider.client().Node(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := consumer.client()
	if w, err := c.Work(t.Context(), ""); err != nil || len(w.Items) != 0 || w.Items == nil {
		t.Fatalf("before: %+v, %v", w, err)
	}
	shut.Store(true)
	start := func() client.Negotiation {
		t.Helper()
		n, err := c.Negotiate(t.Context(), client.StartNegotiation{Partner: us.DID, Dataset: d.ID, Offer: d.Offers[0].ID})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	lateOf := func(id string) client.Work {
		t.Helper()
		var found client.Work
		await(t, func() (client.Works, error) { return c.Work(t.Context(), us.DID) }, func(all client.Works) bool {
			for _, w := range all.Items {
				if w.Process == id {
					found = w
				}
			}
			return found.Attempts > 0
		})
		return found
	}
	first, second := start(), start()
	w := lateOf(first.ID)
	if w.Message != "ContractRequestMessage" || w.Kind != "negotiation.send" || w.Counterparty != us.DID || w.State != "retrying" ||
		w.LastError == "" || w.Since.IsZero() || w.Next.IsZero() {
		t.Errorf("late: %+v", w)
	}
	if other, err := c.Work(t.Context(), "did:web:nobody"); err != nil || len(other.Items) != 0 {
		t.Errorf("for another: %+v, %v", other, err)
	}
	if err := c.EndWork(t.Context(), w.ID); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Negotiation(t.Context(), first.ID, 0); err != nil || n.State != "TERMINATED" || n.Reason == "" {
		t.Errorf("ended: %+v, %v", n, err)
	}
	if err := c.EndWork(t.Context(), w.ID); !errors.Is(err, fault.JobUnknown) {
		t.Errorf("ended twice: %v", err)
	}
	if err := c.RetryWork(t.Context(), w.ID); !errors.Is(err, fault.JobUnknown) {
		t.Errorf("retried after its end: %v", err)
	}
	w = lateOf(second.ID)
	shut.Store(false)
	if err := c.RetryWork(t.Context(), w.ID); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Negotiation(t.Context(), second.ID, waitInTest, "FINALIZED"); err != nil || n.State != "FINALIZED" {
		t.Errorf("retried: %+v, %v", n, err)
	}
}
