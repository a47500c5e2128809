package dsp2025

import "strings"

// TransferRequest is the TransferRequestMessage. DataAddress is for push only.
type TransferRequest struct {
	Head
	ID              string       `json:"@id,omitzero"`
	ConsumerPid     string       `json:"consumerPid"`
	AgreementID     string       `json:"agreementId"`
	Format          string       `json:"format"`
	DataAddress     *DataAddress `json:"dataAddress,omitzero"`
	CallbackAddress string       `json:"callbackAddress"`
}

func (*TransferRequest) typeName() string { return "TransferRequestMessage" }
func (m *TransferRequest) check() (string, string) {
	at, reason := m.DataAddress.check()
	return first("/@id", optional(m.ID), "/consumerPid", need(m.ConsumerPid), "/agreementId", need(m.AgreementID), "/format", need(m.Format),
		"/callbackAddress", need(m.CallbackAddress), "/dataAddress"+at, reason)
}

// TransferStart is the TransferStartMessage; with DataAddress for pull.
type TransferStart struct {
	Head
	ID          string       `json:"@id,omitzero"`
	ProviderPid string       `json:"providerPid"`
	ConsumerPid string       `json:"consumerPid"`
	DataAddress *DataAddress `json:"dataAddress,omitzero"`
}

func (*TransferStart) typeName() string { return "TransferStartMessage" }
func (m *TransferStart) check() (string, string) {
	at, reason := m.DataAddress.check()
	return first("/@id", optional(m.ID), "/providerPid", need(m.ProviderPid), "/consumerPid", need(m.ConsumerPid), "/dataAddress"+at, reason)
}

// TransferSuspension is the TransferSuspensionMessage.
type TransferSuspension struct {
	Head
	ID          string `json:"@id,omitzero"`
	ProviderPid string `json:"providerPid"`
	ConsumerPid string `json:"consumerPid"`
	Code        string `json:"code,omitzero"`
	Reason      []any  `json:"reason,omitempty"`
}

func (*TransferSuspension) typeName() string { return "TransferSuspensionMessage" }
func (m *TransferSuspension) check() (string, string) {
	return first("/@id", optional(m.ID), "/providerPid", need(m.ProviderPid), "/consumerPid", need(m.ConsumerPid), "/code", optional(m.Code))
}

// TransferCompletion is the TransferCompletionMessage. Number (decimal) and
// digest of the bytes that the sender saw are this program's own addition.
type TransferCompletion struct {
	Head
	ID            string `json:"@id,omitzero"`
	ProviderPid   string `json:"providerPid"`
	ConsumerPid   string `json:"consumerPid"`
	PayloadBytes  string `json:"https://kakehashi.dev/ns/bytes,omitzero"`
	PayloadDigest string `json:"https://kakehashi.dev/ns/digest,omitzero"`
}

func (*TransferCompletion) typeName() string { return "TransferCompletionMessage" }
func (m *TransferCompletion) check() (string, string) {
	return first("/@id", optional(m.ID), "/providerPid", need(m.ProviderPid), "/consumerPid", need(m.ConsumerPid))
}

// TransferTermination is the TransferTerminationMessage.
type TransferTermination struct {
	Head
	ID          string `json:"@id,omitzero"`
	ProviderPid string `json:"providerPid"`
	ConsumerPid string `json:"consumerPid"`
	Code        string `json:"code,omitzero"`
	Reason      []any  `json:"reason,omitempty"`
}

func (*TransferTermination) typeName() string { return "TransferTerminationMessage" }
func (m *TransferTermination) check() (string, string) {
	return first("/@id", optional(m.ID), "/providerPid", need(m.ProviderPid), "/consumerPid", need(m.ConsumerPid), "/code", optional(m.Code))
}

// TransferProcess is the answer that tells the state.
type TransferProcess struct {
	Head
	ProviderPid string `json:"providerPid"`
	ConsumerPid string `json:"consumerPid"`
	State       string `json:"state"`
}

func (*TransferProcess) typeName() string { return "TransferProcess" }
func (m *TransferProcess) check() (string, string) {
	m.State = State(m.State)
	return first("/providerPid", need(m.ProviderPid), "/consumerPid", need(m.ConsumerPid), "/state", need(m.State))
}

func (m *TransferProcess) whole() (string, string) {
	return "/state", oneOf(m.State, "REQUESTED", "STARTED", "SUSPENDED", "COMPLETED", "TERMINATED")
}

// TransferError is the answer to a transfer message that is refused.
type TransferError struct {
	Head
	ProviderPid string  `json:"providerPid"`
	ConsumerPid string  `json:"consumerPid"`
	Code        string  `json:"code,omitzero"`
	Reason      Reasons `json:"reason,omitempty"`
}

func (*TransferError) typeName() string { return "TransferError" }
func (m *TransferError) check() (string, string) {
	return first("/providerPid", need(m.ProviderPid), "/consumerPid", need(m.ConsumerPid))
}

// DataAddress is where data is (pull) or goes (push).
type DataAddress struct {
	Type               string             `json:"@type"`
	EndpointType       string             `json:"endpointType"`
	Endpoint           string             `json:"endpoint,omitzero"`
	EndpointProperties []EndpointProperty `json:"endpointProperties,omitempty"`
}

// EndpointProperty is one named value of a DataAddress.
type EndpointProperty struct {
	Type  string `json:"@type"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

// check also gives the types that a reader of JSON-LD needs.
func (a *DataAddress) check() (string, string) {
	if a == nil {
		return "", ""
	}
	a.Type = "DataAddress"
	for i := range a.EndpointProperties {
		a.EndpointProperties[i].Type = "EndpointProperty"
	}
	return first("/endpointType", need(a.EndpointType), "/endpoint", optional(a.Endpoint))
}

// Names of EDC, which reads and writes properties under its own namespace.
const (
	edc = "https://w3id.org/edc/v0.0.1/ns/"
	// EndpointHTTP is the endpointType of plain HTTP.
	EndpointHTTP = "https://w3id.org/idsa/v4.1/HTTP"
	endpointEDC  = "HttpData"
)

// PullAddress is the address of a start message: what EDC and what others look
// for, both (EDC ignores endpoint alone).
func PullAddress(endpoint, token string) *DataAddress {
	p := []EndpointProperty{{Name: edc + "endpoint", Value: endpoint}}
	for _, ns := range []string{"", edc} {
		p = append(p, EndpointProperty{Name: ns + "authorization", Value: token}, EndpointProperty{Name: ns + "authType", Value: "bearer"})
	}
	return &DataAddress{EndpointType: EndpointHTTP, Endpoint: endpoint, EndpointProperties: p}
}

// PushAddress is the address of a request by push: where one body goes with POST.
// EDC reads baseUrl, authKey and authCode only (its HttpData sink), others
// endpoint, authorization and authType.
func PushAddress(endpoint, token string) *DataAddress {
	p := []EndpointProperty{{Name: edc + "endpoint", Value: endpoint}, {Name: edc + "type", Value: endpointEDC}}
	for _, ns := range []string{"", edc} {
		p = append(p, EndpointProperty{Name: ns + "baseUrl", Value: endpoint}, EndpointProperty{Name: ns + "method", Value: "POST"},
			EndpointProperty{Name: ns + "authKey", Value: "Authorization"}, EndpointProperty{Name: ns + "authCode", Value: "Bearer " + token},
			EndpointProperty{Name: ns + "authorization", Value: token}, EndpointProperty{Name: ns + "authType", Value: "bearer"})
	}
	return &DataAddress{EndpointType: endpointEDC, Endpoint: endpoint, EndpointProperties: p}
}

// URL is the address itself: the member, else EDC's property, else the bare one,
// else EDC's baseUrl.
func (a DataAddress) URL() string {
	for _, u := range []string{a.Endpoint, a.Property("endpoint"), a.Property("baseUrl")} {
		if u != "" {
			return u
		}
	}
	return ""
}

// Authorization is the header that opens the address, name and value: EDC's
// authKey and authCode, else the authorization of the specification. "" for none.
func (a DataAddress) Authorization() (name, value string) {
	if name, value = a.Property("authKey"), a.Property("authCode"); name != "" && value != "" {
		return name, value
	}
	value = a.Property("authorization")
	switch {
	case value == "":
		return "", ""
	case strings.EqualFold(a.Property("authType"), "bearer") && !strings.Contains(value, " "):
		value = "Bearer " + value
	}
	return "Authorization", value
}

// Property reads a property by its name, in EDC's namespace or bare.
func (a DataAddress) Property(name string) string {
	for _, full := range []string{edc + name, name} {
		for _, p := range a.EndpointProperties {
			if p.Name == full && p.Value != "" {
				return p.Value
			}
		}
	}
	return ""
}
