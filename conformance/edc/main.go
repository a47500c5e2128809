// Command edc exchanges data between a served node and Eclipse EDC, both ways: it
// fetches EDC by Maven, starts two of them, one that looks for work once a second
// as it comes and one that does so every 5 ms, starts `kakehashi serve`, and runs
// cases of catalogue, negotiation and transfer between them. A RESULT line and
// its exit code say whether every case passed. `make edc` builds and starts it.
//
// It uses public hooks of both connectors only: the two management APIs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"kakehashi/client"
	"kakehashi/conformance/maven"
	"kakehashi/conformance/result"
	"kakehashi/conformance/serving"
)

const (
	proof = "edc"
	// template is the identity of EDC's iam-mock.
	template = `{"region":"eu","audience":"{counterparty}","clientId":"{self}"}`
	// sideBySide is how many exchanges run at once in the cases of many.
	sideBySide = 50
)

type options struct {
	only  string
	limit time.Duration
	each  time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.only, "only", "", "regular expression of names: to look into a case; never a full result")
	flag.DurationVar(&o.limit, "limit", 4*time.Minute, "time of the run")
	flag.DurationVar(&o.each, "each", time.Minute, "time of one case")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code, err := run(ctx, o)
	stop()
	os.Exit(result.End(proof, code, err, maven.ErrMissing))
}

func run(ctx context.Context, o options) (int, error) {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return result.Failed, err
	}
	root, err := serving.ModuleRoot(ctx)
	if err != nil {
		return result.Failed, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return result.Failed, err
	}
	cache = filepath.Join(cache, "kakehashi-conformance")
	jars, err := maven.Fetch(ctx, filepath.Join(root, "conformance", "edc", "connector"), cache, "edc", "edc.version", "java")
	if err != nil {
		return result.Failed, err
	}
	work, err := os.MkdirTemp("", "kakehashi-"+proof+"-") // its own, so that two runs do not meet
	if err != nil {
		return result.Failed, err
	}
	program := filepath.Join(work, "kakehashi")
	if err := serving.Build(ctx, root, program); err != nil {
		return result.Failed, err
	}
	fmt.Printf("EDC %s against kakehashi serve; logs in %s\n", jars.Version, work)
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("a run may take %s", o.limit))
	defer cancel()
	began := time.Now()
	counts, err := play(ctx, stage{jars: jars, program: program, work: work, only: only, each: o.each})
	if err != nil {
		return result.Failed, err
	}
	fmt.Printf("%d passed, %d failed in %.0f s\n", counts.Pass, counts.Fail, time.Since(began).Seconds())
	if o.only != "" {
		return result.Failed, errors.New("only a part was run: that is no result")
	}
	if counts.Code() == 0 { // the logs of a failure stay
		if err := os.RemoveAll(work); err != nil {
			return result.Failed, err
		}
	}
	counts.Print(os.Stdout, proof, jars.Version)
	return counts.Code(), nil
}

// stage is what a run needs.
type stage struct {
	jars          maven.Jars
	program, work string
	only          *regexp.Regexp
	each          time.Duration
}

// speeds are the EDCs of a run. The id edc would be a prefix of JSON-LD, which EDC
// then cannot read.
var speeds = []struct {
	id, title string
	every     time.Duration
	atOnce    int // cases side by side; those of a slow EDC mostly wait
}{
	{"osaka", "every 1 s", 0, 8},
	{"nagoya", "every 5 ms", 5 * time.Millisecond, 3},
}

// play starts everything, runs all cases, and ends everything.
func play(ctx context.Context, s stage) (counts result.Counts, err error) {
	var files []io.Closer
	create := func(name string) (io.Writer, error) {
		f, err := os.Create(filepath.Join(s.work, name))
		files = append(files, f)
		return f, err
	}
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.Close())
		}
	}()
	log, err := create("node.log")
	if err != nil {
		return counts, err
	}
	node, err := serving.Start(ctx, serving.Config{Program: s.program, Folder: filepath.Join(s.work, "node"), Participant: "tokyo",
		Args: []string{"--identity-template", template}, Log: log})
	if err != nil {
		return counts, err
	}
	defer func() { err = errors.Join(err, node.Stop()) }()
	who, err := node.API.Node(ctx)
	if err != nil {
		return counts, err
	}
	var beds sync.WaitGroup
	var mu sync.Mutex
	for _, speed := range speeds {
		log, err := create(speed.id + ".log")
		if err != nil {
			return counts, err
		}
		beds.Go(func() {
			c, failed := s.perform(ctx, &bed{node: node, who: who}, log, speed.id, speed.title, speed.every, speed.atOnce)
			mu.Lock()
			defer mu.Unlock()
			counts.Found, counts.Pass, counts.Fail = counts.Found+c.Found, counts.Pass+c.Pass, counts.Fail+c.Fail
			err = errors.Join(err, failed)
		})
	}
	beds.Wait()
	return counts, err
}

// perform runs the cases against one EDC.
func (s stage) perform(ctx context.Context, b *bed, log io.Writer, id, title string, every time.Duration, atOnce int) (counts result.Counts, err error) {
	if b.around, err = listen(); err != nil {
		return counts, err
	}
	defer func() { err = errors.Join(err, b.around.stop()) }()
	began := time.Now()
	if b.edc, err = startConnector(ctx, s.jars, s.work, id, every, log); err != nil {
		return counts, err
	}
	defer func() { err = errors.Join(err, b.edc.stop()) }()
	fmt.Printf("EDC %s, which looks for work %s, is ready after %.1f s\n", id, title, time.Since(began).Seconds())
	if _, err := b.api().FixPartner(ctx, client.FixPartner{ID: id, Base: b.edc.protocol, Title: "EDC " + title}); err != nil {
		return counts, err
	}
	var mu sync.Mutex
	one := func(c test) {
		limit := s.each
		if c.crowd {
			limit *= 2
		}
		ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("a case may take %s", limit))
		defer cancel()
		began := time.Now()
		err := c.run(ctx, b)
		took := time.Since(began).Seconds()
		mu.Lock()
		defer mu.Unlock()
		counts.Found++
		if err != nil {
			counts.Fail++
			fmt.Printf("FAIL  %-10s  %5.1f s  %s: %v\n", title, took, c.name, err)
			return
		}
		counts.Pass++
		fmt.Printf("pass  %-10s  %5.1f s  %s\n", title, took, c.name)
	}
	var cases sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for _, c := range all() {
		if !s.only.MatchString(c.name) {
			continue
		}
		places <- struct{}{}
		cases.Go(func() {
			defer func() { <-places }()
			one(c)
		})
	}
	cases.Wait()
	for _, c := range crowds { // alone, since they are about load
		if s.only.MatchString(c.name) {
			one(c)
		}
	}
	return counts, nil
}

// all are the cases that can run side by side.
func all() []test {
	return slices.Concat(exchanges, termsCases(), refusals, interruptions)
}
