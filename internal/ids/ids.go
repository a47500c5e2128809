// Package ids makes the node's own identifiers: UUIDs of version 7 (RFC 9562),
// which sort by the time they were made. Ids of other parties are kept as they
// came and never made here.
package ids

import "github.com/google/uuid"

// New is a new id as it goes over the wire, "urn:uuid:...".
func New() string { return "urn:uuid:" + Short() }

// Short is a new id without the URN prefix, for rows and paths of our own.
func Short() string { return uuid.Must(uuid.NewV7()).String() }
