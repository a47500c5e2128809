package cli

import (
	"strings"

	"github.com/alecthomas/kong"

	"kakehashi/internal/fault"
	"kakehashi/internal/nearest"
)

// line is a command line as far as it can be understood without kong, whose
// errors are English sentences: which command it reached and what stands out.
type line struct {
	node    *kong.Node
	help    bool
	args    []string // what is left for the command: its arguments, or a name that is none
	strange string   // a flag that nobody knows
	flags   []string // the flags that could have been meant
	given   map[string]bool
}

// walk follows args through the commands.
func walk(root *kong.Node, args []string) line {
	l := line{node: root, given: map[string]bool{}}
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			l.args = append(l.args, args[i+1:]...)
			return l
		case a == "--help" || a == "-h":
			l.help = true
		case len(a) > 1 && a[0] == '-':
			name, _, joined := strings.Cut(a, "=")
			f, known := findFlag(l.node, name)
			if f == nil {
				if l.strange == "" {
					l.strange, l.flags = name, known
				}
				continue
			}
			l.given["--"+f.Name] = true
			if !f.IsBool() && !joined {
				i++
			}
		case len(l.args) == 0 && findCommand(l.node, a) != nil:
			l.node = findCommand(l.node, a)
		default:
			l.args = append(l.args, a)
		}
	}
	return l
}

func findCommand(n *kong.Node, name string) *kong.Node {
	for _, c := range n.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// findFlag looks in the command and those above it, and lists all it saw.
func findFlag(n *kong.Node, name string) (*kong.Flag, []string) {
	var known []string
	for ; n != nil; n = n.Parent {
		for _, f := range n.Flags {
			if name == "--"+f.Name || f.Short != 0 && name == "-"+string(f.Short) {
				return f, nil
			}
			known = append(known, "--"+f.Name)
		}
	}
	return nil, known
}

// explain turns kong's error into a fault: by what the line lacks, and only
// where that says nothing with kong's own words.
func (l line) explain(err error) *fault.Error {
	command := l.node.FullPath()
	if l.strange != "" {
		if guess, ok := nearest.Name(l.strange, l.flags); ok {
			return fault.FlagMisspelt.At(l.strange, "command", command, "name", l.strange, "guess", guess).Because(err)
		}
		return fault.FlagUnknown.At(l.strange, "command", command, "name", l.strange).Because(err)
	}
	if len(l.node.Children) > 0 {
		if len(l.args) == 0 {
			return fault.CommandMissing.At("", "command", command).Because(err)
		}
		var known []string
		for _, c := range l.node.Children {
			known = append(known, c.Name)
		}
		name := l.args[0]
		if guess, ok := nearest.Name(name, known); ok {
			return fault.CommandMisspelt.At(name, "command", command, "name", name, "guess", guess).Because(err)
		}
		return fault.CommandUnknown.At(name, "command", command, "name", name).Because(err)
	}
	for i, p := range l.node.Positional {
		if p.Required && i >= len(l.args) {
			return fault.ArgumentMissing.At("", "command", command, "name", argument(p)).Because(err)
		}
	}
	for _, f := range l.node.Flags {
		if f.Required && !l.given["--"+f.Name] {
			return fault.ArgumentMissing.At("", "command", command, "name", "--"+f.Name).Because(err)
		}
	}
	return fault.BadUsage.At("", "command", command, "reason", err.Error()).Because(err)
}

// argument is how help and errors write an argument: BUNDLE, or BUNDLE...
func argument(p *kong.Positional) string {
	s := strings.ToUpper(p.Name)
	if p.IsCumulative() {
		s += "..."
	}
	return s
}
