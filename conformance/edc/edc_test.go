package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// served is a management API that answers each request alike.
func served(t *testing.T, status int, body string) *connector {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return &connector{id: "osaka", management: s.URL, poll: time.Millisecond}
}

func TestOnlyTheStateThatIsWantedPasses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ state, want, fault string }{
		{"FINALIZED", "FINALIZED", ""}, {"DEPROVISIONED", "COMPLETED", ""}, {"DEPROVISIONING", "TERMINATED", ""},
		{"TERMINATED", "FINALIZED", "is TERMINATED, not FINALIZED: why"}, {"DEPROVISIONED", "SUSPENDED", "not SUSPENDED"},
		{"COMPLETED", "TERMINATED", "not TERMINATED"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := served(t, 200, `{"@id":"x","state":"`+c.state+`","errorDetail":"why"}`).await(ctx, transfers, "x", c.want)
		cancel()
		if c.fault == "" && err != nil || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
			t.Errorf("%s for %s: %v", c.state, c.want, err)
		}
	}
	if _, err := served(t, 409, `[{"message":"no"}]`).await(t.Context(), transfers, "x", "STARTED"); err == nil || !strings.Contains(err.Error(), "409") {
		t.Errorf("a refusal: %v", err)
	}
}

func TestAnOfferIsAskedForAsItIsShown(t *testing.T) {
	t.Parallel()
	us := partner{id: "did:web:us", base: "http://us"}
	c := served(t, 200, `{"dataset":[{"@id":"a","hasPolicy":{"@id":"o","permission":[{"action":"use"}]},"distribution":[{"format":"HttpData-PULL"},{"dct:format":{"@id":"HttpData-PUSH"}}]}]}`)
	got, err := c.catalog(t.Context(), us, "a")
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	o := got[0]
	if o.id != "o" || o.policy["assigner"] != us.id || o.policy["target"] != "a" || o.policy["permission"] == nil || offered(o.formats, "HttpData-PULL", "HttpData-PUSH") != nil {
		t.Errorf("%+v", o)
	}
	if _, err := c.catalog(t.Context(), us, "b"); err == nil {
		t.Error("a dataset that is not shown has an offer")
	}
}

// The figure of .ci/results is that of all cases against both EDCs.
func TestTheFigureOfTheGateIsThatOfAllCases(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join("..", "..", ".ci", "results"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, c := range append(all(), crowds...) {
		names[c.name] = true
	}
	if len(names) != len(all())+len(crowds) {
		t.Error("two cases have one name")
	}
	if want := proof + " " + strconv.Itoa(len(speeds)*len(names)) + "\n"; !strings.Contains(string(b), want) {
		t.Errorf(".ci/results does not say %q", want)
	}
}
