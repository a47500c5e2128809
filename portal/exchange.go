package portal

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/ui/page"
)

// event is a leaf of the log as a timeline shows it.
type event struct {
	ID, Type, Event, Direction, Place string
	Message                           string // of the protocol; "" for a step without one
	Class                             string // in, out or ""
	Time                              time.Time
	Facts, Hashes                     []fact
}

type fact struct{ Name, Value string }

type exchangePage struct {
	page.Frame
	row
	Agreement, AgreementURL string
	Timeline                []event
}

// exchange shows a negotiation or a transfer with all that is on record of it.
// A transfer's timeline begins with the negotiation that it rests on and has
// what the data plane did.
func (s *portal) exchange(v *visit) error {
	ctx, p, id := v.r.Context(), v.own.ID, v.r.PathValue("id")
	data := exchangePage{}
	processes := []string{}
	move, err := s.Transfers.Get(ctx, p, id)
	switch {
	case err == nil:
		data.row, data.Agreement = v.transferred(move), move.Agreement
		if a, err := s.Agreements.Get(ctx, p, move.Agreement); err == nil {
			processes = append(processes, a.Negotiation)
		}
		processes = append(processes, move.Agreement, move.ID, move.Grant)
	case errors.Is(err, fault.NotFound):
		talk, err := s.Negotiations.Get(ctx, p, id)
		if err != nil {
			return missing(err, id)
		}
		data.row, data.Agreement = v.negotiated(talk), talk.Agreement
		processes = append(processes, talk.ID, talk.Agreement)
	default:
		return err
	}
	data.Frame = v.frame(data.What)
	if data.Agreement != "" {
		if _, err := s.Agreements.Get(ctx, p, data.Agreement); err == nil {
			data.AgreementURL = "/agreements/" + url.PathEscape(data.Agreement)
		}
	}
	if data.Timeline, err = s.timeline(v, processes...); err != nil {
		return err
	}
	return s.write(v, http.StatusOK, "exchange", data)
}

// timeline is what is on record of some processes, in the order of time.
func (s *portal) timeline(v *visit, processes ...string) ([]event, error) {
	var all []evidence.Entry
	for _, id := range processes {
		if id == "" {
			continue
		}
		entries, err := s.Evidence.History(v.r.Context(), v.own.ID, id)
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	slices.SortStableFunc(all, func(a, b evidence.Entry) int { return a.Time.Compare(b.Time) })
	out := make([]event, 0, len(all))
	for _, e := range all {
		out = append(out, v.event(e))
	}
	return out, nil
}

// message is the protocol's message behind a leaf that has a direction.
var message = map[string]string{
	"kh.negotiation.requested":  "ContractRequestMessage",
	"kh.negotiation.offered":    "ContractOfferMessage",
	"kh.negotiation.accepted":   "ContractNegotiationEventMessage",
	"kh.negotiation.agreed":     "ContractAgreementMessage",
	"kh.negotiation.verified":   "ContractAgreementVerificationMessage",
	"kh.negotiation.finalized":  "ContractNegotiationEventMessage",
	"kh.negotiation.terminated": "ContractNegotiationTerminationMessage",
	"kh.transfer.requested":     "TransferRequestMessage",
	"kh.transfer.started":       "TransferStartMessage",
	"kh.transfer.suspended":     "TransferSuspensionMessage",
	"kh.transfer.completed":     "TransferCompletionMessage",
	"kh.transfer.terminated":    "TransferTerminationMessage",
}

func (v *visit) event(e evidence.Entry) event {
	out := event{ID: e.ID, Type: e.Type, Time: e.Time, Class: e.Direction,
		Event: v.named(v.T("portal.event."+e.Type), "portal.event.", e.Type)}
	switch e.Direction {
	case evidence.In:
		out.Direction = v.T("portal.in", "partner", e.Counterparty)
	case evidence.Out:
		out.Direction = v.T("portal.out", "partner", e.Counterparty)
	default:
		out.Direction = v.T("portal.here")
	}
	if out.Message = message[e.Type]; e.Direction == "" {
		out.Message = ""
	}
	if e.Position < 0 {
		out.Place = v.T("portal.position.none")
	} else {
		out.Place = v.T("portal.position", "n", strconv.FormatInt(e.Position, 10))
	}
	out.Facts = append(out.Facts, v.facts(e.Facts)...)
	out.Hashes = v.facts(e.Hashes)
	return out
}

// facts are named values, in the order of their names in the log.
func (v *visit) facts(m map[string]string) []fact {
	names := make([]string, 0, len(m))
	for k := range m {
		names = append(names, k)
	}
	slices.Sort(names)
	out := make([]fact, 0, len(m))
	for _, k := range names {
		out = append(out, fact{v.named(v.T("portal.fact."+k), "portal.fact.", k), m[k]})
	}
	return out
}
