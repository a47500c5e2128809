package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"kakehashi/config"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/ui/text"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kakehashi": func() {
		os.Exit(Main(context.Background(), os.Args[1:], OS(), testWiring()))
	}})
}

// testWiring stands for the program's: init fails for one name.
func testWiring() Wiring {
	return Wiring{
		Init: func(_ context.Context, s config.Settings, _ bool) (string, error) {
			if s.Participant == "broken" {
				return "", errors.New("no keys today")
			}
			if _, err := s.MasterKey(os.LookupEnv); err != nil {
				return "", err
			}
			return "did:web:localhost%3A8080", nil
		},
		Commands: []Command{{"wait", "try", func() any { return &waitCommand{} }}},
	}
}

type waitCommand struct {
	Name string `arg:""`
	Loud bool
}

func (w waitCommand) Run(ctx context.Context, c *Context) error {
	if w.Name == "panic" {
		return errors.New("something unforeseen")
	}
	<-ctx.Done()
	return ctx.Err()
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: func(e *testscript.Env) error { e.Setenv("LANG", "C"); return nil },
	})
}

// run is one command line in this process.
func run(ctx context.Context, env map[string]string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	code = Main(ctx, args, Env{
		Stdin: strings.NewReader(""), Stdout: &o, Stderr: &e, Now: time.Now,
		LookupEnv: func(k string) (string, bool) { v, ok := env[k]; return v, ok },
	}, testWiring())
	return code, o.String(), e.String()
}

var untold = regexp.MustCompile(`\bhelp\.[a-z-]`)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk.zip")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		args string
		code int
		in   string // of stdout or stderr
	}{
		{"", ExitUsage, "Usage: kakehashi COMMAND"},
		{"--help", ExitOK, "Run a node:"},
		{"--version --lang=ja", ExitOK, "リビジョン"},
		{"help config check", ExitOK, "Usage: kakehashi config check"},
		{"config -h", ExitOK, "check"},
		{"--version", ExitOK, "kakehashi "},
		{"version extra", ExitUsage, "kakehashi version"},
		{"wiat", ExitUsage, "did you mean wait?"},
		{"dance", ExitUsage, "has no command dance"},
		{"config", ExitUsage, "needs a command"},
		{"config chekc --json", ExitUsage, `"code":"command-misspelt"`},
		{"wait", ExitUsage, "lacks NAME"},
		{"wait a b", ExitUsage, "kakehashi wait"},
		{"wait a --lod", ExitUsage, "did you mean --loud?"},
		{"wait a --zzzzzzzz", ExitUsage, "has no flag --zzzzzzzz"},
		{"--loud wait a", ExitUsage, "has no flag --loud"},
		{"init --listen", ExitUsage, "kakehashi init"},
		{"init --development=perhaps", ExitUsage, "kakehashi init"},
		{"version --lang=fr", ExitUsage, "expected en, ja or auto"},
		{"version --lang", ExitUsage, "kakehashi version"},
		{"config check", ExitSettings, "only trust https"},
		{"config check --development", ExitOK, "fine"},
		{"config check --config /nowhere/x.yaml", ExitSettings, "/nowhere/x.yaml"},
		{"wait panic", ExitFailed, "something unforeseen"},
		{"wait a", ExitInterrupted, "interrupted"},
		{"verify /nowhere/x.zip", ExitFailed, "/nowhere/x.zip"},
		{"verify " + junk, 2, "not an evidence bundle"},
		{"verify " + junk + " --pair", ExitUsage, "exactly two"},
		{"verify " + junk + " " + junk + " --pair", 2, "not an evidence bundle"},
		{"verify " + junk + " " + junk + " --lang ja", 2, "証跡バンドルではありません"},
		{"verify " + junk + " --trust " + junk, ExitFailed, "trust file"},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			code, out, errs := run(ended, nil, strings.Fields(c.args)...)
			if code != c.code {
				t.Errorf("exit %d, want %d\n%s%s", code, c.code, out, errs)
			}
			if !strings.Contains(out+errs, c.in) {
				t.Errorf("%q is not in\n%s%s", c.in, out, errs)
			}
			if code != 2 && code == ExitOK != (errs == "") && c.args != "" {
				t.Errorf("exit %d with stderr %q", code, errs)
			}
			if untold.MatchString(strings.ReplaceAll(out+errs, "help.wait", "")) || strings.Contains(errs, "{") && !strings.Contains(c.args, "--json") {
				t.Errorf("a text is missing or not filled in:\n%s%s", out, errs)
			}
		})
	}
}

func TestEveryErrorHasOneLineAndARemedyInBothLanguages(t *testing.T) {
	t.Parallel()
	for lang, want := range map[string]string{"ja": "kakehashi: このアドレスでは", "en": "kakehashi: PUT is not possible"} {
		var b bytes.Buffer
		c := &Context{Env: Env{Stdout: &b, Stderr: &b}, Text: text.For(lang)}
		if code := c.end(t.Context(), fault.MethodNotAllowed.At("", "method", "PUT", "allow", "GET")); code != ExitFailed {
			t.Errorf("exit %d", code)
		}
		lines := strings.Split(b.String(), "\n")
		if len(lines) != 3 || !strings.HasPrefix(lines[0], want) || !strings.HasPrefix(lines[1], "  → ") {
			t.Errorf("got %q", b.String())
		}
	}
}

func TestJSONIsOneObjectALine(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"version --json", "settings --json", "config check --development --json", "config check --json --listen=x --title="} {
		_, out, errs := run(t.Context(), nil, strings.Fields(args)...)
		for l := range strings.Lines(out + errs) {
			var v map[string]any
			if err := strictjson.Decode([]byte(l), &v); err != nil {
				t.Errorf("%s: %v in %q", args, err, l)
			}
		}
		if out+errs == "" {
			t.Errorf("%s says nothing", args)
		}
	}
}

func TestEveryCommandOfThisPackageHasItsTexts(t *testing.T) {
	t.Parallel()
	for _, lang := range text.Languages {
		p := text.For(lang)
		keys, err := HelpKeys(Wiring{}, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			if !p.Has(k) {
				t.Errorf("%s: there is no text %s", lang, k)
			}
		}
	}
}

func TestWhatATerminalShows(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &Context{Env: Env{Stderr: &out, Now: time.Now}, Text: text.For("ja")}
	d := c.Progress()
	n := d.Counter("data.csv", 3<<20)
	n.Add(3 << 20)
	n.Done()
	d.Counter("x", 0).Add(5)
	d.Close()
	if !strings.Contains(out.String(), "data.csv: 3.0 MiB 中 3.0 MiB (100 %)") || !strings.Contains(out.String(), "x: 5 B") {
		t.Errorf("got %q", out.String())
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 40: "5.0 TiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
