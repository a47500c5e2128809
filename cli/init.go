package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"kakehashi/config"
	"kakehashi/internal/fault"
)

// initCommand makes the files of a new node. It never writes over one.
type initCommand struct {
	SettingFlags
	Join bool
}

// newFile is where init writes when --config does not say.
const newFile = "node.yaml"

func (i initCommand) Run(ctx context.Context, c *Context) (err error) {
	path := i.Config
	if path == "" {
		path = newFile
	}
	if err := absent(path); err != nil {
		return err
	}
	s, err := config.Load(config.Source{Path: path, New: true, Env: c.LookupEnv, Flags: i.given()})
	if err != nil {
		return err
	}
	_, given := c.LookupEnv(config.MasterKeyEnv)
	given = given || i.Join // the key of the node that is there
	if given {
		if _, err := s.MasterKey(c.LookupEnv); err != nil {
			return err
		}
	} else if err := absent(s.MasterKeyFile); err != nil {
		return err
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return cannotCreate(path, err)
	}

	var made undo
	defer func() {
		if err != nil {
			made.all()
		}
	}()
	if err := made.folder(filepath.Dir(full), 0o755); err != nil {
		return err
	}
	if err := made.folder(s.Data, 0o700); err != nil {
		return err
	}
	if s.Place("files_roots") == "" { // folders that a person named are that person's to make
		for _, root := range s.FilesRoots {
			if err := made.folder(root, 0o700); err != nil {
				return err
			}
		}
	}
	if !given {
		key, err := config.NewMasterKey(rand.Reader)
		if err != nil {
			return err
		}
		if err := made.folder(filepath.Dir(s.MasterKeyFile), 0o700); err != nil {
			return err
		}
		if err := made.file(s.MasterKeyFile, []byte(key)); err != nil {
			return err
		}
	}
	did := ""
	if c.Wiring.Init != nil {
		if did, err = c.Wiring.Init(ctx, s, i.Join); err != nil {
			return err
		}
	}
	// The file comes last: a node that it describes is whole.
	if err := made.file(path, config.Sample(c.Lang(), s, filepath.Dir(full))); err != nil {
		return err
	}
	return i.report(c, s, path, did, given)
}

func (i initCommand) report(c *Context, s config.Settings, path, did string, given bool) error {
	out := map[string]string{"config": path, "data": s.Data, "participant": s.Participant, "public_url": s.PublicURL}
	lines := []string{c.Text.T("init.config", "file", path), c.Text.T("init.data", "folder", s.Data)}
	if !given {
		out["master_key"] = s.MasterKeyFile
		lines = append(lines, c.Text.T("init.key", "file", s.MasterKeyFile))
	}
	if did != "" {
		out["did"] = did
		lines = append(lines, c.Text.T("init.did", "did", did))
	}
	lines = append(lines, c.Text.T("init.next", "file", path))
	for _, l := range lines {
		if err := c.Say(l); err != nil {
			return err
		}
	}
	return c.Emit(out)
}

// absent refuses a path at which anything stands.
func absent(path string) error {
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		return fault.FileExists.At(path)
	case !errors.Is(err, fs.ErrNotExist):
		return cannotCreate(path, err)
	}
	return nil
}

// undo remembers what was made, to take it back when a later step fails.
type undo []string

// all takes everything back, the newest first. A folder that something else was
// put into meanwhile stays.
func (u undo) all() {
	for i := len(u) - 1; i >= 0; i-- {
		_ = os.Remove(u[i])
	}
}

// folder makes a folder and those above it. One that is there is left as it is.
func (u *undo) folder(path string, mode fs.FileMode) error {
	var missing []string
	for p := path; ; p = filepath.Dir(p) {
		if _, err := os.Stat(p); err == nil || p == filepath.Dir(p) {
			break
		}
		missing = append(missing, p)
	}
	for i := len(missing) - 1; i >= 0; i-- {
		if err := os.Mkdir(missing[i], mode); err != nil {
			return cannotCreate(missing[i], err)
		}
		*u = append(*u, missing[i])
	}
	if info, err := os.Stat(path); err != nil {
		return cannotCreate(path, err)
	} else if !info.IsDir() {
		return fault.FileExists.At(path)
	}
	return nil
}

// file writes a new file that only its owner may read, down to the disk.
func (u *undo) file(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fault.FileExists.At(path)
	}
	if err != nil {
		return cannotCreate(path, err)
	}
	*u = append(*u, path)
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return cannotCreate(path, err)
	}
	return nil
}

func cannotCreate(path string, err error) error {
	return fault.CannotCreate.At(path, "reason", reason(err)).Because(err)
}

// reason is an error of the system without call and path.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
