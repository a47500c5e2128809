package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"kakehashi/client"
	"kakehashi/conformance/serving"
)

// side is one organisation: one participant, served by one replica or by several
// on one database, behind a front.
type side struct {
	name     string
	store    string // "" for the embedded one
	replicas []*replica
	front    *front
	did      string
	dataset  string // that it offers
}

// replica is one `kakehashi serve`, which is started again after it was killed.
type replica struct {
	name    string
	program string
	args    []string
	listen  string
	api     *client.Client
	log     *os.File

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	alone  sync.Mutex // whoever kills it, starts it again before another may kill it
}

const (
	toAnswer = 40 * time.Second
	toEnd    = 30 * time.Second
)

// newSide makes a participant and starts its replicas; store is "" for the
// embedded one. flags are further settings of `kakehashi serve`.
func newSide(ctx context.Context, program, folder, name, store string, replicas int, flags ...string) (*side, error) {
	addresses, err := serving.Free(1 + 2*replicas)
	if err != nil {
		return nil, err
	}
	s := &side{name: name, store: store}
	config, data := filepath.Join(folder, "node.yaml"), filepath.Join(folder, "data")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	base := []string{"--development", "--participant", name, "--public-url", "http://" + addresses[0], "--config", config}
	if store != "" {
		base = append(base, "--store", store)
	}
	init := exec.CommandContext(ctx, program, append([]string{"init", "--data", data, "--listen", addresses[1], "--admin-listen", addresses[2]}, base...)...)
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("kakehashi init: %w: %s", err, out)
	}
	token, err := os.ReadFile(filepath.Join(data, "api.token"))
	if err != nil {
		return nil, err
	}
	for i := range replicas {
		own := data
		if i > 0 {
			own = filepath.Join(folder, fmt.Sprint("data", i+1))
			if err := os.MkdirAll(own, 0o700); err != nil {
				return nil, err
			}
			if err := os.WriteFile(filepath.Join(own, "api.token"), token, 0o600); err != nil {
				return nil, err
			}
		}
		log, err := os.OpenFile(filepath.Join(folder, fmt.Sprint("log", i+1)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		listen, admin := addresses[1+2*i], addresses[2+2*i]
		r := &replica{name: fmt.Sprint(name, " ", i+1), program: program, listen: listen, log: log,
			args: append([]string{"serve", "--data", own, "--master-key-file", filepath.Join(data, "master.key"),
				"--files-roots", filepath.Join(data, "files"), "--listen", listen, "--admin-listen", admin, "--log-level", "info"}, append(base, flags...)...),
			api: &client.Client{Base: "http://" + admin, Token: strings.TrimSpace(string(token)), Lang: "en",
				HTTP: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 128}}}}
		s.replicas = append(s.replicas, r)
	}
	failed := make(chan error, replicas)
	for _, r := range s.replicas {
		go func() { failed <- r.start(ctx) }()
	}
	for range s.replicas {
		err = errors.Join(err, <-failed)
	}
	return s, err
}

// start starts the replica and returns when it answers.
func (r *replica) start(ctx context.Context) error {
	cmd := exec.Command(r.program, r.args...)
	cmd.Stdout, cmd.Stderr = r.log, r.log
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	r.mu.Lock()
	r.cmd, r.exited = cmd, exited
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, toAnswer)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := r.api.Node(ctx); err == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("%s ended before it answered: see %s", r.name, r.log.Name())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: see %s", r.name, r.log.Name())
		case <-tick.C:
		}
	}
}

// signal sends one to the process that runs now and gives what closes at its end.
func (r *replica) signal(s os.Signal) (exited <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.cmd.Process.Signal(s) // one that has ended is what was wanted
	return r.exited
}

var errHangs = errors.New("it does not end when asked to")

// stop asks the replica to end.
func (r *replica) stop() error {
	select {
	case <-r.signal(syscall.SIGTERM):
		r.mu.Lock()
		defer r.mu.Unlock()
		if code := r.cmd.ProcessState.ExitCode(); code != 0 {
			return fmt.Errorf("%s ends with code %d: see %s", r.name, code, r.log.Name())
		}
		return nil
	case <-time.After(toEnd):
		<-r.signal(syscall.SIGKILL)
		return fmt.Errorf("%s: %w", r.name, errHangs)
	}
}

// stop ends the whole side.
func (s *side) stop() error {
	var err error
	for _, r := range s.replicas {
		err = errors.Join(err, r.stop(), r.log.Close())
	}
	if s.front != nil {
		err = errors.Join(err, s.front.close())
	}
	return err
}
