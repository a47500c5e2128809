// Package conversations holds the scenarios of the official compatibility kit for
// the Dataspace Protocol 2025-1, named by its ids, and those of our own, one text
// file each; package script reads them. It holds no code.
package conversations

import "embed"

// Files are the conversations.
//
//go:embed *.txt
var Files embed.FS

// Own are the conversations that the kit does not hold, below the folder own.
//
//go:embed own/*.txt
var Own embed.FS
