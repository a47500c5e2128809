package published

import "embed"

// Files are the published files, by folder. Only tests and tools use them, so
// that the program does not carry them.
//
//go:embed catalog common context negotiation transfer
var Files embed.FS
