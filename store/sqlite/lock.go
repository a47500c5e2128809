package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"kakehashi/internal/fault"
	"kakehashi/internal/lock"
)

// claim takes the lock beside path for this program, until it is
// released or the program ends, however it ends. It also makes the
// database's file, so that only its owner can read it: the engine gives its
// other files the same mode.
func claim(path string) (*lock.File, error) {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fault.Unavailable.At(folder).Because(fmt.Errorf("make the folder: %w", err))
	}
	held, err := lock.Take(path + ".lock")
	if errors.Is(err, lock.ErrHeld) {
		return nil, fault.StoreInUse.At(folder, "path", folder)
	}
	if err != nil {
		return nil, fault.Unavailable.At(folder).Because(fmt.Errorf("lock the folder: %w", err))
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		_ = held.Release()
		return nil, fault.Unavailable.At(path).Because(err)
	}
	f.Close()
	return held, nil
}
