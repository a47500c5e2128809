package main

import (
	"context"
	"fmt"
	"net/http"

	"kakehashi/client"
)

// pulled is a pull by EDC under way.
type pulled struct {
	process
	dataset string
}

// running has EDC pull a dataset of ours; it got the data once.
func (b *bed) running(ctx context.Context, what string) (pulled, error) {
	dataset, err := b.publish(ctx, what, "", free)
	if err != nil {
		return pulled{}, err
	}
	a, err := b.byEDC(ctx, dataset)
	if err != nil {
		return pulled{}, err
	}
	p, err := b.pull(ctx, a)
	if err != nil {
		return pulled{}, err
	}
	return pulled{p, dataset}, b.gets(ctx, p.ID, dataset, 1)
}

// closed says whether what EDC holds of a start opens nothing any more.
func (b *bed) closed(ctx context.Context, transfer string, nth int) error {
	address, authorization, err := b.around.access(ctx, transfer, nth)
	if err != nil {
		return err
	}
	status, _, err := fetch(ctx, address, authorization)
	if err == nil && status == http.StatusOK {
		err = fmt.Errorf("the data still comes")
	}
	return err
}

// pushing has EDC start a push to us whose source is silent at the first reading.
func (b *bed) pushing(ctx context.Context, what string) (ours client.Transfer, theirs process, asset string, err error) {
	if asset, err = b.provide(ctx, what, true, free); err != nil {
		return ours, theirs, asset, err
	}
	a, err := b.byUs(ctx, asset)
	if err != nil {
		return ours, theirs, asset, err
	}
	if ours, err = b.api().StartTransfer(ctx, client.StartTransfer{Agreement: a.agreement, Format: "HttpData-PUSH"}); err != nil {
		return ours, theirs, asset, err
	}
	if ours, err = b.api().AwaitTransfer(ctx, ours.ID, "STARTED"); err != nil {
		return ours, theirs, asset, fmt.Errorf("our transfer: %w", err)
	}
	if theirs, err = b.edc.byPeer(ctx, transfers, ours.ID); err != nil {
		return ours, theirs, asset, err
	}
	if theirs, err = b.edc.await(ctx, transfers, theirs.ID, "STARTED"); err != nil {
		return ours, theirs, asset, err
	}
	return ours, theirs, asset, b.around.reading(ctx, asset)
}

// reaches waits for a state on both sides.
func (b *bed) reaches(ctx context.Context, ours, theirs, state string) error {
	if _, err := b.edc.await(ctx, transfers, theirs, state); err != nil {
		return err
	}
	if _, err := b.api().AwaitTransfer(ctx, ours, state); err != nil {
		return fmt.Errorf("our transfer %s, which should be %s: %w", ours, state, err)
	}
	return nil
}

const pauseReason = "Maintenance until noon."

// interruptions are transfers that one of the sides suspends or ends.
var interruptions = []test{
	{name: "pull suspended and resumed by us, EDC consumes", run: func(ctx context.Context, b *bed) error {
		p, err := b.running(ctx, "pull we suspend")
		if err != nil {
			return err
		}
		if _, err := b.api().Suspend(ctx, p.Peer, pauseReason); err != nil {
			return err
		}
		if err := b.reaches(ctx, p.Peer, p.ID, "SUSPENDED"); err != nil {
			return err
		}
		if err := b.closed(ctx, p.ID, 1); err != nil {
			return err
		}
		if _, err := b.api().Resume(ctx, p.Peer); err != nil {
			return err
		}
		if err := b.reaches(ctx, p.Peer, p.ID, "STARTED"); err != nil {
			return err
		}
		return b.gets(ctx, p.ID, p.dataset, 2)
	}},
	{name: "pull suspended and resumed by EDC, EDC consumes", run: func(ctx context.Context, b *bed) error {
		p, err := b.running(ctx, "pull EDC suspends")
		if err != nil {
			return err
		}
		if err := b.edc.end(ctx, transfers, p.ID, "suspend", pauseReason); err != nil {
			return err
		}
		if err := b.reaches(ctx, p.Peer, p.ID, "SUSPENDED"); err != nil {
			return err
		}
		if err := b.closed(ctx, p.ID, 1); err != nil {
			return err
		}
		if err := b.edc.end(ctx, transfers, p.ID, "resume", ""); err != nil {
			return err
		}
		if err := b.reaches(ctx, p.Peer, p.ID, "STARTED"); err != nil {
			return err
		}
		return b.gets(ctx, p.ID, p.dataset, 2)
	}},
	{name: "pull terminated by us, EDC consumes", run: func(ctx context.Context, b *bed) error {
		p, err := b.running(ctx, "pull we terminate")
		if err != nil {
			return err
		}
		if _, err := b.api().TerminateTransfer(ctx, p.Peer, pauseReason); err != nil {
			return err
		}
		if err := b.reaches(ctx, p.Peer, p.ID, "TERMINATED"); err != nil {
			return err
		}
		return b.closed(ctx, p.ID, 1)
	}},
	{name: "pull terminated by EDC, EDC consumes", run: func(ctx context.Context, b *bed) error {
		p, err := b.running(ctx, "pull EDC terminates")
		if err != nil {
			return err
		}
		if err := b.edc.end(ctx, transfers, p.ID, "terminate", pauseReason); err != nil {
			return err
		}
		t, err := b.api().AwaitTransfer(ctx, p.Peer, "TERMINATED")
		if err != nil {
			return err
		}
		if err := told("our node", t.Reason, pauseReason); err != nil {
			return err
		}
		return b.closed(ctx, p.ID, 1)
	}},
	{name: "push suspended and resumed by us, we consume", run: func(ctx context.Context, b *bed) error {
		t, p, asset, err := b.pushing(ctx, "push we suspend")
		if err != nil {
			return err
		}
		if _, err := b.api().Suspend(ctx, t.ID, pauseReason); err != nil {
			return err
		}
		if err := b.reaches(ctx, t.ID, p.ID, "SUSPENDED"); err != nil {
			return err
		}
		if _, err := b.api().Resume(ctx, t.ID); err != nil {
			return err
		}
		return b.whole(ctx, t, p, asset)
	}},
	{name: "push suspended and resumed by EDC, we consume", run: func(ctx context.Context, b *bed) error {
		t, p, asset, err := b.pushing(ctx, "push EDC suspends")
		if err != nil {
			return err
		}
		if err := b.edc.end(ctx, transfers, p.ID, "suspend", pauseReason); err != nil {
			return err
		}
		if err := b.reaches(ctx, t.ID, p.ID, "SUSPENDED"); err != nil {
			return err
		}
		if err := b.edc.end(ctx, transfers, p.ID, "resume", ""); err != nil {
			return err
		}
		return b.whole(ctx, t, p, asset)
	}},
	{name: "push terminated by us, we consume", run: func(ctx context.Context, b *bed) error {
		t, p, _, err := b.pushing(ctx, "push we terminate")
		if err != nil {
			return err
		}
		if _, err := b.api().TerminateTransfer(ctx, t.ID, pauseReason); err != nil {
			return err
		}
		return b.reaches(ctx, t.ID, p.ID, "TERMINATED")
	}},
	{name: "push terminated by EDC, we consume", run: func(ctx context.Context, b *bed) error {
		t, p, _, err := b.pushing(ctx, "push EDC terminates")
		if err != nil {
			return err
		}
		if err := b.edc.end(ctx, transfers, p.ID, "terminate", pauseReason); err != nil {
			return err
		}
		seen, err := b.api().AwaitTransfer(ctx, t.ID, "TERMINATED")
		if err != nil {
			return err
		}
		return told("our node", seen.Reason, pauseReason)
	}},
}

// whole waits until a push has ended well on both sides and compares what arrived.
func (b *bed) whole(ctx context.Context, t client.Transfer, p process, asset string) error {
	t, err := b.api().AwaitTransfer(ctx, t.ID, "COMPLETED")
	if err != nil {
		return fmt.Errorf("our transfer: %w", err)
	}
	if err := arrived(t, asset); err != nil {
		return err
	}
	_, err = b.edc.await(ctx, transfers, p.ID, "COMPLETED")
	return err
}
