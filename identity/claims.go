package identity

import (
	"context"
	"net/http"

	"kakehashi/dcp"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/participant"
)

// Claims is a client of the Decentralized Claims Protocol that speaks for p: its
// tokens sign what they travel with. h is guarded, for the addresses are others'.
func (r *Room) Claims(p participant.ID, h *http.Client) dcp.Client {
	return dcp.Client{HTTP: h, Authorize: func(ctx context.Context, audience, message string, body []byte, echo string) (string, error) {
		use := Use{Message: message, Echo: echo}
		if body != nil {
			use.Digest = evidence.Digest(body)
		}
		return r.Authorize(ctx, p, audience, use)
	}}
}

// Service finds the address of a service in the document of a DID:
// did.CredentialService, did.IssuerService. fault.NoService when the document names
// none, else a fault of the resolver.
func (r *Room) Service(ctx context.Context, name, kind string) (address string, err error) {
	doc, err := r.resolver.Resolve(ctx, name)
	if err != nil {
		return "", err
	}
	if address = doc.Endpoint(kind); address == "" {
		return "", fault.NoService.At(name, "did", name, "service", kind)
	}
	return address, nil
}
