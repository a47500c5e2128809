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

// Catalog is what a provider shows, at the root.
type Catalog struct {
	Head
	ID            string        `json:"@id"`
	ParticipantID string        `json:"participantId"`
	Service       []DataService `json:"service,omitempty"`
	Dataset       []Dataset     `json:"dataset,omitempty"`
}

func (*Catalog) typeName() string { return "Catalog" }
func (c *Catalog) check() (string, string) {
	for i := range c.Dataset {
		c.Dataset[i].Context = nil
		if at, reason := c.Dataset[i].check(); reason != "" {
			return "/dataset/" + strconv.Itoa(i) + at, reason
		}
	}
	for i := range c.Service {
		c.Service[i].Type = "DataService"
	}
	return first("/@id", need(c.ID), "/participantId", need(c.ParticipantID))
}

func (c *Catalog) parts() []*Head {
	heads := make([]*Head, 0, len(c.Dataset))
	for i := range c.Dataset {
		heads = append(heads, &c.Dataset[i].Head)
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
	return "", ""
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
	for i := range d.Distribution {
		d.Distribution[i].Type = "Distribution"
		if reason := need(d.Distribution[i].Format); reason != "" {
			return "/distribution/" + strconv.Itoa(i) + "/format", reason
		}
		if k := d.Distribution[i].AccessService.Kind(); k != '"' && k != '{' {
			return "/distribution/" + strconv.Itoa(i) + "/accessService", "the id of a service or a service is required"
		}
	}
	return first("/@id", need(d.ID))
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
