package client

import (
	"context"
	"net/http"
	"time"
)

// TrustedIssuer is an issuer that is trusted by name.
type TrustedIssuer struct {
	DID            string    `json:"did" maxLength:"2048" minLength:"1"`
	Types          []string  `json:"types,omitempty" doc:"Types of credentials that it may attest"`
	Region         string    `json:"region,omitempty" maxLength:"20"`
	Since          time.Time `json:"since,omitzero"`
	Until          time.Time `json:"until,omitzero"`
	UnsignedStatus bool      `json:"unsigned_status,omitempty" doc:"Its status lists need no signature"`
}

// TrustList is a list of issuers that an authority signs.
type TrustList struct {
	Name         string        `json:"name" maxLength:"200" minLength:"1"`
	URL          string        `json:"url,omitempty" maxLength:"2048"`
	Key          string        `json:"key,omitempty" maxLength:"512" doc:"did:key of the authority, pinned"`
	List         string        `json:"list,omitempty" doc:"An edition of the list; without it one is fetched"`
	GraceHours   int           `json:"grace_hours,omitempty" minimum:"0" maximum:"8760" doc:"How long an edition still counts after its next update; 0: 72"`
	State        string        `json:"state,omitempty" doc:"fresh, stale or expired"`
	Version      int64         `json:"version,omitempty"`
	NextUpdate   time.Time     `json:"next_update,omitzero"`
	Fetched      time.Time     `json:"fetched,omitzero"`
	Problem      string        `json:"problem,omitempty" doc:"Why the last try to read a newer edition failed"`
	Issuers      []ListEntry   `json:"issuers,omitempty"`
	Recognitions []Recognition `json:"recognitions,omitempty"`
}

// ListEntry is an issuer of a trust list.
type ListEntry struct {
	DID    string    `json:"did"`
	Types  []string  `json:"types"`
	Region string    `json:"region"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"`
}

// Recognition says that a type of another list counts as one of this.
type Recognition struct {
	List  string    `json:"list"`
	Type  string    `json:"type"`
	As    string    `json:"as"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"`
}

// TrustRule is how a counterpart is dealt with.
type TrustRule struct {
	Counterparty string   `json:"counterparty,omitempty" maxLength:"2048" doc:"DID; without it for all that have no rule of their own"`
	Lenient      bool     `json:"lenient,omitempty" doc:"Its DID document need not say what its keys are for"`
	TwoParts     bool     `json:"two_parts,omitempty" doc:"It is asked by scopes of two parts"`
	Ask          []string `json:"ask,omitempty" doc:"Types that it must show with each message"`
}

// ShownCredential is one that a counterpart showed, or one of our own.
type ShownCredential struct {
	Counterparty string    `json:"counterparty,omitempty"`
	Digest       string    `json:"digest"`
	ID           string    `json:"id,omitempty"`
	Types        []string  `json:"types"`
	Issuer       string    `json:"issuer"`
	HolderPid    string    `json:"holder_pid,omitempty"`
	Until        time.Time `json:"until,omitzero"`
	At           time.Time `json:"at" doc:"When it was checked or received"`
	Basis        string    `json:"basis,omitempty" doc:"Why its issuer is believed"`
	Problem      string    `json:"problem,omitempty" doc:"Why it counts no more"`
}

// TokenStep is one check of a token.
type TokenStep struct {
	Name   string `json:"name"`
	Place  string `json:"place"`
	Saw    string `json:"saw,omitempty"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// WalletShare says who may be shown what of ours.
type WalletShare struct {
	Counterparty string `json:"counterparty,omitempty" maxLength:"2048" doc:"DID; without it everybody"`
	Type         string `json:"type" minLength:"1" maxLength:"200"`
	Stop         bool   `json:"stop,omitempty" doc:"It may no longer"`
}

// WalletRequest is what we asked an issuer for, or expect of it.
type WalletRequest struct {
	HolderPid string    `json:"holder_pid,omitempty" maxLength:"200"`
	Issuer    string    `json:"issuer" minLength:"1" maxLength:"2048"`
	Types     []string  `json:"types,omitempty"`
	Standing  bool      `json:"standing,omitempty" doc:"What is expected may come again and again"`
	State     string    `json:"state,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Created   time.Time `json:"created,omitzero"`
}

// CredentialOffer is what an issuer offered us.
type CredentialOffer struct {
	ID     string    `json:"id"`
	Issuer string    `json:"issuer"`
	Types  []string  `json:"types"`
	At     time.Time `json:"at"`
}

// IssuedType is a kind of credential that we issue.
type IssuedType struct {
	ID          string         `json:"id" minLength:"1" maxLength:"200"`
	Type        string         `json:"type" minLength:"1" maxLength:"200"`
	Profile     string         `json:"profile,omitempty" doc:"vc20-bssl/jwt (the default) or vc11-sl2021/jwt"`
	Schema      string         `json:"schema,omitempty" maxLength:"2048"`
	Days        int            `json:"days,omitempty" minimum:"0" maximum:"3650" doc:"How long one is good; 0: 365"`
	Format      string         `json:"format,omitempty" maxLength:"200" doc:"How deliveries name the form; without it the profile. Holders built on drafts of DCP know VC1_0_JWT and VC2_0_JOSE only"`
	Suspendable bool           `json:"suspendable,omitempty" doc:"It can be suspended too; some peers cannot read such"`
	Approval    string         `json:"approval,omitempty" doc:"ask (the default), attested or anybody"`
	Claims      map[string]any `json:"claims,omitempty"`
}

// Attestation is what we know of a subject.
type Attestation struct {
	Subject string         `json:"subject" minLength:"1" maxLength:"2048"`
	Type    string         `json:"type" minLength:"1" maxLength:"200"`
	Claims  map[string]any `json:"claims,omitempty"`
	At      time.Time      `json:"at,omitzero"`
}

// IssueOrder has a credential made.
type IssueOrder struct {
	Type      string         `json:"type" minLength:"1" maxLength:"200" doc:"Id of a type"`
	Holder    string         `json:"holder" minLength:"1" maxLength:"2048"`
	Claims    map[string]any `json:"claims,omitempty"`
	HolderPid string         `json:"holder_pid,omitempty" maxLength:"200" doc:"Under which the holder expects it: it is delivered"`
}

// IssuedCredential is one that we made.
type IssuedCredential struct {
	ID         string    `json:"id"`
	Holder     string    `json:"holder"`
	Type       string    `json:"type"`
	State      string    `json:"state"`
	Reason     string    `json:"reason,omitempty"`
	Digest     string    `json:"digest"`
	List       string    `json:"list"`
	Index      int64     `json:"index"`
	At         time.Time `json:"at"`
	Until      time.Time `json:"until"`
	Credential string    `json:"credential,omitempty" doc:"Compact JWS, in the answer to an order only"`
}

// IssuanceRequest is what a holder asked us for.
type IssuanceRequest struct {
	ID        string    `json:"id"`
	Holder    string    `json:"holder"`
	HolderPid string    `json:"holder_pid"`
	Types     []string  `json:"types"`
	State     string    `json:"state"`
	Reason    string    `json:"reason,omitempty"`
	Created   time.Time `json:"created"`
}

// PublishedKey is a key that stands in our DID document.
type PublishedKey struct {
	KID     string    `json:"kid"`
	Alg     string    `json:"alg"`
	Purpose string    `json:"purpose"`
	Retired time.Time `json:"retired,omitzero"`
}

// Rotation gives the participant a new token key.
type Rotation struct {
	Alg      string `json:"alg,omitempty" doc:"ES256 (the default), ES384 or EdDSA"`
	KeepDays int    `json:"keep_days" minimum:"0" maximum:"3650" doc:"How long the old key stays in the DID document; with 0 all that it signed is believed no more"`
}

// Many is a list of any kind.
type Many[T any] struct {
	Items []T `json:"items"`
}

// DecideIssuance approves or rejects a holder's request.
type DecideIssuance struct {
	ID      string `json:"id" minLength:"1" maxLength:"200"`
	Approve bool   `json:"approve"`
	Reason  string `json:"reason,omitempty" maxLength:"500" doc:"Told to the holder of a rejection"`
}

// MarkCredential revokes a credential that we issued, suspends it or lifts that.
type MarkCredential struct {
	ID     string `json:"id" minLength:"1" maxLength:"200"`
	State  string `json:"state" doc:"revoked, suspended or valid"`
	Reason string `json:"reason,omitempty" maxLength:"500"`
}

// OfferCredentials tells a holder what it may ask us for.
type OfferCredentials struct {
	Holder string   `json:"holder" minLength:"1" maxLength:"2048"`
	Types  []string `json:"types"`
	Reason string   `json:"reason,omitempty" maxLength:"200"`
}

// Named names one thing.
type Named struct {
	Name string `json:"name" maxLength:"2048"`
}

// Text is a token, a credential or a list as a file holds it.
type Text struct {
	Text string `json:"text" minLength:"1"`
}

// TrustedIssuers lists issuers that are trusted by name.
func (c *Client) TrustedIssuers(ctx context.Context) (Many[TrustedIssuer], error) {
	return call[Many[TrustedIssuer]](ctx, c, http.MethodGet, "/trust/issuers", nil)
}

// TrustIssuer trusts an issuer for types.
func (c *Client) TrustIssuer(ctx context.Context, i TrustedIssuer) (TrustedIssuer, error) {
	return call[TrustedIssuer](ctx, c, http.MethodPost, "/trust/issuers", i)
}

// DistrustIssuer trusts an issuer no more.
func (c *Client) DistrustIssuer(ctx context.Context, did string) error {
	_, err := call[Named](ctx, c, http.MethodPost, "/trust/issuers/remove", Named{did})
	return err
}

// TrustLists lists the trust lists that count here.
func (c *Client) TrustLists(ctx context.Context) (Many[TrustList], error) {
	return call[Many[TrustList]](ctx, c, http.MethodGet, "/trust/lists", nil)
}

// AddTrustList goes by a list.
func (c *Client) AddTrustList(ctx context.Context, l TrustList) (TrustList, error) {
	return call[TrustList](ctx, c, http.MethodPost, "/trust/lists", l)
}

// RemoveTrustList goes by a list no more.
func (c *Client) RemoveTrustList(ctx context.Context, name string) error {
	_, err := call[Named](ctx, c, http.MethodPost, "/trust/lists/remove", Named{name})
	return err
}

// RefreshTrustLists reads lists again; a name of "" is all.
func (c *Client) RefreshTrustLists(ctx context.Context, name string) (Many[TrustList], error) {
	return call[Many[TrustList]](ctx, c, http.MethodPost, "/trust/lists/refresh", Named{name})
}

// TrustRules lists the rules for counterparts.
func (c *Client) TrustRules(ctx context.Context) (Many[TrustRule], error) {
	return call[Many[TrustRule]](ctx, c, http.MethodGet, "/trust/rules", nil)
}

// SetTrustRule keeps a rule; one that says nothing removes it.
func (c *Client) SetTrustRule(ctx context.Context, r TrustRule) (TrustRule, error) {
	return call[TrustRule](ctx, c, http.MethodPost, "/trust/rules", r)
}

// ShownCredentials lists what counterparts have shown.
func (c *Client) ShownCredentials(ctx context.Context) (Many[ShownCredential], error) {
	return call[Many[ShownCredential]](ctx, c, http.MethodGet, "/trust/shown", nil)
}

// ExplainToken checks a token step by step.
func (c *Client) ExplainToken(ctx context.Context, token string) (Many[TokenStep], error) {
	return call[Many[TokenStep]](ctx, c, http.MethodPost, "/trust/explain", Text{token})
}

// WalletCredentials lists our own.
func (c *Client) WalletCredentials(ctx context.Context) (Many[ShownCredential], error) {
	return call[Many[ShownCredential]](ctx, c, http.MethodGet, "/wallet/credentials", nil)
}

// ImportCredential keeps one of our own that came as a file.
func (c *Client) ImportCredential(ctx context.Context, raw string) (ShownCredential, error) {
	return call[ShownCredential](ctx, c, http.MethodPost, "/wallet/credentials", Text{raw})
}

// RemoveCredential takes one of our own away.
func (c *Client) RemoveCredential(ctx context.Context, digest string) error {
	_, err := call[Named](ctx, c, http.MethodPost, "/wallet/credentials/remove", Named{digest})
	return err
}

// WalletShares lists what is shared.
func (c *Client) WalletShares(ctx context.Context) (Many[WalletShare], error) {
	return call[Many[WalletShare]](ctx, c, http.MethodGet, "/wallet/shares", nil)
}

// ShareCredentials shares a type, or stops it.
func (c *Client) ShareCredentials(ctx context.Context, s WalletShare) (WalletShare, error) {
	return call[WalletShare](ctx, c, http.MethodPost, "/wallet/shares", s)
}

// WalletRequests lists what we asked for.
func (c *Client) WalletRequests(ctx context.Context) (Many[WalletRequest], error) {
	return call[Many[WalletRequest]](ctx, c, http.MethodGet, "/wallet/requests", nil)
}

// RequestCredentials asks an issuer.
func (c *Client) RequestCredentials(ctx context.Context, r WalletRequest) (WalletRequest, error) {
	return call[WalletRequest](ctx, c, http.MethodPost, "/wallet/requests", r)
}

// ExpectCredentials lets an issuer deliver under a holderPid.
func (c *Client) ExpectCredentials(ctx context.Context, r WalletRequest) (WalletRequest, error) {
	return call[WalletRequest](ctx, c, http.MethodPost, "/wallet/expected", r)
}

// WalletOffers lists what issuers offered.
func (c *Client) WalletOffers(ctx context.Context) (Many[CredentialOffer], error) {
	return call[Many[CredentialOffer]](ctx, c, http.MethodGet, "/wallet/offers", nil)
}

// IssuedTypes lists what we issue.
func (c *Client) IssuedTypes(ctx context.Context) (Many[IssuedType], error) {
	return call[Many[IssuedType]](ctx, c, http.MethodGet, "/issuer/types", nil)
}

// DefineType keeps a type that we issue.
func (c *Client) DefineType(ctx context.Context, t IssuedType) (IssuedType, error) {
	return call[IssuedType](ctx, c, http.MethodPost, "/issuer/types", t)
}

// Attestations lists what we know of subjects.
func (c *Client) Attestations(ctx context.Context) (Many[Attestation], error) {
	return call[Many[Attestation]](ctx, c, http.MethodGet, "/issuer/attested", nil)
}

// Attest keeps what we know of a subject.
func (c *Client) Attest(ctx context.Context, a Attestation) (Attestation, error) {
	return call[Attestation](ctx, c, http.MethodPost, "/issuer/attested", a)
}

// IssuanceRequests lists what holders asked for.
func (c *Client) IssuanceRequests(ctx context.Context) (Many[IssuanceRequest], error) {
	return call[Many[IssuanceRequest]](ctx, c, http.MethodGet, "/issuer/requests", nil)
}

// DecideIssuance approves or rejects a request.
func (c *Client) DecideIssuance(ctx context.Context, d DecideIssuance) error {
	_, err := call[Named](ctx, c, http.MethodPost, "/issuer/requests/decide", d)
	return err
}

// IssuedCredentials lists what we made.
func (c *Client) IssuedCredentials(ctx context.Context) (Many[IssuedCredential], error) {
	return call[Many[IssuedCredential]](ctx, c, http.MethodGet, "/issuer/issued", nil)
}

// IssueCredential has one made.
func (c *Client) IssueCredential(ctx context.Context, o IssueOrder) (IssuedCredential, error) {
	return call[IssuedCredential](ctx, c, http.MethodPost, "/issuer/issued", o)
}

// MarkCredential revokes one that we made, suspends it or lifts that.
func (c *Client) MarkCredential(ctx context.Context, m MarkCredential) error {
	_, err := call[Named](ctx, c, http.MethodPost, "/issuer/issued/mark", m)
	return err
}

// OfferCredentials tells a holder what it may ask for.
func (c *Client) OfferCredentials(ctx context.Context, o OfferCredentials) error {
	_, err := call[Named](ctx, c, http.MethodPost, "/issuer/offers", o)
	return err
}

// Keys lists the keys in our DID document.
func (c *Client) Keys(ctx context.Context) (Many[PublishedKey], error) {
	return call[Many[PublishedKey]](ctx, c, http.MethodGet, "/keys", nil)
}

// RotateKey gives us a new token key.
func (c *Client) RotateKey(ctx context.Context, r Rotation) (Many[PublishedKey], error) {
	return call[Many[PublishedKey]](ctx, c, http.MethodPost, "/keys/rotate", r)
}
