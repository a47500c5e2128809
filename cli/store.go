package cli

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"kakehashi/cli/progress"
	"kakehashi/internal/fault"
	found "kakehashi/internal/finding"
	"kakehashi/node"
	"kakehashi/store/copying"
)

// storeCommand is for who runs a node: what it keeps, as a whole.
type storeCommand struct {
	Check   storeCheck   `cmd:""`
	Copy    storeCopy    `cmd:""`
	Backup  storeBackup  `cmd:""`
	Restore storeRestore `cmd:""`
	Drop    storeDrop    `cmd:""`
}

func newStore() *storeCommand {
	return &storeCommand{Check: storeCheck{SettingFlags: NewSettingFlags()}, Copy: storeCopy{SettingFlags: NewSettingFlags()}, Backup: storeBackup{SettingFlags: NewSettingFlags()},
		Restore: storeRestore{SettingFlags: NewSettingFlags()}, Drop: storeDrop{SettingFlags: NewSettingFlags()}}
}

// watched shows a bar for each step of work on a store.
func watched(c *Context, f func(node.Work) error) error {
	d := c.Progress()
	var all []*progress.Counter
	err := f(func(step string, rows int64) func(int) {
		n := d.Rows(c.Text.T("store.step."+step), rows)
		all = append(all, n)
		return func(rows int) { n.Add(int64(rows)) }
	})
	if err == nil {
		for _, n := range all {
			n.Done()
		}
	}
	d.Close()
	return err
}

// tables prints what was copied, for machines a line for each table.
func tables(c *Context, all []copying.Table) (rows string, err error) {
	n := int64(0)
	for _, t := range all {
		n += t.Rows
		if err := c.Emit(t); err != nil {
			return "", err
		}
	}
	return strconv.FormatInt(n, 10), nil
}

type storeCopy struct {
	SettingFlags
	To    string `required:"" placeholder:"URL|FILE"`
	Again bool
}

func (s storeCopy) Run(ctx context.Context, c *Context) error {
	settings, err := s.Load(c)
	if err != nil {
		return err
	}
	var all []copying.Table
	var place string
	if err := watched(c, func(w node.Work) (err error) {
		all, place, err = node.CopyStore(ctx, settings, s.To, s.Again, w)
		return err
	}); err != nil {
		return err
	}
	rows, err := tables(c, all)
	if err != nil {
		return err
	}
	if err := c.Emit(map[string]string{"copied": place, "rows": rows}); err != nil {
		return err
	}
	if err := c.Say(c.Text.T("store.copied", "place", place, "rows", rows, "tables", len(all))); err != nil {
		return err
	}
	if filepath.IsAbs(place) && filepath.Ext(place) == ".db" {
		return c.Say(c.Text.T("store.next.file", "file", place, "data", settings.Data))
	}
	return c.Say(c.Text.T("store.next.server", "place", place))
}

type storeBackup struct {
	SettingFlags
	File string `arg:""`
}

func (s storeBackup) Run(ctx context.Context, c *Context) (err error) {
	settings, err := s.Load(c)
	if err != nil {
		return err
	}
	if err := absent(s.File); err != nil {
		return err
	}
	// Under another name until it is whole and on the disk: what has the name is a backup.
	part := s.File + ".part"
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return cannotCreate(part, err)
	}
	defer func() {
		_ = f.Close()
		if err != nil {
			_ = os.Remove(part)
		}
	}()
	var all []copying.Table
	if err := watched(c, func(w node.Work) (err error) {
		out := &disk{f: f}
		if all, err = node.BackupStore(ctx, settings, Version(), out, w); err != nil {
			return out.explain(err, s.File)
		}
		if err := f.Sync(); err != nil {
			return cannotCreate(s.File, err)
		}
		_, err = node.VerifyBackup(f, s.File, w)
		return err
	}); err != nil {
		return err
	}
	if err := os.Link(part, s.File); err != nil { // never over a file that came meanwhile
		if errors.Is(err, fs.ErrExist) {
			return fault.FileExists.At(s.File)
		}
		if err := os.Rename(part, s.File); err != nil {
			return cannotCreate(s.File, err)
		}
	} else if err := os.Remove(part); err != nil {
		return cannotCreate(s.File, err)
	}
	size := int64(0)
	if info, err := f.Stat(); err == nil {
		size = info.Size()
	}
	rows, err := tables(c, all)
	if err != nil {
		return err
	}
	if err := c.Emit(map[string]any{"backup": s.File, "rows": rows, "bytes": size}); err != nil {
		return err
	}
	if err := c.Say(c.Text.T("store.kept", "file", s.File, "rows", rows, "tables", len(all), "size", Bytes(size))); err != nil {
		return err
	}
	return c.Say(c.Text.T("store.kept.without", "key", settings.MasterKeyFile))
}

// disk remembers that it was the file that failed, not the store.
type disk struct {
	f      *os.File
	failed error
}

func (d *disk) Write(b []byte) (int, error) {
	n, err := d.f.Write(b)
	if err != nil {
		d.failed = err
	}
	return n, err
}

func (d *disk) explain(err error, path string) error {
	if d.failed != nil {
		return cannotCreate(path, d.failed)
	}
	return err
}

type storeRestore struct {
	SettingFlags
	File  string `arg:""`
	To    string `placeholder:"URL|FILE"`
	Again bool
}

func (s storeRestore) Run(ctx context.Context, c *Context) error {
	settings, err := s.Load(c)
	if err != nil {
		return err
	}
	f, err := os.Open(s.File)
	if err != nil {
		return cannotRead(s.File, err)
	}
	defer f.Close()
	var all []copying.Table
	var place, of string
	if err := watched(c, func(w node.Work) error {
		a, err := node.VerifyBackup(f, s.File, w)
		if err != nil {
			return err
		}
		of = a.Made.Format("2006-01-02 15:04:05 MST")
		all, place, err = node.RestoreStore(ctx, settings, a, s.To, s.Again, w)
		return err
	}); err != nil {
		return err
	}
	rows, err := tables(c, all)
	if err != nil {
		return err
	}
	if err := c.Emit(map[string]string{"restored": place, "rows": rows, "made": of}); err != nil {
		return err
	}
	if err := c.Say(c.Text.T("store.restored", "place", place, "rows", rows, "tables", len(all), "made", of)); err != nil {
		return err
	}
	return c.Say(c.Text.T("store.restored.next"))
}

type storeDrop struct {
	SettingFlags
	Name string `arg:""`
	Yes  bool
}

func (s storeDrop) Run(ctx context.Context, c *Context) error {
	settings, err := s.Load(c)
	if err != nil {
		return err
	}
	n, rows, err := node.DropService(ctx, settings, s.Name, s.Yes)
	if err != nil {
		return err
	}
	if err := c.Emit(map[string]any{"dropped": s.Name, "tables": n, "rows": rows}); err != nil {
		return err
	}
	return c.Say(c.Text.T("store.dropped", "name", s.Name, "tables", n, "rows", rows))
}

type storeCheck struct{ SettingFlags }

// finding is one finding with --json.
type finding struct {
	Code   string `json:"finding"`
	What   string `json:"what"`
	Remedy string `json:"remedy"`
	Place  string `json:"place,omitempty"`
}

// Run gives exit code 1 when something was found.
func (s storeCheck) Run(ctx context.Context, c *Context) error {
	settings, err := s.Load(c)
	if err != nil {
		return err
	}
	key, err := settings.MasterKey(c.LookupEnv)
	if err != nil {
		return err
	}
	var r *found.Report
	if err := watched(c, func(w node.Work) (err error) {
		r, err = node.CheckStore(ctx, settings, key, w)
		return err
	}); err != nil {
		return err
	}
	counts := map[string]int64{}
	for _, n := range r.Counts {
		counts[n.What] = n.N
		if err := c.Say(c.Text.T("store.check.count", "n", n.N, "what", n.What)); err != nil {
			return err
		}
	}
	lang := c.Lang()
	for _, f := range r.Findings {
		if err := c.Emit(finding{f.Kind.Code, f.What(lang), f.Remedy(lang), f.Place}); err != nil {
			return err
		}
		if err := c.Say(f.Kind.Code + ": " + f.What(lang) + " (" + f.Place + ")\n  → " + f.Remedy(lang)); err != nil {
			return err
		}
	}
	for _, code := range slices.Sorted(maps.Keys(r.More)) {
		if err := c.Say(c.Text.T("store.check.more", "n", r.More[code], "code", code)); err != nil {
			return err
		}
	}
	if err := c.Emit(map[string]any{"counts": counts, "findings": len(r.Findings), "more": r.More}); err != nil {
		return err
	}
	if len(r.Findings) == 0 {
		return c.Say(c.Text.T("store.check.none"))
	}
	if err := c.Say(c.Text.T("store.check.some", "n", len(r.Findings))); err != nil {
		return err
	}
	return Exit(ExitFailed)
}
