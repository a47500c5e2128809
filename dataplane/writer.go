package dataplane

import (
	"io"
	"net/http"
	"strconv"
	"sync"
)

const (
	// chunk is what one call may hand to the kernel before the cut and the window
	// are looked at again.
	chunk = 4 << 20
	// buffer is used where the kernel cannot copy by itself (TLS, HTTP/2).
	buffer = 256 << 10
)

var buffers = sync.Pool{New: func() any { b := make([]byte, buffer); return &b }}

// writer counts a response's body and lets no byte go without a window. It keeps
// io.ReaderFrom, so that a file on a plain connection goes by sendfile.
type writer struct {
	http.ResponseWriter
	s         *Session
	head      bool  // HEAD: nothing of the body leaves
	direct    bool  // the connection copies from a file by itself
	status    int   // 0 until the header is written
	announced int64 // Content-Length, -1 for none
	written   int64
	err       error // why writing stopped; a response with it is not ended cleanly
}

func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status, w.announced = status, -1
		if n, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64); err == nil {
			w.announced = n
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Flush() {
	// An error shows at the next write.
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *writer) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.head {
		return w.ResponseWriter.Write(b)
	}
	total := 0
	for len(b) > 0 {
		n, err := w.some(int64(min(len(b), chunk)), func(n int64) (int64, error) {
			m, err := w.ResponseWriter.Write(b[:n])
			return int64(m), err
		})
		total += int(n)
		b = b[n:]
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// ReadFrom copies src in chunks, each by the kernel where it can.
func (w *writer) ReadFrom(src io.Reader) (total int64, err error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.head {
		return io.Copy(io.Discard, src)
	}
	direct, ok := w.ResponseWriter.(io.ReaderFrom)
	if !ok || !w.direct {
		b := buffers.Get().(*[]byte)
		defer buffers.Put(b)
		return io.CopyBuffer(onlyWriter{w}, onlyReader{src}, *b)
	}
	// One LimitedReader only: sendfile does not look through two.
	limit := int64(-1)
	outer, limited := src.(*io.LimitedReader)
	if limited {
		src, limit = outer.R, outer.N
	}
	for limit != 0 {
		want := int64(chunk)
		if limit > 0 {
			want = min(want, limit)
		}
		asked := int64(0)
		n, err := w.some(want, func(n int64) (int64, error) {
			asked = n
			return direct.ReadFrom(&io.LimitedReader{R: src, N: n})
		})
		total += n
		if limit > 0 {
			limit -= n
		}
		if limited {
			outer.N -= n
		}
		if err != nil {
			return total, err
		}
		if n < asked {
			return total, nil // src is at its end
		}
	}
	return total, nil
}

// some reserves up to want bytes, has copy hand them over, and counts.
func (w *writer) some(want int64, copy func(int64) (int64, error)) (int64, error) {
	if w.err != nil {
		return 0, w.err
	}
	win, n, err := w.s.plane.take(w.s, want)
	if err != nil {
		w.err = err
		return 0, err
	}
	m, err := copy(n)
	w.s.plane.give(win, n, m)
	w.written += m
	if err != nil {
		w.err = err
	}
	return m, err
}

// whole tells whether all of the announced body was handed over.
func (w *writer) whole() bool {
	return w.err == nil && (w.head || w.announced < 0 || !hasBody(w.status) || w.written == w.announced)
}

func hasBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

type onlyWriter struct{ io.Writer }
type onlyReader struct{ io.Reader }
