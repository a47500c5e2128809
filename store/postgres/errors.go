package postgres

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"kakehashi/internal/fault"
	"kakehashi/store"
)

var (
	errWriteInView = errors.New("store: a View only reads")
	errOver        = errors.New("store: the unit is over, its Tx cannot be used any more")
)

// unknown is a commit whose answer was lost.
type unknown struct{ error }

func (u *unknown) Unwrap() error { return u.error }

// translate gives err its meaning for callers: ErrConflict for a key that is
// taken, a fault that is also Unavailable for what the database refuses. Texts
// of the server name tables and columns; their details, which hold values, are
// left out by pgconn.
func (db *DB) translate(err error, view bool) error {
	var l *lost
	var u *unknown
	switch {
	case errors.As(err, &u):
		return store.Refused(fault.StoreUnknown, db.place, err)
	case errors.As(err, &l):
		return store.Refused(fault.StoreAway, db.place, err)
	}
	code := state(err)
	switch {
	case code == "":
		return err
	case code == "23505":
		return fmt.Errorf("%w: %w", store.ErrConflict, err)
	case code == "25006" && view:
		return fmt.Errorf("%w: %w", errWriteInView, err)
	case code == "25006":
		return store.Refused(fault.StoreReadOnly, db.place, err)
	case code == "53100":
		return store.Refused(fault.StoreFull, db.place, err)
	case code == "54000": // an index holds no more than a third of a page in a row
		return fault.StoreKey.At("").Because(err)
	case code == "26000":
		f := store.Refused(fault.StoreRefused, db.place, err)
		f.Args = map[string]string{"reason": "a pooler in between gives a session to several programs (pool_mode must be session)"}
		return f
	case serial(code):
		return store.Refused(fault.StoreBusy, db.place, err)
	case code == "57014" || code[:2] == "53" || code[:2] == "57" || code[:2] == "58" || code[:2] == "XX":
		return fault.Unavailable.At(db.place).Because(err)
	}
	return err
}

// state is what the server calls an error, "" when it is not the server's.
func state(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) && len(e.Code) == 5 {
		return e.Code
	}
	return ""
}

// serial tells of a unit that met another and has to run again: not to be put in
// an order, in a circle, or waiting too long for a row.
func serial(code string) bool { return code == "40001" || code == "40P01" || code == "55P03" }

// full is what a server says that takes no more connections.
const full = "53300"

// stale tells of a connection whose prepared statements the server does not
// take any more, or of a table that has other columns than we know.
func stale(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "26000" || e.Code == "0A000" && strings.Contains(e.Message, "cached plan") ||
		e.Code == "08P01" && strings.Contains(e.Message, "result formats"))
}

// refusedEntry gives a connection that could not be opened its meaning.
func (db *DB) refusedEntry(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	var e *pgconn.PgError
	if errors.As(err, &e) && len(e.Code) == 5 {
		if e.Code == full {
			return store.Refused(fault.StoreCrowded, db.place, err)
		}
		switch e.Code[:2] {
		case "28", "3D", "42", "22", "53":
			f := store.Refused(fault.StoreRefused, db.place, err)
			f.Args = map[string]string{"reason": e.Message}
			return f
		}
	}
	if why := untrusted(err); why != "" {
		f := store.Refused(fault.StoreRefused, db.place, err)
		f.Args = map[string]string{"reason": why}
		return f
	}
	return store.Refused(fault.StoreAway, db.place, err)
}

// untrusted tells why the line could not be protected, "" if that was not it.
func untrusted(err error) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &authority):
		return authority.Error()
	case errors.As(err, &name):
		return name.Error()
	case errors.As(err, &invalid):
		return invalid.Error()
	case strings.Contains(err.Error(), "server refused TLS connection"):
		return "server refused TLS connection"
	}
	return ""
}

// place is where cfg points, without its secrets.
func place(cfg *pgconn.Config) string {
	if strings.HasPrefix(cfg.Host, "/") {
		return cfg.Host + "/" + cfg.Database
	}
	return net.JoinHostPort(cfg.Host, fmt.Sprint(cfg.Port)) + "/" + cfg.Database
}
