package client

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"kakehashi/internal/fault"
)

// Downloaded is what lies in the file.
type Downloaded struct {
	Bytes   int64
	Digest  string // sha256:<hex>
	Resumed int64  // bytes that an earlier try had brought
}

// tries is how often a broken download goes on before it is given up.
const tries = 5

// buffer is the size of one copy step.
const buffer = 256 << 10

// Download fetches what access opens into out, with a plain GET. What arrives
// lies in out.part until it is whole and its digest is what the provider
// announced (Repr-Digest, RFC 9530); then it takes the name out. A download that
// breaks off goes on with Range and If-Range; a part of another version is
// thrown away.
func Download(ctx context.Context, h *http.Client, access Access, out string, progress func(done, total int64)) (Downloaded, error) {
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return Downloaded{}, fault.CannotWrite.At(out, "file", out, "reason", reason(err)).Because(err)
	}
	d := &download{h: h, access: access, out: out, part: out + ".part", tag: out + ".part.etag", progress: progress}
	var err error
	for try := range tries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return Downloaded{}, context.Cause(ctx)
			case <-time.After(time.Duration(try) * 200 * time.Millisecond):
			}
		}
		var again bool
		if again, err = d.once(ctx); err == nil || !again || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return Downloaded{}, err
	}
	return d.finish()
}

type download struct {
	h        *http.Client
	access   Access
	out      string
	part     string // what has arrived
	tag      string // the entity tag that the part belongs to
	progress func(done, total int64)

	sum     hash.Hash
	have    int64
	resumed int64
	want    string // announced digest, "" if none
}

// once makes one request and takes all that comes; again says that another
// request can help.
func (d *download) once(ctx context.Context) (again bool, err error) {
	f, err := os.OpenFile(d.part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return false, fault.CannotWrite.At(d.part, "file", d.part, "reason", reason(err)).Because(err)
	}
	defer f.Close()
	etag, _ := os.ReadFile(d.tag)
	if err := d.rehash(f, len(etag) > 0); err != nil {
		return false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.access.Endpoint, nil)
	if err != nil {
		return false, err
	}
	req.Header.Set("Authorization", d.access.Authorization)
	req.Header.Set("Accept-Encoding", "identity")
	if d.have > 0 {
		req.Header.Set("Range", "bytes="+itoa(d.have)+"-")
		req.Header.Set("If-Range", string(etag))
	}
	resp, err := d.h.Do(req)
	if err != nil {
		return true, fault.DownloadBroken.At(d.access.Endpoint, "address", d.access.Endpoint, "bytes", d.have).Because(err)
	}
	defer resp.Body.Close()
	total := int64(-1)
	switch resp.StatusCode {
	case http.StatusOK:
		if d.have > 0 { // another version, or no ranges there
			if err := d.restart(f); err != nil {
				return false, err
			}
		}
		total = resp.ContentLength
	case http.StatusPartialContent:
		start, all, ok := contentRange(resp.Header.Get("Content-Range"))
		if !ok || start != d.have {
			return false, fault.DownloadRefused.At(d.access.Endpoint, "status", resp.StatusCode, "reason", "Content-Range "+resp.Header.Get("Content-Range"))
		}
		d.resumed, total = d.have, all
	case http.StatusRequestedRangeNotSatisfiable:
		if _, all, ok := contentRange(resp.Header.Get("Content-Range")); ok && all == d.have {
			d.announce(resp)
			d.resumed = d.have
			return false, nil
		}
		return true, d.restart(f)
	default:
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return resp.StatusCode >= 500, fault.DownloadRefused.At(d.access.Endpoint, "status", resp.StatusCode, "reason", problem(b))
	}
	d.announce(resp)
	if tag := resp.Header.Get("ETag"); tag != "" && !strings.HasPrefix(tag, "W/") {
		if err := os.WriteFile(d.tag, []byte(tag), 0o644); err != nil {
			return false, fault.CannotWrite.At(d.tag, "file", d.tag, "reason", reason(err)).Because(err)
		}
	}
	return d.take(f, resp.Body, total)
}

// rehash brings the running digest to what the part holds.
func (d *download) rehash(f *os.File, tagged bool) error {
	d.sum, d.have = sha256.New(), 0
	if !tagged {
		return d.restart(f)
	}
	n, err := io.CopyBuffer(d.sum, f, make([]byte, buffer))
	d.have = n
	return err
}

func (d *download) restart(f *os.File) error {
	d.sum, d.have, d.resumed = sha256.New(), 0, 0
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.Seek(0, io.SeekStart)
	return err
}

func (d *download) announce(resp *http.Response) {
	for _, item := range strings.Split(resp.Header.Get("Repr-Digest"), ",") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(item), "sha-256=:"); ok {
			if b, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(v, ":")); err == nil && len(b) == sha256.Size {
				d.want = "sha256:" + hex.EncodeToString(b)
			}
		}
	}
}

func (d *download) take(f *os.File, body io.Reader, total int64) (again bool, err error) {
	buf := make([]byte, buffer)
	for {
		n, rerr := body.Read(buf)
		if n > 0 {
			if _, err := f.Write(buf[:n]); err != nil {
				return false, fault.CannotWrite.At(d.part, "file", d.part, "reason", reason(err)).Because(err)
			}
			d.sum.Write(buf[:n])
			d.have += int64(n)
			if d.progress != nil {
				d.progress(d.have, total)
			}
		}
		if rerr == io.EOF {
			break
		}
		if rerr != nil {
			return true, fault.DownloadBroken.At(d.access.Endpoint, "address", d.access.Endpoint, "bytes", d.have).Because(rerr)
		}
	}
	if total >= 0 && d.have != total {
		return true, fault.DownloadBroken.At(d.access.Endpoint, "address", d.access.Endpoint, "bytes", d.have)
	}
	if err := f.Sync(); err != nil {
		return false, fault.CannotWrite.At(d.part, "file", d.part, "reason", reason(err)).Because(err)
	}
	return false, nil
}

// finish gives the part its name if its digest is the announced one.
func (d *download) finish() (Downloaded, error) {
	got := Downloaded{Bytes: d.have, Digest: "sha256:" + hex.EncodeToString(d.sum.Sum(nil)), Resumed: d.resumed}
	if d.want != "" && got.Digest != d.want {
		err := errors.Join(os.Remove(d.part), os.Remove(d.tag))
		return got, fault.DigestMismatch.At(d.out, "got", got.Digest, "want", d.want).Because(err)
	}
	if err := os.Rename(d.part, d.out); err != nil {
		return got, fault.CannotWrite.At(d.out, "file", d.out, "reason", reason(err)).Because(err)
	}
	if err := os.Remove(d.tag); err != nil && !errors.Is(err, os.ErrNotExist) {
		return got, err
	}
	return got, nil
}

// contentRange reads "bytes 5-9/10" and "bytes */10".
func contentRange(s string) (start, total int64, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes ")
	if !ok {
		return 0, 0, false
	}
	span, all, ok := strings.Cut(s, "/")
	if !ok {
		return 0, 0, false
	}
	total, err := strconv.ParseInt(all, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	if span == "*" {
		return -1, total, true
	}
	first, _, _ := strings.Cut(span, "-")
	start, err = strconv.ParseInt(first, 10, 64)
	return start, total, err == nil
}

// problem is the text of an error body (RFC 9457), else its beginning.
func problem(b []byte) string {
	var p Problem
	if decodeProblem(b, &p) == nil && p.Detail+p.Title != "" {
		if p.Detail != "" {
			return p.Detail
		}
		return p.Title
	}
	return fmt.Sprintf("%.200q", b)
}

func reason(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
