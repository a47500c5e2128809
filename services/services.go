// Package services is the seam for what makes one field's data shareable under
// contract. A service is one folder below this one and one line where the node
// lists them; the core has no special case for any of them.
//
// Both structs gain members as rooms come to need them; a zero member says that
// a service has none of that.
package services

import (
	"context"
	"log/slog"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"kakehashi/catalog"
	"kakehashi/dataplane"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/store"
)

// Kind is a service as it is known before any node runs.
type Kind struct {
	Name   string       // its folder, the prefix of its tables, and its place below /api/v1/
	Title  fault.Words  // what people call it
	Schema store.Schema // its tables; the owner is Name
	New    func(Host) (Service, error)
}

// Host is what a node gives to a service.
type Host struct {
	DB       store.DB
	Catalog  *catalog.Room
	Evidence *evidence.Log
	// Caller tells for which participant a request of the management API speaks,
	// from its context; a request that may not is a fault.
	Caller   func(context.Context) (participant.ID, error)
	Settings any // the service's own settings struct, by value
	Now      func() time.Time
	Log      *slog.Logger
}

// Service is a service in a running node.
type Service struct {
	Formats []dataplane.Format
	// Routes adds operations below /api/v1/NAME/; paths are given without /api/v1.
	// Their errors are faults, and the API renders them.
	Routes func(huma.API)
}
