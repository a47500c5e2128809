// Package trust knows who is believed about whom: issuers that people named,
// lists of issuers that an authority signed, rules for single counterparts, and
// the credentials that counterparts have shown, for as long as they are good. It
// is not for our own credentials (wallet), and it judges no terms (policy).
package trust

import (
	"context"
	"crypto"
	"embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"kakehashi/dcp"
	"kakehashi/did"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/recent"
	"kakehashi/internal/watch"
	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/vc"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schema is what this room keeps.
var Schema = store.SchemaIn("trust", schemaFiles)

// The kinds of the changes that this room tells of.
const (
	// Changed tells that what a counterpart has shown is another, or counts for
	// something else; the id is the counterpart.
	Changed = "trust"
	settled = "trust-rules" // issuers, lists or rules are others
)

// Config is what the room needs.
type Config struct {
	DB           store.DB
	Participants *participant.Room
	Evidence     *evidence.Log
	Watch        *watch.Hub
	HTTP         *http.Client // guarded
	// Fresh is how long what a counterpart showed is not asked for again; 0 asks
	// for each message.
	Fresh time.Duration
	// Refresh is how often the status of what is held is read again.
	Refresh time.Duration
	Now     func() time.Time
	Rand    io.Reader
	Log     *slog.Logger
}

// Room is the trust of all participants of the node. Issuers, lists, rules and
// what is held are in memory; the tables are read at Open and when another
// replica changed them.
type Room struct {
	c        Config
	identity *identity.Room // set by Bind, before anything is served
	schemas  *vc.FetchedSchemas
	flight   singleflight.Group
	access   *recent.Of[key, access]
	used     *recent.Of[string, *time.Time] // presentations, by holder and jti; the end of each
	opened   time.Time
	ends     chan struct{} // readable when something is held that may end sooner than was thought
	stale    chan struct{} // readable when another replica changed the tables
	reading  sync.Mutex    // one reading at a time, so that a later one knows more

	mu     sync.RWMutex
	kept   int64 // grows with each answer that is held
	config map[participant.ID]*settings
	held   map[key][]held
	asked  map[key]time.Time
	lists  map[participant.ID]*vc.Lists
}

// key is a counterpart of a participant.
type key struct {
	p            participant.ID
	counterparty string
}

// access is what lets us read a counterpart's credentials.
type access struct {
	token string
	until time.Time
}

// settings are what people decided, of one participant.
type settings struct {
	issuers []Issuer
	anchors []Anchor
	rules   []Rule
}

const (
	maxCallers       = 10_000
	maxPresentations = 50_000
	accessLife       = 5 * time.Minute
)

// Open reads the tables and makes the room; Bind comes before any other call.
func Open(ctx context.Context, c Config) (*Room, error) {
	r := &Room{c: c, schemas: vc.NewSchemas(c.HTTP, c.Now), access: recent.New[key, access](maxCallers),
		used: recent.New[string, *time.Time](maxPresentations), opened: c.Now(),
		ends: make(chan struct{}, 1), stale: make(chan struct{}, 1), asked: map[key]time.Time{}, lists: map[participant.ID]*vc.Lists{}}
	if err := r.read(ctx); err != nil {
		return nil, fmt.Errorf("open trust: %w", err)
	}
	again := func(watch.Change, bool) { signal(r.stale) }
	c.Watch.Elsewhere(settled, again)
	c.Watch.Elsewhere(Changed, again)
	return r, nil
}

// Bind gives the room who knows keys; identity in turn asks this room for rules.
func (r *Room) Bind(who *identity.Room) { r.identity = who }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// read takes over what the tables say.
func (r *Room) read(ctx context.Context) error {
	r.reading.Lock()
	defer r.reading.Unlock()
	for {
		again, err := r.readOnce(ctx)
		if err != nil || !again {
			return err
		}
	}
}

// readOnce is to be repeated when an answer came meanwhile, which the tables may
// not have shown.
func (r *Room) readOnce(ctx context.Context) (again bool, _ error) {
	r.mu.RLock()
	kept := r.kept
	r.mu.RUnlock()
	config := map[participant.ID]*settings{}
	shown := map[key][]held{}
	err := r.c.DB.View(ctx, func(tx store.Tx) error {
		clear(config)
		clear(shown)
		for _, p := range r.c.Participants.All() {
			s := &settings{}
			var err1, err2, err3 error
			s.issuers, err1 = readIssuers(tx, p.ID)
			s.anchors, err2 = readAnchors(tx, p.ID)
			s.rules, err3 = readRules(tx, p.ID)
			if err := errors.Join(err1, err2, err3); err != nil {
				return err
			}
			config[p.ID] = s
			if err := r.readHeld(tx, p.ID, shown); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept != kept {
		return true, nil
	}
	// When a status was looked at is written only when a bit changed.
	for k, list := range shown {
		merge(list, r.held[k])
	}
	r.config, r.held = config, shown
	return false, nil
}

// settings gives what people decided; it is replaced, never changed.
func (r *Room) settings(p participant.ID) *settings {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if s, ok := r.config[p]; ok {
		return s
	}
	return &settings{}
}

// decided tells everybody that issuers, lists or rules are others.
func (r *Room) decided(ctx context.Context, p participant.ID) error {
	r.c.Watch.Publish(watch.Change{Participant: string(p), Kind: settled, At: r.c.Now()})
	if err := r.read(ctx); err != nil {
		return err
	}
	r.recheck(p)
	return nil
}

// listsOf gives the status lists as a participant takes them.
func (r *Room) listsOf(p participant.ID) *vc.Lists {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, ok := r.lists[p]
	if !ok {
		l = vc.NewLists(vc.ListsConfig{HTTP: r.c.HTTP, Keys: r.keys, Keep: r.c.Refresh / 4, Now: r.c.Now,
			Unsigned: func(issuer string) bool {
				for _, i := range r.settings(p).issuers {
					if i.DID == issuer && i.UnsignedStatus {
						return true
					}
				}
				return false
			}})
		r.lists[p] = l
	}
	return l
}

// Status gives the status lists as a participant takes them.
func (r *Room) Status(p participant.ID) vc.StatusLists { return r.listsOf(p) }

// Schemas checks subjects.
func (r *Room) Schemas() vc.Schemas { return r.schemas }

// verifier checks what is shown to a participant.
func (r *Room) verifier(p participant.ID) *vc.Verifier {
	return &vc.Verifier{Keys: r.keys, Trust: judge{r, p}, Status: r.listsOf(p), Schemas: r.schemas, Fresh: r.fresh, Now: r.c.Now, Leeway: dcp.Leeway}
}

// fresh notes that a presentation was used, and tells whether it is the first time.
func (r *Room) fresh(holder, jti string, until time.Time) bool {
	return r.used.GetOrPut(holder+"\x00"+jti, &until) == &until
}

// keys finds the keys of others.
func (r *Room) keys(ctx context.Context, name, kid string, use did.Relationship) (crypto.PublicKey, error) {
	return r.identity.Key(ctx, name, kid, use)
}
