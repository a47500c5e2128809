package main

import (
	"context"
	"fmt"
	"strings"

	"kakehashi/client"
)

// told says whether a counterpart shows the reason that it was given.
func told(who, shown, reason string) error {
	if !strings.Contains(shown, reason) {
		return fmt.Errorf("%s shows %q instead of the reason %q", who, shown, reason)
	}
	return nil
}

// ended waits until our negotiation is terminated, and gives why.
func (b *bed) ended(ctx context.Context, id string) (string, error) {
	n, err := b.api().AwaitNegotiation(ctx, id, "TERMINATED")
	if err != nil {
		return "", fmt.Errorf("our negotiation %s: %w", id, err)
	}
	return n.Reason, nil
}

// said says whether our terminated negotiation has the reason that EDC was sent.
// EDC takes it and shows it nowhere.
func (b *bed) said(ctx context.Context, id, reason string) error {
	why, err := b.ended(ctx, id)
	if err != nil {
		return err
	}
	return told("our node", why, reason)
}

// waiting has EDC ask for a dataset of ours about which we are asked, and waits
// until we are.
func (b *bed) waiting(ctx context.Context, what string) (process, error) {
	dataset, err := b.publish(ctx, what, "ask", free)
	if err != nil {
		return process{}, err
	}
	p, err := b.ask(ctx, dataset, "REQUESTED")
	if err != nil {
		return p, err
	}
	n, err := b.api().Negotiation(ctx, p.Peer, 0)
	if err == nil && !n.Waits {
		err = fmt.Errorf("our negotiation is %s and does not wait for us", n.State)
	}
	return p, err
}

// halfway has us ask for an asset of EDC's and stop before we verify; EDC waits
// in AGREED.
func (b *bed) halfway(ctx context.Context, what string) (ours client.Negotiation, theirs process, err error) {
	asset, err := b.provide(ctx, what, false, free)
	if err != nil {
		return ours, theirs, err
	}
	if ours, err = b.api().Negotiate(ctx, client.StartNegotiation{Partner: b.edc.id, Dataset: asset, Asking: "each-step"}); err != nil {
		return ours, theirs, err
	}
	if ours, err = b.api().AwaitNegotiation(ctx, ours.ID, "AGREED"); err != nil {
		return ours, theirs, err
	}
	if theirs, err = b.edc.byPeer(ctx, negotiations, ours.ID); err != nil {
		return ours, theirs, err
	}
	theirs, err = b.edc.await(ctx, negotiations, theirs.ID, "AGREED")
	return ours, theirs, err
}

// refusals are negotiations that one of the sides ends.
var refusals = []test{
	{name: "approval by a person, EDC consumes", run: func(ctx context.Context, b *bed) error {
		p, err := b.waiting(ctx, "approval")
		if err != nil {
			return err
		}
		if _, err := b.api().Decide(ctx, p.Peer, 0, client.Decision{Decision: "approve"}); err != nil {
			return err
		}
		_, err = b.edc.await(ctx, negotiations, p.ID, "FINALIZED")
		return err
	}},
	{name: "refusal with a reason, EDC consumes", run: func(ctx context.Context, b *bed) error {
		const reason = "Research only, please name the project."
		p, err := b.waiting(ctx, "refusal")
		if err != nil {
			return err
		}
		if _, err := b.api().Decide(ctx, p.Peer, 0, client.Decision{Decision: "refuse", Code: "project", Reason: reason}); err != nil {
			return err
		}
		if _, err = b.edc.await(ctx, negotiations, p.ID, "TERMINATED"); err != nil {
			return err
		}
		return b.said(ctx, p.Peer, reason)
	}},
	{name: "other terms are refused with a reason, EDC consumes", run: func(ctx context.Context, b *bed) error {
		rules := object{"permission": []any{rule(purpose("eq", "urn:example:research"))}}
		dataset, err := b.publish(ctx, "other terms", "", rules)
		if err != nil {
			return err
		}
		id, err := b.edc.negotiate(ctx, b.us(), object{"@context": "http://www.w3.org/ns/odrl.jsonld", "@type": "Offer", "@id": dataset + "/offer",
			"assigner": b.us().id, "target": dataset, "permission": []any{object{"action": "use"}}})
		if err != nil {
			return err
		}
		p, err := b.edc.await(ctx, negotiations, id, "TERMINATED")
		if err != nil {
			return err
		}
		return told("EDC", p.Error, "differ")
	}},
	{name: "other terms are refused, we consume", run: func(ctx context.Context, b *bed) error {
		asset, err := b.provide(ctx, "other terms", false, object{"permission": []any{object{"action": "use"}}, "prohibition": []any{object{"action": "distribute"}}})
		if err != nil {
			return err
		}
		d, err := b.shown(ctx, asset)
		if err != nil {
			return err
		}
		n, err := b.api().Negotiate(ctx, client.StartNegotiation{Partner: b.edc.id, Dataset: asset, Offer: d.Offers[0].ID, Policy: free})
		if err != nil {
			return err
		}
		why, err := b.ended(ctx, n.ID)
		if err == nil && why == "" {
			err = fmt.Errorf("our negotiation ended without a reason")
		}
		return err
	}},
	{name: "EDC takes its request back, EDC consumes", run: func(ctx context.Context, b *bed) error {
		const reason = "No longer needed."
		p, err := b.waiting(ctx, "taken back")
		if err != nil {
			return err
		}
		if err := b.edc.end(ctx, negotiations, p.ID, "terminate", reason); err != nil {
			return err
		}
		why, err := b.ended(ctx, p.Peer)
		if err != nil {
			return err
		}
		if _, err := b.edc.await(ctx, negotiations, p.ID, "TERMINATED"); err != nil {
			return err
		}
		return told("our node", why, reason)
	}},
	{name: "we terminate what was agreed, we consume", run: func(ctx context.Context, b *bed) error {
		const reason = "The agreement came too late."
		n, p, err := b.halfway(ctx, "we terminate")
		if err != nil {
			return err
		}
		if _, err := b.api().TerminateNegotiation(ctx, n.ID, reason); err != nil {
			return err
		}
		if _, err = b.edc.await(ctx, negotiations, p.ID, "TERMINATED"); err != nil {
			return err
		}
		return b.said(ctx, n.ID, reason)
	}},
	{name: "EDC terminates what was agreed, we consume", run: func(ctx context.Context, b *bed) error {
		const reason = "Withdrawn by the provider."
		n, p, err := b.halfway(ctx, "EDC terminates")
		if err != nil {
			return err
		}
		if err := b.edc.end(ctx, negotiations, p.ID, "terminate", reason); err != nil {
			return err
		}
		why, err := b.ended(ctx, n.ID)
		if err != nil {
			return err
		}
		return told("our node", why, reason)
	}},
}
