package sqlite

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

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
			need += len(v)
		case []byte:
			need += len(v)
		case int64, int, bool, nil, float64:
		default:
			plain, err := simplify(a)
			if err != nil {
				return fmt.Errorf("store: argument $%d: %w", i+1, err)
			}
			if !copied { // the slice may be the caller's
				args, copied = append([]any(nil), args...), true
			}
			args[i] = plain
			switch v := plain.(type) {
			case string:
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

// simplify turns named types, pointers and valuers into what bind knows.
func simplify(a any) (any, error) {
	switch v := a.(type) {
	case time.Time:
		return nil, fmt.Errorf("a time is kept as BIGINT microseconds, pass t.UnixMicro()")
	case driver.Valuer:
		if r := reflect.ValueOf(a); r.Kind() == reflect.Pointer && r.IsNil() {
			return nil, nil
		}
		plain, err := v.Value()
		if err != nil {
			return nil, err
		}
		if _, again := plain.(driver.Valuer); again {
			return nil, fmt.Errorf("%T gives another valuer", a)
		}
		return simplify(plain)
	case string, []byte, int64, int, bool, float64, nil:
		return a, nil
	}
	r := reflect.ValueOf(a)
	switch r.Kind() {
	case reflect.String:
		return r.String(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return r.Int(), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if r.Uint() > math.MaxInt64 {
			return nil, fmt.Errorf("%d does not fit BIGINT", r.Uint())
		}
		return int64(r.Uint()), nil
	case reflect.Bool:
		return r.Bool(), nil
	case reflect.Float32, reflect.Float64:
		return r.Float(), nil
	case reflect.Slice:
		if r.Type().Elem().Kind() == reflect.Uint8 {
			return r.Bytes(), nil
		}
	case reflect.Pointer:
		if r.IsNil() {
			return nil, nil
		}
		return simplify(r.Elem().Interface())
	}
	return nil, fmt.Errorf("a %T cannot be kept", a)
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
	r := reflect.ValueOf(dest)
	if r.Kind() != reflect.Pointer || r.IsNil() {
		return fmt.Errorf("%T is no place to read into", dest)
	}
	r = r.Elem()
	if r.Kind() == reflect.Pointer {
		if kind == lib.SQLITE_NULL {
			r.SetZero()
			return nil
		}
		fresh := reflect.New(r.Type().Elem())
		if err := s.column(i, fresh.Interface()); err != nil {
			return err
		}
		r.Set(fresh)
		return nil
	}
	v := s.value(i, kind)
	switch r.Kind() {
	case reflect.String:
		switch v := v.(type) {
		case string:
			r.SetString(v)
			return nil
		case []byte:
			r.SetString(string(v))
			return nil
		case int64:
			r.SetString(strconv.FormatInt(v, 10))
			return nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if v, ok := v.(int64); ok && !r.OverflowInt(v) {
			r.SetInt(v)
			return nil
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if v, ok := v.(int64); ok && v >= 0 && !r.OverflowUint(uint64(v)) {
			r.SetUint(uint64(v))
			return nil
		}
	case reflect.Bool:
		if v, ok := v.(int64); ok {
			r.SetBool(v != 0)
			return nil
		}
	case reflect.Slice:
		if r.Type().Elem().Kind() == reflect.Uint8 {
			switch v := v.(type) {
			case nil:
				r.SetZero()
				return nil
			case []byte:
				r.SetBytes(v)
				return nil
			case string:
				r.SetBytes([]byte(v))
				return nil
			}
		}
	}
	if v == nil {
		return fmt.Errorf("NULL cannot be read into %T", dest)
	}
	return fmt.Errorf("a %T cannot be read into %T", v, dest)
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
