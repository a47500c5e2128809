package transfer

import (
	"context"
	"embed"

	"kakehashi/participant"
	"kakehashi/store"
)

//go:embed schema/*.sql
var files embed.FS

// Schema is what this room keeps.
var Schema = store.SchemaIn("transfer", files)

// Filter narrows List; a zero member is any.
type Filter struct {
	Role         Role
	State        State
	Counterparty string
	Agreement    string
}

// List gives the newest first, at most limit (1 to 1000, else 100). cursor is
// what the call before returned, "" at first; the cursor returned is "" at the end.
func (r *Room) List(ctx context.Context, p participant.ID, f Filter, cursor string, limit int) ([]Process, string, error) {
	out, more, err := r.book.Page(ctx, p, limit, `($2 = '' OR id < $2) AND ($3 = '' OR role = $3)
		AND ($4 = '' OR state = $4) AND ($5 = '' OR counterparty = $5) AND ($6 = '' OR agreement = $6) ORDER BY id DESC`,
		cursor, string(f.Role), string(f.State), f.Counterparty, f.Agreement)
	if !more {
		return out, "", err
	}
	return out, out[len(out)-1].ID, nil
}

// underway reads all that are not final under an agreement; of those that a newer
// program wrote, the heads.
func (r *Room) underway(tx store.Tx, p participant.ID, agreement string) ([]Process, error) {
	return r.book.Select(tx, p, `agreement = $2 AND state <> 'COMPLETED' AND state <> 'TERMINATED' ORDER BY id`, agreement)
}

// provided reads a page of what is open of what we provide, by id.
func (r *Room) provided(tx store.Tx, p participant.ID, after string) ([]Process, error) {
	return r.book.Select(tx, p, `id > $2 AND state <> 'COMPLETED' AND state <> 'TERMINATED' AND role = 'provider' ORDER BY id LIMIT 500`, after)
}

// Count reads how many transfers there are.
func (r *Room) Count(ctx context.Context, p participant.ID) (int, error) { return r.book.Count(ctx, p) }
