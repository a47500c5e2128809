package odrl

import (
	"time"

	"kakehashi/internal/strictjson"
)

// Terms are the simple terms that people fill in: use is permitted, for a
// purpose and until an instant, each if given.
type Terms struct {
	Purpose string
	Until   time.Time // exclusive
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
	if !t.Until.IsZero() {
		r.Constraints = append(r.Constraints, constraint{"dateTime", "lt",
			map[string]string{"@value": t.Until.UTC().Format(time.RFC3339Nano), "@type": "xsd:dateTime"}})
	}
	return strictjson.Encode(map[string][]rule{"permission": {r}})
}
