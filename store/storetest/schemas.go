package storetest

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"kakehashi/internal/fault"
	"kakehashi/store"
)

// Place is where a store lies, across several times that it is opened.
type Place func(schemas ...store.Schema) (interface {
	store.DB
	io.Closer
}, error)

func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return m
}

const rowsTable = "CREATE TABLE t_rows (\n participant TEXT NOT NULL, id BIGINT NOT NULL, body BYTEA, PRIMARY KEY (participant, id));"

// RunSchemas holds an engine to what package store promises of schemas. place is
// empty at first.
func RunSchemas(t *testing.T, place Place) {
	t.Helper()
	const second = "ALTER TABLE t_rows ADD COLUMN note TEXT; -- 架け橋\nUPDATE t_rows SET note = 'x';"
	first := store.Schema{Owner: "t", Files: files("0001_init.sql", rowsTable)}
	newer := store.Schema{Owner: "t", Files: files("0001_init.sql", rowsTable, "0002_note.sql", second, "readme.md", "not SQL")}
	for _, c := range []struct {
		name   string
		schema store.Schema
		want   error // nil: opens
		text   string
	}{
		{"a file that fails", store.Schema{Owner: "t", Files: files("0001_init.sql", rowsTable+"CREATE TABLE t_x (;")}, nil, "0001_init.sql"},
		{"first", first, nil, ""},
		{"again", first, nil, ""},
		{"line ends of another system", store.Schema{Owner: "t", Files: files("0001_init.sql", strings.ReplaceAll(rowsTable, "\n", "\r\n"))}, nil, ""},
		{"one that fails after the first", store.Schema{Owner: "t", Files: files("0001_init.sql", rowsTable, "0002_note.sql", second+"SELECT nothing;")}, nil, "0002_note.sql"},
		{"newer", newer, nil, ""},
		{"older program", first, fault.StoreNewer, "0002_note.sql"},
		{"edited file", store.Schema{Owner: "t", Files: files("0001_init.sql", rowsTable+"\n-- edited", "0002_note.sql", second)}, fault.StoreChanged, "0001_init.sql"},
		{"file put between", store.Schema{Owner: "t", Files: files("0000_zero.sql", rowsTable, "0001_init.sql", rowsTable, "0002_note.sql", second)}, fault.StoreChanged, "0001_init.sql"},
		{"same number twice", store.Schema{Owner: "t", Files: files("0001_init.sql", rowsTable, "0001_other.sql", second)}, nil, "same number"},
		{"bad name", store.Schema{Owner: "t", Files: files("1_init.sql", rowsTable)}, nil, "NNNN_name.sql"},
		{"bad owner", store.Schema{Owner: "T;", Files: files()}, nil, "owner"},
		{"ends the transaction", store.Schema{Owner: "u", Files: files("0001_init.sql", "COMMIT;")}, nil, "ends the transaction"},
		{"newer again", newer, nil, ""},
	} {
		db, err := place(c.schema)
		if err == nil {
			db.Close()
		}
		switch {
		case c.want == nil && c.text == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.text != "" && (err == nil || !strings.Contains(err.Error(), c.text)):
			t.Errorf("%s: %v does not say %q", c.name, err, c.text)
		case c.want != nil && !errors.Is(err, c.want):
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

// RunMigrators has several programs bring one place up to date at once, which an
// engine for several programs must bear.
func RunMigrators(t *testing.T, place Place) {
	t.Helper()
	var schemas []store.Schema
	for _, owner := range []string{"a", "b", "c"} {
		f := files("0001_init.sql", strings.ReplaceAll(rowsTable, "t_rows", owner+"_rows"))
		for n := 2; n < 6; n++ { // a step that is applied twice shows
			f[fmt.Sprintf("%04d_more.sql", n)] = &fstest.MapFile{Data: fmt.Appendf(nil,
				"ALTER TABLE %s_rows ADD COLUMN c%d TEXT; INSERT INTO %s_rows (participant, id) SELECT 'tokyo', COUNT(*) FROM %s_rows;", owner, n, owner, owner)}
		}
		schemas = append(schemas, store.Schema{Owner: owner, Files: f})
	}
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			db, err := place(schemas...)
			if err != nil {
				t.Error(err)
				return
			}
			defer db.Close()
			for _, s := range schemas {
				if n := number(t, db, "SELECT COUNT(*) FROM "+s.Owner+"_rows"); n != 4 {
					t.Errorf("%s: the steps were applied %d times, want 4", s.Owner, n)
				}
			}
		})
	}
	group.Wait()
}
