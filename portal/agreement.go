package portal

import (
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"kakehashi/account"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/transfer"
	"kakehashi/ui/page"
)

// maxReason is the most characters of a reason.
const maxReason = 500

type agreementPage struct {
	page.Frame
	agreementRow
	Assigner, Assignee, Why, Digest string
	Ended, Until                    time.Time
	HasUntil                        bool
	Terms                           []string
	Exchanges                       []row
	Timeline                        []event
}

// agreement shows one agreement, with what happened under it.
func (s *portal) agreement(v *visit) error {
	ctx, p := v.r.Context(), v.own.ID
	a, err := s.Agreements.Get(ctx, p, v.r.PathValue("id"))
	if err != nil {
		return missing(err, v.r.PathValue("id"))
	}
	data := agreementPage{Frame: v.frame(v.T("portal.agreement")), agreementRow: v.agreed(a), Assigner: a.Assigner, Assignee: a.Assignee,
		Why: a.Why, Ended: a.Ended, Digest: evidence.Digest(a.Body), Terms: v.terms(a.Policy)}
	if until, err := s.Access(ctx, p, a.ID, s.Now()); err == nil {
		data.Until, data.HasUntil = until, !until.IsZero()
	}
	if q, err := s.Negotiations.Get(ctx, p, a.Negotiation); err == nil {
		data.Exchanges = append(data.Exchanges, v.negotiated(q))
	}
	moves, _, err := s.Transfers.List(ctx, p, transfer.Filter{Agreement: a.ID}, "", latest)
	if err != nil {
		return err
	}
	for _, q := range moves {
		data.Exchanges = append(data.Exchanges, v.transferred(q))
	}
	if data.Timeline, err = s.timeline(v, a.ID); err != nil {
		return err
	}
	return s.write(v, http.StatusOK, "agreement", data)
}

type endPage struct {
	page.Frame
	agreementRow
	Reason, Problem string
}

// end asks once more, and ends an agreement when that was answered.
func (s *portal) end(v *visit) error {
	if err := v.who.May(account.Admin); err != nil {
		return err
	}
	if err := form(v.w, v.r); err != nil {
		return err
	}
	ctx, p, id := v.r.Context(), v.own.ID, v.r.PathValue("id")
	a, err := s.Agreements.Get(ctx, p, id)
	if err != nil {
		return missing(err, id)
	}
	if !a.Ended.IsZero() {
		return fault.AgreementEnded.At("", "agreement", id, "reason", a.Why)
	}
	data := endPage{Frame: v.frame(v.T("portal.end")), agreementRow: v.agreed(a), Reason: strings.TrimSpace(v.r.PostForm.Get("reason"))}
	if n := utf8.RuneCountInString(data.Reason); n == 0 || n > maxReason || !utf8.ValidString(data.Reason) {
		f := fault.ReasonMissing.At("/reason", "max", maxReason)
		data.Problem = f.What(v.Lang()) + v.T("portal.end.colon") + f.Remedy(v.Lang())
		return s.write(v, f.Kind.Status, "end", data)
	}
	if v.r.PostForm.Get("confirm") != "yes" {
		return s.write(v, http.StatusOK, "end", data)
	}
	if err := s.EndAgreement(ctx, p, id, data.Reason); err != nil {
		return err
	}
	s.Log.InfoContext(ctx, "agreement ended in the portal", "participant", p, "process_id", id, "counterparty", a.Counterparty)
	http.Redirect(v.w, v.r, data.URL, http.StatusSeeOther)
	return nil
}

// missing makes a page's 404 of what the rooms say about ids that are not there.
func missing(err error, id string) error {
	switch fault.Of(err).Kind {
	case fault.AgreementUnknown, fault.NotFound:
		return fault.NotFound.At("", "what", id).Because(err)
	}
	return err
}
