package dcp

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

// The names of the messages.
const (
	TypeQuery       = "PresentationQueryMessage"
	TypeResponse    = "PresentationResponseMessage"
	TypeRequest     = "CredentialRequestMessage"
	TypeCredentials = "CredentialMessage"
	TypeOffer       = "CredentialOfferMessage"
	TypeObject      = "CredentialObject"
	TypeMetadata    = "IssuerMetadata"
	TypeStatus      = "CredentialStatus"
)

const (
	// MaxMessage is how many bytes a message may have.
	MaxMessage = 1 << 20
	maxItems   = 100 // of any list in a message
	maxText    = 2048
)

// PresentationQuery asks a holder for credentials (section 5.4.1). Queries by
// Presentation Exchange are refused: the standard leaves them optional.
type PresentationQuery struct {
	Scopes []string
}

// PresentationResponse answers with presentations as compact JWS (section 5.4.2).
type PresentationResponse struct {
	Presentations []string
}

// CredentialRequest asks an issuer for credentials by the ids of its metadata
// (section 6.4).
type CredentialRequest struct {
	HolderPid   string
	Credentials []string
}

// States of a request, as they stand in messages (sections 6.5 and 6.8).
const (
	StatusReceived = "RECEIVED"
	StatusRejected = "REJECTED"
	StatusIssued   = "ISSUED"
)

// CredentialMessage delivers to a holder (section 6.5).
type CredentialMessage struct {
	IssuerPid, HolderPid string
	Status               string // StatusIssued or StatusRejected
	RejectionReason      string
	Credentials          []Container
}

// Container is a credential on its way.
type Container struct {
	Type    string `json:"credentialType"`
	Payload string `json:"payload"` // compact JWS
	Format  string `json:"format"`  // a profile; on input others are told by the payload
}

// CredentialOffer tells a holder what it may ask for (section 6.6).
type CredentialOffer struct {
	Issuer      string
	Credentials []CredentialObject
}

// CredentialObject is a credential that an issuer can make. In an offer only ID
// is certain, the rest stands in the issuer's metadata.
type CredentialObject struct {
	ID             string
	CredentialType string
	Schema         string // URL
	OfferReason    string
	Bindings       []string
	Profile        string
}

// IssuerMetadata is what an issuer can make (section 6.7).
type IssuerMetadata struct {
	Issuer    string
	Supported []CredentialObject
}

// CredentialStatus is the state of a request (section 6.8).
type CredentialStatus struct {
	IssuerPid, HolderPid, Status string
}

// envelope is what all messages share; "@type" and "@id" stand for "type" and
// "id", as the context has them.
type envelope struct {
	Context strictjson.Raw `json:"@context"`
	Type    string         `json:"type"`
	AtType  string         `json:"@type"`
}

func refuse(place, reason string) error { return fault.BadMessage.At(place, "reason", reason) }

// open decodes a message of the type want into v, which may not name the members
// of the envelope. The error is fault.BadMessage with the place.
func open(b []byte, want string, v any) error {
	if len(b) > MaxMessage {
		return fault.TooLarge.At("", "limit", MaxMessage)
	}
	var e envelope
	for _, into := range []any{&e, v} {
		if err := strictjson.DecodeOpen(b, into); err != nil {
			var je *strictjson.Error
			if errors.As(err, &je) {
				return refuse(je.Pointer, je.Reason)
			}
			return refuse("", err.Error())
		}
	}
	if e.Type == "" {
		e.Type = e.AtType
	}
	if e.Type != want {
		return refuse("/type", fmt.Sprintf("it is %.60q, not %s", e.Type, want))
	}
	contexts, err := textsOf(e.Context)
	if err != nil || !slices.Contains(contexts, Context) {
		return refuse("/@context", "it does not contain "+Context)
	}
	return nil
}

// textsOf reads a string or a list of them.
func textsOf(raw strictjson.Raw) ([]string, error) {
	if absent(raw) {
		return nil, nil
	}
	if raw.Kind() == '"' {
		one := []string{""}
		err := strictjson.DecodeOpen(raw, &one[0])
		return one, err
	}
	var many []string
	err := strictjson.DecodeOpen(raw, &many)
	return many, err
}

func absent(raw strictjson.Raw) bool {
	return len(raw) == 0 || string(bytes.TrimSpace(raw)) == "null"
}

// DecodeQuery reads a query. One by Presentation Exchange alone is
// fault.NoPresentationExchange; of both kinds fault.BadMessage.
func DecodeQuery(b []byte) (PresentationQuery, error) {
	var w struct {
		Scope      strictjson.Raw `json:"scope"`
		Definition strictjson.Raw `json:"presentationDefinition"`
	}
	if err := open(b, TypeQuery, &w); err != nil {
		return PresentationQuery{}, err
	}
	if len(w.Definition) > 0 {
		switch {
		case len(w.Scope) > 0:
			return PresentationQuery{}, refuse("/presentationDefinition", "scope and presentationDefinition exclude each other")
		case absent(w.Definition) || string(bytes.Join(bytes.Fields(w.Definition), nil)) == "{}":
			return PresentationQuery{}, refuse("/presentationDefinition", "it is empty")
		}
		return PresentationQuery{}, fault.NoPresentationExchange.At("/presentationDefinition")
	}
	var q PresentationQuery
	if absent(w.Scope) || w.Scope.Kind() != '[' || strictjson.DecodeOpen(w.Scope, &q.Scopes) != nil || len(q.Scopes) == 0 || len(q.Scopes) > maxItems {
		return PresentationQuery{}, refuse("/scope", "it is not a list of 1 to 100 scopes")
	}
	return q, nil
}

// DecodeResponse reads an answer.
func DecodeResponse(b []byte) (PresentationResponse, error) {
	var w struct {
		Presentations strictjson.Raw `json:"presentation"`
	}
	if err := open(b, TypeResponse, &w); err != nil {
		return PresentationResponse{}, err
	}
	var r PresentationResponse
	var err error
	if absent(w.Presentations) {
		return r, refuse("/presentation", "it is missing")
	}
	if r.Presentations, err = textsOf(w.Presentations); err != nil || len(r.Presentations) > maxItems {
		return PresentationResponse{}, refuse("/presentation", "it is not a list of at most 100 presentations, each as compact JWS")
	}
	return r, nil
}

// DecodeRequest reads a request for credentials.
func DecodeRequest(b []byte) (CredentialRequest, error) {
	var w struct {
		HolderPid   string `json:"holderPid"`
		Credentials []struct {
			ID   string `json:"id"`
			AtID string `json:"@id"`
		} `json:"credentials"`
	}
	if err := open(b, TypeRequest, &w); err != nil {
		return CredentialRequest{}, err
	}
	r := CredentialRequest{HolderPid: w.HolderPid}
	for i, c := range w.Credentials {
		if c.ID == "" {
			c.ID = c.AtID
		}
		if c.ID == "" || len(c.ID) > maxText {
			return CredentialRequest{}, refuse(fmt.Sprintf("/credentials/%d/id", i), "it is missing or too long")
		}
		r.Credentials = append(r.Credentials, c.ID)
	}
	if err := pid("/holderPid", r.HolderPid); err != nil {
		return CredentialRequest{}, err
	}
	if len(r.Credentials) == 0 || len(r.Credentials) > maxItems {
		return CredentialRequest{}, refuse("/credentials", "it is not a list of 1 to 100 ids")
	}
	return r, nil
}

func pid(place, s string) error {
	if s == "" || len(s) > maxText {
		return refuse(place, "it is missing or too long")
	}
	return nil
}

// DecodeCredentials reads a delivery. holderPid is required, though the schema
// leaves it out: without it nobody knows what was asked.
func DecodeCredentials(b []byte) (CredentialMessage, error) {
	var w struct {
		IssuerPid   string      `json:"issuerPid"`
		HolderPid   string      `json:"holderPid"`
		Status      string      `json:"status"`
		Reason      string      `json:"rejectionReason"`
		Credentials []Container `json:"credentials"`
	}
	if err := open(b, TypeCredentials, &w); err != nil {
		return CredentialMessage{}, err
	}
	m := CredentialMessage{IssuerPid: w.IssuerPid, HolderPid: w.HolderPid, Status: w.Status, RejectionReason: w.Reason, Credentials: w.Credentials}
	if err := errors.Join(pid("/issuerPid", m.IssuerPid), pid("/holderPid", m.HolderPid)); err != nil {
		return CredentialMessage{}, err
	}
	switch {
	case m.Status != StatusIssued && m.Status != StatusRejected:
		return CredentialMessage{}, refuse("/status", "it is neither ISSUED nor REJECTED")
	case len(m.Credentials) > maxItems:
		return CredentialMessage{}, refuse("/credentials", "it has more than 100 entries")
	case m.Status == StatusIssued && len(m.Credentials) == 0:
		return CredentialMessage{}, refuse("/credentials", "it is empty")
	}
	return m, nil
}

type wireObject struct {
	ID             string   `json:"id,omitempty"`
	AtID           string   `json:"@id,omitempty"`
	Type           string   `json:"type,omitempty"`
	CredentialType string   `json:"credentialType,omitempty"`
	Schema         string   `json:"credentialSchema,omitempty"`
	OfferReason    string   `json:"offerReason,omitempty"`
	Bindings       []string `json:"bindingMethods,omitempty"`
	Profile        string   `json:"profile,omitempty"`
}

func (w wireObject) object() CredentialObject {
	if w.ID == "" {
		w.ID = w.AtID
	}
	return CredentialObject{ID: w.ID, CredentialType: w.CredentialType, Schema: w.Schema, OfferReason: w.OfferReason, Bindings: w.Bindings, Profile: w.Profile}
}

func objects(place string, in []wireObject) ([]CredentialObject, error) {
	if len(in) > maxItems {
		return nil, refuse(place, "it has more than 100 entries")
	}
	var out []CredentialObject
	for i, w := range in {
		o := w.object()
		if o.ID == "" || len(o.ID) > maxText {
			return nil, refuse(fmt.Sprintf("%s/%d/id", place, i), "it is missing or too long")
		}
		out = append(out, o)
	}
	return out, nil
}

// DecodeOffer reads an offer.
func DecodeOffer(b []byte) (CredentialOffer, error) {
	var w struct {
		Issuer      string       `json:"issuer"`
		Credentials []wireObject `json:"credentials"`
	}
	if err := open(b, TypeOffer, &w); err != nil {
		return CredentialOffer{}, err
	}
	if w.Issuer == "" {
		return CredentialOffer{}, refuse("/issuer", "it is missing")
	}
	list, err := objects("/credentials", w.Credentials)
	if err == nil && len(list) == 0 {
		err = refuse("/credentials", "it is empty")
	}
	return CredentialOffer{Issuer: w.Issuer, Credentials: list}, err
}

// DecodeMetadata reads what an issuer can make.
func DecodeMetadata(b []byte) (IssuerMetadata, error) {
	var w struct {
		Issuer    string       `json:"issuer"`
		Supported []wireObject `json:"credentialsSupported"`
	}
	if err := open(b, TypeMetadata, &w); err != nil {
		return IssuerMetadata{}, err
	}
	list, err := objects("/credentialsSupported", w.Supported)
	return IssuerMetadata{Issuer: w.Issuer, Supported: list}, err
}

// DecodeStatus reads the state of a request.
func DecodeStatus(b []byte) (CredentialStatus, error) {
	var w struct {
		IssuerPid string `json:"issuerPid"`
		HolderPid string `json:"holderPid"`
		Status    string `json:"status"`
	}
	if err := open(b, TypeStatus, &w); err != nil {
		return CredentialStatus{}, err
	}
	if !slices.Contains([]string{StatusReceived, StatusRejected, StatusIssued}, w.Status) {
		return CredentialStatus{}, refuse("/status", fmt.Sprintf("%.40q is no state of a request", w.Status))
	}
	return CredentialStatus{IssuerPid: w.IssuerPid, HolderPid: w.HolderPid, Status: w.Status}, nil
}

var contexts = []string{Context}

// Encode writes the message.
func (q PresentationQuery) Encode() ([]byte, error) {
	return strictjson.Encode(struct {
		Context []string `json:"@context"`
		Type    string   `json:"type"`
		Scope   []string `json:"scope"`
	}{contexts, TypeQuery, q.Scopes})
}

// Encode writes the message; of no presentations an empty list.
func (r PresentationResponse) Encode() ([]byte, error) {
	return strictjson.Encode(struct {
		Context       []string `json:"@context"`
		Type          string   `json:"type"`
		Presentations []string `json:"presentation"`
	}{contexts, TypeResponse, append([]string{}, r.Presentations...)})
}

type wireID struct {
	ID string `json:"id"`
}

// Encode writes the message.
func (r CredentialRequest) Encode() ([]byte, error) {
	ids := []wireID{}
	for _, id := range r.Credentials {
		ids = append(ids, wireID{id})
	}
	return strictjson.Encode(struct {
		Context     []string `json:"@context"`
		Type        string   `json:"type"`
		HolderPid   string   `json:"holderPid"`
		Credentials []wireID `json:"credentials"`
	}{contexts, TypeRequest, r.HolderPid, ids})
}

// Encode writes the message.
func (m CredentialMessage) Encode() ([]byte, error) {
	return strictjson.Encode(struct {
		Context     []string    `json:"@context"`
		Type        string      `json:"type"`
		IssuerPid   string      `json:"issuerPid"`
		HolderPid   string      `json:"holderPid"`
		Status      string      `json:"status"`
		Reason      string      `json:"rejectionReason,omitempty"`
		Credentials []Container `json:"credentials,omitempty"`
	}{contexts, TypeCredentials, m.IssuerPid, m.HolderPid, m.Status, m.RejectionReason, m.Credentials})
}

func wired(list []CredentialObject) []wireObject {
	out := []wireObject{}
	for _, o := range list {
		out = append(out, wireObject{ID: o.ID, Type: TypeObject, CredentialType: o.CredentialType, Schema: o.Schema,
			OfferReason: o.OfferReason, Bindings: o.Bindings, Profile: o.Profile})
	}
	return out
}

// Encode writes the message.
func (o CredentialOffer) Encode() ([]byte, error) {
	return strictjson.Encode(struct {
		Context     []string     `json:"@context"`
		Type        string       `json:"type"`
		Issuer      string       `json:"issuer"`
		Credentials []wireObject `json:"credentials"`
	}{contexts, TypeOffer, o.Issuer, wired(o.Credentials)})
}

// Encode writes the message.
func (m IssuerMetadata) Encode() ([]byte, error) {
	return strictjson.Encode(struct {
		Context   []string     `json:"@context"`
		Type      string       `json:"type"`
		Issuer    string       `json:"issuer"`
		Supported []wireObject `json:"credentialsSupported"`
	}{contexts, TypeMetadata, m.Issuer, wired(m.Supported)})
}

// Encode writes the message.
func (s CredentialStatus) Encode() ([]byte, error) {
	return strictjson.Encode(struct {
		Context   []string `json:"@context"`
		Type      string   `json:"type"`
		IssuerPid string   `json:"issuerPid"`
		HolderPid string   `json:"holderPid"`
		Status    string   `json:"status"`
	}{contexts, TypeStatus, s.IssuerPid, s.HolderPid, s.Status})
}
