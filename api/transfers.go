package api

import (
	"context"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"kakehashi/client"
	"kakehashi/participant"
	"kakehashi/transfer"
)

func (s *server) transfers(api huma.API) {
	handle(api, "POST", "/transfers", "start-transfer", "Ask for the data of an agreement", s.startTransfer)
	handle(api, "GET", "/transfers", "list-transfers", "Transfers, newest first", s.listTransfers)
	handle(api, "GET", "/transfers/{id}", "transfer", "One transfer; may wait for a state", s.transfer)
	handle(api, "GET", "/transfers/{id}/access", "transfer-access", "Address and token of a started transfer", s.access)
	handle(api, "POST", "/transfers/{id}/decision", "decide-transfer", "Start or refuse a transfer that waits for us", s.decideTransfer)
	handle(api, "POST", "/transfers/{id}/completion", "complete-transfer", "Say that everything arrived", s.complete)
	handle(api, "POST", "/transfers/{id}/suspension", "suspend-transfer", "Stop the bytes until resumption", s.suspend)
	handle(api, "POST", "/transfers/{id}/resumption", "resume-transfer", "Let a suspended transfer go on", s.resume)
	handle(api, "POST", "/transfers/{id}/termination", "terminate-transfer", "End a transfer", s.terminateTransfer)
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
		Agreement: q.Agreement, Dataset: q.Dataset, Format: q.As, Reason: q.Reason, Waits: q.Waits() && !q.Newer(), Newer: q.Newer(), File: q.File, Created: q.Created, Updated: q.Updated}
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

func (s *server) decideTransfer(ctx context.Context, p participant.ID, in *decided) (client.Transfer, error) {
	d, err := in.decision()
	if err != nil {
		return client.Transfer{}, err
	}
	q, err := s.Transfers.Decide(ctx, p, in.ID, in.Version, d)
	return transferred(q), err
}
