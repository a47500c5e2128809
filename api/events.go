package api

import (
	"context"
	"io"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"kakehashi/client"
	"kakehashi/internal/fault"
	"kakehashi/internal/recent"
	"kakehashi/internal/strictjson"
	"kakehashi/internal/watch"
	"kakehashi/participant"
)

const (
	// beat is how often an idle stream says that it is there: proxies drop
	// connections on which nothing is said.
	beat = 15 * time.Second
	// overlap is how far before its position a resumed stream reads. A position is
	// a time of a unit of work; units that began before may be durable after it,
	// and other replicas have clocks of their own.
	overlap = 10 * time.Second
	// maxSent is how many processes a stream remembers, so as not to repeat itself.
	maxSent = 4096
)

// feed gives the newest state of what changed since a moment.
type feed func(ctx context.Context, p participant.ID, id string, since time.Time, after string) ([]watch.Change, error)

type resumed struct {
	Kind        string `query:"kind" enum:"negotiation,transfer" doc:"Changes of these only"`
	ID          string `query:"id" maxLength:"2048" doc:"Changes of this process only"`
	After       string `query:"after" maxLength:"20" doc:"As Last-Event-ID, for who cannot set headers"`
	LastEventID string `header:"Last-Event-ID" maxLength:"20" doc:"The id of the newest event that was read: what changed after it comes first, each process at its newest state, then what changes from now on"`
}

func (s *server) changes(api huma.API) {
	stream(s, api, "/events", "events", "Changes of processes, as server-sent events", "text/event-stream", s.events)
}

func (s *server) events(ctx context.Context, p participant.ID, in *resumed) (func(io.Writer, func()) error, error) {
	now := s.Now()
	e := &events{p: p, feeds: map[string]feed{}, now: s.Now, filter: watch.Filter{Participant: string(p), Kind: in.Kind, ID: in.ID},
		stopping: s.Stopping, at: now, sent: recent.New[string, int64](maxSent)}
	for kind, f := range map[string]feed{"negotiation": s.Negotiations.Changed, "transfer": s.Transfers.Changed} {
		if in.Kind == "" || in.Kind == kind {
			e.feeds[kind] = f
			e.filter.Kinds = append(e.filter.Kinds, kind) // the hub tells also of what is no process
		}
	}
	position := in.LastEventID
	if position == "" {
		position = in.After
	}
	if position != "" {
		n, err := strconv.ParseInt(position, 10, 64)
		if err != nil || n < 0 {
			return nil, fault.BadMessage.At("Last-Event-ID", "reason", "the id of an event of this stream is expected")
		}
		e.resume = true
		if then := time.UnixMicro(n); then.Before(now) { // else clocks were set back meanwhile
			e.at = then
		}
	}
	return func(w io.Writer, flush func()) error {
		sub := s.Watch.Subscribe(e.filter)
		defer sub.Close()
		e.w, e.flush = w, flush
		return e.run(ctx, sub)
	}, nil
}

// source is a feed that is being read.
type source struct {
	read  feed
	since time.Time
	after string
	page  []watch.Change
	over  bool
}

// events is one stream. Its position never goes back.
type events struct {
	p        participant.ID
	filter   watch.Filter
	feeds    map[string]feed
	now      func() time.Time
	stopping <-chan struct{}
	at       time.Time // position: everything before it was sent
	resume   bool
	sent     *recent.Of[string, int64] // newest version by process
	w        io.Writer
	flush    func()
}

// run writes until ctx ends, the node stops or the reader has gone. What the reader was too slow
// for, or what another replica may not have told, is read from the tables again.
func (e *events) run(ctx context.Context, sub *watch.Sub) error {
	if err := e.write(": open\n" + e.id() + "\n"); err != nil {
		return err
	}
	if e.resume {
		if err := e.catchUp(ctx, false); err != nil {
			return err
		}
	}
	pulse := time.NewTicker(beat)
	defer pulse.Stop()
	for {
		e.flush()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.stopping:
			return nil
		case <-pulse.C:
			if err := e.write(": still here\n\n"); err != nil {
				return err
			}
		case <-sub.More():
			changes, lost := sub.Take()
			for _, c := range changes {
				e.reach(c.At)
				if err := e.send(c); err != nil {
					return err
				}
			}
			if !lost {
				continue
			}
			if err := e.catchUp(ctx, true); err != nil {
				return err
			}
		}
	}
}

// catchUp sends what changed since the position, all kinds in one order, so that
// the stream may break anywhere. gap tells the reader first that states in between
// may be missing, if there is anything to send.
func (e *events) catchUp(ctx context.Context, gap bool) error {
	began := e.now() // what is durable by now is read below; of later changes only some may be
	var sources []*source
	for _, f := range e.feeds {
		sources = append(sources, &source{read: f, since: e.at.Add(-overlap)})
	}
	for {
		var first *source
		for _, s := range sources {
			if len(s.page) == 0 && !s.over {
				e.flush()
				var err error
				if s.page, err = s.read(ctx, e.p, e.filter.ID, s.since, s.after); err != nil {
					return err
				}
				s.over = len(s.page) == 0
			}
			if len(s.page) > 0 && (first == nil || s.page[0].At.Before(first.page[0].At)) {
				first = s
			}
		}
		if first == nil {
			e.reach(began)
			return nil
		}
		c := first.page[0]
		first.page, first.since, first.after = first.page[1:], c.At, c.ID
		if c.At.Before(began) {
			e.reach(c.At)
		}
		if gap && !e.told(c) {
			gap = false
			if err := e.event(client.Event{At: e.now().UTC()}, ""); err != nil {
				return err
			}
		}
		if err := e.send(c); err != nil {
			return err
		}
	}
}

// told says that this stream has told a change or a newer one of the process.
func (e *events) told(c watch.Change) bool {
	v, ok := e.sent.Get(c.ID)
	return ok && v >= c.Version
}

// send writes a change unless it was told.
func (e *events) send(c watch.Change) error {
	if e.told(c) {
		return nil
	}
	e.sent.Put(c.ID, c.Version)
	return e.event(client.Event{Kind: c.Kind, ID: c.ID, State: c.State, Version: c.Version, At: c.At}, e.id())
}

func (e *events) reach(at time.Time) {
	if at.After(e.at) {
		e.at = at
	}
}

func (e *events) id() string { return "id: " + strconv.FormatInt(e.at.UnixMicro(), 10) + "\n" }

func (e *events) event(v client.Event, id string) error {
	b, err := strictjson.Encode(v)
	if err != nil {
		return err
	}
	return e.write(id + "data: " + string(b) + "\n\n")
}

func (e *events) write(text string) error {
	_, err := io.WriteString(e.w, text)
	return err
}
