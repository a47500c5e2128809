package trust

import (
	"crypto/rand"
	"fmt"
	"time"

	"kakehashi/did"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/jws"
	"kakehashi/vc"
)

// List is a trust list: an authority says who may attest what, for which region
// and since when, and which types of other lists count as its own. It is signed
// as a whole and numbered; who has it and the authority's key needs nobody else
// to check it.
type List struct {
	Name         string        `json:"name"`
	Version      int64         `json:"version"` // grows with each edition
	Issued       time.Time     `json:"issued"`
	NextUpdate   time.Time     `json:"nextUpdate"` // until when this edition is up to date
	Issuers      []Entry       `json:"issuers,omitempty"`
	Recognitions []Recognition `json:"recognitions,omitempty"`

	byDID map[string][]int // issuers; nil: not indexed
}

// Entry says what an issuer may attest.
type Entry struct {
	DID    string    `json:"did"`
	Types  []string  `json:"types"`
	Region string    `json:"region"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"` // zero: for ever
}

// Recognition says that a type which another list's issuers attest counts as one
// of this list.
type Recognition struct {
	List  string    `json:"list"` // name of the other list
	Type  string    `json:"type"`
	As    string    `json:"as"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"`
}

const (
	listType = "kh-trust-list+jwt"
	// MaxList is how many bytes a signed list may have.
	MaxList    = 4 << 20
	maxEntries = 10_000
	maxTypes   = 50 // of one entry
	// maxValidity is how long after it was issued an edition may be up to date.
	maxValidity = 400 * 24 * time.Hour
)

// Check tells what is wrong with a list; the error is fault.TrustList.
func (l *List) Check() error {
	bad := func(place, reason string) error { return fault.TrustList.At(place, "reason", reason) }
	switch {
	case l.Name == "" || len(l.Name) > maxName:
		return bad("/name", "it is missing or longer than 200 bytes")
	case l.Version < 1 || l.Version > 1<<53:
		return bad("/version", "it is not 1 or more")
	case l.Issued.IsZero() || !l.NextUpdate.After(l.Issued):
		return bad("/nextUpdate", "it is not after issued")
	case l.NextUpdate.Sub(l.Issued) > maxValidity:
		return bad("/nextUpdate", "it is more than 400 days after issued")
	case len(l.Issuers)+len(l.Recognitions) > maxEntries:
		return bad("", "it has more than 10000 entries")
	}
	for i, e := range l.Issuers {
		at := fmt.Sprintf("/issuers/%d", i)
		if err := did.Check(e.DID); err != nil {
			return bad(at+"/did", "it is no usable DID")
		}
		if checkTypes(e.Types) != nil || len(e.Types) > maxTypes {
			return bad(at+"/types", "it is empty, has more than 50 types or a name that is no type")
		}
		if len(e.Region) > maxName {
			return bad(at+"/region", "it is longer than 200 bytes")
		}
		if e.Since.IsZero() || !e.Until.IsZero() && !e.Until.After(e.Since) {
			return bad(at, "since is missing, or until is not after it")
		}
	}
	for i, e := range l.Recognitions {
		at := fmt.Sprintf("/recognitions/%d", i)
		switch {
		case e.List == "" || len(e.List) > maxName || e.List == l.Name:
			return bad(at+"/list", "it does not name another list")
		case checkTypes([]string{e.Type, e.As}) != nil:
			return bad(at, "type or as is no type")
		case e.Since.IsZero() || !e.Until.IsZero() && !e.Until.After(e.Since):
			return bad(at, "since is missing, or until is not after it")
		}
	}
	return nil
}

// SignList signs a list with the key of an authority, whose name, a did:key, is
// what others pin.
func SignList(k jws.Key, l List) (string, error) {
	if err := l.Check(); err != nil {
		return "", err
	}
	payload, err := strictjson.Encode(l)
	if err != nil {
		return "", err
	}
	return jws.Sign(rand.Reader, k, listType, "", payload)
}

// OpenList reads a signed list and checks it by the key that signer names, a
// did:key or did:jwk. The error is fault.TrustList.
func OpenList(raw, signer string) (*List, error) {
	bad := func(reason string) (*List, error) { return nil, fault.TrustList.At("", "reason", reason) }
	doc, ok, err := did.Local(signer)
	if err != nil || !ok {
		return bad("the pinned key is no did:key or did:jwk")
	}
	m, err := jws.Parse(raw, MaxList)
	if err != nil {
		return bad(err.Error())
	}
	if m.Header.Typ != listType {
		return bad("its type is not " + listType)
	}
	kid, _ := doc.Sole()
	pub, err := doc.Key(kid)
	if err != nil || !m.Verify(pub) {
		return bad("it is not signed by the pinned key " + signer)
	}
	l := &List{}
	if err := strictjson.Decode(m.Payload, l); err != nil {
		return bad(err.Error())
	}
	if err := l.Check(); err != nil {
		return nil, err
	}
	l.byDID = make(map[string][]int, len(l.Issuers))
	for i, e := range l.Issuers {
		l.byDID[e.DID] = append(l.byDID[e.DID], i)
	}
	return l, nil
}

// find tells whether the list, which OpenList read, lets an issuer attest one of types.
func (l *List) find(issuer string, types []string, at time.Time) (b vc.Basis, ok bool) {
	for _, i := range l.byDID[issuer] {
		e := &l.Issuers[i]
		if !within(e.Since, e.Until, at) {
			continue
		}
		for _, have := range e.Types {
			for _, t := range types {
				if t == have {
					return vc.Basis{Kind: "list", List: l.Name, Version: l.Version, Entry: fmt.Sprintf("issuers/%d", i), Type: t, Region: e.Region}, true
				}
			}
		}
	}
	return vc.Basis{}, false
}

// recognises tells as what a type of another list counts here; want chooses one
// of several, "" takes the first.
func (l *List) recognises(list, typ, want string, at time.Time) (as, entry string, ok bool) {
	for i, e := range l.Recognitions {
		if e.List == list && e.Type == typ && (want == "" || e.As == want) && within(e.Since, e.Until, at) {
			return e.As, fmt.Sprintf("recognitions/%d", i), true
		}
	}
	return "", "", false
}
