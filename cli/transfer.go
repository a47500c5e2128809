package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"kakehashi/client"
	"kakehashi/internal/fault"
)

// transferCommand begins a transfer, and moves or ends one, for either side.
type transferCommand struct {
	Start     startTransfer     `cmd:"" default:"withargs"`
	Access    accessTransfer    `cmd:""`
	Suspend   suspendTransfer   `cmd:""`
	Resume    resumeTransfer    `cmd:""`
	Complete  completeTransfer  `cmd:""`
	Terminate terminateTransfer `cmd:""`
}

// startTransfer opens the data of an agreement and prints how to fetch it; of a
// push it waits until the data is here.
type startTransfer struct {
	Reach
	Agreement string `arg:""`
	Format    string `placeholder:"FORMAT"`
	Push      bool
}

func (x startTransfer) Run(ctx context.Context, c *Context) error {
	node, err := x.Client(c)
	if err != nil {
		return err
	}
	if x.Push && x.Format == "" {
		x.Format = "HttpData-PUSH"
	}
	if x.Push && !strings.HasSuffix(x.Format, "-PUSH") {
		return fault.BadUsage.At("--push", "command", "kakehashi transfer", "reason", "--push --format "+x.Format)
	}
	t, err := node.StartTransfer(ctx, client.StartTransfer{Agreement: x.Agreement, Format: x.Format})
	if err != nil {
		return err
	}
	if strings.HasSuffix(t.Format, "-PUSH") {
		if t, err = node.AwaitTransfer(ctx, t.ID, "COMPLETED"); err != nil {
			return err
		}
		if err := c.Emit(t); err != nil {
			return err
		}
		return c.Say(c.Text.T("transfer.received", "transfer", t.ID, "file", t.File, "bytes", fmt.Sprint(t.Bytes), "digest", t.Digest))
	}
	if t, err = node.AwaitTransfer(ctx, t.ID, "STARTED"); err != nil {
		return err
	}
	return c.access(ctx, node, t.ID, c.Text.T("transfer.done", "transfer", t.ID))
}

// access prints how to fetch the data of a started transfer.
func (c *Context) access(ctx context.Context, node *client.Client, id, text string) error {
	access, err := node.Access(ctx, id)
	if err != nil {
		return err
	}
	if err := c.Emit(map[string]string{"transfer": id, "endpoint": access.Endpoint, "authorization": access.Authorization}); err != nil {
		return err
	}
	return c.Say(text + "\n" + Curl(access))
}

// Curl is the command line that fetches what access opens.
func Curl(a client.Access) string {
	return fmt.Sprintf("curl -fOJ -H 'Authorization: %s' '%s'", a.Authorization, a.Endpoint)
}

// accessTransfer prints the newest address and token, after a resumption too.
type accessTransfer struct {
	Reach
	ID string `arg:"" name:"id"`
}

func (x accessTransfer) Run(ctx context.Context, c *Context) error {
	node, err := x.Client(c)
	if err != nil {
		return err
	}
	return c.access(ctx, node, x.ID, c.Text.T("transfer.access", "transfer", x.ID))
}

type suspendTransfer struct {
	Reach
	ID     string `arg:"" name:"id"`
	Reason string `required:"" placeholder:"TEXT"`
}

func (x suspendTransfer) Run(ctx context.Context, c *Context) error {
	return x.move(ctx, c, "SUSPENDED", x.ID, func(n *client.Client) (client.Transfer, error) { return n.Suspend(ctx, x.ID, x.Reason) })
}

type resumeTransfer struct {
	Reach
	ID string `arg:"" name:"id"`
}

func (x resumeTransfer) Run(ctx context.Context, c *Context) error {
	return x.move(ctx, c, "STARTED", x.ID, func(n *client.Client) (client.Transfer, error) { return n.Resume(ctx, x.ID) })
}

// completeTransfer says that everything arrived: with a file also how much, and
// its digest.
type completeTransfer struct {
	Reach
	ID   string `arg:"" name:"id"`
	File string `placeholder:"FILE"`
}

func (x completeTransfer) Run(ctx context.Context, c *Context) error {
	var done client.Completion
	if x.File != "" {
		var err error
		if done, err = arrived(x.File); err != nil {
			return cannotRead(x.File, err)
		}
	}
	return x.move(ctx, c, "COMPLETED", x.ID, func(n *client.Client) (client.Transfer, error) { return n.Complete(ctx, x.ID, done) })
}

func arrived(file string) (client.Completion, error) {
	f, err := os.Open(file)
	if err != nil {
		return client.Completion{}, err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	return client.Completion{Bytes: n, Digest: "sha256:" + hex.EncodeToString(sum.Sum(nil))}, errors.Join(err, f.Close())
}

type terminateTransfer struct {
	Reach
	ID     string `arg:"" name:"id"`
	Reason string `required:"" placeholder:"TEXT"`
}

func (x terminateTransfer) Run(ctx context.Context, c *Context) error {
	return x.move(ctx, c, "TERMINATED", x.ID, func(n *client.Client) (client.Transfer, error) { return n.TerminateTransfer(ctx, x.ID, x.Reason) })
}

// move does one step of a transfer, waits until the counterpart has taken it and
// prints where the transfer is.
func (r Reach) move(ctx context.Context, c *Context, state, id string, step func(*client.Client) (client.Transfer, error)) error {
	node, err := r.Client(c)
	if err != nil {
		return err
	}
	if _, err := step(node); err != nil {
		return err
	}
	t, err := node.AwaitTransfer(ctx, id, state)
	if err != nil {
		return err
	}
	if err := c.Emit(t); err != nil {
		return err
	}
	return c.Say(c.Text.T("transfer.moved", "transfer", t.ID, "state", t.State))
}
