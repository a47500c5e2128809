package dsphttp

import (
	"net/http"
	"net/url"
	"strings"

	"kakehashi/catalog"
	"kakehashi/did"
	dsp "kakehashi/dsp/dsp2025"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/store"
)

// pageSize is how many datasets one answer holds; the Link header leads on.
const pageSize = 100

// catalog answers a CatalogRequestMessage (DSP 2025-1, 5). The follow-up of a
// page is the same POST with the cursor in the query.
func (s *Server) catalog(c *call) {
	m, err := dsp.Decode[dsp.CatalogRequest](c.body)
	if err != nil {
		c.fail(s, err)
		return
	}
	if len(m.Filter) > 0 {
		c.fail(s, fault.CatalogFilter.At("/filter"))
		return
	}
	if !s.recordRequest(c, "") {
		return
	}
	page, next, err := s.c.Catalog.Visible(c.r.Context(), c.p.ID, c.caller.ID, c.r.URL.Query().Get("after"), pageSize)
	if err != nil {
		c.fail(s, err)
		return
	}
	service := dsp.DataService{ID: c.p.Base, EndpointURL: c.p.Base}
	out := dsp.Catalog{ID: c.p.Base + "/catalog", ParticipantID: c.p.DID, Service: []dsp.DataService{service}}
	for _, d := range page {
		wire, err := datasetOf(d, service.ID)
		if err != nil {
			c.fail(s, err)
			return
		}
		out.Dataset = append(out.Dataset, wire)
	}
	if next != "" {
		c.w.Header().Set("Link", "<"+c.p.Base+dsp.PathCatalogRequest+"?after="+url.QueryEscape(next)+`>; rel="next"`)
	}
	s.write(c, &out)
}

func (s *Server) dataset(c *call, id string) {
	if !s.recordRequest(c, id) {
		return
	}
	d, err := s.c.Catalog.Shown(c.r.Context(), c.p.ID, c.caller.ID, id)
	if err != nil {
		c.fail(s, err)
		return
	}
	wire, err := datasetOf(d, c.p.Base)
	if err != nil {
		c.fail(s, err)
		return
	}
	// By itself, a dataset holds its service, for there is no catalogue to look in.
	service, err := strictjson.Encode(dsp.DataService{ID: c.p.Base, Type: "DataService", EndpointURL: c.p.Base})
	if err != nil {
		c.fail(s, err)
		return
	}
	for i := range wire.Distribution {
		wire.Distribution[i].AccessService = service
	}
	s.write(c, &wire)
}

// recordRequest spends the token and puts on record who asked, in one unit.
func (s *Server) recordRequest(c *call, dataset string) bool {
	leaf := evidence.Leaf{Type: "kh.catalog.requested", Actor: c.caller.ID, Counterparty: c.caller.ID, Direction: evidence.In, At: s.c.Now()}
	if dataset != "" && len(dataset) <= 1024 {
		leaf.Facts = map[string]string{"dataset": dataset}
	}
	err := s.c.DB.Update(c.r.Context(), func(tx store.Tx) error {
		if err := s.c.Identity.Spend(tx, c.p.ID, c.caller); err != nil {
			return err
		}
		return s.c.Evidence.Append(tx, c.p.ID, leaf)
	})
	if err != nil {
		c.fail(s, err)
	}
	return err == nil
}

func (s *Server) write(c *call, m dsp.Message) {
	b, err := dsp.Marshal(m)
	if err != nil {
		c.fail(s, err)
		return
	}
	c.answer(s, http.StatusOK, b)
}

// datasetOf writes a dataset with its offers; an offer is the published rules
// with its id and type, and never a target (DSP 2025-1, 4).
func datasetOf(d catalog.Dataset, service string) (dsp.Dataset, error) {
	out := dsp.Dataset{ID: d.ID}
	var err error
	if out.Title, err = strictjson.Encode(d.Title); err != nil {
		return out, err
	}
	if d.Description != "" {
		if out.Description, err = strictjson.Encode(d.Description); err != nil {
			return out, err
		}
	}
	access, err := strictjson.Encode(service)
	if err != nil {
		return out, err
	}
	for _, f := range d.Formats {
		out.Distribution = append(out.Distribution, dsp.Distribution{Format: f, AccessService: access})
	}
	for _, o := range d.Offers {
		id, err := strictjson.Encode(o.ID)
		if err != nil {
			return out, err
		}
		b := append([]byte(`{"@type":"Offer","@id":`), id...)
		if rules := strings.TrimSpace(string(o.Policy)); len(rules) > 2 {
			b = append(append(b, ','), strings.TrimSpace(rules[1:])...)
		} else {
			b = append(b, '}')
		}
		out.HasPolicy = append(out.HasPolicy, b)
	}
	return out, nil
}

// documentPath is the path at which a did:web's document is asked for.
func documentPath(id string) (string, error) {
	at, err := did.WebURL(id, true)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(at)
	if err != nil {
		return "", err
	}
	return u.Path, nil
}
