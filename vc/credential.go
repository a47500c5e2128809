// Package vc reads, makes and verifies verifiable credentials and presentations
// that are signed as JWT: VC 1.1 and VC 2.0 (JOSE), with StatusList2021 and
// Bitstring Status List. It is a library: it knows no node and no store, and
// whom to believe is asked of interfaces. Linked data proofs are not here.
package vc

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/jws"
)

// Model is a version of the data model.
type Model int

// The data models; the zero Model is none.
const (
	VC11 Model = iota + 1 // VC Data Model 1.1, JWT in claim "vc"
	VC20                  // VC Data Model 2.0, the credential is the payload
)

// String names the model as people do.
func (m Model) String() string {
	switch m {
	case VC11:
		return "VC 1.1"
	case VC20:
		return "VC 2.0"
	}
	return "no model"
}

const (
	// MaxCredential is how many bytes a credential may have.
	MaxCredential = 64 << 10
	maxTypes      = 32
	maxSubjects   = 16
	maxStatuses   = 8

	context11 = "https://www.w3.org/2018/credentials/v1"
	context20 = "https://www.w3.org/ns/credentials/v2"
	baseType  = "VerifiableCredential"
)

// Credential is one that was read; it is not yet believed.
type Credential struct {
	Raw        string // the compact JWS, as it came
	Model      Model
	KID        string // "" is the only key of the issuer's document
	ID         string // may be ""
	Types      []string
	Issuer     string // DID
	Subjects   []Subject
	ValidFrom  time.Time // zero: always
	ValidUntil time.Time // zero: for ever
	Statuses   []StatusEntry
	Schemas    []Schema

	message jws.Message
}

// Subject is what a credential says about one.
type Subject struct {
	ID     string         // "" when it is about no one by name
	Claims strictjson.Raw // the JSON object, id included
}

// StatusEntry tells where the status of a credential stands.
type StatusEntry struct {
	Type    string // BitstringStatusListEntry or StatusList2021Entry
	Purpose string // revocation, suspension, or one that does not refuse
	List    string // URL of the list
	Index   int64
}

// Types of status entries.
const (
	BitstringEntry = "BitstringStatusListEntry"
	StatusList2021 = "StatusList2021Entry"
)

// Purposes of a status whose bit refuses.
const (
	Revocation = "revocation"
	Suspension = "suspension"
)

// Schema names what the subject keeps to.
type Schema struct {
	ID   string `json:"id"` // URL
	Type string `json:"type"`
}

// Digest is "sha256:<hex>" of the credential as it came.
func (c Credential) Digest() string { return digestOf(c.Raw) }

func digestOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Type is the most telling of the types: the first that is not the base type.
func (c Credential) Type() string {
	for _, t := range c.Types {
		if t != baseType {
			return t
		}
	}
	return baseType
}

// Is tells whether typ is one of the types.
func (c Credential) Is(typ string) bool { return slices.Contains(c.Types, typ) }

// Fault is a fault of kind that names the credential.
func (c Credential) fault(k *fault.Kind, args ...any) *fault.Error {
	return k.At("", append([]any{"type", c.Type(), "issuer", c.Issuer}, args...)...)
}

// document is a credential of either model.
type document struct {
	Context        strictjson.Raw `json:"@context"`
	ID             string         `json:"id"`
	Type           strictjson.Raw `json:"type"`
	Issuer         strictjson.Raw `json:"issuer"`
	Subject        strictjson.Raw `json:"credentialSubject"`
	IssuanceDate   string         `json:"issuanceDate"`
	ExpirationDate string         `json:"expirationDate"`
	ValidFrom      string         `json:"validFrom"`
	ValidUntil     string         `json:"validUntil"`
	Status         strictjson.Raw `json:"credentialStatus"`
	Schema         strictjson.Raw `json:"credentialSchema"`
}

// registered are the claims of RFC 7519 beside a document.
type registered struct {
	Issuer    string         `json:"iss"`
	Subject   string         `json:"sub"`
	JTI       string         `json:"jti"`
	NotBefore *float64       `json:"nbf"`
	Expires   *float64       `json:"exp"`
	Inner     strictjson.Raw `json:"vc"`
}

func invalid(place, reason string) error {
	return fault.CredentialInvalid.At(place, "reason", reason)
}

// ParseCredential reads a credential of either model, of at most MaxCredential
// bytes. The issuer of the JWT and of the credential must be the same; of two
// times the stricter counts. The error is fault.CredentialInvalid.
func ParseCredential(raw string) (Credential, error) {
	raw = strings.TrimSpace(raw)
	m, err := jws.Parse(raw, MaxCredential)
	if err != nil {
		return Credential{}, invalid("", err.Error())
	}
	c := Credential{Raw: raw, KID: m.Header.KID, message: m}
	var r registered
	if err := strictjson.DecodeOpen(m.Payload, &r); err != nil {
		return Credential{}, invalid("", "its claims are not valid: "+err.Error())
	}
	c.Model = VC20
	body, at := strictjson.Raw(m.Payload), ""
	if present(r.Inner) {
		c.Model, body, at = VC11, r.Inner, "/vc"
	}
	var d document
	if err := strictjson.DecodeOpen(body, &d); err != nil {
		return Credential{}, invalid(at, "it is not valid: "+err.Error())
	}
	if err := c.read(d, r, at); err != nil {
		return Credential{}, err
	}
	return c, nil
}

// read takes the members over, in the order of the data model.
func (c *Credential) read(d document, r registered, at string) (err error) {
	if c.Model == VC20 {
		if first, ok := firstContext(d.Context); !ok || first != context20 {
			return invalid("/@context", "the first context is not that of VC 2.0, and there is no claim vc")
		}
		if typ := c.message.Header.Typ; typ != "" && !slices.ContainsFunc([]string{"vc+jwt", "JWT", "vc+ld+json+jwt", "application/vc+jwt"},
			func(t string) bool { return strings.EqualFold(t, typ) }) {
			return invalid("", fmt.Sprintf("its type is %.40q, not vc+jwt", typ))
		}
	}
	if c.ID = d.ID; c.ID == "" {
		c.ID = r.JTI
	}
	if c.Types, err = texts(d.Type); err != nil || len(c.Types) == 0 || len(c.Types) > maxTypes {
		return invalid(at+"/type", "it is not a type or a list of 1 to 32")
	}
	named, err := nameOf(d.Issuer)
	if err != nil {
		return invalid(at+"/issuer", err.Error())
	}
	if c.Issuer = r.Issuer; c.Issuer == "" {
		c.Issuer = named
	}
	switch {
	case c.Issuer == "":
		return invalid(at+"/issuer", "it is missing")
	case named != "" && named != c.Issuer:
		return invalid(at+"/issuer", "it is not the issuer of the JWT")
	}
	if err := c.readSubjects(d.Subject, r.Subject, at); err != nil {
		return err
	}
	if err := c.readTimes(d, r, at); err != nil {
		return err
	}
	if c.Statuses, err = readStatuses(d.Status); err != nil {
		return invalid(at+"/credentialStatus", err.Error())
	}
	schemas, err := list(d.Schema)
	if err != nil || len(schemas) > maxStatuses {
		return invalid(at+"/credentialSchema", "it is not an object or a list of at most 8")
	}
	for _, raw := range schemas {
		var s Schema
		if err := strictjson.DecodeOpen(raw, &s); err != nil || s.ID == "" {
			return invalid(at+"/credentialSchema", "it has no id")
		}
		c.Schemas = append(c.Schemas, s)
	}
	return nil
}

func (c *Credential) readSubjects(raw strictjson.Raw, sub, at string) error {
	subjects, err := list(raw)
	if err != nil || len(subjects) == 0 || len(subjects) > maxSubjects {
		return invalid(at+"/credentialSubject", "it is not an object or a list of 1 to 16")
	}
	for _, raw := range subjects {
		var who struct {
			ID string `json:"id"`
		}
		if raw.Kind() != '{' || strictjson.DecodeOpen(raw, &who) != nil {
			return invalid(at+"/credentialSubject", "it is not an object")
		}
		c.Subjects = append(c.Subjects, Subject{ID: who.ID, Claims: bytes.Clone(raw)})
	}
	// The subject of the JWT stands in for a name that is missing. Peers put others
	// there too; who a credential is about, its subject says.
	if len(c.Subjects) == 1 && c.Subjects[0].ID == "" {
		c.Subjects[0].ID = sub
	}
	return nil
}

func (c *Credential) readTimes(d document, r registered, at string) error {
	from, until := []string{d.IssuanceDate, d.ValidFrom}, []string{d.ExpirationDate, d.ValidUntil}
	for i, text := range slices.Concat(from, until) {
		if text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return invalid(at, fmt.Sprintf("%.40q is not a time of RFC 3339", text))
		}
		if t = t.UTC(); i < len(from) {
			c.ValidFrom = latest(c.ValidFrom, t)
		} else {
			c.ValidUntil = earliest(c.ValidUntil, t)
		}
	}
	for place, f := range map[string]*float64{"/nbf": r.NotBefore, "/exp": r.Expires} {
		if f == nil {
			continue
		}
		t, ok := numericDate(*f)
		if !ok {
			return invalid(place, "it is not a time")
		}
		if place == "/nbf" {
			c.ValidFrom = latest(c.ValidFrom, t)
		} else {
			c.ValidUntil = earliest(c.ValidUntil, t)
		}
	}
	return nil
}

func latest(a, b time.Time) time.Time {
	if a.IsZero() || b.After(a) {
		return b
	}
	return a
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func numericDate(f float64) (time.Time, bool) {
	if f < 0 || f > 1<<40 {
		return time.Time{}, false
	}
	s, frac := math.Modf(f)
	return time.Unix(int64(s), int64(frac*1e9)).UTC(), true
}

// readStatuses reads credentialStatus: one entry or several. A status of a kind
// that is not understood is refused, since it might say that the credential is
// revoked.
func readStatuses(raw strictjson.Raw) ([]StatusEntry, error) {
	entries, err := list(raw)
	if err != nil || len(entries) > maxStatuses {
		return nil, fmt.Errorf("it is not an object or a list of at most %d", maxStatuses)
	}
	var out []StatusEntry
	for _, raw := range entries {
		var w struct {
			Type    string         `json:"type"`
			Purpose string         `json:"statusPurpose"`
			Index   strictjson.Raw `json:"statusListIndex"`
			List    string         `json:"statusListCredential"`
			Size    strictjson.Raw `json:"statusSize"`
		}
		if err := strictjson.DecodeOpen(raw, &w); err != nil {
			return nil, fmt.Errorf("an entry is not valid: %w", err)
		}
		e := StatusEntry{Type: w.Type, Purpose: w.Purpose, List: w.List}
		if e.Type != BitstringEntry && e.Type != StatusList2021 {
			return nil, fmt.Errorf("a status of type %.60q is not understood", e.Type)
		}
		if present(w.Size) && string(bytes.TrimSpace(w.Size)) != "1" {
			return nil, fmt.Errorf("a status of more than one bit is not understood")
		}
		text := strings.Trim(string(bytes.TrimSpace(w.Index)), `"`)
		if e.Index, err = strconv.ParseInt(text, 10, 64); err != nil || e.Index < 0 {
			return nil, fmt.Errorf("the statusListIndex %.40q is not a number", text)
		}
		if u, err := url.Parse(e.List); err != nil || u.Host == "" {
			return nil, fmt.Errorf("the statusListCredential %.100q is not a URL", e.List)
		}
		if e.Purpose == "" {
			return nil, fmt.Errorf("an entry has no statusPurpose")
		}
		out = append(out, e)
	}
	return out, nil
}

func present(raw strictjson.Raw) bool {
	return len(raw) > 0 && string(bytes.TrimSpace(raw)) != "null"
}

// list reads one value or a list of them; null and nothing are none.
func list(raw strictjson.Raw) ([]strictjson.Raw, error) {
	if !present(raw) {
		return nil, nil
	}
	if raw.Kind() != '[' {
		return []strictjson.Raw{raw}, nil
	}
	var out []strictjson.Raw
	err := strictjson.DecodeOpen(raw, &out)
	return out, err
}

// texts reads one string or a list of them.
func texts(raw strictjson.Raw) ([]string, error) {
	items, err := list(raw)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(items))
	for i, item := range items {
		if err := strictjson.DecodeOpen(item, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// nameOf reads a party that is a string or an object with an id.
func nameOf(raw strictjson.Raw) (string, error) {
	if !present(raw) {
		return "", nil
	}
	if raw.Kind() == '"' {
		var s string
		err := strictjson.DecodeOpen(raw, &s)
		return s, err
	}
	var o struct {
		ID string `json:"id"`
	}
	if err := strictjson.DecodeOpen(raw, &o); err != nil || o.ID == "" {
		return "", fmt.Errorf("it is neither a name nor an object with an id")
	}
	return o.ID, nil
}

// firstContext gives the first entry of @context, when that is a string.
func firstContext(raw strictjson.Raw) (string, bool) {
	items, err := list(raw)
	if err != nil || len(items) == 0 || items[0].Kind() != '"' {
		return "", false
	}
	var s string
	err = strictjson.DecodeOpen(items[0], &s)
	return s, err == nil
}
