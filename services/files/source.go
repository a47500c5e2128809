package files

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"kakehashi/internal/fault"
)

// locate gives the file's path without symbolic links and the folder that
// allows it. What lies outside is refused before the disk is looked at, so that
// nobody learns what is there.
func (s *service) locate(path string) (root, real string, err error) {
	if !filepath.IsAbs(path) {
		return "", "", fault.PathRelative.At("/path", "path", path)
	}
	path = filepath.Clean(path)
	outside := fault.FileOutsideRoots.At("/path", "path", path, "roots", strings.Join(s.roots, ", "))
	roots := s.resolved()
	if within(s.roots, path) == "" && within(roots, path) == "" {
		return "", "", outside
	}
	real, err = filepath.EvalSymlinks(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", "", fault.FileMissing.At("/path", "path", path)
	case err != nil:
		return "", "", fault.FileUnreadable.At("/path", "path", path).Because(err)
	}
	if root = within(roots, real); root == "" {
		return "", "", outside
	}
	return root, real, nil
}

// resolved are the allowed folders without symbolic links; one that is not
// there allows nothing.
func (s *service) resolved() (roots []string) {
	for _, r := range s.roots {
		if real, err := filepath.EvalSymlinks(r); err == nil {
			roots = append(roots, real)
		}
	}
	return roots
}

// within gives the folder in which path lies, "" for none.
func within(roots []string, path string) string {
	for _, r := range roots {
		if rel, err := filepath.Rel(r, path); err == nil && filepath.IsLocal(rel) {
			return r
		}
	}
	return ""
}

// openIn opens a regular file below root. A symbolic link that was put in its
// way since leads nowhere outside (os.Root).
func openIn(root, real string) (*os.File, fs.FileInfo, error) {
	rel, err := filepath.Rel(root, real)
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.OpenRoot(root)
	if err != nil {
		return nil, nil, err
	}
	defer dir.Close()
	// Asked before opening: a pipe would wait for a writer.
	if info, err := dir.Stat(rel); err != nil {
		return nil, nil, err
	} else if !info.Mode().IsRegular() {
		return nil, nil, errNotRegular
	}
	f, err := dir.Open(rel)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

var errNotRegular = errors.New("not a regular file")

// digest reads f once, in constant memory; a cancelled ctx ends it.
func digest(ctx context.Context, f io.Reader) (string, int64, error) {
	h := sha256.New()
	n, err := io.CopyBuffer(h, until{ctx, f}, make([]byte, 256<<10))
	if err != nil {
		return "", n, err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), n, nil
}

// until reads while ctx lasts; it has no WriteTo, so that the buffer is ours.
type until struct {
	ctx context.Context
	r   io.Reader
}

func (u until) Read(b []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(b)
}
