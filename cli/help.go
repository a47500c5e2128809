package cli

import (
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"kakehashi/config"
	"kakehashi/ui/text"
)

// printHelp writes the help of a command, or of the program for the root. Only
// the left column, which is ASCII, is aligned: how wide Japanese is drawn is
// for the terminal to know.
func printHelp(w io.Writer, p text.Printer, n *kong.Node) {
	var b strings.Builder
	usage := n.FullPath()
	for _, a := range n.Positional {
		if s := argument(a); a.Required {
			usage += " " + s
		} else {
			usage += " [" + s + "]"
		}
	}
	if len(n.Children) > 0 {
		usage += " " + p.T("help.usage.command")
	}
	b.WriteString(p.T("help.usage") + " " + usage + " " + p.T("help.usage.flags") + "\n\n")
	b.WriteString(p.T("help."+keyOf(n)) + "\n")
	if k := "help." + keyOf(n) + ".detail"; p.Has(k) {
		b.WriteString("\n" + p.T(k) + "\n")
	}

	if n.Parent == nil {
		for _, group := range Groups {
			commands(&b, p, p.T("help.group."+group), n.Children, group)
		}
	} else {
		commands(&b, p, p.T("help.commands"), n.Children, "")
	}
	var rows [][2]string
	for _, a := range n.Positional {
		rows = append(rows, [2]string{argument(a), p.T("help." + keyOf(n) + "." + a.Name)})
	}
	table(&b, p.T("help.arguments"), rows)

	rows = nil
	var settings [][2]string
	for at := n; at != nil; at = at.Parent {
		for _, f := range at.Flags {
			if f.Group != nil && f.Group.Key == settingsGroup {
				settings = append(settings, settingRow(p, f))
				continue
			}
			rows = append(rows, [2]string{flagName(f), p.T(flagKey(p, at, f))})
		}
	}
	table(&b, p.T("help.flags"), rows)
	table(&b, p.T("help.settings.flags"), settings)
	if n.Parent == nil {
		b.WriteString("\n" + p.T("help.exit") + "\n")
	}
	_, _ = io.WriteString(w, b.String()) // nobody reads it: nothing to be done
}

func commands(b *strings.Builder, p text.Printer, title string, nodes []*kong.Node, group string) {
	var rows [][2]string
	for _, c := range nodes {
		if group == "" || c.Group != nil && c.Group.Key == group {
			rows = append(rows, [2]string{c.Name, p.T("help." + keyOf(c))})
		}
	}
	table(b, title, rows)
}

func table(b *strings.Builder, title string, rows [][2]string) {
	if len(rows) == 0 {
		return
	}
	b.WriteString("\n" + title + "\n")
	wide := 0
	for _, r := range rows {
		wide = max(wide, len(r[0]))
	}
	for _, r := range rows {
		b.WriteString("  " + r[0] + strings.Repeat(" ", wide-len(r[0])+2) + r[1] + "\n")
	}
}

// keyOf is the part of the key that stands for a command: config.check, and
// "program" for the root.
func keyOf(n *kong.Node) string {
	if n.Parent == nil {
		return "program"
	}
	s := n.Name
	for at := n.Parent; at.Parent != nil; at = at.Parent {
		s = at.Name + "." + s
	}
	return s
}

// flagKey is the text of a flag: of this command's own, or the one it shares.
func flagKey(p text.Printer, n *kong.Node, f *kong.Flag) string {
	if k := "help." + keyOf(n) + ".--" + f.Name; p.Has(k) {
		return k
	}
	return "help.--" + f.Name
}

func flagName(f *kong.Flag) string {
	s := "--" + f.Name
	if f.Short != 0 {
		s = "-" + string(f.Short) + ", " + s
	}
	if !f.IsBool() {
		s += "=" + strings.Trim(f.FormatPlaceHolder(), `"`)
	}
	return s
}

func settingRow(p text.Printer, f *kong.Flag) [2]string {
	left, right := "--"+f.Name, ""
	for _, s := range config.Fields() {
		if s.Flag() != f.Name {
			continue
		}
		switch {
		case s.Bool:
		case len(s.Choices) > 0:
			left += "=" + strings.Join(s.Choices, "|")
		case s.List:
			left += "=A,B"
		default:
			left += "=VALUE"
		}
		right = s.Doc(p.Lang())
		if s.Default != "" && !s.Bool {
			right += " [" + s.Default + "]"
		}
	}
	return [2]string{left, right}
}

// HelpKeys lists the texts that the help of all commands asks for, for tests of
// the programs that put commands in: every one must exist, and no other text
// may begin with "help.".
func HelpKeys(w Wiring, p text.Printer) ([]string, error) {
	k, err := parser(&globals{}, Env{Stdout: io.Discard, Stderr: io.Discard}, w)
	if err != nil {
		return nil, err
	}
	keys := []string{"help.usage", "help.usage.command", "help.usage.flags", "help.commands", "help.arguments", "help.flags", "help.settings.flags", "help.exit"}
	for _, g := range Groups {
		keys = append(keys, "help.group."+g)
	}
	var visit func(*kong.Node)
	visit = func(n *kong.Node) {
		keys = append(keys, "help."+keyOf(n))
		if d := "help." + keyOf(n) + ".detail"; p.Has(d) {
			keys = append(keys, d)
		}
		for _, a := range n.Positional {
			keys = append(keys, "help."+keyOf(n)+"."+a.Name)
		}
		for _, f := range n.Flags {
			if f.Group == nil || f.Group.Key != settingsGroup {
				keys = append(keys, flagKey(p, n, f))
			}
		}
		for _, c := range n.Children {
			visit(c)
		}
	}
	visit(k.Model.Node)
	return keys, nil
}
