// Package policy decides at every gate whether the terms permit: what may be
// published, what a catalogue shows, what may be agreed to, and whether one
// request of the data plane may pass. The rules themselves are odrl's.
//
// It keeps no tables; what it does not understand is refused. What a counterpart
// has to prove of itself it asks of trust, and only where something is agreed to.
package policy

import (
	"context"
	"strings"
	"time"

	"kakehashi/agreement"
	"kakehashi/internal/fault"
	"kakehashi/internal/recent"
	"kakehashi/internal/strictjson"
	"kakehashi/odrl"
	"kakehashi/participant"
	"kakehashi/vc"
)

// Agreements reads what was agreed; agreement.Room does.
type Agreements interface {
	Get(ctx context.Context, p participant.ID, id string) (agreement.Agreement, error)
}

// Config is what an Engine needs.
type Config struct {
	Agreements  Agreements
	Credentials Credentials // nil: nobody can prove anything
	Now         func() time.Time
}

// Engine decides.
type Engine struct {
	c      Config
	parsed *recent.Of[agreed, odrl.Policy] // an agreement's terms never change
}

// lookup is Show or Held.
type lookup func(ctx context.Context, p participant.ID, counterparty string, types []string) ([]vc.Checked, error)

type agreed struct {
	p  participant.ID
	id string
}

// New makes an engine.
func New(c Config) *Engine {
	if c.Credentials == nil {
		c.Credentials = nobody{}
	}
	return &Engine{c: c, parsed: recent.New[agreed, odrl.Policy](4096)}
}

// declared are the operands that only the counterpart can state: by agreeing it
// has declared them (decisions 10).
func declared(operand string) bool {
	switch operand {
	case "purpose", "recipient":
		return true
	}
	return false
}

// later are the duties that the counterpart has after its use: by agreeing it has
// taken them on. What has to be done before use (to pay, to obtain consent), or
// by a time, is none of them.
func later(action string) bool {
	switch action {
	case "attribute", "inform", "anonymize", "delete", "nextPolicy":
		return true
	}
	return false
}

// profile knows the one of the Dataspace Protocol itself, under which all its
// policies are; it only takes away from ODRL.
func profile(iri string) bool {
	return strings.TrimSuffix(iri, ".jsonld") == "https://w3id.org/dspace/2025/1/odrl-profile"
}

func (e *Engine) facts(now time.Time) odrl.Facts {
	return odrl.Facts{Now: now, Declared: declared, Later: later, Profile: profile}
}

// Publishable refuses terms of which any part could not be enforced here
// (fault.OfferNotUnderstood with the place), and terms that permit nobody
// anything any more, because they have run out or prohibit what they permit
// (fault.OfferPermitsNothing). Terms that only begin later are publishable.
func (e *Engine) Publishable(raw []byte) error {
	p, err := odrl.Parse(raw)
	if err != nil {
		f := fault.Of(err)
		return fault.OfferNotUnderstood.At(f.Place, "reason", f.Args["reason"]).Because(err)
	}
	f := e.facts(e.c.Now())
	f.Pending = ours
	for _, x := range odrl.Unclear(p, f) {
		return fault.OfferNotUnderstood.At(x.Pointer, "reason", x.Explain("en"))
	}
	if at, reason := unprovable(p); reason != "" {
		return fault.OfferNotUnderstood.At(at, "reason", reason)
	}
	if d := odrl.Evaluate(p, f); !d.Permit && d.Until.IsZero() {
		return fault.OfferPermitsNothing.At(d.Why[0].Pointer, "reason", d.Explain("en"))
	}
	return nil
}

// Offerable says whether terms may be put to a counterpart now: what it has to
// prove of itself counts as still to be shown, so that who lacks it learns so
// when it asks. A refusal is fault.TermsDeny that explains.
func (e *Engine) Offerable(counterparty string, raw []byte, now time.Time) error {
	p, err := odrl.Parse(raw)
	if err != nil {
		return err
	}
	f := e.facts(now)
	f.Pending = func(operand string) bool { return ours(operand) && operand != odrl.ParticipantDID }
	f.Value = func(operand string) (string, string, bool) {
		return counterparty, "the token", operand == odrl.ParticipantDID
	}
	if d := odrl.Evaluate(p, f); !d.Permit {
		return fault.TermsDeny.At("/offer", "reason", d.Explain("en"))
	}
	return nil
}

// Agree says whether terms may be agreed to with that counterpart now, and has it
// show what they ask for. record is what the decision rests on, for evidence; nil
// when that is the clock and the terms alone. A refusal is fault.TermsDeny that
// explains, or the fault of the credential that stands in the way.
func (e *Engine) Agree(ctx context.Context, p participant.ID, counterparty string, raw []byte, now time.Time) (record []byte, err error) {
	rules, err := odrl.Parse(raw)
	if err != nil {
		return nil, err
	}
	f, seen := e.about(ctx, p, counterparty, rules, now, e.c.Credentials.Show)
	d := odrl.Evaluate(rules, f)
	if !d.Permit {
		return nil, seen.refuse("/offer", d)
	}
	return seen.record(d, now)
}

// Access is the gate of transfers and of the data plane: the agreement must be
// in force and its terms must permit use now, by what the counterpart has shown
// before; nobody is asked. until is when that has to be asked again because of
// time; zero is never.
func (e *Engine) Access(ctx context.Context, p participant.ID, agreementID string, now time.Time) (until time.Time, err error) {
	return e.access(ctx, p, agreementID, now, e.c.Credentials.Held)
}

// Renewed is Access for a message of the counterpart's, which may come with newer
// credentials: it is asked for those that are lacking.
func (e *Engine) Renewed(ctx context.Context, p participant.ID, agreementID string, now time.Time) (until time.Time, err error) {
	until, err = e.access(ctx, p, agreementID, now, e.c.Credentials.Held)
	if fault.OfCredential(err) {
		return e.access(ctx, p, agreementID, now, e.c.Credentials.Show)
	}
	return until, err
}

func (e *Engine) access(ctx context.Context, p participant.ID, agreementID string, now time.Time, look lookup) (until time.Time, err error) {
	a, err := e.c.Agreements.Get(ctx, p, agreementID)
	if err != nil {
		return time.Time{}, err
	}
	if !a.Ended.IsZero() {
		return time.Time{}, fault.AgreementEnded.At(agreementID, "agreement", agreementID, "reason", a.Why)
	}
	rules, ok := e.parsed.Get(agreed{p, agreementID})
	if !ok {
		if rules, err = odrl.Parse(a.Policy); err != nil {
			return time.Time{}, err
		}
		e.parsed.Put(agreed{p, agreementID}, rules)
	}
	f, seen := e.facts(now), (*evidenceSeen)(nil)
	if a.Role == agreement.Provider {
		f, seen = e.about(ctx, p, a.Counterparty, rules, now, look)
	} else {
		f.Pending = ours // what we have to prove is the provider's to judge
	}
	d := odrl.Evaluate(rules, f)
	if !d.Permit {
		return time.Time{}, seen.refuse(agreementID, d)
	}
	return d.Until, nil
}

// Shown keeps the offers that a counterpart may see: those that could be put to
// it now.
func Shown[O any](e *Engine, counterparty string, offers []O, terms func(O) strictjson.Raw) []O {
	var out []O
	for _, o := range offers {
		if e.Offerable(counterparty, terms(o), e.c.Now()) == nil {
			out = append(out, o)
		}
	}
	return out
}
