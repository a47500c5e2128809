package api

import (
	"context"
	"encoding/json"

	"github.com/danielgtaylor/huma/v2"

	"kakehashi/agreement"
	"kakehashi/client"
	"kakehashi/participant"
)

func (s *server) agreementRoutes(api huma.API) {
	handle(api, "GET", "/agreements", "list-agreements", "Agreements, newest first", s.agreements)
	handle(api, "GET", "/agreements/{id}", "agreement", "One agreement", s.agreement)
	handle(api, "GET", "/agreement-in-force", "agreement-in-force", "Under which agreement we may use a partner's dataset", s.inForce)
	handle(api, "POST", "/agreements/{id}/termination", "end-agreement", "End an agreement and the transfers under it", s.endAgreement)
}

func agreed(a agreement.Agreement, lang string) client.Agreement {
	out := client.Agreement{ID: a.ID, Role: string(a.Role), Counterparty: a.Counterparty, Dataset: a.Dataset, Offer: a.Offer,
		Negotiation: a.Negotiation, Signed: a.Signed, Ended: a.Ended, Reason: a.Why, Newer: a.Newer}
	if !a.Newer {
		out.Policy, out.Terms = json.RawMessage(a.Policy), sentences(a.Policy, lang)
	}
	return out
}

func (s *server) agreements(ctx context.Context, p participant.ID, in *page) (client.Agreements, error) {
	items, next, err := s.Agreements.List(ctx, p, in.Cursor, in.Limit)
	out := client.Agreements{Next: next}
	if err == nil {
		out.Total, err = first(ctx, p, in, s.Agreements.Count)
	}
	for _, a := range items {
		out.Items = append(out.Items, agreed(a, in.in()))
	}
	return out, err
}

func (s *server) agreement(ctx context.Context, p participant.ID, in *ByID) (client.Agreement, error) {
	a, err := s.Agreements.Get(ctx, p, in.ID)
	return agreed(a, in.in()), err
}

type between struct {
	Named
	Dataset string `query:"dataset" required:"true" maxLength:"2048"`
}

func (s *server) inForce(ctx context.Context, p participant.ID, in *between) (client.Agreement, error) {
	who, err := s.Partners.Resolve(ctx, p, in.Partner)
	if err != nil {
		return client.Agreement{}, err
	}
	a, err := s.Agreements.InForce(ctx, p, who.DID, in.Dataset)
	return agreed(a, in.in()), err
}

func (s *server) endAgreement(ctx context.Context, p participant.ID, in *reasoned) (client.Agreement, error) {
	if err := s.EndAgreement(ctx, p, in.ID, in.Body.Reason); err != nil {
		return client.Agreement{}, err
	}
	return s.agreement(ctx, p, &in.ByID)
}
