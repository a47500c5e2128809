package sqlite_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// modernc.org/sqlite works with exactly the modernc.org/libc that its own
// go.mod names; the two do not follow semantic versioning together.
func TestTheLibcIsTheOneThatTheEngineWasMadeWith(t *testing.T) {
	t.Parallel()
	module := func(format, path string) string {
		out, err := exec.Command("go", "list", "-m", "-f", format, path).Output()
		if err != nil {
			t.Skipf("the go command does not tell about %s: %v", path, err)
		}
		return strings.TrimSpace(string(out))
	}
	file := module("{{.GoMod}}", "modernc.org/sqlite")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Skipf("the go.mod of modernc.org/sqlite is not here: %v", err)
	}
	parsed, err := modfile.ParseLax(file, text, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range parsed.Require {
		if r.Mod.Path == "modernc.org/libc" {
			if ours := module("{{.Version}}", "modernc.org/libc"); ours != r.Mod.Version {
				t.Errorf("modernc.org/libc is %s; this modernc.org/sqlite needs %s: go get modernc.org/libc@%s", ours, r.Mod.Version, r.Mod.Version)
			}
			return
		}
	}
	t.Error("modernc.org/sqlite does not name modernc.org/libc any more: look at how to pair them")
}
