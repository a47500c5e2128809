package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"kakehashi/store"
	"kakehashi/store/postgres"
	"kakehashi/store/schema"
	"kakehashi/store/sqlite"
)

// seeded are the owners whose rows a finished exchange leaves. What it leaves in
// the evidence log is not made by copying rows, since each leaf is chained to those
// before it.
var seeded = []string{"negotiation", "transfer", "agreement", "dataplane"}

// unitRows is how many rows a unit of the seeding writes.
const unitRows = 500

// seed writes what the exchanges so far left in the tables of s again and again,
// each time with ids of its own, until at least kept processes are there. No
// program may serve s.
func (s *side) seed(ctx context.Context, kept int) (err error) {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if e := db.Close(); err == nil {
			err = e
		}
	}()
	var tables []schema.Table
	if err := db.View(ctx, func(tx store.Tx) (err error) { tables, err = db.Tables(tx); return err }); err != nil {
		return err
	}
	var stay map[string]bool
	stay, err = lasting(ctx, db, tables)
	if err != nil {
		return err
	}
	var all []pattern
	processes := 0
	for _, t := range tables {
		if t.Versions() || !slices.Contains(seeded, t.Owner()) {
			continue
		}
		rows, err := patterns(ctx, db, t, stay)
		if err != nil {
			return err
		}
		if strings.HasSuffix(t.Name, "_processes") {
			processes += len(rows)
		}
		all = append(all, rows...)
	}
	if processes == 0 {
		return fmt.Errorf("no exchange was made that could be repeated")
	}
	for copies := uint64(1); processes*int(copies) < kept; copies++ {
		for from := 0; from < len(all); from += unitRows {
			part := all[from:min(from+unitRows, len(all))]
			if err := db.Update(ctx, func(tx store.Tx) error {
				for _, p := range part {
					if err := tx.Exec(p.insert, p.copy(copies)...); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				return fmt.Errorf("seed: %w", err)
			}
		}
	}
	if s.store == "" {
		return nil
	}
	// As the server does by itself some time after so many rows came.
	return db.Update(ctx, func(tx store.Tx) error { return tx.Exec("ANALYZE") })
}

// engine is what both stores have in common here.
type engine interface {
	store.DB
	Tables(tx store.Tx) ([]schema.Table, error)
	Close() error
}

func (s *side) open(ctx context.Context) (engine, error) {
	if s.store != "" {
		return postgres.Open(ctx, postgres.Config{URL: s.store, Log: slog.New(slog.DiscardHandler)})
	}
	return sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(s.data(), "node.db"), Log: slog.New(slog.DiscardHandler)})
}

// uuid is how ids of the node look, wherever they stand.
var uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)

// lasting are the ids that every exchange shares: of datasets and offers, and of
// whatever else no exchange makes.
func lasting(ctx context.Context, db engine, tables []schema.Table) (map[string]bool, error) {
	ids := map[string]bool{}
	for _, t := range tables {
		if o := t.Owner(); t.Versions() || o != "catalog" && o != "participant" && o != "files" && o != "partner" {
			continue
		}
		err := read(ctx, db, t, func(values []any) {
			for _, v := range values {
				for _, id := range uuid.FindAll(text(v), -1) {
					ids[string(id)] = true
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// pattern is a row, and where the ids lie in it that each copy changes.
type pattern struct {
	insert string
	values []any
	places [][]int // of each value: where an id begins
}

func patterns(ctx context.Context, db engine, t schema.Table, stay map[string]bool) (all []pattern, err error) {
	names, marks := make([]string, len(t.Columns)), make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i], marks[i] = c.Name, fmt.Sprint("$", i+1)
	}
	insert := "INSERT INTO " + t.Name + " (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(marks, ", ") + ")"
	err = read(ctx, db, t, func(values []any) {
		p := pattern{insert: insert, values: values, places: make([][]int, len(values))}
		for i, v := range values {
			for _, at := range uuid.FindAllIndex(text(v), -1) {
				if !stay[string(text(v)[at[0]:at[1]])] {
					p.places[i] = append(p.places[i], at[0])
				}
			}
		}
		all = append(all, p)
	})
	return all, err
}

// copy gives the row with the ids of a copy: its number takes the place of the time
// in each of them.
func (p pattern) copy(number uint64) []any {
	first := fmt.Sprintf("%08x-%04x", number>>16, number&0xffff)
	out := slices.Clone(p.values)
	for i, v := range p.values {
		if b, ok := v.([]byte); ok && len(b) == 32 { // a digest under a unique key
			b = bytes.Clone(b)
			binary.BigEndian.PutUint64(b, binary.BigEndian.Uint64(b)^number)
			out[i] = b
			continue
		}
		if len(p.places[i]) == 0 {
			continue
		}
		b := bytes.Clone(text(v))
		for _, at := range p.places[i] {
			copy(b[at:], first)
		}
		if _, ok := v.(string); ok {
			out[i] = string(b)
		} else {
			out[i] = b
		}
	}
	return out
}

func text(v any) []byte {
	switch v := v.(type) {
	case string:
		return []byte(v)
	case []byte:
		return v
	}
	return nil
}

// read hands each row of a table to f; NULL is nil.
func read(ctx context.Context, db engine, t schema.Table, f func([]any)) error {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return db.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query("SELECT " + strings.Join(names, ", ") + " FROM " + t.Name)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			into := make([]any, len(t.Columns))
			for i, c := range t.Columns {
				switch c.Type {
				case schema.Text:
					into[i] = new(*string)
				case schema.Bytes:
					into[i] = new([]byte)
				case schema.Bool:
					into[i] = new(*bool)
				case schema.Float:
					into[i] = new(*float64)
				default:
					into[i] = new(*int64)
				}
			}
			if err := rows.Scan(into...); err != nil {
				return fmt.Errorf("read %s: %w", t.Name, err)
			}
			values := make([]any, len(into))
			for i, v := range into {
				values[i] = plain(v)
			}
			f(values)
		}
		return rows.Err()
	})
}

// plain is what a scanned pointer points to.
func plain(v any) any {
	switch v := v.(type) {
	case **string:
		if *v != nil {
			return **v
		}
	case **int64:
		if *v != nil {
			return **v
		}
	case **bool:
		if *v != nil {
			return **v
		}
	case **float64:
		if *v != nil {
			return **v
		}
	case *[]byte:
		if *v != nil {
			return *v
		}
	}
	return nil
}
