package bundle

import "slices"

// Verdict is what a check came to.
type Verdict string

const (
	// Verified: everything in the bundle is in the log whose key the verifier
	// anchored, whole and unaltered. What that leaves open stands in the report.
	Verified Verdict = "verified"
	// Invalid: something was altered, forged or is not a bundle.
	Invalid Verdict = "invalid"
	// Incomplete: nothing is wrong, but something that belongs to it is absent.
	Incomplete Verdict = "incomplete"
	// Consistent: the bundle agrees with itself, but no anchor of the verifier
	// says whose it is: anybody could have made it.
	Consistent Verdict = "consistent"
)

// Exit is the exit code of a program that ends with this verdict.
func (v Verdict) Exit() int {
	switch v {
	case Verified:
		return 0
	case Incomplete:
		return 3
	case Consistent:
		return 4
	}
	return 2
}

// worse gives the verdict that a reader must not overlook.
func worse(a, b Verdict) Verdict {
	order := []Verdict{Verified, Incomplete, Consistent, Invalid}
	return order[max(slices.Index(order, a), slices.Index(order, b))]
}

// Sender says what is known of who wrote a received message.
type Sender string

const (
	// SenderSigned: a key of the counterpart that the verifier anchored signed
	// the message's digest for this recipient.
	SenderSigned Sender = "signed"
	// SenderUnsigned: the node had authenticated the sender, but there is no
	// signature over the content.
	SenderUnsigned Sender = "unsigned"
	// SenderUnproven: no token is on record; who sent it is the word of the log's
	// owner.
	SenderUnproven Sender = "unproven"
	// SenderNotAnchored: there is a signature, but the verifier holds no key of
	// the sender to check it with.
	SenderNotAnchored Sender = "not-anchored"
)

// Held says whether the content of a message lies in the bundle.
type Held string

const (
	HeldHere     Held = "here"
	HeldWithheld Held = "withheld"
	HeldMissing  Held = "missing"
)

// Finding is one thing to know, by a stable code; Where is a file or a digest.
type Finding struct {
	Code   string `json:"code"`
	Where  string `json:"where,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// Event is one leaf that the bundle holds.
type Event struct {
	Position     int64             `json:"position"`
	ID           string            `json:"id"`
	Time         string            `json:"time"` // by the clock of the log's owner
	Type         string            `json:"type"`
	Process      string            `json:"process,omitempty"`
	Version      int64             `json:"version,omitempty"`
	Direction    string            `json:"direction,omitempty"`
	Actor        string            `json:"actor,omitempty"`
	Counterparty string            `json:"counterparty,omitempty"`
	Correlation  map[string]string `json:"correlation,omitempty"`
	Facts        map[string]string `json:"facts,omitempty"`
	Message      string            `json:"message,omitempty"` // digest
	Held         Held              `json:"held,omitempty"`
	Sender       Sender            `json:"sender,omitempty"`
	Key          string            `json:"key,omitempty"`    // id of the key that signed
	Detail       string            `json:"detail,omitempty"` // why Sender is not signed
}

// Report is the outcome of Verify.
type Report struct {
	Verdict    Verdict   `json:"verdict"`
	Tenant     string    `json:"tenant,omitempty"`
	Origin     string    `json:"origin,omitempty"`
	Agreement  string    `json:"agreement,omitempty"`
	Made       string    `json:"made,omitempty"` // not proven
	Anchored   bool      `json:"log_key_anchored"`
	Size       int64     `json:"log_size"`
	Root       string    `json:"log_root,omitempty"` // base64
	Checkpoint string    `json:"checkpoint,omitempty"`
	Events     []Event   `json:"events"`
	Problems   []Finding `json:"problems"` // what makes it invalid
	Missing    []Finding `json:"missing"`  // what makes it incomplete
	Notes      []Finding `json:"notes"`    // what is not proven
}

const maxFindings = 200

func (r *Report) problem(code, where, detail string) {
	if len(r.Problems) < maxFindings {
		r.Problems = append(r.Problems, Finding{code, where, detail})
	}
}

func (r *Report) missing(code, where, detail string) {
	if len(r.Missing) < maxFindings {
		r.Missing = append(r.Missing, Finding{code, where, detail})
	}
}

func (r *Report) note(code, where, detail string) {
	if len(r.Notes) < maxFindings {
		r.Notes = append(r.Notes, Finding{code, where, detail})
	}
}

func (r *Report) judge() {
	switch {
	case len(r.Problems) > 0:
		r.Verdict = Invalid
	case !r.Anchored:
		r.Verdict = Consistent
	case len(r.Missing) > 0:
		r.Verdict = Incomplete
	default:
		r.Verdict = Verified
	}
}
