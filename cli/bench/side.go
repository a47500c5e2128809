package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"kakehashi/cli"
	"kakehashi/client"
	"kakehashi/internal/fault"
	"kakehashi/store/postgres"
)

// side is one participant, served by one program or by several on one database,
// which a balancer of the bench asks in turn.
type side struct {
	name, folder  string
	store         string // "" for the embedded one
	public, admin string // addresses of the balancers; of the program itself when it is alone
	all           []*process
	fronts        []*http.Server
	drop          func(context.Context) error
	*client.Client
}

// newSide makes a node as `kakehashi init` does, in a schema of its own when server
// names one.
func newSide(ctx context.Context, c *cli.Context, dir, name, server string) (_ *side, err error) {
	s := &side{name: name, folder: filepath.Join(dir, name)}
	if s.public, err = free(); err != nil {
		return nil, err
	}
	if s.admin, err = free(); err != nil {
		return nil, err
	}
	args := []string{"init", "--config", s.config(), "--development", "--participant", name, "--listen", s.public,
		"--admin-listen", s.admin, "--public-url", "http://" + s.public}
	if server != "" {
		if s.store, s.drop, err = postgres.Apart(ctx, server); err != nil {
			return nil, err
		}
		args = append(args, "--store", s.store)
	}
	var problems bytes.Buffer
	quiet := c.Env
	quiet.Stdout, quiet.Stderr = io.Discard, &problems
	if code := cli.Main(ctx, args, quiet, cli.Wiring{Init: cli.InitNode(c.LookupEnv)}); code != 0 {
		return nil, errors.Join(fault.BenchFailed.At(name, "reason", problems.String()), s.stop())
	}
	return s, nil
}

func (s *side) config() string { return filepath.Join(s.folder, "node.yaml") }

// data is the folder of the first replica, which has the keys and the files.
func (s *side) data() string { return filepath.Join(s.folder, "data") }

// start runs so many replicas.
func (s *side) start(ctx context.Context, replicas int) error {
	if replicas == 1 {
		p, err := serve(ctx, s.name, s.data(), s.config(), s.admin)
		if err != nil {
			return err
		}
		s.all, s.Client = []*process{p}, p.Client
		return nil
	}
	token, err := os.ReadFile(filepath.Join(s.data(), "api.token"))
	if err != nil {
		return err
	}
	var publics, admins []string
	for i := range replicas {
		own := s.data()
		if i > 0 {
			own = filepath.Join(s.folder, fmt.Sprint("data", i+1))
			if err := os.MkdirAll(own, 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(own, "api.token"), token, 0o600); err != nil {
				return err
			}
		}
		public, err := free()
		if err != nil {
			return err
		}
		admin, err := free()
		if err != nil {
			return err
		}
		p, err := serve(ctx, fmt.Sprint(s.name, " ", i+1), own, s.config(), admin, "--data", own, "--listen", public, "--admin-listen", admin,
			"--master-key-file", filepath.Join(s.data(), "master.key"), "--files-roots", filepath.Join(s.data(), "files"))
		if err != nil {
			return err
		}
		s.all, publics, admins = append(s.all, p), append(publics, public), append(admins, admin)
	}
	for at, to := range map[string][]string{s.public: publics, s.admin: admins} {
		s.balance(at, to)
	}
	one := *s.all[0].Client
	one.Base = "http://" + s.admin
	s.Client = &one
	return nil
}

// balance asks one after the other what comes to an address.
func (s *side) balance(at string, to []string) {
	var turn atomic.Int64
	proxy := &httputil.ReverseProxy{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 256},
		FlushInterval: -1,                         // event streams
		ErrorLog:      log.New(io.Discard, "", 0), // a caller that went away
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: to[int(turn.Add(1))%len(to)]})
			r.Out.Host = r.In.Host
		},
	}
	front := &http.Server{Addr: at, Handler: proxy, ReadHeaderTimeout: 10 * time.Second}
	s.fronts = append(s.fronts, front)
	go func() { _ = front.ListenAndServe() }() // the exchanges tell when it does not
}

// halt ends the programs of the side; start may run them again.
func (s *side) halt() error {
	var err error
	for _, f := range s.fronts {
		err = errors.Join(err, f.Close())
	}
	for _, p := range s.all {
		err = errors.Join(err, p.stop())
	}
	s.all, s.fronts = nil, nil
	return err
}

// stop ends the side for good.
func (s *side) stop() error {
	err := s.halt()
	if s.drop != nil {
		err = errors.Join(err, s.drop(context.Background()))
	}
	return err
}

// started is the longest time from a start to the first answer.
func (s *side) started() (most time.Duration) {
	for _, p := range s.all {
		most = max(most, p.started)
	}
	return most
}

// memory is that of the largest program, as process.memory has it.
func (s *side) memory() (now, peak float64) {
	for _, p := range s.all {
		n, k := p.memory()
		now, peak = max(now, n), max(peak, k)
	}
	return now, peak
}

func (s *side) cpu() (sum time.Duration) {
	for _, p := range s.all {
		sum += p.cpu()
	}
	return sum
}

// disk is what the side's folders hold, in bytes; not what lies on a server.
func (s *side) disk() (sum int64, err error) {
	for _, p := range s.all {
		n, err := p.disk()
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}
