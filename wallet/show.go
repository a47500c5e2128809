package wallet

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"kakehashi/dcp"
	"kakehashi/evidence"
	"kakehashi/identity"
	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/participant"
	"kakehashi/store"
	"kakehashi/vc"
)

const (
	accessLifetime       = 5 * time.Minute
	presentationLifetime = 5 * time.Minute
	maxReads             = 8               // of one access token
	ownCheck             = 3 * time.Second // for looking at our own credentials while a verifier waits
)

// AccessToken makes the token by which a counterparty may read what is shared
// with it, good for 5 minutes and 8 reads; "" when nothing is. It is an
// identity.Sharer.
func (r *Room) AccessToken(_ context.Context, p participant.ID, counterparty string) (string, error) {
	scopes := r.sharedWith(p, counterparty)
	if len(scopes) == 0 {
		return "", nil
	}
	return r.mint(p, counterparty, scopes)
}

func (r *Room) mint(p participant.ID, counterparty string, scopes []dcp.Scope) (string, error) {
	us, _ := r.c.Participants.Get(p)
	key, err := r.c.Participants.Key(p, participant.Token)
	if err != nil {
		return "", err
	}
	now := r.c.Now()
	return dcp.MintAccess(r.c.Rand, key, dcp.Access{Holder: us.DID, Verifier: counterparty, Scopes: scopes, JTI: ids.Short(), Expires: now.Add(accessLifetime)}, now)
}

// Query answers a verifier (DCP 1.0, section 5.4): with those of our credentials
// that it asks for, that its access token allows and that are shared with it
// still. To ask for more is no error, it gets less.
func (r *Room) Query(ctx context.Context, p participant.ID, caller identity.Caller, body []byte) ([]byte, error) {
	us, ok := r.c.Participants.Get(p)
	if !ok {
		return nil, fault.NotFound.At("", "what", "participant "+string(p))
	}
	access, err := r.readAccess(p, us, caller)
	if err != nil {
		return nil, err
	}
	q, err := dcp.DecodeQuery(body)
	if err != nil {
		return nil, err
	}
	asked, err := parseScopes(q.Scopes)
	if err != nil {
		return nil, err
	}
	if r.c.Strict {
		for _, s := range asked {
			if !s.Within(access.Scopes) {
				return nil, fault.ScopeBeyond.At("/scope", "scope", s.String())
			}
		}
	}
	now := r.c.Now()
	show, err := r.candidates(ctx, p, func(c Credential) bool {
		return covers(asked, c) && covers(access.Scopes, c) && covers(r.sharedWith(p, caller.DID), c)
	})
	if err != nil {
		return nil, err
	}
	err = r.c.DB.Update(ctx, func(tx store.Tx) error {
		if err := r.c.Identity.Spend(tx, p, caller); err != nil {
			return err
		}
		var reads int64
		if err := tx.QueryRow(`INSERT INTO wallet_reads (participant, jti, reads, expires) VALUES ($1, $2, 1, $3)
			ON CONFLICT (participant, jti) DO UPDATE SET reads = wallet_reads.reads + 1 RETURNING reads`,
			string(p), access.JTI, access.Expires.UnixMicro()).Scan(&reads); err != nil {
			return err
		}
		if reads > maxReads {
			return fault.AccessToken.At("", "reason", fmt.Sprintf("it was used %d times", maxReads))
		}
		leaf := evidence.Leaf{Type: "kh.credential.presented", Counterparty: caller.DID, Direction: evidence.Out, Hashes: map[string]string{},
			Facts: map[string]string{"asked": strings.Join(q.Scopes, " "), "shown": fmt.Sprint(len(show))}}
		for i, c := range show {
			leaf.Hashes[fmt.Sprintf("credential-%d", i+1)] = c.Digest()
		}
		return r.c.Evidence.Append(tx, p, leaf)
	})
	if err != nil {
		return nil, err
	}
	key, err := r.c.Participants.Key(p, participant.Token)
	if err != nil {
		return nil, err
	}
	presentations, err := vc.Present(vc.PresentConfig{Random: r.c.Rand, Key: key, Holder: us.DID, Audience: caller.DID, Now: now, Lifetime: presentationLifetime}, show)
	if err != nil {
		return nil, err
	}
	return dcp.PresentationResponse{Presentations: presentations}.Encode()
}

// candidates reads those of our credentials that wanted takes and that are good:
// one that has expired or is revoked would have the whole answer refused.
func (r *Room) candidates(ctx context.Context, p participant.ID, wanted func(Credential) bool) ([]vc.Credential, error) {
	var all []vc.Credential
	err := r.c.DB.View(ctx, func(tx store.Tx) error {
		all = nil
		own, err := readCredentials(tx, p)
		if err != nil {
			return err
		}
		now := r.c.Now()
		for _, c := range own {
			if !c.Until.IsZero() && !c.Until.After(now) || !wanted(c) {
				continue
			}
			raw, err := r.c.Evidence.BodyTx(tx, p, c.Digest)
			if err != nil {
				return fmt.Errorf("read credential %s: %w", c.Digest, err)
			}
			read, err := vc.ParseCredential(string(raw))
			if err != nil {
				return err
			}
			all = append(all, read)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, ownCheck)
	defer cancel()
	return slices.DeleteFunc(all, func(c vc.Credential) bool {
		err := r.verify(ctx, p, c, c.Issuer)
		// Who cannot be asked now is the verifier's to ask.
		return err != nil && ctx.Err() == nil && !fault.Passing(fault.Of(err).Kind.Code)
	}), nil
}

// Problems tells of our own credentials, by their digests, why a verifier would
// refuse them now; those that are good are left out.
func (r *Room) Problems(ctx context.Context, p participant.ID) (map[string]error, error) {
	own, err := r.Credentials(ctx, p)
	if err != nil {
		return nil, err
	}
	out := map[string]error{}
	for _, c := range own {
		raw, err := r.Raw(ctx, p, c.Digest)
		if err != nil {
			return nil, err
		}
		read, err := vc.ParseCredential(raw)
		if err != nil {
			return nil, err
		}
		if err := r.verify(ctx, p, read, c.Issuer); err != nil {
			out[c.Digest] = err
		}
	}
	return out, ctx.Err()
}

func covers(scopes []dcp.Scope, c Credential) bool {
	return slices.ContainsFunc(scopes, func(s dcp.Scope) bool { return s.Covers(c.Types, c.ID) })
}

// readAccess checks the access token that a verifier carries back: one that we
// made, for it.
func (r *Room) readAccess(p participant.ID, us participant.Participant, caller identity.Caller) (dcp.Access, error) {
	if caller.Token.Access == "" {
		return dcp.Access{}, fault.AccessToken.At("", "reason", "there is none")
	}
	m, a, err := dcp.ParseAccess(caller.Token.Access, us.DID, caller.DID, r.c.Now())
	if err != nil {
		return dcp.Access{}, err
	}
	keys, err := r.c.Participants.Published(p)
	if err != nil {
		return dcp.Access{}, err
	}
	for _, k := range keys {
		if k.Purpose == participant.Token && k.KID == m.Header.KID && m.Verify(k.Signer.Public()) {
			return a, nil
		}
	}
	return dcp.Access{}, fault.AccessToken.At("", "reason", "this participant did not sign it")
}

// parseScopes reads what it can: of an unknown kind nothing is shown. That no
// scope can be read is an error.
func parseScopes(texts []string) ([]dcp.Scope, error) {
	var out []dcp.Scope
	var first error
	for _, text := range texts {
		s, err := dcp.ParseScope(text)
		if err == nil {
			out = append(out, s)
		} else if first == nil {
			first = err
		}
	}
	if len(out) == 0 {
		return nil, first
	}
	return out, nil
}

// Token makes a self-issued token for an agent of the participant's own, which
// the face has authenticated: the secure token service of DCP 1.0. Scopes allow no
// more than is shared with the audience.
func (r *Room) Token(ctx context.Context, p participant.ID, q dcp.TokenRequest) (dcp.TokenResponse, error) {
	use := identity.Use{Message: "token", Echo: q.Token}
	if len(q.Scopes) > 0 {
		asked, err := parseScopes(q.Scopes)
		if err != nil {
			return dcp.TokenResponse{}, err
		}
		shared := r.sharedWith(p, q.Audience)
		asked = slices.DeleteFunc(asked, func(s dcp.Scope) bool { return !s.Within(shared) })
		if len(asked) == 0 {
			return dcp.TokenResponse{}, fault.BadMessage.At("bearer_access_scope", "reason", "nothing of it is shared with the audience")
		}
		if use.Echo, err = r.mint(p, q.Audience, asked); err != nil {
			return dcp.TokenResponse{}, err
		}
	}
	use.Bare = use.Echo == ""
	header, err := r.c.Identity.Authorize(ctx, p, q.Audience, use)
	if err != nil {
		return dcp.TokenResponse{}, err
	}
	return dcp.TokenResponse{Token: strings.TrimPrefix(header, "Bearer "), Expires: int(identity.OwnLifetime / time.Second), Type: "Bearer"}, nil
}

const pruneBite = 500

// Prune forgets the reads of access tokens that have expired. Call it every
// minute or so.
func (r *Room) Prune(ctx context.Context) error {
	before := r.c.Now().Add(-2 * dcp.Leeway).UnixMicro()
	for _, p := range r.c.Participants.All() {
		for n := pruneBite; n == pruneBite; {
			err := r.c.DB.Update(ctx, func(tx store.Tx) error {
				n = 0
				rows, err := tx.Query(`DELETE FROM wallet_reads WHERE participant = $1 AND jti IN (
					SELECT jti FROM wallet_reads WHERE participant = $2 AND expires < $3 ORDER BY expires LIMIT $4) RETURNING jti`,
					string(p.ID), string(p.ID), before, pruneBite)
				if err != nil {
					return err
				}
				defer rows.Close()
				for rows.Next() {
					n++
				}
				return rows.Err()
			})
			if err != nil {
				return fmt.Errorf("prune reads of access tokens: %w", err)
			}
		}
	}
	return nil
}
