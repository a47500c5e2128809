package vc

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"kakehashi/internal/strictjson"
	"kakehashi/jws"
)

const statusContext = "https://w3id.org/vc/status-list/2021/v1"

// StatusList is the state of many credentials, read from its credential.
type StatusList struct {
	URL      string
	Issuer   string
	Purposes []string
	Bits     Bitstring
	Until    time.Time // its own end; zero: none
	ReadAt   time.Time
	Digest   string // of what was read
	Signed   bool
	KID      string

	message jws.Message
}

// Verify checks the signature of a list that has one.
func (l StatusList) Verify(pub crypto.PublicKey) bool { return l.Signed && l.message.Verify(pub) }

// ListDraft is a status list that is to be published.
type ListDraft struct {
	URL        string
	EntryType  string // BitstringEntry or StatusList2021
	Issuer     string
	Purpose    string
	Bits       Bitstring
	ValidFrom  time.Time
	ValidUntil time.Time
}

// IssueStatusList makes the credential of a list: as VC 2.0 for a Bitstring
// Status List, as VC 1.1 for StatusList2021.
func IssueStatusList(random io.Reader, k jws.Key, d ListDraft) (string, error) {
	encoded, err := d.Bits.encode(d.EntryType)
	if err != nil {
		return "", err
	}
	draft := Draft{Model: VC20, ID: d.URL, Types: []string{"BitstringStatusListCredential"}, Issuer: d.Issuer, Subject: d.URL + "#list",
		Claims:    map[string]any{"type": "BitstringStatusList", "statusPurpose": d.Purpose, "encodedList": encoded},
		ValidFrom: d.ValidFrom, ValidUntil: d.ValidUntil}
	if d.EntryType == StatusList2021 {
		draft.Model, draft.Types, draft.Contexts = VC11, []string{"StatusList2021Credential"}, []string{statusContext}
		draft.Claims["type"] = "StatusList2021"
	}
	return issue(random, k, draft, maxListBytes/2)
}

// ParseStatusList reads the credential of a list: a JWS, or a JSON object that
// nobody signed. Whether an unsigned one counts is for the caller. Plain text
// errors: "it ...", of the list.
func ParseStatusList(b []byte) (StatusList, error) {
	if len(b) > maxListBytes {
		return StatusList{}, fmt.Errorf("it is larger than %d bytes", maxListBytes)
	}
	l := StatusList{Digest: digestOf(string(b))}
	var d document
	var r registered
	if strictjson.Raw(b).Kind() == '{' {
		if err := strictjson.DecodeOpen(b, &d); err != nil {
			return StatusList{}, fmt.Errorf("it is not valid: %w", err)
		}
	} else {
		m, err := jws.Parse(string(b), maxListBytes)
		if err != nil {
			return StatusList{}, err
		}
		if err := strictjson.DecodeOpen(m.Payload, &r); err != nil {
			return StatusList{}, fmt.Errorf("its claims are not valid: %w", err)
		}
		body := strictjson.Raw(m.Payload)
		if present(r.Inner) {
			body = r.Inner
		}
		if err := strictjson.DecodeOpen(body, &d); err != nil {
			return StatusList{}, fmt.Errorf("it is not valid: %w", err)
		}
		l.Signed, l.KID, l.message = true, m.Header.KID, m
	}
	types, err := texts(d.Type)
	if err != nil || !slices.Contains(types, "BitstringStatusListCredential") && !slices.Contains(types, "StatusList2021Credential") {
		return StatusList{}, errors.New("it is not the credential of a status list")
	}
	named, err := nameOf(d.Issuer)
	if err != nil {
		return StatusList{}, fmt.Errorf("its issuer is not valid: %w", err)
	}
	if l.Issuer = r.Issuer; l.Issuer == "" {
		l.Issuer = named
	}
	if l.Issuer == "" || named != "" && named != l.Issuer {
		return StatusList{}, errors.New("its issuer is missing or not that of the JWT")
	}
	times := Credential{}
	if err := times.readTimes(d, r, ""); err != nil {
		return StatusList{}, err
	}
	l.Until = times.ValidUntil
	var subject struct {
		Purpose strictjson.Raw `json:"statusPurpose"`
		Encoded string         `json:"encodedList"`
	}
	if !present(d.Subject) {
		return StatusList{}, errors.New("it has no subject")
	}
	if err := strictjson.DecodeOpen(d.Subject, &subject); err != nil {
		return StatusList{}, fmt.Errorf("its subject is not valid: %w", err)
	}
	if l.Purposes, err = texts(subject.Purpose); err != nil || len(l.Purposes) == 0 {
		return StatusList{}, errors.New("it has no statusPurpose")
	}
	if l.Bits, err = decodeBits(subject.Encoded); err != nil {
		return StatusList{}, fmt.Errorf("its encodedList cannot be read: %w", err)
	}
	return l, nil
}

// maxListBytes is how large the credential of a list may be, as it travels.
const maxListBytes = 2 << 20
