package postgres

import (
	"database/sql"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"strconv"

	"kakehashi/store/value"
)

// Types as the server numbers them.
const (
	typeBool    = 16
	typeBytes   = 17
	typeName    = 19
	typeInt8    = 20
	typeInt2    = 21
	typeInt4    = 23
	typeText    = 25
	typeFloat4  = 700
	typeFloat8  = 701
	typeUnknown = 705
	typeChar    = 1042
	typeVarchar = 1043
	typeNumeric = 1700
	typeVoid    = 2278
)

// format is 1 for types that travel in binary.
func format(oid uint32) int16 {
	switch oid {
	case typeBool, typeBytes, typeInt8, typeInt2, typeInt4, typeFloat4, typeFloat8:
		return 1
	}
	return 0
}

// argument appends one argument of a statement that wants the type oid.
func (c *conn) argument(oid uint32, a any) error {
	plain, err := value.Plain(a)
	if err != nil {
		return err
	}
	switch v := plain.(type) {
	case nil:
		c.null()
		return nil
	case string:
		if err := value.Text(v); err != nil {
			return err
		}
		switch oid {
		case typeText, typeVarchar, typeChar, typeName, typeUnknown, typeBytes:
			c.length(len(v))
			c.out = append(c.out, v...)
			return nil
		}
	case []byte:
		if v == nil {
			c.null()
			return nil
		}
		if oid == typeBytes {
			c.length(len(v))
			c.out = append(c.out, v...)
			return nil
		}
	case int64:
		return c.number(oid, v, a)
	case int:
		return c.number(oid, int64(v), a)
	case bool:
		if oid == typeBool {
			c.length(1)
			if v {
				c.out = append(c.out, 1)
			} else {
				c.out = append(c.out, 0)
			}
			return nil
		}
	case float64:
		switch oid {
		case typeFloat8:
			c.length(8)
			c.out = binary.BigEndian.AppendUint64(c.out, math.Float64bits(v))
			return nil
		case typeFloat4:
			c.length(4)
			c.out = binary.BigEndian.AppendUint32(c.out, math.Float32bits(float32(v)))
			return nil
		case typeNumeric:
			c.written(strconv.FormatFloat(v, 'g', -1, 64))
			return nil
		}
	}
	return mismatch(oid, a)
}

func (c *conn) number(oid uint32, v int64, a any) error {
	switch {
	case oid == typeInt8:
		c.length(8)
		c.out = binary.BigEndian.AppendUint64(c.out, uint64(v))
	case oid == typeInt4 && v == int64(int32(v)):
		c.length(4)
		c.out = binary.BigEndian.AppendUint32(c.out, uint32(v))
	case oid == typeInt2 && v == int64(int16(v)):
		c.length(2)
		c.out = binary.BigEndian.AppendUint16(c.out, uint16(v))
	case oid == typeFloat8:
		c.length(8)
		c.out = binary.BigEndian.AppendUint64(c.out, math.Float64bits(float64(v)))
	case oid == typeFloat4:
		c.length(4)
		c.out = binary.BigEndian.AppendUint32(c.out, math.Float32bits(float32(v)))
	case oid == typeNumeric:
		c.written(strconv.FormatInt(v, 10))
	default:
		return mismatch(oid, a)
	}
	return nil
}

func mismatch(oid uint32, a any) error {
	return fmt.Errorf("a %T where the statement wants the type %d of PostgreSQL", a, oid)
}

func (c *conn) null() { c.out = append(c.out, 0xff, 0xff, 0xff, 0xff) }

func (c *conn) length(n int) { c.out = binary.BigEndian.AppendUint32(c.out, uint32(n)) }

func (c *conn) written(s string) {
	c.length(len(s))
	c.out = append(c.out, s...)
}

// scan reads one row's values.
func (s *shape) scan(row [][]byte, dest []any) error {
	if len(dest) != len(s.cols) || len(row) != len(s.cols) {
		return fmt.Errorf("store: %d destinations for %d columns", len(dest), len(s.cols))
	}
	for i, d := range dest {
		if err := column(s.cols[i], row[i], d); err != nil {
			return fmt.Errorf("store: column %d: %w", i+1, err)
		}
	}
	return nil
}

// column reads one value. raw is nil for NULL.
func column(oid uint32, raw []byte, dest any) error {
	switch d := dest.(type) {
	case *string:
		if raw != nil && (oid == typeText || oid == typeVarchar || oid == typeBytes) {
			*d = string(raw)
			return nil
		}
	case *[]byte:
		switch {
		case raw == nil:
			*d = nil
			return nil
		case oid == typeBytes || oid == typeText || oid == typeVarchar:
			*d = append([]byte{}, raw...)
			return nil
		}
	case *int64:
		if oid == typeInt8 && len(raw) == 8 {
			*d = int64(binary.BigEndian.Uint64(raw))
			return nil
		}
	case *int:
		if oid == typeInt8 && len(raw) == 8 {
			*d = int(int64(binary.BigEndian.Uint64(raw)))
			return nil
		}
	case *bool:
		if oid == typeBool && len(raw) == 1 {
			*d = raw[0] != 0
			return nil
		}
	case *any:
		v, err := decode(oid, raw)
		*d = v
		return err
	case sql.Scanner:
		v, err := decode(oid, raw)
		if err != nil {
			return err
		}
		return d.Scan(v)
	}
	if r := reflect.ValueOf(dest); r.Kind() == reflect.Pointer && !r.IsNil() && r.Elem().Kind() == reflect.Pointer {
		if raw == nil {
			r.Elem().SetZero()
			return nil
		}
		fresh := reflect.New(r.Elem().Type().Elem())
		if err := column(oid, raw, fresh.Interface()); err != nil {
			return err
		}
		r.Elem().Set(fresh)
		return nil
	}
	v, err := decode(oid, raw)
	if err != nil {
		return err
	}
	return value.Into(dest, v)
}

// decode gives a value as SQLite would: truth is a number.
func decode(oid uint32, raw []byte) (any, error) {
	if raw == nil {
		return nil, nil
	}
	switch {
	case oid == typeInt8 && len(raw) == 8:
		return int64(binary.BigEndian.Uint64(raw)), nil
	case oid == typeInt4 && len(raw) == 4:
		return int64(int32(binary.BigEndian.Uint32(raw))), nil
	case oid == typeInt2 && len(raw) == 2:
		return int64(int16(binary.BigEndian.Uint16(raw))), nil
	case oid == typeBool && len(raw) == 1:
		return int64(raw[0]), nil
	case oid == typeFloat8 && len(raw) == 8:
		return math.Float64frombits(binary.BigEndian.Uint64(raw)), nil
	case oid == typeFloat4 && len(raw) == 4:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(raw))), nil
	case oid == typeBytes:
		return append([]byte{}, raw...), nil
	case oid == typeNumeric: // SUM of a BIGINT
		if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
			return n, nil
		}
		f, err := strconv.ParseFloat(string(raw), 64)
		return f, err
	case format(oid) == 0:
		return string(raw), nil
	}
	return nil, fmt.Errorf("%d bytes for the type %d of PostgreSQL", len(raw), oid)
}
