// Package value is what both engines agree on: what may be passed to a
// statement, and what a column may be read into. It is not for SQL types; each
// engine has its own way to carry them.
package value

import (
	"database/sql/driver"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"kakehashi/internal/fault"
)

// Plain turns an argument into nil, string, []byte, int64, int, bool or float64.
// A nil []byte stays one; it stands for NULL.
func Plain(a any) (any, error) {
	switch v := a.(type) {
	case string, []byte, int64, int, bool, float64, nil:
		return a, nil
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
		return Plain(plain)
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
		return Plain(r.Elem().Interface())
	}
	return nil, fmt.Errorf("a %T cannot be kept", a)
}

// Text refuses, as fault.StoreText, what PostgreSQL cannot keep as TEXT: the
// character NUL, and bytes that are not UTF-8.
func Text(s string) error {
	if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
		return fault.StoreText.At("")
	}
	return nil
}

// Into reads v, which is nil, int64, float64, bool, string or []byte that nobody
// else holds, into what dest points to: any type that Tx documents other than
// *any and sql.Scanner.
func Into(dest, v any) error {
	r := reflect.ValueOf(dest)
	if r.Kind() != reflect.Pointer || r.IsNil() {
		return fmt.Errorf("%T is no place to read into", dest)
	}
	r = r.Elem()
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
		if v, ok := whole(v); ok && !r.OverflowInt(v) {
			r.SetInt(v)
			return nil
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if v, ok := whole(v); ok && v >= 0 && !r.OverflowUint(uint64(v)) {
			r.SetUint(uint64(v))
			return nil
		}
	case reflect.Float32, reflect.Float64:
		switch v := v.(type) {
		case float64:
			r.SetFloat(v)
			return nil
		case int64:
			r.SetFloat(float64(v))
			return nil
		}
	case reflect.Bool:
		if v, ok := whole(v); ok {
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

// whole is v as a number; the engines differ in what a comparison gives.
func whole(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}
