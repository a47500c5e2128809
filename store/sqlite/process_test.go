//go:build linux

package sqlite_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"kakehashi/internal/fault"
)

// These tests need a process of their own: one is killed, the other may not
// write large files any more. The test program runs itself for them.
func TestMain(m *testing.M) {
	switch path := os.Getenv("KAKEHASHI_TEST_STORE"); os.Getenv("KAKEHASHI_TEST_ROLE") {
	case "":
		os.Exit(m.Run())
	case "killed":
		writeUntilKilled(path)
	case "limited":
		writeWithLimit(path)
	}
}

func process(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), "KAKEHASHI_TEST_ROLE="+role, "KAKEHASHI_TEST_STORE="+path)
	c.Stderr = t.Output()
	return c
}

func fatal(a ...any) {
	fmt.Fprintln(os.Stderr, a...)
	os.Exit(3)
}

func writeUntilKilled(path string) {
	db, err := openAt(path, nil, schema)
	if err != nil {
		fatal(err)
	}
	var mu sync.Mutex
	for g := range 8 {
		go func() {
			for i := 0; ; i++ {
				id := g*1_000_000 + i
				if err := put(db, id, 500); err != nil {
					fatal(err)
				}
				mu.Lock()
				fmt.Println(id)
				mu.Unlock()
			}
		}()
	}
	select {}
}

func TestNothingAcknowledgedIsLostWhenTheProgramIsKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	c := process(t, "killed", path)
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	acknowledged := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, err := strconv.Atoi(lines.Text()); err == nil {
			acknowledged++
		}
		if acknowledged == 500 {
			c.Process.Kill()
		}
	}
	c.Wait()
	// Each goroutine has at most one unit that was kept and not told.
	if n := count(t, open(t, path, schema)); acknowledged < 500 || n < acknowledged || n > acknowledged+8 {
		t.Errorf("%d acknowledged, %d kept", acknowledged, n)
	}
}

// writeWithLimit prints how many rows were acknowledged.
func writeWithLimit(path string) {
	signal.Ignore(syscall.SIGXFSZ)
	db, err := openAt(path, nil, schema)
	if err != nil {
		fatal(err)
	}
	acknowledged := 0
	if err := put(db, 0, 1000); err == nil {
		acknowledged++
	}
	var old syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 300_000, Max: old.Max}); err != nil {
		fatal(err)
	}
	failed := 0
	for i := 1; i < 100; i++ {
		var group sync.WaitGroup
		var mu sync.Mutex
		for g := range 4 {
			group.Go(func() {
				err := put(db, g*1000+i, 3000)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					acknowledged++
				case errors.Is(err, fault.Unavailable):
					failed++
				default:
					fatal(err)
				}
			})
		}
		group.Wait()
	}
	if failed == 0 {
		fatal("the limit did nothing")
	}
	syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old)
	if err := put(db, 99_999, 1000); err != nil {
		fatal("still failing without the limit:", err)
	}
	fmt.Println(acknowledged + 1)
	os.Exit(0) // without Close, as a program that ends suddenly
}

func TestACommitTheDiskRefusesIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	out, err := process(t, "limited", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	acknowledged, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	if n := count(t, open(t, path, schema)); n != acknowledged {
		t.Errorf("%d acknowledged, %d kept", acknowledged, n)
	}
}
