// Package storetest opens stores for tests and holds the suite that every
// engine must pass. It is for tests only.
package storetest

import (
	"log/slog"
	"path/filepath"
	"testing"

	"kakehashi/store"
	"kakehashi/store/sqlite"
)

// Open gives a new store on a file of its own, with these schemas in it. It is
// closed and removed when t ends.
func Open(t testing.TB, schemas ...store.Schema) store.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{
		Path:    filepath.Join(t.TempDir(), "test.db"),
		Schemas: schemas,
		Log:     slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		t.Fatalf("open a store: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return db
}
