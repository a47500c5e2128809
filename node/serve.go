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
func (n *Node) connections(part int) int {
	most := n.c.Settings.ListenerConnections
	if files := openFiles(); files > 0 && files/part < most {
		most = max(files/part, 16)
		if part == publicPart { // the few of our own people have enough
			n.c.Log.WarnContext(context.Background(), "the system's limit of open files allows fewer connections than listener_connections",
				"connections", most, "files", files)
		}
	}
	return most
}

// server serves one listener. Its connections are bounded so that idle ones never
// keep others out.
func (n *Node) server(h http.Handler, part int) *http.Server {
	s := &http.Server{
		Handler: n.health(h), ReadHeaderTimeout: n.c.Head, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog:  slog.NewLogLogger(n.c.Log.Handler(), slog.LevelDebug),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13},
	}
	bound.NewConnections(n.connections(part)).Serve(s, dataplane.ConnContext) // which lets a cut end a response by reset
	return s
}

// headWithin is how long a connection may take for the head of a request.
const headWithin = 10 * time.Second

// What part of the files that may be open the connections of a listener are.
const (
	publicPart = 2
	adminPart  = 8
)
