package harness

import (
	"bytes"
	"context"
	"crypto/rand"
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

// process is a node that serves.
type process struct {
	api    *client.Client
	folder string // of files that may be published
	cmd    *exec.Cmd
	exited chan error
}

// Times that the node has to answer first, and to end.
const (
	toStart = 20 * time.Second
	toStop  = 20 * time.Second
)

// newKey is the key of the webhook's signatures.
func newKey() (string, error) {
	b := make([]byte, 32)
	_, err := rand.Read(b)
	return fmt.Sprintf("%x", b), err
}

// serve makes a node in its folder and starts it. With an Authorization the
// development identity is set to it; a node is told so on its command line only.
func serve(ctx context.Context, c Config, webhook, key string) (*process, error) {
	folder, err := filepath.Abs(c.Folder)
	if err != nil {
		return nil, err
	}
	public, admin, err := twoPorts()
	if err != nil {
		return nil, err
	}
	config, keyFile := filepath.Join(folder, "node.yaml"), filepath.Join(folder, "webhook.key")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(keyFile, []byte(key+"\n"), 0o600); err != nil {
		return nil, err
	}
	init := exec.CommandContext(ctx, c.Program, "init", "--development", "--participant", "cut", "--listen", public,
		"--admin-listen", admin, "--public-url", "http://"+public, "--config", config, "--data", filepath.Join(folder, "data"))
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("kakehashi init: %w: %s", err, bytes.TrimSpace(out))
	}
	args := []string{"serve", "--config", config, "--log-level", "debug", "--decision-webhook", webhook, "--decision-webhook-key-file", keyFile}
	if c.Authorization != "" {
		args = append(args, "--identity-template", c.Authorization, "--identity-template-caller", c.Counterparty)
	}
	p := &process{cmd: exec.Command(c.Program, args...), exited: make(chan error, 1), folder: filepath.Join(folder, "data", "files")}
	p.cmd.Stdout, p.cmd.Stderr = io.Discard, c.NodeLog
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("kakehashi serve: %w", err)
	}
	go func() { p.exited <- p.cmd.Wait() }()
	token, err := os.ReadFile(filepath.Join(folder, "data", "api.token"))
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	p.api = &client.Client{Base: "http://" + admin, Token: strings.TrimSpace(string(token)), Lang: "en"}
	if err := p.answers(ctx); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// answers waits until the API speaks.
func (p *process) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, toStart)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := p.api.Node(ctx)
		if err == nil {
			return nil
		}
		select {
		case e := <-p.exited:
			p.exited <- e
			return fmt.Errorf("kakehashi serve ended before it answered: %v", e)
		case <-ctx.Done():
			return fmt.Errorf("kakehashi serve does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// stop asks the node to end and kills it when it does not.
func (p *process) stop() error {
	select {
	case err := <-p.exited:
		if err == nil {
			return errors.New("kakehashi serve ended by itself")
		}
		return fmt.Errorf("kakehashi serve ended by itself: %w", err)
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return err
	}
	select {
	case err := <-p.exited:
		if err != nil {
			return fmt.Errorf("kakehashi serve: %w", err)
		}
		return nil
	case <-time.After(toStop):
		return errors.Join(errors.New("kakehashi serve does not end when asked to"), p.cmd.Process.Kill(), <-p.exited)
	}
}

// twoPorts finds addresses on loopback that are free now.
func twoPorts() (a, b string, err error) {
	la, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer la.Close()
	lb, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer lb.Close()
	return la.Addr().String(), lb.Addr().String(), nil
}
