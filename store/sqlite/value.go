package sqlite

import (
	"database/sql"
	"fmt"
	"math"
	"reflect"

	"kakehashi/store/value"

	lib "modernc.org/sqlite/lib"
)

// bind gives s its arguments. Text and bytes are copied once, into memory that
// s keeps, and the engine reads them there.
func (s *stmt) bind(args []any) error {
	if len(args) != s.args {
		return fmt.Errorf("store: %d arguments for $1 to $%d", len(args), s.args)
	}
	need, copied := 1, false
	for i, a := range args {
		switch v := a.(type) {
		case string:
			if err := value.Text(v); err != nil {
				return err
			}
			need += len(v)
		case []byte:
			need += len(v)
		case int64, int, bool, nil, float64:
		default:
			plain, err := value.Plain(a)
			if err != nil {
				return fmt.Errorf("store: argument $%d: %w", i+1, err)
			}
			if !copied { // the slice may be the caller's
				args, copied = append([]any(nil), args...), true
			}
			args[i] = plain
			switch v := plain.(type) {
			case string:
				if err := value.Text(v); err != nil {
					return err
				}
				need += len(v)
			case []byte:
				need += len(v)
			}
		}
	}
	if need > s.size {
		if need > math.MaxInt32 {
			return fmt.Errorf("store: arguments of %d bytes", need)
		}
		room := max(need, 256)
		if room <= keptArena {
			room = 1 << bitsFor(room)
		}
		lib.Xsqlite3_free(s.c.tls, s.arena)
		if s.arena = lib.Xsqlite3_malloc(s.c.tls, int32(room)); s.arena == 0 {
			s.size = 0
			return s.c.fail(lib.SQLITE_NOMEM)
		}
		s.size = room
	}
	at := s.arena
	for i, from := range s.params {
		var rc int32
		n := int32(i + 1)
		switch v := args[from].(type) {
		case string:
			copy(memory(at, len(v)), v)
			rc = lib.Xsqlite3_bind_text(s.c.tls, s.p, n, at, int32(len(v)), 0)
			at += uintptr(len(v))
		case []byte:
			if v == nil {
				rc = lib.Xsqlite3_bind_null(s.c.tls, s.p, n)
				break
			}
			copy(memory(at, len(v)), v)
			rc = lib.Xsqlite3_bind_blob(s.c.tls, s.p, n, at, int32(len(v)), 0)
			at += uintptr(len(v))
		case int64:
			rc = lib.Xsqlite3_bind_int64(s.c.tls, s.p, n, v)
		case int:
			rc = lib.Xsqlite3_bind_int64(s.c.tls, s.p, n, int64(v))
		case bool:
			var one int64
			if v {
				one = 1
			}
			rc = lib.Xsqlite3_bind_int64(s.c.tls, s.p, n, one)
		case float64:
			rc = lib.Xsqlite3_bind_double(s.c.tls, s.p, n, v)
		default:
			rc = lib.Xsqlite3_bind_null(s.c.tls, s.p, n)
		}
		if rc != lib.SQLITE_OK {
			return s.c.fail(rc)
		}
	}
	return nil
}

func bitsFor(n int) int {
	b := 8
	for 1<<b < n {
		b++
	}
	return b
}

// scan reads the current row of s.
func (s *stmt) scan(dest []any) error {
	if len(dest) != s.cols {
		return fmt.Errorf("store: %d destinations for %d columns", len(dest), s.cols)
	}
	for i, d := range dest {
		if err := s.column(int32(i), d); err != nil {
			return fmt.Errorf("store: column %d: %w", i+1, err)
		}
	}
	return nil
}

func (s *stmt) column(i int32, dest any) error {
	kind := lib.Xsqlite3_column_type(s.c.tls, s.p, i)
	switch d := dest.(type) {
	case *string:
		if kind == lib.SQLITE_TEXT || kind == lib.SQLITE_BLOB {
			*d = string(s.bytes(i, kind))
			return nil
		}
	case *int64:
		if kind == lib.SQLITE_INTEGER {
			*d = lib.Xsqlite3_column_int64(s.c.tls, s.p, i)
			return nil
		}
	case *int:
		if kind == lib.SQLITE_INTEGER {
			*d = int(lib.Xsqlite3_column_int64(s.c.tls, s.p, i))
			return nil
		}
	case *bool:
		if kind == lib.SQLITE_INTEGER {
			*d = lib.Xsqlite3_column_int64(s.c.tls, s.p, i) != 0
			return nil
		}
	case *[]byte:
		switch kind {
		case lib.SQLITE_BLOB, lib.SQLITE_TEXT:
			*d = append([]byte{}, s.bytes(i, kind)...)
			return nil
		case lib.SQLITE_NULL:
			*d = nil
			return nil
		}
	case *float64:
		if kind == lib.SQLITE_FLOAT || kind == lib.SQLITE_INTEGER {
			*d = lib.Xsqlite3_column_double(s.c.tls, s.p, i)
			return nil
		}
	case *any:
		*d = s.value(i, kind)
		return nil
	case sql.Scanner:
		return d.Scan(s.value(i, kind))
	}
	return s.columnOf(i, kind, dest)
}

// columnOf serves named types and pointers to pointers.
func (s *stmt) columnOf(i, kind int32, dest any) error {
	if r := reflect.ValueOf(dest); r.Kind() == reflect.Pointer && !r.IsNil() && r.Elem().Kind() == reflect.Pointer {
		if kind == lib.SQLITE_NULL {
			r.Elem().SetZero()
			return nil
		}
		fresh := reflect.New(r.Elem().Type().Elem())
		if err := s.column(i, fresh.Interface()); err != nil {
			return err
		}
		r.Elem().Set(fresh)
		return nil
	}
	return value.Into(dest, s.value(i, kind))
}

func (s *stmt) value(i, kind int32) any {
	switch kind {
	case lib.SQLITE_INTEGER:
		return lib.Xsqlite3_column_int64(s.c.tls, s.p, i)
	case lib.SQLITE_FLOAT:
		return lib.Xsqlite3_column_double(s.c.tls, s.p, i)
	case lib.SQLITE_TEXT:
		return string(s.bytes(i, kind))
	case lib.SQLITE_BLOB:
		return append([]byte{}, s.bytes(i, kind)...)
	}
	return nil
}

// bytes are the engine's own, good until the next step.
func (s *stmt) bytes(i, kind int32) []byte {
	var p uintptr
	if kind == lib.SQLITE_TEXT {
		p = lib.Xsqlite3_column_text(s.c.tls, s.p, i)
	} else {
		p = lib.Xsqlite3_column_blob(s.c.tls, s.p, i)
	}
	n := lib.Xsqlite3_column_bytes(s.c.tls, s.p, i)
	if p == 0 || n == 0 {
		return nil
	}
	return memory(p, int(n))
}
