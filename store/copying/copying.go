// Package copying moves all that a store keeps into an empty one, whatever the
// engines, and into and out of archives.
//
// It knows tables by what the database says of them, so that a room's new table
// is copied without a line here. Rows go by the key, in batches of bounded size,
// each one unit together with how far it is, so that a copy that was killed goes
// on where it was. Until it is whole and both sides were compared, row by row, the
// target bears a mark and no node opens it.
//
// It is not for a store that is being served: who calls sees to that. An archive is
// made of one snapshot, and may.
package copying

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/store"
	"kakehashi/store/schema"
)

//go:embed schema/*.sql
var files embed.FS

const owner = "copying"

// Schema is where an unfinished copy is noted. A node has it among its own, so
// that Whole can look.
var Schema = store.SchemaIn(owner, files)

// Target is where a copy goes.
type Target struct {
	// Open opens it with these schemas brought up to date. Copy closes what it opens.
	Open func(context.Context, ...store.Schema) (Engine, error)
	// Place names it, without secrets.
	Place string
	// Known are the schemas of everything that this program may keep.
	Known []store.Schema
	// Again throws away what a copy that was begun has left, and begins anew.
	Again bool
	Now   func() time.Time
	// Copied and Compared are told of rows; nil: nobody. What an earlier run has
	// copied is told as well.
	Copied, Compared func(rows int)
}

// Table is one table that was copied.
type Table struct {
	Name string `json:"table"`
	Sum
}

// Copy copies src into an empty target, or goes on with a copy from the same place,
// and compares both. Faults: fault.CopyNotEmpty, fault.CopyBegun when another copy
// was begun there, fault.CopyUnknown for an owner that this program does not have,
// fault.StoreNewer, fault.StoreChanged, fault.CopyRaced when somebody else writes
// there, fault.CopyDiffers when the sides differ at the end. After an error the
// mark stays and the same call goes on.
func Copy(ctx context.Context, src Source, t Target) ([]Table, error) {
	if t.Copied == nil {
		t.Copied = func(int) {}
	}
	if t.Compared == nil {
		t.Compared = func(int) {}
	}
	schemas, err := schemasOf(src.Versions(), t.Known)
	if err != nil {
		return nil, err
	}
	if err := t.mark(ctx, src); err != nil {
		return nil, err
	}
	db, err := t.Open(ctx, append([]store.Schema{Schema}, schemas...)...)
	if err != nil {
		return nil, err
	}
	out, err := t.fill(ctx, db, src)
	return out, errors.Join(err, db.Close())
}

// schemasOf picks what makes the tables as src has them.
func schemasOf(versions map[string][]schema.Step, known []store.Schema) ([]store.Schema, error) {
	var out []store.Schema
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		at := slices.IndexFunc(known, func(s store.Schema) bool { return s.Owner == name })
		if at < 0 {
			return nil, fault.CopyUnknown.At(name, "owner", name)
		}
		steps, err := schema.Read(known[at].Files)
		if err != nil {
			return nil, err
		}
		applied := versions[name]
		if _, err := schema.Missing(name, steps, applied); err != nil {
			return nil, err
		}
		last := int64(0)
		if len(applied) > 0 {
			last = applied[len(applied)-1].Version
		}
		s, err := schema.Upto(known[at], last)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// mark sees that the target is empty or holds a copy of src that was begun, and
// marks it.
func (t Target) mark(ctx context.Context, src Source) (err error) {
	db, err := t.Open(ctx, Schema)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var tables []schema.Table
	begun, full := "", ""
	if err := db.View(ctx, func(tx store.Tx) (err error) {
		if tables, _, err = inventory(tx, db); err != nil {
			return err
		}
		if begun, err = marked(tx); err != nil || begun != "" {
			return err
		}
		full, err = filled(tx, tables)
		return err
	}); err != nil {
		return err
	}
	switch {
	case full != "":
		return fault.CopyNotEmpty.At(t.Place, "place", t.Place, "table", full)
	case begun == src.Place() && !t.Again:
		return nil
	case begun != "" && !t.Again:
		return fault.CopyBegun.At(t.Place, "place", t.Place, "source", begun)
	}
	return db.Update(ctx, func(tx store.Tx) error {
		if begun != "" {
			for _, table := range tables {
				if err := tx.Exec("DROP TABLE " + table.Name); err != nil {
					return err
				}
			}
			for _, q := range []string{"DELETE FROM copying_positions", "DELETE FROM copying_marks"} {
				if err := tx.Exec(q); err != nil {
					return err
				}
			}
		}
		return tx.Exec("INSERT INTO copying_marks (source, begun) VALUES ($1, $2)", src.Place(), t.Now().UnixMicro())
	})
}

// filled names a table that has rows; one that only holds versions does not count.
func filled(tx store.Tx, tables []schema.Table) (string, error) {
	for _, t := range tables {
		if t.Versions() {
			continue
		}
		var one int64
		err := tx.QueryRow("SELECT 1 FROM " + t.Name + " LIMIT 1").Scan(&one)
		if err == nil {
			return t.Name, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return "", err
		}
	}
	return "", nil
}

func marked(tx store.Tx) (string, error) {
	var source string
	err := tx.QueryRow("SELECT source FROM copying_marks LIMIT 1").Scan(&source)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return source, err
}

// Whole refuses, as fault.CopyUnfinished, a store that a copy was begun into and
// not finished. The store has Schema.
func Whole(ctx context.Context, db store.DB, place string) error {
	source := ""
	err := db.View(ctx, func(tx store.Tx) (err error) {
		source, err = marked(tx)
		return err
	})
	if err == nil && source != "" {
		err = fault.CopyUnfinished.At(place, "place", place, "source", source)
	}
	return err
}

// fill copies and compares the tables of src, and takes the mark away.
func (t Target) fill(ctx context.Context, db Engine, src Source) ([]Table, error) {
	if err := t.same(ctx, db, src); err != nil {
		return nil, err
	}
	for _, table := range src.Tables() {
		if err := t.table(ctx, db, src, table); err != nil {
			return nil, fmt.Errorf("copy table %s: %w", table.Name, err)
		}
	}
	var out []Table
	for _, table := range src.Tables() {
		want, err := src.Sum(ctx, table, t.Compared)
		if err != nil {
			return nil, fmt.Errorf("read table %s: %w", table.Name, err)
		}
		var got Sum
		if err := db.View(ctx, func(tx store.Tx) (err error) {
			got, err = sum(ctx, tx, table, t.Compared)
			return err
		}); err != nil {
			return nil, fmt.Errorf("read table %s: %w", table.Name, err)
		}
		if got != want {
			return nil, fault.CopyDiffers.At(table.Name, "table", table.Name, "want", want.Rows, "got", got.Rows)
		}
		out = append(out, Table{table.Name, got})
	}
	return out, db.Update(ctx, func(tx store.Tx) error {
		if err := tx.Exec("DELETE FROM copying_positions"); err != nil {
			return err
		}
		return tx.Exec("DELETE FROM copying_marks")
	})
}

// same sees that the target has the tables of src and no others.
func (t Target) same(ctx context.Context, db Engine, src Source) error {
	return db.View(ctx, func(tx store.Tx) error {
		have, _, err := inventory(tx, db)
		if err != nil {
			return err
		}
		shape := func(all []schema.Table) []string {
			var out []string
			for _, t := range all {
				columns := make([]string, len(t.Columns))
				for i, c := range t.Columns {
					columns[i] = c.Name + " " + string(c.Type)
				}
				slices.Sort(columns)
				out = append(out, t.Name+" ("+strings.Join(columns, ", ")+") by "+strings.Join(t.Key, ", "))
			}
			return out
		}
		a, b := shape(src.Tables()), shape(have)
		for i := range max(len(a), len(b)) {
			if i >= len(a) || i >= len(b) || a[i] != b[i] {
				return fmt.Errorf("the tables of %s and %s differ: %v, %v", src.Place(), t.Place, a[min(i, len(a)):min(i+1, len(a))], b[min(i, len(b)):min(i+1, len(b))])
			}
		}
		return nil
	})
}

// table copies what is left of one table.
func (t Target) table(ctx context.Context, db Engine, src Source, table schema.Table) error {
	at, err := read(ctx, db, table)
	if err != nil {
		return err
	}
	t.Copied(int(at.rows))
	if at.whole {
		return nil
	}
	p := newPages(table)
	insert := insertInto(table)
	err = src.Read(ctx, table, at.rows, at.last, func(b Batch) error {
		next := position{rows: at.rows + int64(len(b.Rows)), last: p.key(b.Rows[len(b.Rows)-1]), there: true}
		if err := db.Update(ctx, func(tx store.Tx) error {
			if table.Versions() && at.rows == 0 { // those of the tables just made
				if err := tx.Exec("DELETE FROM " + table.Name); err != nil {
					return err
				}
			}
			for _, row := range b.Rows {
				if err := tx.Exec(insert, row...); err != nil {
					return err
				}
			}
			return at.move(tx, table.Name, next)
		}); err != nil {
			return raced(err, t.Place)
		}
		at = next
		t.Copied(len(b.Rows))
		return nil
	})
	if err != nil {
		return err
	}
	end := at
	end.whole, end.there = true, true
	return raced(db.Update(ctx, func(tx store.Tx) error { return at.move(tx, table.Name, end) }), t.Place)
}

func raced(err error, place string) error {
	if errors.Is(err, store.ErrConflict) {
		return fault.CopyRaced.At(place, "place", place).Because(err)
	}
	return err
}

func insertInto(t schema.Table) string {
	var columns, marks []string
	for i, c := range t.Columns {
		columns, marks = append(columns, c.Name), append(marks, fmt.Sprintf("$%d", i+1))
	}
	return "INSERT INTO " + t.Name + " (" + strings.Join(columns, ", ") + ") VALUES (" + strings.Join(marks, ", ") + ")"
}

// position is how far a table is.
type position struct {
	rows         int64
	last         []any // key of the last row; nil: none
	whole, there bool
}

func read(ctx context.Context, db Engine, t schema.Table) (p position, err error) {
	var last []byte
	err = db.View(ctx, func(tx store.Tx) error {
		return tx.QueryRow("SELECT copied, last, whole FROM copying_positions WHERE name = $1", t.Name).Scan(&p.rows, &last, &p.whole)
	})
	if errors.Is(err, store.ErrNotFound) {
		return position{}, nil
	}
	if err == nil && len(last) > 0 {
		p.last, err = readRow(last, len(t.Key))
	}
	p.there = true
	return p, err
}

// move goes from p to next, if nobody else has moved: store.ErrConflict then.
func (p position) move(tx store.Tx, name string, next position) error {
	last := appendRow([]byte{}, next.last)
	if !p.there {
		return tx.Exec("INSERT INTO copying_positions (name, copied, last, whole) VALUES ($1, $2, $3, $4)", name, next.rows, last, next.whole)
	}
	var n int64
	err := tx.QueryRow("UPDATE copying_positions SET copied = $2, last = $3, whole = $4 WHERE name = $1 AND copied = $5 AND whole = FALSE RETURNING copied",
		name, next.rows, last, next.whole, p.rows).Scan(&n)
	if errors.Is(err, store.ErrNotFound) {
		return store.ErrConflict
	}
	return err
}
