//go:build unix

package cluster

import (
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// nobody is who the server runs as when we are root, which it refuses: the user
// that its package made, or the system's nobody.
func nobody() (uid, gid int, ok bool) {
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, e1 := strconv.Atoi(u.Uid)
		gid, e2 := strconv.Atoi(u.Gid)
		if e1 == nil && e2 == nil {
			return uid, gid, true
		}
	}
	return 0, 0, false
}

func give(path string) error {
	uid, gid, ok := nobody()
	if !ok {
		return nil
	}
	return os.Chown(path, uid, gid)
}

// lower has cmd run as nobody, and out of the reach of the terminal's signals.
func lower(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if uid, gid, ok := nobody(); ok {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
}
