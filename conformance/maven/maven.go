// Package maven brings the Java programs of the proofs: the jars that a pom.xml
// names, once for each pom.xml, through the Maven of this machine and whatever
// registry that is set up with. A machine without them is missing something,
// which is no verdict on the node.
package maven

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// ErrMissing is why a proof cannot run here: the machine's fault, not the node's.
var ErrMissing = errors.New("missing")

func missing(format string, v ...any) error {
	return fmt.Errorf("%w%s", ErrMissing, fmt.Sprintf(": "+format, v...))
}

// registryFault is how Maven says that it cannot reach its registry, or that the
// registry lacks something.
var registryFault = regexp.MustCompile(`Could not (transfer|find|resolve)|could not be resolved|not available from the repositories|No plugin found`)

// fetchLimit is how long a registry may take.
const fetchLimit = 5 * time.Minute

// Jars is the class path of a program.
type Jars struct {
	Version string // the property version of the pom.xml
	Folder  string // of jars
}

// Fetch gets what folder/pom.xml names into cache, under name. version is the
// property that holds the program's version. programs must be on the machine:
// java, and javac where Java source is started.
func Fetch(ctx context.Context, folder, cache, name, version string, programs ...string) (Jars, error) {
	file := filepath.Join(folder, "pom.xml")
	pom, err := os.ReadFile(file)
	if err != nil {
		return Jars{}, err
	}
	m := regexp.MustCompile(`<` + regexp.QuoteMeta(version) + `>([^<]+)</`).FindSubmatch(pom)
	if m == nil {
		return Jars{}, fmt.Errorf("%s does not name %s", file, version)
	}
	j := Jars{Version: string(m[1])}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			return j, missing("%s (a JDK of 17 or newer) is not installed", program)
		}
	}
	j.Folder = filepath.Join(cache, fmt.Sprintf("%s-%s-%.12x", name, j.Version, sha256.Sum256(pom)))
	if _, err := os.Stat(j.Folder); err == nil {
		return j, nil
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return j, missing("mvn (Maven) is not installed")
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return j, err
	}
	temporary, err := os.MkdirTemp(cache, "fetching-")
	if err != nil {
		return j, err
	}
	defer os.RemoveAll(temporary)
	slow, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	mvn := exec.CommandContext(slow, "mvn", "-B", "-q", "-f", file, "org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies", "-DoutputDirectory="+temporary)
	if out, err := mvn.CombinedOutput(); err != nil {
		if slow.Err() != nil && ctx.Err() == nil || registryFault.Match(out) {
			return j, missing("the Maven registry does not serve %s %s: %s", name, j.Version, firstError(out))
		}
		return j, fmt.Errorf("mvn: %w: %s", err, out)
	}
	return j, os.Rename(temporary, j.Folder)
}

func firstError(out []byte) string {
	for line := range strings.Lines(string(out)) {
		if _, what, ok := strings.Cut(line, "[ERROR]"); ok { // after a colour, perhaps
			return strings.TrimSpace(what)
		}
	}
	return strings.TrimSpace(string(out))
}
