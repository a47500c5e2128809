package transfer

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"kakehashi/dataplane"
	"kakehashi/dsp/dsp2025"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/store"
)

// Where a push goes, as EDC writes it and as others do.
func TestTargets(t *testing.T) {
	t.Parallel()
	const edc = "https://w3id.org/edc/v0.0.1/ns/"
	address := func(endpoint string, pairs ...string) dsp2025.DataAddress {
		d := dsp2025.DataAddress{EndpointType: "HttpData", Endpoint: endpoint}
		for i := 0; i+1 < len(pairs); i += 2 {
			d.EndpointProperties = append(d.EndpointProperties, dsp2025.EndpointProperty{Name: pairs[i], Value: pairs[i+1]})
		}
		return d
	}
	for _, c := range []struct {
		name          string
		d             dsp2025.DataAddress
		method, url   string // method "": refused
		authorization string
	}{
		{"ours", *dsp2025.PushAddress("https://b.example/data/1/", "T"), "POST", "https://b.example/data/1/", "Bearer T"},
		{"EDC's", address("", edc+"baseUrl", "https://b.example/in", edc+"path", "a/b", edc+"method", "put", edc+"authKey", "Authorization", edc+"authCode", "T"),
			"PUT", "https://b.example/in/a/b", "T"},
		{"of the specification", address("https://b.example/in?x=1", "authorization", "T", "authType", "bearer"), "POST", "https://b.example/in?x=1", "Bearer T"},
		{"a header beside it", address("https://b.example/in", edc+"header:Authorization", "Basic eA=="), "POST", "https://b.example/in", "Basic eA=="},
		{"open", address("http://b.example/in"), "POST", "http://b.example/in", ""},
		{"none", address(""), "", "", ""},
		{"not absolute", address("/in"), "", "", ""},
		{"another scheme", address("ftp://b.example/in"), "", "", ""},
		{"with a user", address("https://u:p@b.example/in"), "", "", ""},
		{"with a fragment", address("https://b.example/in#x"), "", "", ""},
		{"a method without a body", address("https://b.example/in", "method", "DELETE"), "", "", ""},
		{"a header of the connection", address("https://b.example/in", "header:Content-Length", "1"), "", "", ""},
		{"a header that is none", address("https://b.example/in", "authKey", "X-Key", "authCode", "a\r\nb: c"), "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := target(c.d)
			if c.method == "" {
				if !errors.Is(err, fault.AddressUnusable) {
					t.Errorf("got %+v, %v", got, err)
				}
				return
			}
			if err != nil || got.Method != c.method || got.URL != c.url || got.Header.Get("Authorization") != c.authorization {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func (w *world) push() Process {
	w.t.Helper()
	q, err := w.brussels.room.Start(w.t.Context(), "brussels", StartRequest{Agreement: agreementID, Base: w.tokyo.who.Base, Format: "HttpData-PUSH"})
	check(w.t, err)
	return q
}

// A provider that pushes and says no more: the consumer completes. Its token lies
// in the request only.
func TestTheConsumerCompletesAPushThatTheProviderLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, p := w.both(w.push(), Started)
	w.mu.Lock()
	request := w.sent[0]
	w.mu.Unlock()
	to, err := addressed(request.body)
	check(t, err)
	token := strings.TrimPrefix(to.Header.Get("Authorization"), "Bearer ")
	facts := dataplane.Facts{Grant: c.Grant, Method: http.MethodPost, Path: "/"}
	s, err := w.brussels.plane.Admit(t.Context(), token, facts)
	check(t, err)
	s.End()

	m := dataplane.Moved{Bytes: 8, Digest: evidence.Digest([]byte("the file")), File: "/received/x"}
	check(t, w.brussels.db.Update(t.Context(), func(tx store.Tx) error { return w.brussels.room.Received(tx, s.Grant, m) }))
	c, p = w.both(c, Completed)
	if *c.Facts != (Facts{8, m.Digest}) || *p.Facts != *c.Facts || c.File != m.File || p.File != "" {
		t.Errorf("on record: %+v and %+v", c.Body, p.Body)
	}
	if _, err := w.brussels.plane.Admit(t.Context(), token, facts); !errors.Is(err, fault.GrantClosed) {
		t.Errorf("after the end the address takes more: %v", err)
	}
	for _, n := range []*node{w.tokyo, w.brussels} {
		for _, q := range []Process{c, p} {
			entries, err := n.log.History(t.Context(), n.who.ID, q.ID)
			check(t, err)
			if strings.Contains(fmt.Sprintf("%+v %+v", entries, q), token) {
				t.Errorf("%s has the token outside of the message", n.who.ID)
			}
		}
	}
	for _, s := range w.sent {
		if s.kind != KindRequest && strings.Contains(string(s.body), token) {
			t.Errorf("%s holds the token", s.kind)
		}
	}
}

// The address takes bytes from the request on, not while we suspend it, and the same
// token again afterwards. A provider that suspended it goes on with its bytes.
func TestAnAddressFollowsItsTransfer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, p := w.both(w.push(), Started)
	to, err := addressed(w.sent[0].body)
	check(t, err)
	admits := func() error {
		s, err := w.brussels.plane.Admit(t.Context(), to.Header.Get("Authorization"), dataplane.Facts{Grant: c.Grant, Method: http.MethodPost, Path: "/"})
		if err == nil {
			s.End()
		}
		return err
	}
	for _, step := range []struct {
		do   func() (Process, error)
		to   State
		want *fault.Kind
	}{
		{func() (Process, error) { return w.tokyo.room.Suspend(t.Context(), "tokyo", p.ID, "", "a pause") }, Suspended, nil},
		{func() (Process, error) { return w.brussels.room.Resume(t.Context(), "brussels", c.ID) }, Started, nil},
		{func() (Process, error) { return w.brussels.room.Suspend(t.Context(), "brussels", c.ID, "", "a pause") }, Suspended, fault.GrantSuspended},
		{func() (Process, error) { return w.tokyo.room.Resume(t.Context(), "tokyo", p.ID) }, Started, nil},
		{func() (Process, error) { return w.brussels.room.Terminate(t.Context(), "brussels", c.ID, "", "enough") }, Terminated, fault.GrantClosed},
	} {
		_, err := step.do()
		check(t, err)
		w.both(c, step.to)
		if err := admits(); step.want == nil && err != nil || step.want != nil && !errors.Is(err, step.want) {
			t.Errorf("in %s: %v", step.to, err)
		}
	}
}

// What a provider refuses of a push at once.
func TestARequestByPushNeedsAnAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook = func(c call) verdict { return verdict{drop: true} }
	with := func(format, address string) []byte {
		if address != "" {
			address = `,"dataAddress":` + address
		}
		return []byte(`{"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"@type":"TransferRequestMessage","consumerPid":"urn:x","agreementId":"` + agreementID +
			`","format":"` + format + `","callbackAddress":"https://brussels.example/dsp"` + address + `}`)
	}
	for _, c := range []struct {
		name string
		body []byte
		want *fault.Kind
	}{
		{"push without", with("HttpData-PUSH", ""), fault.AddressMissing},
		{"pull with", with("HttpData-PULL", `{"@type":"DataAddress","endpointType":"HttpData","endpoint":"https://b.example/"}`), fault.AddressNotAllowed},
		{"push to nowhere", with("HttpData-PUSH", `{"@type":"DataAddress","endpointType":"AmazonS3"}`), fault.AddressUnusable},
		{"another format", with("AmazonS3-PUSH", `{"@type":"DataAddress","endpointType":"AmazonS3"}`), fault.FormatNotOffered},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := w.tokyo.receive(t.Context(), w.brussels.who.DID, Message{Kind: KindRequest, Body: c.body}); !errors.Is(err, c.want) || fault.Of(err).Kind.Status != 400 {
				t.Errorf("got %v", err)
			}
		})
	}
}
