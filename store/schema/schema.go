// Package schema reads the numbered files of a store.Schema and tells which of
// them a database lacks. Both engines apply them by it, so that they refuse the
// same things. It runs no SQL.
package schema

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kakehashi/internal/fault"
	"kakehashi/store"
)

var (
	ownerName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	fileName  = regexp.MustCompile(`^([0-9]{4})_[a-z0-9_]+\.sql$`)
)

// Step is one file of a schema, or what the database says of one it has.
type Step struct {
	Version int64
	Name    string
	Digest  string // SHA-256 in hexadecimal
	Text    string // empty for what was read from the database
}

// Statements on the table Owner_schema, in which an engine keeps what it applied.
func Create(owner string) string {
	return "CREATE TABLE IF NOT EXISTS " + owner +
		"_schema (version BIGINT PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL, applied BIGINT NOT NULL)"
}

// Insert takes version, name, digest and the time in microseconds.
func Insert(owner string) string {
	return "INSERT INTO " + owner + "_schema (version, name, digest, applied) VALUES ($1, $2, $3, $4)"
}

// Applied reads what tx's database has of owner, in order.
func Applied(tx store.Tx, owner string) ([]Step, error) {
	rows, err := tx.Query("SELECT version, name, digest FROM " + owner + "_schema ORDER BY version")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var applied []Step
	for rows.Next() {
		var s Step
		if err := rows.Scan(&s.Version, &s.Name, &s.Digest); err != nil {
			return nil, err
		}
		applied = append(applied, s)
	}
	return applied, rows.Err()
}

// Check refuses owners whose names cannot be part of a table's, or that come twice.
func Check(schemas []store.Schema) error {
	seen := map[string]bool{}
	for _, s := range schemas {
		if !ownerName.MatchString(s.Owner) || seen[s.Owner] {
			return fmt.Errorf("schema %q: the owner's name is not valid or used twice", s.Owner)
		}
		seen[s.Owner] = true
	}
	return nil
}

// Read gives the steps of files in order.
func Read(files fs.FS) ([]Step, error) {
	if files == nil {
		return nil, nil
	}
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	var steps []Step
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
		steps = append(steps, Step{Version: version, Name: name, Digest: hex.EncodeToString(sum[:]), Text: text})
	}
	slices.SortFunc(steps, func(a, b Step) int { return cmp.Compare(a.Version, b.Version) })
	for i := 1; i < len(steps); i++ {
		if steps[i].Version == steps[i-1].Version {
			return nil, fmt.Errorf("files %s and %s have the same number", steps[i-1].Name, steps[i].Name)
		}
	}
	return steps, nil
}

// Missing gives the steps that a database with applied lacks. It fails with
// fault.StoreNewer and fault.StoreChanged.
func Missing(owner string, steps, applied []Step) ([]Step, error) {
	for i, have := range applied {
		if i >= len(steps) {
			return nil, fault.StoreNewer.At(have.Name, "owner", owner, "version", have.Version)
		}
		if want := steps[i]; have.Version != want.Version || have.Digest != want.Digest {
			return nil, fault.StoreChanged.At(have.Name, "owner", owner, "file", have.Name)
		}
	}
	return steps[len(applied):], nil
}
