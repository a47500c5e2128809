package evidence

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"kakehashi/participant"
	"kakehashi/store"
)

//go:embed schema/*.sql
var files embed.FS

// Schema is what the room keeps.
var Schema = store.SchemaIn("evidence", files)

const (
	insertLeaf = `INSERT INTO evidence_leaves (participant, process, version, id, at, type, agreement, data)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	insertBody = `INSERT INTO evidence_bodies (participant, digest, class, keep_until, sealed) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (participant, digest) DO NOTHING`
	selectBody      = `SELECT class, sealed FROM evidence_bodies WHERE participant = $1 AND digest = $2`
	selectHistory   = `SELECT data, position FROM evidence_leaves WHERE participant = $1 AND process = $2 ORDER BY version, id`
	selectAgreement = `SELECT data, position FROM evidence_leaves WHERE participant = $1 AND agreement = $2 AND position IS NOT NULL`
	selectWaiting   = `SELECT process, version, id, data FROM evidence_leaves WHERE participant = $1 AND position IS NULL ORDER BY id LIMIT $2`
	selectStill     = `SELECT process, version, id, data FROM evidence_leaves WHERE participant = $1 AND position IS NULL AND id >= $2 AND id <= $3 LIMIT 1`
	selectLast      = `SELECT position FROM evidence_leaves WHERE participant = $1 AND position IS NOT NULL ORDER BY position DESC LIMIT 1`
	selectHead      = `SELECT size, root, checkpoint FROM evidence_logs WHERE participant = $1`
	selectTile      = `SELECT data FROM evidence_tiles WHERE participant = $1 AND level = $2 AND n = $3`
	insertHead      = `INSERT INTO evidence_logs (participant, size, root, checkpoint) VALUES ($1, $2, $3, $4)
ON CONFLICT (participant) DO NOTHING RETURNING size`
	swapHead = `UPDATE evidence_logs SET size = $1, root = $2, checkpoint = $3
WHERE participant = $4 AND size = $5 AND root = $6 RETURNING size`
	setPosition = `UPDATE evidence_leaves SET position = $1
WHERE participant = $2 AND process = $3 AND version = $4 AND id = $5`
	countTiles    = `SELECT COUNT(*) FROM evidence_tiles WHERE participant = $1`
	selectNextLog = `SELECT participant FROM evidence_leaves WHERE participant > $1 ORDER BY participant LIMIT 1`
	selectBodies  = `SELECT digest, sealed FROM evidence_bodies WHERE participant = $1 AND digest > $2 AND length(sealed) > 0 ORDER BY digest LIMIT $3`
	selectLeaf    = `SELECT data FROM evidence_leaves WHERE participant = $1 AND process = $2 AND version = $3 AND id = $4`
	// Whole rows, for Check.
	selectRows       = `SELECT process, version, id, at, type, agreement, position, data FROM evidence_leaves WHERE participant = $1 AND `
	selectNumbered   = selectRows + `position >= $2 ORDER BY position LIMIT $3`
	selectUnnumbered = selectRows + `position IS NULL AND id > $2 ORDER BY id LIMIT $3`
	// data is not looked at here.
	selectInOrder = `SELECT process, version, id, at, type, agreement, position, NULL FROM evidence_leaves
WHERE participant = $1 AND (process, version, id) > ($2, $3, $4) ORDER BY process, version, id LIMIT $5`
	putTile = `INSERT INTO evidence_tiles (participant, level, n, data) VALUES ($1, $2, $3, $4)
ON CONFLICT (participant, level, n) DO UPDATE SET data = excluded.data`
)

// atOnce is how many values a list in a query has; the last is repeated in what is left.
const atOnce = 100

var (
	selectLater = `SELECT process, version, id, data FROM evidence_leaves WHERE participant = $1 AND position IS NULL AND id > $2 AND process IN (` +
		list(4) + `) ORDER BY process, version, id LIMIT $3`
	selectKept = `SELECT digest FROM evidence_bodies WHERE participant = $1 AND (length(sealed) > 0 OR keep_until IS NOT NULL) AND digest IN (` +
		list(2) + `)`
)

// list is atOnce placeholders, the first of them $from.
func list(from int) string {
	out := make([]string, atOnce)
	for i := range out {
		out[i] = "$" + strconv.Itoa(from+i)
	}
	return strings.Join(out, ", ")
}

// values fills a list.
func values(args []any, all []string) []any {
	for i := range atOnce {
		args = append(args, all[min(i, len(all)-1)])
	}
	return args
}

// waiting is a leaf that has no position yet.
type waiting struct {
	process string
	version int64
	id      string
	hash    tlog.Hash
}

func readWaiting(tx store.Tx, query string, args ...any) ([]waiting, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []waiting
	var data []byte
	for rows.Next() {
		var w waiting
		if err := rows.Scan(&w.process, &w.version, &w.id, &data); err != nil {
			return nil, err
		}
		w.hash = tlog.RecordHash(data)
		out = append(out, w)
	}
	return out, rows.Err()
}

// writeHead moves the log from one size to the next; store.ErrNotFound: another
// sequencer moved it first.
func writeHead(tx store.Tx, p participant.ID, old, next tree, note []byte) error {
	var size int64
	if old.size == 0 {
		return tx.QueryRow(insertHead, string(p), next.size, next.root[:], note).Scan(&size)
	}
	return tx.QueryRow(swapHead, next.size, next.root[:], note, string(p), old.size, old.root[:]).Scan(&size)
}

func writePositions(tx store.Tx, p participant.ID, first int64, ws []waiting) error {
	for i, w := range ws { // one short statement each: 3x faster in SQLite than one with a table of values
		if err := tx.Exec(setPosition, first+int64(i), string(p), w.process, w.version, w.id); err != nil {
			return err
		}
	}
	return nil
}

func writeTiles(tx store.Tx, p participant.ID, tiles []tile) error {
	for _, t := range tiles {
		if err := tx.Exec(putTile, string(p), int64(t.level), t.n, t.data); err != nil {
			return err
		}
	}
	return nil
}

var errNoTile = errors.New("the tile is missing")

func readTile(tx store.Tx, p participant.ID, level int, n int64) ([]byte, error) {
	var data []byte
	err := tx.QueryRow(selectTile, string(p), int64(level), n).Scan(&data)
	if errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("tile %d/%d: %w", level, n, errNoTile)
	}
	return data, err
}

// head is a row of evidence_logs; size 0: the log has none yet.
type head struct {
	size int64
	root []byte
	note []byte
}

func readHead(tx store.Tx, p participant.ID) (head, error) {
	var h head
	err := tx.QueryRow(selectHead, string(p)).Scan(&h.size, &h.root, &h.note)
	if errors.Is(err, store.ErrNotFound) {
		return head{}, nil
	}
	return h, err
}

// readLast is the highest position given; -1: none.
func readLast(tx store.Tx, p participant.ID) (int64, error) {
	var n int64
	err := tx.QueryRow(selectLast, string(p)).Scan(&n)
	if errors.Is(err, store.ErrNotFound) {
		return -1, nil
	}
	return n, err
}

// record is a leaf as stored.
type record struct {
	data     []byte
	position int64 // -1: not numbered
}

func readRecords(tx store.Tx, query string, args ...any) ([]record, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []record
	for rows.Next() {
		var r record
		var pos *int64
		if err := rows.Scan(&r.data, &pos); err != nil {
			return nil, err
		}
		r.position = -1
		if pos != nil {
			r.position = *pos
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

func (l *Log) view(ctx context.Context, what string, fn func(store.Tx) error) error {
	if err := l.c.DB.View(ctx, fn); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
