package api

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"kakehashi/agreement"
	"kakehashi/client"
	dsp "kakehashi/dsp/dsp2025"
	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/store"
)

func (s *server) imports(api huma.API) {
	handle(api, "POST", "/import", "import", "Take over agreements that are in force with partners", s.importAll)
}

type importing struct {
	Lang
	Body client.Import
}

// importAll keeps all that is new in one unit, or nothing.
func (s *server) importAll(ctx context.Context, p participant.ID, in *importing) (client.Imported, error) {
	var news []agreement.Agreement
	for i, a := range in.Body.Agreements {
		at := "/agreements/" + strconv.Itoa(i)
		b, err := s.taken(ctx, p, a, at)
		if err != nil {
			return client.Imported{}, err
		}
		news = append(news, b)
	}
	var done client.Imported
	err := s.DB.Update(ctx, func(tx store.Tx) error {
		done = client.Imported{}
		for _, a := range news {
			switch _, err := s.Agreements.GetTx(tx, p, a.ID); {
			case err == nil:
				continue
			case !errors.Is(err, fault.AgreementUnknown):
				return err
			}
			if err := s.Agreements.Conclude(tx, p, a); err != nil {
				return err
			}
			done.Agreements++
		}
		return nil
	})
	return done, err
}

// taken checks one agreement and writes it as it would have been on the wire. As
// provider we must have its dataset.
func (s *server) taken(ctx context.Context, p participant.ID, a client.ImportAgreement, at string) (agreement.Agreement, error) {
	self, ok := s.Participants.Get(p)
	if !ok {
		return agreement.Agreement{}, fault.NotFound.At(string(p), "what", string(p))
	}
	rules, err := rulesOf(a.Policy)
	if err != nil {
		return agreement.Agreement{}, err
	}
	out := agreement.Agreement{ID: a.ID, Role: agreement.Role(a.Role), Counterparty: a.Counterparty, Assigner: a.Counterparty, Assignee: self.DID,
		Dataset: a.Dataset, Offer: a.Offer, Policy: rules, Signed: a.Signed.UTC().Truncate(time.Second)}
	switch {
	case a.Signed.IsZero() || a.Signed.After(s.Now().Add(5*time.Minute)):
		return out, fault.BadMessage.At(at+"/signed", "reason", "the time of the agreement is missing or lies in the future")
	case out.Role == agreement.Provider:
		out.Assigner, out.Assignee = self.DID, a.Counterparty
		d, err := s.Catalog.Kept(ctx, p, a.Dataset)
		if err != nil {
			return out, err
		}
		out.DatasetVersion = d.Version
	}
	out.Body, err = dsp.Policy("Agreement", rules, [2]string{"@id", out.ID}, [2]string{"target", out.Dataset},
		[2]string{"assigner", out.Assigner}, [2]string{"assignee", out.Assignee}, [2]string{"timestamp", out.Signed.Format(time.RFC3339)})
	return out, err
}
