// Package result prints what a proof found as one line that programs read, and
// says with its exit code whether it counts. All proofs share it.
package result

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Exit codes of a proof.
const (
	Passed  = 0
	Failed  = 1
	Skipped = 77 // what it needs is not on this machine; named on the line
)

// Counts are the cases of one proof.
type Counts struct {
	Found    int // all that the kit lists
	Pass     int
	Fail     int
	Skip     int // listed and meant to run, but did not
	Disabled int // switched off by the kit itself
}

// Code is Passed only when something passed, nothing failed and nothing was left out.
func (c Counts) Code() int {
	if c.Pass > 0 && c.Fail == 0 && c.Skip == 0 && c.Found == c.Pass+c.Disabled {
		return Passed
	}
	return Failed
}

// Print writes the line of a proof that ran.
func (c Counts) Print(w io.Writer, proof, version string) {
	fmt.Fprintf(w, "RESULT %s found=%d pass=%d fail=%d skip=%d disabled=%d version=%s\n", proof, c.Found, c.Pass, c.Fail, c.Skip, c.Disabled, version)
}

// PrintSkipped writes the line of a proof that could not run, so that nobody
// takes its silence for success.
func PrintSkipped(w io.Writer, proof, reason string) {
	fmt.Fprintf(w, "\n*** %s DID NOT RUN: %s ***\n\nRESULT %s skipped: %s\n", proof, reason, proof, reason)
}

// End says why a proof did not come to a result and gives its exit code; missing is
// the error of what this machine lacks.
func End(proof string, code int, err, missing error) int {
	switch {
	case errors.Is(err, missing):
		PrintSkipped(os.Stdout, proof, err.Error())
		return Skipped
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", proof, err)
		return Failed
	}
	return code
}

// Worst is the count of several runs of the same cases: what passed in all.
func Worst(runs []Counts) Counts {
	if len(runs) == 0 {
		return Counts{}
	}
	w := runs[0]
	for _, c := range runs[1:] {
		w.Found, w.Pass = min(w.Found, c.Found), min(w.Pass, c.Pass)
		w.Fail, w.Skip, w.Disabled = max(w.Fail, c.Fail), max(w.Skip, c.Skip), max(w.Disabled, c.Disabled)
	}
	return w
}
