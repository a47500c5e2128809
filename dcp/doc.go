// Package dcp is the Decentralized Claims Protocol 1.0 as a library: self-issued
// tokens, access tokens and scopes, the messages of presentation and issuance,
// the states of an issuance, and a client. It knows no node and no store, fetches
// no documents and decides nothing about whom to believe.
package dcp

// Context is what the @context of every message contains (DCP 1.0, section 3).
const Context = "https://w3id.org/dspace-dcp/v1.0/dcp.jsonld"

// The profiles of credentials (section "DCP Profile Definitions"); both are
// signed as JWT.
const (
	ProfileVC20 = "vc20-bssl/jwt"   // VC 2.0 with BitstringStatusList
	ProfileVC11 = "vc11-sl2021/jwt" // VC 1.1 with StatusList2021
)
