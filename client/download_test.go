package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kakehashi/internal/fault"
)

// source serves content with Range, and cuts its first answers after some bytes.
func source(t *testing.T, content []byte, cuts ...int) *httptest.Server {
	t.Helper()
	sum := sha256.Sum256(content)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sum[:8]))
		w.Header().Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
		if len(cuts) > 0 {
			n := cuts[0]
			cuts = cuts[1:]
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			_, _ = w.Write(content[:n])
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	t.Cleanup(srv.Close)
	return srv
}

func TestDownloadGoesOnWhereItBroke(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("kakehashi "), 200_000)
	srv := source(t, content, 600_000)
	out := filepath.Join(t.TempDir(), "deep", "file")
	got, err := Download(t.Context(), srv.Client(), Access{Endpoint: srv.URL}, out, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil || !bytes.Equal(b, content) {
		t.Fatalf("the file differs (%v)", err)
	}
	if got.Resumed == 0 || got.Bytes != int64(len(content)) {
		t.Errorf("got %+v, want a resumed download of %d bytes", got, len(content))
	}
	left, _ := filepath.Glob(out + ".*")
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDownloadThrowsAPartOfAnotherVersionAway(t *testing.T) {
	t.Parallel()
	content := []byte("the new version")
	srv := source(t, content)
	out := filepath.Join(t.TempDir(), "file")
	for name, text := range map[string]string{".part": "old", ".part.etag": `"old"`} {
		if err := os.WriteFile(out+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Download(t.Context(), srv.Client(), Access{Endpoint: srv.URL}, out, nil)
	b, _ := os.ReadFile(out)
	if err != nil || string(b) != string(content) || got.Resumed != 0 {
		t.Fatalf("%q, %+v, %v", b, got, err)
	}
}

func TestDownloadRefusesAWrongDigestAndKeepsNothing(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(make([]byte, 32))+":")
		_, _ = w.Write([]byte("tampered"))
	}))
	defer srv.Close()
	out := filepath.Join(t.TempDir(), "file")
	_, err := Download(t.Context(), srv.Client(), Access{Endpoint: srv.URL}, out, nil)
	if !errors.Is(err, fault.DigestMismatch) {
		t.Fatalf("got %v", err)
	}
	if left, _ := filepath.Glob(out + "*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDownloadNamesARefusal(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"title":"closed","detail":"the transfer has ended"}`))
	}))
	defer srv.Close()
	_, err := Download(context.Background(), srv.Client(), Access{Endpoint: srv.URL}, filepath.Join(t.TempDir(), "f"), nil)
	if !errors.Is(err, fault.DownloadRefused) || fault.Of(err).What("en") != "the provider answered 403: the transfer has ended" {
		t.Fatalf("got %v", err)
	}
}
