package copying

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"kakehashi/store/schema"
)

// A row in the form that digests are made of and that archives hold: for each
// column, in the order of the table, a byte for the kind of its value and the
// value, text and bytes with their length before them. Both engines give the same.
const (
	isNull byte = iota
	isText
	isInt
	isBytes
	isFalse
	isTrue
	isFloat
)

var errRow = errors.New("not a row of this table")

// plain gives v, as either engine reads it, the type that a column of typ has.
func plain(v any, typ schema.Type) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		if typ == schema.Text {
			return v, nil
		}
	case []byte:
		if typ == schema.Bytes {
			return v, nil
		}
	case int64:
		switch typ {
		case schema.Int:
			return v, nil
		case schema.Bool:
			if v == 0 || v == 1 {
				return v == 1, nil
			}
		case schema.Float:
			return float64(v), nil
		}
	case float64:
		if typ == schema.Float {
			return v, nil
		}
	case bool:
		if typ == schema.Bool {
			return v, nil
		}
	}
	return nil, fmt.Errorf("a %T stands where a %s belongs", v, typ)
}

// appendRow puts the form of values behind b.
func appendRow(b []byte, values []any) []byte {
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			b = append(b, isNull)
		case string:
			b = binary.AppendUvarint(append(b, isText), uint64(len(v)))
			b = append(b, v...)
		case []byte:
			b = binary.AppendUvarint(append(b, isBytes), uint64(len(v)))
			b = append(b, v...)
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, isInt), uint64(v))
		case bool:
			if v {
				b = append(b, isTrue)
			} else {
				b = append(b, isFalse)
			}
		case float64:
			b = binary.BigEndian.AppendUint64(append(b, isFloat), math.Float64bits(v))
		}
	}
	return b
}

// readRow gives back the values of n columns. They share no memory with b.
func readRow(b []byte, n int) ([]any, error) {
	values := make([]any, n)
	for i := range values {
		if len(b) == 0 {
			return nil, errRow
		}
		kind := b[0]
		b = b[1:]
		switch kind {
		case isNull:
		case isFalse, isTrue:
			values[i] = kind == isTrue
		case isInt, isFloat:
			if len(b) < 8 {
				return nil, errRow
			}
			bits := binary.BigEndian.Uint64(b)
			b = b[8:]
			if kind == isInt {
				values[i] = int64(bits)
			} else {
				values[i] = math.Float64frombits(bits)
			}
		case isText, isBytes:
			size, used := binary.Uvarint(b)
			if used <= 0 || size > uint64(len(b)-used) {
				return nil, errRow
			}
			v := b[used : used+int(size)]
			b = b[used+int(size):]
			if kind == isText {
				values[i] = string(v)
			} else {
				values[i] = append([]byte{}, v...)
			}
		default:
			return nil, errRow
		}
	}
	if len(b) > 0 {
		return nil, errRow
	}
	return values, nil
}
