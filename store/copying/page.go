package copying

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"kakehashi/store"
	"kakehashi/store/schema"
)

// A batch is at most so many rows, and about so many bytes: it becomes one unit.
const (
	batchRows  = 500
	batchBytes = 1 << 20
)

// Batch is some rows of a table in the order of its key, each with its form. It is
// the callee's until the next one.
type Batch struct {
	Rows  [][]any
	Forms [][]byte
}

// Sum tells what a table holds: the digest is the SHA-256 of the forms of all its
// rows in the order of the key, in hexadecimal.
type Sum struct {
	Rows   int64  `json:"rows"`
	Digest string `json:"digest"`
}

// pages reads a table by its key, page by page, so that neither side ever holds
// more than one of them.
type pages struct {
	t           schema.Table
	first, next string
	keys        []int // places of the key's columns
	limit       int
}

func newPages(t schema.Table) *pages {
	p := &pages{t: t, limit: batchRows}
	var columns, marks []string
	for _, c := range t.Columns {
		columns = append(columns, c.Name)
	}
	for i, k := range t.Key {
		marks = append(marks, fmt.Sprintf("$%d", i+2))
		for at, c := range t.Columns {
			if c.Name == k {
				p.keys = append(p.keys, at)
			}
		}
	}
	key := strings.Join(t.Key, ", ")
	p.first = "SELECT " + strings.Join(columns, ", ") + " FROM " + t.Name
	p.next = p.first + " WHERE (" + key + ") > (" + strings.Join(marks, ", ") + ")"
	p.first += " ORDER BY " + key + " LIMIT $1"
	p.next += " ORDER BY " + key + " LIMIT $1"
	return p
}

// read gives the rows behind after, nil at the beginning; more says that there may
// be further ones.
func (p *pages) read(tx store.Tx, after []any) (b Batch, more bool, err error) {
	query, args := p.first, []any{p.limit}
	if after != nil {
		query, args = p.next, append(args, after...)
	}
	rows, err := tx.Query(query, args...)
	if err != nil {
		return b, false, err
	}
	defer rows.Close()
	size, asked := 0, p.limit
	for rows.Next() {
		values := make([]any, len(p.t.Columns))
		into := make([]any, len(values))
		for i := range into {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return b, false, err
		}
		for i, c := range p.t.Columns {
			if values[i], err = plain(values[i], c.Type); err != nil {
				return b, false, fmt.Errorf("column %s of %s: %w", c.Name, p.t.Name, err)
			}
		}
		form := appendRow(nil, values)
		size += len(form)
		b.Rows, b.Forms = append(b.Rows, values), append(b.Forms, form)
		if size >= batchBytes {
			break
		}
	}
	if err := rows.Err(); err != nil {
		return b, false, err
	}
	// What is large is asked for in smaller pages, as its rest travels for nothing.
	p.limit = min(max(len(b.Rows), 1), batchRows)
	if size < batchBytes/2 {
		p.limit = min(2*p.limit, batchRows)
	}
	return b, size >= batchBytes || len(b.Rows) == asked, rows.Close()
}

// key picks the key out of a row.
func (p *pages) key(row []any) []any {
	key := make([]any, len(p.keys))
	for i, at := range p.keys {
		key[i] = row[at]
	}
	return key
}

// each hands out all rows of a snapshot.
func (p *pages) each(ctx context.Context, tx store.Tx, f func(Batch) error) error {
	var after []any
	for more := true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var b Batch
		var err error
		if b, more, err = p.read(tx, after); err != nil {
			return err
		}
		if len(b.Rows) == 0 {
			return nil
		}
		if err := f(b); err != nil {
			return err
		}
		after = p.key(b.Rows[len(b.Rows)-1])
	}
	return nil
}

// sum reads what a table of a snapshot holds.
func sum(ctx context.Context, tx store.Tx, t schema.Table, told func(int)) (Sum, error) {
	var s Sum
	h := sha256.New()
	err := newPages(t).each(ctx, tx, func(b Batch) error {
		for _, f := range b.Forms {
			h.Write(f)
		}
		s.Rows += int64(len(b.Rows))
		told(len(b.Rows))
		return nil
	})
	s.Digest = hex.EncodeToString(h.Sum(nil))
	return s, err
}

// Count reads how many rows the tables of a snapshot have.
func Count(tx store.Tx, tables []schema.Table) (n int64, err error) {
	for _, t := range tables {
		var rows int64
		if err := tx.QueryRow("SELECT COUNT(*) FROM " + t.Name).Scan(&rows); err != nil {
			return 0, err
		}
		n += rows
	}
	return n, nil
}
