package negotiation

import (
	"errors"
	"strings"
	"testing"

	"github.com/piprate/json-gold/ld"

	"kakehashi/dsp/dsp2025/published"
	"kakehashi/internal/strictjson"
	"kakehashi/odrl"
)

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

// expandedForm writes a message as a peer does that sends expanded JSON-LD and
// knows nothing of our own additions.
func expandedForm(t *testing.T, body []byte) []byte {
	var doc map[string]any
	check(t, strictjson.DecodeOpen(body, &doc))
	delete(doc, AgreementDigest)
	o := ld.NewJsonLdOptions("")
	o.DocumentLoader = fromMemory{}
	v, err := ld.NewJsonLdProcessor().Expand(doc, o)
	check(t, err)
	b, err := strictjson.Encode(v)
	check(t, err)
	return b
}

// TestNegotiationInExpandedJSONLD: the whole of a negotiation in which each
// message arrives expanded. Both sides hold the same agreement; the bytes that
// arrived are on record as they were.
func TestNegotiationInExpandedJSONLD(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hook = func(c call) verdict { return verdict{body: expandedForm(t, c.body)} }
	c, p := w.both(w.start(), Finalized)
	if c.Agreement == "" || c.Agreement != p.Agreement {
		t.Errorf("agreements %q and %q", c.Agreement, p.Agreement)
	}
	if err := odrl.Same(c.AgreementBody, p.AgreementBody); err != nil {
		t.Errorf("the terms differ: %v\n%s\n%s", err, c.AgreementBody, p.AgreementBody)
	}
	entries, err := w.brussels.log.History(t.Context(), w.brussels.who.ID, c.ID)
	check(t, err)
	for _, e := range entries {
		if !strings.HasSuffix(e.Type, "agreed") {
			continue
		}
		kept, err := w.brussels.log.Body(t.Context(), w.brussels.who.ID, e.Hashes["message"])
		if err != nil || len(kept) == 0 || kept[0] != '[' {
			t.Errorf("kept of the agreement: %s, %v", kept, err)
		}
		return
	}
	t.Errorf("no agreement on record among %d leaves", len(entries))
}

func TestAPartyNamedTwiceIsRefused(t *testing.T) {
	t.Parallel()
	for _, in := range []string{`{"target":"a","odrl:target":"b"}`, `{"http://www.w3.org/ns/odrl/2/assigner":"a","assigner":"b"}`} {
		if got, err := parseTerms([]byte(in)); err == nil {
			t.Errorf("%s is %+v", in, got)
		}
	}
}
