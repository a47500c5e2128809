package identity

import (
	"fmt"
	"strings"

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
	token, err := hosted.Key(p, participant.Token)
	if err != nil {
		return did.Document{}, fmt.Errorf("document of %s: %w", h.DID, err)
	}
	log, err := hosted.Key(p, participant.Log)
	if err != nil {
		return did.Document{}, fmt.Errorf("document of %s: %w", h.DID, err)
	}
	// Nodes of ours talk beside the DSP base path, below the same public URL.
	node := ""
	if root, ok := strings.CutSuffix(h.Base, "/dsp/"+string(p)+"/2025-1"); ok {
		node = root + "/kh/" + string(p) + "/1"
	}
	return did.Build(did.Own{
		DID: h.DID, Base: h.Base, Node: node,
		TokenKID: token.KID, Token: token.Signer.Public(),
		LogKID: log.KID, Log: log.Signer.Public(),
	})
}
