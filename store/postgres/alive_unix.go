//go:build unix

package postgres

import (
	"net"
	"syscall"
)

// spoke tells that something has come in on a connection that rests, be it only
// its end: nothing does but a server that goes away. It looks without waiting and
// without taking.
func spoke(c net.Conn) bool {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok { // below TLS
		c = t.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return true
	}
	quiet := false
	err = raw.Control(func(fd uintptr) { // which does not block
		var one [1]byte
		_, _, e := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		quiet = e == syscall.EAGAIN || e == syscall.EINTR
	})
	return !quiet || err != nil
}
