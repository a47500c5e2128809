package vc

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"
	"time"

	"kakehashi/internal/strictjson"
	"kakehashi/jws"
)

// Draft is a credential that is to be made.
type Draft struct {
	Model      Model
	ID         string   // may be ""
	Types      []string // without the base type
	Issuer     string
	Subject    string         // DID
	Claims     map[string]any // about the subject, without its id
	ValidFrom  time.Time
	ValidUntil time.Time // zero: for ever
	Statuses   []StatusEntry
	Schemas    []Schema
	Contexts   []string // beside the base context
}

type wireStatus struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Purpose string `json:"statusPurpose"`
	Index   string `json:"statusListIndex"`
	List    string `json:"statusListCredential"`
}

// wireCredential is a credential of VC 1.1; one of VC 2.0 is its document.
type wireCredential struct {
	Issuer    string `json:"iss,omitempty"`
	Subject   string `json:"sub,omitempty"`
	JTI       string `json:"jti,omitempty"`
	NotBefore int64  `json:"nbf,omitempty"`
	Expires   int64  `json:"exp,omitempty"`
	Issued    int64  `json:"iat,omitempty"`

	VC *wireDocument `json:"vc"`
}

type wireDocument struct {
	Context        []string       `json:"@context"`
	ID             string         `json:"id,omitempty"`
	Type           []string       `json:"type"`
	Issuer         string         `json:"issuer"`
	IssuanceDate   string         `json:"issuanceDate,omitempty"`
	ExpirationDate string         `json:"expirationDate,omitempty"`
	ValidFrom      string         `json:"validFrom,omitempty"`
	ValidUntil     string         `json:"validUntil,omitempty"`
	Subject        map[string]any `json:"credentialSubject"`
	Status         any            `json:"credentialStatus,omitempty"`
	Schema         any            `json:"credentialSchema,omitempty"`
}

// Issue makes a credential of a draft, signed by a key that stands under
// assertionMethod in the issuer's document. What it makes, ParseCredential reads.
func Issue(random io.Reader, k jws.Key, d Draft) (string, error) {
	return issue(random, k, d, MaxCredential/2)
}

func issue(random io.Reader, k jws.Key, d Draft, limit int) (string, error) {
	if len(d.Types) == 0 || d.Issuer == "" || d.Subject == "" || d.ValidFrom.IsZero() {
		return "", errors.New("issue a credential: a type, an issuer, a subject and a beginning are required")
	}
	subject := map[string]any{}
	maps.Copy(subject, d.Claims)
	subject["id"] = d.Subject
	doc := &wireDocument{ID: d.ID, Type: append([]string{baseType}, d.Types...), Issuer: d.Issuer, Subject: subject, Schema: oneOrMany(d.Schemas)}
	var statuses []wireStatus
	for _, s := range d.Statuses {
		statuses = append(statuses, wireStatus{ID: s.List + "#" + strconv.FormatInt(s.Index, 10), Type: s.Type, Purpose: s.Purpose,
			Index: strconv.FormatInt(s.Index, 10), List: s.List})
	}
	doc.Status = oneOrMany(statuses)
	var w any = doc
	typ, cty := "vc+jwt", "vc"
	switch d.Model {
	case VC20:
		doc.Context = append([]string{context20}, d.Contexts...)
		doc.ValidFrom, doc.ValidUntil = stamp(d.ValidFrom), stamp(d.ValidUntil)
	case VC11:
		typ, cty = "JWT", ""
		doc.Context = append([]string{context11}, d.Contexts...)
		for _, s := range d.Statuses {
			if s.Type == StatusList2021 {
				doc.Context = append(doc.Context, statusContext)
				break
			}
		}
		doc.IssuanceDate, doc.ExpirationDate = stamp(d.ValidFrom), stamp(d.ValidUntil)
		claims := wireCredential{VC: doc, Issuer: d.Issuer, Subject: d.Subject, JTI: d.ID, NotBefore: d.ValidFrom.Unix(), Issued: d.ValidFrom.Unix()}
		if !d.ValidUntil.IsZero() {
			claims.Expires = d.ValidUntil.Unix()
		}
		w = claims
	default:
		return "", fmt.Errorf("issue a credential: %s", d.Model)
	}
	payload, err := strictjson.Encode(w)
	if err != nil {
		return "", fmt.Errorf("issue a credential: %w", err)
	}
	if len(payload) > limit {
		return "", fmt.Errorf("issue a credential: it is larger than %d bytes", limit)
	}
	return jws.Sign(random, k, typ, cty, payload)
}

// oneOrMany is one value as itself, as some peers want it, and none as nothing.
func oneOrMany[T any](list []T) any {
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	return list
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
