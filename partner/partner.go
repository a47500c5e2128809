// Package partner knows the counterparts: where their connector is, which
// version it speaks, the newest checkpoint of their evidence log, and the pause
// that each of them needs between its answer and our next message.
//
// It finds addresses and trusts nobody: who is calling is identity's business,
// and what is read here comes from the counterpart's own DID document and
// version document (Dataspace Protocol 2025-1, version endpoint and section on
// discovery). Each hosted participant has counterparts of its own.
package partner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"kakehashi/did"
	"kakehashi/internal/fault"
	"kakehashi/internal/recent"
	"kakehashi/internal/watch"
	"kakehashi/participant"
	"kakehashi/store"
)

// Resolver gives DID documents; identity has one. It caches and names in its
// error what could not be resolved.
type Resolver interface {
	Resolve(ctx context.Context, name string) (did.Document, error)
}

// Partner is a counterpart.
type Partner struct {
	DID        string // "" while only its address is known: its catalogue's participantId tells
	Base       string // DSP base URL of 2025-1, no trailing slash; "" if it was never asked for
	Title      string // the name that people here gave it
	Checkpoint []byte // newest signed note seen of its evidence log, nil for none
	Seen       time.Time
}

// Config is what a Room needs. HTTP is the guarded client: every address is the
// counterpart's choice.
type Config struct {
	DB       store.DB
	Watch    *watch.Hub // tells and hears of addresses and pauses; nil: nobody else is told
	HTTP     *http.Client
	Resolver Resolver
	Now      func() time.Time
	Log      *slog.Logger
	Dev      bool // http for loopback hosts
}

const (
	fresh       = 5 * time.Minute  // how long an address that was found is believed
	remembered  = 1000             // addresses in memory
	flushEvery  = time.Second      // between two writes of what was seen
	readWithin  = 10 * time.Second // one document
	writeAtOnce = 500              // rows in one unit
)

// Room is the counterparts of all participants of the node.
type Room struct {
	c     Config
	found *recent.Of[name, found]
	epoch atomic.Int64 // grows when another replica changed an address
	seen  seen
}

// Changed is the kind of the changes that tell of a counterpart: of its address, or
// with the state "pause" of the pause that was learned for it, whose microseconds
// are the version.
const Changed = "partner"

const newPause = "pause"

type name struct {
	participant participant.ID
	name        string
}

type found struct {
	Partner
	until time.Time
}

// Open reads the learned pauses and makes the room.
func Open(c Config) (*Room, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.HTTP == nil {
		c.HTTP = http.DefaultClient
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Watch == nil {
		c.Watch = watch.New()
	}
	r := &Room{c: c, found: recent.New[name, found](remembered)}
	r.seen.known = map[key]*state{}
	pauses, err := r.pauses(context.Background())
	if err != nil {
		return nil, fmt.Errorf("open the counterparts: %w", err)
	}
	for k, d := range pauses {
		r.seen.known[k] = &state{pause: d}
	}
	c.Watch.Elsewhere(Changed, r.heard)
	return r, nil
}

// heard takes over the pause that another replica learned, or forgets the
// addresses that were found. A pause that was missed is learned here, or read at
// the next start.
func (r *Room) heard(c watch.Change, lost bool) {
	if !lost && c.State == newPause {
		r.seen.hear(key{participant.ID(c.Participant), c.ID}, time.Duration(c.Version)*time.Microsecond)
		return
	}
	r.epoch.Add(1)
	r.found.Clear()
}

// moved tells that the address or title of a counterpart is another one.
func (r *Room) moved(p participant.ID, who string) {
	r.c.Watch.Publish(watch.Change{Participant: string(p), Kind: Changed, ID: who, At: r.c.Now()})
}

// Resolve finds a counterpart whose address people have fixed, and asks nobody;
// else by its DID, the root, base or version document URL of its connector, or
// the title that it was given. Then it reads the version document and believes it
// for 5 minutes; nothing else is sent.
//
// By DID, the base is what the document's CatalogService entry names, or its
// DataService entry. By URL, the DID is the version entry's serviceId or the
// did:web name of the root or host, whichever has a document that lists this
// base; without one DID stays "" and nothing is kept until Pin.
//
// The errors are fault.PartnerUnknown and PartnerAmbiguous (titles),
// PartnerNoService, PartnerUnreachable, PartnerNotDSP, NoCommonVersion, which
// names what is offered, AddressRefused, and what the resolver says.
func (r *Room) Resolve(ctx context.Context, p participant.ID, who string) (Partner, error) {
	who = strings.TrimSpace(who)
	now := r.c.Now()
	if f, ok := r.found.Get(name{p, who}); ok && now.Before(f.until) {
		return f.Partner, nil
	}
	epoch := r.epoch.Load()
	got, err := r.resolve(ctx, p, who)
	if err != nil {
		return Partner{}, fmt.Errorf("find the counterpart %s: %w", shown(who), err)
	}
	got.Seen = now
	if got.DID != "" {
		kept, err := r.keep(ctx, p, got)
		if err != nil {
			return Partner{}, fmt.Errorf("keep the counterpart %s: %w", got.DID, err)
		}
		got = kept
	}
	r.found.Put(name{p, who}, found{got, now.Add(fresh)})
	if r.epoch.Load() != epoch {
		r.found.Forget(name{p, who})
	}
	return got, nil
}

func (r *Room) resolve(ctx context.Context, p participant.ID, who string) (Partner, error) {
	if who == "" {
		return Partner{}, fault.PartnerUnknown.At("", "name", "")
	}
	if known, ok, err := r.fixed(ctx, p, who); ok || err != nil {
		return known, err
	}
	switch {
	case strings.HasPrefix(who, "did:"):
		return r.byDID(ctx, who)
	case strings.Contains(who, "://"):
		return r.byURL(ctx, who)
	}
	dids, err := r.titled(ctx, p, who)
	switch {
	case err != nil:
		return Partner{}, err
	case len(dids) == 0:
		return Partner{}, fault.PartnerUnknown.At("", "name", clip(who))
	case len(dids) > 1:
		return Partner{}, fault.PartnerAmbiguous.At("", "name", clip(who), "known", strings.Join(dids, ", "))
	}
	return r.byDID(ctx, dids[0])
}

// Forget drops what memory believes of a name, so that the next Resolve asks
// again: for a counterpart that has moved.
func (r *Room) Forget(p participant.ID, who string) { r.found.Forget(name{p, strings.TrimSpace(who)}) }

// Pin keeps a counterpart whose DID was learned elsewhere, such as from its
// catalogue, and a title if one is given. An empty Base or Title changes nothing.
func (r *Room) Pin(ctx context.Context, p participant.ID, who Partner) error {
	if err := did.Check(who.DID); err != nil {
		return fmt.Errorf("pin a counterpart: %w", err)
	}
	if strings.HasPrefix(who.Title, "did:") || strings.Contains(who.Title, "://") {
		return errors.New("pin a counterpart: a title that looks like a DID or URL would never be found")
	}
	who.Seen = r.c.Now()
	_, err := r.keep(ctx, p, who)
	if err != nil {
		return fmt.Errorf("pin the counterpart %s: %w", who.DID, err)
	}
	r.found.Forget(name{p, who.DID})
	r.moved(p, who.DID)
	return nil
}

// List gives the counterparts that p knows, by DID, at most 1000, with what has
// been seen but not written yet.
func (r *Room) List(ctx context.Context, p participant.ID) ([]Partner, error) {
	all, err := r.list(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("list the counterparts: %w", err)
	}
	for i := range all {
		r.seen.onto(key{p, all[i].DID}, &all[i])
	}
	return all, nil
}

// shown is a name as errors show it: a URL without what may be secret in it.
func shown(who string) string {
	if strings.Contains(who, "://") {
		u, err := url.Parse(who)
		if err != nil {
			return "URL"
		}
		return clip((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String())
	}
	return clip(who)
}

func clip(s string) string {
	if len(s) > 200 {
		s = s[:200] + "..."
	}
	return strings.ToValidUTF8(s, "")
}
