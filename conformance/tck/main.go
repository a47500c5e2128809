// Command tck runs the official compatibility kit of the Dataspace Protocol
// against a served node: it fetches the kit by Maven, starts `kakehashi serve`
// with the harness, runs all cases, and says with a RESULT line and its exit code
// whether every enabled one passed. `make tck` builds and starts it.
//
// It judges nothing itself; the kit's verdict is the result.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"kakehashi/conformance/conversations"
	"kakehashi/conformance/harness"
	"kakehashi/conformance/maven"
	"kakehashi/conformance/result"
	"kakehashi/conformance/script"
	"kakehashi/conformance/serving"
)

const (
	proof         = "dsp-tck"
	counterparty  = "TCK_PARTICIPANT"
	authorization = "Bearer the-kit-proves-nothing"
)

// official are the ids of the kit; other conversations are our own.
var official = regexp.MustCompile(`^(MET|CAT|CN|CN_C|TP|TP_C):\d\d-\d\d$`)

type options struct {
	repeat int
	only   string
	pause  time.Duration
	limit  time.Duration
	update bool
}

func main() {
	var o options
	flag.IntVar(&o.repeat, "repeat", 1, "how often all cases are run")
	flag.StringVar(&o.only, "only", "", "regular expression of ids: to look into a case; never a full result")
	flag.DurationVar(&o.pause, "pause", 500*time.Millisecond, "how long our side waits before a step: the kit takes no message earlier")
	flag.DurationVar(&o.limit, "limit", 4*time.Minute, "time of one run")
	flag.BoolVar(&o.update, "update", false, "write docs/conformance.md from the run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code, err := run(ctx, o)
	stop()
	os.Exit(result.End(proof, code, err, maven.ErrMissing))
}

func run(ctx context.Context, o options) (int, error) {
	if o.pause < 300*time.Millisecond || o.pause > time.Second || o.repeat < 1 {
		return result.Failed, errors.New("-pause lies between 300ms and 1s, -repeat is at least 1")
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
	k, err := fetch(ctx, filepath.Join(root, "conformance", "tck", "kit"), cache)
	if err != nil {
		return result.Failed, err
	}
	all, err := script.Load(conversations.Files)
	if err != nil {
		return result.Failed, err
	}
	all = slices.DeleteFunc(all, func(c script.Conversation) bool { return !official.MatchString(c.ID) })
	work, err := os.MkdirTemp("", "kakehashi-"+proof+"-") // its own, so that two runs do not meet
	if err != nil {
		return result.Failed, err
	}
	program := filepath.Join(work, "kakehashi")
	if err := serving.Build(ctx, root, program); err != nil {
		return result.Failed, err
	}
	fmt.Printf("kit %s against kakehashi serve; logs in %s\n", k.version, work)
	var runs []result.Counts
	var last outcome
	for i := range o.repeat {
		folder := filepath.Join(work, fmt.Sprint("run-", i+1))
		began := time.Now()
		last, err = once(ctx, o, k, program, folder, all)
		if err != nil {
			return result.Failed, fmt.Errorf("run %d of %d: %w", i+1, o.repeat, err)
		}
		if o.only == "" {
			last.judge(all)
		}
		runs = append(runs, last.counts)
		for _, id := range ordered(last.failures) {
			fmt.Printf("FAILED %s %s\n", id, last.failures[id])
		}
		fmt.Printf("run %d of %d: %d passed, %d failed in %.0f s\n", i+1, o.repeat, last.counts.Pass, last.counts.Fail, time.Since(began).Seconds())
	}
	if o.only != "" {
		return result.Failed, errors.New("only a part was run: that is no result")
	}
	if o.update {
		if err := os.WriteFile(filepath.Join(root, "docs", "conformance.md"), []byte(document(k.version, last, all)), 0o644); err != nil {
			return result.Failed, err
		}
	}
	worst := result.Worst(runs)
	if worst.Code() == 0 { // the logs of a failure stay
		if err := os.RemoveAll(work); err != nil {
			return result.Failed, err
		}
	}
	worst.Print(os.Stdout, proof, k.version)
	return worst.Code(), nil
}

// once is one run with a node of its own.
func once(ctx context.Context, o options, k kit, program, folder string, all []script.Conversation) (_ outcome, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("a run may take %s", o.limit))
	defer cancel()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return outcome{}, err
	}
	var files []io.Closer
	create := func(name string) (io.Writer, error) {
		f, err := os.Create(filepath.Join(folder, name))
		files = append(files, f)
		return f, err
	}
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.Close())
		}
	}()
	nodeLog, err := create("node.log")
	if err != nil {
		return outcome{}, err
	}
	ourLog, err := create("harness.log")
	if err != nil {
		return outcome{}, err
	}
	kitLog, err := create("kit.log")
	if err != nil {
		return outcome{}, err
	}
	free, err := serving.Free(1)
	if err != nil {
		return outcome{}, err
	}
	h, err := harness.Start(ctx, harness.Config{Program: program, Folder: filepath.Join(folder, "node"), Conversations: all,
		Counterparty: counterparty, CounterBase: "http://" + free[0], Authorization: authorization, Pause: o.pause,
		NodeLog: nodeLog, Log: slog.New(slog.NewTextHandler(ourLog, nil))})
	if err != nil {
		return outcome{}, err
	}
	defer func() { err = errors.Join(err, h.Stop()) }()
	settings := filepath.Join(folder, "kit.properties")
	if err := os.WriteFile(settings, []byte(properties(h, free[0], authorization, o.only, all)), 0o600); err != nil {
		return outcome{}, err
	}
	return k.run(ctx, settings, kitLog)
}

func ordered(m map[string]string) []string {
	ids := make([]string, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
