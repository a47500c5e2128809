package dsphttp

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	dsp "kakehashi/dsp/dsp2025"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/partner"
)

// Bounds of reading a catalogue in one call.
const (
	maxCatalog  = 16 << 20 // bytes of a page, not compressed
	maxPages    = 1000
	maxListed   = 10_000
	maxNested   = 8         // catalogues in each other
	rememberOf  = 256 << 10 // bytes of a page that is remembered at most
	remembering = 64        // pages
)

// asked names a page as one participant asks for it.
type asked struct {
	p        participant.ID
	who, url string
	digest   string // of the request
}

// page is one answer as it was read; it is never changed.
type page struct {
	dsp.Catalog
	next, previous string // whole addresses, "" for none
	tag            string
}

// Catalog reads what a provider shows us, page after page, as far as w wants. A
// page that has not changed since it was last read is not sent again. A chain of
// pages that comes back to itself ends there, with what was read and Cut; a
// further page on another host is fault.AnswerNotUnderstood.
func (c *Client) Catalog(ctx context.Context, p participant.ID, who partner.Partner, w partner.Want) (partner.Shown, error) {
	m := &dsp.CatalogRequest{}
	if len(w.Filter.Criteria) > 0 || w.Filter.SortField != "" || w.Filter.Offset > 0 || w.Filter.Limit > 0 {
		var err error
		if m.Filter, err = w.Filter.Filter(); err != nil {
			return partner.Shown{}, err
		}
	}
	body, err := dsp.Marshal(m)
	if err != nil {
		return partner.Shown{}, err
	}
	limit := w.Limit
	if limit <= 0 || limit > maxListed {
		limit = maxListed
	}
	at, skip := w.From.URL, max(w.From.Skip, 0)
	if at == "" {
		at = who.Base + dsp.PathCatalogRequest
	} else if !sameOrigin(who.Base, at) {
		return partner.Shown{}, fault.AnswerNotUnderstood.At(at, "partner", who.DID, "reason", "the next page lies on another host")
	}
	var out partner.Shown
	been := map[string]bool{}
	for n := 0; ; n++ {
		been[at] = true
		got, err := c.page(ctx, p, who, at, body)
		if err != nil {
			return out, err
		}
		out.Participant = got.ParticipantID
		var part partner.Shown
		list(&part, got.Catalog, who.Base, "", 0)
		for _, d := range part.Datasets {
			if d.Base == "" {
				c.shown.Put(showing{p, who.Base, d.ID}, shown{d.Dataset, c.c.Now()})
			}
		}
		switch {
		case n > 0:
		case skip > 0:
			out.Previous = &partner.Place{URL: at}
		case got.previous != "" && sameOrigin(who.Base, got.previous):
			out.Previous = &partner.Place{URL: got.previous}
		}
		if skip == 0 {
			out.Further = append(out.Further, part.Further...)
		}
		rest := part.Datasets[min(skip, len(part.Datasets)):]
		take := min(len(rest), limit-len(out.Datasets))
		out.Datasets = append(out.Datasets, rest[:take]...)
		switch {
		case take < len(rest):
			out.Next = &partner.Place{URL: at, Skip: skip + take}
			return out, nil
		case got.next == "":
			return out, nil
		case been[got.next]:
			out.Cut = got.next
			return out, nil
		case !sameOrigin(who.Base, got.next):
			return out, fault.AnswerNotUnderstood.At(got.next, "partner", who.DID, "reason", "the next page lies on another host")
		case len(out.Datasets) >= limit || n+1 >= maxPages:
			out.Next = &partner.Place{URL: got.next}
			return out, nil
		}
		at, skip = got.next, 0
	}
}

// page asks for one page, with the tag of what is remembered of it.
func (c *Client) page(ctx context.Context, p participant.ID, who partner.Partner, at string, body []byte) (page, error) {
	key := asked{p: p, who: who.DID, url: at, digest: evidence.Digest(body)}
	headers := []string{"Accept-Encoding", "gzip"}
	old, held := c.pages.Get(key)
	if held {
		headers = append(headers, "If-None-Match", old.tag)
	}
	status, reply, header, err := c.do(ctx, p, who.DID, http.MethodPost, at, "CatalogRequestMessage", body, maxCatalog, headers...)
	switch {
	case err != nil:
		return page{}, err
	case status == http.StatusNotModified && held:
		return old, nil
	case status != http.StatusOK:
		return page{}, refusal(who.DID, status, reply)
	}
	got := page{tag: header.Get("ETag")}
	if got.Catalog, err = dsp.Decode[dsp.Catalog](reply); err != nil {
		return page{}, notUnderstood(who.DID, at, fault.Of(err).What("en"), err)
	}
	if got.next, err = linked(at, header.Values("Link"), "next"); err != nil {
		return page{}, notUnderstood(who.DID, at, err.Error(), err)
	}
	if got.previous, err = linked(at, header.Values("Link"), "previous", "prev"); err != nil {
		got.previous = "" // nobody goes there unasked
	}
	if got.tag != "" && len(got.tag) <= 256 && len(reply) <= rememberOf {
		c.pages.Put(key, got)
	} else if held {
		c.pages.Forget(key)
	}
	return got, nil
}

func notUnderstood(who, at, reason string, err error) error {
	return fault.AnswerNotUnderstood.At(at, "partner", who, "reason", reason).Because(err)
}

// list puts together what a catalogue and those inside it hold. A dataset
// belongs to the service of its distribution, else to that of its catalogue; a
// catalogue that has nothing but an address is a pointer.
func list(out *partner.Shown, c dsp.Catalog, own, above string, depth int) {
	base := above
	if len(c.Service) > 0 && depth > 0 {
		base = c.Service[0].EndpointURL
	}
	for _, d := range c.Dataset {
		l := partner.Listing{Dataset: d, Base: base}
		for _, x := range d.Distribution {
			if at := c.Endpoint(x); at != "" {
				l.Base = at
				break
			}
		}
		if strings.TrimRight(l.Base, "/") == strings.TrimRight(own, "/") {
			l.Base = ""
		}
		out.Datasets = append(out.Datasets, l)
	}
	for _, n := range c.Catalog {
		if len(n.Dataset) == 0 && len(n.Catalog) == 0 {
			if at := address(c, n); at != "" {
				out.Further = append(out.Further, partner.Pointer{ID: n.ID, Title: dsp.Text(n.Title), Address: at})
			}
			continue
		}
		if depth < maxNested {
			list(out, n, own, base, depth+1)
		}
	}
}

// address is where a nested catalogue can be asked for: the service of its
// distribution, which its own or the outer catalogue names, else its service.
func address(outer, n dsp.Catalog) string {
	first := slices.IndexFunc(n.Distribution, func(d dsp.Distribution) bool { return d.Format == dsp.FormatCatalog })
	for _, d := range n.Distribution[max(first, 0):] {
		if at := n.Endpoint(d); at != "" {
			return at
		}
		if at := outer.Endpoint(d); at != "" {
			return at
		}
	}
	if len(n.Service) > 0 {
		return n.Service[0].EndpointURL
	}
	return ""
}

// Dataset asks a provider for one dataset; what it showed in the last 10 s is
// believed.
func (c *Client) Dataset(ctx context.Context, p participant.ID, who partner.Partner, id string) (dsp.Dataset, error) {
	if s, ok := c.shown.Get(showing{p, who.Base, id}); ok && c.c.Now().Sub(s.at) < believed {
		return s.Dataset, nil
	}
	at := who.Base + dsp.PathDatasets + url.PathEscape(id)
	status, reply, _, err := c.do(ctx, p, who.DID, http.MethodGet, at, "dataset", nil, maxReply, "Accept-Encoding", "gzip")
	if err != nil {
		return dsp.Dataset{}, err
	}
	if status == http.StatusNotFound {
		return dsp.Dataset{}, fault.NotFound.At(at, "what", id)
	}
	if status != http.StatusOK {
		return dsp.Dataset{}, refusal(who.DID, status, reply)
	}
	d, err := dsp.Decode[dsp.Dataset](reply)
	if err != nil {
		return d, notUnderstood(who.DID, at, fault.Of(err).What("en"), err)
	}
	c.shown.Put(showing{p, who.Base, id}, shown{d, c.c.Now()})
	return d, nil
}
