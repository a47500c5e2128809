package participant

import (
	"crypto"
	"time"
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

// Purpose is what a key is for; each participant has one key for each.
type Purpose string

const (
	// Token signs tokens and credentials: ECDSA P-256 (ES256).
	Token Purpose = "token"
	// Log signs checkpoints of the evidence log: Ed25519.
	Log Purpose = "log"
)

// Key is a key of a participant. The private half never leaves its Signer.
type Key struct {
	KID    string // DID#fragment
	Alg    string // JOSE name: ES256, EdDSA
	Signer crypto.Signer
}
