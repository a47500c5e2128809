package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"kakehashi/client"
	"kakehashi/internal/strictjson"
)

// books are all processes of a side as its API lists them once all is quiet.
type books struct {
	negotiations map[string]client.Negotiation
	transfers    map[string]client.Transfer
	agreements   map[string]client.Agreement
}

// verdict is what the judge found, by kind; each names the exchange or the process.
type verdict struct {
	lost, doubled, diverged, other []error
}

func (v *verdict) all() error {
	return errors.Join(errors.Join(v.lost...), errors.Join(v.doubled...), errors.Join(v.diverged...), errors.Join(v.other...))
}

func (v *verdict) count() int { return len(v.lost) + len(v.doubled) + len(v.diverged) + len(v.other) }

// read lists everything of a side.
func read(ctx context.Context, s *side) (b books, err error) {
	c := s.replicas[0].api
	b = books{map[string]client.Negotiation{}, map[string]client.Transfer{}, map[string]client.Agreement{}}
	for cursor := ""; ; {
		page, err := c.Negotiations(ctx, cursor)
		if err != nil {
			return b, err
		}
		for _, n := range page.Items {
			b.negotiations[n.ID] = n
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	for cursor := ""; ; {
		page, err := c.Transfers(ctx, cursor)
		if err != nil {
			return b, err
		}
		for _, t := range page.Items {
			b.transfers[t.ID] = t
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	for cursor := ""; ; {
		page, err := c.Agreements(ctx, cursor)
		if err != nil {
			return b, err
		}
		for _, a := range page.Items {
			b.agreements[a.ID] = a
		}
		if cursor = page.Next; cursor == "" {
			return b, nil
		}
	}
}

// settled waits until a side has every process at its end, or quiet is over; the states that its
// counterpart acknowledged may still be on their way to its own table.
func settled(ctx, quiet context.Context, s *side) (b books, err error) {
	for {
		if b, err = read(ctx, s); err != nil {
			return b, fmt.Errorf("list what %s has: %w", s.name, err)
		}
		open := 0
		for _, n := range b.negotiations {
			if n.State != "FINALIZED" && n.State != "TERMINATED" {
				open++
			}
		}
		for _, t := range b.transfers {
			if t.State != "COMPLETED" && t.State != "TERMINATED" {
				open++
			}
		}
		if open == 0 {
			return b, nil
		}
		wait(quiet, nil, time.Second)
		if quiet.Err() != nil {
			return b, nil // who waits is named below
		}
	}
}

// judge holds both sides against what was acknowledged.
func judge(ctx context.Context, a, b *side, all []exchange, patience time.Duration) (v verdict, err error) {
	quiet, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	of := map[*side]books{}
	for _, s := range []*side{a, b} {
		if of[s], err = settled(ctx, quiet, s); err != nil {
			return v, err
		}
	}
	for _, x := range all {
		v.exchange(x, of[x.consumer], of[x.provider])
	}
	// Whatever the calls and messages were repeated, there is one of each.
	for _, s := range []*side{a, b} {
		have := of[s]
		for what, n := range map[string]int{"negotiations": len(have.negotiations), "transfers": len(have.transfers), "agreements": len(have.agreements)} {
			err := fmt.Errorf("%s has %d %s of %d exchanges", s.name, n, what, len(all))
			switch {
			case n > len(all):
				v.doubled = append(v.doubled, err)
			case n < len(all):
				v.lost = append(v.lost, err)
			}
		}
		for _, n := range have.negotiations {
			if n.State != "FINALIZED" {
				v.lost = append(v.lost, fmt.Errorf("%s: negotiation %s ends in %s: %s", s.name, n.ID, n.State, n.Reason))
			}
		}
		for _, t := range have.transfers {
			if t.State != "COMPLETED" {
				v.lost = append(v.lost, fmt.Errorf("%s: transfer %s ends in %s: %s", s.name, t.ID, t.State, t.Reason))
			}
		}
		late, err := s.replicas[0].api.Work(ctx, "")
		if err != nil {
			return v, err
		}
		for _, w := range late.Items {
			v.other = append(v.other, fmt.Errorf("%s: still on its way: %+v", s.name, w))
		}
	}
	return v, nil
}

// exchange holds one exchange against the books of both.
func (v *verdict) exchange(x exchange, ours, theirs books) {
	lost := func(format string, args ...any) {
		v.lost = append(v.lost, fmt.Errorf("exchange %d: "+format, append([]any{x.n}, args...)...))
	}
	diverged := func(format string, args ...any) {
		v.diverged = append(v.diverged, fmt.Errorf("exchange %d: "+format, append([]any{x.n}, args...)...))
	}
	if x.err != nil {
		lost("%w", x.err)
		return
	}
	n, ok := ours.negotiations[x.negotiation]
	peer, there := theirs.negotiations[x.peerNegotiation]
	switch {
	case !ok || !there:
		lost("its negotiation is not there: here %v, there %v", ok, there)
	case n.State != peer.State || n.Agreement != peer.Agreement || peer.PeerID != n.ID:
		diverged("negotiation %s is %s under %s here, %s under %s there", n.ID, n.State, n.Agreement, peer.State, peer.Agreement)
	}
	t, ok := ours.transfers[x.transfer]
	with, there := theirs.transfers[x.peerPid]
	switch {
	case !ok || !there:
		lost("its transfer is not there: here %v, there %v", ok, there)
	case t.State != with.State || with.PeerID != t.ID || t.Agreement != with.Agreement:
		diverged("transfer %s is %s here, %s there", t.ID, t.State, with.State)
	}
	one, ok := ours.agreements[x.agreement]
	two, there := theirs.agreements[x.agreement]
	if !ok || !there {
		lost("agreement %s is not there: here %v, there %v", x.agreement, ok, there)
		return
	}
	if err := same(one, two); err != nil {
		diverged("agreement %s: %w", x.agreement, err)
	}
}

// same compares what two parties hold of an agreement.
func same(one, two client.Agreement) error {
	left, err := strictjson.Encode(one.Policy)
	if err != nil {
		return err
	}
	right, err := strictjson.Encode(two.Policy)
	if err != nil {
		return err
	}
	switch {
	case !bytes.Equal(left, right):
		return fmt.Errorf("the terms differ: %s and %s", left, right)
	case one.Dataset != two.Dataset || one.Offer != two.Offer || !one.Signed.Equal(two.Signed):
		return fmt.Errorf("dataset, offer or time differ: %s %s %s and %s %s %s", one.Dataset, one.Offer, one.Signed, two.Dataset, two.Offer, two.Signed)
	case one.Role == two.Role:
		return fmt.Errorf("both are %s", one.Role)
	}
	return nil
}

// prove exports the evidence of some agreements from both sides and has the
// program check the pairs, with the anchors of both.
func prove(ctx context.Context, program, folder string, a, b *side, all []exchange, count int) error {
	anchors := filepath.Join(folder, "anchors")
	f, err := os.Create(anchors)
	if err != nil {
		return err
	}
	for _, s := range []*side{a, b} {
		err = errors.Join(err, s.replicas[0].api.Anchors(ctx, f))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	step := max(1, len(all)/max(1, count))
	for i := 0; i < len(all); i += step {
		if all[i].err != nil {
			continue
		}
		var files []string
		for _, s := range []*side{a, b} {
			out := filepath.Join(folder, fmt.Sprintf("%s-%d.kh-evidence.zip", s.name, all[i].n))
			w, err := os.Create(out)
			if err != nil {
				return err
			}
			if err := errors.Join(s.replicas[len(s.replicas)-1].api.Bundle(ctx, all[i].agreement, w), w.Close()); err != nil {
				return fmt.Errorf("export the evidence of %s from %s: %w", all[i].agreement, s.name, err)
			}
			files = append(files, out)
		}
		args := append([]string{"verify", "--pair", "--lang", "en", "--trust", anchors}, files...)
		if out, err := exec.CommandContext(ctx, program, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("verify the evidence of %s: %w\n%s", all[i].agreement, err, out)
		}
	}
	return nil
}
