package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"kakehashi/cli/progress"
	"kakehashi/config"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/ui/text"
)

// Exit codes of every command.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitUsage       = 64 // EX_USAGE of sysexits; 2 is taken by evidence that is invalid
	ExitSettings    = 78 // EX_CONFIG
	ExitInterrupted = 130
)

// Exit is an error that only sets the exit code: the command has said why.
type Exit int

func (e Exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// Context is what a command is given beside its own flags.
type Context struct {
	Env
	Text   text.Printer // in the language of the person
	JSON   bool         // --json: one JSON object a line on Stdout, nothing else there
	Wiring Wiring
}

// Lang is "en" or "ja", as fault and bundle take it.
func (c *Context) Lang() string { return c.Text.Lang() }

// Say prints a text of the catalogue as a line on Stdout; nothing with --json.
func (c *Context) Say(s string) error {
	if c.JSON {
		return nil
	}
	return c.put(c.Stdout, s+"\n")
}

// Emit prints v as one line of JSON on Stdout; nothing without --json.
func (c *Context) Emit(v any) error {
	if !c.JSON {
		return nil
	}
	b, err := strictjson.Encode(v)
	if err != nil {
		return err
	}
	return c.put(c.Stdout, string(b)+"\n")
}

func (c *Context) put(w io.Writer, s string) error {
	if _, err := io.WriteString(w, s); err != nil {
		return fault.CannotCreate.At("stdout", "reason", err.Error()).Because(err)
	}
	return nil
}

// Progress starts a display on Stderr: bars on a terminal, else lines, nothing
// with --json. The command closes it before it prints further.
func (c *Context) Progress() *progress.Display {
	style := progress.Lines
	switch {
	case c.JSON:
		style = progress.None
	case c.Terminal:
		style = progress.Bars
	}
	return progress.New(progress.Config{Out: c.Stderr, Style: style, Now: c.Now, Line: func(s progress.Snapshot) string {
		if s.Rows {
			return c.Text.T("progress.rows", "name", s.Name, "done", s.Done, "total", s.Total, "percent", max(s.Percent(), 0), "rate", s.Rate)
		}
		if s.Percent() < 0 {
			return c.Text.T("progress.open", "name", s.Name, "done", Bytes(s.Done), "rate", Bytes(s.Rate))
		}
		return c.Text.T("progress.line", "name", s.Name, "done", Bytes(s.Done), "total", Bytes(s.Total), "percent", s.Percent(), "rate", Bytes(s.Rate))
	}})
}

// Bytes writes a number of bytes for people: 512 B, 1.5 MiB.
func Bytes(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/(1<<10), 0
	for v >= 1<<10 && unit < 3 {
		v /= 1 << 10
		unit++
	}
	return fmt.Sprintf("%.1f %s", v, []string{"KiB", "MiB", "GiB", "TiB"}[unit])
}

// end prints what went wrong and gives the exit code.
func (c *Context) end(ctx context.Context, err error) int {
	var exit Exit
	var settings config.Faults
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &exit):
		return int(exit)
	case errors.As(err, &settings):
		for _, f := range settings {
			c.tell(f)
		}
		return ExitSettings
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		c.tell(fault.Interrupted.At(""))
		return ExitInterrupted
	}
	f := fault.Of(err)
	c.tell(f)
	for _, k := range []*fault.Kind{fault.CommandMissing, fault.CommandUnknown, fault.CommandMisspelt, fault.FlagUnknown,
		fault.FlagMisspelt, fault.ArgumentMissing, fault.LanguageUnknown, fault.BadUsage} {
		if f.Kind == k {
			return ExitUsage
		}
	}
	for _, k := range []*fault.Kind{fault.MasterKeyMissing, fault.MasterKeyInvalid, fault.MasterKeyOpen} {
		if f.Kind == k {
			return ExitSettings
		}
	}
	return ExitFailed
}

// told is an error with --json, one line on Stderr.
type told struct {
	Code   string `json:"code"`
	What   string `json:"what"`
	Remedy string `json:"remedy"`
	Place  string `json:"place,omitempty"`
}

// tell prints one fault on Stderr: what happened, and what to do. That the
// terminal is gone is no reason to fail differently.
func (c *Context) tell(f *fault.Error) {
	lang := c.Lang()
	what := f.What(lang)
	if f.Kind == fault.Internal && f.Cause != nil { // no counterpart reads this: the person in front may know more
		what += ": " + f.Cause.Error()
	}
	what = strings.ReplaceAll(what, "\n", " ")
	if c.JSON {
		b, err := strictjson.Encode(map[string]told{"error": {f.Kind.Code, what, f.Remedy(lang), f.Place}})
		if err == nil {
			_, _ = c.Stderr.Write(append(b, '\n'))
		}
		return
	}
	_, _ = fmt.Fprintf(c.Stderr, "kakehashi: %s\n  → %s\n", what, f.Remedy(lang))
}
