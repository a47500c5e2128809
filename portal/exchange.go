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
	"kakehashi/process"
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
	terms
	Agreement, AgreementURL string
	EndedBy                 string
	Question                *question // nil: it waits for nothing of ours
	Problem                 string    // with the decision that was sent
	Refusal                 string    // the reason that was written, to go on from
	Timeline                []event
}

// exchange shows a negotiation or a transfer with all that is on record of it.
// A transfer's timeline begins with the negotiation that it rests on and has
// what the data plane did.
func (s *portal) exchange(v *visit) error {
	data, err := s.exchangeOf(v)
	if err != nil {
		return err
	}
	return s.write(v, http.StatusOK, "exchange", data)
}

// exchangeWith is the same page with what was wrong with a decision.
func (s *portal) exchangeWith(v *visit, a answer, wrong error) error {
	data, err := s.exchangeOf(v)
	if err != nil {
		return err
	}
	f := fault.Of(wrong)
	data.Problem, data.Refusal = v.wrong(f), a.reason
	return s.write(v, f.Kind.Status, "exchange", data)
}

func (s *portal) exchangeOf(v *visit) (exchangePage, error) {
	ctx, p, id := v.r.Context(), v.own.ID, v.r.PathValue("id")
	data := exchangePage{}
	processes := []string{}
	move, err := s.Transfers.Get(ctx, p, id)
	switch {
	case err == nil:
		data.row, data.Agreement = v.transferred(move), move.Agreement
		data.EndedBy = v.endedBy(move.TerminatedBy, move.Role)
		if move.Waits() {
			q := s.requested(v, move)
			data.Question = &q
		}
		if a, err := s.Agreements.Get(ctx, p, move.Agreement); err == nil {
			processes = append(processes, a.Negotiation)
		}
		processes = append(processes, move.Agreement, move.ID, move.Grant)
	case errors.Is(err, fault.NotFound):
		talk, err := s.Negotiations.Get(ctx, p, id)
		if err != nil {
			return data, missing(err, id)
		}
		data.row, data.Agreement = v.negotiated(talk), talk.Agreement
		data.EndedBy, data.terms = v.endedBy(talk.TerminatedBy, talk.Role), s.compared(v, talk)
		if talk.Turn() {
			q := s.asked(v, talk)
			data.Question = &q
		}
		processes = append(processes, talk.ID, talk.Agreement)
	default:
		return data, err
	}
	data.Frame = v.frame(data.What)
	if data.Agreement != "" {
		if _, err := s.Agreements.Get(ctx, p, data.Agreement); err == nil {
			data.AgreementURL = "/agreements/" + url.PathEscape(data.Agreement)
		}
	}
	data.Timeline, err = s.timeline(v, processes...)
	return data, err
}

// endedBy says which side terminated a process.
func (v *visit) endedBy(by, us process.Role) string {
	switch by {
	case "":
		return ""
	case us:
		return v.T("portal.endedby.us")
	}
	return v.T("portal.endedby.them")
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
	if sends := e.Facts["sending"]; e.Direction == "" && sends != "" && e.Facts["state"] != "" && e.Facts["by"] == "" {
		out.Event, out.Message = v.T("portal.event.decided"), sends // the state is the one before it
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
