package process

import (
	"strings"

	"kakehashi/internal/fault"
	"kakehashi/internal/finding"
	"kakehashi/internal/format"
	"kakehashi/participant"
	"kakehashi/store"
)

// What Check notes of each process in Checked.Processes.
const (
	isOver    int64 = 1 << iota // its state is final
	isSending                   // a message of it is on its way or may have to be repeated
)

// Checked is what rooms know of each other while their tables are checked.
type Checked struct {
	Report     *finding.Report
	Agreements *finding.Index // all there are
	Leaves     *finding.Index // by process: the highest version on record
	Jobs       *finding.Index // all there are
	Processes  *finding.Index // filled by Check
	Told       func(rows int)
}

// Over tells whether a process is there, and whether it is over and has nothing
// more to send.
func (c Checked) Over(p participant.ID, id string) (there, over bool) {
	v, there := c.Processes.Get(string(p), id)
	return there, v&isOver != 0 && v&isSending == 0
}

// Ended tells whether the process is in a final state.
func (c Checked) Ended(p participant.ID, id string) (there, ended bool) {
	v, there := c.Processes.Get(string(p), id)
	return there, v&isOver != 0
}

// OnItsWay is the message that is on its way, nil for none; Lost the one that a
// counterpart may ask for again.
func (t Talk) OnItsWay() *Pending { return t.Pending }

// Lost is the newest message of ours that a counterpart may lose, nil for none.
func (t Talk) Lost() *Last { return t.Last }

type talking interface {
	Kept
	OnItsWay() *Pending
	Lost() *Last
}

// checkPage is how many rows one read takes.
const checkPage = 500

// Check looks at all processes of a room: each has leaves and the version that
// they tell of, its agreement where it rests on one, and a job for what it has to
// send; and only what is open waits for a decision. rests says whether a process
// cannot be without its agreement.
func Check[P talking](tx store.Tx, c Checked, name string, decode func(Head, []byte) (P, error), rests func(P) bool) error {
	of := func(text string) string { return strings.ReplaceAll(text, "{name}", name) }
	b := &Book[P]{name: name, decode: decode}
	all := of(`SELECT participant, ` + columns + ` FROM {name}_processes WHERE (participant, id) > ($1, $2) ORDER BY participant, id LIMIT $3`)
	var n int64
	var p participant.ID
	id := ""
	for more := true; more; {
		rows, err := tx.Query(all, string(p), id, checkPage)
		if err != nil {
			return err
		}
		read := 0
		for ; rows.Next(); read++ {
			q, err := b.scanBehind(rows, &p, (*string)(&p))
			id = q.Base().ID
			if id == "" { // the row itself could not be read
				rows.Close()
				return err
			}
			c.one(name, q, err, func() bool { return rests(q) })
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if err := rows.Close(); err != nil {
			return err
		}
		n += int64(read)
		c.Told(read)
		more = read == checkPage
	}
	c.Report.Counted(name+"_processes", n)
	return c.waiting(tx, name, of(`SELECT w.participant, w.id, COALESCE(p.state, '') FROM {name}_waiting w
		LEFT JOIN {name}_processes p ON p.participant = w.participant AND p.id = w.id
		WHERE (w.participant, w.id) > ($1, $2) ORDER BY w.participant, w.id LIMIT $3`))
}

// one looks at a process as it was read, with the error of its body.
func (c Checked) one(what string, q talking, unread error, rests func() bool) {
	h := q.Base()
	p, place := string(h.Participant), string(h.Participant)+" "+h.ID
	var notes int64
	if h.State.Final() {
		notes |= isOver
	}
	pending, lost := q.OnItsWay(), q.Lost()
	_, newer := format.Of(unread)
	if pending != nil || lost != nil || unread != nil {
		notes |= isSending
	}
	c.Processes.Put(p, h.ID, notes)
	if unread != nil && !newer {
		c.Report.Found(fault.CheckBody.At(place, "what", what, "id", h.ID, "reason", unread.Error()))
	}
	switch leaf, ok := c.Leaves.Get(p, h.ID); {
	case !ok:
		c.Report.Found(fault.CheckNoLeaf.At(place, "what", what, "id", h.ID, "counterparty", h.Counterparty))
	case leaf != h.Version:
		c.Report.Found(fault.CheckVersion.At(place, "what", what, "id", h.ID, "version", h.Version, "leaf", leaf, "counterparty", h.Counterparty))
	}
	if rests() {
		if _, ok := c.Agreements.Get(p, h.Agreement); !ok {
			c.Report.Found(fault.CheckNoAgreement.At(place, "what", what, "id", h.ID, "agreement", h.Agreement))
		}
	}
	if pending != nil {
		if _, ok := c.Jobs.Get(p, pending.Job); !ok {
			c.Report.Found(fault.CheckUnsent.At(place, "what", what, "id", h.ID, "message", pending.Kind.Type()))
		}
	}
}

// waiting looks at those that wait for a decision.
func (c Checked) waiting(tx store.Tx, what, query string) error {
	n, p, id := int64(0), "", ""
	for more := true; more; {
		rows, err := tx.Query(query, p, id, checkPage)
		if err != nil {
			return err
		}
		read := 0
		for ; rows.Next(); read++ {
			var state string
			if err := rows.Scan(&p, &id, &state); err != nil {
				rows.Close()
				return err
			}
			if state == "" || State(state).Final() {
				if state == "" {
					state = "-"
				}
				c.Report.Found(fault.CheckWaiting.At(p+" "+id, "what", what, "id", id, "state", state))
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if err := rows.Close(); err != nil {
			return err
		}
		n += int64(read)
		more = read == checkPage
	}
	c.Report.Counted(what+"_waiting", n)
	return nil
}
