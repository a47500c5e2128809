package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"kakehashi/agreement"
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
// one unit of work that spends the token, moves the process and the grant, puts
// it on record and puts what follows. The same message twice gets the same answer
// and has one effect (decisions A4). A message that does not fit gets a fault and
// changes nothing.
func (r *Room) Receive(ctx context.Context, p participant.ID, caller identity.Caller, m Message) (process.Reply, error) {
	in, err := read(m)
	if err != nil {
		return process.Reply{}, err
	}
	for range maxTries {
		var out process.Reply
		if m.Pid == "" {
			out, err = r.request(ctx, p, caller, m, in)
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

// request takes a consumer's request as provider.
func (r *Room) request(ctx context.Context, p participant.ID, caller identity.Caller, m Message, in incoming) (process.Reply, error) {
	if m.Kind != KindRequest {
		return process.Reply{}, fault.BadMessage.At("/@type", "reason", "only a request starts a transfer")
	}
	if in.consumer == "" {
		return process.Reply{}, fault.BadMessage.At("/consumerPid", "reason", "the sender's pid is missing")
	}
	if err := process.CheckAddress(in.callback); err != nil {
		return process.Reply{}, err
	}
	q := newProcess(p, Provider, caller.ID, r.c.Now())
	q.Peer, q.Agreement, q.As = in.callback, in.agreement, in.format
	if in.address != nil {
		q.Access = evidence.Digest(m.Body)
	}
	c := r.change(q)
	c.fresh, c.caller = true, &caller
	if err := r.admit(ctx, &q, c, in); err != nil {
		// The agreement may have ended since; the answer to a repeat stays the same.
		if old, ok := r.repeated(ctx, q, in.consumer); ok {
			return r.askedAgain(ctx, old, caller)
		}
		return process.Reply{}, err
	}
	if err := r.quota.Admit(ctx, p, caller.ID); err != nil {
		if old, ok := r.repeated(ctx, q, in.consumer); ok {
			return r.askedAgain(ctx, old, caller)
		}
		return process.Reply{}, err
	}
	if err := r.took(ctx, c, q, m, in, in.consumer); err != nil {
		return process.Reply{}, err
	}
	err := r.commit(ctx, c)
	if errors.Is(err, store.ErrConflict) {
		if old, ok := r.repeated(ctx, q, in.consumer); ok {
			return r.askedAgain(ctx, old, caller)
		}
	}
	if err != nil {
		return process.Reply{}, err
	}
	return c.reply(201)
}

// admit is what a provider checks of a request (DSP 2025-1, transfer, 7.4).
// Somebody else's agreement is as unknown as one that does not exist.
func (r *Room) admit(ctx context.Context, q *Process, c *change, in incoming) error {
	a, err := r.c.Agreements.Get(ctx, q.Participant, q.Agreement)
	if err != nil {
		return err
	}
	if a.Role != agreement.Provider || a.Counterparty != q.Counterparty {
		return fault.AgreementUnknown.At("/agreementId", "agreement", q.Agreement)
	}
	if !a.Ended.IsZero() {
		return fault.AgreementEnded.At("/agreementId", "agreement", q.Agreement, "reason", a.Why)
	}
	if c.until, err = r.c.Gate.Renewed(ctx, q.Participant, q.Agreement, c.now); err != nil {
		return err
	}
	if err := r.source(ctx, q, c); err != nil {
		return err
	}
	switch pull := strings.HasSuffix(q.As, "-PULL"); {
	case !slices.Contains(c.source.Formats, q.As):
		return fault.FormatNotOffered.At("/format", "dataset", q.Dataset, "format", q.As, "formats", strings.Join(c.source.Formats, ", "))
	case pull && in.address != nil:
		return fault.AddressNotAllowed.At("/dataAddress", "format", q.As)
	case !pull && in.address == nil:
		return fault.AddressMissing.At("/dataAddress")
	case !pull:
		_, err := target(*in.address)
		return err
	}
	return nil
}

// source finds how the dataset of an agreement is served.
func (r *Room) source(ctx context.Context, q *Process, c *change) error {
	if q.Dataset == "" {
		a, err := r.c.Agreements.Get(ctx, q.Participant, q.Agreement)
		if err != nil {
			return err
		}
		q.Dataset = a.Dataset
	}
	s, err := r.c.Sources.Source(ctx, q.Participant, q.Dataset)
	if err != nil {
		return fmt.Errorf("find how dataset %s is served: %w", q.Dataset, err)
	}
	c.source, q.Asking = s, s.Asking
	return nil
}

// repeated finds the process that a request made before.
func (r *Room) repeated(ctx context.Context, q Process, peer string) (Process, bool) {
	old, err := r.book.ByPeer(ctx, q.Participant, q.Counterparty, q.Role, peer)
	return old, err == nil
}

// again answers a repeat: the token is spent, nothing else happens.
func (r *Room) again(ctx context.Context, q Process, caller identity.Caller) (process.Reply, error) {
	err := r.db.Update(ctx, func(tx store.Tx) error { return r.c.Identity.Spend(tx, q.Participant, caller) })
	if err != nil {
		return process.Reply{}, err
	}
	// What the first answer would have woken may still wait for it.
	out, err := reply(q, 200)
	out.Lanes = []string{q.ID}
	return out, err
}

// askedAgain answers a repeat of a request. If we have started, the start is
// repeated later where it was lost.
func (r *Room) askedAgain(ctx context.Context, q Process, caller identity.Caller) (process.Reply, error) {
	if q.Role != Provider || q.Last == nil || q.State.Final() || !r.reminders.Begin(q.ID, r.c.Now()) {
		return r.again(ctx, q, caller)
	}
	out, err := reply(q, 200)
	out.Lanes = []string{q.ID, q.RemindLane()}
	if err == nil {
		err = r.db.Update(ctx, func(tx store.Tx) error {
			j, err := q.Reminding(JobRemind, ids.Short(), r.c.Now().Add(r.c.Remind))
			if err != nil {
				return err
			}
			if err := r.c.Identity.Spend(tx, q.Participant, caller); err != nil {
				return err
			}
			return r.c.Outbox.Put(tx, j)
		})
	}
	if err != nil {
		r.reminders.End(q.ID)
		return process.Reply{}, err
	}
	return out, nil
}

// apply takes a message for a process that exists.
func (r *Room) apply(ctx context.Context, p participant.ID, caller identity.Caller, m Message, in incoming) (process.Reply, error) {
	if m.Kind == KindRequest {
		return process.Reply{}, r.book.Gone(m.Pid)
	}
	q, fresh, err := r.book.Find(ctx, p, m.Pid)
	for {
		if err != nil {
			return process.Reply{}, err
		}
		if q.Counterparty != caller.ID {
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
	e := event(m, in, peer)
	// Step first, so that an illegal message is refused before its content is read.
	_, fx, err := Step(q, e)
	switch {
	case errors.Is(err, process.ErrOtherPid):
		return r.stray(ctx, q, c, peer)
	case err != nil:
		return out, fault.WrongState.At(at, "message", m.Kind.Type(), "state", q.State.Name()).Because(err)
	case len(fx) > 0 && fx[0].Do == process.Repeat:
		return r.again(ctx, q, caller)
	}
	switch {
	case m.Kind == KindStart && q.Role == Provider: // the consumer resumes
		if c.until, err = r.c.Gate.Renewed(ctx, q.Participant, q.Agreement, c.now); err != nil {
			return out, err
		}
		if in.address != nil && isPush(q.As) { // it wants the rest elsewhere
			if _, err := target(*in.address); err != nil {
				return out, err
			}
			q.Access = e.Digest
		}
	case m.Kind == KindStart && in.address != nil && !isPush(q.As):
		q.Access = e.Digest
	case m.Kind == KindStart && q.Access == "" && strings.HasSuffix(q.As, "-PULL"):
		return out, fault.BadMessage.At("/dataAddress", "reason", "the start of a pull brings the address")
	case m.Kind == KindCompletion && in.facts != nil && q.Role == Provider:
		q.Facts = in.facts
	}
	if err := r.took(ctx, c, q, m, in, peer); err != nil {
		return out, err
	}
	if err := r.commit(ctx, c); err != nil {
		return out, err
	}
	return c.reply(200)
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
		return fault.WrongState.At("", "message", m.Kind.Type(), "state", q.State.Name()).Because(err)
	}
	class := evidence.ClassMessage
	if in.address != nil {
		class = evidence.ClassSecret
	}
	c.bodies = append(c.bodies, evidence.Body{Digest: e.Digest, Bytes: m.Body, Class: class})
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
	if c.p.Role == Provider && c.p.Pending == nil && (m.Kind == KindRequest || m.Kind == KindStart) {
		next, err := r.decider.Decide(ctx, c.p)
		c.asks = err != nil
		switch {
		case errors.Is(err, process.ErrAsk):
		case err != nil:
			r.c.Log.WarnContext(ctx, "the decision on a transfer failed; it waits", "participant", string(q.Participant),
				"process_id", q.ID, "counterparty", q.Counterparty, "state", string(c.p.State), "err", err)
		default:
			next.What = process.Decided
			if err := r.step(c, c.p, next); err != nil {
				return fmt.Errorf("decide on transfer %s: %w", q.ID, err)
			}
		}
	}
	at.Version = c.p.Version
	if m.Kind == KindRequest {
		facts["format"] = q.As
	}
	if m.Kind == KindCompletion && in.facts != nil && q.Role == Consumer {
		facts["claimed_bytes"] = strconv.FormatInt(in.facts.Bytes, 10)
		if in.facts.Digest != "" {
			hashes["claimed"] = in.facts.Digest
		}
	}
	c.record(at, evidence.In, hashes, facts)
	return c.finishes(c.p)
}

// stray answers a message of another process of the counterpart for ours: that
// one is ended, ours stays with the pid that it heard first (decisions A4).
func (r *Room) stray(ctx context.Context, q Process, c *change, peer string) (process.Reply, error) {
	c.p.Version++
	if err := c.endStray(peer); err != nil {
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
func (c *change) endStray(peer string) error {
	other := c.p
	other.PeerPid = peer
	consumer, provider := other.Pids()
	body, err := termination(ids.New(), consumer, provider, fault.OtherProcess.Code, "another process answers this one")
	if err != nil {
		return err
	}
	b := evidence.Body{Digest: evidence.Digest(body), Bytes: body, Class: evidence.ClassMessage}
	c.bodies = append(c.bodies, b)
	c.record(c.p, "", map[string]string{"stray": b.Digest}, map[string]string{"stray": process.Clip(peer)})
	c.leaves[len(c.leaves)-1].Type = "kh.transfer.stray"
	j, err := put(c.p, process.Job{Process: c.p.ID, Kind: KindTermination, Digest: b.Digest, Stray: peer}, ids.Short())
	c.jobs = append(c.jobs, j)
	return err
}

func (c *change) reply(status int) (process.Reply, error) {
	out, err := reply(c.p, status)
	if c.p.Pending != nil {
		out.Lanes = []string{c.p.ID}
	}
	if c.asking != "" {
		out.Lanes = append(out.Lanes, c.asking)
	}
	return out, err
}
