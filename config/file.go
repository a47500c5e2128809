package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"kakehashi/internal/fault"
	"kakehashi/internal/nearest"
)

// maxFile bounds a settings file, and with it the parser's work.
const maxFile = 256 << 10

// given is what one source says of one setting.
type given struct {
	texts []string
	base  string // folder that relative paths start from
	place string
}

// readFile gives the settings that stand in a file by name, and every fault of
// its form. A place is "path:line", with path as the caller gave it.
func readFile(path, full string) (map[string]given, []*fault.Error) {
	unreadable := func(err error) []*fault.Error {
		return []*fault.Error{fault.ConfigUnreadable.At(path, "reason", reason(err)).Because(err)}
	}
	f, err := os.Open(full)
	if err != nil {
		return nil, unreadable(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("larger than %d bytes", maxFile)
	}
	if err != nil {
		return nil, unreadable(err)
	}
	return parseFile(b, path, filepath.Dir(full))
}

func parseFile(b []byte, path, base string) (map[string]given, []*fault.Error) {
	at := func(line int) string { return fmt.Sprintf("%s:%d", path, line) }
	doc, err := parser.ParseBytes(b, 0, parser.AllowDuplicateMapKey()) // doubled keys are listed below, with their lines
	if err != nil {
		place, why := path, err.Error()
		var s yaml.Error
		if errors.As(err, &s) {
			why = s.GetMessage()
			if t := s.GetToken(); t != nil && t.Position != nil {
				place = at(t.Position.Line)
			}
		}
		why, _, _ = strings.Cut(why, "\n")
		return nil, []*fault.Error{fault.ConfigSyntax.At(place, "reason", why).Because(err)}
	}
	var body ast.Node
	for _, d := range doc.Docs {
		switch {
		case d.Body == nil:
		case body != nil:
			return nil, []*fault.Error{fault.ConfigForm.At(at(line(d.Body)))}
		default:
			body = d.Body
		}
	}
	var pairs []*ast.MappingValueNode
	switch n := body.(type) {
	case nil, *ast.CommentGroupNode:
		return map[string]given{}, nil
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		return nil, []*fault.Error{fault.ConfigForm.At(at(line(body)))}
	}
	out := make(map[string]given, len(pairs))
	first := map[string]int{}
	var faults []*fault.Error
	for _, p := range pairs {
		ln := line(p.Key)
		place := at(ln)
		name, ok := scalar(p.Key)
		if !ok {
			faults = append(faults, fault.ConfigForm.At(place))
			continue
		}
		if before, twice := first[name]; twice {
			faults = append(faults, fault.SettingTwice.At(place, "name", shownName(name), "line", before))
			continue
		}
		first[name] = ln
		f := field(name)
		if f.Name == "" {
			faults = append(faults, unknown(name, place))
			continue
		}
		texts, wrong := values(f, p.Value, place)
		if wrong != nil {
			faults = append(faults, wrong)
			continue
		}
		out[name] = given{texts: texts, base: base, place: place}
	}
	return out, faults
}

func values(f Field, n ast.Node, place string) ([]string, *fault.Error) {
	if _, ok := n.(*ast.NullNode); ok || n == nil {
		return nil, fault.SettingEmpty.At(place, "name", f.Name)
	}
	if !f.List {
		s, ok := scalar(n)
		if !ok {
			return nil, fault.SettingOneValue.At(place, "name", f.Name)
		}
		return []string{s}, nil
	}
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		return nil, fault.SettingList.At(place, "name", f.Name)
	}
	texts := []string{}
	for _, v := range seq.Values {
		s, ok := scalar(v)
		if !ok {
			return nil, fault.SettingList.At(place, "name", f.Name)
		}
		texts = append(texts, s)
	}
	return texts, nil
}

// scalar is the text of a plain or quoted value as it was written; what it
// means is for the setting to say, so 010 and 1e3 stay what they are.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func line(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 1
	}
	return n.GetToken().Position.Line
}

func unknown(name, place string) *fault.Error {
	if guess, ok := nearest.Name(strings.ToLower(strings.ReplaceAll(name, "-", "_")), names()); ok {
		return fault.SettingMisspelt.At(place, "name", shownName(name), "guess", guess)
	}
	return fault.SettingUnknown.At(place, "name", shownName(name))
}

// shownName leaves ordinary names as they are and quotes the others.
func shownName(s string) string {
	if q := shown(s); q != `"`+s+`"` {
		return q
	}
	return s
}

// reason is the last part of an error of the system, without path and call.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
