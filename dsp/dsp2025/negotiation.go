package dsp2025

import "kakehashi/internal/strictjson"

// ContractRequest is the ContractRequestMessage: the first has a callback
// address, a counter-offer the provider's pid; never both.
type ContractRequest struct {
	Head
	ID              string         `json:"@id,omitzero"`
	ConsumerPid     string         `json:"consumerPid"`
	ProviderPid     string         `json:"providerPid,omitzero"`
	Offer           strictjson.Raw `json:"offer"`
	CallbackAddress string         `json:"callbackAddress,omitzero"`
}

func (*ContractRequest) typeName() string { return "ContractRequestMessage" }
func (m *ContractRequest) check() (string, string) {
	return first("/@id", optional(m.ID), "/consumerPid", need(m.ConsumerPid), "/providerPid", either(m.ProviderPid, m.CallbackAddress),
		"/providerPid", optional(m.ProviderPid), "/callbackAddress", optional(m.CallbackAddress),
		"/offer", object(m.Offer))
}

// either wants exactly one of a pid and a callback address.
func either(pid, callback string) string {
	if (pid == "") == (callback == "") {
		return "exactly one of the counterpart's pid and callbackAddress is required"
	}
	return ""
}

// ContractOffer is the ContractOfferMessage: the first has a callback address,
// a later one the consumer's pid.
type ContractOffer struct {
	Head
	ID              string         `json:"@id,omitzero"`
	ProviderPid     string         `json:"providerPid"`
	ConsumerPid     string         `json:"consumerPid,omitzero"`
	Offer           strictjson.Raw `json:"offer"`
	CallbackAddress string         `json:"callbackAddress,omitzero"`
}

func (*ContractOffer) typeName() string { return "ContractOfferMessage" }
func (m *ContractOffer) check() (string, string) {
	return first("/@id", optional(m.ID), "/providerPid", need(m.ProviderPid), "/consumerPid", either(m.ConsumerPid, m.CallbackAddress),
		"/consumerPid", optional(m.ConsumerPid), "/callbackAddress", optional(m.CallbackAddress),
		"/offer", object(m.Offer))
}

// ContractAgreement is the ContractAgreementMessage.
type ContractAgreement struct {
	Head
	ID          string         `json:"@id,omitzero"`
	ProviderPid string         `json:"providerPid"`
	ConsumerPid string         `json:"consumerPid"`
	Agreement   strictjson.Raw `json:"agreement"`
}

func (*ContractAgreement) typeName() string { return "ContractAgreementMessage" }
func (m *ContractAgreement) check() (string, string) {
	return first("/@id", optional(m.ID), "/providerPid", need(m.ProviderPid), "/consumerPid", need(m.ConsumerPid), "/agreement", object(m.Agreement))
}

// AgreementVerification is the ContractAgreementVerificationMessage. The digest
// of the agreement is this program's own addition.
type AgreementVerification struct {
	Head
	ID              string `json:"@id,omitzero"`
	ProviderPid     string `json:"providerPid"`
	ConsumerPid     string `json:"consumerPid"`
	AgreementDigest string `json:"https://kakehashi.dev/ns/agreementDigest,omitzero"`
}

func (*AgreementVerification) typeName() string { return "ContractAgreementVerificationMessage" }
func (m *AgreementVerification) check() (string, string) {
	return first("/@id", optional(m.ID), "/providerPid", need(m.ProviderPid), "/consumerPid", need(m.ConsumerPid))
}

// NegotiationEvent is the ContractNegotiationEventMessage: ACCEPTED from the
// consumer, FINALIZED from the provider.
type NegotiationEvent struct {
	Head
	ID          string `json:"@id,omitzero"`
	ProviderPid string `json:"providerPid"`
	ConsumerPid string `json:"consumerPid"`
	EventType   string `json:"eventType"`
}

func (*NegotiationEvent) typeName() string { return "ContractNegotiationEventMessage" }
func (m *NegotiationEvent) check() (string, string) {
	m.EventType = State(m.EventType)
	reason := ""
	if m.EventType != "ACCEPTED" && m.EventType != "FINALIZED" {
		reason = "an event is ACCEPTED or FINALIZED"
	}
	return first("/@id", optional(m.ID), "/providerPid", need(m.ProviderPid), "/consumerPid", need(m.ConsumerPid), "/eventType", reason)
}

// NegotiationTermination is the ContractNegotiationTerminationMessage.
type NegotiationTermination struct {
	Head
	ID          string `json:"@id,omitzero"`
	ProviderPid string `json:"providerPid"`
	ConsumerPid string `json:"consumerPid"`
	Code        string `json:"code,omitzero"`
	Reason      []any  `json:"reason,omitempty"`
}

func (*NegotiationTermination) typeName() string { return "ContractNegotiationTerminationMessage" }
func (m *NegotiationTermination) check() (string, string) {
	return first("/@id", optional(m.ID), "/providerPid", need(m.ProviderPid), "/consumerPid", need(m.ConsumerPid), "/code", optional(m.Code))
}

// ContractNegotiation is the answer that tells the state.
type ContractNegotiation struct {
	Head
	ProviderPid string `json:"providerPid"`
	ConsumerPid string `json:"consumerPid"`
	State       string `json:"state"`
}

func (*ContractNegotiation) typeName() string { return "ContractNegotiation" }
func (m *ContractNegotiation) check() (string, string) {
	m.State = State(m.State)
	return first("/providerPid", need(m.ProviderPid), "/consumerPid", need(m.ConsumerPid), "/state", need(m.State))
}

func (m *ContractNegotiation) whole() (string, string) {
	return "/state", oneOf(m.State, "REQUESTED", "OFFERED", "ACCEPTED", "AGREED", "VERIFIED", "FINALIZED", "TERMINATED")
}

// NegotiationError is the ContractNegotiationError.
type NegotiationError struct {
	Head
	ProviderPid string  `json:"providerPid"`
	ConsumerPid string  `json:"consumerPid"`
	Code        string  `json:"code,omitzero"`
	Reason      Reasons `json:"reason,omitempty"`
}

func (*NegotiationError) typeName() string { return "ContractNegotiationError" }
func (m *NegotiationError) check() (string, string) {
	return first("/providerPid", need(m.ProviderPid), "/consumerPid", need(m.ConsumerPid))
}
