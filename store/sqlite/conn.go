package sqlite

import (
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"modernc.org/libc"
	_ "modernc.org/sqlite" // patches its library for the platform; we drive that library ourselves
	lib "modernc.org/sqlite/lib"
)

// A connection drives the engine's C interface, which modernc.org/sqlite/lib
// exports, directly: a short statement costs less than half of what it does through
// database/sql, and two thirds of the driver alone (BenchmarkDriver).

const (
	keptStatements = 512      // on each connection
	keptArena      = 16 << 10 // bytes a statement keeps for its arguments
)

// conn is one connection. One goroutine at a time uses it.
type conn struct {
	tls   *libc.TLS
	db    uintptr
	out   uintptr // room for the two pointers that prepare gives back
	kept  map[string]*stmt
	begin *stmt
	end   *stmt
	undo  *stmt
}

// stmt is a prepared statement and the C memory its arguments live in.
type stmt struct {
	c        *conn
	p        uintptr
	params   []int // for each placeholder in the order of the text, its argument
	args     int   // how many arguments it takes
	cols     int
	readOnly bool
	inUse    bool
	kept     bool
	arena    uintptr
	size     int // of arena
}

func open(path, begin string, pragmas ...string) (*conn, error) {
	c := &conn{tls: libc.NewTLS(), kept: map[string]*stmt{}}
	c.out = lib.Xsqlite3_malloc(c.tls, 16)
	name := c.cString(path)
	defer lib.Xsqlite3_free(c.tls, name)
	const flags = lib.SQLITE_OPEN_READWRITE | lib.SQLITE_OPEN_CREATE | lib.SQLITE_OPEN_NOMUTEX
	rc := lib.Xsqlite3_open_v2(c.tls, name, c.out, flags, 0)
	c.db = *(*uintptr)(pointer(c.out))
	if rc != lib.SQLITE_OK {
		err := c.fail(rc)
		c.close()
		return nil, err
	}
	lib.Xsqlite3_extended_result_codes(c.tls, c.db, 1)
	for _, p := range pragmas {
		if err := c.script("PRAGMA " + p); err != nil {
			c.close()
			return nil, fmt.Errorf("PRAGMA %s: %w", p, err)
		}
	}
	for dest, q := range map[**stmt]string{&c.begin: begin, &c.end: "COMMIT", &c.undo: "ROLLBACK"} {
		s, err := c.prepare(q)
		if err != nil {
			c.close()
			return nil, err
		}
		*dest = s
	}
	return c, nil
}

func (c *conn) close() {
	for _, s := range c.kept {
		s.finalize()
	}
	for _, s := range []*stmt{c.begin, c.end, c.undo} {
		if s != nil {
			s.finalize()
		}
	}
	lib.Xsqlite3_close_v2(c.tls, c.db)
	lib.Xsqlite3_free(c.tls, c.out)
	c.tls.Close()
}

// fail makes an error of what the last call on c left behind.
func (c *conn) fail(rc int32) error {
	e := &engineError{code: int(rc), text: libc.GoString(lib.Xsqlite3_errstr(c.tls, rc))}
	if c.db != 0 {
		if msg := libc.GoString(lib.Xsqlite3_errmsg(c.tls, c.db)); msg != e.text && msg != "not an error" {
			e.text = msg
		}
	}
	return e
}

// idle tells that no transaction is open, also because the engine gave it up.
func (c *conn) idle() bool { return lib.Xsqlite3_get_autocommit(c.tls, c.db) != 0 }

// statement gives the kept statement for query, or a new one.
func (c *conn) statement(query string) (*stmt, error) {
	if s := c.kept[query]; s != nil && !s.inUse {
		s.inUse = true
		return s, nil
	}
	s, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	s.inUse = true
	if c.kept[query] != nil { // its rows are still open; this one goes when done
		return s, nil
	}
	if len(c.kept) >= keptStatements {
		for q, old := range c.kept { // any will do: this many is a mistake somewhere
			if !old.inUse {
				old.finalize()
				delete(c.kept, q)
				break
			}
		}
	}
	s.kept = true
	c.kept[query] = s
	return s, nil
}

func (c *conn) prepare(query string) (*stmt, error) {
	z := c.cString(query)
	defer lib.Xsqlite3_free(c.tls, z)
	p, tail, err := c.prepareAt(z, lib.SQLITE_PREPARE_PERSISTENT)
	if err != nil {
		return nil, err
	}
	if p == 0 || !blank(query[tail-z:]) {
		lib.Xsqlite3_finalize(c.tls, p)
		return nil, fmt.Errorf("store: not exactly one statement: %q", query)
	}
	s := &stmt{
		c: c, p: p,
		cols:     int(lib.Xsqlite3_column_count(c.tls, p)),
		readOnly: lib.Xsqlite3_stmt_readonly(c.tls, p) != 0,
	}
	// To SQLite $2 is a name, and names count in the order of the text.
	for i := range lib.Xsqlite3_bind_parameter_count(c.tls, p) {
		name := libc.GoString(lib.Xsqlite3_bind_parameter_name(c.tls, p, i+1))
		n, err := strconv.Atoi(strings.TrimPrefix(name, "$"))
		if err != nil || n < 1 || name[0] != '$' {
			s.finalize()
			return nil, fmt.Errorf("store: a placeholder is not like $1: %q", query)
		}
		s.params = append(s.params, n-1)
		s.args = max(s.args, n)
	}
	return s, nil
}

func (c *conn) prepareAt(z uintptr, flags uint32) (p, tail uintptr, err error) {
	if rc := lib.Xsqlite3_prepare_v3(c.tls, c.db, z, -1, flags, c.out, c.out+8); rc != lib.SQLITE_OK {
		return 0, 0, c.fail(rc)
	}
	return *(*uintptr)(pointer(c.out)), *(*uintptr)(pointer(c.out + 8)), nil
}

// script runs every statement of text and drops what they answer.
func (c *conn) script(text string) error {
	z := c.cString(text)
	defer lib.Xsqlite3_free(c.tls, z)
	for at, end := z, z+uintptr(len(text)); at < end; {
		p, tail, err := c.prepareAt(at, 0)
		if err != nil {
			return err
		}
		at = tail
		if p == 0 { // only blanks or a comment
			continue
		}
		s := stmt{c: c, p: p}
		for more := true; more && err == nil; {
			more, err = s.step()
		}
		s.finalize()
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *stmt) finalize() {
	lib.Xsqlite3_finalize(s.c.tls, s.p)
	lib.Xsqlite3_free(s.c.tls, s.arena)
	s.p, s.arena, s.size = 0, 0, 0
}

// run executes a statement that takes nothing and answers nothing.
func (s *stmt) run() error {
	_, err := s.step()
	lib.Xsqlite3_reset(s.c.tls, s.p)
	return err
}

// step gives true when there is a row.
func (s *stmt) step() (bool, error) {
	switch rc := lib.Xsqlite3_step(s.c.tls, s.p); rc {
	case lib.SQLITE_ROW:
		return true, nil
	case lib.SQLITE_DONE:
		return false, nil
	default:
		return false, s.c.fail(rc)
	}
}

// release makes s ready for its next use.
func (s *stmt) release() {
	s.inUse = false
	if !s.kept {
		s.finalize()
		return
	}
	lib.Xsqlite3_reset(s.c.tls, s.p)
	if s.size > keptArena {
		lib.Xsqlite3_clear_bindings(s.c.tls, s.p)
		lib.Xsqlite3_free(s.c.tls, s.arena)
		s.arena, s.size = 0, 0
	}
}

func (c *conn) cString(s string) uintptr {
	p := lib.Xsqlite3_malloc(c.tls, int32(len(s)+1))
	b := memory(p, len(s)+1)
	copy(b, s)
	b[len(s)] = 0
	return p
}

// pointer turns an address in C memory, which the collector never moves or
// frees, into a pointer.
func pointer(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

func memory(p uintptr, n int) []byte { return unsafe.Slice((*byte)(pointer(p)), n) }

func blank(s string) bool {
	for _, r := range s {
		if r != ' ' && r != '\n' && r != '\t' && r != '\r' && r != ';' {
			return false
		}
	}
	return true
}
