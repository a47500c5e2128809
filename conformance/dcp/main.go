// Command dcp runs the official compatibility kit of the Decentralized Claims
// Protocol against a served node, in each of its roles: holder, issuer and
// verifier, with both kinds of status lists. It fetches the kit by Maven, starts
// `kakehashi serve`, gives it what the kit expects to find, and says with a RESULT
// line and its exit code whether every enabled case passed. `make tck` builds and
// starts it.
//
// It judges nothing itself; the kit's verdict is the result.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"kakehashi/client"
	"kakehashi/conformance/maven"
	"kakehashi/conformance/result"
	"kakehashi/conformance/serving"
	"kakehashi/dcp"
)

const proof = "dcp-tck"

// cases is how many the kit must find, and how many of them it switches off
// itself.
const (
	cases    = 88
	disabled = 3
)

// roles are the parts of the kit, by the role in which they put the node.
var roles = []struct{ name, packages string }{
	{"holder", "presentation.cs,issuance.cs"},
	{"issuer", "issuance.issuer"},
	{"verifier", "presentation.verifier"},
}

// lists are the kinds of status lists, as the kit calls them.
var lists = []string{"bitstringstatuslist", "statuslist2021"}

func main() {
	repeat := flag.Int("repeat", 1, "how often all cases are run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code, err := run(ctx, *repeat)
	stop()
	os.Exit(result.End(proof, code, err, maven.ErrMissing))
}

func run(ctx context.Context, repeat int) (int, error) {
	root, err := serving.ModuleRoot(ctx)
	if err != nil {
		return result.Failed, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return result.Failed, err
	}
	source := filepath.Join(root, "conformance", "dcp", "kit")
	jars, err := maven.Fetch(ctx, source, filepath.Join(cache, "kakehashi-conformance"), "dcp-kit", "kit.version", "java", "javac")
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
	fmt.Printf("kit %s against kakehashi serve; logs in %s\n", jars.Version, work)
	var runs []result.Counts
	for i := range repeat {
		for _, kind := range lists {
			began := time.Now()
			c, err := once(ctx, program, jars.Folder, source, filepath.Join(work, fmt.Sprint("run-", i+1, "-", kind)), kind)
			if err != nil {
				return result.Failed, fmt.Errorf("run %d with %s: %w", i+1, kind, err)
			}
			runs = append(runs, c)
			fmt.Printf("run %d of %d, %s: %d passed, %d failed in %.0f s\n", i+1, repeat, kind, c.Pass, c.Fail, time.Since(began).Seconds())
		}
	}
	worst := result.Worst(runs)
	if worst.Code() == 0 { // the logs of a failure stay
		if err := os.RemoveAll(work); err != nil {
			return result.Failed, err
		}
	}
	worst.Print(os.Stdout, proof, jars.Version)
	return worst.Code(), nil
}

// limit is the time of all roles with one kind of lists.
const limit = 6 * time.Minute

// once runs all roles, each with a node of its own.
func once(ctx context.Context, program, libs, source, folder, kind string) (total result.Counts, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("a run may take %s", limit))
	defer cancel()
	for _, role := range roles {
		c, err := play(ctx, program, libs, source, filepath.Join(folder, role.name), kind, role.name, role.packages)
		if err != nil {
			return total, fmt.Errorf("as %s: %w", role.name, err)
		}
		total.Found, total.Pass, total.Fail, total.Skip = total.Found+c.Found, total.Pass+c.Pass, total.Fail+c.Fail, total.Skip+c.Skip
	}
	// What the kit switches off by itself is no skip of ours; a case that is absent
	// has failed.
	if total.Skip == disabled {
		total.Skip, total.Disabled = 0, disabled
	}
	total.Fail += max(0, cases-total.Found)
	return total, nil
}

// play runs one role's cases against a node that has just been made.
func play(ctx context.Context, program, libs, source, folder, kind, role, packages string) (c result.Counts, err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return c, err
	}
	nodeLog, err := os.Create(filepath.Join(folder, "node.log"))
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, nodeLog.Close()) }()
	kitLog, err := os.Create(filepath.Join(folder, "kit.log"))
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, kitLog.Close()) }()
	// The kit shows new credentials with each message, and wants each judged; this
	// version of it has queries for too much refused, as a draft of DCP did.
	node, err := serving.Start(ctx, serving.Config{Program: program, Folder: filepath.Join(folder, "node"), Participant: "sut",
		Args: []string{"--trust-fresh", "0s", "--trust-refresh", "1s", "--wallet-strict"}, Log: nodeLog})
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, node.Stop()) }()
	addresses, err := serving.Free(1)
	if err != nil {
		return c, err
	}
	who, err := node.API.Node(ctx)
	if err != nil {
		return c, err
	}
	if err := prepare(ctx, node.API, addresses[0], role); err != nil {
		return c, fmt.Errorf("prepare the node: %w", err)
	}
	settings := filepath.Join(folder, "kit.properties")
	if err := os.WriteFile(settings, []byte(properties(node.API, who, addresses[0], kind, role, packages)), 0o600); err != nil {
		return c, err
	}
	return kit(ctx, libs, filepath.Join(source, "src", "main", "java", "Main.java"), settings, kitLog)
}

// The types of the kit's credentials, and the id under which it delivers them.
var types = []string{"MembershipCredential", "SensitiveDataCredential"}

const correlation = "kakehashi-kit"

// party is the DID of one that the kit plays.
func party(address, name string) string {
	return "did:web:" + strings.Replace(address, ":", "%3A", 1) + ":" + name
}

// prepare gives a node what an organisation would, before it meets the kit.
func prepare(ctx context.Context, node *client.Client, address, role string) error {
	for _, name := range []string{"holder", "issuer", "verifier", "thirdparty"} {
		if _, err := node.SetTrustRule(ctx, client.TrustRule{Counterparty: party(address, name), Lenient: true}); err != nil {
			return err
		}
	}
	issuer := party(address, "issuer")
	if _, err := node.TrustIssuer(ctx, client.TrustedIssuer{DID: issuer, Types: types, UnsignedStatus: true}); err != nil {
		return err
	}
	switch role {
	case "holder":
		for _, t := range types {
			if _, err := node.ShareCredentials(ctx, client.WalletShare{Type: t}); err != nil {
				return err
			}
		}
		_, err := node.ExpectCredentials(ctx, client.WalletRequest{Issuer: issuer, HolderPid: correlation, Standing: true})
		return err
	case "issuer":
		for _, t := range types {
			if _, err := node.DefineType(ctx, client.IssuedType{ID: t, Type: t, Profile: dcp.ProfileVC11, Format: "VC1_0_JWT", Approval: "anybody"}); err != nil {
				return err
			}
		}
	case "verifier":
		for _, name := range []string{"holder", "thirdparty"} {
			if _, err := node.SetTrustRule(ctx, client.TrustRule{Counterparty: party(address, name), Lenient: true, Ask: types[:1]}); err != nil {
				return err
			}
		}
		_, err := node.SetTrustRule(ctx, client.TrustRule{Ask: types[:1]})
		return err
	}
	return nil
}

// properties tells the kit where everything is.
func properties(node *client.Client, who client.Node, address, kind, role, packages string) string {
	var b strings.Builder
	set := func(key, value string) { fmt.Fprintf(&b, "%s=%s\n", key, value) }
	const p = "dataspacetck."
	host, port, _ := strings.Cut(address, ":")
	set(p+"debug", "true")
	set(p+"host", host)
	set(p+"port", port)
	set(p+"callback.address", "http://"+address)
	set(p+"did."+role, who.DID)
	if role == "holder" {
		set(p+"sts.url", node.Base+"/sts")
		set(p+"sts.client.id", "sut")
		set(p+"sts.client.secret", node.Token)
	}
	set(p+"credentials.correlation.id", correlation)
	set(p+"vpp.trigger.endpoint", strings.TrimSuffix(who.Base, "/")+"/catalog/request")
	set(p+"revocation.type", kind)
	var full []string
	for name := range strings.SplitSeq(packages, ",") {
		full = append(full, "org.eclipse.dataspacetck.dcp.verification."+name)
	}
	set("packages", strings.Join(full, ","))
	return b.String()
}

var (
	failureLine = regexp.MustCompile(`^kit failure (.*)`)
	countLine   = regexp.MustCompile(`^kit found=(\d+) succeeded=(\d+) failed=(\d+) skipped=(\d+)`)
)

// kit plays the cases and copies what it prints to log. An error says that it did
// not come to its end.
func kit(ctx context.Context, libs, class, settings string, log io.Writer) (c result.Counts, err error) {
	java := exec.CommandContext(ctx, "java", "-cp", filepath.Join(libs, "*"), class, settings)
	java.Stderr = log
	out, err := java.StdoutPipe()
	if err != nil {
		return c, err
	}
	if err := java.Start(); err != nil {
		return c, err
	}
	ended := false
	var failures []string
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		fmt.Fprintln(log, lines.Text())
		if m := failureLine.FindStringSubmatch(lines.Text()); m != nil {
			failures = append(failures, m[1])
		}
		if m := countLine.FindStringSubmatch(lines.Text()); m != nil {
			ended = true
			for i, into := range []*int{&c.Found, &c.Pass, &c.Fail, &c.Skip} {
				*into, _ = strconv.Atoi(m[i+1])
			}
		}
	}
	err = errors.Join(lines.Err(), java.Wait())
	slices.Sort(failures)
	for _, f := range failures {
		fmt.Printf("FAILED %.300s\n", f)
	}
	if ended {
		return c, nil // its exit code says only that a case failed
	}
	return c, fmt.Errorf("the kit did not come to its end: %w", errors.Join(err, context.Cause(ctx)))
}
