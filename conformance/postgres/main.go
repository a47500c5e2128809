// Command postgres runs the tests of every package that keeps tables on a
// PostgreSQL server of its own, and says with a RESULT line and its exit code
// whether all of them passed. `make postgres` builds and starts it. With -with it
// gives the server to another command, such as the bench of `make bench-stores`.
//
// The tests are the ones that `go test` runs on SQLite, unedited.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"kakehashi/conformance/result"
	"kakehashi/conformance/serving"
	"kakehashi/store/storetest"
	"kakehashi/store/storetest/cluster"
)

const (
	proof = "postgres"
	// atOnce is how many tests of a package run at a time, on any machine: most of
	// their time they wait, such as for a replica that was killed to be given up.
	atOnce = "8"
)

func main() {
	var o options
	flag.StringVar(&o.only, "run", "", "regular expression of tests: to look into one; never a full result")
	flag.BoolVar(&o.race, "race", false, "under the race detector")
	flag.BoolVar(&o.with, "with", false, "run the arguments as a command with the server's URL in "+storetest.Environment+", and no tests")
	flag.Parse()
	o.packages = flag.Args()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, o)
	stop()
	os.Exit(result.End(proof, code, err, cluster.ErrMissing))
}

type options struct {
	only     string
	race     bool
	with     bool
	packages []string
}

// with gives a command a server for as long as it runs.
func with(ctx context.Context, command []string) (code int, err error) {
	server, err := cluster.Start(ctx)
	if err != nil {
		return result.Failed, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	run := exec.CommandContext(ctx, command[0], command[1:]...)
	run.Env = append(os.Environ(), storetest.Environment+"="+server.URL())
	run.Stdout, run.Stderr = os.Stdout, os.Stderr
	return result.Passed, run.Run()
}

func run(ctx context.Context, o options) (code int, err error) {
	if o.with && len(o.packages) > 0 {
		return with(ctx, o.packages)
	}
	root, err := serving.ModuleRoot(ctx)
	if err != nil {
		return result.Failed, err
	}
	full := len(o.packages) == 0 && o.only == ""
	if len(o.packages) == 0 {
		if o.packages, err = keepers(ctx, root); err != nil {
			return result.Failed, err
		}
	}
	server, err := cluster.Start(ctx)
	if err != nil {
		return result.Failed, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	fmt.Printf("PostgreSQL %s on %s, %d packages\n", server.Version, server.Address(), len(o.packages))

	args := []string{"test", "-json", "-count=1", "-timeout=30m", "-parallel=" + atOnce}
	if o.race {
		args = append(args, "-race")
	}
	if o.only != "" {
		args = append(args, "-run", o.only)
	}
	test := exec.CommandContext(ctx, "go", append(args, o.packages...)...)
	test.Dir, test.Stderr = root, os.Stderr
	test.Env = append(os.Environ(), storetest.Environment+"="+server.URL())
	out, err := test.StdoutPipe()
	if err != nil {
		return result.Failed, err
	}
	if err := test.Start(); err != nil {
		return result.Failed, err
	}
	counts, err := count(out, os.Stdout)
	ended := test.Wait()
	if err != nil {
		return result.Failed, err
	}
	counts.Print(os.Stdout, proof, server.Version)
	if ended != nil && counts.Fail == 0 {
		return result.Failed, fmt.Errorf("go test: %w", ended)
	}
	if !full {
		return result.Failed, errors.New("not all tests were asked for: no full result")
	}
	return counts.Code(), nil
}

// keepers are the packages whose tests open a store. One that has tables and no
// such test is an error.
func keepers(ctx context.Context, root string) ([]string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-f", "{{.ImportPath}} {{join .EmbedPatterns \" \"}} {{join .TestImports \" \"}} {{join .XTestImports \" \"}}", "./...")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var found []string
	for line := range strings.Lines(string(out)) {
		switch words := strings.Fields(line); {
		case slices.Contains(words[1:], "kakehashi/store/storetest"):
			found = append(found, words[0])
		case slices.Contains(words[1:], "schema/*.sql"):
			return nil, fmt.Errorf("%s has tables and no test that opens a store", words[0])
		}
	}
	if len(found) == 0 {
		return nil, errors.New("no package has tests that open a store")
	}
	return found, nil
}

// event is a line of go test -json.
type event struct{ Action, Package, Test, Output string }

// count tells how the tests of the stream ended, each subtest too, and writes
// the runner's lines for packages, and all that a failed test said.
func count(in io.Reader, to io.Writer) (c result.Counts, err error) {
	said := map[string][]string{}
	lines := bufio.NewReader(in)
	for {
		line, e := lines.ReadBytes('\n')
		if len(line) > 0 {
			var ev event
			if json.Unmarshal(line, &ev) != nil { // the build's own words
				fmt.Fprintf(to, "%s", line)
				continue
			}
			key := ev.Package + " " + ev.Test
			switch {
			case ev.Test == "" && ev.Action == "output" && !strings.HasPrefix(ev.Output, "PASS"):
				fmt.Fprint(to, ev.Output)
			case ev.Action == "output":
				said[key] = append(said[key], ev.Output)
			case ev.Test == "" && ev.Action == "fail":
				for k, words := range said {
					if strings.HasPrefix(k, ev.Package+" ") { // what was said when the package broke off
						fmt.Fprint(to, strings.Join(words, ""))
						c.Found, c.Fail = c.Found+1, c.Fail+1
					}
				}
			case ev.Test == "":
			case ev.Action == "pass":
				c.Found, c.Pass = c.Found+1, c.Pass+1
				delete(said, key)
			case ev.Action == "skip":
				c.Found, c.Skip = c.Found+1, c.Skip+1
				fmt.Fprint(to, strings.Join(said[key], ""))
				delete(said, key)
			case ev.Action == "fail":
				c.Found, c.Fail = c.Found+1, c.Fail+1
				fmt.Fprint(to, strings.Join(said[key], ""))
				delete(said, key)
			}
		}
		if errors.Is(e, io.EOF) {
			return c, nil
		}
		if e != nil {
			return c, e
		}
	}
}
