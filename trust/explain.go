package trust

import (
	"context"
	"fmt"
	"strings"
	"time"

	"kakehashi/dcp"
	"kakehashi/did"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/jws"
	"kakehashi/participant"
	"kakehashi/vc"
)

// Explain checks a token as p would and tells of each step, up to the first that
// fails: a self-issued token, a presentation, a credential, a status list or a
// trust list. Nothing is kept, and nobody is sent anything but questions for DID
// documents, lists and schemas.
func (r *Room) Explain(ctx context.Context, p participant.ID, token string) ([]vc.Step, error) {
	us, ok := r.c.Participants.Get(p)
	if !ok {
		return nil, fault.NotFound.At("", "what", "participant "+string(p))
	}
	var steps []vc.Step
	trace := func(s vc.Step) { steps = append(steps, s) }
	token = strings.TrimSpace(token)
	if len(token) > 7 && strings.EqualFold(token[:7], "Bearer ") {
		token = strings.TrimSpace(token[7:])
	}
	m, err := jws.Parse(token, MaxList)
	if err != nil {
		trace(vc.Step{Name: vc.StepRead, Place: "token", Err: fault.TokenInvalid.At("", "reason", err.Error())})
		return steps, nil
	}
	v := r.verifier(p)
	v.Trace, v.Fresh = trace, nil
	var what struct {
		Subject     strictjson.Raw `json:"credentialSubject"`
		Inner       strictjson.Raw `json:"vc"`
		Credentials strictjson.Raw `json:"verifiableCredential"`
		Shown       strictjson.Raw `json:"vp"`
	}
	if err := strictjson.DecodeOpen(m.Payload, &what); err != nil {
		trace(vc.Step{Name: vc.StepRead, Place: "token", Err: fault.TokenInvalid.At("", "reason", err.Error())})
		return steps, nil
	}
	// An error of a verification is that of the last step, which tells it.
	switch {
	case m.Header.Typ == listType:
		r.explainList(p, token, trace)
	case len(what.Shown) > 0 || len(what.Credentials) > 0:
		holder := ""
		if read, err := vc.ParsePresentation(token); err == nil {
			holder = read.Holder
		}
		_, _ = v.Presentation(ctx, token, us.DID, holder)
	case len(what.Inner) > 0 || len(what.Subject) > 0:
		if l, err := vc.ParseStatusList([]byte(token)); err == nil {
			r.explainStatus(ctx, l, trace)
			break
		}
		c, err := vc.ParseCredential(token)
		if err != nil {
			trace(vc.Step{Name: vc.StepRead, Place: "credential", Err: err})
			break
		}
		_, _ = v.Credential(ctx, c, "")
	default:
		r.explainToken(ctx, us.DID, token, m, trace)
	}
	return steps, nil
}

func (r *Room) explainToken(ctx context.Context, self, token string, m jws.Message, trace func(vc.Step)) {
	const place = "self-issued token"
	t, err := dcp.TraceToken(token, self, r.c.Now(), func(name, saw string, err error) {
		trace(vc.Step{Name: name, Place: place, Saw: saw, Err: err})
	})
	if err != nil {
		return
	}
	pub, err := r.keys(ctx, t.Issuer, t.KID, did.Invocation)
	trace(vc.Step{Name: vc.StepKey, Place: place, Saw: t.KID, Err: err})
	if err != nil {
		return
	}
	if !t.Verify(pub) {
		err = fault.TokenSignature.At("", "kid", t.KID)
	}
	saw := m.Header.Alg
	if t.Access != "" {
		saw += ", with an access token"
	}
	trace(vc.Step{Name: vc.StepSignature, Place: place, Saw: saw, Err: err})
}

func (r *Room) explainStatus(ctx context.Context, l vc.StatusList, trace func(vc.Step)) {
	const place = "status list"
	trace(vc.Step{Name: vc.StepRead, Place: place, Saw: fmt.Sprintf("%v of %s, %d entries", l.Purposes, l.Issuer, l.Bits.Len())})
	pub, err := r.keys(ctx, l.Issuer, l.KID, did.Assertion)
	trace(vc.Step{Name: vc.StepKey, Place: place, Saw: l.KID, Err: err})
	if err != nil {
		return
	}
	if !l.Verify(pub) {
		err = fault.TokenSignature.At("", "kid", l.KID)
	}
	trace(vc.Step{Name: vc.StepSignature, Place: place, Err: err})
	if err != nil {
		return
	}
	if now := r.c.Now(); !l.Until.IsZero() && !l.Until.After(now) {
		err = fault.TokenExpired.At("", "expired", l.Until.Format(time.RFC3339))
	}
	trace(vc.Step{Name: vc.StepTime, Place: place, Saw: "until " + l.Until.Format(time.RFC3339), Err: err})
}

func (r *Room) explainList(p participant.ID, token string, trace func(vc.Step)) {
	for _, a := range r.Anchors(p) {
		if l, err := OpenList(token, a.Signer); err == nil {
			trace(vc.Step{Name: vc.StepRead, Place: "trust list", Saw: fmt.Sprintf("%s, edition %d, %d issuers", l.Name, l.Version, len(l.Issuers))})
			trace(vc.Step{Name: vc.StepSignature, Place: "trust list", Saw: a.Signer})
			a.List = l
			now := r.c.Now()
			err = nil
			if a.State(now) == Expired {
				err = fault.TrustList.At("/nextUpdate", "reason", "it is past its next update by more than the grace")
			}
			trace(vc.Step{Name: vc.StepTime, Place: "trust list", Saw: fmt.Sprintf("%s, up to date until %s", a.State(now), l.NextUpdate.Format(time.RFC3339)), Err: err})
			return
		}
	}
	trace(vc.Step{Name: vc.StepSignature, Place: "trust list", Err: fault.TrustList.At("", "reason", "no key that is pinned here signed it")})
}
