package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"kakehashi/client"
	"kakehashi/dcp"
	"kakehashi/internal/fault"
	"kakehashi/issuer"
	"kakehashi/participant"
	"kakehashi/wallet"
)

func (s *server) credentialRoutes(api huma.API) {
	handle(api, "GET", "/wallet/credentials", "list-own-credentials", "The participant's own credentials", s.walletCredentials)
	handle(api, "POST", "/wallet/credentials", "import-credential", "Keep a credential that came as a file", s.importCredential)
	handle(api, "POST", "/wallet/credentials/remove", "remove-credential", "Take a credential away: nobody is shown it any more", s.removeCredential)
	handle(api, "GET", "/wallet/shares", "list-shares", "Which credentials are shared with whom", s.walletShares)
	handle(api, "POST", "/wallet/shares", "share-credentials", "Share credentials of a type, or stop it", s.share)
	handle(api, "GET", "/wallet/requests", "list-own-requests", "What was asked of issuers, and is expected of them", s.walletRequests)
	handle(api, "POST", "/wallet/requests", "request-credentials", "Ask an issuer for credentials", s.requestCredentials)
	handle(api, "POST", "/wallet/expected", "expect-credentials", "Let an issuer deliver under a holderPid that was agreed on otherwise", s.expect)
	handle(api, "GET", "/wallet/offers", "list-credential-offers", "What issuers offered", s.walletOffers)
	handle(api, "GET", "/issuer/types", "list-issued-types", "Types of credentials that the participant issues", s.issuedTypes)
	handle(api, "POST", "/issuer/types", "define-type", "Keep a type that the participant issues", s.defineType)
	handle(api, "GET", "/issuer/attested", "list-attestations", "What is known of subjects", s.attestations)
	handle(api, "POST", "/issuer/attested", "attest", "Keep what is known of a subject", s.attest)
	handle(api, "GET", "/issuer/requests", "list-issuance-requests", "What holders asked for", s.issuanceRequests)
	handle(api, "POST", "/issuer/requests/decide", "decide-issuance", "Approve or reject a holder's request", s.decideIssuance)
	handle(api, "GET", "/issuer/issued", "list-issued-credentials", "Credentials that the participant issued", s.issuedCredentials)
	handle(api, "POST", "/issuer/issued", "issue-credential", "Issue a credential that nobody asked for over the wire", s.issueCredential)
	handle(api, "POST", "/issuer/issued/mark", "mark-credential", "Revoke an issued credential, suspend it or lift the suspension", s.markCredential)
	handle(api, "POST", "/issuer/offers", "offer-credentials", "Tell a holder what it may ask for", s.offerCredentials)
}

func ownCredential(c wallet.Credential) client.ShownCredential {
	return client.ShownCredential{Digest: c.Digest, ID: c.ID, Types: c.Types, Issuer: c.Issuer, HolderPid: c.HolderPid, Until: c.Until, At: c.Received}
}

func (s *server) walletCredentials(ctx context.Context, p participant.ID, in *Lang) (client.Many[client.ShownCredential], error) {
	all, err := s.Wallet.Credentials(ctx, p)
	if err != nil {
		return client.Many[client.ShownCredential]{}, err
	}
	problems, err := s.Wallet.Problems(ctx, p)
	return each(all, func(c wallet.Credential) client.ShownCredential {
		out := ownCredential(c)
		if why := problems[c.Digest]; why != nil {
			out.Problem = fault.Of(why).What(in.in())
		}
		return out
	}), err
}

func (s *server) importCredential(ctx context.Context, p participant.ID, in *Given[client.Text]) (client.ShownCredential, error) {
	c, err := s.Wallet.Import(ctx, p, in.Body.Text)
	return ownCredential(c), err
}

func (s *server) removeCredential(ctx context.Context, p participant.ID, in *Given[client.Named]) (client.Named, error) {
	return in.Body, s.Wallet.Remove(ctx, p, in.Body.Name)
}

func (s *server) walletShares(_ context.Context, p participant.ID, _ *none) (client.Many[client.WalletShare], error) {
	return each(s.Wallet.Shares(p), func(x wallet.Share) client.WalletShare {
		return client.WalletShare{Counterparty: x.Counterparty, Type: x.Type}
	}), nil
}

func (s *server) share(ctx context.Context, p participant.ID, in *Given[client.WalletShare]) (client.WalletShare, error) {
	return in.Body, s.Wallet.Share(ctx, p, wallet.Share{Counterparty: in.Body.Counterparty, Type: in.Body.Type}, in.Body.Stop)
}

func ownRequest(q wallet.Request) client.WalletRequest {
	return client.WalletRequest{HolderPid: q.HolderPid, Issuer: q.Issuer, Types: q.Types, Standing: q.Standing, State: q.State, Reason: q.Reason, Created: q.Created}
}

func (s *server) walletRequests(ctx context.Context, p participant.ID, _ *none) (client.Many[client.WalletRequest], error) {
	all, err := s.Wallet.Requests(ctx, p)
	return each(all, ownRequest), err
}

func (s *server) requestCredentials(ctx context.Context, p participant.ID, in *Given[client.WalletRequest]) (client.WalletRequest, error) {
	q, err := s.Wallet.Request(ctx, p, in.Body.Issuer, in.Body.Types)
	return ownRequest(q), err
}

func (s *server) expect(ctx context.Context, p participant.ID, in *Given[client.WalletRequest]) (client.WalletRequest, error) {
	return in.Body, s.Wallet.Expect(ctx, p, in.Body.Issuer, in.Body.HolderPid, in.Body.Standing)
}

func (s *server) walletOffers(ctx context.Context, p participant.ID, _ *none) (client.Many[client.CredentialOffer], error) {
	all, err := s.Wallet.Offers(ctx, p)
	return each(all, func(o wallet.Offer) client.CredentialOffer {
		out := client.CredentialOffer{ID: o.ID, Issuer: o.Issuer, Types: []string{}, At: o.At}
		for _, x := range o.Objects {
			name := x.CredentialType
			if name == "" {
				name = x.ID
			}
			out.Types = append(out.Types, name)
		}
		return out
	}), err
}

func issuedType(t issuer.Type) client.IssuedType {
	return client.IssuedType{ID: t.ID, Type: t.Type, Profile: t.Profile, Schema: t.Schema, Days: int(t.Lifetime / (24 * time.Hour)), Approval: string(t.Approval), Suspendable: t.Suspendable, Format: t.Format, Claims: t.Claims}
}

func (s *server) issuedTypes(ctx context.Context, p participant.ID, _ *none) (client.Many[client.IssuedType], error) {
	all, err := s.Issuer.Types(ctx, p)
	return each(all, issuedType), err
}

// lifetime is how many days a credential is good when nobody says.
const lifetime = 365

func (s *server) defineType(ctx context.Context, p participant.ID, in *Given[client.IssuedType]) (client.IssuedType, error) {
	b := in.Body
	if b.Profile == "" {
		b.Profile = dcp.ProfileVC20
	}
	if b.Days == 0 {
		b.Days = lifetime
	}
	if b.Approval == "" {
		b.Approval = string(issuer.Ask)
	}
	return b, s.Issuer.Define(ctx, p, issuer.Type{ID: b.ID, Type: b.Type, Profile: b.Profile, Schema: b.Schema,
		Lifetime: time.Duration(b.Days) * 24 * time.Hour, Approval: issuer.Approval(b.Approval), Suspendable: b.Suspendable, Format: b.Format, Claims: b.Claims})
}

func (s *server) attestations(ctx context.Context, p participant.ID, _ *none) (client.Many[client.Attestation], error) {
	all, err := s.Issuer.Attestations(ctx, p)
	return each(all, func(a issuer.Attestation) client.Attestation { return client.Attestation(a) }), err
}

func (s *server) attest(ctx context.Context, p participant.ID, in *Given[client.Attestation]) (client.Attestation, error) {
	return in.Body, s.Issuer.Attest(ctx, p, issuer.Attestation(in.Body))
}

func (s *server) issuanceRequests(ctx context.Context, p participant.ID, _ *none) (client.Many[client.IssuanceRequest], error) {
	all, err := s.Issuer.Requests(ctx, p)
	return each(all, func(q issuer.Request) client.IssuanceRequest {
		return client.IssuanceRequest{ID: q.ID, Holder: q.Holder, HolderPid: q.HolderPid, Types: q.Types, State: string(q.State), Reason: q.Reason, Created: q.Created}
	}), err
}

func (s *server) decideIssuance(ctx context.Context, p participant.ID, in *Given[client.DecideIssuance]) (client.Named, error) {
	return client.Named{Name: in.Body.ID}, s.Issuer.Decide(ctx, p, in.Body.ID, in.Body.Approve, in.Body.Reason)
}

func issuedCredential(i issuer.Issued) client.IssuedCredential {
	return client.IssuedCredential{ID: i.ID, Holder: i.Holder, Type: i.Type, State: i.State, Reason: i.Reason, Digest: i.Digest, List: i.List, Index: i.Index, At: i.At, Until: i.Until}
}

func (s *server) issuedCredentials(ctx context.Context, p participant.ID, _ *none) (client.Many[client.IssuedCredential], error) {
	all, err := s.Issuer.Issued(ctx, p)
	return each(all, issuedCredential), err
}

func (s *server) issueCredential(ctx context.Context, p participant.ID, in *Given[client.IssueOrder]) (client.IssuedCredential, error) {
	made, raw, err := s.Issuer.Issue(ctx, p, issuer.Order(in.Body))
	out := issuedCredential(made)
	out.Credential = raw
	return out, err
}

func (s *server) markCredential(ctx context.Context, p participant.ID, in *Given[client.MarkCredential]) (client.Named, error) {
	return client.Named{Name: in.Body.ID}, s.Issuer.Mark(ctx, p, in.Body.ID, in.Body.State, in.Body.Reason)
}

func (s *server) offerCredentials(ctx context.Context, p participant.ID, in *Given[client.OfferCredentials]) (client.Named, error) {
	return client.Named{Name: in.Body.Holder}, s.Issuer.Offer(ctx, p, in.Body.Holder, in.Body.Types, in.Body.Reason)
}
