package client

import (
	"context"
	"errors"
	"time"

	"kakehashi/internal/fault"
)

// waitOnce is how long one call waits at the node for a state; a longer wait is
// several calls, so that no proxy on the way cuts it.
const waitOnce = 25 * time.Second

// Want is one whole exchange: catalogue, agreement, transfer, bytes, digest.
type Want struct {
	Partner string // DID, DSP address or known name
	Dataset string
	Out     string // file to write; it appears under this name only when whole
	Format  string // HttpData-PULL when empty
	Fresh   bool   // negotiate even when an agreement is in force

	// Step, if set, is told of each step as it is done.
	Step func(Step)
	// Progress, if set, is told how much of total bytes is there; total is -1
	// when unknown.
	Progress func(done, total int64)
}

// Step is one step of an exchange that has been done.
type Step struct {
	Name   string            // catalog, agreement, transfer, bytes, completed
	Took   time.Duration     // since the step before
	Values map[string]string // what the step found: ids, counts, digests
}

// Got is the outcome of an exchange.
type Got struct {
	Provider  string // DID
	Agreement string
	Transfer  string
	File      Downloaded
}

// Get does the whole exchange. An agreement in force is used again. A download
// that broke off goes on where it was, in this call or, since the part lies
// beside Out, in a later one. After an error nothing lies under the name Out.
func (c *Client) Get(ctx context.Context, w Want) (Got, error) {
	g := &getting{c: c, w: w, last: time.Now()}
	err := g.run(ctx)
	return g.Got, err
}

type getting struct {
	Got
	c    *Client
	w    Want
	last time.Time
}

func (g *getting) done(name string, pairs ...string) {
	now := time.Now()
	s := Step{Name: name, Took: now.Sub(g.last), Values: map[string]string{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		s.Values[pairs[i]] = pairs[i+1]
	}
	g.last = now
	if g.w.Step != nil {
		g.w.Step(s)
	}
}

func (g *getting) run(ctx context.Context) error {
	found, seen, err := g.find(ctx)
	if err != nil {
		return err
	}
	g.done("catalog", "partner", g.Provider, "datasets", itoa(int64(seen)), "dataset", found.ID, "title", found.Title)
	if found.Base != "" {
		g.Provider = found.Base // another connector answers for it
	}
	if err := g.agree(ctx, found); err != nil {
		return err
	}
	access, err := g.open(ctx)
	if err != nil {
		return err
	}
	g.File, err = Download(ctx, g.c.http(), access, g.w.Out, g.w.Progress)
	if err != nil {
		return err
	}
	g.done("bytes", "bytes", itoa(g.File.Bytes), "digest", g.File.Digest, "resumed", itoa(g.File.Resumed), "file", g.w.Out)
	if _, err := g.c.Complete(ctx, g.Transfer, Completion{Bytes: g.File.Bytes, Digest: g.File.Digest}); err != nil {
		return err
	}
	if _, err := g.c.AwaitTransfer(ctx, g.Transfer, "COMPLETED"); err != nil {
		return err
	}
	g.done("completed", "transfer", g.Transfer)
	return nil
}

// find looks for a dataset by its id, else by its title if only one has it, in as
// much of the catalogue as it takes; seen is how many it looked at.
func (g *getting) find(ctx context.Context) (found Dataset, seen int, err error) {
	var titled []Dataset
	err = g.c.CatalogParts(ctx, g.w.Partner, CatalogQuery{}, func(part PartnerCatalog) bool {
		g.Provider = part.Partner
		seen += len(part.Datasets)
		for _, d := range part.Datasets {
			if d.ID == g.w.Dataset {
				found = d
			}
			if d.Title == g.w.Dataset && len(titled) < 2 {
				titled = append(titled, d)
			}
		}
		return found.ID == ""
	})
	switch {
	case err != nil:
		return found, seen, err
	case found.ID != "":
		return found, seen, nil
	case len(titled) == 1:
		return titled[0], seen, nil
	}
	return found, seen, fault.DatasetNotShown.At(g.w.Dataset, "dataset", g.w.Dataset, "partner", g.Provider)
}

// agree uses the agreement in force or makes one.
func (g *getting) agree(ctx context.Context, d Dataset) error {
	if !g.w.Fresh {
		a, err := g.c.AgreementInForce(ctx, g.Provider, d.ID)
		if err == nil {
			g.Agreement, g.Provider = a.ID, a.Counterparty
			g.done("agreement", "agreement", a.ID, "reused", "true")
			return nil
		}
		if !errors.Is(err, fault.AgreementUnknown) {
			return err
		}
	}
	n, err := g.c.Negotiate(ctx, StartNegotiation{Partner: g.Provider, Dataset: d.ID})
	if err != nil {
		return err
	}
	if n, err = g.c.AwaitNegotiation(ctx, n.ID, "FINALIZED"); err != nil {
		return err
	}
	g.Agreement, g.Provider = n.Agreement, n.Counterparty
	g.done("agreement", "agreement", n.Agreement, "negotiation", n.ID, "reused", "false")
	return nil
}

func (g *getting) open(ctx context.Context) (Access, error) {
	t, err := g.c.StartTransfer(ctx, StartTransfer{Agreement: g.Agreement, Format: g.w.Format})
	if err != nil {
		return Access{}, err
	}
	g.Transfer = t.ID
	if _, err = g.c.AwaitTransfer(ctx, t.ID, "STARTED"); err != nil {
		return Access{}, err
	}
	access, err := g.c.Access(ctx, t.ID)
	if err == nil {
		g.done("transfer", "transfer", t.ID, "endpoint", access.Endpoint)
	}
	return access, err
}

// AwaitNegotiation returns when the state is reached; a termination before that
// is fault.Terminated with the reason.
func (c *Client) AwaitNegotiation(ctx context.Context, id, state string) (Negotiation, error) {
	for {
		n, err := c.Negotiation(ctx, id, waitOnce, state)
		switch {
		case err != nil:
			return n, err
		case n.State == state:
			return n, nil
		case n.State == "TERMINATED":
			return n, fault.Terminated.At(id, "what", id, "reason", n.Reason)
		}
	}
}

// AwaitTransfer is AwaitNegotiation for transfers. A transfer that went past
// STARTED to an end in the meantime is fault.Terminated.
func (c *Client) AwaitTransfer(ctx context.Context, id, state string) (Transfer, error) {
	for {
		t, err := c.Transfer(ctx, id, waitOnce, state)
		switch {
		case err != nil:
			return t, err
		case t.State == state:
			return t, nil
		case t.State == "TERMINATED" || t.State == "COMPLETED":
			return t, fault.Terminated.At(id, "what", id, "reason", t.Reason)
		}
	}
}
