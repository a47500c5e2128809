package api

import (
	"bytes"
	"context"
	"io"

	"github.com/danielgtaylor/huma/v2"

	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/participant"
	"kakehashi/transfer"
)

// streams registers what is no JSON: bundles, anchors.
func (s *server) streams(api huma.API) {
	stream(s, api, "/evidence/bundle", "evidence-bundle", "The evidence of an agreement, as a .kh-evidence.zip", "application/zip", s.bundle)
	stream(s, api, "/evidence/anchors", "evidence-anchors", "Trust lines of this participant, for whoever verifies its evidence", "text/plain; charset=utf-8", s.anchors)
}

type streamed struct {
	Agreement string `query:"agreement" maxLength:"2048" doc:"Of the bundle"`
}

// stream registers one operation whose body is prepared by f, so that an error
// is still an error, and then written.
func stream[I any](s *server, api huma.API, path, id, summary, contentType string,
	f func(context.Context, participant.ID, *I) (func(io.Writer, func()) error, error),
) {
	huma.Register(api, huma.Operation{Method: "GET", Path: path, OperationID: id, Summary: summary,
		Responses: map[string]*huma.Response{"200": {Description: summary, Content: map[string]*huma.MediaType{contentType: {}}}},
	}, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		p, err := Caller(ctx)
		if err != nil {
			return nil, err
		}
		write, err := f(ctx, p, in)
		if err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			hc.SetHeader("Content-Type", contentType)
			hc.SetHeader("Cache-Control", "no-store")
			w := hc.BodyWriter()
			flush := func() {}
			if fl, ok := w.(interface{ Flush() }); ok {
				flush = fl.Flush
			}
			if err := write(w, flush); err != nil && ctx.Err() == nil {
				s.Log.WarnContext(ctx, "stream ended", "participant", string(p), "path", path, "err", err)
			}
		}}, nil
	})
}

// bundle exports an agreement with its negotiation and its transfers.
func (s *server) bundle(ctx context.Context, p participant.ID, in *streamed) (func(io.Writer, func()) error, error) {
	a, err := s.Agreements.Get(ctx, p, in.Agreement)
	if err != nil {
		return nil, err
	}
	sel := evidence.Selection{Agreement: a.ID, Processes: []string{a.ID, a.Negotiation}, ShowSecrets: true, Keys: map[string][]byte{}}
	for cursor, more := "", true; more; more = cursor != "" {
		var items []transfer.Process
		items, cursor, err = s.Transfers.List(ctx, p, transfer.Filter{Agreement: a.ID}, cursor, 500)
		if err != nil {
			return nil, err
		}
		for _, t := range items {
			sel.Processes = append(sel.Processes, t.ID)
			sel.ShowSecrets = sel.ShowSecrets && t.State.Final()
		}
	}
	doc, err := identity.Document(s.Participants, p)
	if err != nil {
		return nil, err
	}
	if sel.Keys["did.json"], err = doc.Encode(); err != nil {
		return nil, err
	}
	// Whole before the first byte: a fault must not look like a short bundle.
	var buf bytes.Buffer
	if err := s.Evidence.Export(ctx, p, &buf, sel); err != nil {
		return nil, err
	}
	return func(w io.Writer, _ func()) error { _, err := buf.WriteTo(w); return err }, nil
}

func (s *server) anchors(_ context.Context, p participant.ID, _ *streamed) (func(io.Writer, func()) error, error) {
	text, err := s.Evidence.Trust(p)
	return func(w io.Writer, _ func()) error { _, err := io.WriteString(w, text); return err }, err
}
