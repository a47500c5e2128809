package did

import (
	"crypto"
	"fmt"
	"strings"

	"kakehashi/internal/strictjson"
)

// Types of the services in a document (DSP 2025-1 section 4.3, DCP 1.0 sections
// 5.2 and 6.2 and, for KakehashiNode, what nodes of our own say to each other).
const (
	CatalogService    = "CatalogService"
	DataService       = "DataService"
	CredentialService = "CredentialService"
	IssuerService     = "IssuerService"
	KakehashiNode     = "KakehashiNode"
)

// OwnKey is a key that a document publishes.
type OwnKey struct {
	KID    string // absolute
	Public crypto.PublicKey
	For    []Relationship
}

// Own is what the document of a hosted participant says. Base is the DSP base
// URL; an address of "" leaves its service out.
type Own struct {
	DID, Base, Node                  string
	CredentialService, IssuerService string
	Keys                             []OwnKey
}

// Build makes a participant's document: its keys, each for its purposes, and the
// services.
func Build(o Own) (Document, error) {
	d := Document{ID: o.DID, keys: make(map[string]key, len(o.Keys))}
	for _, k := range o.Keys {
		j, err := NewJWK(k.Public)
		if err != nil {
			return Document{}, fmt.Errorf("document of %s: key %s: %w", o.DID, k.KID, err)
		}
		d.Methods = append(d.Methods, VerificationMethod{ID: k.KID, Type: "JsonWebKey2020", Controller: o.DID, JWK: &j})
		d.keys[k.KID] = key{public: k.Public}
		for _, r := range k.For {
			switch r {
			case Authentication:
				d.Authentication = append(d.Authentication, k.KID)
			case Assertion:
				d.Assertion = append(d.Assertion, k.KID)
			case Invocation:
				d.Invocation = append(d.Invocation, k.KID)
			}
		}
	}
	// The version document lies at the root that base is a path of.
	root := strings.TrimSuffix(o.Base, "/2025-1")
	d.Services = []Service{
		{ID: o.DID + "#catalog", Type: CatalogService, Endpoint: o.Base + "/catalog"},
		{ID: o.DID + "#data", Type: DataService, Endpoint: root + "/.well-known/dspace-version"},
	}
	for _, s := range []Service{
		{ID: o.DID + "#credentials", Type: CredentialService, Endpoint: o.CredentialService},
		{ID: o.DID + "#issuer", Type: IssuerService, Endpoint: o.IssuerService},
		{ID: o.DID + "#node", Type: KakehashiNode, Endpoint: o.Node},
	} {
		if s.Endpoint != "" {
			d.Services = append(d.Services, s)
		}
	}
	return d, nil
}

// documentContext holds the contexts of all services too: some peers read entries
// of services that have no more than id, type and endpoint.
var documentContext = strictjson.Raw(`["https://www.w3.org/ns/did/v1","https://w3id.org/security/suites/jws-2020/v1","https://w3id.org/dspace/2025/1/context.jsonld","https://w3id.org/dspace-dcp/v1.0/dcp.jsonld"]`)

// Encode writes the document as it is served, as did.json.
func (d Document) Encode() ([]byte, error) {
	w := wireDocument{Context: documentContext, ID: d.ID}
	for _, m := range d.Methods {
		x := wireMethod{ID: m.ID, Type: m.Type, Controller: m.Controller}
		if m.JWK != nil {
			x.JWK = &wireJWK{JWK: *m.JWK}
		}
		w.Methods = append(w.Methods, x)
	}
	var err error
	if w.Authentication, err = texts(d.Authentication); err != nil {
		return nil, err
	}
	if w.Assertion, err = texts(d.Assertion); err != nil {
		return nil, err
	}
	if w.Invocation, err = texts(d.Invocation); err != nil {
		return nil, err
	}
	for _, s := range d.Services {
		x := wireService{ID: s.ID}
		if x.Type, err = strictjson.Encode(s.Type); err != nil {
			return nil, err
		}
		if x.Endpoint, err = strictjson.Encode(s.Endpoint); err != nil {
			return nil, err
		}
		w.Services = append(w.Services, x)
	}
	return strictjson.Encode(w)
}

func texts(in []string) ([]strictjson.Raw, error) {
	out := make([]strictjson.Raw, len(in))
	for i, s := range in {
		b, err := strictjson.Encode(s)
		if err != nil {
			return nil, err
		}
		out[i] = b
	}
	return out, nil
}
