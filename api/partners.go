package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"kakehashi/client"
	"kakehashi/participant"
	"kakehashi/partner"
)

func (s *server) partnerRoutes(api huma.API) {
	handle(api, "GET", "/partners", "list-partners", "Counterparts that this node knows", s.partners)
	handle(api, "POST", "/partners", "fix-partner", "Keep the address of a counterpart that announces itself nowhere", s.fixPartner)
}

func (s *server) partners(ctx context.Context, p participant.ID, _ *none) (client.Partners, error) {
	all, err := s.Partners.List(ctx, p)
	var out client.Partners
	for _, q := range all {
		out.Items = append(out.Items, client.Partner{DID: q.DID, Base: q.Base, Title: q.Title, Seen: q.Seen})
	}
	return out, err
}

type fixing struct {
	Lang
	Body client.FixPartner
}

func (s *server) fixPartner(ctx context.Context, p participant.ID, in *fixing) (client.Partner, error) {
	q, err := s.Partners.Fix(ctx, p, partner.Partner{DID: in.Body.ID, Base: in.Body.Base, Title: in.Body.Title})
	return client.Partner{DID: q.DID, Base: q.Base, Title: q.Title, Seen: q.Seen}, err
}
