//go:build !unix

package postgres

import "net"

// spoke is not known here; a connection that rested for long is asked.
func spoke(net.Conn) bool { return false }
