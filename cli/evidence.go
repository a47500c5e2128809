package cli

import (
	"context"
	"os"

	"kakehashi/client"
	"kakehashi/internal/fault"
)

// evidenceCommand takes evidence out of a node.
type evidenceCommand struct {
	Export exportEvidence `cmd:""`
	Trust  exportTrust    `cmd:""`
}

type exportEvidence struct {
	Reach
	Agreement string `arg:""`
	Out       string `required:"" placeholder:"FILE"`
}

func (e exportEvidence) Run(ctx context.Context, c *Context) error {
	node, err := e.Client(c)
	if err != nil {
		return err
	}
	if err := ExportBundle(ctx, node, e.Agreement, e.Out); err != nil {
		return err
	}
	if err := c.Emit(map[string]string{"agreement": e.Agreement, "file": e.Out}); err != nil {
		return err
	}
	return c.Say(c.Text.T("evidence.exported", "file", e.Out))
}

// ExportBundle writes the evidence of an agreement to a new file.
func ExportBundle(ctx context.Context, node *client.Client, agreement, out string) (err error) {
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fault.CannotWrite.At(out, "file", out, "reason", err.Error()).Because(err)
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			_ = os.Remove(out)
		}
	}()
	return node.Bundle(ctx, agreement, f)
}

type exportTrust struct{ Reach }

func (e exportTrust) Run(ctx context.Context, c *Context) error {
	node, err := e.Client(c)
	if err != nil {
		return err
	}
	return node.Anchors(ctx, c.Stdout)
}

// portalCommand prints a link that opens the portal once.
type portalCommand struct{ Reach }

func (p portalCommand) Run(ctx context.Context, c *Context) error {
	node, err := p.Client(c)
	if err != nil {
		return err
	}
	link, err := node.PortalLink(ctx)
	if err != nil {
		return err
	}
	if err := c.Emit(link); err != nil {
		return err
	}
	return c.Say(link.URL)
}
