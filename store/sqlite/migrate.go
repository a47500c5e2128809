package sqlite

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/store"
)

var (
	ownerName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	fileName  = regexp.MustCompile(`^([0-9]{4})_[a-z0-9_]+\.sql$`)
)

// step is one migration: a file of a schema.
type step struct {
	version      int64
	name, digest string
	text         string
}

// migrate brings every schema up to date, forward only, each file once and in
// a transaction of its own.
func migrate(ctx context.Context, c *conn, schemas []store.Schema, now func() time.Time) error {
	seen := map[string]bool{}
	for _, s := range schemas {
		if !ownerName.MatchString(s.Owner) || seen[s.Owner] {
			return fmt.Errorf("schema %q: the owner's name is not valid or used twice", s.Owner)
		}
		seen[s.Owner] = true
		if err := migrateOne(ctx, c, s, now); err != nil {
			return fmt.Errorf("schema %s: %w", s.Owner, translate(err))
		}
	}
	return nil
}

func migrateOne(ctx context.Context, c *conn, schema store.Schema, now func() time.Time) error {
	steps, err := readSteps(schema.Files)
	if err != nil {
		return err
	}
	table := schema.Owner + "_schema"
	if err := c.script("CREATE TABLE IF NOT EXISTS " + table +
		" (version BIGINT PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL, applied BIGINT NOT NULL)"); err != nil {
		return err
	}
	applied, err := readApplied(c, table)
	if err != nil {
		return err
	}
	for i, have := range applied {
		if i >= len(steps) {
			return fault.StoreNewer.At(have.name, "owner", schema.Owner, "version", have.version)
		}
		if want := steps[i]; have.version != want.version || have.digest != want.digest {
			return fault.StoreChanged.At(have.name, "owner", schema.Owner, "file", have.name)
		}
	}
	for _, s := range steps[len(applied):] {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := apply(c, table, s, now); err != nil {
			return fmt.Errorf("apply %s: %w", s.name, err)
		}
	}
	return nil
}

func apply(c *conn, table string, s step, now func() time.Time) error {
	if err := c.begin.run(); err != nil {
		return err
	}
	err := c.script(s.text)
	if err == nil && c.idle() {
		return fmt.Errorf("the file ends the transaction it runs in")
	}
	t := &tx{c: c}
	if err == nil {
		err = t.Exec("INSERT INTO "+table+" (version, name, digest, applied) VALUES ($1, $2, $3, $4)",
			s.version, s.name, s.digest, now().UnixMicro())
	}
	t.finish()
	if err == nil {
		err = c.end.run()
	}
	if err != nil && !c.idle() {
		c.undo.run() // err is the reason; the connection is closed next
	}
	return err
}

func readSteps(files fs.FS) ([]step, error) {
	if files == nil {
		return nil, nil
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	var steps []step
	for _, name := range names {
		m := fileName.FindStringSubmatch(name)
		if m == nil {
			return nil, fmt.Errorf("file %s is not named NNNN_name.sql", name)
		}
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		// A checkout may have changed the ends of lines; the statements are the same.
		text := strings.ReplaceAll(string(b), "\r\n", "\n")
		sum := sha256.Sum256([]byte(text))
		version, _ := strconv.ParseInt(m[1], 10, 64)
		steps = append(steps, step{version: version, name: name, digest: hex.EncodeToString(sum[:]), text: text})
	}
	slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.version, b.version) })
	for i := 1; i < len(steps); i++ {
		if steps[i].version == steps[i-1].version {
			return nil, fmt.Errorf("files %s and %s have the same number", steps[i-1].name, steps[i].name)
		}
	}
	return steps, nil
}

func readApplied(c *conn, table string) ([]step, error) {
	t := &tx{c: c}
	defer t.finish()
	rows, err := t.Query("SELECT version, name, digest FROM " + table + " ORDER BY version")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var applied []step
	for rows.Next() {
		var s step
		if err := rows.Scan(&s.version, &s.name, &s.digest); err != nil {
			return nil, err
		}
		applied = append(applied, s)
	}
	return applied, rows.Err()
}
