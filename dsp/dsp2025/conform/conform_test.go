package conform

import (
	"io/fs"
	"path"
	"strings"
	"testing"

	"kakehashi/dsp/dsp2025/published"
)

// schemaOf names the schema of a published example; the rest is named after it.
var schemaOf = map[string]string{
	"negotiation/contract-offer-message_initial":   "negotiation/contract-offer-message",
	"negotiation/contract-request-message_initial": "negotiation/contract-request-message",
	"negotiation/contract-agreement-message-full":  "negotiation/contract-agreement-message",
	"catalog/nested-catalog":                       "catalog/catalog",
	"common/catalogservice-did-service":            "common/did-service",
	"common/dataservice-did-service":               "common/did-service",
}

func TestPublishedExamplesConform(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(published.Files, "*/example/*.json")
	if err != nil || len(files) < 24 {
		t.Fatalf("found %d examples, %v", len(files), err)
	}
	for _, f := range files {
		name := path.Dir(path.Dir(f)) + "/" + strings.TrimSuffix(path.Base(f), ".json")
		schema := name
		if s, ok := schemaOf[name]; ok {
			schema = s
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := fs.ReadFile(published.Files, f)
			if err != nil {
				t.Fatal(err)
			}
			err = Check(schema, b)
			if known := name == "common/dataservice-did-service"; known != (err != nil) {
				t.Errorf("known defect %v, got %v", known, err)
			}
		})
	}
}

func TestEverySchemaCompiles(t *testing.T) {
	t.Parallel()
	names := Names()
	if len(names) < 20 {
		t.Fatalf("only %d schemas", len(names))
	}
	for _, n := range names {
		if _, err := find(n); err != nil {
			t.Error(err)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, schema, body, want string }{
		{"a schema that is not published", "negotiation/other", `{}`, "not fetched"},
		{"no JSON", "negotiation/contract-request-message", `{`, "read JSON"},
		{"missing members", "negotiation/contract-request-message", `{}`, "missing properties"},
		{"suspension through the patched reference", "transfer/transfer-suspension-message", `{"@type":"TransferSuspensionMessage"}`, "missing"},
		{"a part by its fragment", "negotiation/contract#/definitions/Offer", `{"@id":"x","@type":"Offer"}`, "permission"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if err := Check(c.schema, []byte(c.body)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}
