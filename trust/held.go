package trust

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kakehashi/dcp"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/internal/watch"
	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/vc"
)

// statusAge is how old the last look at a status may be: longer ago, and nobody
// knows whether the credential is revoked.
const statusAge = 15 * time.Minute

// held is a credential that a counterpart showed.
type held struct {
	vc.Checked
	good bool // when it was last looked at
}

// keep puts what was shown on record and holds it, in place of what was held for
// the same types.
func (r *Room) keep(ctx context.Context, k key, types []string, shown []vc.Checked) error {
	err := r.c.DB.Update(ctx, func(tx store.Tx) error {
		for _, t := range r.equivalents(k.p, types) {
			if err := tx.Exec(`DELETE FROM trust_held WHERE participant = $1 AND counterparty = $2 AND type = $3`, string(k.p), k.counterparty, t); err != nil {
				return err
			}
		}
		for i, c := range shown {
			if slices.ContainsFunc(shown[:i], func(have vc.Checked) bool { return have.Raw == c.Raw }) {
				continue // it counts as two of the types
			}
			basis, err := strictjson.Encode(c.Basis)
			if err != nil {
				return err
			}
			status, err := strictjson.Encode(c.Status)
			if err != nil {
				return err
			}
			if err := tx.Exec(`INSERT INTO trust_held (participant, counterparty, digest, type, presentation, basis, status, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
				ON CONFLICT (participant, counterparty, digest) DO UPDATE SET type = excluded.type, presentation = excluded.presentation,
				basis = excluded.basis, status = excluded.status, at = excluded.at`,
				string(k.p), k.counterparty, c.Digest(), c.Basis.Type, c.Presentation, string(basis), string(status), c.At.UnixMicro()); err != nil {
				return err
			}
			if err := r.c.Evidence.Append(tx, k.p, evidence.Leaf{Type: "kh.credential.verified", Counterparty: k.counterparty, Direction: evidence.In,
				Hashes: map[string]string{"credential": c.Digest(), "presentation": c.Presentation},
				Facts:  map[string]string{"type": c.Basis.Type, "issuer": c.Issuer, "basis": c.Basis.String(), "status": statusFact(c.Status)}},
				evidence.Body{Digest: c.Digest(), Bytes: []byte(c.Raw), Class: evidence.ClassCredential}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep what %s showed: %w", k.counterparty, err)
	}
	r.mu.Lock()
	gone := r.equivalentsOf(k.p, types)
	list := slices.DeleteFunc(slices.Clone(r.held[k]), func(h held) bool {
		return slices.Contains(gone, h.Basis.Type) || slices.ContainsFunc(shown, func(c vc.Checked) bool { return c.Raw == h.Raw })
	})
	for _, c := range shown {
		if !slices.ContainsFunc(list, func(h held) bool { return h.Raw == c.Raw }) {
			list = append(list, held{c, true})
		}
	}
	r.held[k] = list
	r.kept++
	if len(r.asked) > maxCallers {
		clear(r.asked)
	}
	r.asked[k] = r.c.Now()
	r.mu.Unlock()
	signal(r.ends)
	r.changed(k)
	return nil
}

// equivalentsOf is equivalents for who holds the lock.
func (r *Room) equivalentsOf(p participant.ID, types []string) []string {
	out := slices.Clone(types)
	s, ok := r.config[p]
	if !ok {
		return out
	}
	for _, a := range s.anchors {
		if a.List == nil {
			continue
		}
		for _, rec := range a.List.Recognitions {
			if slices.Contains(types, rec.As) {
				out = append(out, rec.Type)
			}
		}
	}
	return out
}

// statusFact says when the youngest and oldest look at a status were, by the
// oldest.
func statusFact(seen []vc.StatusSeen) string {
	if len(seen) == 0 {
		return "none"
	}
	oldest := seen[0].ReadAt
	for _, s := range seen {
		if s.ReadAt.Before(oldest) {
			oldest = s.ReadAt
		}
	}
	return "read at " + oldest.UTC().Format(time.RFC3339)
}

func (r *Room) changed(k key) {
	r.c.Watch.Publish(watch.Change{Participant: string(k.p), Kind: Changed, ID: k.counterparty, At: r.c.Now()})
}

// Held gives what a counterpart showed that is good now and satisfies each of
// types. It asks nobody and reads no table. The error says why what was shown
// counts no more, or that nothing was.
func (r *Room) Held(_ context.Context, p participant.ID, counterparty string, types []string) ([]vc.Checked, error) {
	r.mu.RLock()
	list := r.held[key{p, counterparty}]
	r.mu.RUnlock()
	var out []vc.Checked
	s, now := r.settings(p), r.c.Now()
	for _, t := range types {
		var why error
		found := false
		for _, h := range list {
			basis, err := s.counts(h.Credential, t, now)
			if err == nil {
				h.Basis = basis
				err = r.goodBy(s, h.Checked)
			} else if !Satisfies(h.Checked, t) {
				continue // it never was one
			}
			if err != nil {
				why = err
				continue
			}
			found = true
			out = add(out, h.Checked)
		}
		switch {
		case found:
		case why != nil:
			return nil, why
		default:
			return nil, lacking(counterparty, t)
		}
	}
	return out, nil
}

// Shown lists what counterparts have shown, and why what counts no more does not.
func (r *Room) Shown(p participant.ID) (out []Shown) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for k, list := range r.held {
		if k.p != p {
			continue
		}
		for _, h := range list {
			out = append(out, Shown{Counterparty: k.counterparty, Checked: h.Checked, Err: r.goodBy(r.config[p], h.Checked)})
		}
	}
	slices.SortFunc(out, func(a, b Shown) int {
		return strings.Compare(a.Counterparty+"\x00"+a.Type()+a.Digest(), b.Counterparty+"\x00"+b.Type()+b.Digest())
	})
	return out
}

// Shown is a credential of a counterpart.
type Shown struct {
	Counterparty string
	vc.Checked
	Err error // nil: it is good now
}

// goodBy tells why a credential that was believed counts no more as what its basis
// says.
func (r *Room) goodBy(s *settings, c vc.Checked) error {
	now := r.c.Now()
	name := []any{"type", c.Type(), "issuer", c.Issuer}
	switch {
	case !c.ValidUntil.IsZero() && !c.ValidUntil.After(now.Add(-dcp.Leeway)):
		return fault.CredentialExpired.At("", append(name, "at", c.ValidUntil.Format(time.RFC3339))...)
	case s == nil:
		return fault.CredentialUntrusted.At("", name...)
	}
	typ := c.Basis.Type
	if c.Basis.As != "" {
		typ = c.Basis.As
	}
	if _, err := s.counts(c.Credential, typ, now); err != nil {
		return err
	}
	for _, seen := range c.Status {
		at := seen.ReadAt
		if at.Before(r.opened) {
			at = r.opened // nobody could look while the node was off
		}
		bit := append(name, "index", seen.Index, "list", seen.List, "at", seen.ReadAt.UTC().Format(time.RFC3339))
		switch {
		case seen.Set && seen.Purpose == vc.Revocation:
			return fault.CredentialRevoked.At("", bit...)
		case seen.Set && seen.Purpose == vc.Suspension:
			return fault.CredentialSuspended.At("", bit...)
		case now.Sub(at) > statusAge:
			return fault.CredentialStatus.At("", append(bit, "reason", "it could not be read since "+seen.ReadAt.UTC().Format(time.RFC3339))...)
		}
	}
	return nil
}

// RefreshStatus reads the status of all that is held again, and tells of what
// changed: revoked, expired, or good again.
func (r *Room) RefreshStatus(ctx context.Context) {
	r.mu.RLock()
	all := make([]key, 0, len(r.held))
	for k := range r.held {
		all = append(all, k)
	}
	r.mu.RUnlock()
	for _, k := range all {
		if ctx.Err() != nil {
			return
		}
		r.lookAgain(ctx, k)
	}
	r.flip()
}

// lookAgain reads the status of what is held of one counterpart.
func (r *Room) lookAgain(ctx context.Context, k key) {
	r.mu.RLock()
	list := slices.Clone(r.held[k])
	r.mu.RUnlock()
	var gone []string
	for i := range list {
		h := &list[i]
		if !h.ValidUntil.IsZero() && r.c.Now().After(h.ValidUntil.Add(24*time.Hour)) {
			r.drop(ctx, k, *h)
			gone = append(gone, h.Raw)
			continue
		}
		seen, moved := r.look(ctx, k.p, h.Checked)
		h.Status = seen
		if moved {
			r.saveStatus(ctx, k, *h)
		}
	}
	r.mu.Lock()
	fresh := slices.DeleteFunc(slices.Clone(r.held[k]), func(h held) bool { return slices.Contains(gone, h.Raw) }) // who reads the old one keeps it
	merge(fresh, list)
	if r.held[k] = fresh; len(fresh) == 0 {
		delete(r.held, k)
	}
	r.mu.Unlock()
	r.flip()
}

// merge brings the newer looks at a status from one list into another.
func merge(into, from []held) {
	for i := range into {
		for _, f := range from {
			if f.Raw != into[i].Raw || len(f.Status) != len(into[i].Status) {
				continue
			}
			status := slices.Clone(into[i].Status)
			for n, seen := range f.Status {
				if seen.ReadAt.After(status[n].ReadAt) {
					status[n] = seen
				}
			}
			into[i].Status, into[i].good = status, f.good
		}
	}
}

// flip tells of each counterpart of which something counts no more, or again.
func (r *Room) flip() {
	var flipped []key
	r.mu.Lock()
	for k, list := range r.held {
		s := r.config[k.p]
		fresh, moved := slices.Clone(list), false
		for i := range fresh {
			good := r.goodBy(s, fresh[i].Checked) == nil
			moved = moved || good != fresh[i].good
			fresh[i].good = good
		}
		if moved {
			r.held[k] = fresh
			flipped = append(flipped, k)
		}
	}
	r.mu.Unlock()
	for _, k := range flipped {
		r.changed(k)
	}
}

// nextEnd is how long it takes until the next of what is held runs out.
func (r *Room) nextEnd() (d time.Duration, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	now := r.c.Now()
	for _, list := range r.held {
		for _, h := range list {
			if !h.good || h.ValidUntil.IsZero() {
				continue
			}
			left := h.ValidUntil.Add(dcp.Leeway).Sub(now)
			if !ok || left < d {
				d, ok = left, true
			}
		}
	}
	return max(d, time.Millisecond), ok
}

// look reads the status of a credential; moved tells that a bit is another. What
// cannot be read stays as it was seen, with its age.
func (r *Room) look(ctx context.Context, p participant.ID, c vc.Checked) (seen []vc.StatusSeen, moved bool) {
	seen = slices.Clone(c.Status)
	for i, e := range c.Statuses {
		if i >= len(seen) {
			break
		}
		l, err := r.listsOf(p).List(ctx, e, c.Issuer)
		if err != nil {
			r.c.Log.WarnContext(ctx, "a status list was not read", "participant", string(p), "list", e.List, "err", err)
			continue
		}
		set, ok := l.Bits.Get(e.Index)
		if !ok || !slices.Contains(l.Purposes, e.Purpose) {
			continue
		}
		moved = moved || set != seen[i].Set
		seen[i].Set, seen[i].Digest, seen[i].ReadAt = set, l.Digest, l.ReadAt
	}
	return seen, moved
}

// saveStatus keeps a bit that changed, on record.
func (r *Room) saveStatus(ctx context.Context, k key, h held) {
	status, err := strictjson.Encode(h.Status)
	if err == nil {
		err = r.c.DB.Update(ctx, func(tx store.Tx) error {
			if err := tx.Exec(`UPDATE trust_held SET status = $1 WHERE participant = $2 AND counterparty = $3 AND digest = $4`,
				string(status), string(k.p), k.counterparty, h.Digest()); err != nil {
				return err
			}
			facts := map[string]string{"type": h.Basis.Type, "issuer": h.Issuer}
			for _, s := range h.Status {
				facts[s.Purpose] = fmt.Sprint(s.Set)
			}
			return r.c.Evidence.Append(tx, k.p, evidence.Leaf{Type: "kh.credential.status", Counterparty: k.counterparty,
				Hashes: map[string]string{"credential": h.Digest()}, Facts: facts})
		})
	}
	if err != nil && ctx.Err() == nil {
		r.c.Log.WarnContext(ctx, "a changed status was not kept", "participant", string(k.p), "counterparty", k.counterparty, "err", err)
	}
}

// drop forgets what expired a day ago.
func (r *Room) drop(ctx context.Context, k key, h held) {
	err := r.c.DB.Update(ctx, func(tx store.Tx) error {
		return tx.Exec(`DELETE FROM trust_held WHERE participant = $1 AND counterparty = $2 AND digest = $3`, string(k.p), k.counterparty, h.Digest())
	})
	if err != nil && ctx.Err() == nil {
		r.c.Log.WarnContext(ctx, "an expired credential was not dropped", "participant", string(k.p), "counterparty", k.counterparty, "err", err)
	}
}

// recheck tells of every counterpart of p whose credentials may count for
// something else, after people decided.
func (r *Room) recheck(p participant.ID) {
	r.mu.RLock()
	var keys []key
	for k := range r.held {
		if k.p == p {
			keys = append(keys, k)
		}
	}
	r.mu.RUnlock()
	for _, k := range keys {
		r.changed(k)
	}
}

func (r *Room) readHeld(tx store.Tx, p participant.ID, into map[key][]held) error {
	rows, err := tx.Query(`SELECT counterparty, digest, presentation, basis, status, at FROM trust_held WHERE participant = $1 ORDER BY counterparty, digest`, string(p))
	if err != nil {
		return err
	}
	defer rows.Close()
	type row struct {
		counterparty, digest string
		vc.Checked
	}
	var all []row
	for rows.Next() {
		var w row
		var basis, status string
		var at int64
		if err := rows.Scan(&w.counterparty, &w.digest, &w.Presentation, &basis, &status, &at); err != nil {
			return err
		}
		if err := errors.Join(strictjson.Decode([]byte(basis), &w.Basis), strictjson.Decode([]byte(status), &w.Status)); err != nil {
			return fmt.Errorf("credential %s that is held: %w", w.digest, err)
		}
		w.At = moment(at)
		all = append(all, w)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, w := range all {
		raw, err := r.c.Evidence.BodyTx(tx, p, w.digest)
		if errors.Is(err, fault.NotFound) {
			continue // its body is no longer kept: it has to be shown again
		}
		if err != nil {
			return fmt.Errorf("credential %s that is held: %w", w.digest, err)
		}
		if w.Credential, err = vc.ParseCredential(string(raw)); err != nil {
			return fmt.Errorf("credential %s that is held: %w", w.digest, err)
		}
		k := key{p, w.counterparty}
		into[k] = append(into[k], held{w.Checked, true})
	}
	return nil
}
