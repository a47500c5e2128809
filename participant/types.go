package participant

import (
	"strings"
	"time"

	"kakehashi/jws"
)

// ID is the short local name of a hosted participant, such as "tokyo". It is
// the first column of every key and never leaves the node as an identity: the
// DID does that.
type ID string

// Participant is one organisation that this node hosts. DID, Base, Origin and
// DataURL are chosen once, at init, and never derived again.
type Participant struct {
	ID      ID
	DID     string // did:web:...
	Base    string // DSP base URL, no trailing slash
	Origin  string // origin line of the evidence log: the DID without its scheme
	DataURL string // base of the data plane, no trailing slash
	Created time.Time
}

// Root is the public URL that Base lies below, without a slash at its end; ""
// when Base is no path of the usual form.
func (p Participant) Root() string {
	root, ok := strings.CutSuffix(p.Base, "/dsp/"+string(p.ID)+"/2025-1")
	if !ok {
		return ""
	}
	return root
}

// Purpose is what a key is for; each participant has one current key for each.
type Purpose string

const (
	// Token signs tokens, presentations and credentials: ES256 until it is rotated
	// to another algorithm.
	Token Purpose = "token"
	// Log signs checkpoints of the evidence log: Ed25519.
	Log Purpose = "log"
)

// Key is a key of a participant. The private half never leaves its Signer.
type Key = jws.Key

// PublishedKey is a key that stands in the participant's document.
type PublishedKey struct {
	Key
	Purpose Purpose
	Created time.Time
	Retired time.Time // zero for the current one
}

// Wallet is one elsewhere, for a participant whose credentials another service
// keeps and shows.
type Wallet struct {
	Service string         // URL of the credential service
	Keys    []PublishedKey // public halves of its keys, which sign in the participant's name
}
