package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"kakehashi/cli/progress"
	"kakehashi/client"
	"kakehashi/internal/fault"
	"kakehashi/odrl"
)

// getCommand does a whole exchange in one call.
type getCommand struct {
	Reach
	Provider string `arg:""`
	Dataset  string `arg:""`
	Out      string `required:"" placeholder:"FILE"`
	Fresh    bool
}

func (g getCommand) Run(ctx context.Context, c *Context) error {
	node, err := g.Client(c)
	if err != nil {
		return err
	}
	_, err = c.Get(ctx, node, client.Want{Partner: g.Provider, Dataset: g.Dataset, Out: g.Out, Fresh: g.Fresh})
	return err
}

// Get runs an exchange and shows each step as it is done; the bytes have a bar.
func (c *Context) Get(ctx context.Context, node *client.Client, w client.Want) (client.Got, error) {
	var bar *progress.Counter
	var last int64
	display := c.Progress()
	w.Progress = func(done, total int64) {
		if bar == nil {
			bar = display.Counter(filepath.Base(w.Out), total)
		}
		bar.Add(done - last)
		last = done
	}
	w.Step = func(s client.Step) {
		if s.Name == "bytes" {
			bar.Done()
			display.Close()
		}
		_ = c.Step(s.Name, s.Took, s.Values)
	}
	got, err := node.Get(ctx, w)
	display.Close()
	return got, err
}

// Step prints one step of an exchange: its time, what it was, what it found.
func (c *Context) Step(name string, took time.Duration, values map[string]string) error {
	pairs := make([]any, 0, 2*len(values))
	row := map[string]any{"step": name, "ms": float64(took.Microseconds()) / 1000}
	for k, v := range values {
		pairs = append(pairs, k, v)
		row[k] = v
	}
	if err := c.Emit(row); err != nil {
		return err
	}
	return c.Say(fmt.Sprintf("%9.1f ms  %s", float64(took.Microseconds())/1000, c.Text.T("step."+name, pairs...)))
}

// publishCommand offers a file of the node's machine.
type publishCommand struct {
	Reach
	File        string `arg:""`
	Title       string `placeholder:"TEXT"`
	Description string `placeholder:"TEXT"`
	ID          string `name:"id" placeholder:"IRI"`
	OfferID     string `name:"offer-id" placeholder:"IRI"`
	Asking      string `enum:"automatic,ask,each-step" default:"automatic"`
	Purpose     string `placeholder:"TEXT"`
	Credential  string `placeholder:"TYPE"`
	Until       string `placeholder:"DATE"`
	Policy      string `placeholder:"FILE"`
}

func (p publishCommand) Run(ctx context.Context, c *Context) error {
	node, err := p.Client(c)
	if err != nil {
		return err
	}
	policy, err := p.terms()
	if err != nil {
		return err
	}
	path, err := filepath.Abs(p.File)
	if err != nil {
		return cannotRead(p.File, err)
	}
	if p.Title == "" {
		p.Title = filepath.Base(path)
	}
	d, err := node.PublishFile(ctx, client.PublishFile{Path: path, Title: p.Title, Description: p.Description, ID: p.ID,
		Offer: p.OfferID, Asking: p.Asking, Policy: policy})
	if err != nil {
		return err
	}
	if err := c.Emit(d); err != nil {
		return err
	}
	return c.Say(c.Text.T("publish.done", "id", d.ID, "title", d.Title, "version", d.Version))
}

// terms are the rules of a file, or use for a purpose until a date.
func (p publishCommand) terms() (any, error) {
	if p.Policy != "" {
		return policyFile(p.Policy)
	}
	t := odrl.Terms{Purpose: p.Purpose, Credential: p.Credential}
	if p.Until != "" {
		var err error
		if t.Until, err = day(p.Until); err != nil {
			return nil, fault.BadUsage.At("--until", "command", "kakehashi publish", "reason", err.Error())
		}
	}
	raw, err := t.Policy()
	return json.RawMessage(raw), err
}

// day reads a date, which ends with that day in UTC, or a time with a zone.
func day(s string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t.AddDate(0, 0, 1), nil
	}
	return time.Parse(time.RFC3339, s)
}

// negotiateCommand asks a partner for an agreement and waits for it.
type negotiateCommand struct {
	Reach
	Provider string `arg:""`
	Dataset  string `arg:""`
	Offer    string `placeholder:"IRI"`
	Policy   string `placeholder:"FILE"`
	Asking   string `enum:"automatic,ask,each-step" default:"automatic"`
}

func (n negotiateCommand) Run(ctx context.Context, c *Context) error {
	node, err := n.Client(c)
	if err != nil {
		return err
	}
	want := client.StartNegotiation{Partner: n.Provider, Dataset: n.Dataset, Offer: n.Offer, Asking: n.Asking}
	if n.Policy != "" {
		if n.Offer == "" {
			return fault.BadUsage.At("--offer", "command", "kakehashi negotiate", "reason", c.Text.T("negotiate.offer"))
		}
		if want.Policy, err = policyFile(n.Policy); err != nil {
			return err
		}
	}
	q, err := node.Negotiate(ctx, want)
	if err != nil {
		return err
	}
	if n.Asking != "automatic" || n.Policy != "" { // people decide: it may take days
		if q, err = node.AwaitNegotiation(ctx, q.ID, "REQUESTED"); err != nil {
			return err
		}
		if err := c.Emit(q); err != nil {
			return err
		}
		return c.Say(c.Text.T("negotiate.asked", "negotiation", q.ID))
	}
	if q, err = node.AwaitNegotiation(ctx, q.ID, "FINALIZED"); err != nil {
		return err
	}
	if err := c.Emit(q); err != nil {
		return err
	}
	return c.Say(c.Text.T("negotiate.done", "agreement", q.Agreement, "negotiation", q.ID))
}

// exchangesCommand lists negotiations and transfers, newest first.
type exchangesCommand struct {
	Reach
	All bool
}

func (e exchangesCommand) Run(ctx context.Context, c *Context) error {
	node, err := e.Client(c)
	if err != nil {
		return err
	}
	var rows [][]string
	negotiations, err := pages(e.All, func(cursor string) (string, int, error) {
		page, err := node.Negotiations(ctx, cursor)
		for _, n := range page.Items {
			rows = append(rows, []string{n.Updated.Format(time.DateTime), "negotiation", n.Role, c.newer(n.State, n.Newer), n.Counterparty, n.ID})
			err = errors.Join(err, c.Emit(n))
		}
		return page.Next, page.Total, err
	})
	if err != nil {
		return err
	}
	transfers, err := pages(e.All, func(cursor string) (string, int, error) {
		page, err := node.Transfers(ctx, cursor)
		for _, t := range page.Items {
			rows = append(rows, []string{t.Updated.Format(time.DateTime), "transfer", t.Role, c.newer(t.State, t.Newer), t.Counterparty, t.ID})
			err = errors.Join(err, c.Emit(t))
		}
		return page.Next, page.Total, err
	})
	if err != nil {
		return err
	}
	if err := c.table(rows, c.Text.T("exchanges.empty")); err != nil {
		return err
	}
	return c.shown(len(rows), negotiations+transfers)
}

// newer is a state, marked when a newer program than the node that answers wrote it.
func (c *Context) newer(state string, is bool) string {
	if is {
		return c.Text.T("exchanges.newer", "state", state)
	}
	return state
}

// agreementsCommand lists agreements; end ends one.
type agreementsCommand struct {
	List listAgreements `cmd:"" default:"withargs"`
	End  endAgreement   `cmd:""`
}

type listAgreements struct {
	Reach
	All bool
}

func (a listAgreements) Run(ctx context.Context, c *Context) error {
	node, err := a.Client(c)
	if err != nil {
		return err
	}
	var rows [][]string
	total, err := pages(a.All, func(cursor string) (string, int, error) {
		page, err := node.Agreements(ctx, cursor)
		for _, x := range page.Items {
			state := c.Text.T("agreements.in_force")
			if !x.Ended.IsZero() {
				state = c.Text.T("agreements.ended", "reason", x.Reason)
			}
			rows = append(rows, []string{x.Signed.Format(time.DateTime), x.Role, c.newer(state, x.Newer), x.Counterparty, x.ID})
			err = errors.Join(err, c.Emit(x))
		}
		return page.Next, page.Total, err
	})
	if err != nil {
		return err
	}
	if err := c.table(rows, c.Text.T("agreements.empty")); err != nil {
		return err
	}
	return c.shown(len(rows), total)
}

type endAgreement struct {
	Reach
	Agreement string `arg:""`
	Reason    string `required:"" placeholder:"TEXT"`
}

func (e endAgreement) Run(ctx context.Context, c *Context) error {
	node, err := e.Client(c)
	if err != nil {
		return err
	}
	a, err := node.EndAgreement(ctx, e.Agreement, e.Reason)
	if err != nil {
		return err
	}
	if err := c.Emit(a); err != nil {
		return err
	}
	return c.Say(c.Text.T("agreements.ended_now", "agreement", a.ID))
}

// historyCommand prints the timeline of a process, with the digests of the bytes
// that went over.
type historyCommand struct {
	Reach
	ID string `arg:"" name:"id"`
}

func (h historyCommand) Run(ctx context.Context, c *Context) error {
	node, err := h.Client(c)
	if err != nil {
		return err
	}
	got, err := node.History(ctx, h.ID)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, e := range got.Items {
		rows = append(rows, []string{e.Time.Format("2006-01-02 15:04:05.000"), fmt.Sprint(e.Position), e.Direction, e.Type, e.Hashes["payload"]})
		if err := c.Emit(e); err != nil {
			return err
		}
	}
	return c.table(rows, c.Text.T("history.empty"))
}

func (c *Context) table(rows [][]string, empty string) error {
	if c.JSON {
		return nil
	}
	if len(rows) == 0 {
		return c.Say(empty)
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		if _, err := fmt.Fprintln(w, strings.Join(r, "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}
