package negotiation

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/odrl"
)

// terms is a policy taken apart: what names it and what it says. The members of
// rules are the bytes that arrived, in their order, so that an agreement carries
// them unchanged (decisions A1).
type terms struct {
	id, target, assigner, assignee, timestamp string

	rules strictjson.Raw // the other members, as an object
}

// parseTerms takes an Offer or Agreement of DSP 2025-1 section 4, or bare rules.
func parseTerms(raw []byte) (terms, error) {
	var t terms
	dec := jsontext.NewDecoder(bytes.NewReader(raw))
	bad := func(reason string) (terms, error) {
		return terms{}, fault.BadMessage.At("/offer", "reason", reason)
	}
	if dec.PeekKind() != '{' {
		return bad("the policy is not an object")
	}
	if _, err := dec.ReadToken(); err != nil {
		return bad("the policy is not valid JSON")
	}
	rules := []byte{'{'}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return bad("the policy is not valid JSON")
		}
		n := name.String()
		value, err := dec.ReadValue()
		if err != nil {
			return bad("the policy is not valid JSON")
		}
		var into *string
		switch strings.TrimPrefix(strings.TrimPrefix(n, "http://www.w3.org/ns/odrl/2/"), "odrl:") {
		case "@id":
			into = &t.id
		case "target":
			into = &t.target
		case "assigner":
			into = &t.assigner
		case "assignee":
			into = &t.assignee
		case "timestamp":
			into = &t.timestamp
		case "@type", "@context":
			continue
		default:
			if len(rules) > 1 {
				rules = append(rules, ',')
			}
			quoted, err := jsontext.AppendQuote(nil, n)
			if err != nil {
				return bad("a member's name is not valid")
			}
			rules = append(append(append(rules, quoted...), ':'), value...)
			continue
		}
		if *into != "" {
			return terms{}, fault.BadMessage.At("/offer/"+n, "reason", "doubled member")
		}
		if *into, err = text(value); err != nil {
			return terms{}, fault.BadMessage.At("/offer/"+n, "reason", "a string is expected")
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return bad("the policy is not valid JSON")
	}
	t.rules = append(rules, '}')
	return t, nil
}

// text reads "x", {"@id":"x"} or {"@value":"x"}: JSON-LD writes any of them.
func text(v jsontext.Value) (string, error) {
	var s string
	if v.Kind() == '"' {
		err := strictjson.DecodeOpen(v, &s)
		return s, err
	}
	var o struct {
		ID    string `json:"@id"`
		Value string `json:"@value"`
	}
	err := strictjson.DecodeOpen(v, &o)
	return o.ID + o.Value, err
}

// sameTerms says why two sets of rules differ, "" if only by what is known to be
// lost on the way (decisions A1).
func sameTerms(ours, theirs []byte) string {
	if bytes.Equal(ours, theirs) {
		return ""
	}
	err := odrl.Same(ours, theirs)
	if err == nil {
		return ""
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return f.What("en")
	}
	return err.Error()
}

// Limits of an agreement's timestamp (decisions A5): not further in the future
// than ahead, not before our request less back. Age is no reason.
const (
	ahead = 5 * time.Minute
	back  = 60 * time.Second
)

// checkAgreement is what the consumer checks before it takes an agreement (DSP
// 2025-1, 6.3): parties, target, terms, time. The form of its @id is the
// provider's choice.
func checkAgreement(p Process, self string, raw []byte, now time.Time) (terms, time.Time, error) {
	t, err := parseTerms(raw)
	if err != nil {
		return t, time.Time{}, err
	}
	refuse := func(place, reason string) (terms, time.Time, error) {
		return t, time.Time{}, fault.AgreementRefused.At("/agreement"+place, "reason", reason)
	}
	switch {
	case t.id == "":
		return refuse("/@id", "it has no id")
	case t.assigner != p.Counterparty:
		return refuse("/assigner", "the assigner is not the provider that we talk to")
	case t.assignee != self:
		return refuse("/assignee", "the assignee is not us")
	case t.target != p.Dataset:
		return refuse("/target", "the target is not the dataset that was asked for")
	}
	if why := sameTerms(p.Terms, t.rules); why != "" {
		return refuse("", "its terms differ: "+why)
	}
	at, err := time.Parse(time.RFC3339Nano, t.timestamp)
	switch {
	case err != nil:
		return refuse("/timestamp", "it is no dateTime with a zone")
	case at.After(now.Add(ahead)):
		return refuse("/timestamp", "it lies in the future")
	case p.Asked != 0 && at.Before(time.UnixMicro(p.Asked).Add(-back)):
		return refuse("/timestamp", "it is older than the request")
	}
	return t, at, nil
}
