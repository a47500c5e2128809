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

// pageToken names the cursor of a page in an address.
const pageToken = "cursor"

// catalog answers a CatalogRequestMessage (DSP 2025-1, 5). The follow-up of a
// page is the address of a Link header, by POST or by GET; its token carries the
// filter, and that of the body no longer counts.
func (s *Server) catalog(c *call) {
	at, err := s.pageAsked(c)
	if err != nil {
		c.fail(s, err)
		return
	}
	if !s.recordRequest(c, "") {
		return
	}
	out, links, err := s.catalogPage(c, at)
	if err != nil {
		c.fail(s, err)
		return
	}
	for _, l := range links {
		c.w.Header().Add("Link", l)
	}
	s.writeTagged(c, out)
}

// pageAsked reads which part of the catalogue is asked for.
func (s *Server) pageAsked(c *call) (catalog.Cursor, error) {
	token := c.r.URL.Query().Get(pageToken)
	var m dsp.CatalogRequest
	if c.r.Method == http.MethodPost && (token == "" || len(c.body) > 0) {
		var err error
		if m, err = dsp.Decode[dsp.CatalogRequest](c.body); err != nil {
			return catalog.Cursor{}, err
		}
	}
	if token != "" {
		return catalog.ParseToken(token)
	}
	q, err := dsp.ReadQuerySpec(m.Filter)
	if err != nil {
		return catalog.Cursor{}, err
	}
	return queryOf(q)
}

func queryOf(q dsp.QuerySpec) (catalog.Cursor, error) {
	at := catalog.Cursor{Query: catalog.Query{Offset: q.Offset, Limit: q.Limit, Desc: q.Desc}}
	if q.SortField != "" {
		switch member, _ := catalog.Member(q.SortField); member {
		case "id":
		case "title":
			at.Query.ByTitle = true
		default:
			return at, fault.CatalogFilter.At("/filter/0/sortField", "reason", "datasets are sorted by id or by title")
		}
	}
	for _, x := range q.Criteria {
		at.Query.Where = append(at.Query.Where, catalog.Criterion{Member: x.Left, Operator: x.Operator, Values: x.Right, Number: x.Number})
	}
	return at, nil
}

// catalogPage makes one page with the Link headers to its neighbours. Further
// catalogues are on the first page of what is not picked out.
func (s *Server) catalogPage(c *call, at catalog.Cursor) (*dsp.Catalog, []string, error) {
	page, err := s.c.Catalog.Page(c.r.Context(), c.p.ID, c.caller.ID, at)
	if err != nil {
		return nil, nil, err
	}
	service := dsp.DataService{ID: c.p.Base, EndpointURL: c.p.Base}
	out := &dsp.Catalog{ID: c.p.Base + "/catalog", ParticipantID: c.p.DID, Service: []dsp.DataService{service}}
	for _, d := range page.Datasets {
		wire, err := datasetOf(d, service.ID)
		if err != nil {
			return nil, nil, err
		}
		out.Dataset = append(out.Dataset, wire)
	}
	if page.Previous == nil && len(at.Query.Where) == 0 {
		if out.Catalog, err = s.further(c); err != nil {
			return nil, nil, err
		}
	}
	var links []string
	for _, l := range []struct {
		to   *catalog.Cursor
		rels []string
	}{{page.Next, []string{"next"}}, {page.Previous, []string{"previous", "prev"}}} { // EDC knows prev only
		if l.to == nil {
			continue
		}
		token, err := l.to.Token()
		if err != nil {
			return nil, nil, err
		}
		for _, rel := range l.rels {
			links = append(links, "<"+c.p.Base+dsp.PathCatalogRequest+"?"+pageToken+"="+token+`>; rel="`+rel+`"`)
		}
	}
	return out, links, nil
}

// further are the catalogues that a participant points to: each with the service
// that answers for it and a distribution that says so (DSP 2025-1, 5).
func (s *Server) further(c *call) ([]dsp.Catalog, error) {
	all, err := s.c.Catalog.Further(c.r.Context(), c.p.ID)
	if err != nil {
		return nil, err
	}
	var out []dsp.Catalog
	for _, f := range all {
		title, err := strictjson.Encode(f.Title)
		if err != nil {
			return nil, err
		}
		id, err := strictjson.Encode(f.Endpoint)
		if err != nil {
			return nil, err
		}
		out = append(out, dsp.Catalog{ID: f.ID, Title: title,
			Service:      []dsp.DataService{{ID: f.Endpoint, EndpointURL: f.Endpoint}},
			Distribution: []dsp.Distribution{{Format: dsp.FormatCatalog, AccessService: id}}})
	}
	return out, nil
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
	s.writeTagged(c, &wire)
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
	if len(d.Meta) > 0 {
		if out.Further, err = strictjson.Encode(d.Meta); err != nil {
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
