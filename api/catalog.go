package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"kakehashi/catalog"
	"kakehashi/client"
	dsp "kakehashi/dsp/dsp2025"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/participant"
	"kakehashi/partner"
	"kakehashi/store"
)

func (s *server) catalogues(api huma.API) {
	handle(api, "GET", "/partner-catalog", "partner-catalog", "Ask a partner for its catalogue, or for a part of it", s.partnerCatalog)
	handle(api, "GET", "/catalogs", "list-catalogs", "Further catalogues that are shown inside our own", s.catalogs)
	handle(api, "POST", "/catalogs", "add-catalog", "Show a further catalogue inside our own", s.addCatalog)
	handle(api, "DELETE", "/catalogs/{id}", "remove-catalog", "Show a further catalogue no longer", s.removeCatalog)
}

type picked struct {
	Named
	Filter []string `query:"filter,explode" maxItems:"20" doc:"MEMBER OP VALUE with = != ~= (contains, capitals aside) < <= > >= on id, title, description, format or a published member, such as title~=tide; all must hold"`
	Limit  int      `query:"limit" minimum:"1" maximum:"10000" default:"1000"`
	Cursor string   `query:"cursor" maxLength:"16384" doc:"next or previous of another part, with the same filter"`
}

func (s *server) partnerCatalog(ctx context.Context, p participant.ID, in *picked) (client.PartnerCatalog, error) {
	w := partner.Want{Limit: in.Limit}
	var err error
	for i, f := range in.Filter {
		c, ok := criterion(f)
		if !ok {
			return client.PartnerCatalog{}, fault.BadMessage.At("filter/"+strconv.Itoa(i), "reason", "MEMBER OP VALUE is expected, such as title~=tide")
		}
		w.Filter.Criteria = append(w.Filter.Criteria, c)
	}
	if w.From, err = place(in.Cursor); err != nil {
		return client.PartnerCatalog{}, err
	}
	who, err := s.Partners.Resolve(ctx, p, in.Partner)
	if err != nil {
		return client.PartnerCatalog{}, err
	}
	if w.Filter.Criteria != nil {
		w.Filter.Limit = min(in.Limit, catalog.MaxPage)
	}
	got, err := s.Catalogs.Catalog(ctx, p, who, w)
	if err != nil {
		return client.PartnerCatalog{}, err
	}
	out := client.PartnerCatalog{Partner: who.DID, Base: who.Base, Cut: got.Cut, Next: cursor(got.Next), Previous: cursor(got.Previous),
		Datasets: make([]client.Dataset, 0, len(got.Datasets))}
	if out.Partner == "" {
		out.Partner = got.Participant
	}
	for _, d := range got.Datasets {
		v := client.Dataset{ID: d.ID, Title: dsp.Text(d.Title), Description: dsp.Text(d.Description), Base: d.Base}
		for _, x := range d.Distribution {
			v.Formats = append(v.Formats, x.Format)
		}
		for _, o := range d.HasPolicy {
			v.Offers = append(v.Offers, client.Offer{ID: offerID(o), Policy: json.RawMessage(o), Terms: sentences(o, in.in())})
		}
		out.Datasets = append(out.Datasets, v)
	}
	for _, f := range got.Further {
		out.Further = append(out.Further, client.FurtherCatalog{ID: f.ID, Title: f.Title, Endpoint: f.Address})
	}
	return out, nil
}

// criterion reads what people write for a condition. A comparison with a number
// is one of numbers.
func criterion(s string) (dsp.Criterion, bool) {
	at := strings.IndexAny(s, "=<>~!")
	if at <= 0 {
		return dsp.Criterion{}, false
	}
	c := dsp.Criterion{Left: strings.TrimSpace(s[:at])}
	for _, op := range []string{"~=", "!=", "<=", ">=", "=", "<", ">"} {
		value, ok := strings.CutPrefix(s[at:], op)
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		if c.Operator = op; op == "~=" {
			c.Operator = "ilike"
			value = "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(value) + "%"
		} else if op[0] == '<' || op[0] == '>' {
			c.Number = strictjson.Raw(value).IsValid() && strictjson.Raw(value).Kind() == '0'
		}
		c.Right = []string{value}
		return c, c.Left != "" && value != ""
	}
	return c, false
}

// cursor writes a place in a partner's catalogue; it is a way on, not a secret.
func cursor(p *partner.Place) string {
	if p == nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(p.Skip) + " " + p.URL))
}

func place(cursor string) (partner.Place, error) {
	if cursor == "" {
		return partner.Place{}, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	skip, url, ok := strings.Cut(string(b), " ")
	n, wrong := strconv.Atoi(skip)
	if err != nil || wrong != nil || !ok || n < 0 || url == "" {
		return partner.Place{}, fault.BadMessage.At("cursor", "reason", "next of an answer before is expected")
	}
	return partner.Place{URL: url, Skip: n}, nil
}

func furtherOf(f catalog.Further) client.FurtherCatalog {
	return client.FurtherCatalog{ID: f.ID, Title: f.Title, Endpoint: f.Endpoint}
}

func (s *server) catalogs(ctx context.Context, p participant.ID, _ *none) (client.FurtherCatalogs, error) {
	all, err := s.Catalog.Further(ctx, p)
	out := client.FurtherCatalogs{Items: make([]client.FurtherCatalog, 0, len(all))}
	for _, f := range all {
		out.Items = append(out.Items, furtherOf(f))
	}
	return out, err
}

type adding struct {
	Lang
	Body client.AddCatalog
}

func (s *server) addCatalog(ctx context.Context, p participant.ID, in *adding) (client.FurtherCatalog, error) {
	var f catalog.Further
	err := s.DB.Update(ctx, func(tx store.Tx) (err error) {
		f, err = s.Catalog.AddFurther(tx, p, catalog.Further{Title: in.Body.Title, Endpoint: in.Body.Endpoint})
		return err
	})
	return furtherOf(f), err
}

func (s *server) removeCatalog(ctx context.Context, p participant.ID, in *ByID) (none, error) {
	return none{}, s.DB.Update(ctx, func(tx store.Tx) error { return s.Catalog.RemoveFurther(tx, p, in.ID) })
}
