package dsp2025_test

import (
	"testing"

	"kakehashi/dsp/dsp2025"
	"kakehashi/internal/strictjson"
	"kakehashi/odrl"
)

// FuzzAnswer reads any bytes as an answer to a message of ours.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{` + head + `"TransferProcess","providerPid":"p","consumerPid":"c","state":"dspace:STARTED"}`))
	f.Add([]byte(`{"@context":{"d":"https://w3id.org/dspace/2025/1/"},"@type":"d:TransferProcess","d:providerPid":{"@id":"p"},"d:state":{"@id":"d:STARTED"}}`))
	f.Add([]byte(`[{"@type":["https://w3id.org/dspace/2025/1/TransferError"],"https://w3id.org/dspace/2025/1/code":[{"@value":"x"}]}]`))
	f.Add([]byte(`{"code":"x","reason":[{"@value":"a"},1]}`))
	f.Add([]byte(`<html>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		state := dsp2025.StateIn(b)
		if got, err := dsp2025.Decode[dsp2025.TransferProcess](b); err == nil && got.State != state {
			t.Fatalf("state %q and %q", state, got.State)
		}
		if p, ok := dsp2025.Answer[dsp2025.ContractNegotiation](b); !ok && p.State != "" {
			t.Fatalf("no answer, but %+v", p)
		}
		code, reasons := dsp2025.Refusal(b)
		if e, err := dsp2025.Decode[dsp2025.CatalogError](b); err == nil && (e.Code != code || len(e.Reason) != len(reasons)) {
			t.Fatalf("%q %q, read as a message %q %q", code, reasons, e.Code, e.Reason)
		}
	})
}

// FuzzRules: rules that are understood mean the same in the form in which they
// go out, and that form stays.
func FuzzRules(f *testing.F) {
	f.Add([]byte(`{"permission":[{"action":"use"}]}`))
	f.Add([]byte(`{"odrl:permission":{"odrl:action":{"@id":"odrl:use"},"odrl:constraint":{"odrl:leftOperand":"purpose","odrl:operator":{"@id":"odrl:isAnyOf"},"odrl:rightOperand":["a",5]}}}`))
	f.Add([]byte(`{"permission":[{"action":"use","constraint":[{"andSequence":{"@list":[{"leftOperand":"x","operator":"eq","rightOperand":true}]}}],"duty":[{"action":"inform"}]}],"profile":["https://x/"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := odrl.Parse(b); err != nil {
			return
		}
		out, err := dsp2025.Rules(strictjson.Raw(b))
		if err != nil {
			return // it says something that no message can carry
		}
		if again, err := dsp2025.Rules(out); err != nil || string(again) != string(out) {
			t.Fatalf("%s became %s, %v", out, again, err)
		}
		if err := odrl.Same(b, out); err != nil {
			t.Fatalf("%s went out as %s: %v", b, out, err)
		}
	})
}
