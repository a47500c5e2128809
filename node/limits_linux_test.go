package node

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"kakehashi/client"
	"kakehashi/internal/fault"
)

// limit sets a soft limit of a process and gives the one before.
func limit(t *testing.T, pid, what int, most uint64) (before uint64) {
	t.Helper()
	var was syscall.Rlimit
	if err := prlimit(pid, what, nil, &was); err != nil {
		t.Fatal(err)
	}
	now := syscall.Rlimit{Cur: min(most, was.Max), Max: was.Max}
	if err := prlimit(pid, what, &now, nil); err != nil {
		t.Fatal(err)
	}
	return was.Cur
}

func prlimit(pid, what int, set, get *syscall.Rlimit) error {
	_, _, e := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), uintptr(what),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(get)), 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

func (q *process) pid() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.cmd.Process.Pid
}

// onFile is a place whose node keeps everything in a file, whatever the
// environment says: its limits are what is tested.
func onFile(t *testing.T, name string) place {
	p := newPlace(t, name)
	if p.settings.Store == "" {
		return p
	}
	p.settings.Store = ""
	if _, err := Init(t.Context(), p.settings, p.key); err != nil {
		t.Fatal(err)
	}
	return p
}

// A disk that takes no more: what cannot be kept is not acknowledged, and the
// program goes on once there is room.
func TestAFullDiskIsNamedAndPasses(t *testing.T) {
	t.Parallel()
	p := onFile(t, "tokyo")
	node := p.spawn(t, 0, false)
	c := node.client()
	insist(t, "start", func() (client.Node, error) { return c.Node(t.Context()) })
	path := filepath.Join(p.settings.Data, "table.csv")
	if err := os.WriteFile(path, []byte("week,cases\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	add := func(i int) (client.Dataset, error) {
		return c.PublishFile(t.Context(), client.PublishFile{Path: path, Title: fmt.Sprint("set ", i, strings.Repeat("x", 100)), Policy: terms(time.Now())})
	}
	kept := map[string]bool{}
	for i := range 3 {
		d, err := add(i)
		if err != nil {
			t.Fatal(err)
		}
		kept[d.ID] = true
	}
	var size int64 // of the largest file: nothing grows past it
	for _, name := range []string{databaseFile, databaseFile + "-wal"} {
		if i, err := os.Stat(filepath.Join(p.settings.Data, name)); err == nil {
			size = max(size, i.Size())
		}
	}
	before := limit(t, node.pid(), syscall.RLIMIT_FSIZE, uint64(size)+64<<10)
	refused := 0
	for i := 3; refused < 5 && i < 500; i++ {
		switch d, err := add(i); {
		case err == nil:
			kept[d.ID] = true
		case errors.Is(err, fault.StoreFull), errors.Is(err, fault.Unavailable):
			refused++
		default:
			t.Fatalf("a full disk gave %v", err)
		}
	}
	if refused == 0 {
		t.Fatal("the disk was never full")
	}
	if a := ask(t, "GET", node.base+"/readyz", "", "en"); a.status != 503 || !strings.HasPrefix(a.body, "store-") && a.body != "unavailable\n" {
		t.Errorf("ready? %v", a)
	}
	limit(t, node.pid(), syscall.RLIMIT_FSIZE, before)
	d := insist(t, "publish with room", func() (client.Dataset, error) {
		d, err := add(1000)
		if errors.Is(err, fault.Unavailable) || errors.Is(err, fault.StoreFull) {
			t.Errorf("still full with room: %v", err)
		}
		return d, err
	})
	kept[d.ID] = true
	all, err := c.Datasets(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for cursor := all.Next; cursor != ""; {
		more, err := c.Datasets(t.Context(), cursor)
		if err != nil {
			t.Fatal(err)
		}
		all.Items, cursor = append(all.Items, more.Items...), more.Next
	}
	if len(all.Items) != len(kept) {
		t.Errorf("%d acknowledged, %d kept", len(kept), len(all.Items))
	}
	for _, d := range all.Items {
		if !kept[d.ID] {
			t.Errorf("%s is kept and was refused", d.ID)
		}
	}
	if a := ask(t, "GET", node.base+"/readyz", "", "en"); a.status != 200 {
		t.Errorf("ready? %v", a)
	}
}

// Without files left, nothing falls over and nothing spins; with some, all is as
// before.
func TestOutOfFilesPasses(t *testing.T) {
	t.Parallel()
	p := onFile(t, "tokyo")
	node := p.spawn(t, 0, false)
	c := node.client()
	insist(t, "start", func() (client.Node, error) { return c.Node(t.Context()) })
	path := filepath.Join(p.settings.Data, "table.csv")
	if err := os.WriteFile(path, []byte("week,cases\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", node.pid()))
	if err != nil {
		t.Fatal(err)
	}
	before := limit(t, node.pid(), syscall.RLIMIT_NOFILE, uint64(len(open)+2))
	// More connections than there are files: some wait to be accepted.
	var conns []net.Conn
	for range 20 {
		conn, err := net.Dial("tcp", p.settings.AdminListen)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	used := cpu(t, node.pid())
	one := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	if resp, err := one.Get(node.base + "/livez"); err == nil {
		resp.Body.Close()
		t.Errorf("answered %d without a file left", resp.StatusCode)
	}
	if spent := cpu(t, node.pid()) - used; spent > 500*time.Millisecond {
		t.Errorf("it worked for %v in a second of waiting for a file", spent)
	}
	for _, conn := range conns {
		conn.Close()
	}
	limit(t, node.pid(), syscall.RLIMIT_NOFILE, before)
	insist(t, "with files again", func() (client.Dataset, error) {
		return c.PublishFile(t.Context(), client.PublishFile{Path: path, Title: "set", Policy: terms(time.Now())})
	})
}

// cpu is how long a process has worked.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+2:]))
	var user, system int64
	if _, err := fmt.Sscan(f[11]+" "+f[12], &user, &system); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// memory is what a process holds, in bytes.
func memory(t *testing.T, pid int) int64 {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var kib int64
		if _, err := fmt.Sscanf(s.Text(), "VmRSS: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

// Thousands of connections that ask for nothing take little memory and keep nobody
// out, also when there are more than a listener holds.
func TestThousandsOfIdleConnectionsKeepNobodyOut(t *testing.T) {
	t.Parallel()
	const each = 5000
	p := newPlace(t, "tokyo")
	node := p.spawn(t, 0, false)
	c := node.client()
	insist(t, "start", func() (client.Node, error) { return c.Node(t.Context()) })
	limit(t, node.pid(), syscall.RLIMIT_NOFILE, 1<<20)
	limit(t, os.Getpid(), syscall.RLIMIT_NOFILE, 1<<20)
	before := memory(t, node.pid())
	open := 0
	for _, at := range []string{p.settings.Listen, p.settings.AdminListen} {
		for i := range each {
			conn, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatalf("connection %d to %s: %v", i, at, err)
			}
			defer conn.Close()
			open++
			if i%2 == 0 { // half of them have asked once
				if _, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	began := time.Now()
	for _, at := range []string{p.settings.Listen, p.settings.AdminListen} {
		if a := ask(t, "GET", "http://"+at+"/readyz", "", "en"); a.status != 200 {
			t.Errorf("%s: %v", at, a)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("two answers took %v", took)
	}
	if grown := memory(t, node.pid()) - before; grown > int64(open)*mostOfConnection {
		t.Errorf("%d connections take %d bytes", open, grown)
	} else {
		t.Logf("%d connections take %d KiB each", open, grown>>10/int64(open))
	}
}
