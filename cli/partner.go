package cli

import (
	"context"
	"time"

	"kakehashi/client"
)

// partnersCommand lists the counterparts; add fixes the address of one.
type partnersCommand struct {
	List listPartners `cmd:"" default:"withargs"`
	Add  addPartner   `cmd:""`
}

type listPartners struct{ Reach }

func (l listPartners) Run(ctx context.Context, c *Context) error {
	node, err := l.Client(c)
	if err != nil {
		return err
	}
	all, err := node.Partners(ctx)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, p := range all.Items {
		rows = append(rows, []string{p.Seen.Format(time.DateTime), p.DID, p.Base, p.Title})
		if err := c.Emit(p); err != nil {
			return err
		}
	}
	return c.table(rows, c.Text.T("partners.empty"))
}

type addPartner struct {
	Reach
	ID    string `arg:"" name:"id"`
	Base  string `arg:""`
	Title string `placeholder:"TEXT"`
}

func (a addPartner) Run(ctx context.Context, c *Context) error {
	node, err := a.Client(c)
	if err != nil {
		return err
	}
	p, err := node.FixPartner(ctx, client.FixPartner{ID: a.ID, Base: a.Base, Title: a.Title})
	if err != nil {
		return err
	}
	if err := c.Emit(p); err != nil {
		return err
	}
	return c.Say(c.Text.T("partners.added", "id", p.DID, "base", p.Base))
}
