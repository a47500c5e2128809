package api

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"kakehashi/catalog"
	"kakehashi/client"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/odrl"
	"kakehashi/participant"
	"kakehashi/store"
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
	s.catalogues(api)
	s.partnerRoutes(api)
	s.trustRoutes(api)
	s.credentialRoutes(api)
	s.negotiations(api)
	s.agreementRoutes(api)
	s.transfers(api)
	s.imports(api)
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
	v := client.Dataset{ID: d.ID, Title: d.Title, Description: d.Description, Service: d.Service, Version: d.Version, Formats: d.Formats, Asking: string(d.Asking), Newer: d.Newer}
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
