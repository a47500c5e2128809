package files

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"kakehashi/catalog"
	"kakehashi/client"
	"kakehashi/dataplane"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/policy"
	"kakehashi/services"
	"kakehashi/store"
	"kakehashi/store/storetest"
)

const tokyo = participant.ID("tokyo")

// permits is a gate that always opens: policy has its own tests.
type permits struct{}

func (permits) Access(context.Context, participant.ID, string, time.Time) (time.Time, error) {
	return time.Time{}, nil
}

type rig struct {
	t      testing.TB
	db     store.DB
	log    *evidence.Log
	cat    *catalog.Room
	svc    *service
	plane  *dataplane.Plane
	server *httptest.Server // the data plane
	api    *httptest.Server
	root   string
}

func newRig(t testing.TB) *rig {
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	r := &rig{t: t, root: t.TempDir()}
	quiet := slog.New(slog.DiscardHandler)
	r.db = storetest.Open(t, participant.Schema, evidence.Schema, catalog.Schema, dataplane.Schema, Schema)
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { r.plane.Handler().ServeHTTP(w, q) }))
	r.server.Config.ConnContext = dataplane.ConnContext
	r.server.Start()
	vault, err := participant.NewVault(bytes.Repeat([]byte{7}, 32), rand.Reader)
	check(err)
	hosts, err := participant.Open(t.Context(), participant.Config{DB: r.db, Vault: vault, Now: time.Now, Rand: rand.Reader})
	check(err)
	check(hosts.Create(t.Context(), participant.Participant{ID: tokyo, DID: "did:web:tokyo.example", Base: "https://tokyo.example/dsp/tokyo/2025-1",
		Origin: "tokyo.example", DataURL: r.server.URL, Created: time.Now()}))
	r.log, err = evidence.Open(t.Context(), evidence.Config{DB: r.db, Participants: hosts.All, Keys: hosts, Vault: vault, Now: time.Now, Rand: rand.Reader, Log: quiet})
	check(err)
	r.cat = catalog.Open(catalog.Config{DB: r.db, Policy: policy.New(policy.Config{Now: time.Now}), Evidence: r.log, Now: time.Now})
	host := services.Host{
		DB: r.db, Catalog: r.cat, Evidence: r.log, Now: time.Now, Log: quiet, Settings: Settings{Roots: []string{r.root}},
		Caller: func(context.Context) (participant.ID, error) { return tokyo, nil },
	}
	svc, err := Kind.New(host)
	check(err)
	r.svc = &service{Host: host, roots: []string{r.root}}
	r.plane, err = dataplane.New(t.Context(), dataplane.Config{DB: r.db, Gate: permits{}, Evidence: r.log, Participants: hosts.Get, Log: quiet, Formats: svc.Formats})
	check(err)
	mux := http.NewServeMux()
	svc.Routes(humago.New(mux, huma.DefaultConfig("test", "1")))
	r.api = httptest.NewServer(mux)
	t.Cleanup(func() {
		ctx, done := context.WithTimeout(context.Background(), 10*time.Second)
		defer done()
		if err := r.plane.Close(ctx); err != nil {
			t.Error(err)
		}
		r.server.Close()
		r.api.Close()
	})
	return r
}

const terms = `{"permission":[{"action":"use","constraint":[{"leftOperand":"purpose","operator":"isPartOf","rightOperand":"https://example.org/Research"}]}]}`

func (r *rig) write(name, content string) string {
	r.t.Helper()
	path := filepath.Join(r.root, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

func (r *rig) try(path, id, rules string) (client.Dataset, error) {
	var policy any
	if err := json.Unmarshal([]byte(rules), &policy); err != nil {
		r.t.Fatal(err)
	}
	return r.svc.publish(r.t.Context(), tokyo, client.PublishFile{Path: path, Title: "A table", ID: id, Policy: policy})
}

func (r *rig) publish(path, id string) client.Dataset {
	r.t.Helper()
	d, err := r.try(path, id, terms)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

func (r *rig) open(dataset string) (a dataplane.Access) {
	r.t.Helper()
	err := r.db.Update(context.Background(), func(tx store.Tx) (err error) {
		a, err = r.plane.Open(tx, dataplane.Grant{Participant: tokyo, Transfer: "urn:t", Agreement: "urn:a", Counterparty: "did:web:b",
			Dataset: dataset, Service: "files", Format: "HttpData-PULL"})
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func (r *rig) do(method string, a dataplane.Access, header ...string) (*http.Response, string) {
	r.t.Helper()
	q, err := http.NewRequest(method, a.Address, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+a.Token)
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res, string(b)
}

func TestAFileIsPublishedOverTheAPIAndFetchedWhole(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	content := "week,cases\n1,12\n"
	path := r.write("疫学 2026 %.csv", content)
	body, _ := json.Marshal(map[string]any{"path": path, "title": "Cases", "policy": json.RawMessage(terms)})
	res, err := http.Post(r.api.URL+"/files/datasets", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var d client.Dataset
	if err := json.NewDecoder(res.Body).Decode(&d); err != nil || res.StatusCode != 201 || d.Version != 1 || len(d.Offers) != 1 {
		t.Fatal(res.StatusCode, d, err)
	}
	kept, err := r.cat.Dataset(t.Context(), tokyo, d.ID)
	if err != nil || kept.Service != "files" || kept.Formats[0] != "HttpData-PULL" {
		t.Fatal(kept, err)
	}

	got, text := r.do("GET", r.open(d.ID))
	sum := sha256.Sum256([]byte(content))
	for name, want := range map[string]string{
		"ETag":                   `"sha256:` + hex.EncodeToString(sum[:]) + `"`,
		"Repr-Digest":            "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":",
		"Content-Type":           "text/csv; charset=utf-8",
		"Content-Disposition":    `attachment; filename="__ 2026 _.csv"; filename*=UTF-8''%E7%96%AB%E5%AD%A6%202026%20%25.csv`,
		"X-Content-Type-Options": "nosniff",
		"Accept-Ranges":          "bytes",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s: %s, want %s", name, got.Header.Get(name), want)
		}
	}
	if got.StatusCode != 200 || text != content {
		t.Errorf("got %d %q", got.StatusCode, text)
	}
	history, err := r.log.History(t.Context(), tokyo, d.ID)
	if err != nil || len(history) != 2 {
		t.Fatal(history, err)
	}
	var digests []string
	for _, e := range history {
		digests = append(digests, e.Hashes["payload"])
	}
	if !strings.Contains(strings.Join(digests, " "), "sha256:"+hex.EncodeToString(sum[:])) {
		t.Error("no leaf names the file's digest")
	}
}

func TestRangesAndConditions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.open(r.publish(r.write("a.txt", "0123456789"), "").ID)
	first, _ := r.do("HEAD", a)
	etag := first.Header.Get("ETag")
	for _, c := range []struct {
		name, method string
		header       []string
		status       int
		body         string
	}{
		{"whole", "GET", nil, 200, "0123456789"},
		{"head", "HEAD", nil, 200, ""},
		{"middle", "GET", []string{"Range", "bytes=2-4"}, 206, "234"},
		{"rest", "GET", []string{"Range", "bytes=7-"}, 206, "789"},
		{"last", "GET", []string{"Range", "bytes=-2"}, 206, "89"},
		{"the same version", "GET", []string{"Range", "bytes=7-", "If-Range", etag}, 206, "789"},
		{"another version", "GET", []string{"Range", "bytes=7-", "If-Range", `"sha256:00"`}, 200, "0123456789"},
		{"known already", "GET", []string{"If-None-Match", etag}, 304, ""},
		{"beyond the end", "GET", []string{"Range", "bytes=10-"}, 416, "invalid range: failed to overlap\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, body := r.do(c.method, a, c.header...)
			if res.StatusCode != c.status || body != c.body {
				t.Errorf("got %d %q", res.StatusCode, body)
			}
			if c.status != 304 && res.Header.Get("Repr-Digest") != first.Header.Get("Repr-Digest") {
				t.Error("the digest is not that of the whole")
			}
		})
	}
	if first.ContentLength != 10 {
		t.Error("HEAD tells no length")
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		if res, body := r.do(method, a); res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d %s", method, res.StatusCode, body)
		}
	}
	below := a
	below.Address += "x"
	if res, _ := r.do("GET", below); res.StatusCode != 404 {
		t.Errorf("below the base: %d", res.StatusCode)
	}
}

func TestAFileThatIsNotWhatWasPublishedIsNotHandedOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	path := r.write("a.txt", "0123456789")
	d := r.publish(path, "urn:table")
	a := r.open(d.ID)
	expect := func(status int, text string) {
		t.Helper()
		if res, body := r.do("GET", a); res.StatusCode != status || !strings.Contains(body, text) {
			t.Fatalf("got %d %s", res.StatusCode, body)
		}
	}
	expect(200, "0123456789")
	r.write("a.txt", "01234567890")
	expect(409, "source-changed")

	again := r.publish(path, "urn:table")
	if again.Version != 2 || again.Offers[0].ID != d.Offers[0].ID {
		t.Errorf("published again: %+v", again)
	}
	expect(200, "01234567890")

	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect(410, "source-gone")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	expect(409, "source-changed")

	// Put in the file's way after it was published: leads nowhere outside.
	secret := filepath.Join(t.TempDir(), "secret")
	if err := errors.Join(os.Remove(path), os.WriteFile(secret, []byte("01234567890"), 0o600), os.Symlink(secret, path)); err != nil {
		t.Fatal(err)
	}
	expect(502, "source-unreadable")
}

func TestNewTermsAreANewOffer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	path := r.write("a.txt", "x")
	d := r.publish(path, "urn:table")
	other, err := r.try(path, "urn:table", `{"permission":[{"action":"use"}]}`)
	if err != nil || other.Offers[0].ID == d.Offers[0].ID {
		t.Errorf("other terms: %+v %v", other, err)
	}
	if _, _, err := r.cat.Offer(t.Context(), tokyo, d.Offers[0].ID); !errors.Is(err, fault.OfferWithdrawn) {
		t.Errorf("the old offer: %v", err)
	}
}

func TestAnUnchangedFileKeepsItsDigest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	path := r.write("a.txt", "before")
	r.publish(path, "urn:a")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	r.write("a.txt", "behind") // as long, and with the old time: nobody reads it again
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	r.publish(path, "urn:b")
	a, err := r.svc.source(t.Context(), tokyo, "urn:a")
	b, err2 := r.svc.source(t.Context(), tokyo, "urn:b")
	if err != nil || err2 != nil || a.digest != b.digest {
		t.Error(a, b, err, err2)
	}
}

func TestWhatCannotBePublishedIsNamed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	outside := filepath.Join(t.TempDir(), "secret.txt")
	link, inner := filepath.Join(r.root, "link.txt"), filepath.Join(r.root, "inner.txt")
	real := r.write("real.txt", "x")
	if err := errors.Join(os.WriteFile(outside, nil, 0o600), os.Symlink(outside, link), os.Symlink(real, inner)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path string
		want       error
	}{
		{"relative", "a.txt", fault.PathRelative},
		{"missing", filepath.Join(r.root, "none.txt"), fault.FileMissing},
		{"outside", outside, fault.FileOutsideRoots},
		{"outside and missing", outside + ".none", fault.FileOutsideRoots},
		{"outside by dots", r.root + "/../x", fault.FileOutsideRoots},
		{"outside by a link", link, fault.FileOutsideRoots},
		{"a folder", r.root, fault.FileIsFolder},
		{"a link inside", inner, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := r.try(c.path, "", terms)
			if !errors.Is(err, c.want) {
				t.Fatal(err)
			}
			if f := fault.Of(err); err != nil && !strings.Contains(f.What("ja"), c.path) && !strings.Contains(f.What("ja"), filepath.Clean(c.path)) {
				t.Errorf("%q does not name the file", f.What("ja"))
			}
		})
	}
	err := r.db.Update(t.Context(), func(tx store.Tx) error {
		_, err := r.cat.Publish(tx, tokyo, catalog.Dataset{ID: "urn:city", Title: "x", Service: "city", Formats: []string{"NGSI-PULL"},
			Offers: []catalog.Offer{{Policy: []byte(terms)}}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.try(real, "urn:city", terms); !errors.Is(err, fault.DatasetTaken) {
		t.Errorf("another service's id: %v", err)
	}
}

func TestAFileThatShrinksWhileItIsReadIsReset(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	path := filepath.Join(r.root, "big.bin")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(256 << 20); err != nil {
		t.Fatal(err)
	}
	a := r.open(r.publish(path, "").ID)
	q, _ := http.NewRequest("GET", a.Address, nil)
	q.Header.Set("Authorization", a.Token)
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.CopyN(io.Discard, res.Body, 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(2 << 20); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Errorf("%d bytes ended cleanly", n)
	}
}

func BenchmarkGet64MiB(b *testing.B) {
	r := newRig(b)
	path := filepath.Join(r.root, "big.bin")
	if err := os.WriteFile(path, make([]byte, 64<<20), 0o600); err != nil {
		b.Fatal(err)
	}
	benchmark(b, r.open(r.publish(path, "").ID), 64<<20)
}

func BenchmarkGet10Bytes(b *testing.B) {
	r := newRig(b)
	benchmark(b, r.open(r.publish(r.write("a.txt", "0123456789"), "").ID), 10)
}

func benchmark(b *testing.B, a dataplane.Access, size int64) {
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		q, _ := http.NewRequest("GET", a.Address, nil)
		q.Header.Set("Authorization", a.Token)
		res, err := http.DefaultClient.Do(q)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); n != size {
			b.Fatal(n, err)
		}
		_ = res.Body.Close()
	}
}
