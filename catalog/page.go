package catalog

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"kakehashi/internal/strictjson"
	"kakehashi/participant"
	"kakehashi/policy"
	"kakehashi/store"
)

// maxScanned is how many datasets are looked at for one page of a query; where
// that ends before the page is full, its Next goes on from there.
const maxScanned = 10_000

// scanChunk is how many of them are in memory at once.
const scanChunk = 512

// Cursor is a place in the answer to a query. The zero value of all but Query
// is its beginning.
type Cursor struct {
	Query Query `json:"q"`
	Key   *key  `json:"k,omitzero"` // the page begins after it
	Back  bool  `json:"b,omitzero"` // or ends before it
	Skip  int   `json:"s,omitzero"` // datasets still to be passed over
}

// key is the place of a dataset in the order of a query.
type key struct {
	Title string `json:"t,omitzero"` // in the order of titles only
	ID    string `json:"i"`
}

// Page is a part of the answer to a query.
type Page struct {
	Datasets       []Dataset
	Next, Previous *Cursor // nil where there is none
}

// Page reads the datasets that the counterpart may see and that the query of at
// picks: at most its limit, with two statements where nothing is picked out and
// at most 10,000 datasets looked at where something is. A query beyond the
// limits is fault.CatalogFilter.
func (r *Room) Page(ctx context.Context, p participant.ID, counterparty string, at Cursor) (Page, error) {
	if err := at.Query.check(); err != nil {
		return Page{}, err
	}
	at.Skip += at.Query.Offset
	inner := at.Skip > 0 || at.Key != nil
	at.Query.Offset = 0
	w := walk{room: r, p: p, counterparty: counterparty, at: at}
	if err := r.c.DB.View(ctx, func(tx store.Tx) error { return w.run(ctx, tx) }); err != nil {
		return Page{}, err
	}
	return w.page(inner), nil
}

// walk collects one page.
type walk struct {
	room         *Room
	p            participant.ID
	counterparty string
	at           Cursor

	found []Dataset // up to one more than the page holds
	last  *key      // of the last dataset that was looked at
	cut   bool      // there may be more than was looked at
	skip  int
}

func (w *walk) run(ctx context.Context, tx store.Tx) error {
	q := &w.at.Query
	m := q.matcher()
	w.found, w.last, w.cut, w.skip = nil, w.at.Key, false, w.at.Skip // the unit may run again
	only, bounded := q.ids()
	chunk := max(q.Limit+1, DefaultPage+1)
	if len(m) > 0 || w.skip > 0 {
		chunk = min(scanChunk, w.room.scanned)
	}
	for scanned := 0; ; {
		var rows []row
		var err error
		if bounded {
			rows, err = w.among(tx, only)
		} else {
			rows, err = w.room.scan(tx, w.p, q.ByTitle, q.Desc != w.at.Back, w.last, chunk)
		}
		if err != nil {
			return err
		}
		hits := make([]*row, 0, len(rows))
		for i := range rows {
			ok, err := m.match(&rows[i])
			if err != nil {
				return err
			}
			if ok {
				hits = append(hits, &rows[i])
			}
		}
		if full, err := w.take(tx, hits); err != nil || full {
			return err
		}
		if bounded || len(rows) < chunk {
			return nil
		}
		k := rows[len(rows)-1].key(q.ByTitle)
		w.last = &k
		if scanned += len(rows); scanned >= w.room.scanned {
			w.cut = true
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		chunk = min(scanChunk, w.room.scanned-scanned)
	}
}

// take keeps what the counterpart may see of hits, and says whether the page is full.
func (w *walk) take(tx store.Tx, hits []*row) (full bool, err error) {
	for batch := range slices.Chunk(hits, batchIDs) {
		ids := make([]string, len(batch))
		for i, h := range batch {
			ids[i] = h.id
		}
		offers, err := w.room.offersOf(tx, w.p, ids)
		if err != nil {
			return false, err
		}
		for _, h := range batch {
			shown := policy.Shown(w.room.c.Policy, w.counterparty, offers[h.id], func(o Offer) strictjson.Raw { return o.Policy })
			if len(shown) == 0 {
				continue
			}
			if w.skip > 0 {
				w.skip--
				continue
			}
			d, err := h.dataset(w.room)
			if err != nil {
				return false, err
			}
			d.Offers = shown
			if w.found = append(w.found, d); len(w.found) > w.at.Query.Limit {
				return true, nil
			}
		}
	}
	return false, nil
}

// among gives the datasets of a few ids in the order of the query, from its place on.
func (w *walk) among(tx store.Tx, ids []string) ([]row, error) {
	rows, err := w.room.rowsOf(tx, w.p, ids)
	if err != nil {
		return nil, err
	}
	q := w.at.Query
	order := func(a, b key) int {
		n := cmp.Or(strings.Compare(a.Title, b.Title), strings.Compare(a.ID, b.ID))
		if q.Desc != w.at.Back {
			return -n
		}
		return n
	}
	slices.SortFunc(rows, func(a, b row) int { return order(a.key(q.ByTitle), b.key(q.ByTitle)) })
	if w.at.Key != nil {
		rows = slices.DeleteFunc(rows, func(r row) bool { return order(r.key(q.ByTitle), *w.at.Key) <= 0 })
	}
	return rows, nil
}

func (w *walk) page(inner bool) Page {
	q := w.at.Query
	more := len(w.found) > q.Limit
	if more {
		w.found = w.found[:q.Limit]
	}
	var on *Cursor // in the direction of the walk
	switch {
	case more:
		on = &Cursor{Query: q, Key: w.keyAt(len(w.found) - 1), Back: w.at.Back}
	case w.cut:
		on = &Cursor{Query: q, Key: w.last, Back: w.at.Back, Skip: w.skip}
	}
	var against *Cursor
	if len(w.found) > 0 && (inner || w.at.Back) {
		against = &Cursor{Query: q, Key: w.keyAt(0), Back: !w.at.Back}
	}
	if w.at.Back {
		slices.Reverse(w.found)
		return Page{Datasets: w.found, Next: against, Previous: on}
	}
	return Page{Datasets: w.found, Next: on, Previous: against}
}

func (w *walk) keyAt(i int) *key {
	k := key{ID: w.found[i].ID}
	if w.at.Query.ByTitle {
		k.Title = w.found[i].Title
	}
	return &k
}
