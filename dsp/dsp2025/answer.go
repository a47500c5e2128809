package dsp2025

import (
	"kakehashi/dsp/dsp2025/expanded"
	"kakehashi/internal/strictjson"
)

// Answers of counterparts are read more leniently than messages: what they lack
// is no fault, since the message that they answer had its effect anyway.

// Answer reads a process object in an answer, in any form of JSON-LD; ok is
// false when it is none. Members may be missing.
func Answer[T any](b []byte) (v T, ok bool) {
	if v, err := Decode[T](b); err == nil {
		return v, true
	}
	if strictjson.DecodeOpen(b, &v) != nil {
		var none T
		return none, false
	}
	if m, ok := any(&v).(Message); ok {
		m.head().Further = nil
	}
	return v, true
}

// StateIn is the state that a process object in an answer names, "" if none.
func StateIn(b []byte) string {
	var p struct {
		State string `json:"state"`
	}
	if strictjson.DecodeOpen(b, &p) == nil && p.State != "" {
		return State(p.State)
	}
	out, err := expanded.Compact(b, ContextURL, "TransferProcess", "ContractNegotiation")
	if err != nil || strictjson.DecodeOpen(out, &p) != nil {
		return ""
	}
	return p.State
}

// Refusal is what an error body of any area says, empty if it is none.
func Refusal(b []byte) (code string, reasons Reasons) {
	var e struct {
		Code   string  `json:"code"`
		Reason Reasons `json:"reason"`
	}
	if strictjson.DecodeOpen(b, &e) == nil && (e.Code != "" || len(e.Reason) > 0) {
		return e.Code, e.Reason
	}
	out, err := expanded.Compact(b, ContextURL, "ContractNegotiationError", "TransferError", "CatalogError")
	if err != nil || strictjson.DecodeOpen(out, &e) != nil {
		return "", nil
	}
	return e.Code, e.Reason
}
