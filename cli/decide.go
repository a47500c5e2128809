package cli

import (
	"context"
	"errors"
	"os"
	"time"

	"kakehashi/client"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

// offerCommand offers a dataset of ours to somebody who has not asked.
type offerCommand struct {
	Reach
	Consumer string `arg:""`
	Dataset  string `arg:""`
	Offer    string `placeholder:"IRI"`
}

func (o offerCommand) Run(ctx context.Context, c *Context) error {
	node, err := o.Client(c)
	if err != nil {
		return err
	}
	n, err := node.Offer(ctx, client.StartOffer{Partner: o.Consumer, Dataset: o.Dataset, Offer: o.Offer})
	if err != nil {
		return err
	}
	if n, err = node.AwaitNegotiation(ctx, n.ID, "OFFERED"); err != nil {
		return err
	}
	if err := c.Emit(n); err != nil {
		return err
	}
	return c.Say(c.Text.T("offer.done", "negotiation", n.ID))
}

// waitingCommand lists what waits for a decision of ours.
type waitingCommand struct{ Reach }

func (w waitingCommand) Run(ctx context.Context, c *Context) error {
	node, err := w.Client(c)
	if err != nil {
		return err
	}
	all, err := node.Waiting(ctx)
	if err != nil {
		return err
	}
	for _, n := range all.Negotiations {
		if err := c.Emit(n); err != nil {
			return err
		}
		terms := c.Text.T("waiting.ours")
		if !n.Same {
			terms = c.Text.T("waiting.theirs")
		}
		if err := c.Say(n.ID + "\n  " + c.Text.T("waiting.negotiation", "since", n.Updated.Format(time.DateTime), "state", n.State,
			"counterparty", n.Counterparty, "dataset", n.Dataset) + "\n  " + terms); err != nil {
			return err
		}
		for _, line := range n.Terms {
			if err := c.Say("    " + line); err != nil {
				return err
			}
		}
	}
	for _, t := range all.Transfers {
		if err := c.Emit(t); err != nil {
			return err
		}
		if err := c.Say(t.ID + "\n  " + c.Text.T("waiting.transfer", "since", t.Updated.Format(time.DateTime),
			"counterparty", t.Counterparty, "agreement", t.Agreement)); err != nil {
			return err
		}
	}
	switch {
	case all.More:
		return c.Say(c.Text.T("waiting.more"))
	case len(all.Negotiations)+len(all.Transfers) == 0:
		return c.Say(c.Text.T("waiting.none"))
	}
	return nil
}

// decideCommand answers a negotiation or a transfer that waits.
type decideCommand struct {
	Reach
	ID       string `arg:"" name:"id"`
	Decision string `arg:"" enum:"approve,refuse,counter"`
	Reason   string `placeholder:"TEXT"`
	Policy   string `placeholder:"FILE"`
}

func (d decideCommand) Run(ctx context.Context, c *Context) error {
	node, err := d.Client(c)
	if err != nil {
		return err
	}
	answer := client.Decision{Decision: d.Decision, Reason: d.Reason}
	if d.Policy != "" {
		if answer.Policy, err = policyFile(d.Policy); err != nil {
			return err
		}
	}
	n, err := node.Decide(ctx, d.ID, 0, answer)
	if !errors.Is(err, fault.NotFound) {
		if err != nil {
			return err
		}
		if err := c.Emit(n); err != nil {
			return err
		}
		return c.Say(c.Text.T("decide.done", "id", n.ID))
	}
	t, err := node.DecideTransfer(ctx, d.ID, 0, answer)
	if errors.Is(err, fault.NotFound) {
		return fault.NotFound.At(d.ID, "what", d.ID)
	}
	if err != nil {
		return err
	}
	if err := c.Emit(t); err != nil {
		return err
	}
	return c.Say(c.Text.T("decide.done", "id", t.ID))
}

// terminateCommand ends a negotiation or a transfer that is under way.
type terminateCommand struct {
	Reach
	ID     string `arg:"" name:"id"`
	Reason string `required:"" placeholder:"TEXT"`
}

func (e terminateCommand) Run(ctx context.Context, c *Context) error {
	node, err := e.Client(c)
	if err != nil {
		return err
	}
	n, err := node.TerminateNegotiation(ctx, e.ID, e.Reason)
	if err == nil {
		err = c.Emit(n)
	} else if errors.Is(err, fault.NotFound) {
		var t client.Transfer
		if t, err = node.TerminateTransfer(ctx, e.ID, e.Reason); err == nil {
			err = c.Emit(t)
		}
	}
	if errors.Is(err, fault.NotFound) {
		return fault.NotFound.At(e.ID, "what", e.ID)
	}
	if err != nil {
		return err
	}
	return c.Say(c.Text.T("terminate.done", "id", e.ID))
}

// importCommand takes over the agreements of another connector.
type importCommand struct {
	Reach
	File string `arg:""`
}

func (i importCommand) Run(ctx context.Context, c *Context) error {
	node, err := i.Client(c)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(i.File)
	if err != nil {
		return cannotRead(i.File, err)
	}
	var in client.Import
	if err := strictjson.Decode(raw, &in); err != nil {
		return fault.BadUsage.At(i.File, "command", "kakehashi import", "reason", err.Error())
	}
	done, err := node.Import(ctx, in)
	if err != nil {
		return err
	}
	if err := c.Emit(done); err != nil {
		return err
	}
	return c.Say(c.Text.T("import.done", "agreements", done.Agreements))
}

// policyFile reads the rules of an offer.
func policyFile(path string) (any, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, cannotRead(path, err)
	}
	var policy any
	if err := strictjson.Decode(raw, &policy); err != nil {
		return nil, fault.BadUsage.At("--policy", "command", "kakehashi", "reason", err.Error())
	}
	return policy, nil
}
