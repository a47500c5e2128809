//go:build unix

package node

import (
	"bytes"
	"cmp"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"kakehashi/client"
	"kakehashi/internal/fault"
	"kakehashi/store"
)

// age writes the bodies of a node's rows anew with one format in place of
// another, as a program of another version would.
func age(t *testing.T, n *Node, from, to string) (kept [][]byte) {
	t.Helper()
	err := n.db.Update(t.Context(), func(tx store.Tx) error {
		kept = nil
		for _, table := range []string{"negotiation_processes", "transfer_processes", "agreement_agreements", "catalog_datasets"} {
			rows, err := tx.Query("SELECT id, body FROM " + table + " ORDER BY id")
			if err != nil {
				return err
			}
			bodies := map[string][]byte{}
			for rows.Next() {
				var id string
				var body []byte
				if err := rows.Scan(&id, &body); err != nil {
					return errors.Join(err, rows.Close())
				}
				if bytes.HasPrefix(body, []byte(`{"v":`)) {
					body = bytes.Replace(body, []byte(`{"v":`+from), []byte(`{"v":`+to), 1)
				} else {
					body = append([]byte(`{"v":`+to+`,`), body[1:]...)
				}
				bodies[id] = body
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil {
				return err
			}
			for id, body := range bodies {
				if err := tx.Exec("UPDATE "+table+" SET body = $1 WHERE id = $2", body, id); err != nil {
					return err
				}
				kept = append(kept, body)
			}
		}
		return nil
	})
	if err != nil || len(kept) == 0 {
		t.Fatalf("%d rows aged, %v", len(kept), err)
	}
	return kept
}

// answers notes what a public face answers to messages.
type answers struct {
	mu    sync.Mutex
	seen  []*httptest.ResponseRecorder
	first chan struct{} // closed with the first
	of    string        // part of the path; "" is that of transfers
}

func (a *answers) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, cmp.Or(a.of, "/transfers/")) {
			next.ServeHTTP(w, r)
			return
		}
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		if _, err := w.Write(rec.Body.Bytes()); err != nil {
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.seen = append(a.seen, rec); len(a.seen) == 1 {
			close(a.first)
		}
	})
}

// A program that meets what a newer one wrote answers 503 by name, to counterparts
// and to its own people, writes nothing over it, and shows the rest; the exchange
// goes on once the newer program is there.
func TestWhatANewerProgramWroteIsLeftAlone(t *testing.T) {
	t.Parallel()
	tokyo, brussels := newPlace(t, "tokyo"), newPlace(t, "brussels")
	a, b := tokyo.start(t, nil), brussels.start(t, nil)
	d := publish(t, tokyo, a, []byte("week,cases\n"))
	consumer := b.client()
	agreement := agreed(t, consumer, a.participants.All()[0].DID, d.ID)
	x, err := consumer.StartTransfer(t.Context(), client.StartTransfer{Agreement: agreement})
	if err != nil {
		t.Fatal(err)
	}
	reached(t, consumer, x.ID, "STARTED")
	reached(t, a.client(), onlyTransfer(t, a.client()), "STARTED")
	n1, x1 := onlyNegotiation(t, a.client()), onlyTransfer(t, a.client())
	before := age(t, a.Node, "1", "2")
	if err := a.stop(); err != nil { // its memory knows better than the table
		t.Fatal(err)
	}
	heard := &answers{first: make(chan struct{})}
	a = tokyo.startWith(t, nil, heard.wrap)
	later := publish(t, tokyo, a, []byte("week,cases\n2\n")) // one that it reads, beside
	provider := a.client()

	if _, err := consumer.Suspend(t.Context(), x.ID, "a while"); err != nil {
		t.Fatal(err)
	}
	<-heard.first
	heard.mu.Lock()
	got := heard.seen[0]
	heard.mu.Unlock()
	if got.Code != 503 || got.Header().Get("Retry-After") == "" || !strings.Contains(got.Body.String(), fault.NewerProgram.Code) ||
		!strings.Contains(got.Body.String(), x1) {
		t.Errorf("a counterpart was answered %d %v %s", got.Code, got.Header(), got.Body)
	}
	for what, call := range map[string]func() error{
		"negotiation": func() error { _, err := provider.Negotiation(t.Context(), n1, 0); return err },
		"transfer":    func() error { _, err := provider.Transfer(t.Context(), x1, 0); return err },
		"agreement":   func() error { _, err := provider.Agreement(t.Context(), agreement); return err },
		"end of it":   func() error { _, err := provider.EndAgreement(t.Context(), agreement, "over"); return err },
		"termination": func() error { _, err := provider.TerminateTransfer(t.Context(), x1, "over"); return err },
		"catalogue":   func() error { _, err := consumer.PartnerCatalog(t.Context(), a.participants.All()[0].DID); return err },
	} {
		if err := call(); !errors.Is(err, fault.NewerProgram) && what != "catalogue" || err == nil {
			t.Errorf("%s: %v, want %s", what, err, fault.NewerProgram.Code)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", a.AdminURL()+"/api/v1/transfers/"+x1, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.APIToken())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("the API answered %d with Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	talks, err1 := provider.Negotiations(t.Context(), "")
	moves, err2 := provider.Transfers(t.Context(), "")
	bonds, err3 := provider.Agreements(t.Context(), "")
	sets, err4 := provider.Datasets(t.Context(), "")
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatalf("lists with something newer: %v", err)
	}
	if len(talks.Items) != 1 || !talks.Items[0].Newer || talks.Items[0].State != "FINALIZED" || talks.Items[0].ID != n1 ||
		len(moves.Items) != 1 || !moves.Items[0].Newer || moves.Items[0].State != "STARTED" || moves.Items[0].Agreement != agreement ||
		len(bonds.Items) != 1 || !bonds.Items[0].Newer || bonds.Items[0].Dataset != d.ID || bonds.Items[0].Signed.IsZero() {
		t.Errorf("lists: %+v %+v %+v", talks.Items, moves.Items, bonds.Items)
	}
	if len(sets.Items) != 2 {
		t.Fatalf("datasets: %+v", sets.Items)
	}
	for _, s := range sets.Items {
		if s.Newer == (s.ID == later.ID) || s.Title == "" {
			t.Errorf("dataset %+v", s)
		}
	}

	// Nothing was written over: what it cannot read is still there, and goes on once
	// somebody reads it.
	after := bytes.Join(age(t, a.Node, "2", "1"), []byte("\n"))
	for _, body := range before {
		if !bytes.Contains(after, bytes.Replace(body, []byte(`{"v":2`), []byte(`{"v":1`), 1)) {
			t.Errorf("not there as it was written: %s", body)
		}
	}
	again(t, consumer, func() {})
	reached(t, provider, x1, "SUSPENDED")
}
