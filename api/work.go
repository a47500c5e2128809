package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"kakehashi/client"
	"kakehashi/participant"
)

func (s *server) work(api huma.API) {
	handle(api, "GET", "/work", "list-work", "Messages and jobs that did not go through at the first try, oldest first", s.listWork)
	handle(api, "POST", "/work/{id}/retry", "retry-work", "Try one at once", s.retryWork)
	handle(api, "POST", "/work/{id}/end", "end-work", "Give one up and end its negotiation or transfer", s.endWork)
}

type lateOf struct {
	Lang
	Counterparty string `query:"counterparty" maxLength:"2048" doc:"What waits for this one only"`
}

func (s *server) listWork(ctx context.Context, p participant.ID, in *lateOf) (client.Works, error) {
	late, more, err := s.Outbox.Backlog(ctx, p, in.Counterparty)
	out := client.Works{Items: []client.Work{}, More: more}
	first := map[string]bool{}
	for _, j := range late {
		w := client.Work{ID: j.ID, Kind: j.Kind, Message: j.Message, Process: j.Process, Counterparty: j.Peer, State: "retrying",
			Attempts: j.Attempts, LastError: j.LastError, Since: j.Created.UTC()}
		switch {
		case j.Parked:
			w.State = "parked"
		case first[j.Lane]:
			w.State = "behind"
		default:
			w.Next = j.Due.UTC()
		}
		first[j.Lane] = true
		out.Items = append(out.Items, w)
	}
	return out, err
}

func (s *server) retryWork(ctx context.Context, p participant.ID, in *ByID) (none, error) {
	return none{}, s.Outbox.Retry(ctx, p, in.ID)
}

func (s *server) endWork(ctx context.Context, p participant.ID, in *ByID) (none, error) {
	return none{}, s.Outbox.End(ctx, p, in.ID)
}
