package transfer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"kakehashi/agreement"
	"kakehashi/dsp/dsp2025"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/process"
	"kakehashi/store"
)

// JobSend is the kind of the jobs that send our messages.
const JobSend = "transfer.send"

// StartRequest asks for the data of an agreement, as consumer.
type StartRequest struct {
	Key       string // idempotency key, "" for none: the same key starts one transfer
	Agreement string
	Base      string // address below which the provider takes DSP messages
	Format    string // Word-PULL or Word-PUSH, as the catalogue shows it
}

// Start asks for the data: the process is kept and its request put in one unit,
// for a push with the grant of ours to which the provider sends.
// Its state stays None until the provider has taken it.
func (r *Room) Start(ctx context.Context, p participant.ID, s StartRequest) (Process, error) {
	if err := process.CheckAddress(s.Base); err != nil {
		return Process{}, err
	}
	if !strings.HasSuffix(s.Format, "-PULL") && !isPush(s.Format) {
		return Process{}, fault.FormatNotOffered.At("/format", "dataset", s.Agreement, "format", s.Format, "formats", "Word-PULL, Word-PUSH")
	}
	a, err := r.c.Agreements.Get(ctx, p, s.Agreement)
	if err != nil {
		return Process{}, err
	}
	if a.Role != agreement.Consumer {
		return Process{}, fault.AgreementUnknown.At("/agreement", "agreement", s.Agreement)
	}
	if !a.Ended.IsZero() {
		return Process{}, fault.AgreementEnded.At("/agreement", "agreement", s.Agreement, "reason", a.Why)
	}
	q := newProcess(p, Consumer, a.Counterparty, r.c.Now())
	q.Key, q.Peer, q.Agreement, q.Dataset, q.As = s.Key, s.Base, s.Agreement, a.Dataset, s.Format
	c := r.change(q)
	c.fresh = true
	if err := r.step(c, q, Event{What: process.Decided, Kind: KindRequest}); err != nil {
		return q, err
	}
	c.record(c.p, "", map[string]string{}, map[string]string{"format": q.As})
	err = r.commit(ctx, c)
	if errors.Is(err, store.ErrConflict) && s.Key != "" {
		return r.started(ctx, p, s)
	}
	if err != nil {
		return Process{}, fmt.Errorf("start a transfer: %w", err)
	}
	r.c.Outbox.Wake(c.p.ID)
	return c.p, nil
}

// started finds what the same key started before.
func (r *Room) started(ctx context.Context, p participant.ID, s StartRequest) (Process, error) {
	q, err := r.book.ByKey(ctx, p, s.Key)
	if err != nil {
		return q, err
	}
	if q.Agreement != s.Agreement || q.As != s.Format {
		return q, fault.KeyReused.At("", "key", s.Key)
	}
	return q, nil
}

// send is the outbox's handler: one attempt at one message, the same bytes each
// time.
func (r *Room) send(ctx context.Context, j outbox.Job) (func(store.Tx) error, error) {
	d, err := process.ReadJob(j)
	if err != nil {
		return nil, err
	}
	q, fresh, err := r.book.Find(ctx, j.Participant, d.Process)
	if err == nil && d.Stray == "" && !q.Sends(j.ID) && !fresh {
		q, err = r.Get(ctx, j.Participant, d.Process)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case d.Stray != "":
		q.PeerPid = d.Stray
	case !q.Sends(j.ID):
		return nil, nil // settled otherwise
	case q.State == Terminated && d.Kind != KindTermination:
		// We ended it before anybody answered.
		return r.settle(q, Event{What: process.Failed, Kind: d.Kind, Job: j.ID}), nil
	}
	e, err := r.sender.Attempt(ctx, j, process.Letter{
		Head: q.Head, Job: d, URL: address(q, d.Kind), State: stateAddress(q), Ends: d.Kind == KindTermination,
		Reached: func(peer State, late bool) (process.What, Kind) { return reached(q, peer, late) }, Pids: pids,
	})
	if err != nil {
		return nil, err
	}
	return r.settle(q, e), nil
}

// settle brings the outcome of a message into the process, in the unit that
// removes its job.
func (r *Room) settle(q Process, e Event) func(store.Tx) error {
	return func(tx store.Tx) error {
		return r.book.Settle(tx, q.Participant, q.ID, func(now Process) error { return r.settleAt(tx, now, e) })
	}
}

// failed is what follows a message that will never be taken: the transfer ends,
// and a termination is tried in the background.
func (r *Room) failed(j outbox.Job, why error) func(store.Tx) error {
	d, err := process.ReadJob(j)
	if err != nil {
		return nil
	}
	if d.Stray != "" {
		return func(store.Tx) error { return nil }
	}
	return r.settle(Process{Head: process.Head{Participant: j.Participant, ID: d.Process}}, process.Lost(j, d, why))
}

// reached compares the counterpart's state with the one that the message in
// flight leads to: Acknowledged there, Received and the kind of its message when
// it went another way that we can follow, "" when neither is known. A new
// address in STARTED shows in no state: it is sent until it is answered. A
// suspension or a resumption leads to a state in which the counterpart also is
// as long as it has not seen our answer to its own last one; so there ours is
// sent until it is answered, and believed only after some refusals.
func reached(p Process, peer State, late bool) (process.What, Kind) {
	if p.Pending == nil || p.Pending.To == p.State && p.State != Terminated {
		return "", ""
	}
	turns := p.Pending.Kind == KindSuspension || p.Pending.Kind == KindStart && p.State == Suspended
	switch {
	case peer == p.Pending.To && turns && !late:
		return "", ""
	case peer == p.Pending.To:
		return process.Acknowledged, ""
	case peer == p.State:
		return "", ""
	case peer == Terminated:
		return process.Received, KindTermination
	case p.Pending.Kind == KindStart && p.State == Requested && peer != None && peer != Requested:
		return process.Acknowledged, "" // it went on from there
	case p.Pending.Kind == KindRequest && peer != None:
		return process.Acknowledged, ""
	case p.State == Started && peer == Completed:
		return process.Received, KindCompletion
	case p.State == Started && peer == Suspended && p.Pending.Kind != KindCompletion:
		return process.Received, KindSuspension
	}
	return "", ""
}

func (r *Room) settleAt(tx store.Tx, q Process, e Event) error {
	c := r.change(q)
	sent, bound := q.Pending, q.PeerPid
	if err := r.step(c, q, e); err != nil {
		return err
	}
	at := c.p
	if e.What == process.Acknowledged && sent.Kind == KindStart {
		if err := r.pushes(c); err != nil {
			return err
		}
	}
	at.Version = c.p.Version
	hashes, facts := map[string]string{}, map[string]string{}
	direction := ""
	switch e.What {
	case process.Acknowledged:
		direction = evidence.Out
		hashes["message"] = sent.Digest
	case process.Failed:
		facts["unsent"] = sent.Kind.Type()
		hashes["unsent"] = sent.Digest
	case process.Received:
		facts["reason"] = process.Clip(e.Reason)
	}
	c.record(at, direction, hashes, facts)
	if e.What == process.Acknowledged && bound != "" && e.PeerPid != "" && e.PeerPid != bound {
		if err := c.endStray(e.PeerPid); err != nil { // it had spoken first under another pid
			return err
		}
	}
	return r.write(tx, c)
}

// pids reads the answer to a request.
func pids(answer []byte) (consumer, provider string, ok bool) {
	t, ok := dsp2025.Answer[dsp2025.TransferProcess](answer)
	return t.ConsumerPid, t.ProviderPid, ok
}
