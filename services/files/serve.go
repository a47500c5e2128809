package files

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"kakehashi/dataplane"
	"kakehashi/internal/fault"
	"kakehashi/store"
)

// serve hands out the dataset's file as it was published: GET and HEAD on the
// grant's base, ranges (RFC 9110 section 14), Repr-Digest (RFC 9530).
func (s *service) serve(w http.ResponseWriter, r *http.Request, session *dataplane.Session) {
	if r.URL.Path != "/" {
		dataplane.Refuse(w, r, fault.NotFound.At("", "what", r.URL.Path))
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		dataplane.Refuse(w, r, fault.MethodNotAllowed.At("", "method", r.Method, "allow", "GET, HEAD"))
		return
	}
	src, f, info, err := s.open(r, session)
	if err != nil {
		if fault.Of(err).Kind.Status >= 500 {
			s.Log.Error("a published file could not be read", "participant", session.Participant, "process_id", session.Transfer, "err", err)
		}
		dataplane.Refuse(w, r, err)
		return
	}
	defer f.Close()
	session.Payload(src.digest)
	h := w.Header()
	h.Set("ETag", `"`+src.digest+`"`)
	if sum, err := hex.DecodeString(strings.TrimPrefix(src.digest, "sha256:")); err == nil {
		h.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum)+":")
	}
	h.Set("Content-Type", contentType(src.path))
	h.Set("Content-Disposition", disposition(filepath.Base(src.path)))
	h.Set("Cache-Control", "private, no-store, no-transform")
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", info.ModTime(), f)
}

// open gives the file, if it is still the one that was published.
func (s *service) open(r *http.Request, session *dataplane.Session) (source, *os.File, fs.FileInfo, error) {
	src, err := s.source(r.Context(), session.Participant, session.Dataset)
	if errors.Is(err, store.ErrNotFound) {
		return src, nil, nil, fault.SourceGone.At("", "dataset", session.Dataset)
	} else if err != nil {
		return src, nil, nil, err
	}
	root := within(s.resolved(), src.path)
	if root == "" { // its folder is gone, or is no longer in the settings
		return src, nil, nil, fault.SourceGone.At("", "dataset", session.Dataset)
	}
	f, info, err := openIn(root, src.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return src, nil, nil, fault.SourceGone.At("", "dataset", session.Dataset).Because(err)
	case errors.Is(err, errNotRegular):
		return src, nil, nil, fault.SourceChanged.At("", "dataset", session.Dataset).Because(err)
	case err != nil:
		return src, nil, nil, fault.SourceUnreadable.At("", "dataset", session.Dataset).Because(fmt.Errorf("open %s: %w", src.path, err))
	}
	if info.Size() != src.size || info.ModTime().UnixMicro() != src.mtime {
		_ = f.Close()
		return src, nil, nil, fault.SourceChanged.At("", "dataset", session.Dataset)
	}
	return src, f, info, nil
}

// types are those of the files that are shared most; the machine's own table,
// which differs from one to the next, comes after them.
var types = map[string]string{
	".csv": "text/csv; charset=utf-8", ".tsv": "text/tab-separated-values; charset=utf-8", ".txt": "text/plain; charset=utf-8",
	".json": "application/json", ".jsonld": "application/ld+json", ".geojson": "application/geo+json", ".ndjson": "application/x-ndjson",
	".parquet": "application/vnd.apache.parquet", ".zip": "application/zip", ".gz": "application/gzip", ".pdf": "application/pdf",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".xml": "application/xml",
}

func contentType(path string) string {
	ext := strings.ToLower(filepath.Ext(path))
	if t := types[ext]; t != "" {
		return t
	}
	if t := mime.TypeByExtension(ext); t != "" {
		return t
	}
	return "application/octet-stream"
}

// disposition names the file for saving (RFC 6266): plain ASCII for old clients
// and the exact name as RFC 8187 writes it.
func disposition(name string) string {
	plain := strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' || r == '%' || r == '/' {
			return '_'
		}
		return r
	}, name)
	d := `attachment; filename="` + plain + `"`
	if plain != name {
		d += "; filename*=UTF-8''" + strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
	}
	return d
}
