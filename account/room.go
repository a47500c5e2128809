// Package account knows who works with this node: programs by their API tokens,
// people by the sessions of the portal. It is not for counterparts of other
// organisations; those are identity's.
package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/internal/watch"
	"kakehashi/participant"
	"kakehashi/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schema is what this room keeps.
var Schema = store.SchemaIn("account", schemaFiles)

const (
	tokenPrefix = "kh_"
	secretBytes = 32
	secretChars = 43 // of base64url

	maxScopes = 32
	maxName   = 200
	maxCached = 1000
	keepFor   = 30 * time.Second
	shareFor  = 5 * time.Second // while there are other replicas: one may die before it tells of a revocation
)

// Admin is the scope that includes every other.
const Admin = "admin"

// Principal is who works, for which participant, with what rights. It is
// read-only: its Scopes are shared.
type Principal struct {
	Participant participant.ID
	Name        string
	Scopes      []string
}

// May is fault.ScopeMissing unless the principal has scope, or Admin.
func (p Principal) May(scope string) error {
	if slices.Contains(p.Scopes, scope) || slices.Contains(p.Scopes, Admin) {
		return nil
	}
	return fault.ScopeMissing.At("", "scope", scope)
}

// Token is what is known of an API token; the token itself is not.
type Token struct {
	ID      string
	Name    string
	Scopes  []string
	Created time.Time
}

// Config is what the room needs. A nil Now is time.Now, a nil Rand crypto/rand;
// any other Rand must be safe for concurrent use.
type Config struct {
	DB    store.DB
	Watch *watch.Hub // tells and hears of revocations; nil: nobody else is told
	Now   func() time.Time
	Rand  io.Reader
}

// Revoked is the kind of the changes that tell of an API token that was taken away.
const Revoked = "token"

// Room keeps API tokens, login links and sessions.
type Room struct {
	db    store.DB
	watch *watch.Hub
	now   func() time.Time
	rand  io.Reader

	mu      sync.Mutex
	checked map[[sha256.Size]byte]checked
	revoked uint64 // counts revocations, so that no read from before one is cached after it
}

type checked struct {
	who   Principal
	until time.Time
}

// Open makes the room; it reads nothing.
func Open(c Config) (*Room, error) {
	if c.DB == nil {
		return nil, errors.New("open accounts: a store is required")
	}
	if c.Watch == nil {
		c.Watch = watch.New()
	}
	r := &Room{db: c.DB, watch: c.Watch, now: c.Now, rand: c.Rand, checked: map[[sha256.Size]byte]checked{}}
	if r.now == nil {
		r.now = time.Now
	}
	if r.rand == nil {
		r.rand = rand.Reader
	}
	c.Watch.Elsewhere(Revoked, func(watch.Change, bool) { r.forget() })
	return r, nil
}

// forget has all tokens read again.
func (r *Room) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revoked++
	clear(r.checked)
}

// NewToken makes an API token ("kh_" and 256 random bits) of participant p. It
// can be read here and never again. name is for people; scopes that are no
// scopes are fault.ScopeInvalid.
func (r *Room) NewToken(ctx context.Context, p participant.ID, name string, scopes []string) (string, error) {
	joined, err := join(scopes)
	if err != nil {
		return "", err
	}
	if len(name) > maxName {
		return "", fault.BadMessage.At("/name", "reason", "the name is longer than 200 bytes")
	}
	secret, _, err := r.secret()
	if err != nil {
		return "", err
	}
	token := tokenPrefix + secret
	digest := sha256.Sum256([]byte(token))
	id, now := ids.Short(), r.now().UnixMicro()
	if err := r.db.Update(ctx, func(tx store.Tx) error {
		return tx.Exec(`INSERT INTO account_tokens (participant, id, digest, name, scopes, created) VALUES ($1, $2, $3, $4, $5, $6)`,
			string(p), id, digest[:], name, joined, now)
	}); err != nil {
		return "", fmt.Errorf("keep API token: %w", err)
	}
	return token, nil
}

// Check says whose API token this is; fault.APITokenInvalid when it is nobody's.
// It is mostly answered from memory; a token that Revoke took away ends at once,
// one that another replica took away once that tells so, and within 5 s if it died
// before it could.
func (r *Room) Check(ctx context.Context, token string) (Principal, error) {
	secret, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok || len(secret) != secretChars {
		return Principal{}, fault.APITokenInvalid.At("")
	}
	// A lookup by digest tells nothing of the token by its time.
	digest := sha256.Sum256([]byte(token))
	now := r.now()
	r.mu.Lock()
	known, ok := r.checked[digest]
	before := r.revoked
	r.mu.Unlock()
	if ok && now.Before(known.until) && (!r.watch.Shared() || known.until.Sub(now) > keepFor-shareFor) {
		return known.who, nil
	}
	var who Principal
	err := r.db.View(ctx, func(tx store.Tx) error {
		var p, scopes string
		if err := tx.QueryRow(`SELECT participant, name, scopes FROM account_tokens WHERE digest = $1`, digest[:]).Scan(&p, &who.Name, &scopes); err != nil {
			return err
		}
		who.Participant, who.Scopes = participant.ID(p), strings.Fields(scopes)
		return nil
	})
	if errors.Is(err, store.ErrNotFound) {
		return Principal{}, fault.APITokenInvalid.At("")
	}
	if err != nil {
		return Principal{}, fmt.Errorf("check API token: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.revoked == before {
		if len(r.checked) >= maxCached {
			clear(r.checked)
		}
		r.checked[digest] = checked{who, now.Add(keepFor)}
	}
	return who, nil
}

// Tokens lists the API tokens of participant p, the oldest first.
func (r *Room) Tokens(ctx context.Context, p participant.ID) ([]Token, error) {
	var all []Token
	err := r.db.View(ctx, func(tx store.Tx) error {
		all = nil
		rows, err := tx.Query(`SELECT id, name, scopes, created FROM account_tokens WHERE participant = $1 ORDER BY id`, string(p))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var t Token
			var scopes string
			var created int64
			if err := rows.Scan(&t.ID, &t.Name, &scopes, &created); err != nil {
				return err
			}
			t.Scopes, t.Created = strings.Fields(scopes), time.UnixMicro(created).UTC()
			all = append(all, t)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list API tokens: %w", err)
	}
	return all, nil
}

// Revoke takes an API token of participant p away, by its id; fault.NotFound
// when p has none of that id. When it returns, Check knows.
func (r *Room) Revoke(ctx context.Context, p participant.ID, id string) error {
	err := r.db.Update(ctx, func(tx store.Tx) error {
		var gone string
		err := tx.QueryRow(`DELETE FROM account_tokens WHERE participant = $1 AND id = $2 RETURNING id`, string(p), id).Scan(&gone)
		if errors.Is(err, store.ErrNotFound) {
			return fault.NotFound.At("", "what", "API token "+id)
		}
		if err != nil {
			return err
		}
		tx.AfterCommit(func() {
			r.forget()
			r.watch.Publish(watch.Change{Participant: string(p), Kind: Revoked, ID: id})
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("revoke API token: %w", err)
	}
	return nil
}

// secret makes 256 random bits as text, and the digest of that text.
func (r *Room) secret() (string, []byte, error) {
	b := make([]byte, secretBytes)
	if _, err := io.ReadFull(r.rand, b); err != nil {
		return "", nil, fmt.Errorf("read randomness: %w", err)
	}
	s := base64.RawURLEncoding.EncodeToString(b)
	return s, digestOf(s), nil
}

func digestOf(s string) []byte {
	d := sha256.Sum256([]byte(s))
	return d[:]
}

var validScope = regexp.MustCompile(`^[a-z0-9._:-]{1,64}$`)

func join(scopes []string) (string, error) {
	if len(scopes) == 0 || len(scopes) > maxScopes {
		return "", fault.ScopeInvalid.At("/scopes", "scope", fmt.Sprintf("a list of %d", len(scopes)))
	}
	for i, s := range scopes {
		if !validScope.MatchString(s) {
			return "", fault.ScopeInvalid.At(fmt.Sprintf("/scopes/%d", i), "scope", fmt.Sprintf("%.80q", s))
		}
	}
	return strings.Join(scopes, " "), nil
}
