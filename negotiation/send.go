package negotiation

import (
	"context"
	"errors"
	"fmt"

	"kakehashi/dsp/dsp2025"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/process"
	"kakehashi/store"
)

// JobSend is the kind of the jobs that send our messages.
const JobSend = "negotiation.send"

// StartRequest asks for an agreement, as consumer.
type StartRequest struct {
	Key          string // idempotency key, "" for none: the same key starts one negotiation
	Counterparty string // the provider, as its tokens name it
	Base         string // address below which it takes DSP messages
	Dataset      string
	Offer        []byte // the offer as its catalogue shows it, with @id
	Asking       process.Asking
}

// Start asks for an agreement: the process is kept and its first message put in
// one unit. Its state stays None until the provider has taken it.
func (r *Room) Start(ctx context.Context, p participant.ID, s StartRequest) (Process, error) {
	if err := process.CheckAddress(s.Base); err != nil {
		return Process{}, err
	}
	t, err := parseTerms(s.Offer)
	if err != nil {
		return Process{}, err
	}
	switch {
	case t.id == "":
		return Process{}, fault.BadMessage.At("/offer/@id", "reason", "an offer of the catalogue is named by its id")
	case s.Dataset == "":
		return Process{}, fault.BadMessage.At("/dataset", "reason", "the dataset is missing")
	case t.target != "" && t.target != s.Dataset:
		return Process{}, fault.OfferOfAnother.At("/offer/target", "offer", t.id, "target", s.Dataset)
	}
	now := r.c.Now()
	q := newProcess(p, Consumer, s.Counterparty, now)
	q.Key, q.Peer, q.Dataset, q.OfferID = s.Key, s.Base, s.Dataset, t.id
	q.Terms, q.TermsBy, q.Same, q.Asking = t.rules, Consumer, true, s.Asking
	return r.start(ctx, q, KindRequest)
}

// OfferRequest offers a dataset of ours, as provider, to somebody who has not asked.
type OfferRequest struct {
	Key          string // as of StartRequest
	Counterparty string
	Base         string
	Offer        string // id of an offer of our catalogue
}

// Offer starts a negotiation with an offer of ours. Its state stays None until
// the counterpart has taken it.
func (r *Room) Offer(ctx context.Context, p participant.ID, s OfferRequest) (Process, error) {
	if err := process.CheckAddress(s.Base); err != nil {
		return Process{}, err
	}
	q := newProcess(p, Provider, s.Counterparty, r.c.Now())
	d, o, err := r.c.Offers.Offer(ctx, p, s.Offer)
	if err != nil {
		return q, err
	}
	if err := r.c.Judge.Offerable(s.Counterparty, o.Policy, q.Created); err != nil {
		return q, err
	}
	q.Key, q.Peer, q.Dataset, q.DatasetVersion, q.OfferID, q.Asking = s.Key, s.Base, d.ID, d.Version, o.ID, d.Asking
	q.Terms, q.TermsBy, q.Same, q.Asked = o.Policy, Provider, true, q.Created.UnixMicro()
	return r.start(ctx, q, KindOffer)
}

// start keeps a new process of ours with its first message, in one unit.
func (r *Room) start(ctx context.Context, q Process, kind Kind) (Process, error) {
	c := r.change(q)
	c.fresh = true
	if err := r.step(c, q, Event{What: process.Decided, Kind: kind}); err != nil {
		return q, err
	}
	hashes, facts := map[string]string{}, map[string]string{"dataset": process.Clip(q.Dataset), "offer": process.Clip(q.OfferID)}
	c.note(hashes, facts)
	c.record(c.p, "", hashes, facts)
	err := r.commit(ctx, c)
	if errors.Is(err, store.ErrConflict) && q.Key != "" {
		return r.started(ctx, q)
	}
	if err != nil {
		return Process{}, fmt.Errorf("start a negotiation: %w", err)
	}
	r.c.Outbox.Wake(c.p.ID)
	return c.p, nil
}

// started finds what the same key started before.
func (r *Room) started(ctx context.Context, want Process) (Process, error) {
	q, err := r.book.ByKey(ctx, want.Participant, want.Key)
	if err != nil {
		return q, err
	}
	if q.Role != want.Role || q.Counterparty != want.Counterparty || q.Dataset != want.Dataset {
		return q, fault.KeyReused.At("", "key", want.Key)
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

// failed is what follows a message that will never be taken: the negotiation
// ends, and a termination is tried in the background.
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
// flight leads to: Acknowledged at or past it, Received when it ended the process, ""
// before it. An offer or counter-offer leads to a state in which the
// counterpart also is as long as it has not seen our answer to its own last one;
// so there ours is sent until it is answered, and believed only after some refusals.
func reached(q Process, peer State, late bool) (process.What, Kind) {
	if q.Pending == nil {
		return "", ""
	}
	to := q.Pending.To
	switch {
	case peer == to && q.State != None && (q.Pending.Kind == KindRequest || q.Pending.Kind == KindOffer) && !late:
		return "", ""
	case peer == to:
		return process.Acknowledged, ""
	case peer == Terminated:
		return process.Received, KindTermination
	case peer == q.State:
		return "", ""
	case Table.Past(peer, to):
		return process.Acknowledged, ""
	}
	return "", ""
}

func (r *Room) settleAt(tx store.Tx, q Process, e Event) error {
	c := r.change(q)
	sent := q.Pending
	bound := q.PeerPid
	if err := r.step(c, q, e); err != nil {
		return err
	}
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
	c.note(hashes, facts)
	c.record(c.p, direction, hashes, facts)
	if e.What == process.Acknowledged && bound != "" && e.PeerPid != "" && e.PeerPid != bound {
		if err := r.endStray(c, e.PeerPid); err != nil { // it had spoken first under another pid
			return err
		}
	}
	return r.write(tx, c)
}

// pids reads the answer to a first message.
func pids(answer []byte) (consumer, provider string, ok bool) {
	n, ok := dsp2025.Answer[dsp2025.ContractNegotiation](answer)
	return n.ConsumerPid, n.ProviderPid, ok
}
