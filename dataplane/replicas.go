package dataplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kakehashi/internal/watch"
	"kakehashi/participant"
	"kakehashi/store"
)

// Changed is the kind of the changes that tell of a grant.
const Changed = "grant"

// Replicas tells who this program is among those that serve the same tables.
type Replicas interface {
	ID() string // the name under which windows are owned; it may change
	// Live reads all names that are at work. One that was written before and is not
	// among them never comes back.
	Live(ctx context.Context) (map[string]bool, error)
}

// single is a plane that has its tables for itself.
type single struct{}

func (single) ID() string { return "single" }
func (single) Live(context.Context) (map[string]bool, error) {
	return map[string]bool{"single": true}, nil
}

// tell says after a commit that a grant is not what it was.
func (p *Plane) tell(who participant.ID, grant, state string) {
	p.c.Watch.Publish(watch.Change{Participant: string(who), Kind: Changed, ID: grant, State: state, At: p.c.Now()})
}

// heard has what another replica changed read again: at once where something
// runs, so that it is cut, else before the next request.
func (p *Plane) heard(c watch.Change, lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !lost {
		if l := p.live[c.ID]; l != nil {
			l.epoch++
			l.read, l.judged = time.Time{}, time.Time{}
			p.lookSoon(l)
		}
		return
	}
	for _, l := range p.live {
		l.epoch++
		l.read, l.judged = time.Time{}, time.Time{}
		p.lookSoon(l)
	}
}

// tick looks at all grants on which something runs, while there are other
// replicas: one that died may not have told what it closed.
func (p *Plane) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	running, shared := false, p.c.Watch.Shared()
	for _, l := range p.live {
		if len(l.sessions) > 0 {
			running = true
			if shared {
				p.lookSoon(l)
			}
		}
	}
	if p.ticking = running && !p.closing; p.ticking {
		p.ticker.Reset(Fresh)
	}
}

// ticks has tick run as long as something runs. p.mu is held.
func (p *Plane) ticks() {
	if p.ticking {
		return
	}
	p.ticking = true
	if p.ticker == nil {
		p.ticker = time.AfterFunc(Fresh, p.tick)
		return
	}
	p.ticker.Reset(Fresh)
}

// lookSoon has the row of a grant read on which something runs. p.mu is held.
func (p *Plane) lookSoon(l *live) {
	if len(l.sessions) == 0 || p.closing {
		return
	}
	p.doubted[l.ID] = l
	if !p.looking {
		p.looking = true
		p.sessions.Add(1) // Close waits for it
		go p.look()
	}
}

// look reads the rows of doubted grants until there are none, and cuts what is not
// open any more.
func (p *Plane) look() {
	defer p.sessions.Done()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		var ids []string
		epochs := map[string]int{}
		some := map[string]*live{}
		p.mu.Lock()
		for id, l := range p.doubted {
			if len(ids) == lookMost {
				break
			}
			ids, epochs[id], some[id] = append(ids, id), l.epoch, l
			delete(p.doubted, id)
		}
		if p.looking = len(ids) > 0; !p.looking {
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()

		now := p.c.Now()
		rows, err := p.rowsOf(ctx, ids)
		if err != nil { // each window of use asks the table anyway
			p.c.Log.Warn("grants in use could not be read again", "err", err)
			continue
		}
		p.mu.Lock()
		for _, r := range rows {
			l := some[r.ID]
			switch {
			case p.live[r.ID] != l:
			case l.epoch != epochs[r.ID]: // changed while we read
				p.lookSoon(l)
			case r.State != StateOpen:
				p.drop(l, r.State, r.Why)
			default:
				l.record, l.read = r, now
			}
		}
		p.mu.Unlock()
	}
}

// lookMost is how many grants one statement names; fewer are filled up with the last.
const lookMost = 64

var sqlByIDs = `SELECT ` + grantColumns + ` FROM dataplane_grants WHERE id IN (` + placeholders(lookMost) + `)`

func placeholders(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("$%d", i+1)
	}
	return strings.Join(all, ",")
}

func (p *Plane) rowsOf(ctx context.Context, ids []string) (out []record, err error) {
	args := make([]any, lookMost)
	for i := range args {
		args[i] = ids[min(i, len(ids)-1)]
	}
	err = p.c.DB.View(ctx, func(tx store.Tx) error {
		out = nil
		rows, err := tx.Query(sqlByIDs, args...)
		if err != nil {
			return err
		}
		for rows.Next() {
			r, err := scan(rows)
			if err != nil {
				return errors.Join(err, rows.Close())
			}
			out = append(out, r)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return out, err
}

// Reload puts on record, as at most their limit, the windows of replicas that are
// gone, and removes what they left of bodies. Several replicas may do it at once.
func (p *Plane) Reload(ctx context.Context) error { return p.adopt(ctx, false) }

// adopt is Reload. At the start nothing can be ours yet: what bears our name is
// left from before.
func (p *Plane) adopt(ctx context.Context, start bool) error {
	owners, err := p.owners(ctx) // before Live is asked
	if err != nil {
		return err
	}
	parts, err := p.parts()
	if err != nil {
		return err
	}
	live, err := p.c.Replicas.Live(ctx)
	if err != nil {
		return err
	}
	if start {
		delete(live, p.c.Replicas.ID())
	}
	for _, owner := range owners {
		if !live[owner] {
			if err := p.recover(ctx, owner); err != nil {
				return fmt.Errorf("close the windows that were left open: %w", err)
			}
		}
	}
	kept := map[string]bool{}
	for id := range live {
		kept[plain(id)] = true
	}
	for _, file := range parts {
		if kept[partOwner(file)] {
			continue
		}
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove what is left of a received body: %w", err)
		}
	}
	return nil
}

func (p *Plane) owners(ctx context.Context) (out []string, err error) {
	err = p.c.DB.View(ctx, func(tx store.Tx) error {
		out = nil
		rows, err := tx.Query(sqlOwners)
		if err != nil {
			return err
		}
		for rows.Next() {
			var owner string
			if err := rows.Scan(&owner); err != nil {
				return errors.Join(err, rows.Close())
			}
			out = append(out, owner)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	if err != nil {
		return nil, fmt.Errorf("read whose windows are open: %w", err)
	}
	return out, nil
}

// parts lists the bodies in the folder that are not whole: of this replica, and of
// others that share the folder.
func (p *Plane) parts() ([]string, error) {
	if p.c.Folder == "" {
		return nil, nil
	}
	return filepath.Glob(filepath.Join(p.c.Folder, "*"+partOf))
}

// partName is the pattern of the name of a body that is not whole yet; it says
// whose it is, for the folder may be shared.
func (p *Plane) partName(grant string) string {
	return grant + ".*." + plain(p.c.Replicas.ID()) + partOf
}

// partOwner is who wrote a part.
func partOwner(file string) string {
	name := strings.TrimSuffix(filepath.Base(file), partOf)
	return name[strings.LastIndexByte(name, '.')+1:]
}

// plain is the name of a replica as part of the name of a file.
func plain(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' {
			return r
		}
		return '_'
	}, id)
}
