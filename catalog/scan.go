package catalog

import (
	"errors"
	"fmt"
	"strings"

	"kakehashi/participant"
	"kakehashi/store"
)

// row is a dataset as it is kept; its body is read only where that is needed.
type row struct {
	id, title        string
	version, updated int64
	withdrawn        int64
	body             []byte
	decoded          *Dataset
}

func (r *row) key(byTitle bool) key {
	if byTitle {
		return key{Title: r.title, ID: r.id}
	}
	return key{ID: r.id}
}

func (r *row) dataset(room *Room) (Dataset, error) {
	d, err := r.read()
	if err != nil {
		return Dataset{}, err
	}
	out := *d
	room.alsoHTTP(&out)
	return out, nil
}

func (r *row) read() (*Dataset, error) {
	if r.decoded == nil {
		d, err := decode(r.id, r.version, r.withdrawn, r.body, r.updated)
		if err != nil {
			return nil, err
		}
		r.decoded = &d
	}
	return r.decoded, nil
}

func (r *row) member(name string) ([]string, error) {
	switch name {
	case "id":
		return []string{r.id}, nil
	case "title":
		return []string{r.title}, nil
	}
	d, err := r.read()
	if err != nil {
		return nil, err
	}
	switch name {
	case "format":
		return d.Formats, nil
	case "description":
		if d.Description != "" {
			return []string{d.Description}, nil
		}
	default:
		if v, ok := d.Meta[name]; ok {
			return []string{v}, nil
		}
	}
	return nil, nil
}

// The orders in which datasets are walked: by title or id, down or up, each with
// and without a place to begin after.
const (
	byID = `SELECT id, title, version, withdrawn, updated, body FROM catalog_datasets
		WHERE participant = $1 AND withdrawn = 0 ORDER BY id LIMIT $2`
	byIDAfter = `SELECT id, title, version, withdrawn, updated, body FROM catalog_datasets
		WHERE participant = $1 AND withdrawn = 0 AND id > $3 ORDER BY id LIMIT $2`
	byIDDown = `SELECT id, title, version, withdrawn, updated, body FROM catalog_datasets
		WHERE participant = $1 AND withdrawn = 0 ORDER BY id DESC LIMIT $2`
	byIDDownAfter = `SELECT id, title, version, withdrawn, updated, body FROM catalog_datasets
		WHERE participant = $1 AND withdrawn = 0 AND id < $3 ORDER BY id DESC LIMIT $2`
	byTitle = `SELECT id, title, version, withdrawn, updated, body FROM catalog_datasets
		WHERE participant = $1 AND withdrawn = 0 ORDER BY title, id LIMIT $2`
	byTitleAfter = `SELECT id, title, version, withdrawn, updated, body FROM catalog_datasets
		WHERE participant = $1 AND withdrawn = 0 AND (title, id) > ($4, $3) ORDER BY title, id LIMIT $2`
	byTitleDown = `SELECT id, title, version, withdrawn, updated, body FROM catalog_datasets
		WHERE participant = $1 AND withdrawn = 0 ORDER BY title DESC, id DESC LIMIT $2`
	byTitleDownAfter = `SELECT id, title, version, withdrawn, updated, body FROM catalog_datasets
		WHERE participant = $1 AND withdrawn = 0 AND (title, id) < ($4, $3) ORDER BY title DESC, id DESC LIMIT $2`
)

// scan reads the next n datasets on offer after a place.
func (r *Room) scan(tx store.Tx, p participant.ID, title, down bool, after *key, n int) ([]row, error) {
	query := byID
	switch {
	case title && down:
		query = byTitleDown
	case title:
		query = byTitle
	case down:
		query = byIDDown
	}
	args := []any{string(p), n}
	if after != nil {
		query = map[string]string{byID: byIDAfter, byIDDown: byIDDownAfter, byTitle: byTitleAfter, byTitleDown: byTitleDownAfter}[query]
		if args = append(args, after.ID); title {
			args = append(args, after.Title)
		}
	}
	return readRows(tx.Query(query, args...))
}

func readRows(rows store.Rows, err error) ([]row, error) {
	if err != nil {
		return nil, err
	}
	var out []row
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.title, &r.version, &r.withdrawn, &r.updated, &r.body); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		out = append(out, r)
	}
	return out, errors.Join(rows.Err(), rows.Close())
}

// batchIDs is how many ids one statement names; fewer are filled up with the
// last, so that there is one text to prepare.
const batchIDs = 128

var someIDs = placeholders(2, batchIDs)

func placeholders(from, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "$%d", from+i)
	}
	return b.String()
}

func batch(p participant.ID, ids []string) []any {
	args := make([]any, 0, batchIDs+1)
	args = append(args, string(p))
	for i := range batchIDs {
		args = append(args, ids[min(i, len(ids)-1)])
	}
	return args
}

// rowsOf reads the datasets on offer among up to batchIDs ids.
func (r *Room) rowsOf(tx store.Tx, p participant.ID, ids []string) ([]row, error) {
	return readRows(tx.Query(`SELECT id, title, version, withdrawn, updated, body FROM catalog_datasets
		WHERE participant = $1 AND withdrawn = 0 AND id IN (`+someIDs+`)`, batch(p, ids)...))
}

// offersOf reads the offers in force of up to batchIDs datasets, in the order of their ids.
func (r *Room) offersOf(tx store.Tx, p participant.ID, datasets []string) (map[string][]Offer, error) {
	rows, err := tx.Query(`SELECT dataset, id, policy FROM catalog_offers
		WHERE participant = $1 AND withdrawn = 0 AND dataset IN (`+someIDs+`) ORDER BY dataset, id`, batch(p, datasets)...)
	if err != nil {
		return nil, err
	}
	out := make(map[string][]Offer, len(datasets))
	for rows.Next() {
		var dataset string
		var o Offer
		var policy []byte
		if err := rows.Scan(&dataset, &o.ID, &policy); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		o.Policy = policy
		out[dataset] = append(out[dataset], o)
	}
	return out, errors.Join(rows.Err(), rows.Close())
}

// count is how many datasets a participant offers.
func (r *Room) count(tx store.Tx, p participant.ID) (n int, err error) {
	err = tx.QueryRow(`SELECT COUNT(*) FROM catalog_datasets WHERE participant = $1 AND withdrawn = 0`, string(p)).Scan(&n)
	return n, err
}
