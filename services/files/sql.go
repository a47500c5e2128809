package files

import (
	"context"
	"errors"
	"fmt"

	"kakehashi/participant"
	"kakehashi/store"
)

const (
	sqlSave = `INSERT INTO files_sources (participant, dataset, path, size, mtime_us, digest) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (participant, dataset) DO UPDATE SET path = excluded.path, size = excluded.size,
		mtime_us = excluded.mtime_us, digest = excluded.digest`
	sqlSource = `SELECT path, size, mtime_us, digest FROM files_sources WHERE participant = $1 AND dataset = $2`
	sqlKnown  = `SELECT digest FROM files_sources WHERE participant = $1 AND path = $2 AND size = $3 AND mtime_us = $4 LIMIT 1`
)

// source is a file as it was when it was published.
type source struct {
	path   string // absolute, without symbolic links
	size   int64
	mtime  int64 // microseconds
	digest string
}

func (s *service) source(ctx context.Context, p participant.ID, dataset string) (src source, err error) {
	err = s.DB.View(ctx, func(tx store.Tx) error {
		return tx.QueryRow(sqlSource, string(p), dataset).Scan(&src.path, &src.size, &src.mtime, &src.digest)
	})
	if err != nil {
		err = fmt.Errorf("read the source of %s: %w", dataset, err)
	}
	return src, err
}

// known gives the digest of an unchanged file that was published before, "" if
// there is none.
func (s *service) known(ctx context.Context, p participant.ID, src source) (digest string, err error) {
	err = s.DB.View(ctx, func(tx store.Tx) error {
		err := tx.QueryRow(sqlKnown, string(p), src.path, src.size, src.mtime).Scan(&digest)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	return digest, err
}

func save(tx store.Tx, p participant.ID, dataset string, src source) error {
	return tx.Exec(sqlSave, string(p), dataset, src.path, src.size, src.mtime, src.digest)
}
