package dsp2025

import (
	"strconv"

	"kakehashi/internal/strictjson"
)

// CatalogRequest is the CatalogRequestMessage.
type CatalogRequest struct {
	Head
	ID     string           `json:"@id,omitzero"`
	Filter []strictjson.Raw `json:"filter,omitempty"`
}

func (*CatalogRequest) typeName() string          { return "CatalogRequestMessage" }
func (m *CatalogRequest) check() (string, string) { return first("/@id", optional(m.ID)) }

// Catalog is what a provider shows: at the root with ParticipantID, or inside
// another one. One that only points elsewhere has a distribution of the format
// FormatCatalog, whose service is where it can be asked for.
type Catalog struct {
	Head
	ID            string         `json:"@id"`
	ParticipantID string         `json:"participantId,omitzero"`
	Title         strictjson.Raw `json:"dct:title,omitzero"`
	Service       []DataService  `json:"service,omitempty"`
	Dataset       []Dataset      `json:"dataset,omitempty"`
	Catalog       []Catalog      `json:"catalog,omitempty"`
	Distribution  []Distribution `json:"distribution,omitempty"`
}

// FormatCatalog is the format of a distribution that is itself a catalogue.
const FormatCatalog = "Catalog"

func (*Catalog) typeName() string { return "Catalog" }
func (c *Catalog) check() (string, string) {
	if at, reason := c.inside(); reason != "" {
		return at, reason
	}
	return first("/participantId", need(c.ParticipantID))
}

func (c *Catalog) inside() (string, string) {
	for i := range c.Dataset {
		c.Dataset[i].Context = nil
		if at, reason := c.Dataset[i].check(); reason != "" {
			return "/dataset/" + strconv.Itoa(i) + at, reason
		}
	}
	for i := range c.Service {
		c.Service[i].Type = "DataService"
	}
	if i, at, reason := distributions(c.Distribution); reason != "" {
		return "/distribution/" + strconv.Itoa(i) + at, reason
	}
	for i := range c.Catalog {
		c.Catalog[i].Context, c.Catalog[i].Type = nil, "Catalog"
		if at, reason := c.Catalog[i].inside(); reason != "" {
			return "/catalog/" + strconv.Itoa(i) + at, reason
		}
	}
	return first("/@id", need(c.ID))
}

func (c *Catalog) parts() []*Head {
	heads := make([]*Head, 0, len(c.Dataset)+len(c.Catalog))
	for i := range c.Dataset {
		heads = append(heads, &c.Dataset[i].Head)
	}
	for i := range c.Catalog {
		heads = append(append(heads, &c.Catalog[i].Head), c.Catalog[i].parts()...)
	}
	return heads
}

func (c *Catalog) whole() (string, string) {
	for i := range c.Dataset {
		if at, reason := c.Dataset[i].whole(); reason != "" {
			return "/dataset/" + strconv.Itoa(i) + at, reason
		}
	}
	for i, s := range c.Service {
		if at, reason := first("/@id", need(s.ID), "/endpointURL", need(s.EndpointURL)); reason != "" {
			return "/service/" + strconv.Itoa(i) + at, reason
		}
	}
	for i := range c.Catalog {
		if at, reason := c.Catalog[i].whole(); reason != "" {
			return "/catalog/" + strconv.Itoa(i) + at, reason
		}
	}
	return "", ""
}

// Endpoint is the address of the service behind a distribution of this
// catalogue; "" when neither names one.
func (c *Catalog) Endpoint(d Distribution) string {
	if d.AccessService.Kind() == '{' {
		var s DataService
		if strictjson.DecodeOpen(d.AccessService, &s) != nil {
			return ""
		}
		if s.EndpointURL != "" {
			return s.EndpointURL
		}
		return c.endpoint(s.ID)
	}
	return c.endpoint(Text(d.AccessService))
}

func (c *Catalog) endpoint(id string) string {
	for _, s := range c.Service {
		if s.ID == id {
			return s.EndpointURL
		}
	}
	return ""
}

// Dataset is one dataset, in a catalogue or by itself.
type Dataset struct {
	Head
	ID           string           `json:"@id"`
	Title        strictjson.Raw   `json:"dct:title,omitzero"`
	Description  strictjson.Raw   `json:"dct:description,omitzero"`
	HasPolicy    []strictjson.Raw `json:"hasPolicy"`
	Distribution []Distribution   `json:"distribution"`
}

func (*Dataset) typeName() string { return "Dataset" }
func (d *Dataset) check() (string, string) {
	d.Type = "Dataset"
	for i, p := range d.HasPolicy {
		if reason := object(p); reason != "" {
			return "/hasPolicy/" + strconv.Itoa(i), reason
		}
	}
	if i, at, reason := distributions(d.Distribution); reason != "" {
		return "/distribution/" + strconv.Itoa(i) + at, reason
	}
	return first("/@id", need(d.ID))
}

func distributions(all []Distribution) (i int, at, reason string) {
	for i := range all {
		all[i].Type = "Distribution"
		if f := all[i].Format; f == "http://www.w3.org/ns/dcat#Catalog" || f == "dcat:Catalog" {
			all[i].Format = FormatCatalog
		}
		if reason := need(all[i].Format); reason != "" {
			return i, "/format", reason
		}
		if k := all[i].AccessService.Kind(); k != '"' && k != '{' {
			return i, "/accessService", "the id of a service or a service is required"
		}
	}
	return 0, "", ""
}

// whole: EDC shows datasets that nothing can be got of at the moment, and the
// standard wants at least one of each.
func (d *Dataset) whole() (string, string) {
	switch {
	case len(d.HasPolicy) == 0:
		return "/hasPolicy", "at least one offer is required"
	case len(d.Distribution) == 0:
		return "/distribution", "at least one distribution is required"
	}
	return "", ""
}

// Distribution is one way to get a dataset. AccessService is the id of a
// service of the catalogue, or a service itself.
type Distribution struct {
	Type          string         `json:"@type"`
	Format        string         `json:"format"`
	AccessService strictjson.Raw `json:"accessService"`
}

// DataService is where negotiations and transfers are run.
type DataService struct {
	ID          string `json:"@id"`
	Type        string `json:"@type"`
	EndpointURL string `json:"endpointURL"`
}

// CatalogError is the answer to a catalogue message that is refused.
type CatalogError struct {
	Head
	Code   string  `json:"code,omitzero"`
	Reason Reasons `json:"reason,omitempty"`
}

func (*CatalogError) typeName() string        { return "CatalogError" }
func (*CatalogError) check() (string, string) { return "", "" }

// VersionDocument is the answer at /.well-known/dspace-version.
type VersionDocument struct {
	ProtocolVersions []ProtocolVersion `json:"protocolVersions"`
}

// ProtocolVersion is one entry of it.
type ProtocolVersion struct {
	Version        string `json:"version"`
	Path           string `json:"path"`
	Binding        string `json:"binding"`
	ServiceID      string `json:"serviceId,omitzero"`
	IdentifierType string `json:"identifierType,omitzero"`
	Auth           *Auth  `json:"auth,omitzero"`
}

// Auth says how callers show who they are. Protocol and Version are required;
// the standard leaves their values open.
type Auth struct {
	Protocol string   `json:"protocol"`
	Version  string   `json:"version"`
	Profile  []string `json:"profile,omitempty"`
}

// SelfIssued is the Protocol of this program: each message carries a token that
// the sender's DID signed for this receiver and body.
const SelfIssued = "self-issued token"

// Text reads a literal: "x" or {"@value":"x"}; "" when it is neither.
func Text(raw strictjson.Raw) string {
	var s string
	if raw.Kind() == '"' && strictjson.DecodeOpen(raw, &s) == nil {
		return s
	}
	var v struct {
		Value string `json:"@value"`
	}
	if raw.Kind() == '{' && strictjson.DecodeOpen(raw, &v) == nil {
		return v.Value
	}
	return ""
}
