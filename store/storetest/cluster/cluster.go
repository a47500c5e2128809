// Package cluster runs a PostgreSQL server of its own: in a temporary folder, on
// a free port of loopback, as a user who may not do much, and with nothing set
// that makes it faster than it is in service. It is for tests and proofs only,
// and uses what is installed.
package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrMissing is why there can be no server here: the machine's fault, not ours.
var ErrMissing = errors.New("missing")

const (
	owner    = "kakehashi"
	toMake   = 2 * time.Minute
	toAnswer = time.Minute
	toStop   = 30 * time.Second
)

// Cluster is one server. Its methods are for one goroutine.
type Cluster struct {
	Version  string // as the server says, such as 15.18
	bin      string
	folder   string
	password string
	port     int
	extra    []string
	server   *exec.Cmd
	ended    chan struct{}
}

// Start makes a server and returns once it answers. settings are name=value of
// postgresql.conf.
func Start(ctx context.Context, settings ...string) (_ *Cluster, err error) {
	c := &Cluster{password: rand.Text(), extra: settings}
	if c.bin, err = binaries(); err != nil {
		return nil, err
	}
	if c.folder, err = os.MkdirTemp("", "kakehashi-postgres-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if err := give(c.folder); err != nil {
		return nil, err
	}
	secret := filepath.Join(c.folder, "password")
	if err := os.WriteFile(secret, []byte(c.password+"\n"), 0o600); err != nil {
		return nil, err
	}
	if err := give(secret); err != nil {
		return nil, err
	}
	if err := c.initialise(ctx, secret); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c.port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	return c, c.Run(ctx)
}

// initialise makes the files, sorted as people of one language expect where the
// server can: nothing of ours may depend on that.
func (c *Cluster) initialise(ctx context.Context, secret string) error {
	ctx, cancel := context.WithTimeout(ctx, toMake)
	defer cancel()
	var failed error
	for _, locale := range [][]string{{"--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8"}, {"--locale=C.UTF-8"}, {"--locale=C"}} {
		args := append([]string{"-D", c.data(), "-U", owner, "-A", "scram-sha-256", "--pwfile", secret, "--encoding=UTF8"}, locale...)
		cmd := exec.CommandContext(ctx, filepath.Join(c.bin, "initdb"), args...)
		cmd.Dir = c.folder
		lower(cmd)
		out, err := cmd.CombinedOutput()
		if err == nil {
			return nil
		}
		failed = fmt.Errorf("initdb: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return failed
}

func (c *Cluster) data() string { return filepath.Join(c.folder, "data") }

// URL is the address of its database, password and all.
func (c *Cluster) URL() string {
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/postgres?sslmode=disable", owner, c.password, c.port)
}

// Address is host and port.
func (c *Cluster) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)) }

// Run starts the server, at first or after Stop or Kill, and returns once it
// answers.
func (c *Cluster) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, toAnswer)
	defer cancel()
	for {
		if err := c.launch(); err != nil {
			return err
		}
		err := c.answers(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		// After a kill, processes of the old one may hold its memory for a moment.
	}
}

func (c *Cluster) launch() error {
	log, err := os.OpenFile(filepath.Join(c.folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"-D", c.data(), "-p", strconv.Itoa(c.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=" + c.folder, "-c", "max_connections=300"}
	for _, s := range c.extra {
		args = append(args, "-c", s)
	}
	cmd := exec.Command(filepath.Join(c.bin, "postgres"), args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.folder, log, log
	lower(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	ended := make(chan struct{})
	c.server, c.ended = cmd, ended
	go func() {
		cmd.Wait()
		close(ended)
	}()
	return nil
}

// answers waits until the server lets us in, or has ended.
func (c *Cluster) answers(ctx context.Context) error {
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgconn.Connect(ctx, c.URL())
		if err == nil {
			c.Version, _, _ = strings.Cut(conn.ParameterStatus("server_version"), " ")
			return conn.Close(ctx)
		}
		select {
		case <-c.ended:
			return fmt.Errorf("postgres ended: %s", c.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("postgres does not answer: %w", err)
		case <-tick.C:
		}
	}
}

func (c *Cluster) lastWords() string {
	b, err := os.ReadFile(filepath.Join(c.folder, "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}

// Stop ends the server and its connections in order; the data stays.
func (c *Cluster) Stop() error {
	if c.server == nil {
		return nil
	}
	if err := c.server.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-c.ended:
		c.server = nil
		return nil
	case <-time.After(toStop):
		return errors.Join(errors.New("postgres does not end when asked to"), c.Kill())
	}
}

// Kill ends the server as a failing machine would; the data stays.
func (c *Cluster) Kill() error {
	if c.server == nil {
		return nil
	}
	if err := c.server.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-c.ended
	c.server = nil
	return nil
}

// Close stops the server and removes its folder.
func (c *Cluster) Close() error {
	return errors.Join(c.Stop(), os.RemoveAll(c.folder))
}

// binaries is the folder of initdb and postgres, the newest that Debian has put
// beside the path.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("%w: PostgreSQL (initdb) is not installed", ErrMissing)
	}
	number := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return number(b) - number(a) })
	return filepath.Dir(found[0]), nil
}
