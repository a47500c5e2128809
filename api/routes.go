package api

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"kakehashi/agreement"
	"kakehashi/catalog"
	"kakehashi/client"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/odrl"
	"kakehashi/participant"
	"kakehashi/partner"
	"kakehashi/store"
	"kakehashi/transfer"
)

// maxWait bounds how long a read waits for a state.
const maxWait = 60 * time.Second

type out[T any] struct{ Body T }

type none struct{}

// Parts of inputs are exported, since huma passes over what is not.

// Lang is the language of terms and errors in an answer.
type Lang struct {
	Accept string `header:"Accept-Language"`
}

func (l Lang) in() string { return language(l.Accept) }

type page struct {
	Lang
	Cursor string `query:"cursor" doc:"next of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
}

// first counts for the first page; to count again for each would cost more than
// the page does.
func first(ctx context.Context, p participant.ID, in *page, count func(context.Context, participant.ID) (int, error)) (int, error) {
	if in.Cursor != "" {
		return 0, nil
	}
	return count(ctx, p)
}

// ByID names one thing in the path.
type ByID struct {
	Lang
	ID string `path:"id" maxLength:"2048"`
}

type awaited struct {
	ByID
	Wait  string `query:"wait" doc:"How long to wait for a state, such as 20s; at most 60s"`
	Until string `query:"until" doc:"States to wait for, separated by commas; a final state always ends the wait"`
}

type keyed[T any] struct {
	Lang
	Key  string `header:"Idempotency-Key" maxLength:"200" doc:"The same key has one effect"`
	Body T
}

type reasoned struct {
	ByID
	Body client.Reason
}

// handle registers one operation; f gets the participant that the token names.
func handle[I, O any](api huma.API, method, path, id, summary string, f func(context.Context, participant.ID, *I) (O, error)) {
	huma.Register(api, huma.Operation{Method: method, Path: path, OperationID: id, Summary: summary, Errors: []int{400, 401, 403, 404}},
		func(ctx context.Context, in *I) (*out[O], error) {
			p, err := Caller(ctx)
			if err != nil {
				return nil, err
			}
			body, err := f(ctx, p, in)
			if err != nil {
				return nil, err
			}
			return &out[O]{body}, nil
		})
}

func (s *server) routes(api huma.API) {
	handle(api, "GET", "/node", "node", "Who this token speaks for", s.node)
	handle(api, "GET", "/datasets", "list-datasets", "What this participant offers", s.datasets)
	handle(api, "DELETE", "/datasets/{id}", "withdraw-dataset", "End the offering of a dataset", s.withdraw)
	handle(api, "GET", "/partners", "list-partners", "Counterparts that this node knows", s.partners)
	handle(api, "POST", "/partners", "fix-partner", "Keep the address of a counterpart that announces itself nowhere", s.fixPartner)
	s.catalogues(api)
	s.negotiations(api)
	s.imports(api)
	handle(api, "GET", "/agreements", "list-agreements", "Agreements, newest first", s.agreements)
	handle(api, "GET", "/agreements/{id}", "agreement", "One agreement", s.agreement)
	handle(api, "GET", "/agreement-in-force", "agreement-in-force", "Under which agreement we may use a partner's dataset", s.inForce)
	handle(api, "POST", "/agreements/{id}/termination", "end-agreement", "End an agreement and the transfers under it", s.endAgreement)
	handle(api, "POST", "/transfers", "start-transfer", "Ask for the data of an agreement", s.startTransfer)
	handle(api, "GET", "/transfers", "list-transfers", "Transfers, newest first", s.listTransfers)
	handle(api, "GET", "/transfers/{id}", "transfer", "One transfer; may wait for a state", s.transfer)
	handle(api, "GET", "/transfers/{id}/access", "transfer-access", "Address and token of a started transfer", s.access)
	handle(api, "POST", "/transfers/{id}/decision", "decide-transfer", "Start or refuse a transfer that waits for us", s.decideTransfer)
	handle(api, "POST", "/transfers/{id}/completion", "complete-transfer", "Say that everything arrived", s.complete)
	handle(api, "POST", "/transfers/{id}/suspension", "suspend-transfer", "Stop the bytes until resumption", s.suspend)
	handle(api, "POST", "/transfers/{id}/resumption", "resume-transfer", "Let a suspended transfer go on", s.resume)
	handle(api, "POST", "/transfers/{id}/termination", "terminate-transfer", "End a transfer", s.terminateTransfer)
	handle(api, "GET", "/history", "history", "Timeline of a process", s.history)
	handle(api, "POST", "/portal-links", "portal-link", "A link that opens the portal once", s.portalLink)
	s.changes(api)
	s.work(api)
	s.streams(api)
}

func (s *server) node(_ context.Context, p participant.ID, _ *none) (client.Node, error) {
	who, ok := s.Participants.Get(p)
	if !ok {
		return client.Node{}, fault.NotFound.At(string(p), "what", string(p))
	}
	return client.Node{Participant: string(p), DID: who.DID, Title: s.Title, Base: who.Base, DataURL: who.DataURL,
		Version: s.Version, Checkpoint: string(s.Evidence.Checkpoint(p))}, nil
}

func (s *server) datasets(ctx context.Context, p participant.ID, in *page) (client.Datasets, error) {
	items, next, total, err := s.Catalog.All(ctx, p, in.Cursor, in.Limit)
	out := client.Datasets{Next: next, Total: total}
	for _, d := range items {
		out.Items = append(out.Items, ours(d, in.in()))
	}
	return out, err
}

func ours(d catalog.Dataset, lang string) client.Dataset {
	v := client.Dataset{ID: d.ID, Title: d.Title, Description: d.Description, Service: d.Service, Version: d.Version, Formats: d.Formats, Asking: string(d.Asking)}
	for _, o := range d.Offers {
		v.Offers = append(v.Offers, client.Offer{ID: o.ID, Policy: json.RawMessage(o.Policy), Terms: sentences(o.Policy, lang)})
	}
	return v
}

// sentences shows terms to people; terms that are not understood have none.
func sentences(policy []byte, lang string) []string {
	p, err := odrl.Parse(policy)
	if err != nil {
		return nil
	}
	return odrl.Describe(p, lang)
}

func (s *server) withdraw(ctx context.Context, p participant.ID, in *ByID) (none, error) {
	return none{}, s.DB.Update(ctx, func(tx store.Tx) error { return s.Catalog.Withdraw(tx, p, in.ID) })
}

func (s *server) partners(ctx context.Context, p participant.ID, _ *none) (client.Partners, error) {
	all, err := s.Partners.List(ctx, p)
	var out client.Partners
	for _, q := range all {
		out.Items = append(out.Items, client.Partner{DID: q.DID, Base: q.Base, Title: q.Title, Seen: q.Seen})
	}
	return out, err
}

type fixing struct {
	Lang
	Body client.FixPartner
}

func (s *server) fixPartner(ctx context.Context, p participant.ID, in *fixing) (client.Partner, error) {
	q, err := s.Partners.Fix(ctx, p, partner.Partner{DID: in.Body.ID, Base: in.Body.Base, Title: in.Body.Title})
	return client.Partner{DID: q.DID, Base: q.Base, Title: q.Title, Seen: q.Seen}, err
}

// Named names a partner.
type Named struct {
	Lang
	Partner string `query:"partner" required:"true" maxLength:"2048"`
}

func offerID(raw strictjson.Raw) string {
	var o struct {
		ID string `json:"@id"`
	}
	if strictjson.DecodeOpen(raw, &o) != nil {
		return ""
	}
	return o.ID
}

// waiting reads how long and for what a read waits; d is 0 for not at all.
func (in *awaited) waiting() (d time.Duration, until map[string]bool, err error) {
	if in.Wait == "" {
		return 0, nil, nil
	}
	d, err = time.ParseDuration(in.Wait)
	if err != nil || d < 0 || d > maxWait {
		return 0, nil, fault.BadMessage.At("wait", "reason", "a duration of at most "+maxWait.String()+" is expected")
	}
	until = map[string]bool{}
	for _, state := range strings.Split(in.Until, ",") {
		if state != "" { // the state before the first answer is never waited for
			until[state] = true
		}
	}
	return d, until, nil
}

func agreed(a agreement.Agreement, lang string) client.Agreement {
	return client.Agreement{ID: a.ID, Role: string(a.Role), Counterparty: a.Counterparty, Dataset: a.Dataset, Offer: a.Offer,
		Negotiation: a.Negotiation, Policy: json.RawMessage(a.Policy), Terms: sentences(a.Policy, lang), Signed: a.Signed, Ended: a.Ended, Reason: a.Why}
}

func (s *server) agreements(ctx context.Context, p participant.ID, in *page) (client.Agreements, error) {
	items, next, err := s.Agreements.List(ctx, p, in.Cursor, in.Limit)
	out := client.Agreements{Next: next}
	if err == nil {
		out.Total, err = first(ctx, p, in, s.Agreements.Count)
	}
	for _, a := range items {
		out.Items = append(out.Items, agreed(a, in.in()))
	}
	return out, err
}

func (s *server) agreement(ctx context.Context, p participant.ID, in *ByID) (client.Agreement, error) {
	a, err := s.Agreements.Get(ctx, p, in.ID)
	return agreed(a, in.in()), err
}

type between struct {
	Named
	Dataset string `query:"dataset" required:"true" maxLength:"2048"`
}

func (s *server) inForce(ctx context.Context, p participant.ID, in *between) (client.Agreement, error) {
	who, err := s.Partners.Resolve(ctx, p, in.Partner)
	if err != nil {
		return client.Agreement{}, err
	}
	a, err := s.Agreements.InForce(ctx, p, who.DID, in.Dataset)
	return agreed(a, in.in()), err
}

func (s *server) endAgreement(ctx context.Context, p participant.ID, in *reasoned) (client.Agreement, error) {
	if err := s.EndAgreement(ctx, p, in.ID, in.Body.Reason); err != nil {
		return client.Agreement{}, err
	}
	return s.agreement(ctx, p, &in.ByID)
}

func (s *server) startTransfer(ctx context.Context, p participant.ID, in *keyed[client.StartTransfer]) (client.Transfer, error) {
	a, err := s.Agreements.Get(ctx, p, in.Body.Agreement)
	if err != nil {
		return client.Transfer{}, err
	}
	who, err := s.Partners.Resolve(ctx, p, a.Counterparty)
	if err != nil {
		return client.Transfer{}, err
	}
	format := in.Body.Format
	if format == "" {
		format = "HttpData-PULL"
	}
	q, err := s.Transfers.Start(ctx, p, transfer.StartRequest{Key: in.Key, Agreement: a.ID, Base: who.Base, Format: format})
	return transferred(q), err
}

func transferred(q transfer.Process) client.Transfer {
	t := client.Transfer{ID: q.ID, Role: string(q.Role), Counterparty: q.Counterparty, PeerID: q.PeerPid, State: string(q.State),
		Agreement: q.Agreement, Dataset: q.Dataset, Format: q.As, Reason: q.Reason, Waits: q.Waits(), File: q.File, Created: q.Created, Updated: q.Updated}
	if q.Facts != nil {
		t.Bytes, t.Digest = q.Facts.Bytes, q.Facts.Digest
	}
	return t
}

func (s *server) listTransfers(ctx context.Context, p participant.ID, in *page) (client.Transfers, error) {
	items, next, err := s.Transfers.List(ctx, p, transfer.Filter{}, in.Cursor, in.Limit)
	out := client.Transfers{Next: next}
	if err == nil {
		out.Total, err = first(ctx, p, in, s.Transfers.Count)
	}
	for _, q := range items {
		out.Items = append(out.Items, transferred(q))
	}
	return out, err
}

func (s *server) transfer(ctx context.Context, p participant.ID, in *awaited) (client.Transfer, error) {
	d, until, err := in.waiting()
	if err != nil {
		return client.Transfer{}, err
	}
	q, err := s.Transfers.Get(ctx, p, in.ID)
	if err == nil && d > 0 {
		wait, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		q, err = s.Transfers.Await(wait, p, in.ID, func(q transfer.Process) bool { return q.State.Final() || until[string(q.State)] })
		if wait.Err() != nil && ctx.Err() == nil {
			err = nil
		}
	}
	return transferred(q), err
}

func (s *server) access(ctx context.Context, p participant.ID, in *ByID) (client.Access, error) {
	a, err := s.Transfers.Access(ctx, p, in.ID)
	authorization := a.Token
	if strings.EqualFold(a.AuthType, "bearer") {
		authorization = "Bearer " + a.Token
	}
	return client.Access{Endpoint: a.Endpoint, Authorization: authorization}, err
}

type completion struct {
	ByID
	Body client.Completion
}

func (s *server) complete(ctx context.Context, p participant.ID, in *completion) (client.Transfer, error) {
	q, err := s.Transfers.Complete(ctx, p, in.ID, transfer.Facts{Bytes: in.Body.Bytes, Digest: in.Body.Digest})
	return transferred(q), err
}

func (s *server) suspend(ctx context.Context, p participant.ID, in *reasoned) (client.Transfer, error) {
	q, err := s.Transfers.Suspend(ctx, p, in.ID, "suspended-by-user", in.Body.Reason)
	return transferred(q), err
}

func (s *server) resume(ctx context.Context, p participant.ID, in *ByID) (client.Transfer, error) {
	q, err := s.Transfers.Resume(ctx, p, in.ID)
	return transferred(q), err
}

func (s *server) terminateTransfer(ctx context.Context, p participant.ID, in *reasoned) (client.Transfer, error) {
	q, err := s.Transfers.Terminate(ctx, p, in.ID, "terminated-by-user", in.Body.Reason)
	return transferred(q), err
}

type ofProcess struct {
	Process string `query:"process" required:"true" maxLength:"2048"`
}

func (s *server) history(ctx context.Context, p participant.ID, in *ofProcess) (client.History, error) {
	items, err := s.Evidence.History(ctx, p, in.Process)
	if err != nil {
		return client.History{}, err
	}
	// What the data plane did for a transfer is told under the transfer.
	if t, err := s.Transfers.Get(ctx, p, in.Process); err == nil && t.Grant != "" {
		grant, err := s.Evidence.History(ctx, p, t.Grant)
		if err != nil {
			return client.History{}, err
		}
		items = append(items, grant...)
		slices.SortStableFunc(items, func(a, b evidence.Entry) int { return a.Time.Compare(b.Time) })
	}
	var out client.History
	for _, e := range items {
		out.Items = append(out.Items, client.Entry{ID: e.ID, Type: e.Type, Time: e.Time, Position: e.Position, Direction: e.Direction,
			Counterparty: e.Counterparty, Hashes: e.Hashes, Facts: e.Facts})
	}
	return out, nil
}

func (s *server) portalLink(ctx context.Context, p participant.ID, _ *none) (client.Link, error) {
	code, err := s.Accounts.NewLink(ctx, p)
	return client.Link{URL: s.Portal + "/login?code=" + code, Expires: s.Now().Add(10 * time.Minute).UTC()}, err
}
