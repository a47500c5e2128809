// Package published holds the schemas, examples and JSON-LD contexts of the
// Dataspace Protocol 2025-1 as they were published, and the context that EDC
// connectors add to them; NOTICE.md names the sources.
//
// The contexts are what JSON-LD messages are expanded with (package expanded);
// the rest is material for tests and for package conform.
package published

import _ "embed" // for Contexts

// Contexts are the JSON-LD contexts by their URLs. No other is ever read, and
// none is fetched.
func Contexts() map[string][]byte {
	return map[string][]byte{
		"https://w3id.org/dspace/2025/1/context.jsonld":      dspace,
		"https://w3id.org/dspace/2025/1/odrl-profile.jsonld": odrl,
		"https://w3id.org/edc/dspace/v0.0.1":                 edc,
	}
}

var (
	//go:embed context/dspace.jsonld
	dspace []byte
	//go:embed context/odrl.jsonld
	odrl []byte
	//go:embed ext/edc-dspace-context-v0.0.1.jsonld
	edc []byte
)
