package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/format"
	"kakehashi/internal/strictjson"
	"kakehashi/participant"
	"kakehashi/store"
)

func (r *Room) save(tx store.Tx, p participant.ID, d *Dataset, now time.Time) error {
	body, err := strictjson.Encode(kept{format.Mark(), *d})
	if err != nil {
		return err
	}
	err = tx.QueryRow(`INSERT INTO catalog_datasets (participant, id, service, version, title, withdrawn, body, updated)
		VALUES ($1, $2, $3, 1, $4, 0, $5, $6)
		ON CONFLICT (participant, id) DO UPDATE SET service = excluded.service, version = catalog_datasets.version + 1,
		  title = excluded.title, withdrawn = 0, body = excluded.body, updated = excluded.updated
		RETURNING version`,
		string(p), d.ID, d.Service, d.Title, body, now.UnixMicro()).Scan(&d.Version)
	if err != nil {
		return fmt.Errorf("keep dataset %s: %w", d.ID, err)
	}
	d.Updated = now
	old, err := r.loadOffers(tx, p, d.ID)
	if err != nil {
		return err
	}
	was := make(map[string]Offer, len(old))
	for _, o := range old {
		was[o.ID] = o
		tx.AfterCommit(func() { r.forget(offerKey{p, o.ID}) })
	}
	if err := tx.Exec(`UPDATE catalog_offers SET withdrawn = $3 WHERE participant = $1 AND dataset = $2 AND withdrawn = 0`,
		string(p), d.ID, now.UnixMicro()); err != nil {
		return err
	}
	for _, o := range d.Offers {
		if before, ok := was[o.ID]; ok { // the same offer of the next version
			if !bytes.Equal(before.Policy, o.Policy) {
				return fault.OfferExists.At("/offers", "offer", o.ID)
			}
			if err := tx.Exec(`UPDATE catalog_offers SET withdrawn = 0, version = $3 WHERE participant = $1 AND id = $2`,
				string(p), o.ID, d.Version); err != nil {
				return err
			}
			continue
		}
		// Asked for and not left to a conflict, which the unit would hear of too late.
		var id string
		err := tx.QueryRow(`INSERT INTO catalog_offers (participant, id, dataset, version, policy) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (participant, id) DO NOTHING RETURNING id`,
			string(p), o.ID, d.ID, d.Version, []byte(o.Policy)).Scan(&id)
		if errors.Is(err, store.ErrNotFound) {
			return fault.OfferExists.At("/offers", "offer", o.ID)
		}
		if err != nil {
			return fmt.Errorf("keep offer %s: %w", o.ID, err)
		}
	}
	return nil
}

func (r *Room) withdraw(tx store.Tx, p participant.ID, id string, now time.Time) error {
	if err := tx.Exec(`UPDATE catalog_datasets SET withdrawn = $3, updated = $3 WHERE participant = $1 AND id = $2`,
		string(p), id, now.UnixMicro()); err != nil {
		return err
	}
	return tx.Exec(`UPDATE catalog_offers SET withdrawn = $3 WHERE participant = $1 AND dataset = $2 AND withdrawn = 0`,
		string(p), id, now.UnixMicro())
}

func (r *Room) load(tx store.Tx, p participant.ID, id string) (Dataset, error) {
	var body []byte
	var version, withdrawn, updated int64
	err := tx.QueryRow(`SELECT version, withdrawn, body, updated FROM catalog_datasets WHERE participant = $1 AND id = $2`,
		string(p), id).Scan(&version, &withdrawn, &body, &updated)
	if errors.Is(err, store.ErrNotFound) {
		return Dataset{}, fault.NotFound.At(id, "what", id)
	}
	if err != nil {
		return Dataset{}, fmt.Errorf("read dataset %s: %w", id, err)
	}
	d, err := decode(id, version, withdrawn, body, updated)
	if err != nil {
		return d, err
	}
	r.alsoHTTP(&d)
	d.Offers, err = r.loadOffers(tx, p, id)
	return d, err
}

// kept is the body of a row.
type kept struct {
	Format int64 `json:"v,omitzero"`
	Dataset
}

func decode(id string, version, withdrawn int64, body []byte, updated int64) (Dataset, error) {
	if err := format.Look("dataset", id, body); err != nil {
		return Dataset{}, err
	}
	var k kept
	if err := strictjson.Decode(body, &k); err != nil {
		return k.Dataset, fmt.Errorf("read a kept dataset: %w", err)
	}
	d := k.Dataset
	d.Version = version
	d.Updated = time.UnixMicro(updated).UTC()
	if withdrawn != 0 {
		d.Withdrawn = time.UnixMicro(withdrawn).UTC()
	}
	return d, nil
}

func (r *Room) loadOffers(tx store.Tx, p participant.ID, dataset string) ([]Offer, error) {
	rows, err := tx.Query(`SELECT id, policy FROM catalog_offers WHERE participant = $1 AND dataset = $2 AND withdrawn = 0 ORDER BY id`,
		string(p), dataset)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Offer
	for rows.Next() {
		var o Offer
		var policy []byte
		if err := rows.Scan(&o.ID, &policy); err != nil {
			return nil, err
		}
		o.Policy = policy
		out = append(out, o)
	}
	return out, rows.Err()
}

func (r *Room) loadOffer(tx store.Tx, p participant.ID, id string) (Dataset, Offer, error) {
	o := Offer{ID: id}
	var dataset string
	var withdrawn, version int64
	var policy []byte
	err := tx.QueryRow(`SELECT dataset, version, policy, withdrawn FROM catalog_offers WHERE participant = $1 AND id = $2`,
		string(p), id).Scan(&dataset, &version, &policy, &withdrawn)
	if errors.Is(err, store.ErrNotFound) {
		return Dataset{}, o, fault.OfferUnknown.At("/offer/@id", "offer", id)
	}
	if err != nil {
		return Dataset{}, o, fmt.Errorf("read offer %s: %w", id, err)
	}
	o.Policy = policy
	d, err := r.load(tx, p, dataset)
	if err != nil {
		return d, o, err
	}
	if withdrawn != 0 {
		now := "-"
		if len(d.Offers) > 0 {
			now = d.Offers[0].ID
		}
		return d, o, fault.OfferWithdrawn.At("/offer/@id", "offer", id, "instead", now)
	}
	d.Version = version
	return d, o, nil
}

// list reads a page of what is offered, by id.
func (r *Room) list(tx store.Tx, p participant.ID, after string, limit int) ([]Dataset, error) {
	var from *key
	if after != "" {
		from = &key{ID: after}
	}
	rows, err := r.scan(tx, p, false, false, from, limit)
	if err != nil {
		return nil, err
	}
	out := make([]Dataset, 0, len(rows))
	for part := range slices.Chunk(rows, batchIDs) {
		ids := make([]string, len(part))
		for i := range part {
			ids[i] = part[i].id
		}
		offers, err := r.offersOf(tx, p, ids)
		if err != nil {
			return nil, err
		}
		for i := range part {
			row := &part[i]
			d, err := row.dataset(r)
			if _, newer := format.Of(err); newer {
				d, err = Dataset{ID: row.id, Title: row.title, Version: row.version, Updated: time.UnixMicro(row.updated).UTC(), Newer: true}, nil
			}
			if err != nil {
				return nil, err
			}
			d.Offers = offers[d.ID]
			out = append(out, d)
		}
	}
	return out, nil
}
