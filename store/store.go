// Package store is the unit of work: it runs a function in one transaction that
// is wholly there or not at all, and durable when it returns.
//
// It knows no table. Each room and service keeps its own tables, written once in
// SQL that SQLite and PostgreSQL share, and hands its Schema to the engine.
// store is not for bulk bytes; files and streams never go through it.
package store

import (
	"context"
	"errors"
	"io/fs"

	"kakehashi/internal/fault"
)

var (
	// ErrNotFound is what Row.Scan gives when there is no row.
	ErrNotFound = errors.New("no such row")
	// ErrConflict is what Exec or a read gives when a unique constraint was
	// violated. The unit cannot go on after it: return it, nothing is kept.
	ErrConflict = errors.New("a row with this key exists already")
	// ErrClosed is returned for a unit that was asked for after Close.
	ErrClosed = errors.New("the store is closed")
)

// DB runs units of work.
type DB interface {
	// Update runs fn in one transaction; it returns once that is durable, or fn's
	// error and nothing is kept. fn may run again, so it holds only tx and pure
	// code: no I/O, no waiting, no other unit. ctx ends the wait to begin, never a
	// unit that began. A panic in fn is returned as an error and keeps nothing.
	Update(ctx context.Context, fn func(Tx) error) error
	// View runs fn on one snapshot that never waits for a writer; writing in it is
	// an error.
	View(ctx context.Context, fn func(Tx) error) error
}

// Tx is valid inside fn only: never kept, never put in a context.
//
// Placeholders are $1, $2 and so on, and a query is one statement. Arguments
// are strings, integers, bool, float64, []byte, nil, named types of these,
// pointers to these (nil is NULL) and driver.Valuer; a time is passed as
// UnixMicro. What is scanned into is a pointer to one of these, a pointer to a
// pointer for what may be NULL, *any, or a sql.Scanner; bytes are copied. Use
// few query texts: each is prepared once and kept.
//
// After a statement failed (ErrNotFound is no failure) the unit cannot succeed,
// even when fn returns nil.
type Tx interface {
	// Exec may travel with the next read or the commit, and so may its error.
	Exec(query string, args ...any) error
	// QueryRow reads at most one row.
	QueryRow(query string, args ...any) Row
	// Query reads many; Close the rows before the next statement.
	Query(query string, args ...any) (Rows, error)
	// AfterCommit has f run once the unit is durable, in the order of the calls,
	// before Update returns. f must not block; it does not run when the unit fails.
	// Between units that run at the same time there is no order: a memory that f
	// keeps compares versions.
	AfterCommit(f func())
}

// Row is the answer of QueryRow.
type Row interface {
	Scan(dest ...any) error // ErrNotFound when there was no row
}

// Rows is the answer of Query.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close() error
}

// Schema is what one owner keeps: tables named Owner_*, made by numbered files
// NNNN_name.sql at the root of Files. Versions are kept in Owner_schema.
type Schema struct {
	Owner string
	Files fs.FS
}

// SchemaIn is the schema of an owner whose files lie in the folder schema, as a
// room embeds them.
func SchemaIn(owner string, files fs.FS) Schema {
	in, err := fs.Sub(files, "schema")
	if err != nil { // no folder has a name that cannot be
		panic(err)
	}
	return Schema{Owner: owner, Files: in}
}

// Refused is what an engine returns when the database cannot take a unit for a
// reason that kind names: to errors.Is it is also fault.Unavailable.
func Refused(kind *fault.Kind, place string, err error) *fault.Error {
	return kind.At(place).Because(refusal{err})
}

type refusal struct{ error }

func (r refusal) Unwrap() error        { return r.error }
func (r refusal) Is(target error) bool { return target == error(fault.Unavailable) }
