package trust_test

import (
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"kakehashi/did"
	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
	"kakehashi/jws"
	"kakehashi/trust"
	"kakehashi/vc"
)

// publisher is an authority that signs lists.
type publisher struct {
	key  jws.Key
	name string // did:key
}

func newPublisher(t testing.TB) publisher {
	t.Helper()
	k := newKey(t, "did:web:publisher.example")
	name, err := did.KeyName(k.Signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	return publisher{k, name}
}

func (p publisher) sign(t testing.TB, l trust.List) string {
	t.Helper()
	raw, err := trust.SignList(p.key, l)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// edition is a list that says nothing yet.
func edition(name string, version int64) trust.List {
	return trust.List{Name: name, Version: version, Issued: start.Add(-time.Hour), NextUpdate: start.Add(24 * time.Hour)}
}

func attests(types ...string) []trust.Entry {
	return []trust.Entry{{DID: authority, Types: types, Region: "EU", Since: start.Add(-time.Hour)}}
}

func (w *world) anchor(p publisher, l trust.List) {
	w.Helper()
	w.ok(w.room.AddAnchor(w.Context(), tokyo, trust.Anchor{Name: l.Name, Signer: p.name, Grace: time.Hour}, p.sign(w, l)))
}

// shown has munich show what it was asked for anew.
func (w *world) shown(types ...string) ([]vc.Checked, error) {
	w.ok(w.comes())
	return w.room.Show(w.Context(), tokyo, munich, types)
}

func TestAListSaysWhoMayAttestWhat(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*trust.List)
		pass   time.Duration
		want   *fault.Kind // nil: it counts
	}{
		"an entry":                           {func(*trust.List) {}, 0, nil},
		"stale, within the grace":            {func(*trust.List) {}, 24*time.Hour + time.Minute, nil},
		"expired":                            {func(*trust.List) {}, 25 * time.Hour, fault.CredentialUntrusted},
		"an entry that has not yet begun":    {func(l *trust.List) { l.Issuers[0].Since = start.Add(time.Hour) }, 0, fault.CredentialUntrusted},
		"an entry that begins in time":       {func(l *trust.List) { l.Issuers[0].Since = start.Add(time.Hour) }, time.Hour, nil},
		"an entry that has ended":            {func(l *trust.List) { l.Issuers[0].Until = start }, 0, fault.CredentialUntrusted},
		"an entry for another issuer":        {func(l *trust.List) { l.Issuers[0].DID = paris }, 0, fault.CredentialUntrusted},
		"an entry for a name that begins so": {func(l *trust.List) { l.Issuers[0].DID = authority + ".jp" }, 0, fault.CredentialUntrusted},
		"an entry for another type":          {func(l *trust.List) { l.Issuers[0].Types = []string{"accreditation"} }, 0, fault.CredentialUntrusted},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			l := edition("eu", 3)
			l.Issuers = attests("Accreditation")
			test.change(&l)
			w.anchor(newPublisher(t), l)
			w.pass(test.pass)
			w.shows(w.accreditation())
			got, err := w.shown("Accreditation")
			if test.want == nil {
				if err != nil || len(got) != 1 || got[0].Basis != (vc.Basis{Kind: "list", List: "eu", Version: 3, Entry: "issuers/0", Type: "Accreditation", Region: "EU"}) {
					t.Fatalf("%+v, %v", got, err)
				}
				return
			}
			if !errors.Is(err, test.want) {
				t.Fatalf("%v, %v", got, err)
			}
		})
	}
}

func TestRecognition(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(japan, eu *trust.List)
		pass   time.Duration
		want   *fault.Kind
	}{
		"recognised":             {func(_, _ *trust.List) {}, 0, nil},
		"another type is mapped": {func(j, _ *trust.List) { j.Recognitions[0].Type = "Other" }, 0, fault.CredentialLacking},
		"mapped to another type": {func(j, _ *trust.List) { j.Recognitions[0].As = "Other" }, 0, fault.CredentialLacking},
		"of another list":        {func(j, _ *trust.List) { j.Recognitions[0].List = "us" }, 0, fault.CredentialLacking},
		"before its dates":       {func(j, _ *trust.List) { j.Recognitions[0].Since = start.Add(time.Hour) }, 0, fault.CredentialLacking},
		"after its dates":        {func(j, _ *trust.List) { j.Recognitions[0].Until = start.Add(-time.Minute) }, 0, fault.CredentialLacking},
		"said by the other side only": {func(j, e *trust.List) {
			j.Recognitions = nil
			e.Recognitions = []trust.Recognition{{List: "japan", Type: "Ninsho", As: "Accreditation", Since: start.Add(-time.Hour)}}
		}, 0, fault.CredentialLacking},
		"the other list expired":        {func(j, _ *trust.List) { j.NextUpdate = start.Add(72 * time.Hour) }, 26 * time.Hour, fault.CredentialUntrusted},
		"the list that says so expired": {func(_, e *trust.List) { e.NextUpdate = start.Add(72 * time.Hour) }, 26 * time.Hour, fault.CredentialLacking},
		"the other list's entry ended":  {func(_, e *trust.List) { e.Issuers[0].Until = start }, 0, fault.CredentialUntrusted},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			japan, eu := edition("japan", 1), edition("eu", 1)
			eu.Issuers = attests("Accreditation")
			japan.Recognitions = []trust.Recognition{{List: "eu", Type: "Accreditation", As: "Ninsho", Since: start.Add(-time.Hour)}}
			test.change(&japan, &eu)
			w.anchor(newPublisher(t), japan)
			w.anchor(newPublisher(t), eu)
			w.pass(test.pass)
			w.shows(w.accreditation())
			got, err := w.shown("Ninsho")
			if test.want != nil {
				if !errors.Is(err, test.want) {
					t.Fatalf("%v, %v", got, err)
				}
				return
			}
			if err != nil || len(got) != 1 || got[0].Basis.Kind != "recognition" || got[0].Basis.As != "Ninsho" || len(w.scopes) != 2 {
				t.Fatalf("%+v, %v, asked %v", got, err, w.scopes)
			}
			// What is held counts by the recognition of now, not by that of then.
			w.ok(w.room.RemoveAnchor(t.Context(), tokyo, "japan"))
			if _, err := w.room.Held(t.Context(), tokyo, munich, []string{"Ninsho"}); !errors.Is(err, fault.CredentialUntrusted) {
				t.Errorf("recognised by nobody: %v", err)
			}
			if _, err := w.room.Held(t.Context(), tokyo, munich, []string{"Accreditation"}); err != nil {
				t.Errorf("for itself: %v", err)
			}
		})
	}
}

func TestAnchorsThatAreRefused(t *testing.T) {
	t.Parallel()
	p, other := newPublisher(t), newPublisher(t)
	l := edition("eu", 3)
	l.Issuers = attests("Accreditation")
	good := p.sign(t, l)
	future := l
	future.Issued = start.Add(time.Hour)
	statement, err := jws.Sign(crand.Reader, p.key, "JWT", "", []byte(`{"name":"eu"}`))
	if err != nil {
		t.Fatal(err)
	}
	unknown, err := jws.Sign(crand.Reader, p.key, "kh-trust-list+jwt", "", []byte(`{"name":"eu","version":3,"colour":"red"}`))
	if err != nil {
		t.Fatal(err)
	}
	anchor := trust.Anchor{Name: "eu", Signer: p.name}
	tests := map[string]struct {
		anchor trust.Anchor
		raw    string
	}{
		"of an unknown key":        {trust.Anchor{Name: "eu", Signer: other.name}, good},
		"pinned by a domain":       {trust.Anchor{Name: "eu", Signer: authority}, good},
		"pinned by nothing":        {trust.Anchor{Name: "eu"}, good},
		"of another name":          {trust.Anchor{Name: "japan", Signer: p.name}, good},
		"without a name":           {trust.Anchor{Signer: p.name}, good},
		"with too long a grace":    {trust.Anchor{Name: "eu", Signer: p.name, Grace: 31 * 24 * time.Hour}, good},
		"changed":                  {anchor, strings.Replace(good, ".", ".e", 1)},
		"no list":                  {anchor, "list"},
		"another statement":        {anchor, statement},
		"of members unknown":       {anchor, unknown},
		"from the future":          {anchor, p.sign(t, future)},
		"too large":                {anchor, good + strings.Repeat("A", trust.MaxList)},
		"neither file nor address": {anchor, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if err := w.room.AddAnchor(t.Context(), tokyo, test.anchor, test.raw); !errors.Is(err, fault.TrustList) {
				t.Fatal(err)
			}
			if all := w.room.Anchors(tokyo); len(all) != 0 {
				t.Errorf("%+v", all)
			}
		})
	}
}

func TestListsThatAreNotSigned(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*trust.List){
		"without a name":        func(l *trust.List) { l.Name = "" },
		"without a version":     func(l *trust.List) { l.Version = 0 },
		"up to date for years":  func(l *trust.List) { l.NextUpdate = l.Issued.Add(500 * 24 * time.Hour) },
		"never up to date":      func(l *trust.List) { l.NextUpdate = l.Issued },
		"an issuer without DID": func(l *trust.List) { l.Issuers[0].DID = "authority" },
		"no types":              func(l *trust.List) { l.Issuers[0].Types = nil },
		"too many types":        func(l *trust.List) { l.Issuers[0].Types = strings.Fields(strings.Repeat("T ", 51)) },
		"no beginning":          func(l *trust.List) { l.Issuers[0].Since = time.Time{} },
		"ends before it begins": func(l *trust.List) { l.Issuers[0].Until = l.Issuers[0].Since },
		"recognises itself":     func(l *trust.List) { l.Recognitions[0].List = l.Name },
		"recognises nothing":    func(l *trust.List) { l.Recognitions[0].Type = "" },
		"too many entries": func(l *trust.List) {
			for len(l.Issuers) <= 10_000 {
				l.Issuers = append(l.Issuers, l.Issuers[0])
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := edition("eu", 1)
			l.Issuers = attests("Accreditation")
			l.Recognitions = []trust.Recognition{{List: "japan", Type: "Ninsho", As: "Accreditation", Since: start}}
			change(&l)
			if _, err := trust.SignList(newPublisher(t).key, l); !errors.Is(err, fault.TrustList) {
				t.Fatal(err)
			}
		})
	}
}

func TestEditionsGoForward(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := newPublisher(t)
	publish := func(l trust.List) error {
		w.place(listURL, http.StatusOK, p.sign(t, l)+"\n")
		return w.room.Refresh(t.Context(), tokyo, "japan")
	}
	five := edition("japan", 5)
	five.Issuers = attests("Accreditation")
	w.place(listURL, http.StatusOK, p.sign(t, five))
	w.ok(w.room.AddAnchor(t.Context(), tokyo, trust.Anchor{Name: "japan", URL: listURL, Signer: p.name}, ""))
	w.shows(w.accreditation())
	if _, err := w.shown("Accreditation"); err != nil {
		t.Fatal(err)
	}
	if err := publish(edition("japan", 4)); !errors.Is(err, fault.TrustList) {
		t.Fatalf("an older edition: %v", err)
	}
	if err := publish(edition("japan", 5)); !errors.Is(err, fault.TrustList) {
		t.Fatalf("another edition 5: %v", err)
	}
	w.place(listURL, http.StatusBadGateway, "")
	if err := w.room.Refresh(t.Context(), tokyo, ""); !errors.Is(err, fault.TrustList) {
		t.Fatal(err)
	}
	if a := w.room.Anchors(tokyo); len(a) != 1 || a[0].Problem == "" || a[0].List.Version != 5 {
		t.Fatalf("what is kept: %+v", a)
	}
	if _, err := w.room.Held(t.Context(), tokyo, munich, ask); err != nil {
		t.Fatalf("the kept edition counts: %v", err)
	}
	w.ok(publish(edition("japan", 6)))
	if _, err := w.room.Held(t.Context(), tokyo, munich, ask); !errors.Is(err, fault.CredentialUntrusted) {
		t.Fatalf("dropped from the list: %v", err)
	}
	if a := w.open().Anchors(tokyo); len(a) != 1 || a[0].Problem != "" || a[0].List.Version != 6 {
		t.Errorf("after a restart: %+v", a)
	}
	if err := w.room.Refresh(t.Context(), tokyo, "mars"); !errors.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if err := w.room.RemoveAnchor(t.Context(), tokyo, "mars"); !errors.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

// Looking an issuer up gives what reading the whole list gives.
func TestLookingUpIsReadingTheList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, dice := newPublisher(t), rand.New(rand.NewPCG(1, 2))
	for version := range int64(20) {
		l := edition("eu", version+1)
		for range dice.IntN(30) {
			e := trust.Entry{DID: fmt.Sprintf("did:web:i%d.example", dice.IntN(5)), Types: []string{fmt.Sprintf("T%d", dice.IntN(4))}, Region: "EU",
				Since: start.Add(time.Duration(dice.IntN(5)-2) * time.Hour)}
			if dice.IntN(2) == 0 {
				e.Until = e.Since.Add(time.Duration(1+dice.IntN(3)) * time.Hour)
			}
			l.Issuers = append(l.Issuers, e)
		}
		w.anchor(p, l)
		for range 200 {
			who, typ := fmt.Sprintf("did:web:i%d.example", dice.IntN(6)), fmt.Sprintf("T%d", dice.IntN(5))
			at := start.Add(time.Duration(dice.IntN(6)-2) * time.Hour)
			want := ""
			for i, e := range l.Issuers {
				if want == "" && e.DID == who && e.Types[0] == typ && !at.Before(e.Since) && (e.Until.IsZero() || at.Before(e.Until)) {
					want = fmt.Sprintf("issuers/%d", i)
				}
			}
			b, err := w.room.Trust(tokyo).Trusts(t.Context(), who, []string{typ}, at)
			if b.Entry != want || (err == nil) != (want != "") {
				t.Fatalf("%s %s at %s: %+v, %v; want %q", who, typ, at, b, err, want)
			}
		}
	}
}

func FuzzList(f *testing.F) {
	p := newPublisher(f)
	l := edition("eu", 1)
	l.Issuers = attests("Accreditation")
	l.Recognitions = []trust.Recognition{{List: "japan", Type: "Ninsho", As: "Accreditation", Since: start}}
	b, err := strictjson.Encode(l)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"name":"eu","version":1,"issued":"2026-01-01T00:00:00Z","nextUpdate":"2026-02-01T00:00:00Z"}`))
	f.Add([]byte(`{"name":"eu","version":-1}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		raw, err := jws.Sign(crand.Reader, p.key, "kh-trust-list+jwt", "", b)
		if err != nil {
			return // it cannot be signed
		}
		read, err := trust.OpenList(raw, p.name)
		if err != nil {
			if read != nil || !errors.Is(err, fault.TrustList) {
				t.Fatalf("%v, %v", read, err)
			}
			return
		}
		again, err := trust.SignList(p.key, *read)
		if err != nil {
			t.Fatalf("what is read cannot be signed: %v", err)
		}
		if _, err := trust.OpenList(again, p.name); err != nil {
			t.Fatalf("what was signed cannot be read: %v", err)
		}
	})
}

func TestExplainTellsEachStep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.trusts("Accreditation")
	p := newPublisher(t)
	l := edition("eu", 1)
	w.anchor(p, l)
	names := func(token string) (out string, failed error) {
		steps, err := w.room.Explain(t.Context(), tokyo, token)
		w.ok(err)
		for _, s := range steps {
			out += s.Name + " "
			failed = s.Err
		}
		return strings.TrimSpace(out), failed
	}
	for what, test := range map[string]struct {
		token, last string
		want        *fault.Kind
	}{
		"credential":               {w.accreditation(), "trust", nil},
		"as a header":              {"Bearer " + w.accreditation() + "\n", "trust", nil},
		"presentation":             {w.presentation(showing{}, w.accreditation()), "holder", nil},
		"presentation for another": {w.presentation(showing{audience: paris}, w.accreditation()), "audience", fault.PresentationInvalid},
		"credential of an unknown": {w.credential(vc.Draft{Types: ask, Issuer: paris}), "trust", fault.CredentialUntrusted},
		"list":                     {p.sign(t, l), "time", nil},
		"list of an unknown key":   {newPublisher(t).sign(t, l), "signature", fault.TrustList},
		"nothing":                  {"a.b", "read", fault.TokenInvalid},
	} {
		got, err := names(test.token)
		if !strings.HasSuffix(got, test.last) || (test.want == nil) != (err == nil) || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %s, %v", what, got, err)
		}
	}
	if w.leaves("kh.credential.verified")+w.leaves("kh.credential.refused") != 0 {
		t.Error("explaining is kept on record")
	}
}
