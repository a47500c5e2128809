// Package serving starts the product as an organisation would, `kakehashi init`
// and `kakehashi serve`, for proofs that need a node of their own. It uses the
// program and its management API, nothing else of it, and judges nothing.
package serving

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"kakehashi/client"
)

// Config says what to start. Program, Folder and Participant are needed.
type Config struct {
	Program     string    // the kakehashi binary
	Folder      string    // of the node: made anew
	Participant string    // its local name
	Args        []string  // settings, as flags of `kakehashi serve`
	Log         io.Writer // what the node writes to stderr
}

// Node is a node that serves.
type Node struct {
	API    *client.Client
	Files  string // folder of files that may be published
	cmd    *exec.Cmd
	exited chan error
}

// Times that the node has to answer first, and to end.
const (
	toStart = 20 * time.Second
	toStop  = 20 * time.Second
)

// Start makes a node in its folder and returns when its API speaks.
func Start(ctx context.Context, c Config) (*Node, error) {
	folder, err := filepath.Abs(c.Folder)
	if err != nil {
		return nil, err
	}
	addresses, err := Free(2)
	if err != nil {
		return nil, err
	}
	config, data := filepath.Join(folder, "node.yaml"), filepath.Join(folder, "data")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	init := exec.CommandContext(ctx, c.Program, "init", "--development", "--participant", c.Participant, "--listen", addresses[0],
		"--admin-listen", addresses[1], "--public-url", "http://"+addresses[0], "--config", config, "--data", data)
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("kakehashi init: %w: %s", err, bytes.TrimSpace(out))
	}
	args := append([]string{"serve", "--config", config, "--log-level", "debug"}, c.Args...)
	n := &Node{cmd: exec.Command(c.Program, args...), exited: make(chan error, 1), Files: filepath.Join(data, "files")}
	n.cmd.Stdout, n.cmd.Stderr = io.Discard, c.Log
	if err := n.cmd.Start(); err != nil {
		return nil, fmt.Errorf("kakehashi serve: %w", err)
	}
	go func() { n.exited <- n.cmd.Wait() }()
	token, err := os.ReadFile(filepath.Join(data, "api.token"))
	if err != nil {
		return nil, errors.Join(err, n.Stop())
	}
	n.API = &client.Client{Base: "http://" + addresses[1], Token: strings.TrimSpace(string(token)), Lang: "en"}
	if err := n.answers(ctx); err != nil {
		return nil, errors.Join(err, n.Stop())
	}
	return n, nil
}

// answers waits until the API speaks.
func (n *Node) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, toStart)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := n.API.Node(ctx)
		if err == nil {
			return nil
		}
		select {
		case e := <-n.exited:
			n.exited <- e
			return fmt.Errorf("kakehashi serve ended before it answered: %v", e)
		case <-ctx.Done():
			return fmt.Errorf("kakehashi serve does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// Stop asks the node to end and kills it when it does not.
func (n *Node) Stop() error {
	select {
	case err := <-n.exited:
		if err == nil {
			return errors.New("kakehashi serve ended by itself")
		}
		return fmt.Errorf("kakehashi serve ended by itself: %w", err)
	default:
	}
	if err := n.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	select {
	case err := <-n.exited:
		if err != nil {
			return fmt.Errorf("kakehashi serve: %w", err)
		}
		return nil
	case <-time.After(toStop):
		return errors.Join(errors.New("kakehashi serve does not end when asked to"), n.cmd.Process.Kill(), <-n.exited)
	}
}

// Free finds addresses on loopback that are free now.
func Free(count int) ([]string, error) {
	var found []string
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all of them at the end, so that no two are the same
		found = append(found, l.Addr().String())
	}
	return found, nil
}

// Build builds the program of this module at path.
func Build(ctx context.Context, root, path string) error {
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "./cmd/kakehashi")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	return nil
}

// ModuleRoot is the folder of the module that a proof is started in.
func ModuleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}
