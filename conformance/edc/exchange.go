package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"kakehashi/client"
)

// test is one case: what has to happen, nil if it does.
type test struct {
	name  string
	run   func(context.Context, *bed) error
	crowd bool // many at once, which may take twice as long
}

// exchanges are the cases of an ordinary exchange.
var exchanges = []test{
	{name: "catalogue, EDC reads ours", run: func(ctx context.Context, b *bed) error {
		dataset, err := b.publish(ctx, "catalogue", "", free)
		if err != nil {
			return err
		}
		offers, err := b.edc.catalog(ctx, b.us(), dataset)
		if err != nil {
			return err
		}
		if len(offers) != 1 || offers[0].id != dataset+"/offer" {
			return fmt.Errorf("EDC sees the offers %v", offers)
		}
		return offered(offers[0].formats, "HttpData-PULL", "HttpData-PUSH")
	}},
	{name: "catalogue, we read EDC's", run: func(ctx context.Context, b *bed) error {
		asset, err := b.provide(ctx, "catalogue", false, free)
		if err != nil {
			return err
		}
		d, err := b.shown(ctx, asset)
		if err != nil {
			return err
		}
		return offered(d.Formats, "HttpData-PULL", "HttpData-PUSH")
	}},
	{name: "negotiation, EDC consumes", run: func(ctx context.Context, b *bed) error {
		dataset, err := b.publish(ctx, "negotiation", "", free)
		if err != nil {
			return err
		}
		_, err = b.byEDC(ctx, dataset)
		return err
	}},
	{name: "negotiation, we consume", run: func(ctx context.Context, b *bed) error {
		asset, err := b.provide(ctx, "negotiation", false, free)
		if err != nil {
			return err
		}
		_, err = b.byUs(ctx, asset)
		return err
	}},
	{name: "pull, EDC consumes", run: func(ctx context.Context, b *bed) error {
		dataset, err := b.publish(ctx, "pull", "", free)
		if err != nil {
			return err
		}
		a, err := b.byEDC(ctx, dataset)
		if err != nil {
			return err
		}
		return b.wholePull(ctx, a, dataset)
	}},
	{name: "push, EDC consumes", run: func(ctx context.Context, b *bed) error {
		dataset, err := b.publish(ctx, "push", "", free)
		if err != nil {
			return err
		}
		a, err := b.byEDC(ctx, dataset)
		if err != nil {
			return err
		}
		id, err := b.edc.transfer(ctx, b.us(), a.edcs, "HttpData-PUSH", b.around.base+"/events", b.around.base+"/sink/"+b.name("push"))
		if err != nil {
			return err
		}
		body, err := b.around.pushed(ctx, b.name("push"))
		if err != nil {
			return err
		}
		if !bytes.Equal(body, content(dataset)) {
			return fmt.Errorf("%d bytes were pushed: %.200s", len(body), body)
		}
		p, err := b.edc.await(ctx, transfers, id, "COMPLETED")
		if err != nil {
			return err
		}
		_, err = b.api().AwaitTransfer(ctx, p.Peer, "COMPLETED")
		return err
	}},
	{name: "push, we consume", run: func(ctx context.Context, b *bed) error {
		asset, err := b.provide(ctx, "push", false, free)
		if err != nil {
			return err
		}
		a, err := b.byUs(ctx, asset)
		if err != nil {
			return err
		}
		return b.wholePush(ctx, a, asset)
	}},
}

// shown finds a dataset in EDC's catalogue.
func (b *bed) shown(ctx context.Context, asset string) (client.Dataset, error) {
	catalog, err := b.api().PartnerCatalog(ctx, b.edc.id)
	if err != nil {
		return client.Dataset{}, err
	}
	for _, d := range catalog.Datasets {
		if d.ID == asset && len(d.Offers) > 0 {
			return d, nil
		}
	}
	return client.Dataset{}, fmt.Errorf("none of %d datasets in EDC's catalogue is %s with an offer", len(catalog.Datasets), asset)
}

// wholePull is a pull by EDC from its request to its end on both sides. EDC never
// completes one, so we do.
func (b *bed) wholePull(ctx context.Context, a agreed, dataset string) error {
	p, err := b.pull(ctx, a)
	if err != nil {
		return err
	}
	if err := b.gets(ctx, p.ID, dataset, 1); err != nil {
		return err
	}
	if _, err := b.api().Complete(ctx, p.Peer, client.Completion{}); err != nil {
		return err
	}
	_, err = b.edc.await(ctx, transfers, p.ID, "COMPLETED")
	return err
}

// wholePush is a push by EDC to us, to its end on both sides.
func (b *bed) wholePush(ctx context.Context, a agreed, asset string) error {
	t, err := b.api().StartTransfer(ctx, client.StartTransfer{Agreement: a.agreement, Format: "HttpData-PUSH"})
	if err != nil {
		return err
	}
	if t, err = b.api().AwaitTransfer(ctx, t.ID, "COMPLETED"); err != nil {
		return fmt.Errorf("our transfer %s: %w", t.ID, err)
	}
	if err := arrived(t, asset); err != nil {
		return err
	}
	p, err := b.edc.byPeer(ctx, transfers, t.ID)
	if err != nil {
		return err
	}
	_, err = b.edc.await(ctx, transfers, p.ID, "COMPLETED")
	return err
}

// arrived compares what was pushed to us with the asset.
func arrived(t client.Transfer, asset string) error {
	if t.File == "" {
		return errors.New("our node names no file of what was pushed to it")
	}
	body, err := os.ReadFile(t.File)
	if err != nil {
		return err
	}
	if !bytes.Equal(body, content(asset)) {
		return fmt.Errorf("%d bytes arrived: %.200s", len(body), body)
	}
	return nil
}
