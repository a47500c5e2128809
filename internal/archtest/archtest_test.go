package archtest

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	all, err := Imports(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found only %d imports: the walk is broken", len(all))
	}
	for _, i := range all {
		if why := Refuse(i); why != "" {
			t.Errorf("%s: imports %s: %s", i.File, i.To, why)
		}
	}
}

func TestThePlanRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, to, want string }{
		{"negotiation", "transfer", "no arrow"},
		{"evidence", "agreement", "no arrow"},
		{"store/sqlite", "catalog", "down only"},
		{"dsp/dsp2025", "negotiation", "down only"},
		{"services/files", "services/cyber", "sibling"},
		{"negotiation", "services/files", "down only"},
		{"evidence/bundle", "store", "offline verifier"},
		{"spare", "store", "not in the plan"},
		{"services/files", "services", ""},
		{"negotiation", "catalog", ""},
		{"node", "services/files", ""},
	} {
		got := Refuse(Import{From: c.from, To: c.to})
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s -> %s: %q, want %q", c.from, c.to, got, c.want)
		}
	}
}

func TestSQLStaysAtHome(t *testing.T) {
	t.Parallel()
	faults, err := SQL(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

func TestSQLFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	src := "package catalog\nconst a = `SELECT x FROM transfer_processes WHERE participant = $1`\n" +
		"const b = `UPDATE catalog_offers SET x = 1`\nconst c = `SELECT rowid FROM catalog_offers WHERE participant = $1`\n"
	if err := os.MkdirAll(filepath.Join(dir, "catalog"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "catalog", "sql.go"), []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := SQL(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 {
		t.Errorf("found %q, want three faults", got)
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	said := map[string]bool{}
	err := walk(root, func(rel string, f *ast.File, _ *token.FileSet) {
		dir := filepath.Dir(rel)
		said[dir] = said[dir] || f.Doc != nil && len(f.Doc.Text()) > 40
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, ok := range said {
		if !ok {
			t.Errorf("%s has no package comment that says what it is for", dir)
		}
	}
}

func TestTheDocumentShowsThePlan(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), Table()) {
		t.Errorf("docs/architecture.md does not hold this table; put it in:\n%s", Table())
	}
}
