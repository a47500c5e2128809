// Package files offers plain files of the node's machine: one file is one
// dataset, fetched with GET, whole or by ranges, or sent to the counterparty's
// address, and named by its SHA-256.
//
// It is not for folders, for files that grow while they are read, or for object
// storage, and it never reads outside the folders that the node's settings name.
package files

import (
	"embed"
	"fmt"
	"log/slog"
	"path/filepath"

	"kakehashi/dataplane"
	"kakehashi/internal/fault"
	"kakehashi/services"
	"kakehashi/store"
)

const (
	name = "files"
	pull = "HttpData-PULL"
	push = "HttpData-PUSH"
)

//go:embed schema/*.sql
var files embed.FS

// Schema holds the service's table.
var Schema = store.SchemaIn(name, files)

// Settings are what a node sets for this service.
type Settings struct {
	Roots []string // absolute folders from which files may be published; none: nothing may
}

// Kind is the service as the node lists it.
var Kind = services.Kind{
	Name:   name,
	Title:  fault.Words{EN: "Files", JA: "ファイル"},
	Schema: Schema,
	New:    open,
}

type service struct {
	services.Host
	roots []string
}

func open(h services.Host) (services.Service, error) {
	set, ok := h.Settings.(Settings)
	if !ok {
		return services.Service{}, fmt.Errorf("open the file service: settings of type %T, want files.Settings", h.Settings)
	}
	for _, r := range set.Roots {
		if !filepath.IsAbs(r) {
			return services.Service{}, fmt.Errorf("open the file service: folder %q is not an absolute path", r)
		}
	}
	if h.Log == nil {
		h.Log = slog.Default()
	}
	s := &service{Host: h, roots: set.Roots}
	return services.Service{
		Formats: []dataplane.Format{{Service: name, Name: pull, Serve: s.serve}, {Service: name, Name: push, Serve: s.serve}},
		Routes:  s.routes,
	}, nil
}
