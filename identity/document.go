package identity

import (
	"fmt"

	"kakehashi/did"
	"kakehashi/internal/fault"
	"kakehashi/participant"
)

// Document builds the DID document of a hosted participant, as it is served and
// exported. fault.NotFound when p is not hosted.
func Document(hosted *participant.Room, p participant.ID) (did.Document, error) {
	h, ok := hosted.Get(p)
	if !ok {
		return did.Document{}, fault.NotFound.At("", "what", "participant "+string(p))
	}
	keys, err := hosted.Published(p)
	if err != nil {
		return did.Document{}, fmt.Errorf("document of %s: %w", h.DID, err)
	}
	own := did.Own{DID: h.DID, Base: h.Base}
	for _, k := range keys {
		purposes := []did.Relationship{did.Assertion}
		if k.Purpose == participant.Token {
			purposes = []did.Relationship{did.Authentication, did.Assertion, did.Invocation}
		}
		own.Keys = append(own.Keys, did.OwnKey{KID: k.KID, Public: k.Signer.Public(), For: purposes})
	}
	// What is not of the Dataspace Protocol lies beside its base path, below the
	// same public URL.
	if root := h.Root(); root != "" {
		own.Node = root + "/kh/" + string(p) + "/1"
		own.CredentialService = root + "/dcp/cs/" + string(p)
		if w, ok := hosted.Elsewhere(p); ok {
			own.CredentialService = w.Service
		}
		own.IssuerService = root + "/dcp/issuer/" + string(p)
	}
	return did.Build(own)
}
