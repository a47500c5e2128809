// Package demo is `kakehashi demo`: two real nodes, Tokyo and Brussels, and an
// accreditation authority for each side, on free loopback ports. The two agree on
// a real file that only an accredited organisation gets, exchange it and prove it;
// then the accreditation is revoked. It uses
// the same commands and calls that a person would; nothing in it is a shortcut.
package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"kakehashi/cli"
	"kakehashi/client"
	"kakehashi/config"
	"kakehashi/evidence/bundle"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/node"
	"kakehashi/odrl"
)

// Command is the demo as the program lists it.
var Command = cli.Command{Name: "demo", Group: "try", New: func() any { return &demo{} }}

type demo struct {
	File string `placeholder:"FILE"`
	Dir  string `placeholder:"DIR"`
	Keep bool
}

// side is one of the two nodes.
type side struct {
	name, title string
	config      string // its node.yaml
	*node.Node
	*client.Client
}

const purpose = "public-health-research"

func (d demo) Run(ctx context.Context, c *cli.Context) error {
	dir, err := d.folder()
	if err != nil {
		return err
	}
	r := &run{c: c, dir: dir, last: time.Now()}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var nodes errgroup.Group
	err = r.play(ctx, running, &nodes, d.File)
	if err == nil {
		err = r.done(d.Keep)
	}
	if err == nil && d.Keep {
		err = r.keep(ctx)
	}
	stop()
	if werr := nodes.Wait(); err == nil {
		err = werr
	}
	if err != nil {
		return err
	}
	return r.c.Emit(map[string]any{"step": "done", "ok": true, "file": r.out, "dir": r.dir, "kept": d.Keep})
}

func (d demo) folder() (string, error) {
	if d.Dir == "" {
		return os.MkdirTemp("", "kakehashi-demo-")
	}
	full, err := filepath.Abs(d.Dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(full, 0o700); err != nil {
		return "", fault.CannotWrite.At(full, "file", full, "reason", err.Error()).Because(err)
	}
	return full, nil
}

type run struct {
	c               *cli.Context
	dir             string
	last            time.Time
	tokyo, brussels *side
	agreement, out  string
	dataset, title  string
	transfer        string

	japan, europe *side // the authorities
}

// step prints what was done since the step before.
func (r *run) step(name string, values ...string) error {
	now := time.Now()
	m := map[string]string{}
	for i := 0; i+1 < len(values); i += 2 {
		m[values[i]] = values[i+1]
	}
	took := now.Sub(r.last)
	r.last = now
	return r.c.Step(name, took, m)
}

func (r *run) play(ctx, running context.Context, nodes *errgroup.Group, file string) error {
	if err := r.c.Say(r.c.Text.T("demo.begin", "dir", r.dir)); err != nil {
		return err
	}
	file, err := r.source(file)
	if err != nil {
		return err
	}
	if r.tokyo, err = r.start(ctx, running, nodes, "tokyo", "Tokyo", filepath.Dir(file)); err != nil {
		return err
	}
	if r.brussels, err = r.start(ctx, running, nodes, "brussels", "Brussels", ""); err != nil {
		return err
	}
	if err := r.step("nodes", "tokyo", r.tokyo.PublicURL(), "brussels", r.brussels.PublicURL()); err != nil {
		return err
	}
	if r.japan, err = r.start(ctx, running, nodes, "japan", "Accreditation Japan", ""); err != nil {
		return err
	}
	if r.europe, err = r.start(ctx, running, nodes, "europe", "Accreditation Europe", ""); err != nil {
		return err
	}
	if err := r.accredit(ctx); err != nil {
		return err
	}
	if err := r.publish(ctx, file); err != nil {
		return err
	}
	if err := r.fetch(ctx); err != nil {
		return err
	}
	if err := r.prove(ctx); err != nil {
		return err
	}
	return r.revoke(ctx)
}

// source is the file to offer, by its full path; a table is made when none is named.
func (r *run) source(file string) (string, error) {
	if file == "" {
		file = filepath.Join(r.dir, "weekly-cases.csv")
		if err := os.WriteFile(file, table(), 0o600); err != nil {
			return "", fault.CannotWrite.At(file, "file", file, "reason", err.Error()).Because(err)
		}
	}
	full, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(full); err != nil {
		return "", fault.FileMissing.At(full, "file", full).Because(err)
	}
	return full, nil
}

// start makes a node as `kakehashi init` does, and serves it.
func (r *run) start(ctx, running context.Context, nodes *errgroup.Group, name, title, root string) (*side, error) {
	s := &side{name: name, title: title, config: filepath.Join(r.dir, name, "node.yaml")}
	public, err := free()
	if err != nil {
		return nil, err
	}
	admin, err := free()
	if err != nil {
		return nil, err
	}
	args := []string{"init", "--config", s.config, "--development", "--participant", name, "--title", title,
		"--listen", public, "--admin-listen", admin, "--public-url", "http://" + public,
		"--trust-refresh", "1s"} // so that nobody waits a minute for the revocation
	if root != "" {
		args = append(args, "--files-roots", root)
	}
	var problems bytes.Buffer
	quiet := r.c.Env
	quiet.Stdout, quiet.Stderr = io.Discard, &problems
	if code := cli.Main(ctx, args, quiet, cli.Wiring{Init: cli.InitNode(r.c.LookupEnv)}); code != 0 {
		return nil, fault.DemoFailed.At(name, "step", "init", "reason", problems.String())
	}
	settings, err := config.Load(config.Source{Path: s.config, Env: r.c.LookupEnv})
	if err != nil {
		return nil, err
	}
	key, err := settings.MasterKey(r.c.LookupEnv)
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(r.c.Stderr, &slog.HandlerOptions{Level: slog.LevelError})).With("node", name)
	if s.Node, err = node.Open(ctx, node.Config{Settings: settings, MasterKey: key, Version: cli.Version(), Log: log}); err != nil {
		return nil, err
	}
	nodes.Go(func() error { return s.Run(running) })
	s.Client = &client.Client{Base: s.AdminURL(), Token: s.APIToken(), Lang: r.c.Lang()}
	select {
	case <-s.Ready():
		return s, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (r *run) publish(ctx context.Context, file string) error {
	rules, err := odrl.Terms{Purpose: purpose, Until: r.c.Now().AddDate(0, 1, 0).Truncate(time.Hour), Credential: accredited}.Policy()
	if err != nil {
		return err
	}
	p, err := odrl.Parse(rules)
	if err != nil {
		return err
	}
	d, err := r.tokyo.PublishFile(ctx, client.PublishFile{Path: file, Title: filepath.Base(file), Policy: strictjson.Raw(rules)})
	if err != nil {
		return err
	}
	r.dataset, r.title = d.ID, d.Title
	return r.step("publish", "dataset", d.ID, "file", file, "terms", odrl.Describe(p, r.c.Lang())[0])
}

func (r *run) fetch(ctx context.Context) error {
	them, err := r.tokyo.Client.Node(ctx)
	if err != nil {
		return err
	}
	r.out = filepath.Join(r.dir, "received", r.title)
	r.last = time.Now()
	got, err := r.c.Get(ctx, r.brussels.Client, client.Want{Partner: them.DID, Dataset: r.dataset, Out: r.out})
	r.last = time.Now()
	r.agreement = got.Agreement
	return err
}

// prove exports the evidence of both sides, and lets each verify the other's
// with the anchors that the other handed over, without a node or network.
func (r *run) prove(ctx context.Context) error {
	var files [2]string
	var trust bytes.Buffer
	for i, s := range []*side{r.tokyo, r.brussels} {
		files[i] = filepath.Join(r.dir, s.name+".kh-evidence.zip")
		if err := cli.ExportBundle(ctx, s.Client, r.agreement, files[i]); err != nil {
			return err
		}
		if err := s.Anchors(ctx, &trust); err != nil {
			return err
		}
	}
	anchors := filepath.Join(r.dir, "anchors.txt")
	if err := os.WriteFile(anchors, trust.Bytes(), 0o600); err != nil {
		return fault.CannotWrite.At(anchors, "file", anchors, "reason", err.Error()).Because(err)
	}
	known, err := bundle.ParseTrust(&trust)
	if err != nil {
		return err
	}
	var inputs [2]bundle.Input
	for i, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		inputs[i] = bundle.Input{R: f, Size: info.Size()}
	}
	pair, err := bundle.VerifyPair(inputs[0], inputs[1], known)
	if err != nil {
		return err
	}
	if pair.Verdict.Exit() != 0 {
		var report bytes.Buffer
		if err := pair.Write(&report, r.c.Lang()); err != nil {
			return err
		}
		return fault.DemoFailed.At("verify", "step", "verify", "reason", report.String())
	}
	return r.step("verify", "tokyo", files[0], "brussels", files[1], "anchors", anchors)
}

// keep leaves the nodes running until the person ends it.
func (r *run) keep(ctx context.Context) error {
	for _, s := range []*side{r.tokyo, r.brussels} {
		link, err := s.PortalLink(ctx)
		if err != nil {
			return err
		}
		if err := r.c.Emit(map[string]string{"step": "portal", "node": s.name, "url": link.URL}); err != nil {
			return err
		}
		if err := r.c.Say(r.c.Text.T("demo.portal", "node", s.title, "url", link.URL)); err != nil {
			return err
		}
	}
	if err := r.c.Say(r.c.Text.T("demo.keeping")); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// done says where everything is and how to repeat each step by hand.
func (r *run) done(kept bool) error {
	info, err := os.Stat(r.out)
	if err != nil {
		return err
	}
	if err := r.c.Say(r.c.Text.T("demo.done", "file", r.out, "size", cli.Bytes(info.Size()))); err != nil {
		return err
	}
	tokyo, brussels := r.tokyo.config, r.brussels.config
	if !kept {
		if err := r.c.Say(r.c.Text.T("demo.again", "tokyo", tokyo, "brussels", brussels, "japan", r.japan.config, "europe", r.europe.config)); err != nil {
			return err
		}
	}
	return r.c.Say(r.c.Text.T("demo.byhand", "dir", r.dir, "brussels", brussels, "dataset", r.dataset, "agreement", r.agreement,
		"provider", r.tokyo.PublicURL()+"/dsp/tokyo/2025-1", "admin", r.brussels.AdminURL(),
		"token", filepath.Join(filepath.Dir(brussels), "data", "api.token")))
}

// table is a small weekly table of reported cases: made by arithmetic, the same
// each time, and of no real place.
func table() []byte {
	var b bytes.Buffer
	b.WriteString("week,region,age_group,cases,tests\n")
	seed := uint32(20261123)
	for week := 1; week <= 52; week++ {
		for _, region := range []string{"JP-13", "JP-27", "BE-BRU", "FR-ARA"} {
			for i, age := range []string{"0-19", "20-64", "65+"} {
				seed = seed*1664525 + 1013904223
				wave := 60 - (week-9)*(week-9)/4 + (week%26)*3
				cases := max(wave, 4)*(i+2)/3 + int(seed>>27)
				fmt.Fprintf(&b, "2026-W%02d,%s,%s,%d,%d\n", week, region, age, cases, cases*11+int(seed>>24))
			}
		}
	}
	return b.Bytes()
}
