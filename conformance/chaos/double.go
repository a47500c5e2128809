package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"kakehashi/client"
	"kakehashi/conformance/result"
	"kakehashi/conformance/serving"
	"kakehashi/internal/strictjson"
)

// doubling plays a node against the doubler: negotiations only. A process of the
// doubler that nobody is bound to has to end.
func (p play) doubling(ctx context.Context) (o outcome, err error) {
	o = outcome{pair: p.name, seed: p.seed, faults: map[string]int{}, kills: map[string]int{}}
	if err := os.MkdirAll(p.folder, 0o700); err != nil {
		return o, err
	}
	tokyo, err := newSide(ctx, p.program, filepath.Join(p.folder, "tokyo"), "tokyo", "", 1, "--identity-template", template)
	if err != nil {
		return o, err
	}
	defer func() { <-tokyo.replicas[0].signal(os.Kill) }()
	node, err := tokyo.replicas[0].api.Node(ctx)
	if err != nil {
		return o, err
	}
	tokyo.did = node.DID
	addresses, err := serving.Free(2)
	if err != nil {
		return o, err
	}
	peer, err := newDoubler(addresses[0], "http://"+addresses[1]+"/dsp", newDice(p.seed, "doubler"))
	if err != nil {
		return o, err
	}
	peer.node = node.DID
	defer func() { err = errors.Join(err, peer.close()) }()
	theirs := &side{name: doublerID, did: doublerID, replicas: []*replica{{listen: addresses[0]}}}
	if theirs.front, err = newFront(addresses[1], theirs, newDice(p.seed, "front of the doubler"), nil); err != nil {
		return o, err
	}
	u, err := url.Parse(node.Base)
	if err != nil {
		return o, err
	}
	if tokyo.front, err = newFront(u.Host, tokyo, newDice(p.seed, "front of the doubled"), nil); err != nil {
		return o, err
	}
	// Half of the answers to first messages are lost, since that is what doubles.
	theirs.front.loses = func(r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/request") && theirs.front.dice.roll() < 0.5
	}
	if _, err := tokyo.replicas[0].api.FixPartner(ctx, client.FixPartner{ID: doublerID, Base: peer.base, Title: doublerID}); err != nil {
		return o, err
	}

	began := time.Now()
	blowing, calm := context.WithCancel(ctx)
	defer calm()
	wind := &storm{dice: newDice(p.seed, "kills of the doubled"), kinds: map[string]int{}, log: p.log}
	var storms sync.WaitGroup
	storms.Go(func() { wind.nodes(blowing, tokyo) })
	d := &driver{seed: p.seed, dice: newDice(p.seed, "driver of the doubled"), only: free}
	limited, cancel := context.WithTimeoutCause(ctx, p.limit, fmt.Errorf("the negotiations did not end within %s", p.limit))
	defer cancel()
	all := d.run(limited, tokyo, theirs, p.total, p.inFlight, p.progress(began))
	o.took = time.Since(began)
	calm()
	storms.Wait()
	for _, s := range []*side{tokyo, theirs} {
		s.front.calm.Store(true)
		for kind, n := range s.front.faults() {
			o.faults[kind] += n
		}
	}
	o.kills = wind.kinds
	o.backMedian, o.backMost = wind.recovery()
	o.tries, o.unit = d.tries.Load(), "negotiations"
	o.median, o.most = times(all)
	if wind.err != nil {
		return o, wind.err
	}
	quiet, cancel := context.WithTimeout(ctx, p.patience)
	defer cancel()
	have, err := settled(ctx, quiet, tokyo)
	if err != nil {
		return o, err
	}
	o.verdict = peer.judge(quiet, all, have)
	o.faults["first message doubled"] = peer.doubles()
	if err := tokyo.stop(); err != nil {
		o.verdict.other = append(o.verdict.other, err)
	}
	if err := errors.Join(check(ctx, tokyo), theirs.front.close()); err != nil {
		o.verdict.other = append(o.verdict.other, err)
	}
	o.counts = result.Counts{Found: p.total, Fail: min(o.verdict.count(), p.total)}
	o.counts.Pass = p.total - o.counts.Fail
	return o, nil
}

// free are the terms that are asked of the doubler, which has no catalogue.
var free = strictjson.Raw(`{"permission":[{"action":"use"}]}`)

// doubles is how many processes were made more than once.
func (p *doubler) doubles() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, made := range p.of {
		n += made - 1
	}
	return n
}

// open lists processes of the doubler that are not at an end.
func (p *doubler) open() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.talks {
		if t.state != "FINALIZED" && t.state != "TERMINATED" {
			n++
		}
	}
	return n
}

// judge holds the node's negotiations against the doubler's: each is bound to one
// process, final on both sides under one agreement, and the others have ended.
func (p *doubler) judge(quiet context.Context, all []exchange, have books) (v verdict) {
	for p.open() > 0 && quiet.Err() == nil {
		wait(quiet, nil, 200*time.Millisecond)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	bound := map[string]bool{}
	for _, x := range all {
		n, ok := have.negotiations[x.negotiation]
		t := p.talks[n.PeerID]
		switch {
		case x.err != nil:
			v.lost = append(v.lost, fmt.Errorf("negotiation %d: %w", x.n, x.err))
		case !ok || t == nil:
			v.lost = append(v.lost, fmt.Errorf("negotiation %s is not there: here %v, there %v", x.negotiation, ok, t != nil))
		case n.State != t.state || n.Agreement != t.agreement:
			v.diverged = append(v.diverged, fmt.Errorf("negotiation %s is %s under %s here, %s under %s there", n.ID, n.State, n.Agreement, t.state, t.agreement))
		}
		bound[n.PeerID] = true
	}
	for pid, t := range p.talks {
		if !bound[pid] && t.state != "TERMINATED" {
			v.other = append(v.other, fmt.Errorf("the doubler's process %s of %s, which nobody is bound to, is %s", pid, t.theirs, t.state))
		}
	}
	if n := len(have.agreements); n > len(all) {
		v.doubled = append(v.doubled, fmt.Errorf("%d agreements of %d negotiations", n, len(all)))
	}
	return v
}
