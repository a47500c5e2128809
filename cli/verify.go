package cli

import (
	"io"
	"os"

	"kakehashi/evidence/bundle"
	"kakehashi/internal/fault"
)

// verifyCommand checks bundles of evidence with the anchors that the person who
// verifies holds. It needs no node, no settings and no network.
type verifyCommand struct {
	Bundle []string `arg:""`
	Trust  string   `placeholder:"FILE"`
	Pair   bool
}

func (v verifyCommand) Run(c *Context) error {
	if v.Pair && len(v.Bundle) != 2 {
		return fault.BadUsage.At("--pair", "command", "kakehashi verify", "reason", c.Text.T("verify.two"))
	}
	trust, err := v.trust()
	if err != nil {
		return err
	}
	files := make([]bundle.Input, len(v.Bundle))
	for i, path := range v.Bundle {
		f, err := os.Open(path)
		if err != nil {
			return cannotRead(path, err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return cannotRead(path, err)
		}
		files[i] = bundle.Input{R: f, Size: info.Size()}
	}
	if v.Pair {
		p, err := bundle.VerifyPair(files[0], files[1], trust)
		if err != nil {
			return cannotRead(v.Bundle[0], err)
		}
		return v.show(c, p, p, p.Verdict)
	}
	var worst error
	for i, f := range files {
		r, err := bundle.Verify(f.R, f.Size, trust)
		if err != nil {
			return cannotRead(v.Bundle[i], err)
		}
		if len(files) > 1 {
			if err := c.Say(v.Bundle[i]); err != nil {
				return err
			}
		}
		worst = worse(worst, v.show(c, r, r, r.Verdict))
	}
	return worst
}

// trust reads the anchors; without a file there are none.
func (v verifyCommand) trust() (bundle.Trust, error) {
	if v.Trust == "" {
		return bundle.Trust{}, nil
	}
	f, err := os.Open(v.Trust)
	if err != nil {
		return bundle.Trust{}, cannotRead(v.Trust, err)
	}
	defer f.Close()
	return bundle.ParseTrust(f)
}

func (v verifyCommand) show(c *Context, data any, page interface {
	Write(io.Writer, string) error
}, verdict bundle.Verdict) error {
	if err := c.Emit(data); err != nil {
		return err
	}
	if !c.JSON {
		if err := page.Write(c.Stdout, c.Lang()); err != nil {
			return cannotCreate("stdout", err)
		}
	}
	if code := verdict.Exit(); code != ExitOK {
		return Exit(code)
	}
	return nil
}

// worse keeps the exit code that a reader of several must not overlook.
func worse(a, b error) error {
	rank := func(err error) int {
		code, isExit := err.(Exit)
		switch {
		case err == nil:
			return 0
		case !isExit:
			return 5
		case code == 2: // invalid: above incomplete and not anchored
			return 4
		}
		return int(code) - 2
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}

func cannotRead(path string, err error) error {
	return fault.CannotRead.At(path, "reason", reason(err)).Because(err)
}
