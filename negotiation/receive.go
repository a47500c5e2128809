package negotiation

import (
	"context"
	"errors"
	"fmt"

	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/participant"
	"kakehashi/process"
	"kakehashi/store"
)

// maxTries bounds how often one message is judged again because another unit
// moved its process in between.
const maxTries = 16

// Receive applies one message of an authenticated caller: judged first, then
// one unit of work that spends the token, moves the process, puts it on record
// and puts what follows. The same message twice gets the same answer and has one
// effect (decisions A4). A message that does not fit gets a fault and changes
// nothing, except that an agreement which is not what was asked for ends the
// negotiation.
func (r *Room) Receive(ctx context.Context, p participant.ID, caller identity.Caller, m Message) (process.Reply, error) {
	in, err := read(m)
	if err != nil {
		return process.Reply{}, err
	}
	for range maxTries {
		var out process.Reply
		if m.Pid == "" {
			out, err = r.open(ctx, p, caller, m, in)
		} else {
			out, err = r.apply(ctx, p, caller, m, in)
		}
		if out.ConsumerPid == "" {
			out.ConsumerPid = in.consumer
		}
		if out.ProviderPid == "" {
			out.ProviderPid = in.provider
		}
		if !errors.Is(err, process.ErrMoved) {
			return out, err
		}
	}
	return process.Reply{ConsumerPid: in.consumer, ProviderPid: in.provider}, fmt.Errorf("receive %s: %w", m.Kind, err)
}

// open takes an initial request as provider, or an initial offer as consumer.
func (r *Room) open(ctx context.Context, p participant.ID, caller identity.Caller, m Message, in incoming) (process.Reply, error) {
	q := newProcess(p, Provider, caller.ID, r.c.Now())
	q.Peer = in.callback
	peer := in.consumer
	switch {
	case m.Kind == KindRequest && in.provider == "":
	case m.Kind == KindOffer && in.consumer == "":
		q.Role, peer = Consumer, in.provider
	default:
		return process.Reply{}, fault.BadMessage.At("/callbackAddress", "reason", "an initial message names its sender's pid and a callback address, and no pid of ours")
	}
	if peer == "" {
		return process.Reply{}, fault.BadMessage.At("/", "reason", "the sender's pid is missing")
	}
	if err := process.CheckAddress(in.callback); err != nil {
		return process.Reply{}, err
	}
	t, err := parseTerms(in.offer)
	if err != nil {
		return process.Reply{}, err
	}
	q.OfferID, q.Dataset, q.TermsBy, q.Asked = t.id, t.target, q.Role.Other(), q.Created.UnixMicro()
	var decision []byte
	if q.Role == Provider {
		// A repeat is recognised by its pid before its offer is judged again:
		// the offer may have been withdrawn since, the answer stays the same.
		if decision, err = r.judgeRequest(ctx, &q, t); err != nil {
			if old, ok := r.repeated(ctx, q, peer); ok {
				return r.again(ctx, old, caller)
			}
			return process.Reply{}, err
		}
		if !q.Same {
			if q.Asking == process.Automatic {
				return process.Reply{}, fault.TermsDiffer.At("/offer", "offer", t.id, "reason", sameTerms(q.Terms, t.rules))
			}
			q.Ours, q.Terms = q.Terms, t.rules
		}
	} else {
		switch {
		case t.id == "":
			return process.Reply{}, fault.BadMessage.At("/offer/@id", "reason", "an offer that nobody asked for names itself")
		case t.target == "":
			return process.Reply{}, fault.BadMessage.At("/offer/target", "reason", "an offer that nobody asked for names its dataset")
		}
		q.Terms, q.Asking = t.rules, process.Ask
	}
	if err := r.quota.Admit(ctx, p, caller.ID); err != nil {
		if old, ok := r.repeated(ctx, q, peer); ok {
			return r.again(ctx, old, caller)
		}
		return process.Reply{}, err
	}
	c := r.change(q)
	c.fresh, c.caller, c.decision = true, &caller, decision
	if err := r.took(ctx, c, q, m, in, peer); err != nil {
		return process.Reply{}, err
	}
	err = r.commit(ctx, c)
	if errors.Is(err, store.ErrConflict) {
		if old, ok := r.repeated(ctx, q, peer); ok {
			return r.again(ctx, old, caller)
		}
	}
	if err != nil {
		return process.Reply{}, err
	}
	return c.reply(201)
}

// judgeRequest finds the offer that a request names and says in q.Same whether
// its terms are the offer's; then q has the offer's own members (decisions A1).
// record is what the decision rests on.
func (r *Room) judgeRequest(ctx context.Context, q *Process, t terms) (record []byte, err error) {
	d, o, err := r.c.Offers.Offer(ctx, q.Participant, t.id)
	if err != nil {
		return nil, err
	}
	if t.target != "" && t.target != d.ID {
		return nil, fault.OfferOfAnother.At("/offer/target", "offer", t.id, "target", t.target)
	}
	own, err := parseTerms(o.Policy)
	if err != nil {
		return nil, fmt.Errorf("read offer %s: %w", o.ID, err)
	}
	if record, err = r.c.Judge.Agree(ctx, q.Participant, q.Counterparty, o.Policy, r.c.Now()); err != nil {
		return nil, err
	}
	q.Dataset, q.DatasetVersion, q.OfferID, q.Asking = d.ID, d.Version, o.ID, d.Asking
	q.Terms, q.Same = own.rules, sameTerms(own.rules, t.rules) == ""
	return record, nil
}

// repeated finds the process that an initial message made before.
func (r *Room) repeated(ctx context.Context, q Process, peer string) (Process, bool) {
	old, err := r.book.ByPeer(ctx, q.Participant, q.Counterparty, q.Role, peer)
	return old, err == nil
}

// again answers a repeat: the token is spent, and our newest message is repeated
// later where it was lost. Nothing else happens.
func (r *Room) again(ctx context.Context, q Process, caller identity.Caller) (process.Reply, error) {
	// What the first answer would have woken may still wait for it.
	out, err := reply(q, 200)
	out.Lanes = []string{q.ID}
	reminds := q.Last != nil && q.State != Terminated && r.reminders.Begin(q.ID, r.c.Now())
	if reminds {
		out.Lanes = append(out.Lanes, q.RemindLane())
	}
	if err == nil {
		err = r.db.Update(ctx, func(tx store.Tx) error {
			if err := r.c.Identity.Spend(tx, q.Participant, caller); err != nil || !reminds {
				return err
			}
			j, err := q.Reminding(JobRemind, ids.Short(), r.c.Now().Add(r.c.Remind))
			if err != nil {
				return err
			}
			return r.c.Outbox.Put(tx, j)
		})
	}
	if err != nil {
		if reminds {
			r.reminders.End(q.ID)
		}
		return process.Reply{}, err
	}
	return out, nil
}

// apply takes a message for a process that exists.
func (r *Room) apply(ctx context.Context, p participant.ID, caller identity.Caller, m Message, in incoming) (process.Reply, error) {
	q, fresh, err := r.book.Find(ctx, p, m.Pid)
	for {
		if err != nil {
			return process.Reply{}, err
		}
		if q.Counterparty != caller.ID {
			return process.Reply{}, r.book.Gone(m.Pid)
		}
		if !Table.Hears(q.Role, m.Kind) && m.Kind != KindAccepted && m.Kind != KindFinalized {
			return process.Reply{}, r.book.Gone(m.Pid)
		}
		out, err := r.judge(ctx, q, caller, m, in)
		if !errors.Is(err, fault.WrongState) || fresh {
			return out, err
		}
		// Memory may be behind another replica; only the store refuses.
		q, err = r.Get(ctx, p, m.Pid)
		if err != nil {
			return process.Reply{}, err
		}
		fresh = true
	}
}

func (r *Room) judge(ctx context.Context, q Process, caller identity.Caller, m Message, in incoming) (process.Reply, error) {
	out := process.Reply{}
	out.ConsumerPid, out.ProviderPid = q.Pids()
	peer, mine, at := in.consumer, in.provider, "/providerPid"
	if q.Role == Consumer {
		peer, mine, at = in.provider, in.consumer, "/consumerPid"
	}
	if mine != q.ID {
		return out, fault.BadMessage.At(at, "reason", "it is not the pid of the path")
	}
	if peer == "" {
		return out, fault.BadMessage.At("/", "reason", "the sender's pid is missing")
	}
	c := r.change(q)
	c.caller = &caller
	// Step first, so that an illegal message is refused before its content is
	// read; then the content on the process as it would be.
	_, fx, err := Step(q, event(m, in, peer))
	switch {
	case errors.Is(err, process.ErrOtherPid):
		return r.stray(ctx, q, c, peer)
	case err != nil:
		return out, fault.WrongState.At(at, "message", m.Kind.Type(), "state", string(q.State)).Because(err)
	case len(fx) > 0 && fx[0].Do == process.Repeat:
		return r.again(ctx, q, caller)
	}
	switch m.Kind {
	case KindRequest, KindOffer:
		if c.decision, err = r.counter(ctx, &q, m.Kind, in); err != nil {
			return out, err
		}
	case KindAgreement:
		t, at, err := checkAgreement(q, r.self(q.Participant), in.agreement, c.now)
		if err != nil {
			return r.refuse(ctx, q, c, in, peer, m, err)
		}
		q.Agreement, q.AgreementBody, q.Terms, q.Signed = t.id, in.agreement, t.rules, at.UnixMicro()
	case KindVerification:
		if d := caller.Token.Agreement; d != "" && in.digest == "" {
			in.digest = d
		}
		if in.digest != "" && in.digest != evidence.Digest(q.AgreementBody) {
			return out, fault.BadMessage.At("/"+AgreementDigest, "reason", "it is not the digest of our agreement")
		}
	}
	if err := r.took(ctx, c, q, m, in, peer); err != nil {
		return out, err
	}
	if err := r.commit(ctx, c); err != nil {
		return out, err
	}
	return c.reply(200)
}

// counter takes up the terms of an offer or counter-offer. A counter-offer may
// name an offer of the catalogue, or the one that it answers.
func (r *Room) counter(ctx context.Context, q *Process, kind Kind, in incoming) (record []byte, err error) {
	t, err := parseTerms(in.offer)
	if err != nil {
		return nil, err
	}
	if t.target != "" && t.target != q.Dataset {
		return nil, fault.OfferOfAnother.At("/offer/target", "offer", t.id, "target", t.target)
	}
	ours := q.Ours
	if q.TermsBy == q.Role {
		ours = q.Terms
	}
	if kind == KindRequest && t.id != "" && t.id != q.OfferID {
		asked := *q
		record, err = r.judgeRequest(ctx, &asked, t)
		switch {
		case errors.Is(err, fault.OfferUnknown):
			return nil, fault.OfferUnknown.At("/offer/@id", "offer", t.id)
		case err != nil:
			return nil, err
		case asked.Dataset != q.Dataset:
			return nil, fault.OfferOfAnother.At("/offer/@id", "offer", t.id, "target", q.Dataset)
		}
		ours = asked.Terms
	}
	if t.id != "" {
		q.OfferID = t.id
	}
	q.TermsBy = q.Role.Other()
	q.Same = ours != nil && sameTerms(ours, t.rules) == ""
	q.Terms, q.Ours = t.rules, nil
	switch {
	case q.Same && q.Role == Provider:
		q.Terms = ours // as we wrote them (decisions A1)
	case !q.Same:
		q.Ours = ours
	}
	return record, nil
}

func event(m Message, in incoming, peer string) Event {
	return Event{What: process.Received, Kind: m.Kind, ID: in.id, Digest: evidence.Digest(m.Body), PeerPid: peer,
		Code: process.Clip(in.code), Reason: in.reason}
}

// took steps q by the message and by what we decide upon it, and records both.
func (r *Room) took(ctx context.Context, c *change, q Process, m Message, in incoming, peer string) error {
	e := event(m, in, peer)
	pending := q.Pending
	if err := r.step(c, q, e); err != nil {
		return fault.WrongState.At("", "message", m.Kind.Type(), "state", string(q.State)).Because(err)
	}
	c.bodies = append(c.bodies, evidence.Body{Digest: e.Digest, Bytes: m.Body, Class: evidence.ClassMessage})
	hashes, facts := map[string]string{"message": e.Digest}, map[string]string{}
	if c.caller.Token.Raw != "" {
		b := evidence.Body{Bytes: []byte(c.caller.Token.Raw), Class: evidence.ClassToken}
		b.Digest = evidence.Digest(b.Bytes)
		c.bodies = append(c.bodies, b)
		hashes["token"] = b.Digest
	}
	if c.reached != nil { // ours has arrived: its own leaf, before this one
		mid := q
		mid.PeerPid = c.p.PeerPid
		mid = mid.at(pending.To)
		c.record(mid, evidence.Out, map[string]string{"message": pending.Digest}, map[string]string{"acknowledged": "implied"})
	}
	at := c.p // the leaf of what came tells the state it brought
	if c.p.Turn() {
		next, err := r.decider.Decide(ctx, c.p)
		c.asks = err != nil
		switch {
		case errors.Is(err, process.ErrAsk):
		case err != nil:
			r.c.Log.WarnContext(ctx, "the decision on a negotiation failed; it waits", "participant", string(q.Participant),
				"process_id", q.ID, "counterparty", q.Counterparty, "state", string(c.p.State), "err", err)
		default:
			next.What = process.Decided
			if err := r.step(c, c.p, next); err != nil {
				return fmt.Errorf("decide on negotiation %s: %w", q.ID, err)
			}
		}
	}
	if q.AgreementBody != nil && (m.Kind == KindAgreement || m.Kind == KindVerification) {
		hashes["agreement"] = evidence.Digest(q.AgreementBody)
		if m.Kind == KindAgreement {
			c.bodies = append(c.bodies, evidence.Body{Digest: hashes["agreement"], Bytes: q.AgreementBody, Class: evidence.ClassAgreement})
		}
	}
	at.Version, at.Agreement = c.p.Version, c.p.Agreement
	c.note(hashes, facts)
	c.record(at, evidence.In, hashes, facts)
	return nil
}

// refuse answers an agreement that is not what was asked for: the negotiation
// ends, with the refused bytes on record.
func (r *Room) refuse(ctx context.Context, q Process, c *change, in incoming, peer string, m Message, why error) (process.Reply, error) {
	if q.PeerPid == "" {
		q.PeerPid = peer
	}
	f := fault.Of(why)
	e := Event{What: process.Decided, Kind: KindTermination, Code: f.Kind.Code, Reason: process.Clip(f.What("en"))}
	if err := r.step(c, q, e); err != nil {
		return process.Reply{}, err
	}
	b := evidence.Body{Bytes: m.Body, Class: evidence.ClassMessage}
	b.Digest = evidence.Digest(b.Bytes)
	c.bodies = append(c.bodies, b)
	hashes, facts := map[string]string{"refused": b.Digest}, map[string]string{"reason": e.Reason}
	c.note(hashes, facts)
	c.record(c.p, "", hashes, facts)
	if err := r.commit(ctx, c); err != nil {
		return process.Reply{}, err
	}
	out := process.Reply{Lanes: []string{q.ID}}
	out.ConsumerPid, out.ProviderPid = c.p.Pids()
	return out, why
}

// stray answers a message of another process of the counterpart for ours: that
// one is ended, ours stays with the pid that it heard first (decisions A4).
func (r *Room) stray(ctx context.Context, q Process, c *change, peer string) (process.Reply, error) {
	c.p.Version++
	if err := r.endStray(c, peer); err != nil {
		return process.Reply{}, err
	}
	if err := r.commit(ctx, c); err != nil {
		return process.Reply{}, err
	}
	out := process.Reply{Lanes: []string{q.ID}}
	out.ConsumerPid, out.ProviderPid = q.Pids()
	return out, fault.OtherProcess.At("", "pid", peer)
}

// endStray puts the job that terminates a process of the counterpart which is
// not the one that ours is bound to.
func (r *Room) endStray(c *change, peer string) error {
	other := c.p
	other.PeerPid = peer
	consumer, provider := other.Pids()
	body, err := termination(ids.New(), consumer, provider, fault.OtherProcess.Code, "another process answers this one")
	if err != nil {
		return err
	}
	b := evidence.Body{Digest: evidence.Digest(body), Bytes: body, Class: evidence.ClassMessage}
	c.bodies = append(c.bodies, b)
	c.record(c.p, "", map[string]string{"sending": b.Digest}, map[string]string{"stray": process.Clip(peer)})
	c.leaves[len(c.leaves)-1].Type = "kh.negotiation.stray"
	return c.put(process.Job{Process: c.p.ID, Kind: KindTermination, Digest: b.Digest, Stray: peer}, ids.Short())
}

func (c *change) reply(status int) (process.Reply, error) {
	out, err := reply(c.p, status)
	if len(c.jobs) > 0 {
		out.Lanes = []string{c.p.ID}
	}
	if c.asking != "" {
		out.Lanes = append(out.Lanes, c.asking)
	}
	return out, err
}
