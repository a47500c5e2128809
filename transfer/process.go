package transfer

import (
	"fmt"
	"time"

	"kakehashi/internal/ids"
	"kakehashi/internal/strictjson"
	"kakehashi/participant"
	"kakehashi/process"
)

// bodyFormat is the version of the JSON in the column body. A replica that
// meets a newer one leaves the process to others.
const bodyFormat = 1

// maxSeen bounds the list of messages kept to recognise repeats.
const maxSeen = 16

// Process is one transfer as this participant sees it: the key columns and the
// members of the versioned body.
type Process struct {
	Participant  participant.ID
	ID           string // our pid, urn:uuid:...
	Role         Role
	Counterparty string // Caller.ID of the other side, compared whole
	PeerPid      string // "" until it was heard
	State        State
	Version      int64 // one higher with each step
	Agreement    string
	Key          string // idempotency key of Start, "" otherwise
	Created      time.Time
	Updated      time.Time

	Body
}

// Body is what the column body holds.
type Body struct {
	Format  int            `json:"v"`
	Peer    string         `json:"peer"` // address below which the counterpart's process is reached
	Dataset string         `json:"dataset"`
	As      string         `json:"format"`          // Word-PULL or Word-PUSH
	Grant   string         `json:"grant,omitzero"`  // the grant of our data plane: the provider's, and of a push the consumer's too
	Tap     Tap            `json:"tap,omitzero"`    // its state
	Asking  process.Asking `json:"asking,omitzero"` // provider: where we decide by ourselves
	Access  string         `json:"access,omitzero"` // digest of the message that holds address and token: of a pull the start that came, of a push the request
	Pending *Pending       `json:"pending,omitzero"`
	Seen    []Seen         `json:"seen,omitzero"` // messages applied, newest last
	Facts   *Facts         `json:"facts,omitzero"`
	File    string         `json:"file,omitzero"` // consumer: where a pushed body lies
	Code    string         `json:"code,omitzero"` // of the last suspension or termination
	Reason  string         `json:"reason,omitzero"`

	TerminatedBy Role `json:"terminated_by,omitzero"`
}

// Tap is the state of the grant.
type Tap string

const (
	TapOpen   Tap = "open"
	TapPaused Tap = "paused"
	TapClosed Tap = "closed"
)

// Facts is what is known of the bytes that went over: what the consumer received,
// or of a push what the provider sent.
type Facts struct {
	Bytes  int64  `json:"bytes"`
	Digest string `json:"digest,omitzero"` // sha256:..., of the whole
}

// Pending is a message of ours that is on its way.
type Pending struct {
	Kind   Kind   `json:"kind"`
	Job    string `json:"job"`
	ID     string `json:"id"`     // @id, the same on each try
	Digest string `json:"digest"` // of its bytes, which evidence keeps
	To     State  `json:"to"`     // the state once it is acknowledged
}

// Seen is a message that was applied.
type Seen struct {
	Kind   Kind   `json:"kind"`
	ID     string `json:"id,omitzero"`
	Digest string `json:"digest"`
	To     State  `json:"to"`
}

func newProcess(p participant.ID, role Role, counterparty string, now time.Time) Process {
	return Process{Participant: p, ID: ids.New(), Role: role, Counterparty: counterparty, Created: now, Updated: now}
}

// Pids gives the two pids in the protocol's order; "" for one not known yet.
func (p Process) Pids() (consumerPid, providerPid string) {
	if p.Role == Consumer {
		return p.ID, p.PeerPid
	}
	return p.PeerPid, p.ID
}

// Waits says that a request waits for Room.Decide.
func (p Process) Waits() bool { return p.Role == Provider && p.State == Requested && p.Pending == nil }

// at moves to a state; each move is a version of its own.
func (p Process) at(s State) Process {
	p.State = s
	p.Version++
	return p
}

// saw remembers an applied message.
func (p Process) saw(e Event, to State) Process {
	seen := make([]Seen, 0, len(p.Seen)+1)
	if n := len(p.Seen); n >= maxSeen {
		seen = append(seen, p.Seen[n-maxSeen+1:]...)
	} else {
		seen = append(seen, p.Seen...)
	}
	p.Seen = append(seen, Seen{Kind: e.Kind, ID: e.ID, Digest: e.Digest, To: to})
	return p
}

// repeats says whether e was applied before (decisions A4): the same @id, or
// without one the same bytes as the counterpart's last message, still standing.
func (p Process) repeats(e Event) bool {
	if e.ID != "" {
		for _, s := range p.Seen {
			if s.ID == e.ID && s.Kind == e.Kind {
				return true
			}
		}
		return false
	}
	if len(p.Seen) == 0 {
		return false
	}
	last := p.Seen[len(p.Seen)-1]
	return last.ID == "" && last.Kind == e.Kind && last.Digest == e.Digest && last.To == p.State
}

// sends says that the message in flight is the one of that job.
func (p Process) sends(job string) bool { return p.Pending != nil && p.Pending.Job == job }

func (p Process) encode() ([]byte, error) {
	p.Body.Format = bodyFormat
	return strictjson.Encode(p.Body)
}

func (p *Process) decode(b []byte) error {
	var v struct {
		Format int `json:"v"`
	}
	if err := strictjson.DecodeOpen(b, &v); err != nil {
		return fmt.Errorf("read transfer %s: %w", p.ID, err)
	}
	if v.Format > bodyFormat {
		return fmt.Errorf("read transfer %s: its format %d is newer than this program", p.ID, v.Format)
	}
	if err := strictjson.DecodeOpen(b, &p.Body); err != nil {
		return fmt.Errorf("read transfer %s: %w", p.ID, err)
	}
	return nil
}
