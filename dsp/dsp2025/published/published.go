// Package published holds the schemas, examples and JSON-LD contexts of the
// Dataspace Protocol 2025-1 as they were published; NOTICE.md names the source.
//
// It is material for tests and for package conform; nothing here is read while
// messages are exchanged.
package published

import "embed"

// Files are the published files, by folder.
//
//go:embed catalog common context negotiation transfer
var Files embed.FS
