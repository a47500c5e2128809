//go:build unix

package node

import (
	"os/signal"
	"syscall"
)

// openFiles is how many files the system lets this program open, 0 if unknown.
func openFiles() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return int(min(l.Cur, 1<<30))
}

// tolerate has a file that may not grow be an error of one write, as a full disk
// is, and not the end of the program.
func tolerate() { signal.Ignore(syscall.SIGXFSZ) }
