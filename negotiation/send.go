package negotiation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kakehashi/dsp/dsp2025"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/outbox"
	"kakehashi/participant"
	"kakehashi/process"
	"kakehashi/store"
)

// JobSend is the kind of the jobs that send our messages.
const JobSend = "negotiation.send"

// firstPause is how long an initial message whose answer was not seen waits for
// the counterpart's own next message before it is repeated (decisions A4).
const firstPause = 5 * time.Second

// Refusals that are believed after so many failed attempts. A counterpart
// commits its own state after it has read our answer, so an instant follow-up may
// meet 400, 404 or 409 and be taken a moment later.
const (
	max400   = 3
	maxOther = 7
)

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
	if err := r.c.Judge.Agree(ctx, p, s.Counterparty, o.Policy, q.Created); err != nil {
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
	var q Process
	err := r.db.View(ctx, func(tx store.Tx) error {
		var err error
		q, err = loadKey(tx, want.Participant, want.Key)
		return err
	})
	if err != nil {
		return q, fmt.Errorf("find the negotiation of key %s: %w", want.Key, err)
	}
	if q.Role != want.Role || q.Counterparty != want.Counterparty || q.Dataset != want.Dataset {
		return q, fault.KeyReused.At("", "key", want.Key)
	}
	return q, nil
}

// send is the outbox's handler: one attempt at one message, the same bytes each
// time. After an attempt whose answer was not seen, and after 400, 404 and 409,
// the counterpart's state is read first: at or past ours counts as acknowledged.
func (r *Room) send(ctx context.Context, j outbox.Job) (func(store.Tx) error, error) {
	var d job
	if err := strictjson.Decode(j.Data, &d); err != nil {
		return nil, outbox.Permanent(fmt.Errorf("read job %s: %w", j.ID, err))
	}
	q, fresh, err := r.find(ctx, j.Participant, d.Process)
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
	if j.Again {
		if settle := r.ask(ctx, q, d, j.ID, false); settle != nil {
			return settle, nil
		}
	}
	body, ok := r.bodies.Get(d.Digest)
	if !ok {
		if body, err = r.c.Evidence.Body(ctx, j.Participant, d.Digest); err != nil {
			return nil, fmt.Errorf("read message %s: %w", d.Digest, err)
		}
	}
	status, answer, err := r.c.Wire.Send(ctx, j.Participant, q.Counterparty, address(q, d.Kind), d.Kind.Type(), body)
	if err != nil {
		err = fmt.Errorf("send %s: %w", d.Kind, err)
		if q.PeerPid == "" {
			return nil, outbox.RetryAfter(err, firstPause)
		}
		return nil, err
	}
	if status >= 200 && status < 300 {
		r.bodies.Forget(d.Digest)
		r.learn(q, j)
		return r.settle(q, acknowledgement(q, d, j.ID, answer)), nil
	}
	return r.refused(ctx, q, d, j, status, answer)
}

// moment is how long after its unit a follow-up that was refused first and taken
// then counts as sent too early.
const moment = 3 * time.Second

// learn notes whether an instant follow-up was taken at the first try.
func (r *Room) learn(q Process, j outbox.Job) {
	if r.c.Patience == nil || q.PeerPid == "" {
		return // a first message follows nothing
	}
	if tooEarly := j.Attempts > 0; !tooEarly || r.c.Now().Sub(j.Created) < moment {
		r.c.Patience.LearnPause(q.Participant, q.Counterparty, tooEarly)
	}
}

// refused decides what an answer other than 2xx means.
func (r *Room) refused(ctx context.Context, q Process, d job, j outbox.Job, status int, answer []byte) (func(store.Tx) error, error) {
	err := error(fault.PeerRefused.At(d.Process, "counterparty", q.Counterparty, "message", d.Kind.Type(),
		"reason", fmt.Sprintf("%d %s", status, errorWords(answer))))
	switch status {
	case 400, 404, 409:
		believed := status == 400 || status == 404 && d.Kind == KindTermination // to a process that ended, nothing is left to say
		late := j.Attempts >= max400                                            // nobody is that slow to commit
		last := d.Stray != "" || believed && j.Attempts >= max400 || j.Attempts >= maxOther
		if !j.Again || late || last { // else the state was read just now
			if settle := r.ask(ctx, q, d, j.ID, late || last); settle != nil {
				return settle, nil
			}
		}
		if last {
			err = outbox.Permanent(err)
		}
	case 401, 403, 408, 425, 429:
		if j.Attempts >= maxOther {
			err = outbox.Permanent(err)
		}
	default:
		if status < 500 {
			err = outbox.Permanent(err)
		}
	}
	return nil, err
}

// failed is what follows a message that will never be taken: the negotiation
// ends, and a termination is tried in the background.
func (r *Room) failed(j outbox.Job, why error) func(store.Tx) error {
	var d job
	if err := strictjson.Decode(j.Data, &d); err != nil {
		return nil
	}
	if d.Stray != "" {
		return func(store.Tx) error { return nil }
	}
	f := fault.Of(why)
	e := Event{What: process.Failed, Kind: d.Kind, Job: j.ID, Code: f.Kind.Code, Reason: process.Clip(f.What("en"))}
	return r.settle(Process{Head: process.Head{Participant: j.Participant, ID: d.Process}}, e)
}

// ask reads the counterpart's state and gives the settle function if that
// settles our message, nil otherwise or when it does not tell. After some
// refusals what may be our message is taken for it: see reached.
func (r *Room) ask(ctx context.Context, q Process, d job, id string, late bool) func(store.Tx) error {
	if q.PeerPid == "" || d.Stray != "" {
		return nil
	}
	state, status, err := r.c.Wire.State(ctx, q.Participant, q.Counterparty, stateAddress(q))
	if err != nil || status != 200 {
		return nil
	}
	switch reached(q, State(state), late) {
	case process.Acknowledged:
		return r.settle(q, Event{What: process.Acknowledged, Kind: d.Kind, Job: id})
	case process.Failed:
		return r.settle(q, Event{What: process.Received, Kind: KindTermination, PeerPid: q.PeerPid, Reason: "read from the counterpart's state"})
	}
	return nil
}

// reached compares the counterpart's state with the one that the message in
// flight leads to: Acknowledged at or past it, process.Failed when it ended the process,
// "" before it. An offer or counter-offer leads to a state in which the
// counterpart also is as long as it has not seen our answer to its own last one;
// so there ours is sent until it is answered, and believed only after some refusals.
func reached(q Process, peer State, late bool) process.What {
	if q.Pending == nil {
		return ""
	}
	to := q.Pending.To
	switch {
	case peer == to && q.State != None && (q.Pending.Kind == KindRequest || q.Pending.Kind == KindOffer) && !late:
		return ""
	case peer == to:
		return process.Acknowledged
	case peer == Terminated:
		return process.Failed
	case peer == q.State:
		return ""
	case Table.Past(peer, to):
		return process.Acknowledged
	}
	return ""
}

// acknowledgement reads the answer to our message; only that of a first one
// says something that we need. It may be empty, and then the counterpart's next
// message tells its pid.
func acknowledgement(q Process, d job, id string, answer []byte) Event {
	e := Event{What: process.Acknowledged, Kind: d.Kind, Job: id}
	if q.PeerPid != "" || len(answer) == 0 {
		return e
	}
	n, ok := dsp2025.Answer[dsp2025.ContractNegotiation](answer)
	if !ok {
		return e
	}
	own, peer := n.ConsumerPid, n.ProviderPid
	if q.Role == Provider {
		own, peer = peer, own
	}
	if (own == "" || own == q.ID) && peer != process.NoPid {
		e.PeerPid = peer
	}
	return e
}

// errorWords is what an error body says, in one short line.
func errorWords(answer []byte) string {
	code, reasons := dsp2025.Refusal(answer)
	return process.Clip(strings.TrimSpace(code + " " + strings.Join(reasons, "; ")))
}

// settle gives the function that brings the outcome of a message into the
// process, in the unit that removes its job.
func (r *Room) settle(q Process, e Event) func(store.Tx) error {
	return func(tx store.Tx) error {
		if now, ok := r.known.Get(key{q.Participant, q.ID}); ok {
			err := r.settleAt(tx, now, e)
			if !errors.Is(err, errMoved) && !errors.Is(err, process.ErrStale) && !errors.Is(err, process.ErrIllegal) {
				return err
			}
		}
		now, err := load(tx, q.Participant, q.ID)
		if err != nil {
			return err
		}
		err = r.settleAt(tx, now, e)
		if errors.Is(err, process.ErrStale) || errors.Is(err, process.ErrIllegal) {
			return nil // it was settled otherwise
		}
		return err
	}
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
