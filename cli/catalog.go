package cli

import (
	"context"
	"strings"

	"kakehashi/client"
	"kakehashi/internal/fault"
)

// catalogCommand lists what we offer, or what a partner shows us.
type catalogCommand struct {
	Reach
	Partner string   `arg:"" optional:""`
	Filter  []string `placeholder:"MEMBER~=TEXT" sep:"none"`
	Limit   int      `placeholder:"N"`
}

func (k catalogCommand) Run(ctx context.Context, c *Context) error {
	node, err := k.Client(c)
	if err != nil {
		return err
	}
	if k.Limit < 0 {
		return fault.BadUsage.At("--limit", "command", "kakehashi catalog", "reason", "--limit < 1")
	}
	if k.Partner == "" {
		if len(k.Filter) > 0 {
			return fault.ArgumentMissing.At("--filter", "command", "kakehashi catalog", "name", "PARTNER")
		}
		return k.own(ctx, c, node)
	}
	shown, further := 0, 0
	var cut string
	q := client.CatalogQuery{Filter: k.Filter, Limit: k.Limit}
	var failed error
	err = node.CatalogParts(ctx, k.Partner, q, func(part client.PartnerCatalog) bool {
		failed = c.datasets(part.Datasets)
		for _, f := range part.Further {
			if failed == nil {
				failed = c.Emit(f)
			}
			if failed == nil {
				failed = c.Say(f.Endpoint + "\n  " + c.Text.T("catalog.further", "title", f.Title))
			}
			further++
		}
		shown += len(part.Datasets)
		cut = part.Cut
		if part.Next != "" && k.Limit > 0 && shown >= k.Limit && failed == nil {
			failed = c.Say(c.Text.T("catalog.more", "shown", shown))
		}
		return failed == nil && (k.Limit == 0 || shown < k.Limit)
	})
	switch {
	case err != nil:
		return err
	case failed != nil:
		return failed
	case cut != "":
		return c.Say(c.Text.T("catalog.cut", "address", cut))
	case shown == 0 && len(k.Filter) > 0:
		return c.Say(c.Text.T("catalog.none"))
	case shown+further == 0:
		return c.Say(c.Text.T("catalog.empty"))
	}
	return nil
}

func (k catalogCommand) own(ctx context.Context, c *Context, node *client.Client) error {
	shown := 0
	for cursor, more := "", true; more; more = cursor != "" {
		page, err := node.Datasets(ctx, cursor)
		if err != nil {
			return err
		}
		cursor = page.Next
		if k.Limit > 0 && shown+len(page.Items) > k.Limit {
			page.Items, cursor = page.Items[:k.Limit-shown], ""
		}
		shown += len(page.Items)
		if err := c.datasets(page.Items); err != nil {
			return err
		}
		if shown < page.Total && shown == k.Limit {
			return c.Say(c.Text.T("catalog.total", "shown", shown, "total", page.Total))
		}
	}
	if shown == 0 {
		return c.Say(c.Text.T("catalog.empty"))
	}
	return nil
}

// datasets prints each dataset with its terms, and where to ask for it if that is
// not the partner itself.
func (c *Context) datasets(all []client.Dataset) error {
	for _, d := range all {
		if err := c.Emit(d); err != nil {
			return err
		}
		lines := []string{d.ID, d.Title}
		if d.Base != "" {
			lines = append(lines, c.Text.T("catalog.elsewhere", "base", d.Base))
		}
		for _, o := range d.Offers {
			lines = append(lines, o.Terms...)
		}
		if err := c.Say(strings.Join(lines, "\n  ")); err != nil {
			return err
		}
	}
	return nil
}

// catalogsCommand works with the further catalogues that our own shows.
type catalogsCommand struct {
	List   listCatalogs  `cmd:"" default:"withargs"`
	Add    addCatalog    `cmd:""`
	Remove removeCatalog `cmd:""`
}

type listCatalogs struct{ Reach }

func (l listCatalogs) Run(ctx context.Context, c *Context) error {
	node, err := l.Client(c)
	if err != nil {
		return err
	}
	all, err := node.Catalogs(ctx)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, f := range all.Items {
		rows = append(rows, []string{f.ID, f.Endpoint, f.Title})
		if err := c.Emit(f); err != nil {
			return err
		}
	}
	return c.table(rows, c.Text.T("catalogs.empty"))
}

type addCatalog struct {
	Reach
	Endpoint string `arg:""`
	Title    string `required:"" placeholder:"TEXT"`
}

func (a addCatalog) Run(ctx context.Context, c *Context) error {
	node, err := a.Client(c)
	if err != nil {
		return err
	}
	f, err := node.AddCatalog(ctx, client.AddCatalog{Title: a.Title, Endpoint: a.Endpoint})
	if err != nil {
		return err
	}
	if err := c.Emit(f); err != nil {
		return err
	}
	return c.Say(c.Text.T("catalogs.added", "id", f.ID, "endpoint", f.Endpoint))
}

type removeCatalog struct {
	Reach
	ID string `arg:"" name:"id"`
}

func (r removeCatalog) Run(ctx context.Context, c *Context) error {
	node, err := r.Client(c)
	if err != nil {
		return err
	}
	if err := node.RemoveCatalog(ctx, r.ID); err != nil {
		return err
	}
	return c.Say(c.Text.T("catalogs.removed", "id", r.ID))
}
