package expanded

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"kakehashi/dsp/dsp2025/published"
)

const context = "https://w3id.org/dspace/2025/1/context.jsonld"

var everyType = []string{"Catalog", "Dataset", "CatalogRequestMessage", "CatalogError",
	"ContractRequestMessage", "ContractOfferMessage", "ContractAgreementMessage", "ContractAgreementVerificationMessage",
	"ContractNegotiationEventMessage", "ContractNegotiationTerminationMessage", "ContractNegotiation", "ContractNegotiationError",
	"TransferRequestMessage", "TransferStartMessage", "TransferSuspensionMessage", "TransferCompletionMessage",
	"TransferTerminationMessage", "TransferProcess", "TransferError"}

func TestEachTypeIsPublished(t *testing.T) {
	t.Parallel()
	all, err := contexts()
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range all {
		if _, ok := doc.(map[string]any)["@context"].(map[string]any); !ok {
			t.Errorf("a context without terms: %v", doc)
		}
	}
	scoped, err := scopes()
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range everyType {
		if !scoped[typ] {
			t.Errorf("no published context explains %s", typ)
		}
	}
}

func TestMember(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"consumerPid": false, "dspace:consumerPid": true, "https://w3id.org/dspace/2025/1/consumerPid": true, "odrl:hasPolicy": true,
		"dcat:keyword": false, "dct:format": true, "dct:title": false, "dspace:": false, "x:consumerPid": false, "https://w3id.org/dspace/2024/1/consumerPid": false,
		"http://www.w3.org/ns/dcat#dataset": true, "http://purl.org/dc/terms/format": true,
	} {
		if Member(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

// FuzzCompact: any bytes are read within the limits or refused; what is written
// is compact, so that it comes out the same once more.
func FuzzCompact(f *testing.F) {
	files, err := fs.Glob(published.Files, "*/example/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		b, err := fs.ReadFile(published.Files, file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add([]byte(strings.ReplaceAll(string(b), context, "https://w3id.org/edc/dspace/v0.0.1")))
	}
	for _, s := range []string{
		`[{"@type":["https://w3id.org/dspace/2025/1/TransferProcess"],"https://w3id.org/dspace/2025/1/state":[{"@id":"https://w3id.org/dspace/2025/1/STARTED"}]}]`,
		`{"@context":{"d":"https://w3id.org/dspace/2025/1/","o":"http://www.w3.org/ns/odrl/2/","id":"@id","type":"@type"},"type":"d:ContractOfferMessage","d:offer":{"id":"o","o:permission":{"o:action":{"id":"o:use"},"o:constraint":{"o:and":{"@list":[{"o:rightOperand":[1.50,true,{"@value":"5","@type":"http://www.w3.org/2001/XMLSchema#integer"}]}]}}}}}`,
		`{"@context":["` + context + `",{"@vocab":"https://x/","l":{"@id":"x:l","@container":"@language"},"i":{"@container":"@index"},"j":{"@type":"@json"},"r":{"@reverse":"x:r"}}],"@type":"CatalogError","l":{"en":"a"},"i":{"a":"b"},"j":{"a":[1]},"reason":[{"@value":"no","@language":"en"}]}`,
		`{"@context":null,"@type":"x"}`, `{"@context":[{"@base":"https://x/","@language":"en"}],"@type":"Dataset"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := Compact(b, context, everyType...)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("%v has no place", err)
			}
			return
		}
		again, err := Compact(out, context, everyType...)
		if err != nil {
			return // deeper or longer than it was, or with terms that only the document's own context allowed
		}
		if !bytes.Equal(out, again) {
			t.Fatalf("%s\nbecame\n%s", out, again)
		}
	})
}
