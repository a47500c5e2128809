package portal

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"kakehashi/account"
	"kakehashi/internal/fault"
	"kakehashi/outbox"
)

// maxShown is how many late messages of one counterpart are shown one by one.
const maxShown = 20

// lateRow is a message that did not get through.
type lateRow struct {
	ID, URL, Message, Note, Error string
	Since                         time.Time
	Parked                        bool
}

// lateGroup is what waits for one counterpart.
type lateGroup struct {
	Counterparty, Line string
	Since              time.Time
	Rows               []lateRow
	More               int
}

// late lists what did not get through, by counterpart.
func (s *portal) late(v *visit) ([]lateGroup, error) {
	jobs, _, err := s.Outbox.Backlog(v.r.Context(), v.own.ID, "")
	if err != nil {
		return nil, err
	}
	var groups []lateGroup
	counts, seen := map[string]int{}, map[string]bool{}
	for _, j := range jobs {
		at := slices.IndexFunc(groups, func(g lateGroup) bool { return g.Counterparty == j.Peer })
		if at < 0 {
			at = len(groups)
			groups = append(groups, lateGroup{Counterparty: j.Peer, Since: j.Created})
		}
		counts[j.Peer]++
		if g := &groups[at]; len(g.Rows) < maxShown {
			g.Rows = append(g.Rows, v.late(j, seen[j.Lane]))
		} else {
			g.More++
		}
		seen[j.Lane] = true
	}
	for i, g := range groups {
		groups[i].Line = v.T("portal.late.line", "n", strconv.Itoa(counts[g.Counterparty]), "partner", g.Counterparty)
	}
	return groups, nil
}

func (v *visit) late(j outbox.Late, behind bool) lateRow {
	r := lateRow{ID: j.ID, URL: "/exchanges/" + url.PathEscape(j.Process), Message: j.Message, Error: j.LastError, Since: j.Created, Parked: j.Parked}
	if r.Message == "" {
		r.Message = j.Kind
	}
	switch {
	case j.Parked:
		r.Note = v.T("portal.late.parked", "n", strconv.Itoa(j.Attempts))
	case behind:
		r.Note = v.T("portal.late.behind")
	default:
		r.Note = v.T("portal.late.retrying", "n", strconv.Itoa(j.Attempts))
	}
	return r
}

// settle retries or gives up one late message, or all that wait for a counterpart.
func (s *portal) settle(v *visit) error {
	if err := v.who.May(account.Admin); err != nil {
		return err
	}
	if err := form(v.w, v.r); err != nil {
		return err
	}
	ctx, p := v.r.Context(), v.own.ID
	act := s.Outbox.Retry
	switch v.r.PostForm.Get("act") {
	case "retry":
	case "end":
		act = s.Outbox.End
	default:
		return fault.FormUnreadable.At("act")
	}
	ids := v.r.PostForm["job"]
	if peer, all := v.r.PostForm["counterparty"]; all {
		jobs, _, err := s.Outbox.Backlog(ctx, p, peer[0])
		if err != nil {
			return err
		}
		for _, j := range jobs {
			if j.Peer == peer[0] { // "" asks for all
				ids = append(ids, j.ID)
			}
		}
	}
	for _, id := range ids {
		if err := act(ctx, p, id); err != nil && !errors.Is(err, fault.JobUnknown) { // else it got through meanwhile
			return err
		}
	}
	http.Redirect(v.w, v.r, "/", http.StatusSeeOther)
	return nil
}
