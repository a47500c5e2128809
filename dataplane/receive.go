package dataplane

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

	"kakehashi/internal/fault"
	"kakehashi/store"
)

// partOf is the end of the names of bodies that are not whole yet.
const partOf = ".part"

// receive takes the one body of a grant: POST or PUT on its base. It is counted
// in windows of use and hashed on the way; only a whole body gets its name, goes
// on record and is answered with 204. A repeat is fault.AlreadyReceived with the
// digest of what is here as its place.
func (p *Plane) receive(w http.ResponseWriter, r *http.Request, path string, s *Session, conn *connection) {
	moved, err := p.body(r, path, s, conn)
	conn.done()
	switch {
	case err == nil:
		w.Header().Set("Repr-Digest", reprDigest(moved.Digest))
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, os.ErrDeadlineExceeded): // which ends the request's context as well
		w.Header().Set("Connection", "close")
		p.refuse(w, r, err)
	case s.Err() != nil || r.Context().Err() != nil:
		conn.abort()
	default:
		w.Header().Set("Connection", "close") // the rest of its body is not read
		p.refuse(w, r, err)
	}
}

func (p *Plane) body(r *http.Request, path string, s *Session, conn *connection) (Moved, error) {
	if path != "/" {
		return Moved{}, fault.NotFound.At("", "what", path)
	}
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		return Moved{}, fault.MethodNotAllowed.At("", "method", r.Method, "allow", "POST, PUT")
	}
	if r.ContentLength > p.c.MaxReceived {
		return Moved{}, fault.ReceivedTooLarge.At("", "limit", strconv.FormatInt(p.c.MaxReceived, 10))
	}
	free, err := p.claim(s)
	if err != nil {
		return Moved{}, err
	}
	defer free()
	if err := p.begin(s); err != nil {
		return Moved{}, err
	}
	in := &reader{src: r.Body, s: s, conn: conn, most: p.c.MaxReceived, sum: sha256.New()}
	receive := p.receiver(s.Grant)
	file := ""
	if receive == nil {
		file = filepath.Join(p.c.Folder, s.ID)
		receive = func(context.Context, *Session, http.Header, io.Reader) error { return p.toFile(file, r.Header, in) }
	}
	if err := receive(s, s, r.Header, in); err != nil {
		return Moved{}, err
	}
	if !in.whole {
		if _, err := io.Copy(io.Discard, in); err != nil { // what is on record is the whole
			return Moved{}, err
		}
	}
	moved := Moved{Bytes: in.n, Digest: in.digest(), File: file}
	if err := p.keep(s, moved); err != nil {
		// A replica that was faster has put its body under the same name where the
		// folder is shared: that one stays.
		if file != "" && !errors.Is(err, fault.AlreadyReceived) {
			err = errors.Join(err, os.Remove(file))
		}
		return Moved{}, err
	}
	return moved, nil
}

// claim lets one body of a grant in at a time, and none after a whole one.
func (p *Plane) claim(s *Session) (free func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.live.received != "" {
		return nil, fault.AlreadyReceived.At(s.live.received)
	}
	if p.taking[s.ID] {
		return nil, fault.BeingReceived.At("")
	}
	p.taking[s.ID] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.taking, s.ID)
	}, nil
}

// receiver is what a service does with a body of that format; nil: a file.
func (p *Plane) receiver(g Grant) func(context.Context, *Session, http.Header, io.Reader) error {
	for i := range p.c.Formats {
		f := &p.c.Formats[i]
		if f.Receive != nil && f.Name == g.Format && (g.Service == "" || f.Service == g.Service) {
			return f.Receive
		}
	}
	return nil
}

// toFile writes the body beside its name, and gives it the name once it is whole
// and on the disk.
func (p *Plane) toFile(file string, h http.Header, in *reader) (err error) {
	if err := os.MkdirAll(p.c.Folder, 0o700); err != nil {
		return cannotKeep(err)
	}
	f, err := os.CreateTemp(p.c.Folder, p.partName(filepath.Base(file)))
	if err != nil {
		return cannotKeep(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	_, err = io.CopyBuffer(onlyWriter{f}, in, *b)
	if err != nil && !in.failed {
		err = cannotKeep(err)
	}
	if want := announced(h); err == nil && want != "" && want != in.digest() {
		err = fault.ReceivedOther.At("", "want", want, "got", in.digest())
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return cannotKeep(err)
	}
	return syncFolder(p.c.Folder)
}

func cannotKeep(err error) error { return fault.CannotKeep.At("").Because(err) }

// syncFolder makes a new name durable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return cannotKeep(err)
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}

// keep puts a body that is here on record and tells the transfer.
func (p *Plane) keep(s *Session, m Moved) error {
	err := p.c.DB.Update(s, func(tx store.Tx) error {
		var id string
		err := tx.QueryRow(sqlReceived, string(s.Participant), s.ID, m.Digest).Scan(&id)
		if errors.Is(err, store.ErrNotFound) {
			r, err := p.row(tx, s.Participant, s.ID)
			switch {
			case err != nil:
			case r.received != "": // at another replica
				err = fault.AlreadyReceived.At(r.received)
			default:
				err = refusal(r.State, r.Why)
			}
			return err
		} else if err != nil {
			return err
		}
		if err := p.settleIdle(tx, s.ID); err != nil {
			return err
		}
		facts := map[string]string{"bytes": strconv.FormatInt(m.Bytes, 10)}
		if err := p.leaf(tx, "kh.plane.received", s.Grant, facts, m.Digest); err != nil {
			return err
		}
		if p.c.Received != nil {
			if err := p.c.Received(tx, s.Grant, m); err != nil {
				return err
			}
		}
		tx.AfterCommit(func() { p.stale(s.ID) })
		return nil
	})
	if err != nil {
		return fmt.Errorf("put a received body on record: %w", err)
	}
	return nil
}

// reader counts and hashes a body, and lets no byte in without a window.
type reader struct {
	src     io.Reader
	s       *Session
	conn    *connection
	sum     hash.Hash
	n, most int64
	whole   bool // the body's end was read
	failed  bool // the body broke off, or was too large
}

func (r *reader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	win, n, err := r.s.plane.take(r.s, int64(min(len(b), chunk)))
	if err != nil {
		r.failed = true
		return 0, err
	}
	r.conn.patient(r.s.plane.stalled)
	m, err := r.src.Read(b[:n])
	r.s.plane.give(win, n, int64(m))
	r.sum.Write(b[:m])
	r.n += int64(m)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && !r.conn.cut():
		r.failed = true
		return m, fault.ReceivedPart.At("", "bytes", strconv.FormatInt(r.n, 10)).Because(err)
	case r.s.Err() != nil:
		r.failed = true
		return m, context.Cause(r.s)
	case r.n > r.most:
		r.failed = true
		return m, fault.ReceivedTooLarge.At("", "limit", strconv.FormatInt(r.most, 10))
	case err == io.EOF:
		r.whole = true
	case err != nil:
		r.failed = true
		err = fault.ReceivedPart.At("", "bytes", strconv.FormatInt(r.n, 10)).Because(err)
	}
	return m, err
}

func (r *reader) digest() string { return "sha256:" + hex.EncodeToString(r.sum.Sum(nil)) }

// reprDigest is a digest as a field of RFC 9530, "" for none.
func reprDigest(digest string) string {
	sum, err := hex.DecodeString(strings.TrimPrefix(digest, "sha256:"))
	if err != nil || len(sum) != sha256.Size {
		return ""
	}
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum) + ":"
}

// announced is the digest that a sender states for the whole, "" if it does not.
func announced(h http.Header) string {
	for _, item := range strings.Split(h.Get("Repr-Digest"), ",") {
		v, ok := strings.CutPrefix(strings.TrimSpace(item), "sha-256=:")
		if !ok {
			continue
		}
		if b, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(v, ":")); err == nil && len(b) == sha256.Size {
			return "sha256:" + hex.EncodeToString(b)
		}
	}
	return ""
}
