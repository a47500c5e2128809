package dcp

// State is where an issuance stands at its issuer.
type State string

// The states. On the wire, what is on its way is RECEIVED.
const (
	Received    State = "RECEIVED"
	Approved    State = "APPROVED" // decided; the credentials are made and on their way
	Issued      State = "ISSUED"
	Rejected    State = "REJECTED"
	Undelivered State = "DELIVERY_FAILED" // the holder could not be reached in time
)

// Event is what moves an issuance.
type Event string

// The events.
const (
	Approve Event = "approve"
	Reject  Event = "reject"
	Deliver Event = "deliver" // the holder's credential service took the delivery
	GiveUp  Event = "give up"
	Retry   Event = "retry"
)

// Transition is a line of the table.
type Transition struct {
	From State
	On   Event
	To   State
}

// Issuance is the table of the state machine: for code, tests and documents.
var Issuance = []Transition{
	{Received, Approve, Approved},
	{Received, Reject, Rejected},
	{Approved, Deliver, Issued},
	{Approved, GiveUp, Undelivered},
	{Undelivered, Retry, Approved},
}

// Next gives the state that an event leads to; ok is false where the table has
// none.
func (s State) Next(e Event) (to State, ok bool) {
	for _, t := range Issuance {
		if t.From == s && t.On == e {
			return t.To, true
		}
	}
	return s, false
}

// Wire is the state as a holder is told it.
func (s State) Wire() string {
	switch s {
	case Issued:
		return StatusIssued
	case Rejected:
		return StatusRejected
	}
	return StatusReceived
}
