package policy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"kakehashi/agreement"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/participant"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// rule is one permission of use under constraints, each operand, operator, value.
func rule(constraints ...[3]string) string {
	var parts []string
	for _, c := range constraints {
		parts = append(parts, `{"leftOperand":"`+c[0]+`","operator":"`+c[1]+`","rightOperand":"`+c[2]+`"}`)
	}
	return `{"permission":[{"action":"use","constraint":[` + strings.Join(parts, ",") + `]}]}`
}

type agreements map[string]agreement.Agreement

func (a agreements) Get(_ context.Context, _ participant.ID, id string) (agreement.Agreement, error) {
	if v, ok := a[id]; ok {
		return v, nil
	}
	return agreement.Agreement{}, fault.NotFound.At(id)
}

func engine(a agreements) *Engine {
	return New(Config{Agreements: a, Now: func() time.Time { return now }})
}

func TestGatesBeforeAnAgreement(t *testing.T) {
	t.Parallel()
	const with = `{"permission":[{"action":"use"}],`
	for _, c := range []struct {
		name, terms    string
		publish, agree error // nil: passes
		at             string
	}{
		{"use", `{"permission":[{"action":"use"}]}`, nil, nil, ""},
		{"for a purpose until a day", rule([3]string{"purpose", "eq", "x"}, [3]string{"dateTime", "lt", "2026-06-30T00:00:00Z"}), nil, nil, ""},
		{"to a recipient", rule([3]string{"recipient", "isPartOf", "x"}), nil, nil, ""},
		{"from later on", rule([3]string{"dateTime", "gteq", "2026-06-30T00:00:00Z"}), nil, fault.TermsDeny, ""},
		{"run out", rule([3]string{"dateTime", "lt", "2026-05-31T00:00:00Z"}), fault.OfferPermitsNothing, fault.TermsDeny, "/permission/0/constraint/0"},
		{"use is prohibited", with + `"prohibition":[{"action":"use"}]}`, fault.OfferPermitsNothing, fault.TermsDeny, "/prohibition/0"},
		{"distributing is prohibited", with + `"prohibition":[{"action":"distribute"}]}`, nil, nil, ""},
		{"what is prohibited is not known", with + `"prohibition":[{"action":"x:train"}]}`, fault.OfferNotUnderstood, fault.TermsDeny, "/prohibition/0"},
		{"prohibited for a purpose", with + `"prohibition":[{"action":"use","constraint":[{"leftOperand":"purpose","operator":"eq","rightOperand":"war"}]}]}`,
			fault.OfferNotUnderstood, fault.TermsDeny, "/prohibition/0/constraint/0"},
		{"unknown operand", rule([3]string{"spatial", "eq", "EU"}), fault.OfferNotUnderstood, fault.TermsDeny, "/permission/0/constraint/0"},
		{"unknown operand in a second permission", `{"permission":[{"action":"use"},{"action":"use","constraint":[{"leftOperand":"spatial","operator":"eq","rightOperand":"EU"}]}]}`,
			fault.OfferNotUnderstood, nil, "/permission/1/constraint/0"},
		{"time without a zone", rule([3]string{"dateTime", "lt", "2026-06-30T00:00:00"}), fault.OfferNotUnderstood, fault.TermsDeny, "/permission/0/constraint/0"},
		{"a duty after use", `{"permission":[{"action":"use","duty":[{"action":"attribute"},{"action":"inform"}]}]}`, nil, nil, ""},
		{"a duty by a time", `{"permission":[{"action":"use","duty":[{"action":"delete","constraint":[{"leftOperand":"dateTime","operator":"lt","rightOperand":"2026-06-30T00:00:00Z"}]}]}]}`,
			fault.OfferNotUnderstood, fault.TermsDeny, "/permission/0/duty/0"},
		{"a duty before use", `{"permission":[{"action":"use","duty":[{"action":"compensate"}]}]}`, fault.OfferNotUnderstood, fault.TermsDeny, "/permission/0/duty/0"},
		{"an obligation", with + `"obligation":[{"action":"delete"}]}`, fault.OfferNotUnderstood, fault.TermsDeny, "/obligation/0"},
		{"the protocol's profile", with + `"profile":"https://w3id.org/dspace/2025/1/odrl-profile.jsonld"}`, nil, nil, ""},
		{"another profile beside it", with + `"profile":["https://w3id.org/dspace/2025/1/odrl-profile","https://x/p"]}`, fault.OfferNotUnderstood, fault.TermsDeny, "/profile"},
		{"a profile", with + `"profile":"https://x/p"}`, fault.OfferNotUnderstood, fault.TermsDeny, "/profile"},
		{"nothing but another action", `{"permission":[{"action":"play"}]}`, fault.OfferNotUnderstood, fault.TermsDeny, "/permission"},
		{"an unknown member", with + `"x":1}`, fault.OfferNotUnderstood, fault.TermsNotUnderstood, "/x"},
		{"no rules", `{}`, fault.OfferNotUnderstood, fault.TermsNotUnderstood, ""},
		{"no JSON", `{`, fault.OfferNotUnderstood, fault.TermsNotUnderstood, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := engine(nil)
			err := e.Publishable([]byte(c.terms))
			if !errors.Is(err, c.publish) {
				t.Errorf("publish: %v, want %v", err, c.publish)
			}
			if err != nil && (fault.Of(err).Place != c.at || fault.Of(err).Args["reason"] == "") {
				t.Errorf("publish: at %q because %q, want %q", fault.Of(err).Place, fault.Of(err).Args["reason"], c.at)
			}
			_, err = e.Agree(context.Background(), "tokyo", "did:web:osaka.example", []byte(c.terms), now)
			if !errors.Is(err, c.agree) {
				t.Errorf("agree: %v, want %v", err, c.agree)
			}
			if err != nil && fault.Of(err).Args["reason"] == "" {
				t.Error("agree: refused without a reason")
			}
			shown := Shown(e, "did:web:osaka.example", []string{c.terms}, func(s string) strictjson.Raw { return strictjson.Raw(s) })
			if (len(shown) == 1) != (c.agree == nil) {
				t.Errorf("shown %v though agreeing gives %v", shown, c.agree)
			}
		})
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	ends := time.Date(2026, 6, 30, 0, 0, 0, 0, time.UTC)
	window := rule([3]string{"purpose", "eq", "x"}, [3]string{"dateTime", "lt", "2026-06-30T00:00:00Z"})
	e := engine(agreements{
		"open":    {Policy: strictjson.Raw(`{"permission":[{"action":"use"}]}`)},
		"window":  {Policy: strictjson.Raw(window)},
		"last":    {Policy: strictjson.Raw(rule([3]string{"dateTime", "lteq", "2026-06-30T00:00:00Z"}))},
		"later":   {Policy: strictjson.Raw(rule([3]string{"dateTime", "gteq", "2026-06-30T00:00:00Z"}))},
		"ended":   {Policy: strictjson.Raw(window), Ended: now.Add(-time.Hour), Why: "by hand"},
		"unknown": {Policy: strictjson.Raw(rule([3]string{"spatial", "eq", "EU"}))},
		"broken":  {Policy: strictjson.Raw(`{"permission":1}`)},
		"empty":   {},
	})
	for _, c := range []struct {
		name, id string
		at       time.Time
		until    time.Time
		err      error
	}{
		{"no limit", "open", now, time.Time{}, nil},
		{"within the window", "window", now, ends, nil},
		{"just before its end", "window", ends.Add(-1), ends, nil},
		{"at its end", "window", ends, time.Time{}, fault.TermsDeny},
		{"long after", "window", ends.AddDate(1, 0, 0), time.Time{}, fault.TermsDeny},
		{"the last instant is included and asked again", "last", ends, ends.Add(1), nil},
		{"after the last instant", "last", ends.Add(1), time.Time{}, fault.TermsDeny},
		{"not yet", "later", now, time.Time{}, fault.TermsDeny},
		{"begun", "later", ends, time.Time{}, nil},
		{"ended by a person", "ended", now, time.Time{}, fault.AgreementEnded},
		{"not understood", "unknown", now, time.Time{}, fault.TermsDeny},
		{"not readable", "broken", now, time.Time{}, fault.TermsNotUnderstood},
		{"without terms", "empty", now, time.Time{}, fault.TermsNotUnderstood},
		{"of nobody", "none", now, time.Time{}, fault.NotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			until, err := e.Access(context.Background(), "tokyo", c.id, c.at)
			if !errors.Is(err, c.err) || !until.Equal(c.until) {
				t.Errorf("until %v, %v; want %v, %v", until, err, c.until, c.err)
			}
		})
	}
	if _, err := e.Access(context.Background(), "tokyo", "ended", now); !strings.Contains(fault.Of(err).What("ja"), "by hand") {
		t.Errorf("%v does not say why", err)
	}
}
