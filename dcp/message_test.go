package dcp_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"kakehashi/dcp"
	"kakehashi/internal/fault"
)

const head = `{"@context":["https://w3id.org/dspace-dcp/v1.0/dcp.jsonld"],`

func TestMessagesAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	object := dcp.CredentialObject{ID: "membership", CredentialType: "MembershipCredential", Schema: "https://issuer.example/schema",
		OfferReason: "reissue", Bindings: []string{"did:web"}, Profile: dcp.ProfileVC20}
	for name, c := range map[string]struct {
		m      interface{ Encode() ([]byte, error) }
		decode func([]byte) (any, error)
	}{
		"query":    {dcp.PresentationQuery{Scopes: []string{"a:b"}}, func(b []byte) (any, error) { return dcp.DecodeQuery(b) }},
		"response": {dcp.PresentationResponse{Presentations: []string{"x"}}, func(b []byte) (any, error) { return dcp.DecodeResponse(b) }},
		"request":  {dcp.CredentialRequest{HolderPid: "h", Credentials: []string{"a"}}, func(b []byte) (any, error) { return dcp.DecodeRequest(b) }},
		"delivery": {dcp.CredentialMessage{IssuerPid: "i", HolderPid: "h", Status: dcp.StatusIssued,
			Credentials: []dcp.Container{{Type: "A", Payload: "x", Format: dcp.ProfileVC11}}}, func(b []byte) (any, error) { return dcp.DecodeCredentials(b) }},
		"rejection": {dcp.CredentialMessage{IssuerPid: "i", HolderPid: "h", Status: dcp.StatusRejected, RejectionReason: "no"},
			func(b []byte) (any, error) { return dcp.DecodeCredentials(b) }},
		"offer":    {dcp.CredentialOffer{Issuer: holder, Credentials: []dcp.CredentialObject{object}}, func(b []byte) (any, error) { return dcp.DecodeOffer(b) }},
		"metadata": {dcp.IssuerMetadata{Issuer: holder, Supported: []dcp.CredentialObject{object}}, func(b []byte) (any, error) { return dcp.DecodeMetadata(b) }},
		"status":   {dcp.CredentialStatus{IssuerPid: "i", HolderPid: "h", Status: dcp.StatusReceived}, func(b []byte) (any, error) { return dcp.DecodeStatus(b) }},
	} {
		b, err := c.m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(b), head+`"type":"`) {
			t.Errorf("%s: %s", name, b)
		}
		got, err := c.decode(b)
		if err != nil || !reflect.DeepEqual(got, c.m) {
			t.Errorf("%s: %+v, %v, from %s", name, got, err, b)
		}
		// Names of JSON-LD stand for the plain ones; unknown members are passed over.
		ld := strings.NewReplacer(`"type"`, `"@type"`, `"id"`, `"@id"`).Replace(string(b[:len(b)-1])) + `,"later":1}`
		if got, err := c.decode([]byte(ld)); err != nil || !reflect.DeepEqual(got, c.m) {
			t.Errorf("%s with names of JSON-LD: %+v, %v", name, got, err)
		}
	}
}

func TestMessagesThatAreRefused(t *testing.T) {
	t.Parallel()
	query := func(b []byte) error { _, err := dcp.DecodeQuery(b); return err }
	request := func(b []byte) error { _, err := dcp.DecodeRequest(b); return err }
	delivery := func(b []byte) error { _, err := dcp.DecodeCredentials(b); return err }
	offer := func(b []byte) error { _, err := dcp.DecodeOffer(b); return err }
	response := func(b []byte) error { _, err := dcp.DecodeResponse(b); return err }
	status := func(b []byte) error { _, err := dcp.DecodeStatus(b); return err }
	q, r, d, o := head+`"type":"PresentationQueryMessage"`, head+`"type":"CredentialRequestMessage"`, head+`"type":"CredentialMessage"`, head+`"type":"CredentialOfferMessage"`
	for name, c := range map[string]struct {
		decode func([]byte) error
		body   string
		want   *fault.Kind
		place  string
	}{
		"no JSON":                     {query, `x`, fault.BadMessage, ""},
		"another type":                {query, r + `,"scope":["a:b"]}`, fault.BadMessage, "/type"},
		"no type":                     {query, head + `"scope":["a:b"]}`, fault.BadMessage, "/type"},
		"another context":             {query, `{"@context":["https://example.com"],"type":"PresentationQueryMessage","scope":["a:b"]}`, fault.BadMessage, "/@context"},
		"doubled scope":               {query, q + `,"scope":["a:b"],"scope":["c:d"]}`, fault.BadMessage, ""},
		"no scope":                    {query, q + `}`, fault.BadMessage, "/scope"},
		"an empty scope":              {query, q + `,"scope":[]}`, fault.BadMessage, "/scope"},
		"a scope that is a text":      {query, q + `,"scope":"a:b"}`, fault.BadMessage, "/scope"},
		"a null scope":                {query, q + `,"scope":null}`, fault.BadMessage, "/scope"},
		"both kinds":                  {query, q + `,"scope":["a:b"],"presentationDefinition":{"id":"1"}}`, fault.BadMessage, "/presentationDefinition"},
		"an empty definition":         {query, q + `,"presentationDefinition":{ }}`, fault.BadMessage, "/presentationDefinition"},
		"a null definition":           {query, q + `,"presentationDefinition":null}`, fault.BadMessage, "/presentationDefinition"},
		"a definition":                {query, q + `,"presentationDefinition":{"id":"1"}}`, fault.NoPresentationExchange, "/presentationDefinition"},
		"a request without pid":       {request, r + `,"credentials":[{"id":"a"}]}`, fault.BadMessage, "/holderPid"},
		"a request of nothing":        {request, r + `,"holderPid":"h","credentials":[]}`, fault.BadMessage, "/credentials"},
		"a request without list":      {request, r + `,"holderPid":"h"}`, fault.BadMessage, "/credentials"},
		"a request without id":        {request, r + `,"holderPid":"h","credentials":[{}]}`, fault.BadMessage, "/credentials/0/id"},
		"a delivery of no state":      {delivery, d + `,"issuerPid":"i","holderPid":"h","status":"DONE"}`, fault.BadMessage, "/status"},
		"a delivery without pid":      {delivery, d + `,"issuerPid":"i","status":"ISSUED"}`, fault.BadMessage, "/holderPid"},
		"a delivery by nobody":        {delivery, d + `,"holderPid":"h","status":"ISSUED"}`, fault.BadMessage, "/issuerPid"},
		"a delivery of nothing":       {delivery, d + `,"issuerPid":"i","holderPid":"h","status":"ISSUED","credentials":[]}`, fault.BadMessage, "/credentials"},
		"an offer by nobody":          {offer, o + `,"issuer":null,"credentials":[{"id":"a"}]}`, fault.BadMessage, "/issuer"},
		"an offer of nothing":         {offer, o + `,"issuer":"i","credentials":[]}`, fault.BadMessage, "/credentials"},
		"an answer without list":      {response, head + `"type":"PresentationResponseMessage"}`, fault.BadMessage, "/presentation"},
		"an answer with an object":    {response, head + `"type":"PresentationResponseMessage","presentation":[{}]}`, fault.BadMessage, "/presentation"},
		"a status that is none":       {status, head + `"type":"CredentialStatus","status":"LOST"}`, fault.BadMessage, "/status"},
		"a message that is too large": {query, q + `,"x":"` + strings.Repeat("x", dcp.MaxMessage) + `"}`, fault.TooLarge, ""},
	} {
		err := c.decode([]byte(c.body))
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want.Code)
			continue
		}
		if f := fault.Of(err); c.place != "" && f.Place != c.place {
			t.Errorf("%s: place %q, want %q", name, f.Place, c.place)
		}
	}
}

func TestTheIssuanceTableHasNoWayBack(t *testing.T) {
	t.Parallel()
	for _, tr := range dcp.Issuance {
		if to, ok := tr.From.Next(tr.On); !ok || to != tr.To {
			t.Errorf("%+v gives %s %v", tr, to, ok)
		}
		if tr.From == dcp.Issued || tr.From == dcp.Rejected {
			t.Errorf("%s is an end and has a transition", tr.From)
		}
	}
	if _, ok := dcp.Issued.Next(dcp.Reject); ok {
		t.Error("what was issued can be rejected")
	}
	for s, want := range map[dcp.State]string{dcp.Received: "RECEIVED", dcp.Approved: "RECEIVED", dcp.Undelivered: "RECEIVED", dcp.Issued: "ISSUED", dcp.Rejected: "REJECTED"} {
		if got := s.Wire(); got != want {
			t.Errorf("%s is told as %s", s, got)
		}
	}
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte(head + `"type":"PresentationQueryMessage","scope":["a:b"]}`))
	f.Add([]byte(head + `"type":"CredentialMessage","issuerPid":"i","holderPid":"h","status":"ISSUED","credentials":[{"payload":"x"}]}`))
	f.Add([]byte(head + `"type":"CredentialOfferMessage","issuer":"i","credentials":[{"id":"a"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := dcp.DecodeQuery(b); err == nil && len(m.Scopes) == 0 {
			t.Fatal("a query without scopes")
		}
		if m, err := dcp.DecodeCredentials(b); err == nil && m.HolderPid == "" {
			t.Fatal("a delivery without pid")
		}
		if m, err := dcp.DecodeOffer(b); err == nil && (m.Issuer == "" || len(m.Credentials) == 0) {
			t.Fatal("an empty offer")
		}
		if m, err := dcp.DecodeRequest(b); err == nil && len(m.Credentials) == 0 {
			t.Fatal("an empty request")
		}
		_, _ = dcp.DecodeMetadata(b)
		_, _ = dcp.DecodeResponse(b)
		_, _ = dcp.DecodeStatus(b)
	})
}
