package client

import (
	"bufio"
	"context"
	"net/url"
	"strings"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

const (
	// silence is how long a stream may say nothing before it counts as broken; the
	// node says something every 15 s.
	silence = 45 * time.Second
	// Waits between two attempts to open a stream again.
	firstWait, longestWait = 200 * time.Millisecond, 10 * time.Second
)

// Filter narrows Events; a zero member is any.
type Filter struct {
	Kind  string // negotiation or transfer
	ID    string // of one process
	After string // Position of an event that was read before: go on after it
}

// Events calls f for each change of a process of this participant until ctx
// ends, f says stop, or the node refuses the stream. ready is called once the
// stream is open: what happens after it is not missed. A stream that breaks is
// opened again where it broke, at any replica of the node: then, and after an
// Event with an empty ID, which says that the reader was too slow, each process
// comes at its newest state, without the steps between, and a change may come
// twice.
func (c *Client) Events(ctx context.Context, ready func(), f func(Event) (more bool)) error {
	return c.EventsOf(ctx, Filter{}, ready, f)
}

// EventsOf is Events for some of the changes.
func (c *Client) EventsOf(ctx context.Context, want Filter, ready func(), f func(Event) (more bool)) error {
	opened, wait := false, firstWait
	for {
		heard := false
		more, err := c.stream(ctx, &want.After, want, func() {
			if !opened {
				ready()
			}
			opened, heard = true, true
		}, f)
		if !more {
			return err
		}
		if err != nil && (!opened || fault.Of(err).Kind.Status < 500) {
			return err
		}
		if heard {
			wait = firstWait
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		wait = min(2*wait, longestWait)
	}
}

// stream reads one connection. more says that it is worth another.
func (c *Client) stream(ctx context.Context, position *string, want Filter, open func(), f func(Event) bool) (more bool, err error) {
	attempt, cancel := context.WithCancel(ctx)
	defer cancel()
	watchdog := time.AfterFunc(silence, cancel)
	defer watchdog.Stop()
	q := url.Values{}
	for name, v := range map[string]string{"kind": want.Kind, "id": want.ID, "after": *position} {
		if v != "" {
			q.Set(name, v)
		}
	}
	path := "/events"
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	resp, err := c.request(attempt, "GET", path, nil)
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	open()
	sc := bufio.NewScanner(resp.Body)
	at, data := *position, ""
	for sc.Scan() {
		watchdog.Stop() // f may take its time
		switch name, value, _ := strings.Cut(sc.Text(), ": "); name {
		case "id":
			at = value
		case "data":
			data = value
		case "": // an event counts once it is whole; or a comment
			if sc.Text() != "" {
				break
			}
			*position = at
			if data == "" {
				break
			}
			e := Event{Position: at}
			if err := strictjson.DecodeOpen([]byte(data), &e); err != nil {
				return false, err
			}
			if data = ""; !f(e) {
				return false, nil
			}
		}
		watchdog.Reset(silence)
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	return true, nil
}
