package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"kakehashi/client"
	"kakehashi/internal/fault"
)

// exchange is one whole exchange, and what was acknowledged of it.
type exchange struct {
	n                        int
	consumer, provider       *side
	negotiation, transfer    string // our pids, once a call that made them was answered
	peerNegotiation, peerPid string
	agreement                string
	took                     time.Duration
	err                      error // why it did not come to its end
}

const (
	callWithin = 12 * time.Second // of one call; another replica is asked then
	longPoll   = 5 * time.Second
)

// driver makes exchanges between two sides through their management APIs, as a
// person's program would: each call again, with the same key, until it is answered.
type driver struct {
	seed  uint64
	dice  *dice
	data  *http.Client
	only  any          // terms of negotiations that are made without a transfer
	tries atomic.Int64 // calls that had to be made again
}

// run makes total exchanges, inFlight at a time, half in each direction.
func (d *driver) run(ctx context.Context, a, b *side, total, inFlight int, done func(exchange)) []exchange {
	all := make([]exchange, total)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range inFlight {
		wg.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= total || ctx.Err() != nil {
					return
				}
				x := exchange{n: n, consumer: a, provider: b}
				if n%2 == 1 && d.only == nil {
					x.consumer, x.provider = b, a
				}
				began := time.Now()
				x.err = d.whole(ctx, &x)
				x.took = time.Since(began)
				all[n] = x
				done(x)
			}
		})
	}
	wg.Wait()
	for n := range all {
		if all[n].consumer == nil {
			all[n] = exchange{n: n, consumer: a, provider: b, err: fmt.Errorf("not begun: %w", context.Cause(ctx))}
		}
	}
	return all
}

// try makes a call at one replica after the other until it is answered. What the
// node refuses for a reason of its own is an answer.
func try[T any](ctx context.Context, d *driver, s *side, call func(context.Context, *client.Client) (T, error)) (T, error) {
	at := d.dice.pick(len(s.replicas))
	for i := 0; ; i++ {
		within, cancel := context.WithTimeout(ctx, callWithin)
		out, err := call(within, s.replicas[(at+i)%len(s.replicas)].api)
		cancel()
		if err == nil || ctx.Err() != nil || !passing(err) {
			return out, err
		}
		d.tries.Add(1)
		wait(ctx, nil, d.dice.between(20*time.Millisecond, 300*time.Millisecond))
	}
}

// passing says whether a call may go through when it is made again.
func passing(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, fault.NodeUnreachable) {
		return true
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Kind.Status >= 500 || f.Kind.Status == http.StatusTooManyRequests
	}
	return true // the connection broke in the middle of the answer
}

// whole is negotiation, transfer to STARTED, the bytes, COMPLETED.
func (d *driver) whole(ctx context.Context, x *exchange) error {
	key := fmt.Sprintf("chaos-%d-%s-%d", d.seed, x.consumer.did, x.n)
	n, err := try(ctx, d, x.consumer, func(ctx context.Context, c *client.Client) (client.Negotiation, error) {
		want := client.StartNegotiation{Partner: x.provider.did, Dataset: x.provider.dataset, Key: key}
		if d.only != nil { // no catalogue is read then
			want.Dataset, want.Offer, want.Policy = key, key+":offer", d.only
		}
		return c.Negotiate(ctx, want)
	})
	if err != nil {
		return fmt.Errorf("negotiate: %w", err)
	}
	x.negotiation = n.ID
	for n.State != "FINALIZED" {
		if n.State == "TERMINATED" {
			return fmt.Errorf("negotiation %s was terminated: %s", n.ID, n.Reason)
		}
		if n, err = try(ctx, d, x.consumer, func(ctx context.Context, c *client.Client) (client.Negotiation, error) {
			return c.Negotiation(ctx, x.negotiation, longPoll, "FINALIZED", "TERMINATED")
		}); err != nil {
			return fmt.Errorf("negotiation %s: %w", x.negotiation, err)
		}
	}
	x.agreement, x.peerNegotiation = n.Agreement, n.PeerID
	if d.only != nil {
		return nil
	}
	t, err := try(ctx, d, x.consumer, func(ctx context.Context, c *client.Client) (client.Transfer, error) {
		return c.StartTransfer(ctx, client.StartTransfer{Agreement: x.agreement, Key: key + "-transfer"})
	})
	if err != nil {
		return fmt.Errorf("start a transfer under %s: %w", x.agreement, err)
	}
	x.transfer = t.ID
	if err := d.until(ctx, x, "STARTED"); err != nil {
		return err
	}
	size, err := d.fetch(ctx, x)
	if err != nil {
		return fmt.Errorf("fetch the data of transfer %s: %w", x.transfer, err)
	}
	_, err = try(ctx, d, x.consumer, func(ctx context.Context, c *client.Client) (client.Transfer, error) {
		return c.Complete(ctx, x.transfer, client.Completion{Bytes: size})
	})
	if err != nil {
		return fmt.Errorf("complete transfer %s: %w", x.transfer, err)
	}
	return d.until(ctx, x, "COMPLETED")
}

// until waits for a state of the transfer.
func (d *driver) until(ctx context.Context, x *exchange, state string) error {
	for {
		t, err := try(ctx, d, x.consumer, func(ctx context.Context, c *client.Client) (client.Transfer, error) {
			return c.Transfer(ctx, x.transfer, longPoll, state, "TERMINATED")
		})
		if err != nil {
			return fmt.Errorf("transfer %s: %w", x.transfer, err)
		}
		x.peerPid = t.PeerID
		switch t.State {
		case state:
			return nil
		case "TERMINATED":
			return fmt.Errorf("transfer %s was terminated: %s", t.ID, t.Reason)
		}
	}
}

// fetch reads the bytes; the line may break it off.
func (d *driver) fetch(ctx context.Context, x *exchange) (int64, error) {
	for {
		a, err := try(ctx, d, x.consumer, func(ctx context.Context, c *client.Client) (client.Access, error) {
			return c.Access(ctx, x.transfer)
		})
		if err != nil {
			return 0, err
		}
		n, status, err := d.get(ctx, a)
		if err == nil && status == http.StatusOK || ctx.Err() != nil {
			return n, errors.Join(err, ctx.Err())
		}
		if err == nil && status < 500 && status != http.StatusTooManyRequests {
			return 0, fmt.Errorf("the data answers %d", status)
		}
		d.tries.Add(1)
		wait(ctx, nil, d.dice.between(20*time.Millisecond, 300*time.Millisecond))
	}
}

func (d *driver) get(ctx context.Context, a client.Access) (n int64, status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.Endpoint, nil)
	if err != nil {
		return 0, 0, err
	}
	req.Header.Set("Authorization", a.Authorization)
	resp, err := d.data.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	n, err = io.Copy(io.Discard, resp.Body)
	return n, resp.StatusCode, err
}
