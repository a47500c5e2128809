package vc_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"kakehashi/did"
	"kakehashi/internal/fault"
	"kakehashi/jws"
	"kakehashi/vc"
)

var models = []vc.Model{vc.VC11, vc.VC20}

func TestWhatIsIssuedAndPresentedIsBelieved(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{jws.ES256, jws.ES384, jws.EdDSA} {
		for _, m := range models {
			for _, entry := range []string{vc.BitstringEntry, vc.StatusList2021} {
				w := newWorld(t, alg)
				w.publishList(t, "/list", func(d *vc.ListDraft) { d.EntryType = entry }, 7)
				w.put("/schema", page{body: `{"$schema":"http://json-schema.org/draft-04/schema#","type":"object","required":["id","level"]}`})
				d := w.draft(m)
				d.Statuses = []vc.StatusEntry{{Type: entry, Purpose: vc.Revocation, List: w.server.URL + "/list", Index: 6}}
				d.Schemas = []vc.Schema{{ID: w.server.URL + "/schema", Type: "JsonSchema"}}
				c := w.issue(t, d)
				if c.Model != m || c.Type() != "Membership" || c.Issuer != issuerDID || c.ID != d.ID || !c.ValidUntil.Equal(d.ValidUntil) || len(c.Statuses) != 1 {
					t.Errorf("%s %s: read back as %+v", alg, m, c)
				}
				vps := w.present(t, c, c)
				if len(vps) != 1 {
					t.Fatalf("%d presentations", len(vps))
				}
				var steps []string
				w.verifier.Trace = func(s vc.Step) { steps = append(steps, s.Name) }
				got, err := w.verifier.Presentation(t.Context(), vps[0], verifierDID, holderDID)
				if err != nil || len(got) != 2 || got[0].Basis.Kind != "issuer" || len(got[0].Status) != 1 || got[0].Status[0].Set ||
					got[0].Presentation == "" || !got[0].At.Equal(w.now) {
					t.Errorf("%s %s %s: %+v, %v", alg, m, entry, got, err)
				}
				for _, want := range []string{vc.StepRead, vc.StepHolder, vc.StepAudience, vc.StepTime, vc.StepKey, vc.StepSignature, vc.StepTrust, vc.StepStatus, vc.StepSchema} {
					if !strings.Contains(strings.Join(steps, " "), want) {
						t.Errorf("step %s was not traced: %q", want, steps)
					}
				}
			}
		}
	}
}

func TestModelsArePresentedApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, jws.ES256)
	vps := w.present(t, w.issue(t, w.draft(vc.VC11)), w.issue(t, w.draft(vc.VC20)), w.issue(t, w.draft(vc.VC11)))
	if len(vps) != 2 {
		t.Fatalf("%d presentations", len(vps))
	}
	for i, want := range []int{2, 1} {
		p, err := vc.ParsePresentation(vps[i])
		if err != nil || len(p.Credentials) != want || p.Model != models[i] || p.Holder != holderDID {
			t.Errorf("%+v, %v", p, err)
		}
	}
	if none := w.present(t); len(none) != 0 {
		t.Errorf("of nothing: %d", len(none))
	}
}

func TestCredentialsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, m := range models {
		for name, c := range map[string]struct {
			change func(t *testing.T, w *world, d *vc.Draft)
			want   *fault.Kind
		}{
			"expired":                  {func(t *testing.T, w *world, d *vc.Draft) { d.ValidUntil = w.now.Add(-31 * time.Second) }, fault.CredentialExpired},
			"not yet valid":            {func(t *testing.T, w *world, d *vc.Draft) { d.ValidFrom = w.now.Add(31 * time.Second) }, fault.CredentialEarly},
			"about another":            {func(t *testing.T, w *world, d *vc.Draft) { d.Subject = strangerDID }, fault.CredentialSubject},
			"of a type not trusted":    {func(t *testing.T, w *world, d *vc.Draft) { d.Types = []string{"Accreditation"} }, fault.CredentialUntrusted},
			"of an issuer not trusted": {func(t *testing.T, w *world, d *vc.Draft) { d.Issuer = strangerDID }, fault.CredentialUntrusted},
			"of an issuer that is nowhere": {func(t *testing.T, w *world, d *vc.Draft) {
				d.Issuer = "did:web:nowhere.example"
				w.keys[d.Issuer] = newKey(t, d.Issuer+"#1", jws.ES256)
			}, fault.CredentialIssuer},
			"signed by another for the issuer": {func(t *testing.T, w *world, d *vc.Draft) { w.keys[issuerDID] = w.keys[strangerDID] }, fault.CredentialSignature},
			"signed by a stranger with the issuer's kid": {func(t *testing.T, w *world, d *vc.Draft) {
				k := w.keys[strangerDID]
				k.KID = issuerDID + "#1"
				w.keys[issuerDID] = k
			}, fault.CredentialSignature},
			"signed by a key not there": {func(t *testing.T, w *world, d *vc.Draft) {
				k := w.keys[issuerDID]
				k.KID = issuerDID + "#2"
				w.keys[issuerDID] = k
			}, fault.CredentialSignature},
			"signed by a key for other uses": {func(t *testing.T, w *world, d *vc.Draft) {
				w.publish(t, issuerDID, w.keys[issuerDID], did.Authentication, did.Invocation)
			}, fault.CredentialSignature},
			"revoked":   {status(w0, nil, 5), fault.CredentialRevoked},
			"suspended": {status(func(d *vc.ListDraft) { d.Purpose = vc.Suspension }, func(e *vc.StatusEntry) { e.Purpose = vc.Suspension }, 5), fault.CredentialSuspended},
			"revoked by a list of 2021": {status(func(d *vc.ListDraft) { d.EntryType = vc.StatusList2021 },
				func(e *vc.StatusEntry) { e.Type = vc.StatusList2021 }, 5), fault.CredentialRevoked},
			"a list of another purpose":    {status(nil, func(e *vc.StatusEntry) { e.Purpose = vc.Suspension }), fault.CredentialStatus},
			"an index beyond the list":     {status(nil, func(e *vc.StatusEntry) { e.Index = 1 << 40 }), fault.CredentialStatus},
			"an index after the last":      {status(nil, func(e *vc.StatusEntry) { e.Index = vc.MinBits }), fault.CredentialStatus},
			"a list that is not there":     {status(nil, func(e *vc.StatusEntry) { e.List += "2" }), fault.CredentialStatus},
			"a list that has expired":      {status(func(d *vc.ListDraft) { d.ValidUntil = d.ValidFrom.Add(time.Minute) }, nil), fault.CredentialStatus},
			"a list of another issuer":     {status(func(d *vc.ListDraft) { d.Issuer = strangerDID }, nil), fault.CredentialStatus},
			"a list signed by another":     {status(func(d *vc.ListDraft) { d.Issuer = issuerDID }, nil, -1), fault.CredentialStatus},
			"a list that is no list":       {listIs(func(t *testing.T, w *world) string { return w.issue(t, w.draft(vc.VC20)).Raw }), fault.CredentialStatus},
			"a list without signature":     {listIs(func(*testing.T, *world) string { return unsignedList("u" + packed(16384)) }), fault.CredentialStatus},
			"a list without bits":          {listIs(func(t *testing.T, w *world) string { w.unsigned = true; return unsignedList("") }), fault.CredentialStatus},
			"a list that is no gzip":       {listIs(func(t *testing.T, w *world) string { w.unsigned = true; return unsignedList("uAAAA") }), fault.CredentialStatus},
			"a list that inflates too far": {listIs(func(t *testing.T, w *world) string { w.unsigned = true; return unsignedList("u" + packed(5<<23)) }), fault.CredentialStatus},
			"a list too large to read":     {listIs(func(*testing.T, *world) string { return strings.Repeat("a", 3<<20) }), fault.CredentialStatus},
			"breaks its schema":            {schema(`{"type":"object","required":["rank"]}`, "JsonSchema"), fault.CredentialSchema},
			"a schema of another kind":     {schema(`{}`, "ShaclValidator2017"), fault.CredentialSchema},
			"a schema that is no JSON":     {schema(`{`, "JsonSchema"), fault.CredentialSchema},
			"a schema that is none":        {schema(`{"type":1}`, "JsonSchema"), fault.CredentialSchema},
			"a schema of another document": {schema(`{"$ref":"https://example.com/other.json"}`, "JsonSchema"), fault.CredentialSchema},
			"a schema that is not there":   {schema(``, "JsonSchema"), fault.CredentialSchema},
		} {
			t.Run(m.String()+" "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, jws.ES256)
				d := w.draft(m)
				c.change(t, w, &d)
				cred := w.issueBy(t, w.keys[d.Issuer], d)
				if _, err := w.verifier.Credential(t.Context(), cred, holderDID); !errors.Is(err, c.want) {
					t.Errorf("alone: got %v, want %s", err, c.want.Code)
				}
				good := w.issueBy(t, w.keys[d.Issuer], d)
				if _, err := w.verifier.Presentation(t.Context(), w.present(t, good)[0], verifierDID, holderDID); !errors.Is(err, c.want) {
					t.Errorf("presented: got %v, want %s", err, c.want.Code)
				}
			})
		}
	}
}

var w0 func(*vc.ListDraft)

// status gives a credential index 5 of a list, which both may be changed. A set
// bit of -1 has another than the issuer sign the list in its name.
func status(list func(*vc.ListDraft), entry func(*vc.StatusEntry), set ...int64) func(*testing.T, *world, *vc.Draft) {
	return func(t *testing.T, w *world, d *vc.Draft) {
		if len(set) == 1 && set[0] == -1 {
			own := w.keys[issuerDID]
			k := w.keys[strangerDID]
			k.KID = issuerDID + "#1"
			w.keys[issuerDID] = k
			w.publishList(t, "/list", list)
			w.keys[issuerDID] = own
		} else {
			w.publishList(t, "/list", list, set...)
		}
		e := vc.StatusEntry{Type: vc.BitstringEntry, Purpose: vc.Revocation, List: w.server.URL + "/list", Index: 5}
		if entry != nil {
			entry(&e)
		}
		d.Statuses = []vc.StatusEntry{e}
	}
}

func listIs(body func(*testing.T, *world) string) func(*testing.T, *world, *vc.Draft) {
	return func(t *testing.T, w *world, d *vc.Draft) {
		w.put("/list", page{body: body(t, w)})
		d.Statuses = []vc.StatusEntry{{Type: vc.BitstringEntry, Purpose: vc.Revocation, List: w.server.URL + "/list", Index: 5}}
	}
}

func schema(body, kind string) func(*testing.T, *world, *vc.Draft) {
	return func(t *testing.T, w *world, d *vc.Draft) {
		if body != "" {
			w.put("/schema", page{body: body})
		}
		d.Schemas = []vc.Schema{{ID: w.server.URL + "/schema", Type: kind}}
	}
}

func unsignedList(encoded string) string {
	return `{"@context":["https://www.w3.org/ns/credentials/v2"],"type":["VerifiableCredential","BitstringStatusListCredential"],"issuer":"` +
		issuerDID + `","credentialSubject":{"type":"BitstringStatusList","statusPurpose":"revocation","encodedList":"` + encoded + `"}}`
}

func TestListsThatCountOnlyWhereAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, jws.ES256)
	w.unsigned = true
	w.put("/list", page{body: unsignedList(packed(16384))}) // base64url, small, unsigned
	d := w.draft(vc.VC11)
	d.Statuses = []vc.StatusEntry{{Type: vc.StatusList2021, Purpose: vc.Revocation, List: w.server.URL + "/list", Index: 5}}
	if _, err := w.verifier.Credential(t.Context(), w.issue(t, d), holderDID); err != nil {
		t.Errorf("an unsigned list of one who may: %v", err)
	}
	w.publishList(t, "/delegated", func(d *vc.ListDraft) { d.Issuer = "did:web:delegate.example" })
	d.Statuses[0].List = w.server.URL + "/delegated"
	if _, err := w.verifier.Credential(t.Context(), w.issue(t, d), holderDID); err != nil {
		t.Errorf("a list of a delegate: %v", err)
	}
	// Purposes that refuse nothing.
	w.publishList(t, "/refresh", func(d *vc.ListDraft) { d.Purpose = "refresh" }, 5)
	d.Statuses = []vc.StatusEntry{{Type: vc.BitstringEntry, Purpose: "refresh", List: w.server.URL + "/refresh", Index: 5}}
	if got, err := w.verifier.Credential(t.Context(), w.issue(t, d), holderDID); err != nil || !got.Status[0].Set {
		t.Errorf("a refresh bit: %+v %v", got.Status, err)
	}
}

func TestAListIsReadAgainWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, jws.ES256)
	w.publishList(t, "/list", nil)
	d := w.draft(vc.VC20)
	d.Statuses = []vc.StatusEntry{{Type: vc.BitstringEntry, Purpose: vc.Revocation, List: w.server.URL + "/list", Index: 5}}
	cred := w.issue(t, d)
	check := func(when string, hits int, want *fault.Kind) {
		t.Helper()
		_, err := w.verifier.Credential(t.Context(), cred, holderDID)
		if want == nil && err != nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", when, err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.hits["/list"] != hits {
			t.Errorf("%s: asked %d times, want %d", when, w.hits["/list"], hits)
		}
	}
	check("first", 1, nil)
	check("at once", 1, nil)
	w.publishList(t, "/list", nil, 5)
	w.now = w.now.Add(59 * time.Second)
	check("within its time", 1, nil)
	w.now = w.now.Add(2 * time.Second)
	check("after its time", 2, fault.CredentialRevoked)
	// One that cannot be read any more refuses: it might say anything.
	w.put("/list", page{status: 500})
	w.now = w.now.Add(2 * time.Minute)
	check("gone", 3, fault.CredentialStatus)
	check("gone, at once", 3, fault.CredentialStatus)
}

func TestPresentationsThatAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, jws.ES256)
	good11, good20 := w.issue(t, w.draft(vc.VC11)), w.issue(t, w.draft(vc.VC20))
	other := w.draft(vc.VC20)
	other.Subject = strangerDID
	foreign := w.issue(t, other)
	in11 := func(cred, extra string) string {
		return fmt.Sprintf(`{"iss":%q,"sub":%q,"aud":%q,"jti":"j","iat":%d,"exp":%d,"vp":{"type":"VerifiablePresentation","verifiableCredential":[%s]}%s}`,
			holderDID, holderDID, verifierDID, w.now.Unix(), w.now.Unix()+60, cred, extra)
	}
	key := w.keys[holderDID]
	quoted := `"` + good11.Raw + `"`
	by := func(change func(*vc.PresentConfig), cred vc.Credential) string {
		c := vc.PresentConfig{Random: nil, Key: key, Holder: holderDID, Audience: verifierDID, Now: w.now, Lifetime: time.Minute}
		c.Random = nil
		change(&c)
		c.Random = random{}
		out, err := vc.Present(c, []vc.Credential{cred})
		if err != nil {
			t.Fatal(err)
		}
		return out[0]
	}
	if _, err := w.verifier.Presentation(t.Context(), sign(t, key, "JWT", in11(quoted, "")), verifierDID, holderDID); err != nil {
		t.Fatalf("a good one by hand: %v", err)
	}
	for name, c := range map[string]struct {
		raw  string
		want *fault.Kind
	}{
		"for another verifier":              {by(func(c *vc.PresentConfig) { c.Audience = strangerDID }, good20), fault.PresentationInvalid},
		"for two verifiers":                 {sign(t, key, "JWT", strings.Replace(in11(quoted, ""), `"aud":"`+verifierDID+`"`, `"aud":["`+verifierDID+`","`+strangerDID+`"]`, 1)), fault.PresentationInvalid},
		"for nobody":                        {sign(t, key, "JWT", strings.Replace(in11(quoted, ""), `"aud":"`+verifierDID+`",`, ``, 1)), fault.PresentationInvalid},
		"of another holder":                 {by(func(c *vc.PresentConfig) { c.Holder, c.Key = strangerDID, w.keys[strangerDID] }, good20), fault.PresentationInvalid},
		"signed by another":                 {by(func(c *vc.PresentConfig) { c.Key = w.keys[strangerDID] }, good20), fault.PresentationInvalid},
		"signed by another, our kid":        {by(func(c *vc.PresentConfig) { c.Key.Signer = w.keys[strangerDID].Signer }, good20), fault.PresentationInvalid},
		"by a key not there":                {by(func(c *vc.PresentConfig) { c.Key.KID = holderDID + "#9" }, good20), fault.PresentationInvalid},
		"expired":                           {by(func(c *vc.PresentConfig) { c.Now = w.now.Add(-2 * time.Minute) }, good20), fault.PresentationInvalid},
		"from the future":                   {by(func(c *vc.PresentConfig) { c.Now = w.now.Add(time.Minute) }, good20), fault.PresentationInvalid},
		"without end":                       {sign(t, key, "JWT", strings.Replace(in11(quoted, ""), fmt.Sprintf(`"exp":%d,`, w.now.Unix()+60), "", 1)), fault.PresentationInvalid},
		"without credentials":               {sign(t, key, "JWT", in11("", "")), fault.PresentationInvalid},
		"with another model's":              {sign(t, key, "JWT", in11(`"`+good20.Raw+`"`, "")), fault.PresentationInvalid},
		"with another holder's":             {by(func(*vc.PresentConfig) {}, foreign), fault.CredentialSubject},
		"with an object that nobody signed": {sign(t, key, "JWT", in11(`{"type":["VerifiableCredential"],"issuer":"x"}`, "")), fault.PresentationInvalid},
		"with a text":                       {sign(t, key, "JWT", in11(`"x"`, "")), fault.CredentialInvalid},
		"with too many":                     {sign(t, key, "JWT", in11(quoted+strings.Repeat(","+quoted, vc.MaxShown), "")), fault.PresentationInvalid},
		"of another type":                   {sign(t, key, "JWT", strings.Replace(in11(quoted, ""), "VerifiablePresentation", "Presentation", 1)), fault.PresentationInvalid},
		"subject another":                   {sign(t, key, "JWT", strings.Replace(in11(quoted, ""), `"sub":"`+holderDID, `"sub":"`+strangerDID, 1)), fault.PresentationInvalid},
		"doubled names":                     {sign(t, key, "JWT", in11(quoted, `,"iss":"`+strangerDID+`"`)), fault.PresentationInvalid},
		"algorithm none":                    {b64(`{"alg":"none"}`) + "." + b64(in11(quoted, "")) + ".", fault.PresentationInvalid},
		"a credential":                      {good11.Raw, fault.PresentationInvalid},
		"a text itself":                     {"x", fault.PresentationInvalid},
	} {
		if _, err := w.verifier.Presentation(t.Context(), c.raw, verifierDID, holderDID); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want.Code)
		}
	}
	used := map[string]bool{}
	w.verifier.Fresh = func(holder, jti string, until time.Time) bool {
		first := !used[holder+jti]
		used[holder+jti] = true
		return first && until.After(w.now)
	}
	vp := w.present(t, good20)[0]
	if _, err := w.verifier.Presentation(t.Context(), vp, verifierDID, holderDID); err != nil {
		t.Errorf("the first time: %v", err)
	}
	if _, err := w.verifier.Presentation(t.Context(), vp, verifierDID, holderDID); !errors.Is(err, fault.PresentationInvalid) {
		t.Errorf("the second time: %v", err)
	}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
