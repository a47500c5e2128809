package odrl

import (
	"strings"
	"testing"
	"time"

	"kakehashi/dsp/dsp2025/conform"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	const day = `"2026-12-31T15:00:00Z"`
	for _, c := range []struct{ terms, en, ja string }{
		{permission(`{"action":"use"}`), `permitted: use`, `許可：利用`},
		{permission(use(atom("purpose", "eq", `"road works"`), atom("dateTime", "lt", day))),
			`permitted: use for the purpose "road works", until 2026-12-31 15:00 UTC`, `許可：利用（利用目的は「road works」、2026-12-31 15:00 UTC まで）`},
		{permission(use(atom("dateTime", "lteq", `"2027-01-01T00:00:30+09:00"`))), `permitted: use until 2026-12-31 15:00:30 UTC`, `許可：利用（2026-12-31 15:00:30 UTC まで）`},
		{permission(use(atom("dateTime", "gteq", day))), `permitted: use from 2026-12-31 15:00 UTC`, `許可：利用（2026-12-31 15:00 UTC から）`},
		{permission(use(atom("dateTime", "lteq", `"2026-12-31"`))), `permitted: use until the end of 2026-12-31 (UTC)`, `許可：利用（2026-12-31（UTC）の終わりまで）`},
		{permission(use(atom("dateTime", "lt", `"soon"`))), `permitted: use if dateTime is less than "soon"`, `許可：利用（日時が「soon」未満）`},
		{permission(use(atom("purpose", "isAnyOf", `["research","防災"]`))), `permitted: use for the purpose "research" or "防災"`, `許可：利用（利用目的は「research」または「防災」）`},
		{permission(use(atom("purpose", "isNoneOf", `["ads"]`))), `permitted: use not for the purpose "ads"`, `許可：利用（「ads」以外の目的）`},
		{permission(use(atom("spatial", "isPartOf", `"JP"`))), `permitted: use if spatial is part of "JP"`, `許可：利用（利用場所が「JP」に含まれる）`},
		{permission(use(atom("count", "lteq", `5`))), `permitted: use if count is at most "5"`, `許可：利用（利用回数が「5」以下）`},
		{permission(use(atom("x:y", "isNoneOf", `["a","b"]`))), `permitted: use if x:y is not "a" or "b"`, `許可：利用（x:yが「a」または「b」のいずれでもない）`},
		{permission(use(`{"or":[` + atom("count", "lt", `5`) + `,` + atom("version", "eq", `"2"`) + `]}`)),
			`permitted: use if (count is less than "5" or version is "2")`, `許可：利用（［利用回数が「5」未満、またはバージョンが「2」］）`},
		{permission(use(atom("x", "isAllOf", `["a","b"]`))), `permitted: use if x is all of "a" and "b"`, `許可：利用（xが「a」「b」のすべて）`},
		{permission(use(`{"or":[` + atom("purpose", "eq", `"a"`) + `,` + atom("count", "lt", `5`) + `]}`)),
			`permitted: use (for the purpose "a" or count is less than "5")`, `許可：利用（［利用目的は「a」、または利用回数が「5」未満］）`},
		{permission(`{"action":"use","duty":[{"action":"attribute"}]}`), `permitted: use with the duty: attribute`, `許可：利用（義務「出所の表示」を伴う）`},
		{`{"prohibition":[{"action":"distribute"}]}`, `prohibited: distribute`, `禁止：配布`},
		{`{"prohibition":[{"action":"https://x/train"}],"obligation":[{"action":"delete"}]}`, `prohibited: https://x/train|obligation: delete`, `禁止：https://x/train|義務：削除`},
	} {
		t.Run(c.en, func(t *testing.T) {
			t.Parallel()
			p, err := Parse([]byte(c.terms))
			if err != nil {
				t.Fatal(err)
			}
			for lang, want := range map[string]string{"en": c.en, "ja": c.ja} {
				if got := strings.Join(Describe(p, lang), "|"); got != want {
					t.Errorf("%s: got  %s\nwant %s", lang, got, want)
				}
			}
		})
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ terms, en, ja string }{
		{permission(use(atom("dateTime", "lt", `"2026-05-31T15:00:00Z"`))),
			`it is 2026-06-01T12:00:00Z now (wanted: until 2026-05-31 15:00 UTC)`, `現在の日時は 2026-06-01T12:00:00Z です（条件：2026-05-31 15:00 UTC まで）`},
		{permission(use(atom("spatial", "eq", `"EU"`))), `the value of spatial is not known here (wanted: spatial is "EU")`, `利用場所の値がわかりません（条件：利用場所が「EU」）`},
		{permission(use(atom("colour", "eq", `"blue"`))), `colour is "red" (test; wanted: colour is "blue")`, `colourは「red」です（条件：colourが「blue」、根拠：test）`},
		{prohibition(`{"action":"use"}`), `"use" is prohibited`, `「利用」は禁止されています`},
		{permission(`{"action":"play"}`), `what is permitted is "play", not "use"`, `許可されているのは「再生」で、「利用」ではありません`},
		{prohibition(use(atom("spatial", "eq", `"EU"`))), `"use" is prohibited under a condition that cannot be judged here; the value of spatial is not known here (wanted: spatial is "EU")`,
			`「利用」が、このノードでは判断できない条件で禁止されています。利用場所の値がわかりません（条件：利用場所が「EU」）`},
	} {
		t.Run(c.en, func(t *testing.T) {
			t.Parallel()
			p, err := Parse([]byte(c.terms))
			if err != nil {
				t.Fatal(err)
			}
			d := Evaluate(p, facts())
			if en, ja := d.Explain("en"), d.Explain("ja"); en != c.en || ja != c.ja {
				t.Errorf("got  %s\nwant %s\ngot  %s\nwant %s", en, c.en, ja, c.ja)
			}
		})
	}
}

func TestTerms(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 12, 31, 15, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name  string
		terms Terms
		want  string
	}{
		{"nothing", Terms{}, `{"permission":[{"action":"use"}]}`},
		{"purpose", Terms{Purpose: "防災"}, `{"permission":[{"action":"use","constraint":[{"leftOperand":"purpose","operator":"eq","rightOperand":"防災"}]}]}`},
		{"until", Terms{Until: until.In(time.FixedZone("JST", 9*3600))},
			`{"permission":[{"action":"use","constraint":[{"leftOperand":"dateTime","operator":"lt","rightOperand":{"@type":"xsd:dateTime","@value":"2026-12-31T15:00:00Z"}}]}]}`},
		{"credential", Terms{Credential: "Membership"}, `{"permission":[{"action":"use","constraint":[{"leftOperand":"https://w3id.org/kakehashi/ns#credentialType","operator":"eq","rightOperand":"Membership"}]}]}`},
		{"a fraction of a second", Terms{Until: until.Add(time.Millisecond)},
			`{"permission":[{"action":"use","constraint":[{"leftOperand":"dateTime","operator":"lt","rightOperand":{"@type":"xsd:dateTime","@value":"2026-12-31T15:00:00.001Z"}}]}]}`},
		{"both", Terms{Purpose: "x", Until: until},
			`{"permission":[{"action":"use","constraint":[{"leftOperand":"purpose","operator":"eq","rightOperand":"x"},{"leftOperand":"dateTime","operator":"lt","rightOperand":{"@type":"xsd:dateTime","@value":"2026-12-31T15:00:00Z"}}]}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, err := c.terms.Policy()
			if err != nil || string(b) != c.want {
				t.Fatalf("got  %s, %v\nwant %s", b, err, c.want)
			}
			offer := `{"@id":"o","@type":"Offer",` + string(b[1:])
			if err := conform.Check("negotiation/contract#/definitions/Offer", []byte(offer)); err != nil {
				t.Error(err)
			}
			p, err := Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			f := facts()
			f.Pending = func(operand string) bool { return operand == CredentialType }
			if d := Evaluate(p, f); !d.Permit || !d.Until.Equal(c.terms.Until) {
				t.Errorf("%+v", d)
			}
		})
	}
}
