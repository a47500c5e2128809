package copying_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/store"
	"kakehashi/store/copying"
	"kakehashi/store/postgres"
	"kakehashi/store/schema"
	"kakehashi/store/sqlite"
	"kakehashi/store/storetest"
)

// Two owners whose tables have every type, keys of several columns and NULL.
var (
	zoo = store.Schema{Owner: "zoo", Files: fstest.MapFS{
		"0001_init.sql": {Data: []byte(`CREATE TABLE zoo_animals (participant TEXT NOT NULL, id TEXT NOT NULL, weight DOUBLE PRECISION, legs BIGINT, tame BOOLEAN NOT NULL, picture BYTEA, PRIMARY KEY (participant, id));`)},
		"0002_name.sql": {Data: []byte(`ALTER TABLE zoo_animals ADD COLUMN name TEXT; CREATE TABLE zoo_cages (at BIGINT NOT NULL, tag BYTEA NOT NULL, PRIMARY KEY (tag, at)); CREATE TABLE zoo_empty (id TEXT PRIMARY KEY);`)},
	}}
	farm  = store.Schema{Owner: "farm", Files: fstest.MapFS{"0001_init.sql": {Data: []byte(`CREATE TABLE farm_fields (id TEXT PRIMARY KEY);`)}}}
	known = []store.Schema{zoo, farm}
)

// engines are the ways to open a place of its own; PostgreSQL only where there is one.
func engines(t *testing.T) map[string]func() func(context.Context, ...store.Schema) (copying.Engine, error) {
	t.Helper()
	all := map[string]func() func(context.Context, ...store.Schema) (copying.Engine, error){
		"sqlite": func() func(context.Context, ...store.Schema) (copying.Engine, error) {
			path := filepath.Join(t.TempDir(), "a.db")
			return func(ctx context.Context, s ...store.Schema) (copying.Engine, error) {
				return sqlite.Open(ctx, sqlite.Config{Path: path, Schemas: s})
			}
		},
	}
	if storetest.URL(t) == "" {
		t.Logf("PostgreSQL is left out: %s is not set, see make postgres", storetest.Environment)
		return all
	}
	all["postgres"] = func() func(context.Context, ...store.Schema) (copying.Engine, error) {
		at := storetest.URL(t)
		return func(ctx context.Context, s ...store.Schema) (copying.Engine, error) {
			return postgres.Open(ctx, postgres.Config{URL: at, Schemas: s})
		}
	}
	return all
}

func open(t *testing.T, how func(context.Context, ...store.Schema) (copying.Engine, error), s ...store.Schema) copying.Engine {
	t.Helper()
	db, err := how(t.Context(), s...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

const animals = 1300

func fill(t *testing.T, db store.DB) {
	t.Helper()
	err := db.Update(t.Context(), func(tx store.Tx) error {
		for i := range animals {
			var name, legs, picture any
			if i%3 > 0 {
				name, legs = strings.Repeat("名", i%7), int64(math.MinInt64+i)
			}
			if i%5 == 0 {
				picture = make([]byte, i)
			}
			id := fmt.Sprintf("%x-é-%d", i*7919%997, i)
			if i%2 == 0 {
				id = strings.ToUpper(id)
			}
			if err := tx.Exec("INSERT INTO zoo_animals (participant, id, weight, legs, tame, picture, name) VALUES ($1, $2, $3, $4, $5, $6, $7)",
				[]string{"a", "Z", "ä"}[i%3], id, float64(i)/3, legs, i%2 == 0, picture, name); err != nil {
				return err
			}
		}
		for i := range 9 { // each more than a batch may have
			tag := bytes.Repeat([]byte{byte(255 - i)}, 700<<10)
			if err := tx.Exec("INSERT INTO zoo_cages (at, tag) VALUES ($1, $2)", int64(-i), tag[:1+i%2]); err != nil {
				return err
			}
		}
		if err := tx.Exec("INSERT INTO zoo_cages (at, tag) VALUES ($1, $2)", int64(7), []byte{}); err != nil {
			return err
		}
		return tx.Exec("INSERT INTO farm_fields (id) VALUES ($1)", "x")
	})
	if err != nil {
		t.Fatal(err)
	}
}

func of(t *testing.T, db copying.Engine, place string) *copying.Kept {
	t.Helper()
	src, err := copying.Of(t.Context(), db, place)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func target(how func(context.Context, ...store.Schema) (copying.Engine, error)) copying.Target {
	return copying.Target{Open: how, Place: "there", Known: known, Now: time.Now}
}

func TestEverythingArrivesWhateverTheEngines(t *testing.T) {
	t.Parallel()
	for from, a := range engines(t) {
		for to, b := range engines(t) {
			t.Run(from+" to "+to, func(t *testing.T) {
				first := open(t, a(), known...)
				fill(t, first)
				there := b()
				copied, compared := 0, 0
				into := target(there)
				into.Copied, into.Compared = func(n int) { copied += n }, func(n int) { compared += n }
				src := of(t, first, "first")
				tables, err := copying.Copy(t.Context(), src, into)
				if err != nil {
					t.Fatal(err)
				}
				if want := animals + 10 + 1 + 3; copied != want || compared != 2*want || src.Rows() != int64(want) {
					t.Errorf("told of %d rows copied and %d compared of %d, want %d and twice that", copied, compared, src.Rows(), want)
				}
				names := []string{}
				for _, s := range tables {
					names = append(names, fmt.Sprintf("%s %d", s.Name, s.Rows))
				}
				if got, want := strings.Join(names, ", "), "farm_fields 1, farm_schema 1, zoo_animals 1300, zoo_cages 10, zoo_empty 0, zoo_schema 2"; got != want {
					t.Errorf("got %s, want %s", got, want)
				}

				// And home again, to the same digests.
				second := open(t, there, append(known, copying.Schema)...)
				if err := copying.Whole(t.Context(), second, "there"); err != nil {
					t.Fatal(err)
				}
				again, err := copying.Copy(t.Context(), of(t, second, "second"), target(a()))
				if err != nil {
					t.Fatal(err)
				}
				if fmt.Sprint(again) != fmt.Sprint(tables) {
					t.Errorf("back home the tables are\n%v, were\n%v", again, tables)
				}
			})
		}
	}
}

// dying is a target that is killed at some unit.
type dying struct {
	copying.Engine
	left *int
}

var errKilled = errors.New("killed")

func (d dying) Update(ctx context.Context, fn func(store.Tx) error) error {
	if *d.left--; *d.left < 0 {
		return errKilled
	}
	return d.Engine.Update(ctx, fn)
}

func TestAKilledCopyGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	for name, b := range engines(t) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			first, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "first.db"), Schemas: known})
			if err != nil {
				t.Fatal(err)
			}
			defer first.Close()
			fill(t, first)
			there := b()
			into := target(there)
			killed := 0
			for ; ; killed++ {
				left := 1 // the mark takes one of the first run
				if killed > 0 {
					left = 2
				}
				into.Open = func(ctx context.Context, s ...store.Schema) (copying.Engine, error) {
					db, err := there(ctx, s...)
					return dying{db, &left}, err
				}
				_, err := copying.Copy(t.Context(), of(t, first, "first"), into)
				if err == nil {
					break
				}
				if !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
				if killed > 20 {
					t.Fatal("it never ends")
				}
				db := open(t, there, append(known, copying.Schema)...)
				if err := copying.Whole(t.Context(), db, "there"); !errors.Is(err, fault.CopyUnfinished) {
					t.Fatalf("a store that is half copied: got %v", err)
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if killed < 4 {
				t.Errorf("it was killed %d times only: the copy is not in batches", killed)
			}
			if _, err := copying.Copy(t.Context(), of(t, first, "first"), target(there)); !errors.Is(err, fault.CopyNotEmpty) {
				t.Errorf("into what is whole: got %v", err)
			}
		})
	}
}

func TestWhatDoesNotFitIsRefusedByName(t *testing.T) {
	t.Parallel()
	for name, b := range engines(t) {
		t.Run(name, func(t *testing.T) {
			first := open(t, b(), known...)
			fill(t, first)
			there := b()
			begun := target(there)
			begun.Known = known
			left := 2
			begun.Open = func(ctx context.Context, s ...store.Schema) (copying.Engine, error) {
				db, err := there(ctx, s...)
				return dying{db, &left}, err
			}
			if _, err := copying.Copy(t.Context(), of(t, first, "first"), begun); !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			if _, err := copying.Copy(t.Context(), of(t, first, "elsewhere"), target(there)); !errors.Is(err, fault.CopyBegun) {
				t.Errorf("from another place: got %v", err)
			}
			// What was copied changes at the source: the end finds it.
			if err := first.Update(t.Context(), func(tx store.Tx) error { return tx.Exec("UPDATE farm_fields SET id = $1", "y") }); err != nil {
				t.Fatal(err)
			}
			if _, err := copying.Copy(t.Context(), of(t, first, "first"), target(there)); !errors.Is(err, fault.CopyDiffers) {
				t.Errorf("a source that changed: got %v", err)
			}
			again := target(there)
			again.Again = true
			if _, err := copying.Copy(t.Context(), of(t, first, "elsewhere"), again); err != nil {
				t.Errorf("begun anew: got %v", err)
			}
			if _, err := copying.Copy(t.Context(), of(t, first, "first"), again); !errors.Is(err, fault.CopyNotEmpty) {
				t.Errorf("anew into what is whole: got %v", err)
			}

			few := target(b())
			few.Known = known[:1]
			if _, err := copying.Copy(t.Context(), of(t, first, "first"), few); !errors.Is(err, fault.CopyUnknown) {
				t.Errorf("an owner that is not known: got %v", err)
			}
			older := target(b())
			one, err := schema.Upto(zoo, 1)
			if err != nil {
				t.Fatal(err)
			}
			older.Known = []store.Schema{one, farm}
			if _, err := copying.Copy(t.Context(), of(t, first, "first"), older); !errors.Is(err, fault.StoreNewer) {
				t.Errorf("tables of a newer program: got %v", err)
			}
		})
	}
}

// Tables that an older program made stay as they are, for this one to bring up to date.
func TestOlderTablesStayOlder(t *testing.T) {
	t.Parallel()
	one, err := schema.Upto(zoo, 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range engines(t) {
		t.Run(name, func(t *testing.T) {
			first := open(t, b(), one)
			if err := first.Update(t.Context(), func(tx store.Tx) error {
				return tx.Exec("INSERT INTO zoo_animals (participant, id, tame) VALUES ('p', 'a', TRUE)")
			}); err != nil {
				t.Fatal(err)
			}
			there := b()
			tables, err := copying.Copy(t.Context(), of(t, first, "first"), target(there))
			if err != nil {
				t.Fatal(err)
			}
			if len(tables) != 2 {
				t.Errorf("tables %v, want the two of the first version", tables)
			}
			second := open(t, there, zoo)
			if err := second.View(t.Context(), func(tx store.Tx) error {
				var name *string
				return tx.QueryRow("SELECT name FROM zoo_animals WHERE id = 'a'").Scan(&name)
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestABackupComesBackIntoEitherEngine(t *testing.T) {
	t.Parallel()
	for from, a := range engines(t) {
		for to, b := range engines(t) {
			t.Run(from+" to "+to, func(t *testing.T) {
				first := open(t, a(), append(known, copying.Schema)...)
				fill(t, first)
				var file bytes.Buffer
				total, told := int64(0), 0
				want, err := copying.Backup(t.Context(), first, &file, copying.Manifest{Program: "test"}, func(n int64) { total = n }, func(n int) { told += n })
				if err != nil {
					t.Fatal(err)
				}
				if total != int64(told) || told < animals {
					t.Errorf("told of %d rows of %d", told, total)
				}
				archive := func() *copying.Archive {
					a, err := copying.OpenArchive(bytes.NewReader(file.Bytes()), "a.kakehashi", func(int64) {}, func(int) {})
					if err != nil {
						t.Fatal(err)
					}
					return a
				}
				there := b()
				into := target(there)
				left := 6
				into.Open = func(ctx context.Context, s ...store.Schema) (copying.Engine, error) {
					db, err := there(ctx, s...)
					return dying{db, &left}, err
				}
				if _, err := copying.Copy(t.Context(), archive(), into); !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
				got, err := copying.Copy(t.Context(), archive(), target(there))
				if err != nil {
					t.Fatal(err)
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("got\n%v, want\n%v", got, want)
				}
			})
		}
	}
}

func TestADamagedBackupIsRefused(t *testing.T) {
	t.Parallel()
	first := open(t, engines(t)["sqlite"](), known...)
	if err := first.Update(t.Context(), func(tx store.Tx) error {
		return tx.Exec("INSERT INTO farm_fields (id) VALUES ('x')")
	}); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if _, err := copying.Backup(t.Context(), first, &file, copying.Manifest{}, func(int64) {}, func(int) {}); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	var is string // what it says when it is whole
	try := func(b []byte) error {
		a, err := copying.OpenArchive(bytes.NewReader(b), "a", func(int64) {}, func(int) {})
		if err == nil {
			if says := fmt.Sprint(a.Place(), a.Manifest); is == "" {
				is = says
			} else if says != is {
				t.Errorf("it says %s, not %s", says, is)
			}
		}
		return err
	}
	if err := try(whole); err != nil {
		t.Fatal(err)
	}
	harmless := 0
	for n := range whole {
		if err := try(whole[:n]); !errors.Is(err, fault.ArchiveDamaged) {
			t.Fatalf("cut after %d bytes of %d: got %v", n, len(whole), err)
		}
		flipped := bytes.Clone(whole)
		flipped[n] ^= 1
		// gzip has bits that mean nothing, in its head and between blocks: whoever
		// turns one of these turns nothing else.
		if err := try(flipped); err != nil && !errors.Is(err, fault.ArchiveDamaged) {
			t.Fatalf("bit of byte %d of %d turned: got %v", n, len(whole), err)
		} else if err == nil {
			harmless++
		}
	}
	if harmless > 20 {
		t.Errorf("%d bits could be turned unseen", harmless)
	}
	if err := try(append(bytes.Clone(whole), 0)); !errors.Is(err, fault.ArchiveDamaged) {
		t.Errorf("a byte behind its end: got %v", err)
	}
}
