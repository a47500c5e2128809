package odrl

import (
	"time"

	"kakehashi/internal/strictjson"
)

// Namespace is that of our own operands, over what a counterpart proved of itself.
const Namespace = "https://w3id.org/kakehashi/ns#"

// Our own operands.
const (
	CredentialType = Namespace + "credentialType" // the types of credentials that it showed
	ParticipantDID = Namespace + "participantDid"
	Jurisdiction   = Namespace + "jurisdiction" // the regions for which their issuers are trusted
	Claim          = Namespace + "claim/"       // then TYPE/POINTER: what one says about it
)

// Terms are the simple terms that people fill in: use is permitted, for a
// purpose, until an instant, to who shows a credential, each if given.
type Terms struct {
	Purpose    string
	Until      time.Time // exclusive
	Credential string    // type
}

// Policy writes the terms as the rules of an offer.
func (t Terms) Policy() ([]byte, error) {
	type constraint struct {
		Left     string `json:"leftOperand"`
		Operator string `json:"operator"`
		Right    any    `json:"rightOperand"`
	}
	type rule struct {
		Action      string       `json:"action"`
		Constraints []constraint `json:"constraint,omitempty"`
	}
	r := rule{Action: "use"}
	if t.Purpose != "" {
		r.Constraints = append(r.Constraints, constraint{"purpose", "eq", t.Purpose})
	}
	if t.Credential != "" {
		r.Constraints = append(r.Constraints, constraint{CredentialType, "eq", t.Credential})
	}
	if !t.Until.IsZero() {
		r.Constraints = append(r.Constraints, constraint{"dateTime", "lt",
			map[string]string{"@value": t.Until.UTC().Format(time.RFC3339Nano), "@type": "xsd:dateTime"}})
	}
	return strictjson.Encode(map[string][]rule{"permission": {r}})
}
