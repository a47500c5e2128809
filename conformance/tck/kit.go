package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"kakehashi/conformance/harness"
	"kakehashi/conformance/maven"
	"kakehashi/conformance/result"
	"kakehashi/conformance/script"
)

// kit is the official kit as Maven brought it.
type kit struct {
	version string
	libs    string // folder of jars
	main    string // our class that starts it
}

// fetch gets the kit once for each pom.xml, into cache.
func fetch(ctx context.Context, source, cache string) (kit, error) {
	jars, err := maven.Fetch(ctx, source, cache, "dsp-kit", "kit.version", "java", "javac") // java compiles our class with javac's module
	return kit{version: jars.Version, libs: jars.Folder, main: filepath.Join(source, "src", "main", "java", "Main.java")}, err
}

// properties tells the kit where everything is, and which ids each case uses.
func properties(h *harness.Harness, address, authorization, only string, all []script.Conversation) string {
	var b strings.Builder
	set := func(key, value string) {
		value = strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(value)
		fmt.Fprintf(&b, "%s=%s\n", key, value)
	}
	const p = "dataspacetck."
	set(p+"debug", "true")
	set(p+"host", "127.0.0.1")
	_, port, _ := strings.Cut(address, ":")
	set(p+"port", port)
	set(p+"callback.address", "http://"+address)
	set(p+"dsp.default.wait", "10")
	set(p+"dsp.connector.agent.id", h.Node.DID)
	set(p+"dsp.connector.http.url", strings.TrimSuffix(h.Node.Base, "/"))
	set(p+"dsp.connector.http.base.url", h.Root())
	set(p+"dsp.connector.http.headers.authorization", authorization)
	set(p+"dsp.connector.negotiation.initiate.url", h.Triggers+harness.TriggerNegotiation)
	set(p+"dsp.connector.transfer.initiate.url", h.Triggers+harness.TriggerTransfer)
	for _, c := range all {
		name := strings.NewReplacer(":", "_", "-", "_").Replace(c.ID)
		if c.Dataset != "" {
			set(name+"_DATASETID", c.Dataset)
		}
		if c.Offer != "" {
			set(name+"_OFFERID", c.Offer)
		}
		if c.Agreement != "" {
			set(name+"_AGREEMENTID", c.Agreement)
			set(name+"_FORMAT", "HttpData-PULL")
		}
	}
	if only != "" {
		set("only", only)
	}
	return b.String()
}

// outcome is what one run of the kit said.
type outcome struct {
	counts   result.Counts
	cases    map[string]bool   // by id: successful
	failures map[string]string // by id: what the kit says
}

var (
	caseLine    = regexp.MustCompile(`(SUCCESSFUL|FAILED|ABORTED): ((?:MET|CAT|CN|CN_C|TP|TP_C):\d\d-\d\d)\b`)
	failureLine = regexp.MustCompile(`^kit failure ((?:MET|CAT|CN|CN_C|TP|TP_C):\d\d-\d\d)\b(.*)`)
	countLine   = regexp.MustCompile(`^kit found=(\d+) succeeded=(\d+) failed=(\d+) skipped=(\d+)`)
)

// run plays all cases and copies what the kit prints to log. An error says that
// it did not come to its end.
func (k kit) run(ctx context.Context, settings string, log io.Writer) (outcome, error) {
	o := outcome{cases: map[string]bool{}, failures: map[string]string{}}
	java := exec.CommandContext(ctx, "java", "-cp", filepath.Join(k.libs, "*"), k.main, settings)
	java.Stderr = log
	out, err := java.StdoutPipe()
	if err != nil {
		return o, err
	}
	if err := java.Start(); err != nil {
		return o, err
	}
	ended := false
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		fmt.Fprintln(log, lines.Text())
		ended = o.read(lines.Text()) || ended
	}
	err = errors.Join(lines.Err(), java.Wait())
	if ended {
		return o, nil // its exit code says only that a case failed
	}
	return o, fmt.Errorf("the kit did not come to its end: %w", errors.Join(err, context.Cause(ctx)))
}

// read takes one line of the kit; true for its last.
func (o *outcome) read(line string) bool {
	if m := caseLine.FindStringSubmatch(line); m != nil {
		o.cases[m[2]] = m[1] == "SUCCESSFUL"
	}
	if m := failureLine.FindStringSubmatch(line); m != nil {
		o.failures[m[1]] = strings.TrimSpace(m[2])
	}
	m := countLine.FindStringSubmatch(line)
	if m == nil {
		return false
	}
	var n [4]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1])
	}
	o.counts = result.Counts{Found: n[0], Pass: n[1], Fail: n[2], Skip: n[3]}
	return true
}

// judge holds the kit's own counts against the cases that must be there: one that
// is absent fails, and what the kit switches off is no skip.
func (o *outcome) judge(all []script.Conversation) {
	for _, c := range all {
		ok, ran := o.cases[c.ID]
		switch {
		case ran && ok, ran && o.failures[c.ID] != "":
		case ran:
			o.failures[c.ID] = "failed without a word"
		case c.Disabled != "" && o.counts.Skip > 0:
			o.counts.Skip--
			o.counts.Disabled++
		default:
			o.failures[c.ID] = "the kit did not run it"
		}
	}
	o.counts.Fail = max(o.counts.Fail, len(o.failures))
}
