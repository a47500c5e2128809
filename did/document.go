package did

import (
	"crypto"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

const (
	// MaxDocument is the size in bytes up to which a document is read.
	MaxDocument = 256 << 10
	maxMethods  = 100
	maxServices = 100
)

// Relationship is a purpose that a document allows a key for (DID Core 5.3).
type Relationship string

const (
	// Authentication keys sign presentations.
	Authentication Relationship = "authentication"
	// Assertion keys sign statements that others keep.
	Assertion Relationship = "assertionMethod"
	// Invocation keys sign self-issued tokens (DCP 1.0 section 4.3.3).
	Invocation Relationship = "capabilityInvocation"
)

// Document is a DID document as far as the node uses it. It is read-only once
// made by Parse or Build, and copies of it may be shared.
type Document struct {
	ID             string
	Methods        []VerificationMethod
	Authentication []string // ids of methods, absolute
	Assertion      []string // ids of methods, absolute
	Invocation     []string // ids of methods, absolute
	Services       []Service

	keys map[string]key
}

// VerificationMethod is one key of a document. JWK is nil for a method of a kind
// that the node does not read; Key says so when it is asked for.
type VerificationMethod struct {
	ID         string // absolute: DID#fragment
	Type       string
	Controller string
	JWK        *JWK
}

// Service is one address that a document announces. A service of several types
// stands here once for each. An endpoint that is an object or a list is its first
// string, "" when there is none (DID Core 5.4).
type Service struct {
	ID, Type, Endpoint string
}

type key struct {
	public crypto.PublicKey
	err    error
}

type wireDocument struct {
	Context        strictjson.Raw   `json:"@context,omitempty"`
	ID             string           `json:"id"`
	Methods        []wireMethod     `json:"verificationMethod,omitempty"`
	Authentication []strictjson.Raw `json:"authentication,omitempty"`
	Assertion      []strictjson.Raw `json:"assertionMethod,omitempty"`
	Invocation     []strictjson.Raw `json:"capabilityInvocation,omitempty"`
	Services       []wireService    `json:"service,omitempty"`
}

type wireMethod struct {
	ID         string   `json:"id"`
	Type       string   `json:"type"`
	Controller string   `json:"controller"`
	JWK        *wireJWK `json:"publicKeyJwk,omitempty"`
}

type wireJWK struct {
	JWK
	D strictjson.Raw `json:"d,omitempty"`
	K strictjson.Raw `json:"k,omitempty"`
}

type wireService struct {
	Context  strictjson.Raw `json:"@context,omitempty"`
	ID       string         `json:"id"`
	Type     strictjson.Raw `json:"type"`
	Endpoint strictjson.Raw `json:"serviceEndpoint"`
}

// Parse reads a DID document in its JSON form. Members that it does not know are
// passed over, as are methods and services of other kinds; a document that
// contradicts itself, doubles a key or holds a private key is refused. Whether
// it is the document that was asked for, the caller checks by ID. The error is
// fault.DIDDocument.
func Parse(b []byte) (Document, error) {
	var w wireDocument
	bad := func(place, reason string) (Document, error) {
		return Document{}, fault.DIDDocument.At(place, "did", fmt.Sprintf("%.200q", w.ID), "reason", reason)
	}
	if len(b) > MaxDocument {
		return bad("", "it is larger than 256 KiB")
	}
	if err := strictjson.DecodeOpen(b, &w); err != nil {
		place, reason := "", err.Error()
		if je, ok := errors.AsType[*strictjson.Error](err); ok {
			place, reason = je.Pointer, je.Reason
		}
		return bad(place, reason)
	}
	switch {
	case !strings.HasPrefix(w.ID, "did:") || strings.ContainsAny(w.ID, "#?/") || len(w.ID) > maxName:
		return bad("/id", "it is not a DID")
	case len(w.Methods) > maxMethods:
		return bad("/verificationMethod", "there are more than 100")
	case len(w.Services) > maxServices:
		return bad("/service", "there are more than 100")
	}
	d := Document{ID: w.ID, keys: map[string]key{}}
	for i, m := range w.Methods {
		if err := d.add(m); err != nil {
			return bad(fmt.Sprintf("/verificationMethod/%d", i), err.Error())
		}
	}
	for _, r := range []struct {
		name Relationship
		raw  []strictjson.Raw
		into *[]string
	}{{Authentication, w.Authentication, &d.Authentication}, {Assertion, w.Assertion, &d.Assertion}, {Invocation, w.Invocation, &d.Invocation}} {
		if len(r.raw) > maxMethods {
			return bad("/"+string(r.name), "there are more than 100")
		}
		var err error
		if *r.into, err = d.references(r.raw); err != nil {
			return bad("/"+string(r.name), err.Error())
		}
	}
	for i, s := range w.Services {
		if err := d.serve(s); err != nil {
			return bad(fmt.Sprintf("/service/%d", i), err.Error())
		}
	}
	return d, nil
}

// add takes a method into the document.
func (d *Document) add(w wireMethod) error {
	id, ok := d.absolute(w.ID)
	if !ok {
		return errors.New("the id is not a fragment")
	}
	if _, ok := d.keys[id]; ok {
		return errors.New("the id stands in the document twice")
	}
	m := VerificationMethod{ID: id, Type: w.Type, Controller: w.Controller}
	k := key{err: errKeyKind}
	if w.JWK != nil {
		if w.JWK.D != nil || w.JWK.K != nil {
			return errors.New("it holds a private key")
		}
		j := w.JWK.JWK
		m.JWK = &j
		k.public, k.err = j.Public()
	}
	// A key that another controls, or that hangs under another DID, must not
	// speak for this one.
	if w.Controller != d.ID || !strings.HasPrefix(id, d.ID+"#") {
		k = key{err: errors.New("the key is not controlled by the DID")}
	}
	d.keys[id] = k
	d.Methods = append(d.Methods, m)
	return nil
}

// references reads a verification relationship: ids of methods, or methods that
// stand only there.
func (d *Document) references(raw []strictjson.Raw) ([]string, error) {
	var ids []string
	for _, r := range raw {
		var id string
		if r.Kind() == '"' {
			if err := strictjson.DecodeOpen(r, &id); err != nil {
				return nil, err
			}
		} else {
			var m wireMethod
			if err := strictjson.DecodeOpen(r, &m); err != nil {
				return nil, err
			}
			if err := d.add(m); err != nil {
				return nil, err
			}
			id = m.ID
		}
		abs, ok := d.absolute(id)
		if !ok {
			return nil, errors.New("a reference is not a fragment")
		}
		ids = append(ids, abs)
	}
	return ids, nil
}

func (d *Document) serve(w wireService) error {
	id, ok := d.absolute(w.ID)
	if !ok {
		id = w.ID // an id of a service may be any URI
	}
	var types []string
	switch w.Type.Kind() {
	case '"':
		types = []string{""}
		if err := strictjson.DecodeOpen(w.Type, &types[0]); err != nil {
			return err
		}
	case '[':
		if err := strictjson.DecodeOpen(w.Type, &types); err != nil {
			return err
		}
	default:
		return errors.New("the type is missing")
	}
	endpoint, err := firstString(w.Endpoint)
	if err != nil {
		return err
	}
	for _, t := range types {
		d.Services = append(d.Services, Service{ID: id, Type: t, Endpoint: endpoint})
	}
	if len(d.Services) > maxServices {
		return errors.New("there are more than 100")
	}
	return nil
}

// firstString is a string, the first one in a list, or that of an object's
// members which comes first, at any depth of the three.
func firstString(raw strictjson.Raw) (string, error) {
	switch raw.Kind() {
	case '"':
		var s string
		err := strictjson.DecodeOpen(raw, &s)
		return s, err
	case '[':
		var list []strictjson.Raw
		if err := strictjson.DecodeOpen(raw, &list); err != nil {
			return "", err
		}
		for _, r := range list {
			if s, err := firstString(r); s != "" || err != nil {
				return s, err
			}
		}
	case '{':
		var object map[string]strictjson.Raw
		if err := strictjson.DecodeOpen(raw, &object); err != nil {
			return "", err
		}
		for _, name := range slices.Sorted(maps.Keys(object)) {
			if s, err := firstString(object[name]); s != "" || err != nil {
				return s, err
			}
		}
	}
	return "", nil
}

// absolute completes "#fragment" and checks that an id is a DID URL with one.
func (d *Document) absolute(id string) (string, bool) {
	if strings.HasPrefix(id, "#") {
		id = d.ID + id
	}
	base, fragment, ok := strings.Cut(id, "#")
	return id, ok && strings.HasPrefix(base, "did:") && fragment != "" && !strings.Contains(fragment, "#") && len(id) <= maxName
}

// Key gives the public key with this absolute id, *ecdsa.PublicKey on P-256 or
// P-384, or ed25519.PublicKey, whatever it is published for. The error is fault.TokenKey.
func (d Document) Key(kid string) (crypto.PublicKey, error) {
	k, ok := d.keys[kid]
	if !ok {
		return nil, fault.TokenKey.At("", "kid", kid, "reason", "the DID document does not list it")
	}
	if k.err != nil {
		return nil, fault.TokenKey.At("", "kid", kid, "reason", k.err.Error())
	}
	return k.public, nil
}

// KeyFor is Key for a key that the document allows for r.
func (d Document) KeyFor(r Relationship, kid string) (crypto.PublicKey, error) {
	pub, err := d.Key(kid)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(d.listed(r), kid) {
		return nil, fault.TokenKey.At("", "kid", kid, "reason", "the DID document does not allow it for "+string(r))
	}
	return pub, nil
}

func (d Document) listed(r Relationship) []string {
	switch r {
	case Authentication:
		return d.Authentication
	case Assertion:
		return d.Assertion
	case Invocation:
		return d.Invocation
	}
	return nil
}

// Purposeless tells that the document names no purpose for any key, as those of
// some hubs do (EDC 0.15).
func (d Document) Purposeless() bool {
	return len(d.Authentication)+len(d.Assertion)+len(d.Invocation) == 0
}

// Sole gives the id of the document's only key, ok false when it has none or
// several.
func (d Document) Sole() (kid string, ok bool) {
	if len(d.Methods) != 1 {
		return "", false
	}
	return d.Methods[0].ID, true
}

// Endpoint gives the address of the first service of the first of types that
// the document has, or "".
func (d Document) Endpoint(types ...string) string {
	for _, t := range types {
		for _, s := range d.Services {
			if s.Type == t && s.Endpoint != "" {
				return s.Endpoint
			}
		}
	}
	return ""
}
