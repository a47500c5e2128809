package client

import (
	"bufio"
	"context"
	"strings"

	"kakehashi/internal/strictjson"
)

// Events calls f for each change of a process of this participant until ctx
// ends, f says stop, or the node closes the stream (ErrStreamEnded). ready is
// called once the stream is open: what happens after it is not missed. A "lost"
// event of the node, sent when the reader was too slow, comes as an Event with
// an empty ID: read again what you wait for.
func (c *Client) Events(ctx context.Context, ready func(), f func(Event) (more bool)) error {
	resp, err := c.request(ctx, "GET", "/events", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	ready()
	sc := bufio.NewScanner(resp.Body)
	for sc.Scan() {
		data, ok := strings.CutPrefix(sc.Text(), "data: ")
		if !ok {
			continue
		}
		var e Event
		if err := strictjson.DecodeOpen([]byte(data), &e); err != nil {
			return err
		}
		if !f(e) {
			return nil
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return ErrStreamEnded
}
