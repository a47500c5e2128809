package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kakehashi/client"
	"kakehashi/internal/fault"
)

// process is one `kakehashi serve` with the shipped defaults.
type process struct {
	name, data string
	cmd        *exec.Cmd
	stderr     bytes.Buffer
	started    time.Duration // start to first answer
	*client.Client
}

// serve runs `kakehashi serve` and returns when it answers.
func serve(ctx context.Context, name, data, file, admin string, flags ...string) (*process, error) {
	p := &process{name: name, data: data}
	token, err := os.ReadFile(filepath.Join(data, "api.token"))
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p.cmd = exec.CommandContext(ctx, self, append([]string{"serve", "--config", file}, flags...)...)
	p.cmd.Stderr = &p.stderr
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 10 * time.Second
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fault.BenchFailed.At(name, "reason", err.Error()).Because(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	p.Client = &client.Client{Base: "http://" + admin, Token: strings.TrimSpace(string(token)), Lang: "en", HTTP: &http.Client{Transport: transport}}
	for {
		_, err := p.Node(ctx)
		if err == nil {
			p.started = time.Since(begin)
			return p, nil
		}
		if !errors.Is(err, fault.NodeUnreachable) || time.Since(begin) > toAnswer {
			return nil, errors.Join(fault.BenchFailed.At(name, "reason", p.stderr.String()).Because(err), p.cmd.Process.Kill())
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(500 * time.Microsecond):
		}
	}
}

// toAnswer is how long a node may take from its start to its first answer.
const toAnswer = 60 * time.Second

// stop ends the process as an operator does.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := p.cmd.Wait(); err != nil {
		return fault.BenchFailed.At(p.name, "reason", p.stderr.String()).Because(err)
	}
	return nil
}

func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// memory reads resident memory in MiB, now and at its peak, from /proc; both are
// -1 where there is none.
func (p *process) memory() (now, peak float64) {
	now, peak = -1, -1
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return now, peak
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		name, rest, _ := strings.Cut(sc.Text(), ":")
		kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
		if err != nil {
			continue
		}
		switch name {
		case "VmRSS":
			now = kib / 1024
		case "VmHWM":
			peak = kib / 1024
		}
	}
	return now, peak
}

// cpu is the processor time that the process has used.
func (p *process) cpu() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(f[11], 10, 64)
	system, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100
}

// disk is what the node's folder holds, in bytes.
func (p *process) disk() (int64, error) {
	var sum int64
	err := filepath.WalkDir(p.data, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		sum += info.Size()
		return nil
	})
	return sum, err
}
