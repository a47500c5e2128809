// Package identity knows who is calling, and says who we are: self-issued
// tokens (DCP 1.0), each of which signs the message that it travels with where
// both sides are ours. It judges no terms (policy) and knows no people (account).
package identity

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"kakehashi/dcp"
	"kakehashi/did"
	"kakehashi/internal/fault"
	"kakehashi/internal/ids"
	"kakehashi/jws"
	"kakehashi/participant"
	"kakehashi/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schema is what this room keeps: the tokens that were spent.
var Schema = store.SchemaIn("identity", schemaFiles)

// Caller is a counterpart whose token was verified. ID is what rights hang on,
// an opaque string that is compared whole; here it is the DID.
type Caller struct {
	ID     string
	DID    string
	Token  Token
	Signed bool // the token carried the digest of the body, and it matched
	// Claimed says that nothing was proven: a Template named the caller, and there
	// is no token.
	Claimed bool
}

// Token is what is kept of a verified token.
type Token struct {
	Issuer    string
	JTI       string
	Expires   time.Time
	Digest    string // of the body that it signs, or ""
	Agreement string // digest of an agreement that it confirms, or ""
	Access    string // what reads credentials of the issuer, or ""; goes into no log
	Raw       string // compact JWS; goes into evidence, never into a log
}

// Request is what came with a message.
type Request struct {
	Authorization string // the header, whole
	Message       string // name of the message type, for records
	Digest        string // "sha256:<hex>" of the body, "" for no body
}

// Use says what a token of ours is for.
type Use struct {
	Message   string   // name of the message type
	Scopes    []string // rights asked for; did:web tokens carry none
	Digest    string   // "sha256:<hex>" of the body, "" for no body
	Agreement string   // digest of the agreement that the message confirms, or ""
	// Echo is an access token of the counterparty's, which the token carries back
	// to it. Where it is "", Config.Share says what the token carries.
	Echo string
	Bare bool // the token carries no access token, whatever is shared
}

// Sharer makes the access token by which counterparty may read credentials of p,
// "" when nothing is shared with it. It is asked for each message.
type Sharer func(ctx context.Context, p participant.ID, counterparty string) (string, error)

// Remote is a secure token service elsewhere, for participants whose keys are
// there too. ok is false for a participant that has none.
type Remote func(ctx context.Context, p participant.ID, counterparty string, u Use) (token string, ok bool, err error)

// Resolver gives the documents of DIDs. An error is a fault.
type Resolver interface {
	Resolve(ctx context.Context, did string) (did.Document, error)
}

// refresher is a Resolver that can look again, for a key that it does not know.
type refresher interface {
	Refresh(ctx context.Context, did string) (did.Document, error)
}

// Config is what the room needs. Lenient tells of which DIDs a document is
// accepted that names no purpose for its keys, or none for those of tokens (EDC
// 0.15); nil is of none. A nil Share gives nobody anything, a nil Remote is for
// nobody. A nil Now is time.Now, a nil Rand crypto/rand. Log takes what no caller
// is told; today every refusal is told to its caller, so nothing is written to it.
type Config struct {
	DB           store.DB
	Participants *participant.Room
	Resolver     Resolver
	Lenient      func(did string) bool
	Share        Sharer
	Remote       Remote
	Template     *Template            // nil outside of development: callers prove who they are
	Elapsed      func() time.Duration // since Open, whatever the clock was set to; nil: by the monotonic clock
	Now          func() time.Time
	Rand         io.Reader
	Log          *slog.Logger
}

// Room verifies and makes tokens.
type Room struct {
	db       store.DB
	hosted   *participant.Room
	resolver Resolver
	lenient  func(string) bool
	share    Sharer
	remote   Remote
	template *Template
	now      func() time.Time
	opened   time.Time
	elapsed  func() time.Duration // since opened
	rand     io.Reader
}

// Open makes the room; it reads nothing.
func Open(c Config) (*Room, error) {
	if c.DB == nil || c.Participants == nil || c.Resolver == nil {
		return nil, errors.New("open identity: a store, the participants and a resolver are required")
	}
	r := &Room{db: c.DB, hosted: c.Participants, resolver: c.Resolver, lenient: c.Lenient, share: c.Share, remote: c.Remote, template: c.Template, now: c.Now, rand: c.Rand}
	if r.lenient == nil {
		r.lenient = func(string) bool { return false }
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.rand == nil {
		r.rand = rand.Reader
	}
	began := time.Now()
	r.opened, r.elapsed = r.now(), func() time.Duration { return time.Since(began) }
	if c.Elapsed != nil {
		r.elapsed = c.Elapsed
	}
	return r, nil
}

// Authorize makes the Authorization header of one message to counterparty (its
// DID): a token of participant p, good for 60 s and one use, which signs
// Use.Digest. fault.NotFound when p is not hosted here.
func (r *Room) Authorize(ctx context.Context, p participant.ID, counterparty string, u Use) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if counterparty == "" {
		return "", errors.New("authorize: the counterparty has no name")
	}
	self, err := r.self(p)
	if err != nil {
		return "", err
	}
	if r.template != nil {
		return r.template.header(self, counterparty)
	}
	if r.remote != nil {
		if token, ok, err := r.remote(ctx, p, counterparty, u); ok || err != nil {
			if err != nil {
				return "", fmt.Errorf("authorize %s: %w", u.Message, err)
			}
			return "Bearer " + token, nil
		}
	}
	access := u.Echo
	if access == "" && !u.Bare && r.share != nil {
		if access, err = r.share(ctx, p, counterparty); err != nil {
			return "", fmt.Errorf("authorize %s: %w", u.Message, err)
		}
	}
	key, err := r.hosted.Key(p, participant.Token)
	if err != nil {
		return "", fmt.Errorf("authorize %s: %w", u.Message, err)
	}
	token, err := dcp.SelfIssue(r.rand, key, dcp.OwnToken{Self: self, Audience: counterparty, JTI: ids.Short(),
		Issued: r.now(), Lifetime: OwnLifetime, Digest: u.Digest, Agreement: u.Agreement, Access: access})
	if err != nil {
		return "", fmt.Errorf("authorize %s: %w", u.Message, err)
	}
	return "Bearer " + token, nil
}

// Proves says whether callers show who they are; with a Template they do not.
func (r *Room) Proves() bool { return r.template == nil }

// Verify says who sent a message to participant p. It writes nothing: the effect
// of the message and Spend go into one unit. Every refusal is a fault with
// status 401. A token with a digest is accepted with that body only; one without
// is accepted with any, and Caller.Signed is false.
func (r *Room) Verify(ctx context.Context, p participant.ID, q Request) (Caller, error) {
	self, err := r.self(p)
	if err != nil {
		return Caller{}, err
	}
	if r.template != nil {
		us, _ := r.hosted.Get(p)
		if caller, ok := r.template.read(q.Authorization, us); ok {
			return Caller{ID: caller, Claimed: true}, nil
		}
	}
	raw, err := bearer(q.Authorization)
	if err != nil {
		return Caller{}, err
	}
	t, err := dcp.ParseToken(raw, self, r.now())
	if err != nil {
		return Caller{}, err
	}
	if err := r.checkSignature(ctx, t.Verify, t.Issuer, t.KID, did.Invocation); err != nil {
		return Caller{}, err
	}
	if t.Digest != "" && t.Digest != q.Digest {
		return Caller{}, fault.TokenDigest.At("")
	}
	kept := Token{Issuer: t.Issuer, JTI: t.JTI, Expires: t.Expires, Digest: t.Digest, Agreement: t.Agreement, Access: t.Access, Raw: raw}
	return Caller{ID: t.Issuer, DID: t.Issuer, Token: kept, Signed: t.Digest != ""}, nil
}

// Spend marks the caller's token as used by participant p, in the unit that has
// the message's effect. A token that was used before is fault.TokenReplayed; the
// unit could go on after it. What Sign made has no jti and is not for Spend.
func (r *Room) Spend(tx store.Tx, p participant.ID, c Caller) error {
	if c.Claimed {
		return nil
	}
	if c.Token.JTI == "" {
		return errors.New("spend: the caller came with no token")
	}
	var jti string
	err := tx.QueryRow(`INSERT INTO identity_spent (participant, issuer, jti, expires) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING jti`,
		string(p), c.Token.Issuer, c.Token.JTI, c.Token.Expires.UnixMicro()).Scan(&jti)
	if errors.Is(err, store.ErrNotFound) {
		return fault.TokenReplayed.At("")
	}
	if err != nil {
		return fmt.Errorf("spend token: %w", err)
	}
	return nil
}

const pruneBite = 500

// Prune forgets spent tokens that would be refused as expired anyway, in units
// of at most 500 so that it never holds the others up. Call it every minute or
// so.
func (r *Room) Prune(ctx context.Context) error {
	// A clock that jumped ahead may be set back, and the tokens count again.
	now := r.now()
	if steady := r.opened.Add(r.elapsed()); steady.Before(now) {
		now = steady
	}
	// Twice the leeway: a unit may begin with a token that expires on its way.
	before := now.Add(-2 * dcp.Leeway).UnixMicro()
	for _, p := range r.hosted.All() {
		for n := pruneBite; n == pruneBite; {
			err := r.db.Update(ctx, func(tx store.Tx) error {
				n = 0
				rows, err := tx.Query(`DELETE FROM identity_spent WHERE participant = $1 AND (issuer, jti) IN (
					SELECT issuer, jti FROM identity_spent WHERE participant = $2 AND expires < $3 ORDER BY expires LIMIT $4) RETURNING jti`,
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
				return fmt.Errorf("prune spent tokens: %w", err)
			}
		}
	}
	return nil
}

// checkSignature believes what verify accepts by a key of issuer's document, one
// that the document allows for use.
func (r *Room) checkSignature(ctx context.Context, verify func(crypto.PublicKey) bool, issuer, kid string, use did.Relationship) error {
	doc, err := r.document(ctx, issuer, r.resolver.Resolve)
	if err != nil {
		return err
	}
	pub, keyErr := r.key(doc, use, kid)
	if keyErr == nil && verify(pub) {
		return nil
	}
	// Its owner may have changed the document since we read it.
	if again, ok := r.resolver.(refresher); ok {
		if doc, err = r.document(ctx, issuer, again.Refresh); err != nil {
			return err
		}
		was := pub
		if pub, keyErr = r.key(doc, use, kid); keyErr == nil && !same(was, pub) && verify(pub) {
			return nil
		}
	}
	if keyErr != nil {
		return keyErr
	}
	return fault.TokenSignature.At("", "kid", kid)
}

// Key gives the key that kid names in the document of a DID, which must allow it
// for use; a document that is kept is read again for a key that it does not list.
// A kid of "" is the only key of the document. The error is fault.TokenKey or
// fault.TokenIssuer.
func (r *Room) Key(ctx context.Context, name, kid string, use did.Relationship) (crypto.PublicKey, error) {
	if kid != "" && !strings.HasPrefix(kid, name+"#") {
		return nil, fault.TokenKey.At("", "kid", kid, "reason", "it does not belong to "+name)
	}
	doc, err := r.document(ctx, name, r.resolver.Resolve)
	if err != nil {
		return nil, err
	}
	pub, keyErr := r.key(doc, use, kid)
	if keyErr == nil {
		return pub, nil
	}
	if again, ok := r.resolver.(refresher); ok {
		if doc, err = r.document(ctx, name, again.Refresh); err != nil {
			return nil, err
		}
		pub, keyErr = r.key(doc, use, kid)
	}
	return pub, keyErr
}

func (r *Room) document(ctx context.Context, issuer string, from func(context.Context, string) (did.Document, error)) (did.Document, error) {
	doc, err := from(ctx, issuer)
	if err != nil {
		if ctx.Err() != nil {
			return doc, fmt.Errorf("resolve issuer: %w", err)
		}
		return doc, fault.TokenIssuer.At("", "issuer", issuer).Because(err)
	}
	if doc.ID != issuer {
		return doc, fault.TokenIssuer.At("", "issuer", issuer).Because(fmt.Errorf("the document is that of %q", doc.ID))
	}
	return doc, nil
}

// key finds the key that a document allows for use. For those whom a rule takes
// leniently, a document that names no purposes, or none for tokens, allows all.
func (r *Room) key(doc did.Document, use did.Relationship, kid string) (crypto.PublicKey, error) {
	if kid == "" {
		sole, ok := doc.Sole()
		if !ok {
			return nil, fault.TokenKey.At("", "kid", kid, "reason", "the signature names no key and the DID document has not just one")
		}
		kid = sole
	}
	silent := doc.Purposeless() || use == did.Invocation && len(doc.Invocation) == 0
	if silent && r.lenient(doc.ID) {
		return doc.Key(kid)
	}
	return doc.KeyFor(use, kid)
}

func (r *Room) self(p participant.ID) (string, error) {
	h, ok := r.hosted.Get(p)
	if !ok {
		return "", fault.NotFound.At("", "what", "participant "+string(p))
	}
	return h.DID, nil
}

// bearer takes the token out of an Authorization header (RFC 6750 section 2.1).
func bearer(h string) (string, error) {
	scheme, token, ok := strings.Cut(h, " ")
	if token = strings.TrimSpace(token); !ok || token == "" || !strings.EqualFold(scheme, "Bearer") {
		return "", fault.AuthorizationMissing.At("")
	}
	return token, nil
}

func same(a, b crypto.PublicKey) bool {
	x, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && x.Equal(b)
}

const (
	maxSigned = 1 << 20
	// OwnLifetime is that of the tokens that we make.
	OwnLifetime = time.Minute
)

func invalid(reason string) error { return fault.TokenInvalid.At("", "reason", reason) }

// Signed is a statement of a DID that is to be kept, and who made it.
type Signed struct {
	Caller
	Type    string // header typ
	Payload []byte
}

// Sign makes a compact JWS of payload by participant p's token key. typ says
// what the statement is, such as "kh-cosignature+json"; it must not be "JWT",
// so that no statement can pass for a token.
func (r *Room) Sign(ctx context.Context, p participant.ID, typ string, payload []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if typ == "" || strings.EqualFold(typ, "JWT") {
		return nil, fmt.Errorf("sign: %q is no type of a statement", typ)
	}
	key, err := r.hosted.Key(p, participant.Token)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", typ, err)
	}
	b, err := jws.Sign(r.rand, key, typ, "", payload)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", typ, err)
	}
	if len(b) > maxSigned {
		return nil, fault.TooLarge.At("", "limit", maxSigned)
	}
	return []byte(b), nil
}

// VerifySigned reads what Sign made, of any DID: the key must stand in its
// document under assertionMethod. It says who made the statement, not when nor
// for whom; the payload must say that. Every refusal is a fault with status 401.
func (r *Room) VerifySigned(ctx context.Context, b []byte) (Signed, error) {
	raw := string(bytes.TrimSpace(b))
	m, err := jws.Parse(raw, maxSigned)
	if err != nil {
		return Signed{}, invalid(err.Error())
	}
	if m.Header.Typ == "" || strings.EqualFold(m.Header.Typ, "JWT") {
		return Signed{}, invalid("its type is missing or that of a token")
	}
	issuer, fragment, _ := strings.Cut(m.Header.KID, "#")
	if err := did.Check(issuer); err != nil || fragment == "" {
		return Signed{}, invalid("its key is not one of a DID")
	}
	if err := r.checkSignature(ctx, m.Verify, issuer, m.Header.KID, did.Assertion); err != nil {
		return Signed{}, err
	}
	who := Caller{ID: issuer, DID: issuer, Token: Token{Issuer: issuer, Raw: raw}, Signed: true}
	return Signed{Caller: who, Type: m.Header.Typ, Payload: m.Payload}, nil
}
