package trust

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kakehashi/dcp"
	"kakehashi/did"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/vc"
)

// askTimeout is how long a counterpart has to show its credentials.
const askTimeout = 15 * time.Second

// Admit hears of each message that a counterpart sent, before anything is done
// with it. It keeps the access token that came with it, and where a rule names
// types that this counterpart must show, it refuses one that does not show them
// now. The error is a fault.
func (r *Room) Admit(ctx context.Context, p participant.ID, caller identity.Caller) error {
	if caller.Claimed {
		return nil // a development node that believes names has no proofs either
	}
	k := key{p, caller.DID}
	if caller.Token.Access != "" {
		r.access.Put(k, access{caller.Token.Access, r.c.Now().Add(accessLife)})
	}
	ask := r.rule(p, caller.DID).Ask
	if len(ask) == 0 {
		return nil
	}
	if caller.Token.Access == "" {
		return lacking(caller.DID, ask[0])
	}
	_, err := r.Show(ctx, p, caller.DID, ask)
	return err
}

func lacking(counterparty, typ string) error {
	return fault.CredentialLacking.At("", "partner", counterparty, "type", typ)
}

// Show gives credentials of a counterpart that satisfy each of types, verified
// now: what it showed lately, else it is asked. All who ask for the same wait for
// one answer. The error is a fault that says what is wrong with what was shown,
// or what is lacking.
func (r *Room) Show(ctx context.Context, p participant.ID, counterparty string, types []string) ([]vc.Checked, error) {
	if len(types) == 0 {
		return nil, nil
	}
	k := key{p, counterparty}
	if r.lately(k) {
		if got, err := r.Held(ctx, p, counterparty, types); err == nil {
			return got, nil
		}
	}
	a, ok := r.access.Get(k)
	if !ok || !r.c.Now().Before(a.until) { // nobody can ask; what it showed may still be good
		return r.Held(ctx, p, counterparty, types)
	}
	name := string(p) + "\x00" + counterparty + "\x00" + strings.Join(types, "\x00") + "\x00" + a.token
	shared := r.flight.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		return r.ask(ctx, k, types, a.token)
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case got := <-shared:
		shown, _ := got.Val.([]vc.Checked)
		return shown, got.Err
	}
}

// lately tells whether a counterpart was asked just now.
func (r *Room) lately(k key) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	at, ok := r.asked[k]
	return ok && r.c.Now().Before(at.Add(r.c.Fresh))
}

// ask has a counterpart show credentials, verifies them and puts them on record.
func (r *Room) ask(ctx context.Context, k key, types []string, token string) ([]vc.Checked, error) {
	us, ok := r.c.Participants.Get(k.p)
	if !ok {
		return nil, fault.NotFound.At("", "what", "participant "+string(k.p))
	}
	raw, err := r.query(ctx, k, types, token)
	if err != nil {
		return nil, err
	}
	v := r.verifier(k.p)
	var shown []vc.Checked
	for _, presentation := range raw {
		got, err := v.Presentation(ctx, presentation, us.DID, k.counterparty)
		if err != nil {
			return nil, errors.Join(err, r.refused(ctx, k, presentation, err))
		}
		shown = append(shown, got...)
	}
	// What nobody asked for is not looked at, let alone kept.
	s, now := r.settings(k.p), r.c.Now()
	var counted []vc.Checked
	for _, t := range types {
		found := false
		for _, c := range shown {
			if c.Basis, err = s.counts(c.Credential, t, now); err == nil {
				found = true
				counted = add(counted, c)
			}
		}
		if !found {
			err := r.whyNot(ctx, k, t)
			return nil, errors.Join(err, r.refused(ctx, k, "", err))
		}
	}
	return counted, r.keep(ctx, k, types, counted)
}

// whyNot tells what is wrong when a counterpart shows nothing of a type: where what
// it showed before counts no more that is why, for an honest holder does not show it
// again.
func (r *Room) whyNot(ctx context.Context, k key, typ string) error {
	r.lookAgain(ctx, k)
	if _, err := r.Held(ctx, k.p, k.counterparty, []string{typ}); err != nil {
		return err
	}
	return lacking(k.counterparty, typ)
}

// add adds a credential that is not there yet for the same reason.
func add(to []vc.Checked, c vc.Checked) []vc.Checked {
	if slices.ContainsFunc(to, func(have vc.Checked) bool { return have.Raw == c.Raw && have.Basis == c.Basis }) {
		return to
	}
	return append(to, c)
}

// Satisfies tells whether a credential counts as one of a type: it is of the type
// and trusted for it, or a list of ours recognises it as one.
func Satisfies(c vc.Checked, typ string) bool { return c.Basis.Type == typ || c.Basis.As == typ }

// query asks the counterpart's credential service for types, and for those that
// count as one of them.
func (r *Room) query(ctx context.Context, k key, types []string, token string) ([]string, error) {
	unreadable := func(reason string, cause error) error {
		return fault.PresentationUnreadable.At("", "partner", k.counterparty, "reason", reason).Because(cause)
	}
	base, err := r.identity.Service(ctx, k.counterparty, did.CredentialService)
	if err != nil {
		return nil, unreadable(told(err), err)
	}
	two := r.rule(k.p, k.counterparty).TwoParts
	var scopes []dcp.Scope
	for _, t := range r.equivalents(k.p, types) {
		s := dcp.TypeScope(t)
		if two {
			s = s.TwoParts()
		}
		scopes = append(scopes, s)
	}
	raw, err := r.identity.Claims(k.p, r.c.HTTP).Query(ctx, base, k.counterparty, token, scopes)
	if err != nil {
		if ctx.Err() != nil {
			return nil, unreadable("it did not answer in time", err)
		}
		return nil, unreadable(told(err), err)
	}
	return raw, nil
}

// told is what people are told of an error.
func told(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.What("en")
	}
	return err.Error()
}

// equivalents are types and all that our lists recognise as one of them.
func (r *Room) equivalents(p participant.ID, types []string) []string {
	out := slices.Clone(types)
	now := r.c.Now()
	for _, a := range r.settings(p).anchors {
		if a.List == nil || a.State(now) == Expired {
			continue
		}
		for _, rec := range a.List.Recognitions {
			if slices.Contains(types, rec.As) && !slices.Contains(out, rec.Type) && within(rec.Since, rec.Until, now) {
				out = append(out, rec.Type)
			}
		}
	}
	return out
}

// refused puts on record that what a counterpart showed does not count. Where a
// status refused it, what is held of the counterpart is looked at too.
func (r *Room) refused(ctx context.Context, k key, presentation string, cause error) error {
	f := fault.Of(cause)
	if errors.Is(cause, fault.CredentialRevoked) || errors.Is(cause, fault.CredentialSuspended) {
		r.lookAgain(ctx, k)
	}
	err := r.c.DB.Update(ctx, func(tx store.Tx) error {
		leaf := evidence.Leaf{Type: "kh.credential.refused", Counterparty: k.counterparty, Direction: evidence.In,
			Facts: map[string]string{"code": f.Kind.Code, "type": f.Args["type"]}}
		if presentation == "" {
			return r.c.Evidence.Append(tx, k.p, leaf)
		}
		leaf.Hashes = map[string]string{"presentation": evidence.Digest([]byte(presentation))}
		return r.c.Evidence.Append(tx, k.p, leaf, evidence.Body{Bytes: []byte(presentation), Class: evidence.ClassCredential})
	})
	if err != nil {
		return fmt.Errorf("put a refused credential on record: %w", err)
	}
	return nil
}
