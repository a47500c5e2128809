package dataplane

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kakehashi/participant"
	"kakehashi/store"
)

const (
	sqlOpen = `INSERT INTO dataplane_grants (participant, id, transfer, agreement, counterparty, dataset, service, format,
		token_digest, source, filter, state, why, opened, closed, address, generation, bytes, items, requests, way)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'open', '', $12, 0, $13, 1, 0, 0, 0, $14)`

	grantColumns = `participant, id, transfer, agreement, counterparty, dataset, service, format,
		source, filter, state, why, opened, closed, address, generation, bytes, items, requests, token_digest, way, received`

	sqlByID = `SELECT ` + grantColumns + ` FROM dataplane_grants WHERE id = $1`
	sqlGet  = `SELECT ` + grantColumns + ` FROM dataplane_grants WHERE participant = $1 AND id = $2`

	sqlStop = `UPDATE dataplane_grants SET state = 'closed', why = $3, closed = $4
		WHERE participant = $1 AND id = $2 AND state <> 'closed' RETURNING ` + grantColumns
	sqlSuspend = `UPDATE dataplane_grants SET state = 'suspended', why = $3
		WHERE participant = $1 AND id = $2 AND state = 'open' RETURNING ` + grantColumns
	sqlToken = `UPDATE dataplane_grants SET state = 'open', why = '', token_digest = $3, generation = generation + 1
		WHERE participant = $1 AND id = $2 AND state = $4 RETURNING ` + grantColumns
	sqlReopen = `UPDATE dataplane_grants SET state = 'open', why = ''
		WHERE participant = $1 AND id = $2 AND state = 'suspended' RETURNING ` + grantColumns
	// One body a grant: the second one finds it taken.
	sqlReceived = `UPDATE dataplane_grants SET received = $3
		WHERE participant = $1 AND id = $2 AND state = 'open' AND received = '' RETURNING id`
	sqlOfAgreement = `SELECT id FROM dataplane_grants WHERE participant = $1 AND agreement = $2 AND state <> 'closed'`

	// The grant is written although nothing in it changes: with units side by side, a
	// grant that anybody closes at the same time opens no window.
	sqlWindowAllow = `UPDATE dataplane_grants SET generation = generation
		WHERE participant = $1 AND id = $2 AND state = 'open' RETURNING id`
	sqlWindowOpen = `INSERT INTO dataplane_windows (participant, grant_id, id, opened, closed, bytes, items, requests, state, owner)
		VALUES ($1, $2, $3, $4, 0, 0, 0, 0, 'open', $5)`
	// Of all participants: a replica serves them all.
	sqlOwners      = `SELECT DISTINCT owner FROM dataplane_windows WHERE state = 'open' AND participant <> ''`
	sqlWindowClose = `UPDATE dataplane_windows SET state = $8, closed = $4, bytes = $5, items = $6, requests = $7
		WHERE participant = $1 AND grant_id = $2 AND id = $3 AND state = 'open' RETURNING opened`
	sqlCount = `UPDATE dataplane_grants SET bytes = bytes + $3, items = items + $4, requests = requests + $5
		WHERE participant = $1 AND id = $2`
	sqlLeftOpen = `SELECT w.id, w.opened, g.participant, g.id, g.transfer, g.agreement, g.counterparty, g.dataset, g.service, g.format, g.way
		FROM dataplane_windows w JOIN dataplane_grants g ON g.participant = w.participant AND g.id = w.grant_id
		WHERE w.state = 'open' AND w.owner = $1 ORDER BY w.participant, w.id LIMIT 200`
)

// record is a row of dataplane_grants.
type record struct {
	Info
	digest   []byte
	received string // digest of the body that arrived, "" before that
}

func scan(row store.Row) (record, error) {
	var r record
	var source, filter string
	var opened, closed int64
	err := row.Scan((*string)(&r.Participant), &r.ID, &r.Transfer, &r.Agreement, &r.Counterparty, &r.Dataset, &r.Service,
		&r.Format, &source, &filter, &r.State, &r.Why, &opened, &closed, &r.Address, &r.Generation,
		&r.Bytes, &r.Items, &r.Requests, &r.digest, (*string)(&r.Way), &r.received)
	if err != nil {
		return record{}, err
	}
	if source != "" {
		r.Source = []byte(source)
	}
	if filter != "" {
		r.Filter = []byte(filter)
	}
	r.Opened = time.UnixMicro(opened).UTC()
	if closed != 0 {
		r.Closed = time.UnixMicro(closed).UTC()
	}
	return r, nil
}

// find reads the grant that an address names; the row says whose it is.
func (p *Plane) find(ctx context.Context, id string) (r record, err error) {
	err = p.c.DB.View(ctx, func(tx store.Tx) error {
		r, err = scan(tx.QueryRow(sqlByID, id))
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		err = fmt.Errorf("read grant %s: %w", id, err)
	}
	return r, err
}

// Get reads one grant; store.ErrNotFound when who has none of that id.
func (p *Plane) Get(ctx context.Context, who participant.ID, id string) (Info, error) {
	var r record
	err := p.c.DB.View(ctx, func(tx store.Tx) (err error) {
		r, err = scan(tx.QueryRow(sqlGet, string(who), id))
		return err
	})
	if err != nil {
		return Info{}, fmt.Errorf("read grant %s: %w", id, err)
	}
	return r.Info, nil
}
