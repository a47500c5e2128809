package dsp2025

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"

	"kakehashi/internal/strictjson"
)

// Policy writes an Offer or an Agreement (typ) around rules: head is its own
// members (@id, target, assigner ...) in order, the members of rules follow byte
// for byte (DSP 2025-1 section 4). Names of head need no escape.
func Policy(typ string, rules strictjson.Raw, head ...[2]string) (strictjson.Raw, error) {
	b := []byte(`{"@type":"` + typ + `"`)
	for _, m := range head {
		b = append(b, `,"`+m[0]+`":`...)
		var err error
		if b, err = jsontext.AppendQuote(b, m[1]); err != nil {
			return nil, err
		}
	}
	rules = bytes.TrimSpace(rules)
	if len(rules) > 2 {
		return append(append(b, ','), rules[1:]...), nil
	}
	return append(b, '}'), nil
}
