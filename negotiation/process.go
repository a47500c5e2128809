package negotiation

import (
	"fmt"
	"slices"
	"time"

	"kakehashi/internal/format"
	"kakehashi/internal/strictjson"
	"kakehashi/participant"
	"kakehashi/process"
)

// Process is one negotiation as this participant sees it: the key columns and
// the members of the versioned body.
type Process struct {
	process.Head
	Body
}

// Body is what the column body holds.
type Body struct {
	Format int64 `json:"v"` // a replica that meets a newer one leaves the process to others
	process.Talk
	Dataset        string         `json:"dataset"` // target of the terms
	DatasetVersion int64          `json:"dataset_version,omitzero"`
	OfferID        string         `json:"offer_id"`
	Terms          strictjson.Raw `json:"terms,omitzero"`     // the offer on the table, with @id and target
	TermsBy        Role           `json:"terms_by,omitzero"`  // who put it there
	Same           bool           `json:"same,omitzero"`      // its terms are those that we put last: our offer, or what we asked for
	Ours           strictjson.Raw `json:"ours,omitzero"`      // what we put last, while terms of the counterpart that differ are on the table
	Asking         process.Asking `json:"asking,omitzero"`    // where we decide by ourselves
	AgreementBody  strictjson.Raw `json:"agreement,omitzero"` // as on the wire
	Asked          int64          `json:"asked,omitzero"`     // microseconds: when the request was made or came
	Signed         int64          `json:"signed,omitzero"`    // microseconds: the agreement's timestamp
}

func newProcess(p participant.ID, role Role, counterparty string, now time.Time) Process {
	return Process{Head: process.New(p, role, counterparty, now)}
}

// Turn says that the next message is ours and that nobody has decided on it yet:
// the Decider does at once, or the process waits for Room.Decide.
func (p Process) Turn() bool {
	if p.Pending != nil {
		return false
	}
	switch p.State {
	case Requested, Accepted, Verified:
		return p.Role == Provider
	case Offered, Agreed:
		return p.Role == Consumer
	}
	return false
}

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

// repeats says whether e was applied before (decisions A4). A counter-offer
// without @id is never a repeat. What has no content of its own is one under
// another @id too, once it was applied: EDC sends its verification or its FINALIZED
// twice when our next message came before it had stored its own step, and a refusal
// of the second ends the negotiation there.
func (p Process) repeats(e Event) bool {
	if e.Kind == KindVerification && (p.State == Verified || p.State == Finalized) || e.Kind == KindFinalized && p.State == Finalized {
		return slices.ContainsFunc(p.Seen, func(s process.Seen) bool { return s.Kind == e.Kind })
	}
	return (e.ID != "" || e.Kind != KindRequest) && p.Repeats(e, p.State)
}

// Newer says that a newer program wrote the process: only its head is known here.
func (p Process) Newer() bool { return p.Body.Format > format.Reads }

// Encode writes the versioned body; never that of a newer program.
func (p Process) Encode() ([]byte, error) {
	if err := format.Check("negotiation", p.ID, p.Body.Format); err != nil {
		return nil, err
	}
	p.Body.Format = format.Reads
	return strictjson.Encode(p.Body)
}

// decode reads a process from its row. Of one that is newer than this program it
// gives the head, with *format.Newer.
func decode(h process.Head, b []byte) (Process, error) {
	p := Process{Head: h}
	if err := format.Look("negotiation", h.ID, b); err != nil {
		p.Body.Format, _ = format.Of(err)
		return p, err
	}
	if err := strictjson.DecodeOpen(b, &p.Body); err != nil {
		return p, fmt.Errorf("read negotiation %s: %w", h.ID, err)
	}
	return p, nil
}
