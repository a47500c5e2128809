package sqlite

import (
	"errors"
	"fmt"

	"kakehashi/internal/fault"
	"kakehashi/store"

	lib "modernc.org/sqlite/lib"
)

// engineError is what SQLite said. Its text names tables and columns, never
// values.
type engineError struct {
	code int // extended result code
	text string
}

func (e *engineError) Error() string { return fmt.Sprintf("sqlite: %s (%d)", e.text, e.code) }

var (
	errWriteInView = errors.New("store: a View only reads")
	errOver        = errors.New("store: the unit is over, its Tx cannot be used any more")
	errExit        = errors.New("store: the unit ended its goroutine")
)

// translate gives err its meaning for callers: ErrConflict for a key that is
// taken, the fault Unavailable or a narrower one for what the disk refuses.
func translate(err error) error {
	var e *engineError
	if !errors.As(err, &e) {
		return err
	}
	switch e.code {
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY, lib.SQLITE_CONSTRAINT_ROWID:
		return fmt.Errorf("%w: %w", store.ErrConflict, err)
	}
	switch e.code & 0xff {
	case lib.SQLITE_FULL:
		return store.Refused(fault.StoreFull, "", err)
	case lib.SQLITE_READONLY:
		return store.Refused(fault.StoreReadOnly, "", err)
	case lib.SQLITE_IOERR, lib.SQLITE_CANTOPEN, lib.SQLITE_NOMEM,
		lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_PROTOCOL, lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB,
		lib.SQLITE_PERM, lib.SQLITE_NOLFS:
		return fault.Unavailable.At("").Because(err)
	}
	return err
}

// refused tells that a commit failed for what the units want, not for the disk.
func refused(err error) bool {
	var e *engineError
	return errors.As(err, &e) && e.code&0xff == lib.SQLITE_CONSTRAINT
}
