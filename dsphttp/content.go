package dsphttp

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"sync"

	dsp "kakehashi/dsp/dsp2025"
	"kakehashi/internal/etag"
	"kakehashi/internal/strictjson"
)

// compressFrom is the size in bytes from which an answer is compressed for those
// who accept it.
const compressFrom = 1 << 10

var compressors = sync.Pool{New: func() any {
	w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is a valid one
	return w
}}

// writeTagged answers with m, its strong ETag and, where the caller accepts it,
// compressed; with 304 where the caller holds just this already. The compressed
// form has a tag of its own, since it is other bytes.
func (s *Server) writeTagged(c *call, m dsp.Message) {
	b, err := dsp.Marshal(m)
	if err != nil {
		c.fail(s, err)
		return
	}
	sum := sha256.Sum256(b)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:18])
	zip := len(b) >= compressFrom && acceptsGzip(c.r.Header.Values("Accept-Encoding"))
	if zip {
		tag += "-gzip"
	}
	tag += `"`
	h := c.w.Header()
	h.Set("ETag", tag)
	h.Set("Vary", "Accept-Encoding, Authorization")
	h.Set("Cache-Control", "private, no-cache")
	if etag.Holds(c.r.Header.Values("If-None-Match"), tag) {
		c.answer(s, http.StatusNotModified, nil)
		return
	}
	if zip {
		if b, err = compress(b); err != nil {
			c.fail(s, err)
			return
		}
		h.Set("Content-Encoding", "gzip")
	}
	c.answer(s, http.StatusOK, b)
}

func compress(b []byte) ([]byte, error) {
	var buf bytes.Buffer
	w, _ := compressors.Get().(*gzip.Writer)
	defer compressors.Put(w)
	w.Reset(&buf)
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	err := w.Close()
	return buf.Bytes(), err
}

// acceptsGzip reads Accept-Encoding (RFC 9110, 12.5.3): gzip or * with a weight
// above nothing.
func acceptsGzip(lines []string) bool {
	any := false
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			name, params, _ := strings.Cut(item, ";")
			weight := 1.0
			for param := range strings.SplitSeq(params, ";") {
				if k, v, ok := strings.Cut(param, "="); ok && strings.EqualFold(strings.TrimSpace(k), "q") {
					var err error
					if weight, err = strconv.ParseFloat(strings.TrimSpace(v), 64); err != nil {
						weight = 0
					}
				}
			}
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "gzip", "x-gzip":
				return weight > 0
			case "*":
				any = weight > 0
			}
		}
	}
	return any
}

// readBody reads an answer of at most limit bytes, compressed or not: the limit
// is on what comes out, so that a small answer cannot become a large one.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	switch strings.ToLower(resp.Header.Get("Content-Encoding")) {
	case "gzip", "x-gzip":
		if resp.StatusCode == http.StatusNotModified {
			return nil, nil
		}
		r, err := gzip.NewReader(resp.Body)
		if err != nil {
			return nil, err
		}
		return strictjson.Read(r, limit)
	}
	return strictjson.Read(resp.Body, limit)
}
