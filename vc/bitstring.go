package vc

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// MinBits is the size of the lists that we issue, so that an index reveals
	// little (Bitstring Status List 1.0, section 2.2). Smaller ones are read.
	MinBits = 131072
	// maxBytes is how large a list of others may become when it is inflated.
	maxBytes = 4 << 20
)

// Bitstring holds one bit a credential; bit 0 is the most significant one of the
// first byte.
type Bitstring []byte

// NewBitstring has n bits, at least MinBits, all 0.
func NewBitstring(n int64) Bitstring { return make(Bitstring, (max(n, MinBits)+7)/8) }

// Len is the number of bits.
func (b Bitstring) Len() int64 { return int64(len(b)) * 8 }

// Get gives a bit; ok is false when the list does not reach so far.
func (b Bitstring) Get(i int64) (set, ok bool) {
	if i < 0 || i >= b.Len() {
		return false, false
	}
	return b[i/8]&(0x80>>(i%8)) != 0, true
}

// Set writes a bit of a list that reaches so far.
func (b Bitstring) Set(i int64, to bool) {
	if i < 0 || i >= b.Len() {
		return
	}
	if to {
		b[i/8] |= 0x80 >> (i % 8)
	} else {
		b[i/8] &^= 0x80 >> (i % 8)
	}
}

// encode packs the list: "u" and base64url without padding for a Bitstring Status
// List, plain base64 for StatusList2021.
func (b Bitstring) encode(entryType string) (string, error) {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(b); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	if entryType == StatusList2021 {
		return base64.StdEncoding.EncodeToString(buf.Bytes()), nil
	}
	return "u" + base64.RawURLEncoding.EncodeToString(buf.Bytes()), nil
}

// decodeBits reads either form, whichever type the list is of, as peers mix them.
func decodeBits(text string) (Bitstring, error) {
	packed, err := unpack(text)
	if err != nil {
		return nil, err
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, errors.New("it is not compressed with gzip")
	}
	b, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	switch {
	case len(b) > maxBytes:
		return nil, fmt.Errorf("it is larger than %d bytes once inflated", maxBytes)
	case err != nil:
		return nil, errors.New("it is not compressed with gzip")
	case len(b) == 0:
		return nil, errors.New("it has no bits")
	}
	return b, nil
}

// unpack reads base64 of either alphabet, with or without padding. A leading "u"
// is that of multibase when the rest then begins as gzip does.
func unpack(text string) ([]byte, error) {
	clean := strings.NewReplacer("-", "+", "_", "/", "=", "").Replace(text)
	for _, s := range []string{strings.TrimPrefix(clean, "u"), clean} {
		if b, err := base64.RawStdEncoding.DecodeString(s); err == nil && bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
			return b, nil
		}
	}
	return nil, errors.New("it is neither multibase nor base64 of a gzip file")
}
