package api

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"kakehashi/catalog"
	"kakehashi/client"
	dsp "kakehashi/dsp/dsp2025"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/negotiation"
	"kakehashi/odrl"
	"kakehashi/participant"
	"kakehashi/process"
)

func (s *server) negotiations(api huma.API) {
	handle(api, "POST", "/negotiations", "start-negotiation", "Ask a partner for an agreement", s.startNegotiation)
	handle(api, "POST", "/offers", "start-offer", "Offer a dataset of ours to a partner that has not asked", s.startOffer)
	handle(api, "GET", "/negotiations", "list-negotiations", "Negotiations, newest first", s.listNegotiations)
	handle(api, "GET", "/negotiations/{id}", "negotiation", "One negotiation; may wait for a state", s.negotiation)
	handle(api, "GET", "/waiting", "waiting", "What waits for a decision of ours, oldest first", s.waiting)
	handle(api, "POST", "/negotiations/{id}/decision", "decide-negotiation", "Approve, refuse or answer a negotiation that waits for us", s.decideNegotiation)
	handle(api, "POST", "/negotiations/{id}/termination", "terminate-negotiation", "End a negotiation", s.terminateNegotiation)
}

func (s *server) startNegotiation(ctx context.Context, p participant.ID, in *keyed[client.StartNegotiation]) (client.Negotiation, error) {
	who, err := s.Partners.Resolve(ctx, p, in.Body.Partner)
	if err != nil {
		return client.Negotiation{}, err
	}
	asking, _ := process.AskingOf(in.Body.Asking)
	want := negotiation.StartRequest{Key: in.Key, Counterparty: who.DID, Base: who.Base, Dataset: in.Body.Dataset, Asking: asking}
	if in.Body.Policy != nil {
		if want.Offer, err = s.asked(in.Body); err != nil {
			return client.Negotiation{}, err
		}
		q, err := s.Negotiations.Start(ctx, p, want)
		return negotiated(q), err
	}
	d, err := s.Catalogs.Dataset(ctx, p, who, in.Body.Dataset)
	if err != nil {
		return client.Negotiation{}, err
	}
	if want.Offer, err = pick(d, in.Body.Offer); err != nil {
		return client.Negotiation{}, err
	}
	q, err := s.Negotiations.Start(ctx, p, want)
	return negotiated(q), err
}

// asked is an offer that is known without the partner's catalogue.
func (s *server) asked(b client.StartNegotiation) ([]byte, error) {
	rules, err := rulesOf(b.Policy)
	if err != nil {
		return nil, err
	}
	return dsp.Policy("Offer", rules, [2]string{"@id", b.Offer})
}

// rulesOf writes the rules of a request as they were meant: an object with at
// least one rule.
func rulesOf(rules any) ([]byte, error) {
	b, err := strictjson.Encode(rules)
	if err != nil || len(b) < 3 || b[0] != '{' {
		return nil, fault.BadMessage.At("/policy", "reason", "an object with ODRL rules is expected").Because(err)
	}
	if b, err = odrl.Expand(b); err != nil {
		return nil, err
	}
	if _, err := odrl.Parse(b); err != nil {
		return nil, err
	}
	return dsp.Rules(b)
}

func (s *server) startOffer(ctx context.Context, p participant.ID, in *keyed[client.StartOffer]) (client.Negotiation, error) {
	who, err := s.Partners.Resolve(ctx, p, in.Body.Partner)
	if err != nil {
		return client.Negotiation{}, err
	}
	d, err := s.Catalog.Dataset(ctx, p, in.Body.Dataset)
	if err != nil {
		return client.Negotiation{}, err
	}
	at := slices.IndexFunc(d.Offers, func(o catalog.Offer) bool { return in.Body.Offer == "" || o.ID == in.Body.Offer })
	if at < 0 {
		return client.Negotiation{}, fault.OfferUnknown.At("/offer", "offer", in.Body.Offer)
	}
	q, err := s.Negotiations.Offer(ctx, p, negotiation.OfferRequest{Key: in.Key, Counterparty: who.DID, Base: who.Base, Offer: d.Offers[at].ID})
	return negotiated(q), err
}

// pick finds an offer of a dataset by its id; "" is the first.
func pick(d dsp.Dataset, id string) ([]byte, error) {
	for _, o := range d.HasPolicy {
		if got := offerID(o); id == "" && got != "" || id != "" && got == id {
			return o, nil
		}
	}
	return nil, fault.OfferUnknown.At("/offer", "offer", id)
}

func negotiated(q negotiation.Process) client.Negotiation {
	return client.Negotiation{ID: q.ID, Role: string(q.Role), Counterparty: q.Counterparty, PeerID: q.PeerPid, State: string(q.State),
		Dataset: q.Dataset, Offer: q.OfferID, Agreement: q.Agreement, Reason: q.Reason, Asking: string(q.Asking),
		Waits: q.Turn() && !q.Newer(), Same: q.Same, Version: q.Version, Newer: q.Newer(), Created: q.Created, Updated: q.Updated}
}

// detailed is negotiated with the terms on the table.
func detailed(q negotiation.Process, lang string) client.Negotiation {
	n := negotiated(q)
	if len(q.Terms) > 0 {
		n.Policy, n.Terms = json.RawMessage(q.Terms), sentences(q.Terms, lang)
	}
	return n
}

func (s *server) listNegotiations(ctx context.Context, p participant.ID, in *page) (client.Negotiations, error) {
	items, next, err := s.Negotiations.List(ctx, p, negotiation.Filter{}, in.Cursor, in.Limit)
	out := client.Negotiations{Next: next}
	if err == nil {
		out.Total, err = first(ctx, p, in, s.Negotiations.Count)
	}
	for _, q := range items {
		out.Items = append(out.Items, negotiated(q))
	}
	return out, err
}

func (s *server) negotiation(ctx context.Context, p participant.ID, in *awaited) (client.Negotiation, error) {
	d, until, err := in.waiting()
	if err != nil {
		return client.Negotiation{}, err
	}
	q, err := s.Negotiations.Get(ctx, p, in.ID)
	if err == nil && d > 0 {
		wait, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		q, err = s.Negotiations.Await(wait, p, in.ID, func(q negotiation.Process) bool { return q.State.Final() || until[string(q.State)] })
		if wait.Err() != nil && ctx.Err() == nil {
			err = nil // the time is over: the newest state is the answer
		}
	}
	return detailed(q, in.in()), err
}

// maxWaiting is how much of either kind one answer holds.
const maxWaiting = 200

func (s *server) waiting(ctx context.Context, p participant.ID, in *Lang) (client.Waiting, error) {
	out := client.Waiting{Negotiations: []client.Negotiation{}, Transfers: []client.Transfer{}}
	negotiations, more, err := s.Negotiations.Waiting(ctx, p, maxWaiting)
	if err != nil {
		return out, err
	}
	transfers, further, err := s.Transfers.Waiting(ctx, p, maxWaiting)
	for _, q := range negotiations {
		out.Negotiations = append(out.Negotiations, detailed(q, in.in()))
	}
	for _, q := range transfers {
		out.Transfers = append(out.Transfers, transferred(q))
	}
	out.More = more || further
	return out, err
}

// decided is an answer to a process that waits.
type decided struct {
	ByID
	Version int64 `query:"version" minimum:"0" doc:"The version that was decided on; refused when the process has moved since"`
	Body    client.Decision
}

func (in *decided) decision() (process.Decision, error) {
	d := process.Decision{Choice: process.Choice(in.Body.Decision), Code: in.Body.Code, Reason: in.Body.Reason}
	if d.Choice == process.Refuse && d.Reason == "" {
		return d, fault.BadMessage.At("/reason", "reason", "whoever is refused is told why")
	}
	if d.Choice == process.Refuse && d.Code == "" {
		d.Code = "refused"
	}
	var err error
	if in.Body.Policy != nil {
		d.Terms, err = rulesOf(in.Body.Policy)
	}
	return d, err
}

func (s *server) decideNegotiation(ctx context.Context, p participant.ID, in *decided) (client.Negotiation, error) {
	d, err := in.decision()
	if err != nil {
		return client.Negotiation{}, err
	}
	q, err := s.Negotiations.Decide(ctx, p, in.ID, in.Version, d)
	return detailed(q, in.in()), err
}

func (s *server) terminateNegotiation(ctx context.Context, p participant.ID, in *reasoned) (client.Negotiation, error) {
	q, err := s.Negotiations.Terminate(ctx, p, in.ID, "terminated-by-user", in.Body.Reason)
	return negotiated(q), err
}
