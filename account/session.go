package account

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/store"
)

const (
	linkLives    = 10 * time.Minute
	sessionIdle  = 30 * time.Minute
	sessionLives = 12 * time.Hour
	seenEvery    = time.Minute // how often use of a session is written

	portalName = "portal"
)

// NewLink makes a code that opens one portal session of participant p, once,
// within 10 minutes.
func (r *Room) NewLink(ctx context.Context, p participant.ID) (string, error) {
	code, digest, err := r.secret()
	if err != nil {
		return "", err
	}
	now := r.now()
	if err := r.db.Update(ctx, func(tx store.Tx) error {
		if err := tx.Exec(`DELETE FROM account_links WHERE participant = $1 AND expires <= $2`, string(p), now.UnixMicro()); err != nil {
			return err
		}
		return tx.Exec(`INSERT INTO account_links (participant, digest, expires) VALUES ($1, $2, $3)`,
			string(p), digest, now.Add(linkLives).UnixMicro())
	}); err != nil {
		return "", fmt.Errorf("keep login link: %w", err)
	}
	return code, nil
}

// Redeem turns the code of a login link into a session; of several who try, one
// gets it. The session is for a cookie: it can be read here and never again. A
// code that is unknown, used or too old is fault.LoginCodeInvalid.
func (r *Room) Redeem(ctx context.Context, code string) (string, error) {
	if len(code) != secretChars {
		return "", fault.LoginCodeInvalid.At("")
	}
	session, digest, err := r.secret()
	if err != nil {
		return "", err
	}
	now := r.now()
	err = r.db.Update(ctx, func(tx store.Tx) error {
		var p string
		var expires int64
		err := tx.QueryRow(`DELETE FROM account_links WHERE digest = $1 RETURNING participant, expires`, digestOf(code)).Scan(&p, &expires)
		if errors.Is(err, store.ErrNotFound) || err == nil && now.UnixMicro() >= expires {
			return fault.LoginCodeInvalid.At("")
		}
		if err != nil {
			return err
		}
		if err := tx.Exec(`DELETE FROM account_sessions WHERE participant = $1 AND (expires <= $2 OR seen <= $3)`,
			p, now.UnixMicro(), now.Add(-sessionIdle).UnixMicro()); err != nil {
			return err
		}
		return tx.Exec(`INSERT INTO account_sessions (participant, digest, name, scopes, seen, expires) VALUES ($1, $2, $3, $4, $5, $6)`,
			p, digest, portalName, Admin, now.UnixMicro(), now.Add(sessionLives).UnixMicro())
	})
	if err != nil {
		return "", fmt.Errorf("redeem login link: %w", err)
	}
	return session, nil
}

// Session says who works in a session. It ends 30 minutes after its last use and
// 12 hours after its beginning; then, or when it is unknown, the error is
// fault.SessionEnded. Use is written once a minute at most.
func (r *Room) Session(ctx context.Context, session string) (Principal, error) {
	if len(session) != secretChars {
		return Principal{}, fault.SessionEnded.At("")
	}
	digest, now := digestOf(session), r.now()
	var who Principal
	var p string
	var seen, expires int64
	err := r.db.View(ctx, func(tx store.Tx) error {
		var scopes string
		if err := tx.QueryRow(`SELECT participant, name, scopes, seen, expires FROM account_sessions WHERE digest = $1`, digest).
			Scan(&p, &who.Name, &scopes, &seen, &expires); err != nil {
			return err
		}
		who.Participant, who.Scopes = participant.ID(p), strings.Fields(scopes)
		return nil
	})
	if errors.Is(err, store.ErrNotFound) {
		return Principal{}, fault.SessionEnded.At("")
	}
	if err != nil {
		return Principal{}, fmt.Errorf("read session: %w", err)
	}
	last := time.UnixMicro(seen)
	if now.UnixMicro() >= expires || now.Sub(last) >= sessionIdle {
		return Principal{}, fault.SessionEnded.At("")
	}
	if now.Sub(last) >= seenEvery {
		// A session that was logged out meanwhile is not brought back by this.
		if err := r.db.Update(ctx, func(tx store.Tx) error {
			return tx.Exec(`UPDATE account_sessions SET seen = $1 WHERE participant = $2 AND digest = $3 AND seen < $4`,
				now.UnixMicro(), p, digest, now.UnixMicro())
		}); err != nil {
			return Principal{}, fmt.Errorf("keep session: %w", err)
		}
	}
	return who, nil
}

// Logout ends a session; one that is unknown is no error.
func (r *Room) Logout(ctx context.Context, session string) error {
	digest := digestOf(session)
	if err := r.db.Update(ctx, func(tx store.Tx) error {
		return tx.Exec(`DELETE FROM account_sessions
			WHERE (participant, digest) IN (SELECT participant, digest FROM account_sessions WHERE digest = $1)`, digest)
	}); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return nil
}
