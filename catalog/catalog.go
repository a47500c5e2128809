// Package catalog is what a participant offers: datasets, the offers that carry
// their terms, and what each counterpart may see of them.
//
// Services publish into it; it never asks them. It is not for reading other
// people's catalogues (that is the DSP client's) and holds no data itself.
package catalog

import (
	"context"
	"embed"
	"regexp"
	"strconv"
	"sync"
	"time"

	"kakehashi/dsp/dsp2025"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/internal/strictjson"
	"kakehashi/internal/watch"
	"kakehashi/participant"
	"kakehashi/policy"
	"kakehashi/process"
	"kakehashi/store"
)

//go:embed schema/*.sql
var files embed.FS

// Schema is what catalog keeps.
var Schema = store.SchemaIn("catalog", files)

// Dataset is one thing that can be had under terms (DCAT Dataset).
type Dataset struct {
	ID          string            `json:"id"` // any IRI; New makes one when empty
	Title       string            `json:"title"`
	Description string            `json:"description,omitempty"`
	Service     string            `json:"service"` // name of the service that answers for it
	Formats     []string          `json:"formats"` // Word-PULL or Word-PUSH, at least one
	Source      strictjson.Raw    `json:"source,omitempty"`
	Meta        map[string]string `json:"meta,omitempty"` // further members by their dct:, dcat: or whole name, shown as they are
	Asking      process.Asking    `json:"asking,omitempty"`

	Version   int64     `json:"-"` // counts up with each publication
	Offers    []Offer   `json:"-"` // at least one; in force
	Withdrawn time.Time `json:"-"`
	Updated   time.Time `json:"-"`
	Newer     bool      `json:"-"` // of All: a newer program wrote it, and only what columns hold is known here
}

// Offer is the terms of one dataset. It is immutable: new terms are a new offer.
type Offer struct {
	ID     string         `json:"id"`
	Policy strictjson.Raw `json:"policy"` // ODRL rules, without @id, @type and target
}

// Config is what a Room needs.
type Config struct {
	DB       store.DB
	Policy   *policy.Engine
	Evidence *evidence.Log
	Watch    *watch.Hub // tells and hears of changed datasets; nil: nobody else is told
	Now      func() time.Time
}

// Changed is the kind of the changes that tell of a dataset published or withdrawn.
const Changed = "dataset"

// believed is how long an offer in memory is believed while there are other
// replicas: what one of them withdrew, and never told for it died, is seen then.
const believed = 500 * time.Millisecond

// Room is the catalogues of all participants of a node.
type Room struct {
	c       Config
	scanned int // datasets looked at for one page of a query

	mu      sync.RWMutex
	offers  map[offerKey]published // offers are immutable; withdrawn ones are dropped here
	changes int64                  // counts them, so that what was read before one is not kept after it
	http    map[string]string      // by service: its format that HttpData-PULL stands for as well
}

type offerKey struct {
	p  participant.ID
	id string
}

type published struct {
	dataset Dataset
	offer   Offer
	at      time.Time
}

// maxCached bounds the offers that are kept in memory; past it the cache starts anew.
const maxCached = 10_000

// Open makes the room; the tables exist by Schema.
func Open(c Config) *Room {
	if c.Watch == nil {
		c.Watch = watch.New()
	}
	r := &Room{c: c, scanned: maxScanned, offers: map[offerKey]published{}, http: map[string]string{}}
	c.Watch.Elsewhere(Changed, func(watch.Change, bool) { r.forget() })
	return r
}

// Publish writes a dataset and its offers in the caller's unit, with its leaf.
// An id that is published already becomes its next version; offers of the last
// version whose id is not among the new ones are withdrawn. The terms must be
// understood by this node: fault.OfferNotUnderstood names the place otherwise.
// It returns the dataset with the ids and the version that it got.
func (r *Room) Publish(tx store.Tx, p participant.ID, d Dataset) (Dataset, error) {
	if err := check(&d); err != nil {
		return d, err
	}
	for i := range d.Offers {
		o := &d.Offers[i]
		if o.ID == "" {
			o.ID = ids.New()
		}
		if err := r.c.Policy.Publishable(o.Policy); err != nil {
			return d, err
		}
		var err error
		if o.Policy, err = dsp2025.Rules(o.Policy); err != nil {
			return d, err
		}
	}
	now := r.c.Now()
	if err := r.save(tx, p, &d, now); err != nil {
		return d, err
	}
	tx.AfterCommit(func() { r.tell(p, d.ID, "published", now) })
	first := d.Offers[0]
	return d, r.c.Evidence.Append(tx, p, evidence.Leaf{
		Type: "kh.catalog.published", Process: d.ID, Version: d.Version, At: now,
		Hashes: map[string]string{"policy": evidence.Digest(first.Policy)},
		Facts:  map[string]string{"dataset": d.ID, "offer": first.ID, "service": d.Service},
	})
}

// Withdraw ends the offering of a dataset; agreements about it stay in force.
func (r *Room) Withdraw(tx store.Tx, p participant.ID, id string) error {
	d, err := r.load(tx, p, id)
	if err != nil {
		return err
	}
	now := r.c.Now()
	if err := r.withdraw(tx, p, id, now); err != nil {
		return err
	}
	tx.AfterCommit(func() {
		for _, o := range d.Offers {
			r.forget(offerKey{p, o.ID})
		}
		r.tell(p, id, "withdrawn", now)
	})
	return r.c.Evidence.Append(tx, p, evidence.Leaf{
		Type: "kh.catalog.withdrawn", Process: id, Version: d.Version, At: now,
		Facts: map[string]string{"dataset": id},
	})
}

// Offer finds an offer and its dataset. An offer that was withdrawn is
// fault.OfferWithdrawn with the id of one that is in force, an unknown one
// fault.OfferUnknown.
func (r *Room) Offer(ctx context.Context, p participant.ID, id string) (Dataset, Offer, error) {
	key := offerKey{p, id}
	r.mu.RLock()
	hit, ok := r.offers[key]
	before := r.changes
	r.mu.RUnlock()
	now := r.c.Now()
	if ok && (!r.c.Watch.Shared() || now.Sub(hit.at) < believed) {
		return hit.dataset, hit.offer, nil
	}
	var d Dataset
	var o Offer
	err := r.c.DB.View(ctx, func(tx store.Tx) error {
		var err error
		d, o, err = r.loadOffer(tx, p, id)
		return err
	})
	if err != nil {
		return Dataset{}, Offer{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changes != before {
		return d, o, nil
	}
	if len(r.offers) >= maxCached {
		clear(r.offers)
	}
	r.offers[key] = published{d, o, now}
	return d, o, nil
}

// forget drops offers that are in force no more, or all.
func (r *Room) forget(gone ...offerKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes++
	for _, k := range gone {
		delete(r.offers, k)
	}
	if len(gone) == 0 {
		clear(r.offers)
	}
}

func (r *Room) tell(p participant.ID, dataset, state string, at time.Time) {
	r.c.Watch.Publish(watch.Change{Participant: string(p), Kind: Changed, ID: dataset, State: state, At: at})
}

// Dataset reads one dataset with its offers in force; fault.NotFound if there is
// none or it was withdrawn.
func (r *Room) Dataset(ctx context.Context, p participant.ID, id string) (Dataset, error) {
	d, err := r.Kept(ctx, p, id)
	if err == nil && !d.Withdrawn.IsZero() {
		err = fault.NotFound.At(id, "what", id)
	}
	return d, err
}

// Kept reads one dataset whether it is offered or was withdrawn: agreements about
// it go on. fault.NotFound if there never was one.
func (r *Room) Kept(ctx context.Context, p participant.ID, id string) (Dataset, error) {
	var d Dataset
	err := r.c.DB.View(ctx, func(tx store.Tx) error {
		var err error
		d, err = r.load(tx, p, id)
		return err
	})
	return d, err
}

// Shown is Dataset as the counterpart may see it; one that it may not see is
// fault.NotFound like one that does not exist.
func (r *Room) Shown(ctx context.Context, p participant.ID, counterparty, id string) (Dataset, error) {
	d, err := r.Dataset(ctx, p, id)
	if err != nil {
		return d, err
	}
	d.Offers = policy.Shown(r.c.Policy, counterparty, d.Offers, func(o Offer) strictjson.Raw { return o.Policy })
	if len(d.Offers) == 0 {
		return Dataset{}, fault.NotFound.At(id, "what", id)
	}
	return d, nil
}

// All is one page, in the order of ids, of what this participant offers, and how
// many that is in all. It shows what newer programs wrote as well: see
// Dataset.Newer.
func (r *Room) All(ctx context.Context, p participant.ID, after string, limit int) (page []Dataset, next string, total int, err error) {
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	err = r.c.DB.View(ctx, func(tx store.Tx) error {
		if page, err = r.list(tx, p, after, limit+1); err != nil {
			return err
		}
		total, err = r.count(tx, p)
		return err
	})
	if err == nil && len(page) > limit {
		page = page[:limit]
		next = page[limit-1].ID
	}
	return page, next, total, err
}

func check(d *Dataset) error {
	switch {
	case d.Title == "":
		return fault.DatasetIncomplete.At("/title", "member", "title")
	case len(d.Formats) == 0:
		return fault.DatasetIncomplete.At("/formats", "member", "formats")
	case len(d.Offers) == 0:
		return fault.DatasetIncomplete.At("/offers", "member", "offers")
	case d.Asking != process.Automatic && d.Asking != process.Ask && d.Asking != process.EachStep:
		return fault.DatasetIncomplete.At("/asking", "member", "asking")
	case len(d.ID) > 2048:
		return fault.DatasetIncomplete.At("/id", "member", "id")
	}
	for i, f := range d.Formats {
		if !formatName.MatchString(f) {
			return fault.FormatName.At("/formats/"+strconv.Itoa(i), "format", clip(f))
		}
	}
	for name := range d.Meta {
		if m, ok := Member(name); !ok || m != name {
			return fault.DatasetIncomplete.At("/meta", "member", "meta "+clip(name))
		}
	}
	if d.ID == "" {
		d.ID = ids.New()
	}
	return nil
}

// formatName is what connectors take for the name of a format: they split it at its
// one hyphen.
var formatName = regexp.MustCompile(`^[A-Za-z0-9_.]{1,64}-(PULL|PUSH)$`)
