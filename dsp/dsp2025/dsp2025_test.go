package dsp2025_test

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"kakehashi/dsp/dsp2025"
	"kakehashi/dsp/dsp2025/conform"
	"kakehashi/dsp/dsp2025/published"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

const (
	offer     = `{"@id":"o","@type":"Offer","target":"d","permission":[{"action":"use"}]}`
	agreement = `{"@id":"a","@type":"Agreement","target":"d","assigner":"did:web:p","assignee":"did:web:c","timestamp":"2026-01-01T00:00:00Z","permission":[{"action":"use"}]}`
	shown     = `{"@id":"o","@type":"Offer","permission":[{"action":"use"}]}`
)

// kind is one message type: its schema, a full value and how it is read back.
type kind struct {
	schema   string
	value    dsp2025.Message
	examples []string // published ones
	decode   func([]byte) (dsp2025.Message, error)
}

func of[T any](schema string, v *T, examples ...string) kind {
	m, _ := any(v).(dsp2025.Message)
	return kind{schema, m, examples, func(b []byte) (dsp2025.Message, error) {
		got, err := dsp2025.Decode[T](b)
		out, _ := any(&got).(dsp2025.Message)
		return out, err
	}}
}

// kinds makes fresh values: Marshal fills their heads.
func kinds() map[string]kind {
	push := &dsp2025.DataAddress{EndpointType: dsp2025.EndpointHTTP, Endpoint: "https://c/in"}
	return map[string]kind{
		"ContractRequest": of("negotiation/contract-request-message",
			&dsp2025.ContractRequest{ID: "m", ConsumerPid: "c", Offer: strictjson.Raw(offer), CallbackAddress: "https://c/dsp"},
			"negotiation/example/contract-request-message_initial.json", "negotiation/example/contract-request-message.json"),
		"counter-offer": of("negotiation/contract-request-message",
			&dsp2025.ContractRequest{ID: "m", ConsumerPid: "c", ProviderPid: "p", Offer: strictjson.Raw(offer)}),
		"ContractOffer": of("negotiation/contract-offer-message",
			&dsp2025.ContractOffer{ID: "m", ProviderPid: "p", ConsumerPid: "c", Offer: strictjson.Raw(offer)},
			"negotiation/example/contract-offer-message_initial.json", "negotiation/example/contract-offer-message.json"),
		"ContractAgreement": of("negotiation/contract-agreement-message",
			&dsp2025.ContractAgreement{ID: "m", ProviderPid: "p", ConsumerPid: "c", Agreement: strictjson.Raw(agreement)},
			"negotiation/example/contract-agreement-message.json", "negotiation/example/contract-agreement-message-full.json"),
		"AgreementVerification": of("negotiation/contract-agreement-verification-message",
			&dsp2025.AgreementVerification{ID: "m", ProviderPid: "p", ConsumerPid: "c"}, "negotiation/example/contract-agreement-verification-message.json"),
		"NegotiationEvent": of("negotiation/contract-negotiation-event-message",
			&dsp2025.NegotiationEvent{ID: "m", ProviderPid: "p", ConsumerPid: "c", EventType: "FINALIZED"}, "negotiation/example/contract-negotiation-event-message.json"),
		"NegotiationTermination": of("negotiation/contract-negotiation-termination-message",
			&dsp2025.NegotiationTermination{ID: "m", ProviderPid: "p", ConsumerPid: "c", Code: "terms", Reason: []any{"no"}},
			"negotiation/example/contract-negotiation-termination-message.json"),
		"ContractNegotiation": of("negotiation/contract-negotiation",
			&dsp2025.ContractNegotiation{ProviderPid: "p", ConsumerPid: "c", State: "REQUESTED"}, "negotiation/example/contract-negotiation.json"),
		"NegotiationError": of("negotiation/contract-negotiation-error",
			&dsp2025.NegotiationError{ProviderPid: "p", ConsumerPid: "c", Code: "x", Reason: []string{"y"}}, "negotiation/example/contract-negotiation-error.json"),
		"TransferRequest": of("transfer/transfer-request-message",
			&dsp2025.TransferRequest{ID: "m", ConsumerPid: "c", AgreementID: "a", Format: "HttpData-PUSH", DataAddress: push, CallbackAddress: "https://c/dsp"},
			"transfer/example/transfer-request-message.json"),
		"TransferStart": of("transfer/transfer-start-message",
			&dsp2025.TransferStart{ID: "m", ProviderPid: "p", ConsumerPid: "c", DataAddress: dsp2025.PullAddress("https://p/data/1/", "T")},
			"transfer/example/transfer-start-message.json"),
		"TransferSuspension": of("transfer/transfer-suspension-message",
			&dsp2025.TransferSuspension{ID: "m", ProviderPid: "p", ConsumerPid: "c", Code: "x", Reason: []any{"y"}}, "transfer/example/transfer-suspension-message.json"),
		"TransferCompletion": of("transfer/transfer-completion-message",
			&dsp2025.TransferCompletion{ID: "m", ProviderPid: "p", ConsumerPid: "c"}, "transfer/example/transfer-completion-message.json"),
		"TransferTermination": of("transfer/transfer-termination-message",
			&dsp2025.TransferTermination{ID: "m", ProviderPid: "p", ConsumerPid: "c", Code: "x", Reason: []any{"y"}}, "transfer/example/transfer-termination-message.json"),
		"TransferProcess": of("transfer/transfer-process",
			&dsp2025.TransferProcess{ProviderPid: "p", ConsumerPid: "c", State: "STARTED"}, "transfer/example/transfer-process.json"),
		"TransferError": of("transfer/transfer-error",
			&dsp2025.TransferError{ProviderPid: "p", ConsumerPid: "c", Code: "x", Reason: []string{"y"}}, "transfer/example/transfer-error.json"),
		"CatalogRequest": of("catalog/catalog-request-message",
			&dsp2025.CatalogRequest{ID: "m"}, "catalog/example/catalog-request-message.json"),
		"CatalogError": of("catalog/catalog-error",
			&dsp2025.CatalogError{Code: "x", Reason: []string{"y"}}, "catalog/example/catalog-error.json"),
		"Catalog": of("catalog/catalog", &dsp2025.Catalog{ID: "k", ParticipantID: "did:web:p",
			Service: []dsp2025.DataService{{ID: "s", EndpointURL: "https://p/dsp"}},
			Dataset: []dsp2025.Dataset{dataset()}}, "catalog/example/catalog.json", "catalog/example/nested-catalog.json"),
		"Dataset": of("catalog/dataset", pointer(dataset()), "catalog/example/dataset.json"),
	}
}

func pointer[T any](v T) *T { return &v }

func dataset() dsp2025.Dataset {
	return dsp2025.Dataset{ID: "d", Title: strictjson.Raw(`"道路"`), HasPolicy: []strictjson.Raw{strictjson.Raw(shown)},
		Distribution: []dsp2025.Distribution{{Format: "HttpData-PULL", AccessService: strictjson.Raw(`"s"`)}}}
}

func TestWhatWeWriteConformsAndReadsBackTheSame(t *testing.T) {
	t.Parallel()
	for name, k := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := dsp2025.Marshal(k.value)
			if err != nil {
				t.Fatal(err)
			}
			if err := conform.Check(k.schema, b); err != nil {
				t.Errorf("%s: %v", b, err)
			}
			back, err := k.decode(b)
			if err != nil {
				t.Fatal(err)
			}
			again, err := dsp2025.Marshal(back)
			if err != nil || !bytes.Equal(b, again) {
				t.Errorf("read back as %s, %v; was %s", again, err, b)
			}
		})
	}
}

func TestPublishedExamplesAreRead(t *testing.T) {
	t.Parallel()
	for name, k := range kinds() {
		for _, file := range k.examples {
			t.Run(name+"/"+file, func(t *testing.T) {
				t.Parallel()
				b, err := fs.ReadFile(published.Files, file)
				if err != nil {
					t.Fatal(err)
				}
				v, err := k.decode(b)
				if err != nil {
					t.Fatal(err)
				}
				out, err := dsp2025.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				if err := conform.Check(k.schema, out); err != nil {
					t.Errorf("written again it is %s: %v", out, err)
				}
			})
		}
	}
}

const head = `"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"@type":`

func TestRefused(t *testing.T) {
	t.Parallel()
	all := kinds()
	long := strings.Repeat("x", 2049)
	req := func(members string) string { return `{` + head + `"ContractRequestMessage",` + members + `}` }
	event := func(members string) string { return `{` + head + `"ContractNegotiationEventMessage",` + members + `}` }
	for _, c := range []struct{ name, kind, in, at, reason string }{
		{"no JSON", "ContractRequest", `x`, "", "invalid"},
		{"empty", "ContractRequest", ``, "", ""},
		{"an array", "ContractRequest", `[]`, "", ""},
		{"null", "ContractRequest", `null`, "/@context", "missing"},
		{"trailing data", "ContractRequest", req(`"consumerPid":"c","callbackAddress":"u","offer":{}`) + `{}`, "", ""},
		{"doubled member", "ContractRequest", req(`"consumerPid":"c","consumerPid":"d","callbackAddress":"u","offer":{}`), "/consumerPid", "doubled"},
		{"doubled member in the offer", "ContractRequest", req(`"consumerPid":"c","callbackAddress":"u","offer":{"@id":"a","@id":"b"}`), "/offer/@id", "doubled"},
		{"doubled further member", "ContractRequest", req(`"x":1,"x":2,"consumerPid":"c","callbackAddress":"u","offer":{}`), "/x", "doubled"},
		{"invalid UTF-8", "ContractRequest", req("\"consumerPid\":\"\xff\",\"callbackAddress\":\"u\",\"offer\":{}"), "/consumerPid", "UTF-8"},
		{"too deep", "ContractRequest", req(`"x":` + strings.Repeat("[", 80) + strings.Repeat("]", 80)), "", "nested"},
		{"missing pid", "ContractRequest", req(`"callbackAddress":"u","offer":{}`), "/consumerPid", "required"},
		{"pid of another kind", "ContractRequest", req(`"consumerPid":1,"callbackAddress":"u","offer":{}`), "/consumerPid", ""},
		{"pid with another case", "ContractRequest", req(`"consumerpid":"c","callbackAddress":"u","offer":{}`), "/consumerPid", "required"},
		{"huge pid", "ContractRequest", req(`"consumerPid":"` + long + `","callbackAddress":"u","offer":{}`), "/consumerPid", "2048"},
		{"huge message id", "ContractRequest", req(`"@id":"` + long + `","consumerPid":"c","callbackAddress":"u","offer":{}`), "/@id", "2048"},
		{"huge callback", "ContractRequest", req(`"consumerPid":"c","callbackAddress":"` + long + `","offer":{}`), "/callbackAddress", "2048"},
		{"both callback and pid", "ContractRequest", req(`"consumerPid":"c","providerPid":"p","callbackAddress":"u","offer":{}`), "/providerPid", "exactly one"},
		{"neither callback nor pid", "ContractRequest", req(`"consumerPid":"c","offer":{}`), "/providerPid", "exactly one"},
		{"no offer", "ContractRequest", req(`"consumerPid":"c","callbackAddress":"u"`), "/offer", "object"},
		{"offer is a string", "ContractRequest", req(`"consumerPid":"c","callbackAddress":"u","offer":"o"`), "/offer", "object"},
		{"offer is null", "ContractRequest", req(`"consumerPid":"c","callbackAddress":"u","offer":null`), "/offer", "object"},
		{"no context", "AgreementVerification", `{"@type":"ContractAgreementVerificationMessage","providerPid":"p","consumerPid":"c"}`, "/@context", "missing"},
		{"inline context", "AgreementVerification", `{"@context":{"consumerPid":"x:y"},"@type":"ContractAgreementVerificationMessage","providerPid":"p","consumerPid":"c"}`, "/@type", "no context explains"},
		{"unknown context", "AgreementVerification", `{"@context":["https://w3id.org/dspace/2025/1/context.jsonld","https://x/c"],"@type":"ContractAgreementVerificationMessage","providerPid":"p","consumerPid":"c"}`, "/@context", "https://x/c"},
		{"context of another edition", "AgreementVerification", `{"@context":"https://w3id.org/dspace/2024/1/context.json","@type":"ContractAgreementVerificationMessage","providerPid":"p","consumerPid":"c"}`, "/@context", "not known"},
		{"only a further context", "AgreementVerification", `{"@context":["https://w3id.org/edc/dspace/v0.0.1"],"@type":"ContractAgreementVerificationMessage","providerPid":"p","consumerPid":"c"}`, "/@context", "does not name"},
		{"context is a number", "AgreementVerification", `{"@context":1,"@type":"ContractAgreementVerificationMessage","providerPid":"p","consumerPid":"c"}`, "/@context", "known URLs"},
		{"wrong type", "AgreementVerification", `{` + head + `"ContractAgreementMessage","providerPid":"p","consumerPid":"c"}`, "/@type", "expected here"},
		{"no type", "AgreementVerification", `{"@context":["https://w3id.org/dspace/2025/1/context.jsonld"],"providerPid":"p","consumerPid":"c"}`, "/@type", "expected here"},
		{"wrong event", "NegotiationEvent", event(`"providerPid":"p","consumerPid":"c","eventType":"AGREED"`), "/eventType", "ACCEPTED or FINALIZED"},
		{"event in lower case", "NegotiationEvent", event(`"providerPid":"p","consumerPid":"c","eventType":"accepted"`), "/eventType", "ACCEPTED or FINALIZED"},
		{"no event", "NegotiationEvent", event(`"providerPid":"p","consumerPid":"c"`), "/eventType", "ACCEPTED or FINALIZED"},
		{"agreement is an array", "ContractAgreement", `{` + head + `"ContractAgreementMessage","providerPid":"p","consumerPid":"c","agreement":[]}`, "/agreement", "object"},
		{"offer without callback and pid", "ContractOffer", `{` + head + `"ContractOfferMessage","providerPid":"p","offer":{}}`, "/consumerPid", "exactly one"},
		{"no agreement id", "TransferRequest", `{` + head + `"TransferRequestMessage","consumerPid":"c","format":"f","callbackAddress":"u"}`, "/agreementId", "required"},
		{"no format", "TransferRequest", `{` + head + `"TransferRequestMessage","consumerPid":"c","agreementId":"a","callbackAddress":"u"}`, "/format", "required"},
		{"no callback", "TransferRequest", `{` + head + `"TransferRequestMessage","consumerPid":"c","agreementId":"a","format":"f"}`, "/callbackAddress", "required"},
		{"address without type", "TransferStart", `{` + head + `"TransferStartMessage","providerPid":"p","consumerPid":"c","dataAddress":{}}`, "/dataAddress/endpointType", "required"},
		{"termination in place of a completion", "TransferCompletion", `{` + head + `"TransferTerminationMessage","providerPid":"p","consumerPid":"c"}`, "/@type", "expected here"},
		{"policy is a string", "Dataset", `{` + head + `"Dataset","@id":"d","hasPolicy":["o"],"distribution":[]}`, "/hasPolicy/0", "object"},
		{"distribution without format", "Catalog", `{` + head + `"Catalog","@id":"k","participantId":"p","dataset":[{"@id":"d","hasPolicy":[],"distribution":[{}]}]}`, "/dataset/0/distribution/0/format", "required"},
		{"catalog of nobody", "Catalog", `{` + head + `"Catalog","@id":"k"}`, "/participantId", "required"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := all[c.kind].decode([]byte(c.in))
			if !errors.Is(err, fault.BadMessage) {
				t.Fatalf("got %v, want a bad message", err)
			}
			if f := fault.Of(err); f.Place != c.at || !strings.Contains(f.Args["reason"], c.reason) {
				t.Errorf("at %q: %q; want %q: %q", f.Place, f.Args["reason"], c.at, c.reason)
			}
		})
	}
}

func TestReadTolerantly(t *testing.T) {
	t.Parallel()
	all := kinds()
	for _, c := range []struct{ name, kind, in string }{
		{"context as one string", "AgreementVerification", `{"@context":"https://w3id.org/dspace/2025/1/context.jsonld","@type":"ContractAgreementVerificationMessage","providerPid":"p","consumerPid":"c"}`},
		{"EDC's second context", "AgreementVerification", `{"@context":["https://w3id.org/dspace/2025/1/context.jsonld","https://w3id.org/edc/dspace/v0.0.1"],"@type":"ContractAgreementVerificationMessage","providerPid":"p","consumerPid":"c"}`},
		{"one reason without an array", "NegotiationTermination", `{` + head + `"ContractNegotiationTerminationMessage","providerPid":"p","consumerPid":"c","reason":"no"}`},
		{"empty inline context in the array", "AgreementVerification", `{"@context":["https://w3id.org/dspace/2025/1/context.jsonld",{}],"@type":"ContractAgreementVerificationMessage","providerPid":"p","consumerPid":"c"}`},
		{"type as an array", "AgreementVerification", `{` + head + `["ContractAgreementVerificationMessage"],"providerPid":"p","consumerPid":"c"}`},
		{"prefixed type", "AgreementVerification", `{` + head + `"dspace:ContractAgreementVerificationMessage","providerPid":"p","consumerPid":"c"}`},
		{"full type and event", "NegotiationEvent", `{` + head + `"https://w3id.org/dspace/2025/1/ContractNegotiationEventMessage","providerPid":"p","consumerPid":"c","eventType":"dspace:ACCEPTED"}`},
		{"further members", "AgreementVerification", `{` + head + `"ContractAgreementVerificationMessage","providerPid":"p","consumerPid":"c","x":{"y":[1]}}`},
		{"termination at a suspension's address", "TransferSuspension", `{` + head + `"TransferTerminationMessage","providerPid":"p","consumerPid":"c"}`},
		{"error with reasons that are objects", "TransferError", `{` + head + `"TransferError","providerPid":"p","consumerPid":"c","reason":[{"@value":"no","@language":"en"},{"x":1},2]}`},
		{"error with one reason", "CatalogError", `{` + head + `"CatalogError","reason":"no"}`},
		{"state that is not known", "ContractNegotiation", `{` + head + `"ContractNegotiation","providerPid":"p","consumerPid":"c","state":"X"}`},
		{"dataset that nothing can be got of", "Catalog", `{` + head + `"Catalog","@id":"k","participantId":"p","dataset":[{"@id":"d","hasPolicy":[],"distribution":[]}],"service":[{}]}`},
		{"reasons that are objects", "TransferTermination", `{` + head + `"TransferTerminationMessage","providerPid":"p","consumerPid":"c","reason":[{"@value":"no","@language":"en"}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if _, err := all[c.kind].decode([]byte(c.in)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMarshalRefusesWhatTheStandardWouldNotTake(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		m    dsp2025.Message
		at   string
	}{
		{"no pid", &dsp2025.AgreementVerification{ProviderPid: "p"}, "/consumerPid"},
		{"no offer", &dsp2025.ContractRequest{ConsumerPid: "c", CallbackAddress: "u"}, "/offer"},
		{"unknown event", &dsp2025.NegotiationEvent{ProviderPid: "p", ConsumerPid: "c", EventType: "X"}, "/eventType"},
		{"address without type", &dsp2025.TransferStart{ProviderPid: "p", ConsumerPid: "c", DataAddress: &dsp2025.DataAddress{}}, "/dataAddress/endpointType"},
		{"state of nobody", &dsp2025.ContractNegotiation{ProviderPid: "p", ConsumerPid: "c", State: "REQUESTING"}, "/state"},
		{"state of a negotiation", &dsp2025.TransferProcess{ProviderPid: "p", ConsumerPid: "c", State: "AGREED"}, "/state"},
		{"dataset without an offer", &dsp2025.Dataset{ID: "d", Distribution: dataset().Distribution}, "/hasPolicy"},
		{"dataset that nothing can be got of", &dsp2025.Catalog{ID: "k", ParticipantID: "p",
			Dataset: []dsp2025.Dataset{dataset(), {ID: "d", HasPolicy: dataset().HasPolicy}}}, "/dataset/1/distribution"},
		{"service without an address", &dsp2025.Catalog{ID: "k", ParticipantID: "p", Service: []dsp2025.DataService{{ID: "s"}}}, "/service/0/endpointURL"},
		{"huge message id", &dsp2025.CatalogRequest{ID: strings.Repeat("x", 2049)}, "/@id"},
		{"no service for a distribution", &dsp2025.Dataset{ID: "d", HasPolicy: []strictjson.Raw{strictjson.Raw(shown)},
			Distribution: []dsp2025.Distribution{{Format: "f"}}}, "/distribution/0/accessService"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := dsp2025.Marshal(c.m)
			if !errors.Is(err, fault.BadMessage) || fault.Of(err).Place != c.at {
				t.Errorf("got %v, want it at %s", err, c.at)
			}
		})
	}
}

func TestDecodeOfWhatIsNoMessage(t *testing.T) {
	t.Parallel()
	if _, err := dsp2025.Decode[struct{}]([]byte(`{}`)); err == nil {
		t.Error("decoded")
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	a := dsp2025.PullAddress("https://p/data/1/", "T")
	if a.URL() != "https://p/data/1/" || a.Property("authorization") != "T" || a.Property("authType") != "bearer" || a.Property("x") != "" {
		t.Errorf("%+v", a)
	}
	edc := dsp2025.DataAddress{EndpointProperties: []dsp2025.EndpointProperty{{Name: "https://w3id.org/edc/v0.0.1/ns/endpoint", Value: "https://e/"}}}
	if edc.URL() != "https://e/" {
		t.Errorf("EDC's address is %q", edc.URL())
	}
}

func TestReasonsAreTexts(t *testing.T) {
	t.Parallel()
	e, err := dsp2025.Decode[dsp2025.NegotiationError]([]byte(`{` + head + `"ContractNegotiationError","providerPid":"p","consumerPid":"c","reason":["a",{"@value":"b","@language":"en"},{"c":1},4]}`))
	if err != nil || strings.Join(e.Reason, "|") != `a|b|{"c":1}|4` {
		t.Errorf("%q, %v", e.Reason, err)
	}
	if _, err := dsp2025.Decode[dsp2025.NegotiationError]([]byte(`{` + head + `"ContractNegotiationError","providerPid":"p","consumerPid":"c","reason":[{"c":1,"c":2}]}`)); !errors.Is(err, fault.BadMessage) {
		t.Errorf("doubled member in a reason: %v", err)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{`"x"`: "x", `{"@value":"x","@language":"en"}`: "x", `1`: "", `[]`: "", ``: "", `{"@value":1}`: ""} {
		if got := dsp2025.Text(strictjson.Raw(in)); got != want {
			t.Errorf("%s is %q, want %q", in, got, want)
		}
	}
}

// incomplete members are read leniently and written strictly.
var incomplete = map[string]bool{"hasPolicy": true, "distribution": true, "state": true, "@id": true, "endpointURL": true}

// FuzzDecode reads any bytes as each type: what is taken is written again and
// then read as the same.
func FuzzDecode(f *testing.F) {
	for _, k := range kinds() {
		b, err := dsp2025.Marshal(k.value)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		for _, file := range k.examples {
			b, err := fs.ReadFile(published.Files, file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Add([]byte(`{"@context":[],"@type":1}`))
	f.Add([]byte(`{"@context":["https://w3id.org/dspace/2025/1/context.jsonld",{"x":"https://x/"}],"@type":["TransferStartMessage"],"dspace:providerPid":{"@id":"p"},"consumerPid":{"@value":"c"},"dataAddress":{"endpointType":"x:y"}}`))
	f.Add([]byte(`[{"@type":["https://w3id.org/dspace/2025/1/ContractNegotiationEventMessage"],"https://w3id.org/dspace/2025/1/eventType":[{"@id":"https://w3id.org/dspace/2025/1/ACCEPTED"}],"https://w3id.org/dspace/2025/1/providerPid":[{"@id":"p"}],"https://w3id.org/dspace/2025/1/consumerPid":[{"@id":"c"}]}]`))
	f.Add([]byte(`{"@context":{"dcat":"http://www.w3.org/ns/dcat#","dspace":"https://w3id.org/dspace/2025/1/"},"@type":"dcat:Catalog","@id":"k","dspace:participantId":"p","dcat:dataset":{"@id":"d","dcat:distribution":{"dcat:accessService":{"@id":"s"}}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, k := range kinds() {
			v, err := k.decode(b)
			if err != nil {
				if !errors.Is(err, fault.BadMessage) {
					t.Fatalf("%s: %v is no bad message", name, err)
				}
				continue
			}
			out, err := dsp2025.Marshal(v)
			if errors.Is(err, fault.BadMessage) && incomplete[fault.Of(err).Place[strings.LastIndex(fault.Of(err).Place, "/")+1:]] {
				continue
			}
			if err != nil {
				t.Fatalf("%s: taken but not written: %v", name, err)
			}
			back, err := k.decode(out)
			if err != nil {
				t.Fatalf("%s: own output %s is refused: %v", name, out, err)
			}
			if again, err := dsp2025.Marshal(back); err != nil || !bytes.Equal(out, again) {
				t.Fatalf("%s: %s became %s, %v", name, out, again, err)
			}
		}
	})
}

func BenchmarkMarshalContractRequest(b *testing.B) {
	m := &dsp2025.ContractRequest{ID: "m", ConsumerPid: "c", Offer: strictjson.Raw(offer), CallbackAddress: "https://c/dsp"}
	for b.Loop() {
		if _, err := dsp2025.Marshal(m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeContractRequest(b *testing.B) {
	in, err := dsp2025.Marshal(&dsp2025.ContractRequest{ID: "m", ConsumerPid: "c", Offer: strictjson.Raw(offer), CallbackAddress: "https://c/dsp"})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := dsp2025.Decode[dsp2025.ContractRequest](in); err != nil {
			b.Fatal(err)
		}
	}
}
