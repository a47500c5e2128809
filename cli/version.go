package cli

import (
	"runtime"
	"runtime/debug"
)

type versionCommand struct{}

// version is what the compiler wrote into the program.
type version struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// built reads what the compiler wrote into the program.
func built() version {
	v := version{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

// Version is the program's version, as the API shows it.
func Version() string { return built().Version }

func (versionCommand) Run(c *Context) error {
	v := built()
	if err := c.Emit(v); err != nil {
		return err
	}
	revision := v.Revision
	switch {
	case revision == "": // go run and go test record none
		revision = c.Text.T("version.none")
	case v.Modified:
		revision += " " + c.Text.T("version.modified")
	}
	return c.Say(c.Text.T("version.line", "version", v.Version, "revision", revision, "go", v.Go, "platform", v.Platform))
}
