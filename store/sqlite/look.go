package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"kakehashi/internal/fault"
)

// Look opens a file for reading only, also while another program serves it: what
// that one commits meanwhile is seen by the views that begin later. Nothing is
// made or brought up to date. A missing file is fs.ErrNotExist, a disk that
// refuses fault.Unavailable.
func Look(ctx context.Context, path string) (*DB, error) {
	patch()
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open store %q: %w", path, err)
	}
	if _, err := os.Stat(path); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			err = fault.Unavailable.At(path).Because(err)
		}
		return nil, err
	}
	db := &DB{path: path, log: slog.New(slog.DiscardHandler), now: time.Now, gone: make(chan struct{}), room: make(chan struct{}, 4)}
	c, err := db.reader()
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, translate(err))
	}
	db.idle = append(db.idle, c)
	return db, ctx.Err()
}
