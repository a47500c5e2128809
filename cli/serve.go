package cli

import (
	"context"
	"log/slog"
	"runtime/debug"

	"kakehashi/config"
	"kakehashi/node"
)

// serveCommand runs one node until it is told to stop.
type serveCommand struct{ SettingFlags }

func (s serveCommand) Run(ctx context.Context, c *Context) error {
	settings, err := s.Load(c)
	if err != nil {
		return err
	}
	key, err := settings.MasterKey(c.LookupEnv)
	if err != nil {
		return err
	}
	// A node's live heap is a few MiB, so that Go's default collects all the time.
	if _, set := c.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(300)
	}
	options := &slog.HandlerOptions{Level: settings.Level()}
	var h slog.Handler = slog.NewTextHandler(c.Stderr, options)
	if settings.LogFormat == "json" {
		h = slog.NewJSONHandler(c.Stderr, options)
	}
	n, err := node.Open(ctx, node.Config{Settings: settings, MasterKey: key, Version: Version(), Now: c.Now, Log: slog.New(h)})
	if err != nil {
		return err
	}
	if err := c.Say(c.Text.T("serve.listening", "public", n.PublicURL(), "admin", n.AdminURL())); err != nil {
		return err
	}
	if err := c.Emit(map[string]string{"public_url": n.PublicURL(), "admin_url": n.AdminURL()}); err != nil {
		return err
	}
	return n.Run(ctx)
}

// InitNode is the InitFunc of the real program.
func InitNode(lookup func(string) (string, bool)) InitFunc {
	return func(ctx context.Context, s config.Settings, join bool) (string, error) {
		key, err := s.MasterKey(lookup)
		if err != nil {
			return "", err
		}
		if join {
			return node.Join(ctx, s, key)
		}
		return node.Init(ctx, s, key)
	}
}
