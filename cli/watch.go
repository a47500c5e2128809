package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kakehashi/client"
)

// watchCommand prints each change of a negotiation or transfer as it happens.
type watchCommand struct {
	Reach
	ID string `arg:"" optional:"" name:"id"`
}

func (w watchCommand) Run(ctx context.Context, c *Context) error {
	node, err := w.Client(c)
	if err != nil {
		return err
	}
	var failed error
	err = node.EventsOf(ctx, client.Filter{ID: w.ID}, func() {}, func(e client.Event) bool {
		if e.ID == "" {
			return true // read again: the newest states follow
		}
		failed = errors.Join(c.Emit(e), c.Say(fmt.Sprintf("%s  %-11s  %-10s  %s", e.At.Local().Format(time.TimeOnly), e.Kind, e.State, e.ID)))
		return failed == nil
	})
	return errors.Join(failed, err)
}
