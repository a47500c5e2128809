package trust

import (
	"context"
	"slices"
	"strings"

	"kakehashi/did"
	"kakehashi/evidence"
	"kakehashi/internal/fault"
	"kakehashi/participant"
	"kakehashi/store"
)

// Rule is how a participant deals with a counterpart, "" being everybody that has
// no rule of its own.
type Rule struct {
	Counterparty string
	Lenient      bool     // its DID document need not say what its keys are for
	TwoParts     bool     // it is asked by scopes of two parts, as the standard has them
	Ask          []string // types that it must show with each message
}

// SetRule keeps a rule, in place of what was said of the counterpart; one that
// says nothing is no rule.
func (r *Room) SetRule(ctx context.Context, p participant.ID, rule Rule) error {
	if rule.Counterparty != "" {
		if err := did.Check(rule.Counterparty); err != nil {
			return err
		}
	}
	if len(rule.Ask) > 0 {
		if err := checkTypes(rule.Ask); err != nil {
			return err
		}
	}
	if rule.Lenient && rule.Counterparty == "" {
		return fault.BadMessage.At("lenient", "reason", "leniency is for one counterpart, not for all")
	}
	err := r.c.DB.Update(ctx, func(tx store.Tx) error {
		if err := tx.Exec(`DELETE FROM trust_rules WHERE participant = $1 AND counterparty = $2`, string(p), rule.Counterparty); err != nil {
			return err
		}
		if rule.Lenient || rule.TwoParts || len(rule.Ask) > 0 {
			if err := tx.Exec(`INSERT INTO trust_rules (participant, counterparty, lenient, two_parts, asked) VALUES ($1, $2, $3, $4, $5)`,
				string(p), rule.Counterparty, rule.Lenient, rule.TwoParts, strings.Join(rule.Ask, " ")); err != nil {
				return err
			}
		}
		facts := map[string]string{"ask": strings.Join(rule.Ask, " ")}
		if rule.Lenient {
			facts["lenient"] = "true"
		}
		return r.c.Evidence.Append(tx, p, evidence.Leaf{Type: "kh.trust.rule", Counterparty: rule.Counterparty, Facts: facts})
	})
	if err != nil {
		return err
	}
	return r.decided(ctx, p)
}

// Rules lists them.
func (r *Room) Rules(p participant.ID) []Rule { return slices.Clone(r.settings(p).rules) }

// rule is the one that counts for a counterpart.
func (r *Room) rule(p participant.ID, counterparty string) Rule {
	var all Rule
	for _, rule := range r.settings(p).rules {
		switch rule.Counterparty {
		case counterparty:
			return rule
		case "":
			all = rule
		}
	}
	return all
}

// Lenient tells whether a rule of some participant takes a DID leniently. It is
// what identity asks.
func (r *Room) Lenient(name string) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, s := range r.config {
		if slices.ContainsFunc(s.rules, func(rule Rule) bool { return rule.Lenient && rule.Counterparty == name }) {
			return true
		}
	}
	return false
}

func readRules(tx store.Tx, p participant.ID) ([]Rule, error) {
	rows, err := tx.Query(`SELECT counterparty, lenient, two_parts, asked FROM trust_rules WHERE participant = $1 ORDER BY counterparty`, string(p))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Rule
	for rows.Next() {
		var rule Rule
		var asked string
		if err := rows.Scan(&rule.Counterparty, &rule.Lenient, &rule.TwoParts, &asked); err != nil {
			return nil, err
		}
		rule.Ask = strings.Fields(asked)
		out = append(out, rule)
	}
	return out, rows.Err()
}
