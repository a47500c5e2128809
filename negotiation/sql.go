package negotiation

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"kakehashi/participant"
	"kakehashi/process"
	"kakehashi/store"
)

//go:embed schema/*.sql
var files embed.FS

// Schema is what this room keeps.
var Schema = store.Schema{Owner: "negotiation", Files: sub(files)}

func sub(f embed.FS) fs.FS {
	d, err := fs.Sub(f, "schema")
	if err != nil {
		return f // only for a malformed literal
	}
	return d
}

// errMoved is returned by save when another unit moved the process since it
// was read: read it again and judge again.
var errMoved = errors.New("the process moved meanwhile")

// insert keeps a new process; store.ErrConflict when the counterpart's pid or
// the idempotency key has one already.
func insert(tx store.Tx, p Process) error {
	b, err := p.encode()
	if err != nil {
		return err
	}
	return tx.Exec(`INSERT INTO negotiation_processes
		(participant, id, role, counterparty, peer_pid, start_key, state, version, agreement, body, created, updated)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		string(p.Participant), p.ID, string(p.Role), p.Counterparty, null(p.PeerPid), null(p.Key),
		string(p.State), p.Version, p.Agreement, b, p.Created.UnixMicro(), p.Updated.UnixMicro())
}

// save replaces the process if it is still at version was.
func save(tx store.Tx, p Process, was int64) error {
	b, err := p.encode()
	if err != nil {
		return err
	}
	var v int64
	err = tx.QueryRow(`UPDATE negotiation_processes
		SET peer_pid = $1, state = $2, version = $3, agreement = $4, body = $5, updated = $6
		WHERE participant = $7 AND id = $8 AND version = $9 RETURNING version`,
		null(p.PeerPid), string(p.State), p.Version, p.Agreement, b, p.Updated.UnixMicro(),
		string(p.Participant), p.ID, was).Scan(&v)
	if errors.Is(err, store.ErrNotFound) {
		return errMoved
	}
	return err
}

const columns = `id, role, counterparty, peer_pid, start_key, state, version, agreement, body, created, updated`

func scan(row store.Row, p participant.ID) (Process, error) {
	var (
		q                = Process{Head: process.Head{Participant: p}}
		role, state      string
		peer, key        *string
		body             []byte
		created, updated int64
	)
	err := row.Scan(&q.ID, &role, &q.Counterparty, &peer, &key, &state, &q.Version, &q.Agreement, &body, &created, &updated)
	if err != nil {
		return Process{}, err
	}
	q.Role, q.State = Role(role), State(state)
	if peer != nil {
		q.PeerPid = *peer
	}
	if key != nil {
		q.Key = *key
	}
	q.Created, q.Updated = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return q, q.decode(body)
}

// load reads by our pid.
func load(tx store.Tx, p participant.ID, id string) (Process, error) {
	return scan(tx.QueryRow(`SELECT `+columns+` FROM negotiation_processes WHERE participant = $1 AND id = $2`, string(p), id), p)
}

// loadPeer reads by the counterpart's pid.
func loadPeer(tx store.Tx, p participant.ID, counterparty string, role Role, pid string) (Process, error) {
	return scan(tx.QueryRow(`SELECT `+columns+` FROM negotiation_processes
		WHERE participant = $1 AND counterparty = $2 AND role = $3 AND peer_pid = $4`,
		string(p), counterparty, string(role), pid), p)
}

// loadKey reads by the idempotency key of Start.
func loadKey(tx store.Tx, p participant.ID, key string) (Process, error) {
	return scan(tx.QueryRow(`SELECT `+columns+` FROM negotiation_processes WHERE participant = $1 AND start_key = $2`, string(p), key), p)
}

// countOpen reads how many processes a counterpart has open.
func (r *Room) countOpen(ctx context.Context, p participant.ID, counterparty string) (int, error) {
	var n int64
	err := r.db.View(ctx, func(tx store.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*) FROM negotiation_processes
			WHERE participant = $1 AND counterparty = $2 AND state NOT IN ('FINALIZED', 'TERMINATED')`, string(p), counterparty).Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("count what %s has open: %w", counterparty, err)
	}
	return int(n), nil
}

// wait notes that a process waits for a decision, or that it does no more.
func wait(tx store.Tx, p participant.ID, id string, on bool) error {
	if on {
		return tx.Exec(`INSERT INTO negotiation_waiting (participant, id) VALUES ($1, $2)`, string(p), id)
	}
	return tx.Exec(`DELETE FROM negotiation_waiting WHERE participant = $1 AND id = $2`, string(p), id)
}

// Waiting gives what waits for a decision of ours, oldest first, at most limit (1
// to 1000, else 100); more says that there is more.
func (r *Room) Waiting(ctx context.Context, p participant.ID, limit int) (out []Process, more bool, err error) {
	if limit < 1 || limit > maxPage {
		limit = 100
	}
	err = r.db.View(ctx, func(tx store.Tx) error {
		out = out[:0]
		rows, err := tx.Query(`SELECT `+columns+` FROM negotiation_processes
			WHERE participant = $1 AND id IN (SELECT id FROM negotiation_waiting WHERE participant = $1)
			ORDER BY id LIMIT $2`, string(p), int64(limit)+1)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			q, err := scan(rows, p)
			if err != nil {
				return err
			}
			out = append(out, q)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, false, fmt.Errorf("list what waits: %w", err)
	}
	if len(out) > limit {
		return out[:limit], true, nil
	}
	return out, false, nil
}

// Filter narrows List; a zero member is any.
type Filter struct {
	Role         Role
	State        State
	Counterparty string
}

// maxPage is the most that List returns at once.
const maxPage = 1000

// List gives the newest first, at most limit (1 to 1000, else 100). cursor is
// what the call before returned, "" at first; the cursor returned is "" at the end.
func (r *Room) List(ctx context.Context, p participant.ID, f Filter, cursor string, limit int) ([]Process, string, error) {
	if limit < 1 || limit > maxPage {
		limit = 100
	}
	var out []Process
	err := r.db.View(ctx, func(tx store.Tx) error {
		out = out[:0]
		rows, err := tx.Query(`SELECT `+columns+` FROM negotiation_processes
			WHERE participant = $1 AND ($2 = '' OR id < $2) AND ($3 = '' OR role = $3)
			AND ($4 = '' OR state = $4) AND ($5 = '' OR counterparty = $5)
			ORDER BY id DESC LIMIT $6`,
			string(p), cursor, string(f.Role), string(f.State), f.Counterparty, int64(limit)+1)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			q, err := scan(rows, p)
			if err != nil {
				return err
			}
			out = append(out, q)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, "", fmt.Errorf("list negotiations: %w", err)
	}
	if len(out) <= limit {
		return out, "", nil
	}
	return out[:limit], out[limit-1].ID, nil
}

// null keeps "" as NULL, so that it never collides in a unique index.
func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}
