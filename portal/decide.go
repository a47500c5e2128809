package portal

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"kakehashi/account"
	"kakehashi/dsp/dsp2025"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/negotiation"
	"kakehashi/odrl"
	"kakehashi/participant"
	"kakehashi/process"
	"kakehashi/transfer"
	"kakehashi/ui/text"
)

// maxDecision is the largest form of a decision: terms are written out in it.
const maxDecision = 256 << 10

// question is a process that waits for a decision of ours.
type question struct {
	row
	Title   string // of the dataset, if it is ours
	Since   time.Time
	Version int64
	Approve string // what an approval does, in words
	terms
	Counter bool   // it can be answered with other terms
	Policy  string // the terms with which an answer would begin
}

// terms are the rules on the table, beside those that we put last.
type terms struct {
	P       text.Printer
	Terms   []string
	Same    bool
	Marked  []marked // Terms again, with what ours lack
	Missing []string // sentences of ours that they lack
	Hidden  bool     // they differ in what sentences do not show
}

// marked is a sentence, new beside those it is compared with or not.
type marked struct {
	Text string
	New  bool
}

func mark(all, known []string) (out []marked) {
	for _, s := range all {
		out = append(out, marked{s, !slices.Contains(known, s)})
	}
	return out
}

// waiting lists what waits for a decision, the longest first.
func (s *portal) waiting(v *visit) (out []question, more bool, err error) {
	ctx, p := v.r.Context(), v.own.ID
	talks, more, err := s.Negotiations.Waiting(ctx, p, latest)
	if err != nil {
		return nil, false, err
	}
	moves, also, err := s.Transfers.Waiting(ctx, p, latest)
	if err != nil {
		return nil, false, err
	}
	for _, q := range talks {
		out = append(out, s.asked(v, q))
	}
	for _, q := range moves {
		out = append(out, s.requested(v, q))
	}
	slices.SortStableFunc(out, func(a, b question) int { return a.Since.Compare(b.Since) })
	return out, more || also, nil
}

// asked is a negotiation as a question.
func (s *portal) asked(v *visit, q negotiation.Process) question {
	out := question{row: v.negotiated(q), Title: s.title(v, q.Dataset, q.Role), Since: q.Updated, Version: q.Version,
		terms: s.compared(v, q), Counter: q.Role == process.Provider && q.State == negotiation.Requested || q.Role == process.Consumer && q.State == negotiation.Offered}
	switch q.State {
	case negotiation.Requested, negotiation.Accepted:
		out.Approve = v.T("portal.decide.agree")
	case negotiation.Offered:
		out.Approve = v.T("portal.decide.accept")
	case negotiation.Agreed:
		out.Approve = v.T("portal.decide.verify")
	default:
		out.Approve = v.T("portal.decide.finalize")
	}
	if out.Counter {
		ours := s.ours(v, q)
		if ours == nil {
			ours = q.Terms
		}
		out.Policy = pretty(ours)
	}
	return out
}

// requested is a transfer as a question.
func (s *portal) requested(v *visit, q transfer.Process) question {
	out := question{row: v.transferred(q), Title: s.title(v, q.Dataset, q.Role), Since: q.Updated, Version: q.Version, Approve: v.T("portal.decide.start")}
	out.P, out.Same = v.Printer, true
	if a, err := s.Agreements.Get(v.r.Context(), v.own.ID, q.Agreement); err == nil {
		out.Terms = v.terms(a.Policy)
	}
	return out
}

// title is what we call a dataset of ours.
func (s *portal) title(v *visit, dataset string, role process.Role) string {
	if role != process.Provider {
		return ""
	}
	d, err := s.Catalog.Kept(v.r.Context(), v.own.ID, dataset)
	if err != nil {
		return ""
	}
	return d.Title
}

// ours are the terms that we put last, nil when they are not known any more.
func (s *portal) ours(v *visit, q negotiation.Process) strictjson.Raw {
	switch {
	case q.Ours != nil:
		return q.Ours
	case q.Same:
		return q.Terms
	case q.Role == process.Provider:
		if _, o, err := s.Catalog.Offer(v.r.Context(), v.own.ID, q.OfferID); err == nil {
			return o.Policy
		}
	}
	return nil
}

// compared says where the terms on the table are not ours.
func (s *portal) compared(v *visit, q negotiation.Process) terms {
	out := terms{P: v.Printer, Terms: v.terms(q.Terms), Same: q.Same}
	ours := s.ours(v, q)
	if ours == nil { // nothing to compare with
		out.Marked = mark(out.Terms, out.Terms)
		return out
	}
	mine := v.terms(ours)
	out.Marked, out.Missing = mark(out.Terms, mine), without(mine, out.Terms)
	out.Hidden = len(out.Missing)+len(without(out.Terms, mine)) == 0
	return out
}

func without(all, known []string) (out []string) {
	for _, s := range all {
		if !slices.Contains(known, s) {
			out = append(out, s)
		}
	}
	return out
}

// pretty is JSON as people edit it.
func pretty(raw strictjson.Raw) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw)
	}
	return b.String()
}

// answer is what a form of a decision says.
type answer struct {
	version int64
	choice  process.Choice
	reason  string
	policy  string
	checked string // the terms that were shown as sentences
}

func (v *visit) answer() (answer, error) {
	if err := formOf(v.w, v.r, maxDecision); err != nil {
		return answer{}, err
	}
	f := v.r.PostForm
	n, err := strconv.ParseInt(f.Get("version"), 10, 64)
	if err != nil || n < 1 {
		return answer{}, fault.FormUnreadable.At("version")
	}
	// Browsers write the lines of what is edited in their own way.
	plain := func(name string) string { return strings.ReplaceAll(f.Get(name), "\r\n", "\n") }
	return answer{version: n, choice: process.Choice(f.Get("decision")), reason: strings.TrimSpace(plain("reason")),
		policy: plain("policy"), checked: plain("checked")}, nil
}

// decide takes a decision. What is wrong with it is said on the page that asked.
func (s *portal) decide(v *visit) error {
	if err := v.who.May(account.Admin); err != nil {
		return err
	}
	a, err := v.answer()
	if err != nil {
		return err
	}
	id := v.r.PathValue("id")
	var d process.Decision
	switch a.choice {
	case process.Approve:
		d = process.Decision{Choice: process.Approve}
	case process.Refuse:
		if n := utf8.RuneCountInString(a.reason); n == 0 || n > maxReason || !utf8.ValidString(a.reason) {
			return s.exchangeWith(v, a, fault.ReasonMissing.At("/reason", "max", maxReason))
		}
		d = process.Decision{Choice: process.Refuse, Code: "refused", Reason: a.reason}
	case process.Counter:
		rules, shown, err := rulesOf(v, a.policy)
		if err != nil || a.checked != a.policy {
			return s.counter(v, a, shown, err)
		}
		d = process.Decision{Choice: process.Counter, Terms: rules}
	default:
		return fault.FormUnreadable.At("decision")
	}
	counterparty, err := s.take(v, v.own.ID, id, a.version, d)
	if err != nil {
		if f := fault.Of(err); f.Kind.Status < 500 && f.Kind != fault.NotFound {
			if d.Choice == process.Counter {
				_, shown, _ := rulesOf(v, a.policy)
				return s.counter(v, a, shown, err)
			}
			return s.exchangeWith(v, a, err)
		}
		return missing(err, id)
	}
	s.Log.InfoContext(v.r.Context(), "decided in the portal", "participant", string(v.own.ID), "process_id", id,
		"counterparty", counterparty, "decision", string(d.Choice))
	http.Redirect(v.w, v.r, "/exchanges/"+url.PathEscape(id), http.StatusSeeOther)
	return nil
}

// take brings a decision to the room of its process.
func (s *portal) take(v *visit, p participant.ID, id string, version int64, d process.Decision) (counterparty string, err error) {
	ctx := v.r.Context()
	if q, err := s.Transfers.Decide(ctx, p, id, version, d); !errors.Is(err, fault.NotFound) {
		return q.Counterparty, err
	}
	q, err := s.Negotiations.Decide(ctx, p, id, version, d)
	return q.Counterparty, err
}

// rulesOf reads terms as somebody wrote them; shown are the sentences that they mean.
func rulesOf(v *visit, policy string) (rules []byte, shown []string, err error) {
	var object map[string]any
	if err := strictjson.Decode([]byte(policy), &object); err != nil {
		return nil, nil, fault.TermsUnreadable.At("", "reason", err.Error())
	}
	p, err := odrl.Parse([]byte(policy))
	if err != nil {
		return nil, nil, err
	}
	rules, err = dsp2025.Rules(strictjson.Raw(policy))
	return rules, odrl.Describe(p, v.Lang()), err
}

type counterPage struct {
	exchangePage
	Shown         []marked // the new terms
	Missing       []string // of those on the table
	Policy, Wrong string
	Edited        string // the same in the form in which it is edited on
	Checked       bool
	Unchanged     bool // as sentences
}

// counter shows terms of ours as sentences before they are sent, or what is wrong
// with them.
func (s *portal) counter(v *visit, a answer, shown []string, wrong error) error {
	data, err := s.exchangeOf(v)
	if err != nil {
		return err
	}
	if data.Question == nil || !data.Question.Counter || data.Question.Version != a.version {
		return s.exchangeWith(v, a, fault.DecidedOn.At(data.ID, "process", data.ID))
	}
	out := counterPage{exchangePage: data, Policy: a.policy, Edited: a.policy, Checked: wrong == nil,
		Shown: mark(shown, data.Question.Terms), Missing: without(data.Question.Terms, shown)}
	out.Unchanged = len(out.Missing)+len(without(shown, data.Question.Terms)) == 0
	out.Frame.Title = v.T("portal.counter")
	status := http.StatusOK
	if wrong == nil {
		out.Edited = pretty(strictjson.Raw(a.policy))
	} else {
		f := fault.Of(wrong)
		status, out.Wrong = f.Kind.Status, v.wrong(f)
	}
	return s.write(v, status, "counter", out)
}

// wrong is a fault in one line, with its place and what to do.
func (v *visit) wrong(f *fault.Error) string {
	where, remedy := "", f.Remedy(v.Lang())
	if f.Place != "" && !strings.Contains(remedy, f.Place) {
		where = " (" + f.Place + ")"
	}
	return f.What(v.Lang()) + where + v.T("portal.end.colon") + remedy
}
