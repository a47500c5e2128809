// Package policy decides at every gate whether the terms permit: what may be
// published, what a catalogue shows, what may be agreed to, and whether one
// request of the data plane may pass. The rules themselves are odrl's.
//
// It keeps no tables and calls nobody; what it does not understand is refused.
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
)

// Agreements reads what was agreed; agreement.Room does.
type Agreements interface {
	Get(ctx context.Context, p participant.ID, id string) (agreement.Agreement, error)
}

// Config is what an Engine needs.
type Config struct {
	Agreements Agreements
	Now        func() time.Time
}

// Engine decides.
type Engine struct {
	c      Config
	parsed *recent.Of[agreed, odrl.Policy] // an agreement's terms never change
}

type agreed struct {
	p  participant.ID
	id string
}

// New makes an engine.
func New(c Config) *Engine { return &Engine{c: c, parsed: recent.New[agreed, odrl.Policy](4096)} }

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
	for _, x := range odrl.Unclear(p, f) {
		return fault.OfferNotUnderstood.At(x.Pointer, "reason", x.Explain("en"))
	}
	if d := odrl.Evaluate(p, f); !d.Permit && d.Until.IsZero() {
		return fault.OfferPermitsNothing.At(d.Why[0].Pointer, "reason", d.Explain("en"))
	}
	return nil
}

// Agree says whether terms may be agreed to with that counterpart now; a refusal
// is fault.TermsDeny that explains.
func (e *Engine) Agree(_ context.Context, _ participant.ID, _ string, raw []byte, now time.Time) error {
	p, err := odrl.Parse(raw)
	if err != nil {
		return err
	}
	if d := odrl.Evaluate(p, e.facts(now)); !d.Permit {
		return fault.TermsDeny.At("/offer", "reason", d.Explain("en"))
	}
	return nil
}

// Access is the gate of transfers and of the data plane: the agreement must be
// in force and its terms must permit use now. until is when that has to be asked
// again because of time; zero is never.
func (e *Engine) Access(ctx context.Context, p participant.ID, agreementID string, now time.Time) (until time.Time, err error) {
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
	d := odrl.Evaluate(rules, e.facts(now))
	if !d.Permit {
		return time.Time{}, fault.TermsDeny.At(agreementID, "reason", d.Explain("en"))
	}
	return d.Until, nil
}

// Shown keeps the offers that a counterpart may see: those it could agree to now.
func Shown[O any](e *Engine, counterparty string, offers []O, terms func(O) strictjson.Raw) []O {
	var out []O
	for _, o := range offers {
		if e.Agree(context.Background(), "", counterparty, terms(o), e.c.Now()) == nil {
			out = append(out, o)
		}
	}
	return out
}
