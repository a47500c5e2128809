// Package lock lets one program at a time use a folder. The lock ends with the
// program, however that ends. It is no lock between goroutines, and none between
// machines unless their file system carries it.
package lock

import (
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strings"
)

// ErrHeld says that another program holds the lock.
var ErrHeld = errors.New("locked by another program")

// File is a lock that this program holds.
type File struct{ f *os.File }

// Take locks path, a file that is made for this alone; ErrHeld if another program
// has it.
func Take(path string) (*File, error) {
	f, err := take(path)
	if err != nil {
		return nil, err
	}
	return &File{f}, nil
}

// Name is what the file holds: a random name that it keeps from its first use on.
func (l *File) Name() (string, error) {
	if _, err := l.f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(l.f, 100))
	if err != nil || len(b) > 0 {
		return strings.TrimSpace(string(b)), err
	}
	name := rand.Text()
	if _, err := l.f.WriteString(name + "\n"); err != nil {
		return "", err
	}
	return name, l.f.Sync()
}

// Release gives the lock back.
func (l *File) Release() error { return release(l.f) }
