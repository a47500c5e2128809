package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"kakehashi/internal/strictjson"
)

// TimeLayout is how a leaf writes its time: UTC, milliseconds.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// Leaf is one event as the log holds it. Later versions of the program add
// members; a reader passes over those it does not know.
type Leaf struct {
	V            int               `json:"v"`
	Type         string            `json:"type"`
	ID           string            `json:"id"`
	Time         string            `json:"time"`
	Tenant       string            `json:"tenant"`
	Actor        string            `json:"actor,omitempty"`
	Counterparty string            `json:"counterparty,omitempty"`
	Correlation  map[string]string `json:"correlation,omitempty"`
	Direction    string            `json:"direction,omitempty"`
	Process      string            `json:"process,omitempty"`
	Version      int64             `json:"version,omitempty"`
	Hashes       map[string]string `json:"hashes,omitempty"`
	Facts        map[string]string `json:"facts,omitempty"`
}

// At is the leaf's time.
func (l Leaf) At() (time.Time, error) { return time.Parse(TimeLayout, l.Time) }

// ParseLeaf reads the exact bytes of a leaf. They must be canonical (RFC 8785),
// at most MaxLeaf long and carry version 1, type, id, time and tenant.
func ParseLeaf(b []byte) (Leaf, error) {
	var l Leaf
	if len(b) > MaxLeaf {
		return l, fmt.Errorf("longer than %d bytes", MaxLeaf)
	}
	if err := strictjson.DecodeOpen(b, &l); err != nil {
		return l, err
	}
	c := strictjson.Raw(bytes.Clone(b))
	if err := c.Canonicalize(); err != nil {
		return l, err
	}
	switch {
	case !bytes.Equal(c, b):
		return l, errors.New("not canonical JSON (RFC 8785)")
	case l.V != 1:
		return l, fmt.Errorf("format version %d is not known", l.V)
	case l.Type == "" || l.ID == "" || l.Tenant == "":
		return l, errors.New("type, id or tenant is missing")
	case l.Direction != "" && l.Direction != "in" && l.Direction != "out":
		return l, errors.New("direction is neither in nor out")
	}
	if _, err := l.At(); err != nil {
		return l, errors.New("time is not UTC with milliseconds")
	}
	return l, nil
}
