package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kakehashi/config"
	"kakehashi/internal/fault"
	"kakehashi/replica"
	"kakehashi/store"
	"kakehashi/store/copying"
	"kakehashi/store/postgres"
	"kakehashi/store/schema"
	"kakehashi/store/sqlite"
)

// Work is who watches what takes long on a store: it is told that a step begins
// with so many rows, and of the rows that are done. Steps are "copy", "compare",
// "backup", "read" and "check".
type Work func(step string, rows int64) (done func(rows int))

// storePlace names the store of s without secrets.
func storePlace(s config.Settings) string {
	if s.Store == "" {
		return filepath.Join(s.Data, databaseFile)
	}
	if place, err := postgres.Place(s.Store); err == nil {
		return place
	}
	return "the setting store"
}

// elsewhere is s with its store at a URL or in a file.
func elsewhere(s config.Settings, to string) (config.Settings, error) {
	if strings.HasPrefix(to, "postgres://") || strings.HasPrefix(to, "postgresql://") {
		if _, err := postgres.Parse(to); err != nil {
			return s, fault.BadUsage.At("--to", "command", "--to", "reason", err.Error())
		}
		s.Store = to
		return s, nil
	}
	s.Store = ""
	return s, nil
}

// opener opens the store that to names, s's own for "", for writing.
func opener(s config.Settings, to string) (open func(context.Context, ...store.Schema) (copying.Engine, error), place string, err error) {
	path := filepath.Join(s.Data, databaseFile)
	if to != "" {
		if s, err = elsewhere(s, to); err != nil {
			return nil, "", err
		}
		if s.Store == "" {
			if path, err = filepath.Abs(to); err != nil {
				return nil, "", err
			}
		}
	}
	quiet := slog.New(slog.DiscardHandler) // large units are meant to be slow
	if s.Store != "" {
		return func(ctx context.Context, schemas ...store.Schema) (copying.Engine, error) {
			return postgres.Open(ctx, postgres.Config{URL: s.Store, Schemas: schemas, Log: quiet})
		}, storePlace(s), nil
	}
	return func(ctx context.Context, schemas ...store.Schema) (copying.Engine, error) {
		return sqlite.Open(ctx, sqlite.Config{Path: path, Schemas: schemas, Log: quiet, Cache: 8 << 10})
	}, path, nil
}

// idle opens the store of s, which no node may be serving: fault.StoreInUse,
// fault.StoreServed. wait is as for replica.Serving.
func idle(ctx context.Context, s config.Settings, wait func(context.Context) error) (_ copying.Engine, err error) {
	open, place, err := opener(s, "")
	if err != nil {
		return nil, err
	}
	if s.Store == "" {
		if _, err := os.Stat(place); errors.Is(err, fs.ErrNotExist) {
			return nil, fault.NoParticipant.At(s.Data, "data", s.Data)
		}
	}
	db, err := open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	return db, alone(ctx, db, place, s.Store == "", wait)
}

// alone sees that no replica serves db. A file's lock has shown it already.
func alone(ctx context.Context, db copying.Engine, place string, locked bool, wait func(context.Context) error) error {
	if locked {
		return nil
	}
	tables, err := tablesOf(ctx, db)
	if err != nil || len(tables[replica.Schema.Owner]) < 2 {
		return err
	}
	id, err := replica.Serving(ctx, db, wait)
	if err == nil && id != "" {
		err = fault.StoreServed.At(place, "place", place, "replica", id)
	}
	return err
}

// beats is long enough for a replica that lives to raise its counter.
func beats(ctx context.Context) error {
	t := time.NewTimer(3 * time.Second)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tablesOf lists the tables of each owner.
func tablesOf(ctx context.Context, db copying.Engine) (map[string][]schema.Table, error) {
	out := map[string][]schema.Table{}
	err := db.View(ctx, func(tx store.Tx) error {
		all, err := db.Tables(tx)
		for _, t := range all {
			out[t.Owner()] = append(out[t.Owner()], t)
		}
		return err
	})
	return out, err
}

// CopyStore copies all that the store of s holds to another one, a URL of a server
// or a file, which is empty or holds a copy of the same that was begun. Nobody may
// serve either. The store of s is left as it is. place is where the copy is.
func CopyStore(ctx context.Context, s config.Settings, to string, again bool, work Work) (tables []copying.Table, place string, err error) {
	open, place, err := opener(s, to)
	if err != nil {
		return nil, "", err
	}
	from := storePlace(s)
	if from == place {
		return nil, "", fault.CopyItself.At(place, "place", place)
	}
	db, err := idle(ctx, s, beats)
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := copying.Whole(ctx, whole{db}, from); err != nil {
		return nil, "", err
	}
	src, err := copying.Of(ctx, db, from)
	if err != nil {
		return nil, "", err
	}
	if len(src.Tables()) == 0 {
		return nil, "", fault.NoParticipant.At(from, "data", from)
	}
	tables, err = into(ctx, s, src, open, place, again, work)
	if err == nil { // who came meanwhile may have written behind the last look
		err = alone(ctx, db, from, s.Store == "", beats)
	}
	return tables, place, err
}

func into(ctx context.Context, s config.Settings, src copying.Source, open func(context.Context, ...store.Schema) (copying.Engine, error), place string, again bool, work Work) ([]copying.Table, error) {
	return copying.Copy(ctx, src, copying.Target{Open: open, Place: place, Known: schemas(s), Again: again, Now: time.Now,
		Copied: work("copy", src.Rows()), Compared: work("compare", 2*src.Rows())})
}

// whole lets copying.Whole look at a store that an older program made.
type whole struct{ copying.Engine }

func (w whole) View(ctx context.Context, fn func(store.Tx) error) error {
	tables, err := tablesOf(ctx, w.Engine)
	if err != nil || len(tables[copying.Schema.Owner]) < 2 {
		return err
	}
	return w.Engine.View(ctx, fn)
}

// reading opens the store of s for reading, also while it is served.
func reading(ctx context.Context, s config.Settings) (_ copying.Engine, err error) {
	var db copying.Engine
	if s.Store != "" {
		db, err = postgres.Open(ctx, postgres.Config{URL: s.Store, Log: slog.New(slog.DiscardHandler)})
	} else {
		db, err = sqlite.Look(ctx, filepath.Join(s.Data, databaseFile))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.NoParticipant.At(s.Data, "data", s.Data)
	}
	if err != nil {
		return nil, err
	}
	if err := copying.Whole(ctx, whole{db}, storePlace(s)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// BackupStore writes all that the store of s holds at one moment to w, also while
// nodes serve it. The master key, the settings and the files of the data folder are
// not in it; what the master key encrypts stays encrypted.
func BackupStore(ctx context.Context, s config.Settings, version string, w io.Writer, work Work) (tables []copying.Table, err error) {
	db, err := reading(ctx, s)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var told func(int)
	return copying.Backup(ctx, db, w, copying.Manifest{Made: time.Now().UTC(), Program: version, Place: storePlace(s)},
		func(n int64) { told = work("backup", n) }, func(n int) { told(n) })
}

// VerifyBackup reads a backup through. name is how it is called in errors.
func VerifyBackup(file io.ReadSeeker, name string, work Work) (*copying.Archive, error) {
	var told func(int)
	return copying.OpenArchive(file, name, func(n int64) { told = work("read", n) }, func(n int) { told(n) })
}

// RestoreStore fills an empty store, that of s or the one that to names, with a
// backup, and compares both.
func RestoreStore(ctx context.Context, s config.Settings, a *copying.Archive, to string, again bool, work Work) (tables []copying.Table, place string, err error) {
	open, place, err := opener(s, to)
	if err != nil {
		return nil, "", err
	}
	tables, err = into(ctx, s, a, open, place, again, work)
	return tables, place, err
}

// DropService removes the tables of a service that the node does not have any more
// or that is switched off, if sure; else fault.DropUnsure says what that would be.
func DropService(ctx context.Context, s config.Settings, name string, sure bool) (tables int, rows int64, err error) {
	if slices.ContainsFunc(schemas(s), func(o store.Schema) bool { return o.Owner == name }) {
		return 0, 0, fault.DropInUse.At(name, "owner", name)
	}
	db, err := idle(ctx, s, func(context.Context) error { return nil }) // what is switched off nobody writes to
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	all, err := tablesOf(ctx, db)
	if err != nil {
		return 0, 0, err
	}
	its := all[name]
	if len(its) == 0 {
		return 0, 0, fault.DropNothing.At(name, "owner", name, "place", storePlace(s))
	}
	err = db.Update(ctx, func(tx store.Tx) error {
		if rows, err = copying.Count(tx, its); err != nil {
			return err
		}
		if !sure {
			return fault.DropUnsure.At(name, "owner", name, "tables", len(its), "rows", rows)
		}
		for _, t := range its {
			if err := tx.Exec("DROP TABLE " + t.Name); err != nil {
				return fmt.Errorf("remove %s: %w", t.Name, err)
			}
		}
		return nil
	})
	return len(its), rows, err
}
