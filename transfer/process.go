package transfer

import (
	"fmt"
	"time"

	"kakehashi/internal/format"
	"kakehashi/internal/strictjson"
	"kakehashi/participant"
	"kakehashi/process"
)

// Process is one transfer as this participant sees it: the key columns and the
// members of the versioned body.
type Process struct {
	process.Head
	Body
}

// Body is what the column body holds.
type Body struct {
	Format int64 `json:"v"` // a replica that meets a newer one leaves the process to others
	process.Talk
	Dataset string         `json:"dataset"`
	As      string         `json:"format"`          // Word-PULL or Word-PUSH
	Grant   string         `json:"grant,omitzero"`  // the grant of our data plane: the provider's, and of a push the consumer's too
	Tap     Tap            `json:"tap,omitzero"`    // its state
	Asking  process.Asking `json:"asking,omitzero"` // provider: where we decide by ourselves
	Access  string         `json:"access,omitzero"` // digest of the message that holds address and token: of a pull the start that came, of a push the request
	Halted  Role           `json:"halted,omitzero"` // who suspended it last
	Facts   *Facts         `json:"facts,omitzero"`
	File    string         `json:"file,omitzero"` // consumer: where a pushed body lies

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

func newProcess(p participant.ID, role Role, counterparty string, now time.Time) Process {
	return Process{Head: process.New(p, role, counterparty, now)}
}

// Waits says that a request waits for Room.Decide.
func (p Process) Waits() bool { return p.Role == Provider && p.State == Requested && p.Pending == nil }

// at moves to a state; each move is a version of its own.
func (p Process) at(s State) Process {
	p.Head = p.To(s)
	return p
}

// saw remembers an applied message.
func (p Process) saw(e Event, to State) Process {
	p.Talk = p.Saw(e, to)
	return p
}

// repeats says whether e was applied before (decisions A4).
func (p Process) repeats(e Event) bool { return p.Repeats(e, p.State) }

// Newer says that a newer program wrote the process: only its head is known here.
func (p Process) Newer() bool { return p.Body.Format > format.Reads }

// Encode writes the versioned body; never that of a newer program.
func (p Process) Encode() ([]byte, error) {
	if err := format.Check("transfer", p.ID, p.Body.Format); err != nil {
		return nil, err
	}
	p.Body.Format = format.Reads
	return strictjson.Encode(p.Body)
}

// decode reads a process from its row. Of one that is newer than this program it
// gives the head, with *format.Newer.
func decode(h process.Head, b []byte) (Process, error) {
	p := Process{Head: h}
	if err := format.Look("transfer", h.ID, b); err != nil {
		p.Body.Format, _ = format.Of(err)
		return p, err
	}
	if err := strictjson.DecodeOpen(b, &p.Body); err != nil {
		return p, fmt.Errorf("read transfer %s: %w", h.ID, err)
	}
	return p, nil
}
