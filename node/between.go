package node

// What stands between rooms that do not know each other, and what services bring.

import (
	"context"
	"fmt"
	"strings"

	"kakehashi/agreement"
	"kakehashi/api"
	"kakehashi/catalog"
	"kakehashi/dataplane"
	"kakehashi/decision"
	"kakehashi/internal/watch"
	"kakehashi/participant"
	"kakehashi/services"
	"kakehashi/store"
	"kakehashi/transfer"
	"kakehashi/trust"
)

// webhook is whom the node asks for decisions, nil for nobody.
func (n *Node) webhook() (*decision.Webhook, error) {
	s := n.c.Settings
	if s.DecisionWebhook == "" {
		return nil, nil
	}
	key, err := s.DecisionWebhookKey()
	if err != nil {
		return nil, err
	}
	return decision.New(decision.Config{URL: s.DecisionWebhook, Key: key, Outbox: n.outbox}), nil
}

func (n *Node) openServices(offers *catalog.Room) (running []services.Service, formats []dataplane.Format, err error) {
	for _, k := range offered(n.c.Settings) {
		svc, err := k.New(services.Host{DB: n.db, Catalog: offers, Evidence: n.evidence, Caller: api.Caller, Settings: k.settings,
			Now: n.c.Now, Log: n.c.Log.With("service", k.Name)})
		if err != nil {
			return nil, nil, fmt.Errorf("open service %s: %w", k.Name, err)
		}
		running = append(running, svc)
		formats = append(formats, svc.Formats...)
		if f, ok := pullOverHTTP(svc.Formats); ok {
			offers.AlsoHTTP(f.Service, f.Name)
			f.Name = catalog.HTTPPull
			formats = append(formats, f)
		}
	}
	return running, formats, nil
}

// pullOverHTTP is the format that HttpData-PULL stands for as well: the first that
// is served over HTTP, of a service that has no HttpData-PULL of its own.
func pullOverHTTP(formats []dataplane.Format) (dataplane.Format, bool) {
	at := -1
	for i, f := range formats {
		if f.Name == catalog.HTTPPull {
			return dataplane.Format{}, false
		}
		if at < 0 && f.Serve != nil && strings.HasSuffix(f.Name, "-PULL") {
			at = i
		}
	}
	if at < 0 {
		return dataplane.Format{}, false
	}
	return formats[at], true
}

// EndAgreement ends an agreement and every transfer under it, in one unit.
func (n *Node) EndAgreement(ctx context.Context, p participant.ID, id, why string) error {
	return n.db.Update(ctx, func(tx store.Tx) error { return bond{n}.End(tx, p, id, why) })
}

// bond is what negotiation needs of agreements: an end reaches the transfers too.
type bond struct{ n *Node }

func (b bond) Conclude(tx store.Tx, p participant.ID, a agreement.Agreement) error {
	return b.n.agreements.Conclude(tx, p, a)
}

func (b bond) End(tx store.Tx, p participant.ID, id, why string) error {
	if err := b.n.agreements.End(tx, p, id, why); err != nil {
		return err
	}
	return b.n.transfers.OnAgreementEnded(tx, p, id, why)
}

// sources tells transfers how a dataset is served, withdrawn ones too.
type sources struct{ *catalog.Room }

func (s sources) Source(ctx context.Context, p participant.ID, dataset string) (transfer.Source, error) {
	d, err := s.Kept(ctx, p, dataset)
	return transfer.Source{Service: d.Service, Formats: d.Formats, Asking: d.Asking, Source: []byte(d.Source)}, err
}

// heedTrust has transfers judged again when what a counterpart proved counts no
// more, or again.
func (n *Node) heedTrust(ctx context.Context) {
	sub := n.hub.Subscribe(watch.Filter{Kind: trust.Changed})
	defer sub.Close()
	for {
		if _, _, err := sub.Next(ctx); err != nil {
			return
		}
		n.transfers.Reload()
	}
}
