// Package cli is the command line: which commands there are, in which language
// it speaks, how errors look and which exit code they give. A command is a
// struct that kong fills; its Run does its work through config, node, client or
// bundle and prints through Context. Rules of the data space are not here.
//
// Exit codes: 0 it worked; 1 it failed; 64 the command line is wrong; 78 the
// settings are wrong; 130 it was interrupted. verify adds 2 (invalid),
// 3 (incomplete) and 4 (consistent, but no anchor says whose it is).
package cli

import (
	"context"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kong"
	"github.com/mattn/go-isatty"

	"kakehashi/config"
	"kakehashi/internal/fault"
	"kakehashi/ui/text"
)

// Env is what a command sees of the world, so that tests give another.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	LookupEnv      func(string) (string, bool)
	Terminal       bool // Stderr is a terminal: bars may be drawn on it
	Now            func() time.Time
}

// OS is the world of this process.
func OS() Env {
	return Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, LookupEnv: os.LookupEnv,
		Terminal: isatty.IsTerminal(os.Stderr.Fd()) || isatty.IsCygwinTerminal(os.Stderr.Fd()),
		Now:      time.Now,
	}
}

// InitFunc makes what a new node needs beside its files: the participant, its
// keys and its DID document; to join, only what a further replica of the node that
// is there needs. settings are complete, and the master key is where they say. When
// it fails it leaves nothing behind.
type InitFunc func(ctx context.Context, settings config.Settings, join bool) (did string, err error)

// Wiring is what the program puts into the command line from packages that
// import it or that it need not know.
type Wiring struct {
	Init     InitFunc  // nil: init writes files only
	Commands []Command // beside those of this package, in their order
}

// oneAtATime lets several writers share a stream.
type oneAtATime struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *oneAtATime) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(b)
}

// Command is one command. Its texts are in the catalogue: help.NAME, and
// optionally help.NAME.detail; help.NAME.--FLAG and help.NAME.ARGUMENT; those
// of a command below it begin with help.NAME.SUB. A flag that many commands
// share may have help.--FLAG alone.
type Command struct {
	Name  string
	Group string // one of Groups
	// New gives a pointer to a struct with the flags and arguments as kong tags
	// and a method Run(context.Context, *Context) error (either may be left out).
	New func() any
}

// Groups are the headings of the help, in their order: texts help.group.NAME.
var Groups = []string{"node", "exchange", "proof", "try", "about"}

func own() []Command {
	return []Command{
		{"init", "node", func() any { return &initCommand{SettingFlags: NewSettingFlags()} }},
		{"serve", "node", func() any { return &serveCommand{SettingFlags: NewSettingFlags()} }},
		{"config", "node", func() any { return &configCommand{Check: checkCommand{SettingFlags: NewSettingFlags()}} }},
		{"settings", "node", func() any { return &settingsCommand{} }},
		{"publish", "exchange", func() any { return &publishCommand{} }},
		{"partners", "exchange", func() any { return &partnersCommand{} }},
		{"trust", "exchange", func() any { return &trustCommand{} }},
		{"catalog", "exchange", func() any { return &catalogCommand{} }},
		{"catalogs", "exchange", func() any { return &catalogsCommand{} }},
		{"get", "exchange", func() any { return &getCommand{} }},
		{"negotiate", "exchange", func() any { return &negotiateCommand{} }},
		{"offer", "exchange", func() any { return &offerCommand{} }},
		{"waiting", "exchange", func() any { return &waitingCommand{} }},
		{"decide", "exchange", func() any { return &decideCommand{} }},
		{"work", "exchange", func() any { return &workCommand{} }},
		{"terminate", "exchange", func() any { return &terminateCommand{} }},
		{"transfer", "exchange", func() any { return &transferCommand{} }},
		{"exchanges", "exchange", func() any { return &exchangesCommand{} }},
		{"watch", "exchange", func() any { return &watchCommand{} }},
		{"agreements", "exchange", func() any { return &agreementsCommand{} }},
		{"store", "node", func() any { return newStore() }},
		{"import", "node", func() any { return &importCommand{} }},
		{"portal", "node", func() any { return &portalCommand{} }},
		{"history", "proof", func() any { return &historyCommand{} }},
		{"evidence", "proof", func() any { return &evidenceCommand{} }},
		{"verify", "proof", func() any { return &verifyCommand{} }},
		{"version", "about", func() any { return &versionCommand{} }},
	}
}

// globals are the flags that every command takes.
type globals struct {
	Lang string `placeholder:"en|ja|auto"`
	JSON bool   `name:"json"`
	Help bool   `short:"h"`
}

// Main runs one command line, without the program's name, and returns the exit
// code. It prints every error itself.
func Main(ctx context.Context, args []string, env Env, w Wiring) int {
	env.Stderr = &oneAtATime{w: env.Stderr} // logs of nodes, progress and errors share it
	c := &Context{Env: env, Wiring: w, JSON: asksJSON(args)}
	flag, known := asksLang(args)
	c.Text = text.For(text.Language(flag, env.LookupEnv))
	if !known {
		return c.end(ctx, fault.LanguageUnknown.At("--lang", "value", flag))
	}
	var g globals
	k, err := parser(&g, env, w)
	if err != nil {
		return c.end(ctx, err)
	}
	switch {
	case len(args) == 0:
		printHelp(env.Stderr, c.Text, k.Model.Node)
		return ExitUsage
	case args[0] == "help":
		args = append(args[1:len(args):len(args)], "--help")
	case args[0] == "--version":
		args = append([]string{"version"}, args[1:]...)
	}
	line := walk(k.Model.Node, args)
	if line.help {
		printHelp(env.Stdout, c.Text, line.node)
		return ExitOK
	}
	parsed, err := k.Parse(args)
	if err != nil {
		return c.end(ctx, line.explain(err))
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	return c.end(ctx, parsed.Run(c))
}

func parser(g *globals, env Env, w Wiring) (*kong.Kong, error) {
	options := []kong.Option{
		kong.Name("kakehashi"), kong.NoDefaultHelp(), kong.Writers(env.Stdout, env.Stderr), kong.Exit(func(int) {}),
	}
	for _, cmd := range append(own(), w.Commands...) {
		options = append(options, kong.DynamicCommand(cmd.Name, "", cmd.Group, cmd.New()))
	}
	return kong.New(g, options...)
}

// The two flags that decide how even a wrong command line is answered are
// looked for before it is read as a whole.

func asksJSON(args []string) bool {
	for _, a := range args {
		switch a {
		case "--":
			return false
		case "--json", "--json=true":
			return true
		}
	}
	return false
}

func asksLang(args []string) (lang string, known bool) {
	for i, a := range args {
		if a == "--" {
			break
		}
		v, ok := strings.CutPrefix(a, "--lang=")
		if a == "--lang" && i+1 < len(args) {
			v, ok = args[i+1], true
		}
		if ok {
			return v, v == "en" || v == "ja" || v == "auto"
		}
	}
	return "", true
}
