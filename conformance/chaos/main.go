// Command chaos makes exchanges between nodes while it breaks what they run on:
// the line between them, the nodes themselves, their database. Then it lets all
// come to rest and holds both sides against what was acknowledged, and against each
// other. A RESULT line and its exit code say whether everything holds. `make chaos`
// builds and starts it.
//
// The seed fixes what it decides; when a decision falls depends on the machine. It
// uses the program, its management API and signals, nothing else of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"kakehashi/conformance/result"
	"kakehashi/conformance/serving"
	"kakehashi/store/storetest/cluster"
)

const proof = "chaos"

type options struct {
	exchanges int
	seed      uint64
	only      string
	inFlight  int
	limit     time.Duration
	patience  time.Duration
	proofs    int
	update    bool
}

func main() {
	var o options
	flag.IntVar(&o.exchanges, "n", 10_000, "exchanges of all pairs together")
	flag.Uint64Var(&o.seed, "seed", 0, "what fixes the harness's decisions; 0: by chance, printed")
	flag.StringVar(&o.only, "only", "", "regular expression of pairs: never a full result")
	flag.IntVar(&o.inFlight, "in-flight", 32, "exchanges at a time")
	flag.DurationVar(&o.limit, "limit", 20*time.Minute, "time of the exchanges of one pair")
	flag.DurationVar(&o.patience, "patience", 6*time.Minute, "until all has come to rest after the last fault")
	flag.IntVar(&o.proofs, "proofs", 10, "agreements of each pair whose evidence is verified")
	flag.BoolVar(&o.update, "update", false, "write the report into docs/reliability.md")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, o)
	stop()
	os.Exit(result.End(proof, code, err, cluster.ErrMissing))
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
	work, err := os.MkdirTemp("", "kakehashi-"+proof+"-")
	if err != nil {
		return result.Failed, err
	}
	program := filepath.Join(work, "kakehashi")
	if err := serving.Build(ctx, root, program); err != nil {
		return result.Failed, err
	}
	if o.seed == 0 {
		o.seed = rand.Uint64N(1_000_000) + 1
	}
	fmt.Printf("%d exchanges, %d at a time, SEED=%d; logs in %s\n", o.exchanges, o.inFlight, o.seed, work)
	began := time.Now()
	log := func(format string, args ...any) {
		fmt.Printf("%6.1f  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	var counts result.Counts
	var all []outcome
	for i, p := range pairs {
		share := o.exchanges / len(pairs)
		if i == 0 {
			share += o.exchanges % len(pairs)
		}
		if !only.MatchString(p.name) {
			continue
		}
		out, err := play{pair: p, total: share, seed: o.seed, stage: stage{program: program, folder: filepath.Join(work, fmt.Sprint("pair", i+1)),
			inFlight: o.inFlight, limit: o.limit, patience: o.patience, proofs: o.proofs, log: log}}.run(ctx)
		if err != nil {
			return result.Failed, fmt.Errorf("%s: %w (SEED=%d, logs in %s)", p.name, err, o.seed, work)
		}
		if err := out.verdict.all(); err != nil {
			fmt.Printf("*** %s, SEED=%d ***\n%v\n", p.name, o.seed, err)
		}
		counts.Found += out.counts.Found
		counts.Pass += out.counts.Pass
		counts.Fail += out.counts.Fail
		all = append(all, out)
	}
	text := report(all, time.Since(began))
	fmt.Print("\n", text)
	if o.only != "" {
		return result.Failed, errors.New("only a part was run: that is no result")
	}
	if o.update && counts.Code() == result.Passed {
		if err := write(filepath.Join(root, "docs", "reliability.md"), text); err != nil {
			return result.Failed, err
		}
	}
	if counts.Code() == result.Passed { // the logs of a failure stay
		if err := os.RemoveAll(work); err != nil {
			return result.Failed, err
		}
	}
	counts.Print(os.Stdout, proof, fmt.Sprint("seed-", o.seed))
	return counts.Code(), nil
}

// times gives median and maximum of the exchanges that came to their end.
func times(all []exchange) (median, most time.Duration) {
	var took []time.Duration
	for _, x := range all {
		if x.err == nil {
			took = append(took, x.took)
		}
	}
	if len(took) == 0 {
		return 0, 0
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)-1]
}
