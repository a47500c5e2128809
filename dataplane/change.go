package dataplane

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"

	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/participant"
	"kakehashi/store"
)

const tokenBytes = 32

// Open makes a grant in the caller's unit; its address answers once that has
// committed. The caller puts address and token into the start message, the
// token's only copy. A format that no service has is fault.FormatUnknown, a
// filter that it cannot apply fault.FilterUnsupported.
func (p *Plane) Open(tx store.Tx, g Grant) (Access, error) {
	switch g.Way {
	case "":
		g.Way = WayServe
		fallthrough
	case WayServe, WayPush:
		f, err := p.format(g.Service, g.Format)
		if err != nil {
			return Access{}, err
		}
		g.Service = f.Service
	case WayReceive:
		if p.c.Folder == "" {
			return Access{}, errors.New("open a grant: this data plane has no folder for what it receives")
		}
	}
	if len(g.Filter) > 0 {
		return Access{}, fault.FilterUnsupported.At("/format", "format", g.Format)
	}
	who, ok := p.c.Participants(g.Participant)
	if !ok {
		return Access{}, fmt.Errorf("open a grant: participant %q is not hosted here", g.Participant)
	}
	token, digest, err := p.token()
	if err != nil {
		return Access{}, err
	}
	g.ID = ids.Short()
	a := Access{Grant: g.ID, Address: who.DataURL + "/data/" + g.ID + "/", Token: token}
	now := p.c.Now()
	r := record{Info: Info{Grant: g, State: StateOpen, Address: a.Address, Generation: 1, Opened: now}, digest: digest}
	err = tx.Exec(sqlOpen, string(g.Participant), g.ID, g.Transfer, g.Agreement, g.Counterparty, g.Dataset, g.Service,
		g.Format, digest, string(g.Source), string(g.Filter), now.UnixMicro(), a.Address, string(g.Way))
	if err != nil {
		return Access{}, fmt.Errorf("open a grant: %w", err)
	}
	if err := p.leaf(tx, "kh.grant.opened", g, map[string]string{"format": g.Format, "way": string(g.Way)}, ""); err != nil {
		return Access{}, err
	}
	tx.AfterCommit(func() { // so that the first request reads nothing
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.live[g.ID] == nil {
			l := p.remember(g.ID)
			l.record, l.read = r, p.c.Now()
		}
	})
	return a, nil
}

// Stop closes a grant for good: once the unit has committed its next request is
// refused with why, and its running responses end by reset. The totals of all
// use go on record; a response that still runs then is counted by its own
// window. Stopping twice is no error and changes nothing; a grant that who does
// not have is fault.NotFound.
func (p *Plane) Stop(tx store.Tx, who participant.ID, grant, why string) error {
	if err := p.settleIdle(tx, grant); err != nil {
		return err
	}
	r, err := scan(tx.QueryRow(sqlStop, string(who), grant, why, p.c.Now().UnixMicro()))
	if errors.Is(err, store.ErrNotFound) {
		_, err := p.row(tx, who, grant)
		return err
	} else if err != nil {
		return fmt.Errorf("close grant %s: %w", grant, err)
	}
	facts := map[string]string{
		"why": why, "bytes": strconv.FormatInt(r.Bytes, 10), "requests": strconv.FormatInt(r.Requests, 10),
		"running": strconv.Itoa(p.running(grant)),
	}
	if err := p.leaf(tx, "kh.grant.closed", r.Grant, facts, ""); err != nil {
		return err
	}
	tx.AfterCommit(func() {
		p.forget(grant, StateClosed, why)
		p.tell(who, grant, StateClosed)
	})
	return nil
}

// StopAgreement closes all grants under an agreement and says how many.
func (p *Plane) StopAgreement(tx store.Tx, who participant.ID, agreement, why string) (int, error) {
	rows, err := tx.Query(sqlOfAgreement, string(who), agreement)
	if err != nil {
		return 0, fmt.Errorf("find the grants of agreement %s: %w", agreement, err)
	}
	var grants []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return 0, errors.Join(err, rows.Close())
		}
		grants = append(grants, id)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return 0, fmt.Errorf("find the grants of agreement %s: %w", agreement, err)
	}
	for _, id := range grants {
		if err := p.Stop(tx, who, id, why); err != nil {
			return 0, err
		}
	}
	return len(grants), nil
}

// Suspend cuts like Stop, and Resume can open the grant again. Suspending twice
// changes nothing.
func (p *Plane) Suspend(tx store.Tx, who participant.ID, grant, why string) error {
	if err := p.settleIdle(tx, grant); err != nil {
		return err
	}
	r, err := scan(tx.QueryRow(sqlSuspend, string(who), grant, why))
	if errors.Is(err, store.ErrNotFound) {
		r, err := p.row(tx, who, grant)
		if err == nil && r.State == StateClosed {
			err = refusal(r.State, r.Why)
		}
		return err
	} else if err != nil {
		return fmt.Errorf("suspend grant %s: %w", grant, err)
	}
	if err := p.leaf(tx, "kh.grant.suspended", r.Grant, map[string]string{"why": why}, ""); err != nil {
		return err
	}
	tx.AfterCommit(func() {
		p.forget(grant, StateSuspended, why)
		p.tell(who, grant, StateSuspended)
	})
	return nil
}

// Resume opens a suspended grant again at the same address with a new token.
func (p *Plane) Resume(tx store.Tx, who participant.ID, grant string) (Access, error) {
	return p.renew(tx, who, grant, StateSuspended, "kh.grant.resumed")
}

// Reopen opens a suspended grant again with the token that it had: for those
// whose address was told before the transfer began. An open one stays as it is.
func (p *Plane) Reopen(tx store.Tx, who participant.ID, grant string) error {
	r, err := scan(tx.QueryRow(sqlReopen, string(who), grant))
	if errors.Is(err, store.ErrNotFound) {
		if r, err = p.row(tx, who, grant); err == nil && r.State == StateClosed {
			err = refusal(r.State, r.Why)
		}
		return err
	} else if err != nil {
		return fmt.Errorf("reopen grant %s: %w", grant, err)
	}
	if err := p.leaf(tx, "kh.grant.resumed", r.Grant, map[string]string{}, ""); err != nil {
		return err
	}
	tx.AfterCommit(func() {
		p.stale(grant)
		p.tell(who, grant, StateOpen)
	})
	return nil
}

// Reissue gives an open grant a new token; the old one ends with the commit,
// responses that run go on.
func (p *Plane) Reissue(tx store.Tx, who participant.ID, grant string) (Access, error) {
	return p.renew(tx, who, grant, StateOpen, "kh.grant.reissued")
}

func (p *Plane) renew(tx store.Tx, who participant.ID, grant, from, typ string) (Access, error) {
	token, digest, err := p.token()
	if err != nil {
		return Access{}, err
	}
	r, err := scan(tx.QueryRow(sqlToken, string(who), grant, digest, from))
	if errors.Is(err, store.ErrNotFound) {
		r, err := p.row(tx, who, grant)
		switch {
		case err != nil:
			return Access{}, err
		case r.State == StateOpen:
			return Access{}, fmt.Errorf("grant %s is open, not suspended", grant)
		}
		return Access{}, refusal(r.State, r.Why)
	} else if err != nil {
		return Access{}, fmt.Errorf("renew grant %s: %w", grant, err)
	}
	facts := map[string]string{"generation": strconv.FormatInt(r.Generation, 10)}
	if err := p.leaf(tx, typ, r.Grant, facts, ""); err != nil {
		return Access{}, err
	}
	tx.AfterCommit(func() {
		p.stale(grant)
		p.tell(who, grant, StateOpen)
	})
	return Access{Grant: grant, Address: r.Address, Token: token}, nil
}

func (p *Plane) row(tx store.Tx, who participant.ID, grant string) (record, error) {
	r, err := scan(tx.QueryRow(sqlGet, string(who), grant))
	if errors.Is(err, store.ErrNotFound) {
		return r, fault.NotFound.At("", "what", "grant "+grant)
	} else if err != nil {
		return r, fmt.Errorf("read grant %s: %w", grant, err)
	}
	return r, nil
}

// running counts the responses of a grant that are under way.
func (p *Plane) running(grant string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.live[grant]; l != nil {
		return len(l.sessions)
	}
	return 0
}

func (p *Plane) token() (token string, digest []byte, err error) {
	b := make([]byte, tokenBytes)
	if _, err := io.ReadFull(p.c.Rand, b); err != nil {
		return "", nil, fmt.Errorf("make a token: %w", err)
	}
	token = base64.RawURLEncoding.EncodeToString(b)
	sum := sha256.Sum256([]byte(token))
	return token, sum[:], nil
}

// leaf records what happened to a grant: under the grant's own id, so that the
// versions of other processes do not order it, joined to them by correlation.
func (p *Plane) leaf(tx store.Tx, typ string, g Grant, facts map[string]string, payload string) error {
	l := evidence.Leaf{
		Type: typ, Process: g.ID, Counterparty: g.Counterparty, Facts: facts,
		Correlation: map[string]string{"grant": g.ID, "transfer": g.Transfer, "agreement": g.Agreement, "dataset": g.Dataset},
	}
	if payload != "" {
		l.Hashes = map[string]string{"payload": payload}
	}
	if err := p.c.Evidence.Append(tx, g.Participant, l); err != nil {
		return fmt.Errorf("record %s: %w", typ, err)
	}
	return nil
}
