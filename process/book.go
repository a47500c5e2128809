package process

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/format"
	"kakehashi/internal/recent"
	"kakehashi/internal/watch"
	"kakehashi/participant"
	"kakehashi/store"
)

// Kept is a process of a room.
type Kept interface {
	// Base is its head.
	Base() Head
	// Encode writes its versioned body.
	Encode() ([]byte, error)
	// Newer says that a newer program wrote it, and that only its head is known.
	Newer() bool
}

// Base is the head itself: a process that embeds a Head has it.
func (h Head) Base() Head { return h }

// Watch tells of each change after its commit; watch.Hub is one.
type Watch interface {
	Publish(watch.Change)
	Subscribe(watch.Filter) *watch.Sub
	// Elsewhere has f called with the changes that other replicas make.
	Elsewhere(kind string, f func(c watch.Change, lost bool))
	// Shared says that there are other replicas.
	Shared() bool
}

// Book is the processes of one room: its tables NAME_processes and NAME_waiting,
// and a memory of those that were read or written last. The memory forgets what
// another replica changed once that tells so, and may be behind it for a moment;
// Save compares the version, so only the table decides.
type Book[P Kept] struct {
	name   string
	db     store.DB
	watch  Watch
	decode func(Head, []byte) (P, error)
	known  *recent.Of[key, P]

	mu     sync.Mutex
	stamps map[participant.ID]int64 // the last that was given
	epoch  atomic.Int64             // grows with each change of another replica

	insert, save, read, wait, goOn, count, total, feed, newest string
}

type key struct {
	p  participant.ID
	id string
}

// maxKnown bounds the memory of processes.
const maxKnown = 4096

// MaxPage is the most that a list returns at once.
const MaxPage = 1000

// ErrMoved is returned by Save when another unit moved the process since it was
// read: read it again and judge again.
var ErrMoved = errors.New("the process moved meanwhile")

const columns = `id, role, counterparty, peer_pid, start_key, state, version, agreement, body, created, updated`

// NewBook makes the book of a room. name owns the tables and names the changes;
// decode reads a process from its row, and of one that a newer program wrote the
// head, with *format.Newer.
func NewBook[P Kept](name string, db store.DB, w Watch, decode func(Head, []byte) (P, error)) *Book[P] {
	of := func(text string) string { return strings.ReplaceAll(text, "{name}", name) }
	b := &Book[P]{
		name: name, db: db, watch: w, decode: decode, known: recent.New[key, P](maxKnown), stamps: map[participant.ID]int64{},
		insert: of(`INSERT INTO {name}_processes (participant, ` + columns + `)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`),
		save: of(`UPDATE {name}_processes SET peer_pid = $1, state = $2, version = $3, agreement = $4, body = $5, updated = $6
			WHERE participant = $7 AND id = $8 AND version = $9 RETURNING version`),
		read:  of(`SELECT ` + columns + ` FROM {name}_processes WHERE participant = $1 AND `),
		wait:  of(`INSERT INTO {name}_waiting (participant, id) VALUES ($1, $2)`),
		goOn:  of(`DELETE FROM {name}_waiting WHERE participant = $1 AND id = $2`),
		total: of(`SELECT COUNT(*) FROM {name}_processes WHERE participant = $1`),
		count: of(`SELECT COUNT(*) FROM {name}_processes WHERE participant = $1 AND counterparty = $2
			AND state <> 'FINALIZED' AND state <> 'COMPLETED' AND state <> 'TERMINATED'`), // as the index has it
		feed:   feedOf(name),
		newest: of(`SELECT COALESCE(MAX(updated), 0) FROM {name}_processes WHERE participant = $1`),
	}
	w.Elsewhere(name, b.heard)
	return b
}

// heard forgets what another replica has changed.
func (b *Book[P]) heard(c watch.Change, lost bool) {
	b.epoch.Add(1) // first, so that whoever reads meanwhile keeps nothing
	if lost {
		b.known.Clear()
		return
	}
	b.known.ForgetIf(key{participant.ID(c.Participant), c.ID}, func(q P) bool { return q.Base().Version < c.Version })
}

// Insert keeps a new process; store.ErrConflict when the counterpart's pid or the
// idempotency key has one already.
func (b *Book[P]) Insert(tx store.Tx, q P) error {
	body, err := q.Encode()
	if err != nil {
		return err
	}
	h := q.Base()
	return tx.Exec(b.insert, string(h.Participant), h.ID, string(h.Role), h.Counterparty, null(h.PeerPid), null(h.Key),
		string(h.State), h.Version, h.Agreement, body, h.Created.UnixMicro(), h.Updated.UnixMicro())
}

// Save replaces the process if it is still at version was, else ErrMoved.
func (b *Book[P]) Save(tx store.Tx, q P, was int64) error {
	body, err := q.Encode()
	if err != nil {
		return err
	}
	h := q.Base()
	var v int64
	err = tx.QueryRow(b.save, null(h.PeerPid), string(h.State), h.Version, h.Agreement, body, h.Updated.UnixMicro(),
		string(h.Participant), h.ID, was).Scan(&v)
	if errors.Is(err, store.ErrNotFound) {
		return ErrMoved
	}
	return err
}

// Wait notes that a process waits for a decision, or that it does no more.
func (b *Book[P]) Wait(tx store.Tx, p participant.ID, id string, on bool) error {
	if on {
		return tx.Exec(b.wait, string(p), id)
	}
	return tx.Exec(b.goOn, string(p), id)
}

// Load reads by our pid; store.ErrNotFound if there is none.
func (b *Book[P]) Load(tx store.Tx, p participant.ID, id string) (P, error) {
	return b.one(tx, p, `id = $2`, id)
}

// ByPeer reads what a counterpart's pid stands for.
func (b *Book[P]) ByPeer(ctx context.Context, p participant.ID, counterparty string, role Role, pid string) (q P, err error) {
	err = b.db.View(ctx, func(tx store.Tx) error {
		q, err = b.one(tx, p, `counterparty = $2 AND role = $3 AND peer_pid = $4`, counterparty, string(role), pid)
		return err
	})
	return q, err
}

// ByKey reads what an idempotency key started.
func (b *Book[P]) ByKey(ctx context.Context, p participant.ID, start string) (q P, err error) {
	err = b.db.View(ctx, func(tx store.Tx) error {
		q, err = b.one(tx, p, `start_key = $2`, start)
		return err
	})
	if err != nil {
		return q, fmt.Errorf("find the %s of key %s: %w", b.name, start, err)
	}
	return q, nil
}

func (b *Book[P]) one(tx store.Tx, p participant.ID, where string, args ...any) (P, error) {
	return b.scan(tx.QueryRow(b.read+where, append([]any{string(p)}, args...)...), p)
}

// Select reads all that a condition holds for; its placeholders begin with $2,
// and it may end in an order and a limit. Of what a newer program wrote it gives
// the head: see Kept.Newer.
func (b *Book[P]) Select(tx store.Tx, p participant.ID, where string, args ...any) (out []P, err error) {
	rows, err := tx.Query(b.read+where, append([]any{string(p)}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		q, err := b.scan(rows, p)
		if _, newer := format.Of(err); err != nil && !newer {
			return nil, err
		}
		out = append(out, q)
	}
	return out, rows.Err()
}

func (b *Book[P]) scan(row store.Row, p participant.ID) (q P, err error) {
	return b.scanBehind(row, &p)
}

// scanBehind is scan of a row that has other columns first. Whose it is may be
// among them.
func (b *Book[P]) scanBehind(row store.Row, p *participant.ID, first ...any) (q P, err error) {
	var (
		h                Head
		role, state      string
		peer, start      *string
		body             []byte
		created, updated int64
	)
	if err := row.Scan(append(first, &h.ID, &role, &h.Counterparty, &peer, &start, &state, &h.Version, &h.Agreement, &body, &created, &updated)...); err != nil {
		return q, err
	}
	h.Participant = *p
	h.Role, h.State = Role(role), State(state)
	if peer != nil {
		h.PeerPid = *peer
	}
	if start != nil {
		h.Key = *start
	}
	h.Created, h.Updated = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return b.decode(h, body)
}

// null keeps "" as NULL, so that it never collides in a unique index.
func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// Get reads one process by our pid; fault.NotFound if there is none.
func (b *Book[P]) Get(ctx context.Context, p participant.ID, id string) (q P, err error) {
	epoch := b.epoch.Load()
	err = b.db.View(ctx, func(tx store.Tx) error {
		q, err = b.Load(tx, p, id)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return q, b.Gone(id)
	}
	if err != nil {
		return q, fmt.Errorf("read %s %s: %w", b.name, id, err)
	}
	b.Remember(q)
	if b.epoch.Load() != epoch { // it may be this one that was changed, after it was read
		b.Forget(p, id)
	}
	return q, nil
}

// Gone hides what belongs to others behind the same answer as what is unknown.
func (b *Book[P]) Gone(id string) error { return fault.NotFound.At(id, "what", b.name+" "+id) }

// Find is Get from memory; fresh says that memory was not used.
func (b *Book[P]) Find(ctx context.Context, p participant.ID, id string) (q P, fresh bool, err error) {
	if q, ok := b.Known(p, id); ok {
		return q, false, nil
	}
	q, err = b.Get(ctx, p, id)
	return q, true, err
}

// Known is what memory has of a process.
func (b *Book[P]) Known(p participant.ID, id string) (P, bool) { return b.known.Get(key{p, id}) }

// Remember keeps what was read or written, unless it knows better already.
func (b *Book[P]) Remember(q P) {
	h := q.Base()
	b.known.PutNewer(key{h.Participant, h.ID}, q, func(old P) bool { return h.Version < old.Base().Version })
}

// Forget drops what memory has of a process that another unit has moved.
func (b *Book[P]) Forget(p participant.ID, id string) { b.known.Forget(key{p, id}) }

// Ring remembers a process after its commit and tells of its change.
func (b *Book[P]) Ring(q P) {
	b.Remember(q)
	h := q.Base()
	b.watch.Publish(watch.Change{Participant: string(h.Participant), Kind: b.name, ID: h.ID,
		State: string(h.State), Version: h.Version, At: h.Updated})
}

// Await returns the process as soon as done says so, or ctx's error with the
// newest that was seen.
func (b *Book[P]) Await(ctx context.Context, p participant.ID, id string, done func(P) bool) (P, error) {
	sub := b.watch.Subscribe(watch.Filter{Participant: string(p), Kind: b.name, ID: id})
	defer sub.Close()
	q, err := b.atLeast(ctx, p, id, 0, b.watch.Shared())
	for {
		if err != nil || done(q) {
			return q, err
		}
		changes, lost, err2 := sub.Next(ctx)
		if err2 != nil {
			return q, err2
		}
		version := int64(0)
		for _, c := range changes {
			version = max(version, c.Version)
		}
		q, err = b.atLeast(ctx, p, id, version, lost)
	}
}

// atLeast is Find, past a memory that is older than version or not to be trusted.
func (b *Book[P]) atLeast(ctx context.Context, p participant.ID, id string, version int64, doubt bool) (P, error) {
	if !doubt {
		if q, ok := b.Known(p, id); ok && q.Base().Version >= version {
			return q, nil
		}
	}
	return b.Get(ctx, p, id)
}

// Page reads at most limit (1 to MaxPage, else 100) of what a condition holds for,
// in the order that it ends in; more says that there is more.
func (b *Book[P]) Page(ctx context.Context, p participant.ID, limit int, where string, args ...any) (out []P, more bool, err error) {
	if limit < 1 || limit > MaxPage {
		limit = 100
	}
	where += fmt.Sprintf(" LIMIT $%d", len(args)+2)
	err = b.db.View(ctx, func(tx store.Tx) error {
		out, err = b.Select(tx, p, where, append(args, int64(limit)+1)...)
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("list %ss: %w", b.name, err)
	}
	if len(out) > limit {
		return out[:limit], true, nil
	}
	return out, false, nil
}

// Waiting gives what waits for a decision of ours, oldest first.
func (b *Book[P]) Waiting(ctx context.Context, p participant.ID, limit int) (out []P, more bool, err error) {
	return b.Page(ctx, p, limit, `id IN (SELECT id FROM `+b.name+`_waiting WHERE participant = $1) ORDER BY id`)
}

// Count reads how many processes there are.
func (b *Book[P]) Count(ctx context.Context, p participant.ID) (int, error) {
	var n int64
	err := b.db.View(ctx, func(tx store.Tx) error { return tx.QueryRow(b.total, string(p)).Scan(&n) })
	if err != nil {
		return 0, fmt.Errorf("count %ss: %w", b.name, err)
	}
	return int(n), nil
}

// CountOpen reads how many processes a counterpart has open.
func (b *Book[P]) CountOpen(ctx context.Context, p participant.ID, counterparty string) (int, error) {
	var n int64
	err := b.db.View(ctx, func(tx store.Tx) error { return tx.QueryRow(b.count, string(p), counterparty).Scan(&n) })
	if err != nil {
		return 0, fmt.Errorf("count what %s has open: %w", counterparty, err)
	}
	return int(n), nil
}
