package copying

import (
	"context"
	"slices"

	"kakehashi/store"
	"kakehashi/store/schema"
)

// Engine is a store whose tables can be listed. sqlite.DB and postgres.DB are.
type Engine interface {
	store.DB
	Tables(tx store.Tx) ([]schema.Table, error)
	Close() error
}

// Source is what a copy is made of.
type Source interface {
	// Place says where it is, without secrets: a copy goes on only from the same place.
	Place() string
	// Tables lists what it holds, by name.
	Tables() []schema.Table
	// Versions are the steps by which each owner's tables were made.
	Versions() map[string][]schema.Step
	// Rows is how many it has in all.
	Rows() int64
	// Read hands out the rows of t behind the first skip, the last of which has the
	// key after. Tables are asked for in the order of Tables.
	Read(ctx context.Context, t schema.Table, skip int64, after []any, f func(Batch) error) error
	// Sum tells what t holds now.
	Sum(ctx context.Context, t schema.Table, told func(int)) (Sum, error)
}

// Kept is a store as a Source.
type Kept struct {
	db       Engine
	place    string
	tables   []schema.Table
	versions map[string][]schema.Step
	rows     int64
}

// Of makes a Source of a store that nobody writes to; place names it without secrets.
func Of(ctx context.Context, db Engine, place string) (*Kept, error) {
	k := &Kept{db: db, place: place}
	err := db.View(ctx, func(tx store.Tx) (err error) {
		if k.tables, k.versions, err = inventory(tx, db); err != nil {
			return err
		}
		k.rows, err = Count(tx, k.tables)
		return err
	})
	return k, err
}

// inventory lists the tables that copies and archives hold, and the versions they have.
func inventory(tx store.Tx, db Engine) ([]schema.Table, map[string][]schema.Step, error) {
	all, err := db.Tables(tx)
	if err != nil {
		return nil, nil, err
	}
	all = slices.DeleteFunc(all, func(t schema.Table) bool { return t.Owner() == owner })
	versions := map[string][]schema.Step{}
	for _, t := range all {
		if !t.Versions() {
			continue
		}
		if versions[t.Owner()], err = schema.Applied(tx, t.Owner()); err != nil {
			return nil, nil, err
		}
	}
	return all, versions, nil
}

// Place is where the store is.
func (k *Kept) Place() string { return k.place }

// Tables lists what the store held when Of read it.
func (k *Kept) Tables() []schema.Table { return k.tables }

// Versions are those that Of read.
func (k *Kept) Versions() map[string][]schema.Step { return k.versions }

// Rows is how many there were when Of counted.
func (k *Kept) Rows() int64 { return k.rows }

// Read reads each batch in a view of its own.
func (k *Kept) Read(ctx context.Context, t schema.Table, _ int64, after []any, f func(Batch) error) error {
	p := newPages(t)
	for more := true; more; {
		var b Batch
		err := k.db.View(ctx, func(tx store.Tx) (err error) {
			b, more, err = p.read(tx, after)
			return err
		})
		if err != nil {
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

// Sum reads t in one view.
func (k *Kept) Sum(ctx context.Context, t schema.Table, told func(int)) (s Sum, err error) {
	err = k.db.View(ctx, func(tx store.Tx) (err error) {
		s, err = sum(ctx, tx, t, told)
		return err
	})
	return s, err
}
