package negotiation

import (
	"context"
	"embed"

	"kakehashi/participant"
	"kakehashi/store"
)

//go:embed schema/*.sql
var files embed.FS

// Schema is what this room keeps.
var Schema = store.SchemaIn("negotiation", files)

// Filter narrows List; a zero member is any.
type Filter struct {
	Role         Role
	State        State
	Counterparty string
}

// List gives the newest first, at most limit (1 to 1000, else 100). cursor is
// what the call before returned, "" at first; the cursor returned is "" at the end.
func (r *Room) List(ctx context.Context, p participant.ID, f Filter, cursor string, limit int) ([]Process, string, error) {
	out, more, err := r.book.Page(ctx, p, limit, `($2 = '' OR id < $2) AND ($3 = '' OR role = $3)
		AND ($4 = '' OR state = $4) AND ($5 = '' OR counterparty = $5) ORDER BY id DESC`,
		cursor, string(f.Role), string(f.State), f.Counterparty)
	if !more {
		return out, "", err
	}
	return out, out[len(out)-1].ID, nil
}

// Count reads how many negotiations there are.
func (r *Room) Count(ctx context.Context, p participant.ID) (int, error) { return r.book.Count(ctx, p) }
