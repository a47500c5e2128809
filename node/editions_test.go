package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"kakehashi/client"
	dsp "kakehashi/dsp/dsp2025"
	"kakehashi/dsp/dsp2025/conform"
	"kakehashi/internal/fault"
)

// A partner that lacks 2025-1 is told by name, with what it offers, before
// anything is sent.
func TestAPartnerOfOlderEditionsGetsNothing(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var sent []string
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/.well-known/dspace-version"):
			_, _ = io.WriteString(w, `{"protocolVersions":[{"version":"v0.8","path":"/"},{"version":"2024/1","path":"/2024/1","binding":"HTTPS","profile":"x"}]}`)
		case r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/.well-known/"):
			http.NotFound(w, r)
		default:
			mu.Lock()
			sent = append(sent, r.Method+" "+r.URL.Path)
			mu.Unlock()
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(old.Close)
	here := newPlace(t, "tokyo")
	n := here.start(t, nil)
	d := publish(t, here, n, []byte("a"))
	c := n.client()
	for name, ask := range map[string]func() error{
		"catalogue": func() error { _, err := c.PartnerCatalog(t.Context(), old.URL); return err },
		"negotiation": func() error {
			_, err := c.Negotiate(t.Context(), client.StartNegotiation{Partner: old.URL, Dataset: "urn:d"})
			return err
		},
		"offer": func() error {
			_, err := c.Offer(t.Context(), client.StartOffer{Partner: old.URL, Dataset: d.ID})
			return err
		},
	} {
		err := ask()
		if !errors.Is(err, fault.NoCommonVersion) || !strings.Contains(err.Error(), "v0.8, 2024/1") || !strings.Contains(err.Error(), dsp.Version) {
			t.Errorf("%s: %v", name, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(sent) != 0 {
		t.Errorf("the partner was sent %q", sent)
	}
}

func TestTheVersionDocumentSaysHowCallersProveWhoTheyAre(t *testing.T) {
	t.Parallel()
	n := newPlace(t, "tokyo").start(t, nil)
	for _, path := range []string{"/.well-known/dspace-version", "/dsp/tokyo/.well-known/dspace-version"} {
		r, err := http.Get(n.PublicURL() + path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r.Body)
		if r.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if err := conform.Check("common/protocol-version", b); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		var doc dsp.VersionDocument
		if err := json.Unmarshal(b, &doc); err != nil || len(doc.ProtocolVersions) != 1 {
			t.Fatalf("%s: %s, %v", path, b, err)
		}
		if v := doc.ProtocolVersions[0]; v.Version != dsp.Version || v.Auth == nil || v.Auth.Protocol != dsp.SelfIssued || v.Auth.Version == "" {
			t.Errorf("%s: %+v", path, v)
		}
	}
}

// Terms that were written with prefixes, without arrays and with numbers go out
// as the schema wants them.
func TestTermsInAnotherFormAreShownCompactly(t *testing.T) {
	t.Parallel()
	w := &tap{t: t, seen: map[string]int{}}
	here := newPlace(t, "tokyo")
	n := here.startWith(t, nil, w.wrap)
	path := filepath.Join(here.settings.Data, "x.csv")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := n.client().PublishFile(t.Context(), client.PublishFile{Path: path, Title: "x",
		Policy: json.RawMessage(`{"odrl:permission":{"odrl:action":{"@id":"odrl:use"},"odrl:constraint":{"odrl:leftOperand":"purpose","odrl:operator":{"@id":"odrl:isAnyOf"},"odrl:rightOperand":["research",5]}}}`)})
	if err != nil {
		t.Fatal(err)
	}
	seen, err := n.client().PartnerCatalog(t.Context(), n.PublicURL())
	if err != nil || len(seen.Datasets) != 1 || seen.Datasets[0].ID != d.ID {
		t.Fatalf("%+v, %v", seen, err)
	}
	offer, err := json.Marshal(d.Offers[0].Policy)
	if err != nil {
		t.Fatal(err)
	}
	if want := `"constraint":[{"leftOperand":"odrl:purpose","operator":"isAnyOf","rightOperand":["research",{"@type":"xsd:integer","@value":"5"}]}]`; !bytes.Contains(offer, []byte(want)) {
		t.Errorf("published %s", offer)
	}
}
