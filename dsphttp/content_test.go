package dsphttp

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"kakehashi/internal/strictjson"
)

func TestWhoAcceptsGzip(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "x-gzip": true, "br": false, "br, gzip": true, "gzip;q=0": false, "gzip; q=0.001": true,
		"*": true, "*;q=0": false, "*, gzip;q=0": false, "gzip;q=x": false, "identity;q=1, gzip;Q=0.5": true, "gzippy": false,
	} {
		if got := acceptsGzip([]string{line}); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
	if !acceptsGzip([]string{"br", "gzip"}) {
		t.Error("the second of two headers is not read")
	}
}

// A small answer does not become a large one: reading ends at the limit.
func TestACompressedAnswerIsReadToTheLimitOnly(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	if _, err := io.CopyN(w, zeros{}, 64<<20); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	small, err := compress([]byte(strings.Repeat("x", 1000)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, encoding string
		body           []byte
		limit          int64
		want           int
		err            error
	}{
		{"a bomb", "gzip", bomb.Bytes(), 1 << 20, 0, strictjson.ErrTooLarge},
		{"up to the limit", "gzip", small, 1000, 1000, nil},
		{"one above", "x-gzip", small, 999, 0, strictjson.ErrTooLarge},
		{"not compressed", "", []byte("abc"), 3, 3, nil},
		{"cut off", "gzip", small[:len(small)-4], 1000, 0, io.ErrUnexpectedEOF},
		{"no gzip at all", "gzip", []byte("abcdefghijklm"), 1000, 0, gzip.ErrHeader},
	} {
		resp := &http.Response{StatusCode: 200, Header: http.Header{"Content-Encoding": {c.encoding}}, Body: io.NopCloser(bytes.NewReader(c.body))}
		b, err := readBody(resp, c.limit)
		if len(b) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %d bytes, %v", c.name, len(b), err)
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
