package did

import (
	"crypto"
	"fmt"
	"strings"

	"kakehashi/internal/strictjson"
)

// Types of the services in a document that Build makes (DSP 2025-1 section 4.3
// and, for KakehashiNode, what nodes of our own say to each other).
const (
	CatalogService = "CatalogService"
	DataService    = "DataService"
	KakehashiNode  = "KakehashiNode"
)

// Own is what the document of a hosted participant says. Base is the DSP base
// URL; a Node of "" leaves KakehashiNode out.
type Own struct {
	DID, Base, Node  string
	TokenKID, LogKID string // absolute
	Token, Log       crypto.PublicKey
}

// Build makes a participant's document: the token key for authentication and
// assertion, the log key for assertion only, and the services.
func Build(o Own) (Document, error) {
	d := Document{
		ID:             o.DID,
		Authentication: []string{o.TokenKID},
		Assertion:      []string{o.TokenKID, o.LogKID},
		keys:           make(map[string]key, 2),
	}
	for _, k := range []struct {
		kid    string
		public crypto.PublicKey
	}{{o.TokenKID, o.Token}, {o.LogKID, o.Log}} {
		j, err := NewJWK(k.public)
		if err != nil {
			return Document{}, fmt.Errorf("document of %s: key %s: %w", o.DID, k.kid, err)
		}
		d.Methods = append(d.Methods, VerificationMethod{ID: k.kid, Type: "JsonWebKey2020", Controller: o.DID, JWK: &j})
		d.keys[k.kid] = key{public: k.public}
	}
	// The version document lies at the root that base is a path of.
	root := strings.TrimSuffix(o.Base, "/2025-1")
	d.Services = []Service{
		{ID: o.DID + "#catalog", Type: CatalogService, Endpoint: o.Base + "/catalog"},
		{ID: o.DID + "#data", Type: DataService, Endpoint: root + "/.well-known/dspace-version"},
	}
	if o.Node != "" {
		d.Services = append(d.Services, Service{ID: o.DID + "#node", Type: KakehashiNode, Endpoint: o.Node})
	}
	return d, nil
}

var (
	documentContext = strictjson.Raw(`["https://www.w3.org/ns/did/v1","https://w3id.org/security/suites/jws-2020/v1"]`)
	serviceContext  = strictjson.Raw(`["https://w3id.org/dspace/2025/1/context.jsonld","https://www.w3.org/ns/did/v1"]`)
)

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
	for _, s := range d.Services {
		x := wireService{ID: s.ID}
		if s.Type == CatalogService || s.Type == DataService {
			x.Context = serviceContext
		}
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
