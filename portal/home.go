package portal

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"kakehashi/agreement"
	"kakehashi/internal/strictjson"
	"kakehashi/negotiation"
	"kakehashi/odrl"
	"kakehashi/transfer"
	"kakehashi/ui/page"
)

// latest is how many of each kind the first page shows.
const latest = 20

type datasetRow struct {
	ID, Title, Description, Newer string
	Terms, Formats                []string
	Updated                       time.Time
}

type agreementRow struct {
	ID, URL, Dataset, Counterparty, Role, Newer string
	Signed                                      time.Time
	Over                                        bool
}

// row is an exchange in a list: a negotiation or a transfer.
type row struct {
	ID, URL, What, Dataset, Counterparty, Role string
	State, Code, Reason                        string
	Done, Failed                               bool
	Newer                                      string // note that a newer program wrote it
	Created                                    time.Time
}

type homePage struct {
	page.Frame
	DID                                         string
	Waiting                                     []question
	MoreWaiting                                 bool
	Late                                        []lateGroup
	Datasets                                    []datasetRow
	Agreements                                  []agreementRow
	Exchanges                                   []row
	MoreDatasets, MoreAgreements, MoreExchanges bool
}

// home shows what is offered and the latest agreements and exchanges.
func (s *portal) home(v *visit) error {
	ctx, p := v.r.Context(), v.own.ID
	data := homePage{Frame: v.frame(v.T("portal.home")), DID: v.own.DID}
	var err error
	if data.Waiting, data.MoreWaiting, err = s.waiting(v); err != nil {
		return err
	}
	if data.Late, err = s.late(v); err != nil {
		return err
	}
	sets, next, _, err := s.Catalog.All(ctx, p, "", latest)
	if err != nil {
		return err
	}
	data.MoreDatasets = next != ""
	for _, d := range sets {
		shown := datasetRow{Newer: v.newer(d.Newer), ID: d.ID, Title: d.Title, Description: d.Description, Formats: d.Formats, Updated: d.Updated}
		for _, o := range d.Offers {
			shown.Terms = append(shown.Terms, v.terms(o.Policy)...)
		}
		data.Datasets = append(data.Datasets, shown)
	}
	agreed, next, err := s.Agreements.List(ctx, p, "", latest)
	if err != nil {
		return err
	}
	data.MoreAgreements = next != ""
	for _, a := range agreed {
		data.Agreements = append(data.Agreements, v.agreed(a))
	}
	talks, more1, err := s.Negotiations.List(ctx, p, negotiation.Filter{}, "", latest)
	if err != nil {
		return err
	}
	moves, more2, err := s.Transfers.List(ctx, p, transfer.Filter{}, "", latest)
	if err != nil {
		return err
	}
	for _, q := range talks {
		data.Exchanges = append(data.Exchanges, v.negotiated(q))
	}
	for _, q := range moves {
		data.Exchanges = append(data.Exchanges, v.transferred(q))
	}
	slices.SortStableFunc(data.Exchanges, func(a, b row) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID))
	})
	data.MoreExchanges = more1 != "" || more2 != "" || len(data.Exchanges) > latest
	if len(data.Exchanges) > latest {
		data.Exchanges = data.Exchanges[:latest]
	}
	return s.write(v, http.StatusOK, "home", data)
}

// terms are rules in sentences. Rules that this program cannot read are shown
// as they are, never left out.
func (v *visit) terms(raw strictjson.Raw) []string {
	p, err := odrl.Parse(raw)
	if err != nil {
		return []string{string(raw)}
	}
	return odrl.Describe(p, v.Lang())
}

// newer is the note on what a newer program wrote.
func (v *visit) newer(is bool) string {
	if is {
		return v.T("portal.newer")
	}
	return ""
}

func (v *visit) agreed(a agreement.Agreement) agreementRow {
	return agreementRow{Newer: v.newer(a.Newer), ID: a.ID, URL: "/agreements/" + url.PathEscape(a.ID), Dataset: a.Dataset, Counterparty: a.Counterparty,
		Role: v.role(string(a.Role)), Signed: a.Signed, Over: !a.Ended.IsZero()}
}

func (v *visit) negotiated(q negotiation.Process) row {
	return row{Newer: v.newer(q.Newer()), ID: q.ID, URL: "/exchanges/" + url.PathEscape(q.ID), What: v.T("portal.negotiation"), Dataset: q.Dataset,
		Counterparty: q.Counterparty, Role: v.role(string(q.Role)), State: v.state(string(q.State)), Code: q.Code, Reason: q.Reason,
		Done: q.State == negotiation.Finalized, Failed: q.State == negotiation.Terminated, Created: q.Created}
}

func (v *visit) transferred(q transfer.Process) row {
	return row{Newer: v.newer(q.Newer()), ID: q.ID, URL: "/exchanges/" + url.PathEscape(q.ID), What: v.T("portal.transfer"), Dataset: q.Dataset,
		Counterparty: q.Counterparty, Role: v.role(string(q.Role)), State: v.state(string(q.State)), Code: q.Code, Reason: q.Reason,
		Done: q.State == transfer.Completed, Failed: q.State == transfer.Terminated, Created: q.Created}
}

// state names a state of the protocol; one that has no name here is shown as it is.
func (v *visit) state(s string) string {
	if s == "" {
		return v.T("portal.state.none")
	}
	return v.named(v.T("portal.state."+strings.ToLower(s)), "portal.state.", s)
}

func (v *visit) role(s string) string {
	return v.named(v.T("portal.role."+s), "portal.role.", s)
}

// named is the text that was found for a name, or the name where there is none.
func (v *visit) named(found, prefix, name string) string {
	if strings.HasPrefix(found, prefix) {
		return name
	}
	return found
}
