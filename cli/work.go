package cli

import (
	"context"
	"strconv"
	"time"

	"kakehashi/client"
)

// workCommand shows and settles what did not get through to a counterpart.
type workCommand struct {
	List  workList  `cmd:"" default:"withargs"`
	Retry workRetry `cmd:""`
	End   workEnd   `cmd:""`
}

type workList struct {
	Reach
	Partner string `placeholder:"ID"`
}

func (w workList) Run(ctx context.Context, c *Context) error {
	node, err := w.Client(c)
	if err != nil {
		return err
	}
	all, err := node.Work(ctx, w.Partner)
	if err != nil {
		return err
	}
	for _, j := range all.Items {
		if err := c.Emit(j); err != nil {
			return err
		}
		if err := c.Say(described(c, j)); err != nil {
			return err
		}
	}
	switch {
	case all.More:
		return c.Say(c.Text.T("work.more"))
	case len(all.Items) == 0:
		return c.Say(c.Text.T("work.none"))
	}
	return nil
}

// described is a job in some lines.
func described(c *Context, j client.Work) string {
	what := j.Message
	if what == "" {
		what = j.Kind
	}
	who := j.Counterparty
	if who == "" {
		who = "-"
	}
	s := j.ID + "\n  " + c.Text.T("work.line", "counterparty", who, "what", what, "attempts", strconv.Itoa(j.Attempts), "since", j.Since.Format(time.DateTime))
	s += "\n  " + c.Text.T("work.process", "process", j.Process)
	if j.LastError != "" {
		s += "\n  " + c.Text.T("work.error", "err", j.LastError)
	}
	switch j.State {
	case "parked":
		return s + "\n  " + c.Text.T("work.parked")
	case "behind":
		return s + "\n  " + c.Text.T("work.behind")
	}
	return s + "\n  " + c.Text.T("work.next", "next", j.Next.Format(time.DateTime))
}

type workRetry struct {
	Reach
	ID string `arg:"" name:"id"`
}

func (w workRetry) Run(ctx context.Context, c *Context) error {
	node, err := w.Client(c)
	if err != nil {
		return err
	}
	if err := node.RetryWork(ctx, w.ID); err != nil {
		return err
	}
	return c.Say(c.Text.T("work.retried", "id", w.ID))
}

type workEnd struct {
	Reach
	ID string `arg:"" name:"id"`
}

func (w workEnd) Run(ctx context.Context, c *Context) error {
	node, err := w.Client(c)
	if err != nil {
		return err
	}
	if err := node.EndWork(ctx, w.ID); err != nil {
		return err
	}
	return c.Say(c.Text.T("work.ended", "id", w.ID))
}
