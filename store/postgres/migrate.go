package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"kakehashi/store"
	"kakehashi/store/schema"
)

// migrate brings every schema up to date, forward only, each file once and in a
// transaction of its own. Several programs may do it at once: the version's row
// is written before the file runs, and its key lets one through; the others wait
// for it and go on from there.
func (db *DB) migrate(ctx context.Context, c *conn, schemas []store.Schema) error {
	if err := schema.Check(schemas); err != nil {
		return err
	}
	made := 0
	for _, s := range schemas {
		found, err := db.migrateOne(ctx, c, s)
		if err != nil {
			return fmt.Errorf("schema %s: %w", s.Owner, err)
		}
		if !found {
			made++
		}
	}
	db.fresh = made == len(schemas)
	return nil
}

const mostMigrators = 100 // how often another program may have been faster

// migrateOne tells whether the owner had tables before.
func (db *DB) migrateOne(ctx context.Context, c *conn, s store.Schema) (found bool, err error) {
	steps, err := schema.Read(s.Files)
	if err != nil {
		return false, err
	}
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		next, made, err := db.missing(c, s.Owner, steps)
		if n == 1 {
			found = !made
		}
		if err == nil && len(next) == 0 {
			return found, nil
		}
		if err == nil {
			if err = db.apply(c, s.Owner, next[0]); err == nil {
				continue
			}
			err = fmt.Errorf("apply %s: %w", next[0].Name, err)
		}
		if !raced(err) || n >= mostMigrators {
			return false, err
		}
		time.Sleep(min(time.Duration(n)*time.Millisecond, 100*time.Millisecond))
	}
}

// raced tells that another program made or changed the same table.
func raced(err error) bool {
	switch code := state(err); code {
	case "42P07", "42710", "42P06", "XX000": // there already; "tuple concurrently updated"
		return true
	default:
		return serial(code) || errors.Is(err, store.ErrConflict)
	}
}

// missing gives the steps that the database lacks, and makes the table that says so.
func (db *DB) missing(c *conn, owner string, steps []schema.Step) (next []schema.Step, made bool, err error) {
	read := func() ([]schema.Step, error) {
		t := &tx{db: db, c: c, view: true}
		applied, err := schema.Applied(t, owner)
		return applied, t.end(err)
	}
	applied, err := read()
	if state(err) == "42P01" { // no such table
		made = true
		create := schema.Create(owner)
		if !db.bytewise {
			create = Bytewise(create)
		}
		if err := c.script(create); err != nil {
			return nil, made, db.translate(err, false)
		}
		applied, err = read()
	}
	if err != nil {
		return nil, made, err
	}
	next, err = schema.Missing(owner, steps, applied)
	return next, made, err
}

func (db *DB) apply(c *conn, owner string, s schema.Step) error {
	t := &tx{db: db, c: c}
	err := func() error {
		if err := t.Exec(schema.Insert(owner), s.Version, s.Name, s.Digest, db.now().UnixMicro()); err != nil {
			return err
		}
		if err := c.sync(); err != nil {
			return t.fail(err)
		}
		text := s.Text
		if !db.bytewise {
			text = Bytewise(text)
		}
		if err := c.script("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '5s'"); err != nil {
			return t.fail(err)
		}
		c.patience = 24 * time.Hour // a file may rewrite a large table
		defer func() { c.patience = db.patience }()
		if err := c.script(text); err != nil {
			return t.fail(err)
		}
		if c.status != 'T' { // and with it the row of the version is there
			if err := c.script(fmt.Sprintf("DELETE FROM %s_schema WHERE version = %d", owner, s.Version)); err != nil {
				return t.fail(err)
			}
			return errors.New("the file ends the transaction it runs in")
		}
		return nil
	}()
	return t.end(err)
}

var words = regexp.MustCompile(`(?is)--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\bAS\s+TEXT\b|\bTEXT\b(?:\s+COLLATE\b)?`)

// Bytewise has the columns of type TEXT in a schema's file sorted by their
// bytes, as SQLite and Go do, whatever the language of the database is: an order
// by key is the same everywhere, and keys of one index compare fast.
func Bytewise(file string) string {
	return words.ReplaceAllStringFunc(file, func(s string) string {
		if len(s) == 4 && strings.EqualFold(s, "TEXT") {
			return s + ` COLLATE "C"`
		}
		return s
	})
}

// sortsBytes tells of servers that speak the protocol and sort text by its bytes.
func sortsBytes(version string) bool { return strings.Contains(version, "CockroachDB") }

// Drop removes the tables of these schemas with all that is in them.
func (db *DB) Drop(ctx context.Context, schemas ...store.Schema) error {
	if err := schema.Check(schemas); err != nil {
		return err
	}
	c, err := db.take(ctx)
	if err != nil {
		return err
	}
	defer func() { db.give(c) }()
	for _, s := range schemas {
		t := &tx{db: db, c: c}
		err := func() error {
			rows, err := t.Query("SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = current_schema() AND tablename LIKE $1 ESCAPE '!'", s.Owner+"!_%")
			if err != nil {
				return err
			}
			defer rows.Close()
			var names []string
			for rows.Next() {
				var n string
				if err := rows.Scan(&n); err != nil {
					return err
				}
				names = append(names, `"`+n+`"`)
			}
			if err := rows.Err(); err != nil || len(names) == 0 {
				return err
			}
			return t.Exec("DROP TABLE " + strings.Join(names, ", "))
		}()
		if err := t.end(err); err != nil {
			return err
		}
	}
	return nil
}
