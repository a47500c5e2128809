package vc

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"kakehashi/internal/ids"
	"kakehashi/internal/strictjson"
	"kakehashi/jws"
)

const (
	// MaxPresentation is how many bytes a presentation may have.
	MaxPresentation = 1 << 20
	// MaxShown is how many credentials one presentation may hold.
	MaxShown = 32

	presentationType = "VerifiablePresentation"
	envelopedType    = "EnvelopedVerifiableCredential"
	envelope         = "data:application/vc+jwt,"
)

// Presentation is one that was read; neither it nor its credentials are yet
// believed.
type Presentation struct {
	Raw         string
	Model       Model
	KID         string
	Holder      string // DID
	Audience    []string
	JTI         string
	Issued      time.Time // zero: not said
	NotBefore   time.Time // zero: not said
	Expires     time.Time // zero: not said
	Credentials []string  // compact JWS

	message jws.Message
}

// Digest is "sha256:<hex>" of the presentation as it came.
func (p Presentation) Digest() string { return digestOf(p.Raw) }

type presentationClaims struct {
	Issuer    string         `json:"iss"`
	Subject   string         `json:"sub"`
	Audience  strictjson.Raw `json:"aud"`
	JTI       string         `json:"jti"`
	Issued    *float64       `json:"iat"`
	NotBefore *float64       `json:"nbf"`
	Expires   *float64       `json:"exp"`
	Inner     strictjson.Raw `json:"vp"`
}

type presentationDocument struct {
	Context     strictjson.Raw `json:"@context"`
	Type        strictjson.Raw `json:"type"`
	Holder      strictjson.Raw `json:"holder"`
	Credentials strictjson.Raw `json:"verifiableCredential"`
}

// ParsePresentation reads a presentation of either model, of at most
// MaxPresentation bytes and MaxShown credentials. Plain text errors: "it ...", of
// the presentation.
func ParsePresentation(raw string) (Presentation, error) {
	m, err := jws.Parse(raw, MaxPresentation)
	if err != nil {
		return Presentation{}, err
	}
	p := Presentation{Raw: raw, Model: VC20, KID: m.Header.KID, message: m}
	var c presentationClaims
	if err := strictjson.DecodeOpen(m.Payload, &c); err != nil {
		return Presentation{}, fmt.Errorf("its claims are not valid: %w", err)
	}
	bodies := []strictjson.Raw{strictjson.Raw(m.Payload)}
	if present(c.Inner) {
		p.Model = VC11
		if bodies, err = list(c.Inner); err != nil || len(bodies) == 0 {
			return Presentation{}, errors.New("its claim vp is neither an object nor a list of them")
		}
	}
	p.Holder, p.JTI = c.Issuer, c.JTI
	if c.Subject != "" && c.Issuer != "" && c.Subject != c.Issuer {
		return Presentation{}, errors.New("its subject is not its issuer")
	}
	if p.Audience, err = texts(c.Audience); err != nil {
		return Presentation{}, errors.New("its audience is not valid")
	}
	for _, t := range []struct {
		claim *float64
		into  *time.Time
	}{{c.Issued, &p.Issued}, {c.NotBefore, &p.NotBefore}, {c.Expires, &p.Expires}} {
		if t.claim == nil {
			continue
		}
		ok := false
		if *t.into, ok = numericDate(*t.claim); !ok {
			return Presentation{}, errors.New("a time in it is not valid")
		}
	}
	for _, body := range bodies {
		if err := p.read(body); err != nil {
			return Presentation{}, err
		}
	}
	if p.Holder == "" {
		return Presentation{}, errors.New("it names no holder")
	}
	return p, nil
}

func (p *Presentation) read(body strictjson.Raw) error {
	var d presentationDocument
	if err := strictjson.DecodeOpen(body, &d); err != nil {
		return fmt.Errorf("it is not valid: %w", err)
	}
	types, err := texts(d.Type)
	if err != nil || !slices.Contains(types, presentationType) {
		return errors.New("its type is not VerifiablePresentation")
	}
	if first, ok := firstContext(d.Context); p.Model == VC20 && (!ok || first != context20) {
		return errors.New("its first context is not that of VC 2.0, and there is no claim vp")
	}
	holder, err := nameOf(d.Holder)
	if err != nil {
		return errors.New("its holder is not valid")
	}
	if p.Holder == "" {
		p.Holder = holder
	}
	if holder != "" && holder != p.Holder {
		return errors.New("its holder is not its issuer")
	}
	items, err := list(d.Credentials)
	if err != nil || len(p.Credentials)+len(items) > MaxShown {
		return fmt.Errorf("its credentials are no list of at most %d", MaxShown)
	}
	for _, item := range items {
		text, err := compactIn(item)
		if err != nil {
			return err
		}
		p.Credentials = append(p.Credentials, text)
	}
	return nil
}

// compactIn finds the JWS of a credential: a string, or the data URL of an
// enveloped one (VC 2.0, section 4.12).
func compactIn(item strictjson.Raw) (string, error) {
	if item.Kind() == '"' {
		var s string
		err := strictjson.DecodeOpen(item, &s)
		return s, err
	}
	var o struct {
		ID   string         `json:"id"`
		Type strictjson.Raw `json:"type"`
	}
	if err := strictjson.DecodeOpen(item, &o); err != nil {
		return "", errors.New("a credential in it is neither a JWS nor an object")
	}
	types, err := texts(o.Type)
	if err != nil || !slices.Contains(types, envelopedType) {
		return "", errors.New("a credential in it is not signed as a JWS")
	}
	text, ok := strings.CutPrefix(o.ID, envelope)
	if !ok {
		if text, ok = strings.CutPrefix(o.ID, "data:application/vc+ld+json+jwt,"); !ok {
			return "", errors.New("an enveloped credential in it is no data URL of application/vc+jwt")
		}
	}
	return text, nil
}

// PresentConfig is what Present needs. Key stands under authentication in the
// holder's document.
type PresentConfig struct {
	Random   io.Reader
	Key      jws.Key
	Holder   string // DID
	Audience string // DID
	Now      time.Time
	Lifetime time.Duration // of whole seconds
}

type ownPresentation struct {
	Context     []string `json:"@context,omitempty"`
	Type        []string `json:"type,omitempty"`
	Holder      string   `json:"holder,omitempty"`
	Credentials []any    `json:"verifiableCredential,omitempty"`
	Issuer      string   `json:"iss"`
	Subject     string   `json:"sub,omitempty"`
	Audience    string   `json:"aud"`
	JTI         string   `json:"jti"`
	Issued      int64    `json:"iat"`
	NotBefore   int64    `json:"nbf"`
	Expires     int64    `json:"exp"`
	VP          *ownVP   `json:"vp,omitempty"`
}

type ownVP struct {
	Context     []string `json:"@context"`
	Type        []string `json:"type"`
	Credentials []any    `json:"verifiableCredential"`
}

type enveloped struct {
	Context string `json:"@context"`
	Type    string `json:"type"`
	ID      string `json:"id"`
}

// Present makes the presentations of some credentials: one for each data model
// among them, since those in one must be of one kind (DCP 1.0, section 5.4.2). Of
// none it makes none.
func Present(c PresentConfig, creds []Credential) ([]string, error) {
	var out []string
	for _, model := range []Model{VC11, VC20} {
		var items []any
		for _, cred := range creds {
			if cred.Model != model {
				continue
			}
			if model == VC20 {
				items = append(items, enveloped{Context: context20, Type: envelopedType, ID: envelope + cred.Raw})
			} else {
				items = append(items, cred.Raw)
			}
		}
		for part := range slices.Chunk(items, MaxShown) {
			raw, err := c.present(model, part)
			if err != nil {
				return nil, fmt.Errorf("present credentials: %w", err)
			}
			out = append(out, raw)
		}
	}
	return out, nil
}

func (c PresentConfig) present(model Model, items []any) (string, error) {
	now := c.Now.Unix()
	w := ownPresentation{Issuer: c.Holder, Audience: c.Audience, JTI: ids.Short(), Issued: now, NotBefore: now,
		Expires: now + int64(c.Lifetime/time.Second)}
	typ, cty := "vp+jwt", "vp"
	if model == VC20 {
		w.Context, w.Type, w.Holder, w.Credentials = []string{context20}, []string{presentationType}, c.Holder, items
	} else {
		typ, cty, w.Subject = "JWT", "", c.Holder
		w.VP = &ownVP{Context: []string{context11}, Type: []string{presentationType}, Credentials: items}
	}
	payload, err := strictjson.Encode(w)
	if err != nil {
		return "", err
	}
	return jws.Sign(c.Random, c.Key, typ, cty, payload)
}
