package catalog

import (
	"context"
	"errors"
	"net/url"
	"time"

	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/participant"
	"kakehashi/store"
)

// maxFurther bounds the further catalogues of one participant: all of them go
// into one answer.
const maxFurther = 100

// Further is a catalogue of somebody else that a participant points to; it is
// shown inside the own one, and whoever wants it asks there.
type Further struct {
	ID       string
	Title    string
	Endpoint string // DSP base URL
	Added    time.Time
}

// AddFurther shows a further catalogue from now on. Its id is made here.
// fault.FurtherCatalog says what is wrong with it.
func (r *Room) AddFurther(tx store.Tx, p participant.ID, f Further) (Further, error) {
	refuse := func(at, reason string) error {
		return fault.FurtherCatalog.At(at, "title", clip(f.Title), "reason", reason)
	}
	u, err := url.Parse(f.Endpoint)
	switch {
	case f.Title == "":
		return f, refuse("/title", "it has no title")
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "" || len(f.Endpoint) > 2048:
		return f, refuse("/endpoint", "its address is no URL of a connector")
	}
	all, err := r.further(tx, p)
	if err != nil {
		return f, err
	}
	if len(all) >= maxFurther {
		return f, refuse("", "there are 100 already")
	}
	f.ID, f.Added = ids.New(), r.c.Now()
	if err := tx.Exec(`INSERT INTO catalog_further (participant, id, title, endpoint, added) VALUES ($1, $2, $3, $4, $5)`,
		string(p), f.ID, f.Title, f.Endpoint, f.Added.UnixMicro()); err != nil {
		return f, err
	}
	return f, r.c.Evidence.Append(tx, p, evidence.Leaf{Type: "kh.catalog.published", Process: f.ID, At: f.Added,
		Facts: map[string]string{"catalog": f.ID, "endpoint": f.Endpoint}})
}

// RemoveFurther ends that; fault.NotFound when there is none of that id.
func (r *Room) RemoveFurther(tx store.Tx, p participant.ID, id string) error {
	var was string
	err := tx.QueryRow(`DELETE FROM catalog_further WHERE participant = $1 AND id = $2 RETURNING endpoint`, string(p), id).Scan(&was)
	if errors.Is(err, store.ErrNotFound) {
		return fault.NotFound.At(id, "what", id)
	}
	if err != nil {
		return err
	}
	return r.c.Evidence.Append(tx, p, evidence.Leaf{Type: "kh.catalog.withdrawn", Process: id, At: r.c.Now(),
		Facts: map[string]string{"catalog": id, "endpoint": was}})
}

// Further lists the further catalogues, in the order in which they were added.
func (r *Room) Further(ctx context.Context, p participant.ID) (all []Further, err error) {
	err = r.c.DB.View(ctx, func(tx store.Tx) error {
		all, err = r.further(tx, p)
		return err
	})
	return all, err
}

func (r *Room) further(tx store.Tx, p participant.ID) ([]Further, error) {
	rows, err := tx.Query(`SELECT id, title, endpoint, added FROM catalog_further WHERE participant = $1 ORDER BY id`, string(p))
	if err != nil {
		return nil, err
	}
	var out []Further
	for rows.Next() {
		var f Further
		var added int64
		if err := rows.Scan(&f.ID, &f.Title, &f.Endpoint, &added); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		f.Added = time.UnixMicro(added).UTC()
		out = append(out, f)
	}
	return out, errors.Join(rows.Err(), rows.Close())
}
