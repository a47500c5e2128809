package dsp2025_test

import (
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"github.com/piprate/json-gold/ld"

	"kakehashi/dsp/dsp2025"
	"kakehashi/dsp/dsp2025/published"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

// options are those of an ordinary JSON-LD processor with the published contexts.
func options() *ld.JsonLdOptions {
	o := ld.NewJsonLdOptions("")
	o.ProcessingMode = ld.JsonLd_1_1
	o.DocumentLoader = fromMemory{}
	return o
}

type fromMemory struct{}

func (fromMemory) LoadDocument(url string) (*ld.RemoteDocument, error) {
	raw, ok := published.Contexts()[url]
	if !ok {
		return nil, errors.New(url + " is not published")
	}
	var doc any
	err := strictjson.DecodeOpen(raw, &doc)
	return &ld.RemoteDocument{DocumentURL: url, Document: doc}, err
}

// forms are other ways to write the same message.
var forms = map[string]func(t *testing.T, doc map[string]any) any{
	"expanded": func(t *testing.T, doc map[string]any) any { return expandOf(t, doc) },
	"expanded, one object": func(t *testing.T, doc map[string]any) any {
		return expandOf(t, doc)[0]
	},
	"prefixes of an inline context": func(t *testing.T, doc map[string]any) any {
		return compactWith(t, doc, map[string]any{"dspace": "https://w3id.org/dspace/2025/1/", "odrl": "http://www.w3.org/ns/odrl/2/",
			"dcat": "http://www.w3.org/ns/dcat#", "dct": "http://purl.org/dc/terms/"})
	},
	"other prefixes and a default vocabulary": func(t *testing.T, doc map[string]any) any {
		return compactWith(t, doc, map[string]any{"@vocab": "https://w3id.org/dspace/2025/1/", "o": "http://www.w3.org/ns/odrl/2/",
			"c": "http://www.w3.org/ns/dcat#", "id": "@id", "type": "@type"})
	},
	"compact, with an inline context beside": func(_ *testing.T, doc map[string]any) any {
		doc["@context"] = []any{dsp2025.ContextURL, "https://w3id.org/edc/dspace/v0.0.1",
			map[string]any{"ex": "https://example.org/", "odrl": "http://www.w3.org/ns/odrl/2/", "edc": "https://w3id.org/edc/v0.0.1/ns/"}}
		doc["ex:more"] = map[string]any{"ex:deep": []any{1.0, true, nil}}
		return doc
	},
	"compact, type as an array of one": func(_ *testing.T, doc map[string]any) any {
		doc["@type"] = []any{doc["@type"]}
		return doc
	},
	"compact, type as an IRI": func(t *testing.T, doc map[string]any) any {
		doc["@type"] = expandOf(t, doc)[0].(map[string]any)["@type"].([]any)[0]
		return doc
	},
	"prefixed names with the context of the standard": func(_ *testing.T, doc map[string]any) any {
		for _, n := range []string{"providerPid", "consumerPid", "callbackAddress", "agreementId", "code", "reason", "participantId",
			"state", "eventType", "offer", "agreement", "dataAddress", "filter"} {
			if v, ok := doc[n]; ok {
				delete(doc, n)
				doc["dspace:"+n] = v
			}
		}
		return doc
	},
	"ids and texts as objects": func(_ *testing.T, doc map[string]any) any {
		for i, n := range []string{"providerPid", "consumerPid", "callbackAddress", "agreementId", "participantId", "code"} {
			if v, ok := doc[n]; ok {
				doc[n] = map[string]any{[]string{"@id", "@value"}[i%2]: v}
			}
		}
		return doc
	},
	"further members and an id": func(_ *testing.T, doc map[string]any) any {
		if _, ok := doc["@id"]; !ok {
			doc["@id"] = "urn:uuid:1"
		}
		doc["more"], doc["https://example.org/more"] = []any{map[string]any{"x": 1.0}}, "y"
		return doc
	},
}

func expandOf(t *testing.T, doc any) []any {
	t.Helper()
	out, err := ld.NewJsonLdProcessor().Expand(doc, options())
	if err != nil || len(out) != 1 {
		t.Fatalf("expanded to %v, %v", out, err)
	}
	return out
}

func compactWith(t *testing.T, doc any, context map[string]any) any {
	t.Helper()
	out, err := ld.NewJsonLdProcessor().Compact(expandOf(t, doc), context, options())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// samples are all published examples and a message of our own of each type.
func samples(t testing.TB) map[string]sample {
	t.Helper()
	out := map[string]sample{}
	for name, k := range kinds() {
		b, err := dsp2025.Marshal(k.value)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = sample{k, b}
		for _, file := range k.examples {
			b, err := fs.ReadFile(published.Files, file)
			if err != nil {
				t.Fatal(err)
			}
			out[name+" "+file[strings.LastIndexByte(file, '/')+1:]] = sample{k, b}
		}
	}
	return out
}

type sample struct {
	kind
	body []byte
}

// meaning is what was read, as far as the form says nothing: messages' own ids
// are compared where they were there before.
func meaning(t *testing.T, m dsp2025.Message, compact []byte) any {
	t.Helper()
	b, err := dsp2025.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	v := tree(t, b).(map[string]any)
	if _, ok := tree(t, compact).(map[string]any)["@id"]; !ok {
		delete(v, "@id")
	}
	return v
}

func tree(t *testing.T, b []byte) any {
	t.Helper()
	var v any
	if err := strictjson.DecodeOpen(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEveryFormReadsTheSame(t *testing.T) {
	t.Parallel()
	for name, s := range samples(t) {
		for form, write := range forms {
			t.Run(name+"/"+form, func(t *testing.T) {
				t.Parallel()
				want, err := s.decode(s.body) // for each, since Marshal fills its head
				if err != nil {
					t.Fatal(err)
				}
				b, err := strictjson.Encode(write(t, tree(t, s.body).(map[string]any)))
				if err != nil {
					t.Fatal(err)
				}
				got, err := s.decode(b)
				if err != nil {
					t.Fatalf("%s: %v", b, err)
				}
				if a, b := meaning(t, want, s.body), meaning(t, got, s.body); !reflect.DeepEqual(a, b) {
					t.Errorf("compact\n%v\nthis form\n%v", a, b)
				}
			})
		}
	}
}

// TestCompactionIsThatOfJSONLD holds the compact form that is made here against
// that of the library.
func TestCompactionIsThatOfJSONLD(t *testing.T) {
	t.Parallel()
	for name, s := range samples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expanded := expandOf(t, tree(t, s.body))
			theirs, err := ld.NewJsonLdProcessor().Compact(expanded, map[string]any{"@context": []any{dsp2025.ContextURL}}, options())
			if err != nil {
				t.Fatal(err)
			}
			a, err := strictjson.Encode(theirs)
			if err != nil {
				t.Fatal(err)
			}
			b, err := strictjson.Encode(expanded)
			if err != nil {
				t.Fatal(err)
			}
			byThem, err := s.decode(a)
			if err != nil {
				t.Fatalf("%s: %v", a, err)
			}
			byUs, err := s.decode(b)
			if err != nil {
				t.Fatal(err)
			}
			if a, b := meaning(t, byThem, s.body), meaning(t, byUs, s.body); !reflect.DeepEqual(a, b) {
				t.Errorf("the library\n%v\nhere\n%v", a, b)
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	const full = `[{"@type":["https://w3id.org/dspace/2025/1/TransferProcess"],"https://w3id.org/dspace/2025/1/providerPid":[{"@id":"p"}],` +
		`"https://w3id.org/dspace/2025/1/consumerPid":[{"@id":"c"}],"https://w3id.org/dspace/2025/1/state":[{"@id":"https://w3id.org/dspace/2025/1/STARTED"}]}]`
	for _, c := range []struct{ name, in, state, provider string }{
		{"compact", `{` + head + `"TransferProcess","providerPid":"p","consumerPid":"c","state":"STARTED"}`, "STARTED", "p"},
		{"prefixed state", `{` + head + `"TransferProcess","providerPid":"p","consumerPid":"c","state":"dspace:STARTED"}`, "STARTED", "p"},
		{"without a context", `{"providerPid":"p","state":"STARTED"}`, "STARTED", "p"},
		{"expanded", full, "STARTED", "p"},
		{"prefixed members", `{"@context":{"d":"https://w3id.org/dspace/2025/1/"},"@type":"d:TransferProcess","d:providerPid":{"@id":"p"},"d:consumerPid":{"@id":"c"},"d:state":{"@id":"d:STARTED"}}`, "STARTED", "p"},
		{"an error", `{` + head + `"TransferError","code":"x"}`, "", ""},
		{"empty", ``, "", ""},
		{"no JSON", `<html>`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := dsp2025.StateIn([]byte(c.in)); got != c.state {
				t.Errorf("state %q, want %q", got, c.state)
			}
			if got, ok := dsp2025.Answer[dsp2025.TransferProcess]([]byte(c.in)); got.ProviderPid != c.provider || c.provider != "" && !ok {
				t.Errorf("got %+v, %v; want the pid %q", got, ok, c.provider)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, code, reasons string }{
		{"compact", `{` + head + `"ContractNegotiationError","code":"x","reason":["a","b"]}`, "x", "a|b"},
		{"one reason", `{"code":"x","reason":"a"}`, "x", "a"},
		{"prefixed", `{"@context":{"d":"https://w3id.org/dspace/2025/1/"},"@type":"d:CatalogError","d:code":"x","d:reason":{"@value":"a","@language":"en"}}`, "x", "a"},
		{"expanded", `[{"@type":["https://w3id.org/dspace/2025/1/TransferError"],"https://w3id.org/dspace/2025/1/code":[{"@value":"x"}]}]`, "x", ""},
		{"no JSON", `<html>`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if code, reasons := dsp2025.Refusal([]byte(c.in)); code != c.code || strings.Join(reasons, "|") != c.reasons {
				t.Errorf("%q %q, want %q %q", code, reasons, c.code, c.reasons)
			}
		})
	}
}

// TestPolicies: what a policy says is there in the compact form, whatever form
// it came in, and nothing that was said is lost.
func TestPolicies(t *testing.T) {
	t.Parallel()
	odrlContext := `"@context":{"dspace":"https://w3id.org/dspace/2025/1/","odrl":"http://www.w3.org/ns/odrl/2/","xsd":"http://www.w3.org/2001/XMLSchema#"}`
	request := func(context, policy string) string {
		return `{` + context + `,"@type":"dspace:ContractRequestMessage","dspace:consumerPid":"c","dspace:callbackAddress":"u","dspace:offer":` + policy + `}`
	}
	for _, c := range []struct{ name, in, want string }{
		{"compact, as it came", `{` + head + `"ContractRequestMessage","consumerPid":"c","callbackAddress":"u","offer":{ "odrl:permission":{"action":"odrl:use"} , "@id":"o"}}`,
			`{ "odrl:permission":{"action":"odrl:use"} , "@id":"o"}`},
		{"prefixed", request(odrlContext, `{"@id":"o","@type":"odrl:Offer","odrl:target":{"@id":"d"},"odrl:permission":{"odrl:action":{"@id":"odrl:use"},"odrl:constraint":{"odrl:leftOperand":{"@id":"odrl:count"},"odrl:operator":{"@id":"odrl:lteq"},"odrl:rightOperand":{"@value":"5","@type":"xsd:integer"}}}}`),
			`{"@id":"o","@type":"Offer","permission":[{"action":"use","constraint":[{"leftOperand":"count","operator":"lteq","rightOperand":{"@type":"xsd:integer","@value":"5"}}]}],"target":"d"}`},
		{"sets and numbers", request(odrlContext, `{"@id":"o","odrl:permission":{"odrl:action":"odrl:use","odrl:constraint":{"odrl:and":{"@list":[{"odrl:leftOperand":"purpose","odrl:operator":"odrl:isAnyOf","odrl:rightOperand":["a","b"]},{"odrl:leftOperand":"x","odrl:operator":"odrl:eq","odrl:rightOperand":1.50}]}}}}`),
			`{"@id":"o","permission":[{"action":"use","constraint":[{"and":[{"leftOperand":"purpose","operator":"isAnyOf","rightOperand":["a","b"]},{"leftOperand":"x","operator":"eq","rightOperand":1.50}]}]}]}`},
		{"profiles and duties", request(odrlContext, `{"@id":"o","odrl:profile":[{"@id":"https://a/"},{"@id":"https://b/"}],"odrl:obligation":{"odrl:action":{"@id":"odrl:inform"}},"odrl:prohibition":[{"odrl:action":{"@id":"https://c/sell"}}]}`),
			`{"@id":"o","obligation":[{"action":"inform"}],"profile":["https://a/","https://b/"],"prohibition":[{"action":"https://c/sell"}]}`},
		{"a member that no context explains", request(odrlContext, `{"@id":"o","odrl:permission":{"odrl:action":"odrl:use","constraints":[{"x":1}]}}`),
			`{"@id":"o","permission":[{"action":"use","constraints":{"x":1}}]}`},
		{"an action with a refinement", request(odrlContext, `{"@id":"o","odrl:permission":{"odrl:action":{"@id":"odrl:use","odrl:refinement":{"odrl:leftOperand":"x"}}}}`),
			`{"@id":"o","permission":[{"action":{"@id":"http://www.w3.org/ns/odrl/2/use","refinement":{"leftOperand":"x"}}}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := dsp2025.Decode[dsp2025.ContractRequest]([]byte(c.in))
			if err != nil || string(got.Offer) != c.want {
				t.Errorf("%v\n%s\nwant\n%s", err, got.Offer, c.want)
			}
		})
	}
}

const verified = `"dspace:providerPid":"p","dspace:consumerPid":"c"`

func TestOtherFormsThatAreRefused(t *testing.T) {
	t.Parallel()
	all := kinds()
	pids := `"https://w3id.org/dspace/2025/1/providerPid":[{"@id":"p"}],"https://w3id.org/dspace/2025/1/consumerPid":[{"@id":"c"}]`
	full := `"@type":["https://w3id.org/dspace/2025/1/ContractAgreementVerificationMessage"]`
	for _, c := range []struct{ name, kind, in, at, reason string }{
		{"unknown context beside an inline one", "AgreementVerification", `{"@context":["https://example.org/c",{}],"@type":"x"}`, "/@context", `"https://example.org/c" is not known`},
		{"unknown context below", "AgreementVerification", `{` + head + `"dspace:ContractAgreementVerificationMessage",` + verified + `,"x":{"@context":"https://example.org/d","y":1}}`, "/@context", `"https://example.org/d" is not known`},
		{"context of 2024-1", "AgreementVerification", `{"@context":"https://w3id.org/dspace/2024/1/context.json","@type":"dspace:ContractAgreementVerificationMessage",` + verified + `}`, "/@context", "2024/1/context.json\" is not known"},
		{"namespace of 2024-1", "AgreementVerification", `{"@context":{"dspace":"https://w3id.org/dspace/2024/1/"},"@type":"dspace:ContractAgreementVerificationMessage",` + verified + `}`, "/@type", "another edition"},
		{"namespace of 0.8", "AgreementVerification", `[{"@type":["https://w3id.org/dspace/v0.8/ContractAgreementVerificationMessage"]}]`, "/@type", "another edition"},
		{"inline context with @import", "AgreementVerification", `{"@context":{"@version":1.1,"@import":"https://w3id.org/dspace/2025/1/odrl-profile.jsonld"},"@type":"x"}`, "", "may not hold"},
		{"inline context with contexts for terms", "AgreementVerification", `{"@context":{"x":{"@id":"x:y","@context":{}}},"@type":"x"}`, "", "may not hold"},
		{"another meaning for a name of the standard", "AgreementVerification", `{"@context":["` + dsp2025.ContextURL + `",{"ACCEPTED":"x:y"}],"@type":"ContractAgreementVerificationMessage","providerPid":"p","consumerPid":"c"}`, "/@context", "protected"},
		{"huge inline context", "AgreementVerification", `{"@context":{"x":"x:` + strings.Repeat("y", 17<<10) + `"},"@type":"x"}`, "", "more contexts"},
		{"many inline contexts", "AgreementVerification", `[{"x":[` + strings.Repeat(`{"@context":{}},`, 40) + `{}]}]`, "", "more contexts"},
		{"two messages", "AgreementVerification", `[{` + full + `,` + pids + `},{` + full + `,` + pids + `}]`, "", "2 objects"},
		{"no message", "AgreementVerification", `[]`, "", "0 objects"},
		{"deep", "AgreementVerification", `[{"x:y":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}]`, "", "levels"},
		{"many types", "AgreementVerification", `[{"@type":["a:b"` + strings.Repeat(`,"a:b"`, 20) + `]}]`, "", "types"},
		{"many objects", "AgreementVerification", `[{"x:y":[{}` + strings.Repeat(`,{}`, 11_000) + `]}]`, "", "objects"},
		{"many objects with a type", "AgreementVerification", `[{"x:y":[{}` + strings.Repeat(`,{"@type":"Dataset"}`, 300) + `]}]`, "", "objects with a type"},
		{"a graph", "AgreementVerification", `{"@graph":[{` + full + `,` + pids + `}]}`, "/@context", "missing"},
		{"a reversed member", "AgreementVerification", `[{` + full + `,` + pids + `,"@reverse":{}}]`, "", "keyword"},
		{"a reversed member by another name", "AgreementVerification", `{"@context":["` + dsp2025.ContextURL + `",{"r":{"@reverse":"x:y"}}],` + full + `,` + pids + `,"r":{"@id":"x:z"}}`, "", "keyword"},
		{"doubled member", "AgreementVerification", `[{` + full + `,"x:y":[{"@value":1,"@value":2}],` + pids + `}]`, "", "doubled"},
		{"two spellings of a pid", "AgreementVerification", `{` + head + `"ContractAgreementVerificationMessage","consumerPid":"c","providerPid":"p","dspace:providerPid":"q"}`, "/providerPid", "several"},
		{"two values of a pid", "AgreementVerification", `[{` + full + `,"https://w3id.org/dspace/2025/1/providerPid":[{"@id":"p"},{"@id":"q"}],"https://w3id.org/dspace/2025/1/consumerPid":[{"@id":"c"}]}]`, "/providerPid", "several"},
		{"missing pid", "AgreementVerification", `[{` + full + `,"https://w3id.org/dspace/2025/1/providerPid":[{"@id":"p"}]}]`, "/consumerPid", "required"},
		{"pid that is a number", "AgreementVerification", `[{` + full + `,"https://w3id.org/dspace/2025/1/providerPid":[{"@value":1}],"https://w3id.org/dspace/2025/1/consumerPid":[{"@id":"c"}]}]`, "/providerPid", ""},
		{"trailing data", "AgreementVerification", `[{` + full + `,` + pids + `}] []`, "", ""},
		{"text", "AgreementVerification", `"https://w3id.org/dspace/2025/1/context.jsonld"`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := all[c.kind].decode([]byte(c.in))
			if !errors.Is(err, fault.BadMessage) {
				t.Fatalf("got %v, want a bad message", err)
			}
			if f := fault.Of(err); c.at != "" && f.Place != c.at || !strings.Contains(f.Args["reason"], c.reason) {
				t.Errorf("at %q: %q; want %q: %q", f.Place, f.Args["reason"], c.at, c.reason)
			}
		})
	}
}

func BenchmarkDecodeForms(b *testing.B) {
	doc := `"consumerPid":"urn:uuid:c","offer":` + offer + `,"callbackAddress":"https://c/dsp"}`
	inline := `"@context":["https://w3id.org/dspace/2025/1/context.jsonld",{"ex":"https://example.org/"}],"@type":`
	for _, c := range []struct{ name, in string }{
		{"compact", `{` + head + `"ContractRequestMessage",` + doc},
		{"compact, further members", `{` + head + `"ContractRequestMessage","https://example.org/x":{"a":[1]},"y":2,` + doc},
		{"inline context", `{` + inline + `"ContractRequestMessage",` + doc},
		{"prefixed names", `{"@context":{"d":"https://w3id.org/dspace/2025/1/","o":"http://www.w3.org/ns/odrl/2/"},"@type":"d:ContractRequestMessage","d:consumerPid":{"@id":"urn:uuid:c"},"d:callbackAddress":"https://c/dsp",` +
			`"d:offer":{"@id":"o","@type":"o:Offer","o:target":{"@id":"d"},"o:permission":{"o:action":{"@id":"o:use"}}}}`},
		{"expanded", `[{"@type":["https://w3id.org/dspace/2025/1/ContractRequestMessage"],"https://w3id.org/dspace/2025/1/consumerPid":[{"@id":"urn:uuid:c"}],"https://w3id.org/dspace/2025/1/callbackAddress":[{"@value":"https://c/dsp"}],` +
			`"https://w3id.org/dspace/2025/1/offer":[{"@id":"o","@type":["http://www.w3.org/ns/odrl/2/Offer"],"http://www.w3.org/ns/odrl/2/target":[{"@id":"d"}],"http://www.w3.org/ns/odrl/2/permission":[{"http://www.w3.org/ns/odrl/2/action":[{"@id":"http://www.w3.org/ns/odrl/2/use"}]}]}]}]`},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := dsp2025.Decode[dsp2025.ContractRequest]([]byte(c.in)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
