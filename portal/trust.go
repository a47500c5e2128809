package portal

import (
	"net/http"
	"strings"
	"time"

	"kakehashi/account"
	"kakehashi/dcp"
	"kakehashi/internal/fault"
	"kakehashi/ui/page"
)

// credentialRow is one of our own credentials, or one that a counterpart showed.
type credentialRow struct {
	Type, Issuer, Counterparty, With, Basis, Problem string
	Until                                            time.Time
}

// requestRow is what a holder asked us for.
type requestRow struct {
	ID, Holder, Types, State, Reason string
	Waits                            bool
	Created                          time.Time
}

// issuerRow is an issuer that is trusted by name.
type issuerRow struct{ DID, Types, Region string }

// listRow is a trust list.
type listRow struct {
	Name, State, Key, Problem string
	Version                   int64
	NextUpdate                time.Time
	Entries                   []issuerRow
	Recognised                []string
	Expired                   bool
}

// issuedRow is a credential that we issued.
type issuedRow struct {
	ID, Type, Holder, State, Reason string
	Revoked                         bool
	At, Until                       time.Time
}

type trustPage struct {
	page.Frame
	Own, Shown []credentialRow
	Requests   []requestRow
	Issuers    []issuerRow
	Lists      []listRow
	Issued     []issuedRow
}

// trust shows our own credentials, what holders asked us for, whom we believe and
// what counterparts have shown.
func (s *portal) trust(v *visit) error {
	ctx, p := v.r.Context(), v.own.ID
	data := trustPage{Frame: v.frame(v.T("portal.trust"))}
	own, err := s.Wallet.Credentials(ctx, p)
	if err != nil {
		return err
	}
	problems, err := s.Wallet.Problems(ctx, p)
	if err != nil {
		return err
	}
	shares := s.Wallet.Shares(p)
	for _, c := range own {
		var with []string
		for _, x := range shares {
			for _, t := range c.Types {
				switch {
				case x.Type == t && x.Counterparty == "":
					with = append(with, v.T("trust.everybody"))
				case x.Type == t:
					with = append(with, x.Counterparty)
				}
			}
		}
		row := credentialRow{Type: kindOf(c.Types), Issuer: c.Issuer, With: strings.Join(with, ", "), Until: c.Until}
		if why := problems[c.Digest]; why != nil {
			row.Problem = fault.Of(why).What(v.Lang())
		}
		data.Own = append(data.Own, row)
	}
	for _, c := range s.Trust.Shown(p) {
		row := credentialRow{Counterparty: c.Counterparty, Type: c.Type(), Issuer: c.Issuer, Basis: c.Basis.In(v.Lang()), Until: c.ValidUntil}
		if c.Err != nil {
			row.Problem = fault.Of(c.Err).What(v.Lang())
		}
		data.Shown = append(data.Shown, row)
	}
	asked, err := s.Issuer.Requests(ctx, p)
	if err != nil {
		return err
	}
	for _, q := range asked {
		data.Requests = append(data.Requests, requestRow{ID: q.ID, Holder: q.Holder, Types: strings.Join(q.Types, ", "), State: v.named(v.T("portal.issuance."+string(q.State)), "portal.issuance.", string(q.State)),
			Reason: q.Reason, Waits: q.State == dcp.Received, Created: q.Created})
	}
	for _, i := range s.Trust.Issuers(p) {
		data.Issuers = append(data.Issuers, issuerRow{i.DID, strings.Join(i.Types, ", "), i.Region})
	}
	for _, a := range s.Trust.Anchors(p) {
		state := string(a.State(s.Now()))
		row := listRow{Name: a.Name, State: v.T("portal.list." + state), Key: a.Signer, Problem: a.Problem, Expired: state == "expired"}
		if a.List != nil {
			row.Version, row.NextUpdate = a.List.Version, a.List.NextUpdate
			for _, e := range a.List.Issuers {
				row.Entries = append(row.Entries, issuerRow{e.DID, strings.Join(e.Types, ", "), e.Region})
			}
			for _, r := range a.List.Recognitions {
				row.Recognised = append(row.Recognised, v.T("portal.recognised", "type", r.Type, "list", r.List, "as", r.As))
			}
		}
		data.Lists = append(data.Lists, row)
	}
	issued, err := s.Issuer.Issued(ctx, p)
	if err != nil {
		return err
	}
	for _, i := range issued {
		data.Issued = append(data.Issued, issuedRow{ID: i.ID, Type: i.Type, Holder: i.Holder, State: v.T("portal.issued." + i.State), Reason: i.Reason,
			Revoked: i.State == "revoked", At: i.At, Until: i.Until})
	}
	return s.write(v, http.StatusOK, "trust", data)
}

func kindOf(types []string) string {
	for _, t := range types {
		if t != "VerifiableCredential" {
			return t
		}
	}
	return strings.Join(types, " ")
}

// decideIssuance approves or rejects a holder's request.
func (s *portal) decideIssuance(v *visit) error {
	if err := v.who.May(account.Admin); err != nil {
		return err
	}
	if err := form(v.w, v.r); err != nil {
		return err
	}
	act := v.r.PostForm.Get("act")
	if act != "approve" && act != "reject" {
		return fault.FormUnreadable.At("act")
	}
	if err := s.Issuer.Decide(v.r.Context(), v.own.ID, v.r.PostForm.Get("id"), act == "approve", v.r.PostForm.Get("reason")); err != nil {
		return err
	}
	http.Redirect(v.w, v.r, "/trust#requests", http.StatusSeeOther)
	return nil
}

// revokeIssued revokes a credential that we issued.
func (s *portal) revokeIssued(v *visit) error {
	if err := v.who.May(account.Admin); err != nil {
		return err
	}
	if err := form(v.w, v.r); err != nil {
		return err
	}
	if err := s.Issuer.Mark(v.r.Context(), v.own.ID, v.r.PostForm.Get("id"), "revoked", v.r.PostForm.Get("reason")); err != nil {
		return err
	}
	http.Redirect(v.w, v.r, "/trust#issued", http.StatusSeeOther)
	return nil
}
