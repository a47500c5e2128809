package schema

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"kakehashi/store"
)

// Table is a table as the database has it.
type Table struct {
	Name    string   `json:"name"`
	Columns []Column `json:"columns"` // in the order in which they were made
	Key     []string `json:"key"`     // columns of the primary key, in its order
}

// Column is a column of a table.
type Column struct {
	Name string `json:"name"`
	Type Type   `json:"type"`
}

// Type is one of those that both engines have.
type Type string

// The types of columns.
const (
	Text  Type = "text"
	Int   Type = "bigint"
	Bytes Type = "bytea"
	Bool  Type = "boolean"
	Float Type = "double"
)

// Types are the names under which the engines know them.
var types = map[string]Type{
	"TEXT": Text, "BIGINT": Int, "BYTEA": Bytes, "BOOLEAN": Bool, "DOUBLE PRECISION": Float,
	"INT8": Int, "BOOL": Bool, "FLOAT8": Float,
}

// Owner is whose table it is.
func (t Table) Owner() string {
	o, _, _ := strings.Cut(t.Name, "_")
	return o
}

// Versions tells that the table holds which steps of its owner were applied.
func (t Table) Versions() bool { return t.Name == t.Owner()+"_schema" }

// Tables reads what query lists, a row for each column: table, column, type,
// place in the primary key (0: none); in the order of tables and columns. What
// belongs to nobody that keeps versions is left out: it is another program's.
func Tables(tx store.Tx, query string) ([]Table, error) {
	rows, err := tx.Query(query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Table
	owners := map[string]bool{}
	for rows.Next() {
		var name, column, kind string
		var key int64
		if err := rows.Scan(&name, &column, &kind, &key); err != nil {
			return nil, err
		}
		if len(all) == 0 || all[len(all)-1].Name != name {
			all = append(all, Table{Name: name})
		}
		t := &all[len(all)-1]
		owners[t.Owner()] = owners[t.Owner()] || t.Versions()
		typ := types[strings.ToUpper(kind)]
		t.Columns = append(t.Columns, Column{Name: column, Type: typ}) // "" is refused by who meets it
		if key > 0 {
			for len(t.Key) < int(key) {
				t.Key = append(t.Key, "")
			}
			t.Key[key-1] = column
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(t Table) bool { return !owners[t.Owner()] })
	for _, t := range all {
		if err := t.fit(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// fit refuses a table that has no key or a type that the engines do not share.
func (t Table) fit() error {
	if len(t.Key) == 0 {
		return fmt.Errorf("table %s has no primary key", t.Name)
	}
	for _, c := range t.Columns {
		if c.Type == "" {
			return fmt.Errorf("column %s of table %s has a type that the engines do not share", c.Name, t.Name)
		}
	}
	return nil
}

// Upto is s without the steps behind a version, to make tables as they were then.
func Upto(s store.Schema, version int64) (store.Schema, error) {
	steps, err := Read(s.Files)
	if err != nil {
		return s, err
	}
	var names []string
	for _, step := range steps {
		if step.Version <= version {
			names = append(names, step.Name)
		}
	}
	return store.Schema{Owner: s.Owner, Files: some{s.Files, names}}, nil
}

type some struct {
	fs.FS
	names []string
}

func (s some) Glob(string) ([]string, error) { return s.names, nil }
