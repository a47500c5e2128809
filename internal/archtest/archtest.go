// Package archtest holds the floor plan of the program, who may import whom,
// and the rules that its tests hold the source to. It has no use at run time.
package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// Module is the path that imports of our own packages begin with.
const Module = "kakehashi"

// Layer is a set of rooms that stand side by side.
type Layer struct {
	Name  string
	Rooms []string // folders below the module's root; sub-folders belong to them
	For   string   // one line for the documents
}

// Layers are listed from the top down: a room may import what lies in a layer
// below its own. Within a layer only Arrows count.
var Layers = []Layer{
	{"proofs", []string{"conformance"}, "official kits and other connectors, run against the program; nothing imports it"},
	{"program", []string{"cmd"}, "main"},
	{"command line", []string{"cli"}, "commands, progress, demo, bench"},
	{"node", []string{"node"}, "puts the rooms together, starts and stops them"},
	{"faces", []string{"dsphttp", "dcphttp", "api", "portal", "decision"}, "the DSP and DCP bindings, the management API, the pages, the decision webhook"},
	{"services", []string{"services"}, "one folder a field of data"},
	{"faces' tools", []string{"ui", "client", "config"}, "strings in two languages, the Go client of the API, settings"},
	{"rooms", []string{"catalog", "negotiation", "transfer", "agreement", "dataplane", "policy", "identity", "trust", "wallet", "issuer", "partner", "account", "evidence", "outbox", "process"}, "the four steps and what they share"},

	{"hosts", []string{"participant", "replica"}, "whom we host, with keys and secrets; which programs serve the same tables"},
	{"store", []string{"store"}, "the unit of work and its engines"},
	{"wire", []string{"dsp", "odrl", "jws", "did", "vc", "dcp"}, "types and rules of the standards; no node, no SQL"},
	{"internal", []string{"internal"}, "strict JSON, faults, the guarded client"},
}

// Arrows are the imports that are allowed within a layer.
var Arrows = map[string][]string{
	"identity":    {"evidence", "outbox"},
	"account":     {"evidence", "outbox"},
	"partner":     {"evidence", "outbox"},
	"agreement":   {"evidence", "outbox"},
	"trust":       {"identity", "evidence", "outbox"},
	"wallet":      {"identity", "evidence", "outbox"},
	"issuer":      {"identity", "evidence", "outbox"},
	"policy":      {"identity", "trust", "agreement", "evidence"},
	"catalog":     {"policy", "identity", "evidence", "process"},
	"dataplane":   {"policy", "agreement", "evidence", "outbox"},
	"negotiation": {"catalog", "policy", "agreement", "identity", "partner", "evidence", "outbox", "process"},
	"process":     {"identity", "evidence", "outbox"},
	"transfer":    {"dataplane", "policy", "agreement", "identity", "partner", "evidence", "outbox", "process"},
	"vc":          {"jws", "did"},
	"dcp":         {"jws", "did"},
	"client":      {},
	"portal":      {},
}

// Verifier is the offline verifier: it lies in evidence's folder, and what it
// may import is named here in full.
var Verifier = struct {
	Folder string
	May    []string
}{"evidence/bundle", []string{"internal/strictjson", "internal/fault"}}

// Import is one import of a package of ours.
type Import struct{ File, From, To string }

// Imports lists the imports between our own packages in all Go files below
// root, tests left out.
func Imports(root string) ([]Import, error) {
	var out []Import
	err := walk(root, func(rel string, f *ast.File, _ *token.FileSet) {
		from := filepath.ToSlash(filepath.Dir(rel))
		for _, spec := range f.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			if to, ok := strings.CutPrefix(path, Module+"/"); ok {
				out = append(out, Import{rel, from, to})
			}
		}
	})
	return out, err
}

// Refuse tells why an import is against the plan, or "".
func Refuse(i Import) string {
	if i.From == Verifier.Folder {
		for _, ok := range Verifier.May {
			if i.To == ok {
				return ""
			}
		}
		return "the offline verifier imports no room and no store"
	}
	from, to := room(i.From), room(i.To)
	lf, lt := layer(from), layer(to)
	switch {
	case lf < 0:
		return "folder " + from + " is not in the plan; add it to a layer on purpose"
	case lt < 0:
		return "folder " + to + " is not in the plan; add it to a layer on purpose"
	case from == "services" && to == "services":
		if a, b := service(i.From), service(i.To); a != "" && b != "" && a != b {
			return "a service never imports its sibling"
		}
		return ""
	case from == to:
		return ""
	case lf == lt:
		for _, ok := range Arrows[from] {
			if ok == to {
				return ""
			}
		}
		return fmt.Sprintf("no arrow from %s to %s", from, to)
	case lf > lt:
		return "imports point down only"
	case to == "services" && Layers[lf].Name != "node" && Layers[lf].Name != "faces" && from != "cli" && from != "cmd":
		return "only faces and node see services"
	}
	return ""
}

func room(pkg string) string { r, _, _ := strings.Cut(pkg, "/"); return r }

func service(pkg string) string {
	parts := strings.Split(pkg, "/")
	if len(parts) < 2 {
		return ""
	}
	return parts[1]
}

func layer(r string) int {
	for i, l := range Layers {
		for _, name := range l.Rooms {
			if name == r {
				return i
			}
		}
	}
	return -1
}

var (
	statement = regexp.MustCompile(`(?is)^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\s`)
	table     = regexp.MustCompile(`(?i)\b(?:FROM|INTO|JOIN|UPDATE)\s+([a-z][a-z0-9]*)_[a-z_]+`)
	banned    = regexp.MustCompile(`(?i)\b(rowid|AUTOINCREMENT|INSERT\s+OR|json_extract|strftime|datetime\(|FOR\s+UPDATE|PRAGMA)\b|\?\d*\s*[,)]`)
)

// ofNode are the owners whose tables belong to the node and to no participant.
var ofNode = map[string]bool{"replica": true}

// SQL checks the statements in string literals of Go files outside store: they
// name tables of their own package only, carry the participant, and keep to the
// common subset of both engines. It returns one line for each fault.
func SQL(root string) ([]string, error) {
	var out []string
	err := walk(root, func(rel string, f *ast.File, fset *token.FileSet) {
		pkg := filepath.ToSlash(filepath.Dir(rel))
		if strings.HasPrefix(pkg, "store") || strings.HasPrefix(pkg, "internal/archtest") {
			return
		}
		owner := filepath.Base(pkg)
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil || !statement.MatchString(text) || !table.MatchString(text) {
				return true
			}
			at := fset.Position(lit.Pos())
			where := fmt.Sprintf("%s:%d", rel, at.Line)
			for _, m := range table.FindAllStringSubmatch(text, -1) {
				if m[1] != owner {
					out = append(out, where+": names a table of "+m[1])
				}
			}
			if !strings.Contains(text, "participant") && !ofNode[owner] {
				out = append(out, where+": does not carry the participant")
			}
			if m := banned.FindString(text); m != "" {
				out = append(out, where+": "+strings.TrimSpace(m)+" is not in the common subset")
			}
			return true
		})
	})
	sort.Strings(out)
	return out, err
}

// Table prints the plan for docs/architecture.md.
func Table() string {
	var b strings.Builder
	b.WriteString("| layer, from the top | rooms | what it is |\n|---|---|---|\n")
	for _, l := range Layers {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", l.Name, strings.Join(l.Rooms, ", "), l.For)
	}
	b.WriteString("\n| room | may also import, in its own layer |\n|---|---|\n")
	names := make([]string, 0, len(Arrows))
	for n := range Arrows {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		if len(Arrows[n]) > 0 {
			fmt.Fprintf(&b, "| %s | %s |\n", n, strings.Join(Arrows[n], ", "))
		}
	}
	return b.String()
}

func walk(root string, visit func(rel string, f *ast.File, fset *token.FileSet)) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if name != "." && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules" || name == "test") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		visit(filepath.ToSlash(rel), f, fset)
		return nil
	})
}
