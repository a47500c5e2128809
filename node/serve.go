package node

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"

	"kakehashi/dataplane"
	"kakehashi/internal/bound"
)

// connections is how many a listener may hold: the setting, and no more than the
// part of the files that the system lets this program open, so that the store and
// calls of ours find some left.
func (n *Node) connections(name string, part int) int {
	most := n.c.Settings.ListenerConnections
	if files := openFiles(); files > 0 && files/part < most {
		most = max(files/part, 16)
		n.c.Log.WarnContext(context.Background(), "the system's limit of open files allows fewer connections than listener_connections",
			"listener", name, "connections", most, "files", files)
	}
	return most
}

// server serves one listener. Its connections are bounded so that idle ones never
// keep others out.
func (n *Node) server(h http.Handler, name string, part int) *http.Server {
	s := &http.Server{
		Handler: n.health(h), ReadHeaderTimeout: headerWithin, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog:  slog.NewLogLogger(n.c.Log.Handler(), slog.LevelDebug),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13},
	}
	bound.NewConnections(n.connections(name, part)).Serve(s, dataplane.ConnContext) // which lets a cut end a response by reset
	return s
}

// headerWithin is how long a connection may take for the head of a request.
const headerWithin = 10 * time.Second
