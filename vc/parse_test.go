package vc_test

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kakehashi/internal/fault"
	"kakehashi/jws"
	"kakehashi/vc"
)

type random struct{}

func (random) Read(b []byte) (int, error) { return rand.Read(b) }

func packed(bits int) string {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, _ = w.Write(make([]byte, bits/8))
	_ = w.Close()
	return base64.RawURLEncoding.EncodeToString(buf.Bytes())
}

const issuer11 = `{"iss":"did:web:issuer.example","sub":"did:web:holder.example"`

func TestCredentialsOfPeersAreRead(t *testing.T) {
	t.Parallel()
	k := newKey(t, issuerDID+"#1", jws.ES256)
	for name, c := range map[string]struct {
		payload string
		until   string
	}{
		"members that the claims supply":       {issuer11 + `,"exp":1700000000,"vc":{"type":["MembershipCredential"],"credentialSubject":{"id":"did:web:holder.example"}}}`, "2023-11-14T22:13:20Z"},
		"nulls":                                {issuer11 + `,"vc":{"@context":null,"expirationDate":null,"type":["MembershipCredential"],"credentialSubject":{"id":"did:web:holder.example"}}}`, ""},
		"the earlier of two ends":              {issuer11 + `,"exp":1700000000,"vc":{"expirationDate":"2020-01-01T00:00:00Z","type":"MembershipCredential","credentialSubject":{}}}`, "2020-01-01T00:00:00Z"},
		"a subject of the JWT that is another": {`{"iss":"did:web:issuer.example","sub":"did:web:issuer.example","vc":{"type":"MembershipCredential","credentialSubject":{"id":"did:web:holder.example"}}}`, ""},
		"an issuer that is an object":          {issuer11 + `,"vc":{"issuer":{"id":"did:web:issuer.example","name":"x"},"type":"MembershipCredential","credentialSubject":[{}]}}`, ""},
		"of 2.0": {`{"@context":["https://www.w3.org/ns/credentials/v2"],"type":["VerifiableCredential","MembershipCredential"],"issuer":"did:web:issuer.example",
			"validUntil":"2030-01-01T09:00:00+09:00","credentialSubject":{"id":"did:web:holder.example"},
			"credentialStatus":{"type":"BitstringStatusListEntry","statusPurpose":"revocation","statusListIndex":7,"statusListCredential":"https://issuer.example/l"}}`, "2030-01-01T00:00:00Z"},
	} {
		got, err := vc.ParseCredential(sign(t, k, "", c.payload))
		if err != nil || got.Type() != "MembershipCredential" || got.Subjects[0].ID != holderDID || got.Issuer != issuerDID {
			t.Errorf("%s: %+v, %v", name, got, err)
			continue
		}
		until := ""
		if !got.ValidUntil.IsZero() {
			until = got.ValidUntil.Format(time.RFC3339)
		}
		if until != c.until {
			t.Errorf("%s: until %q, want %q", name, until, c.until)
		}
	}
}

func TestCredentialsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	k := newKey(t, issuerDID+"#1", jws.ES256)
	const subject = `"credentialSubject":{"id":"did:web:holder.example"}`
	v2 := func(rest string) string {
		return `{"@context":["https://www.w3.org/ns/credentials/v2"],"type":["A"],"issuer":"did:web:issuer.example",` + rest + `}`
	}
	for name, payload := range map[string]string{
		"no JSON":                     `x`,
		"no object":                   `[]`,
		"neither model":               `{"iss":"did:web:issuer.example"}`,
		"the context of 2.0 second":   `{"@context":["x","https://www.w3.org/ns/credentials/v2"],"type":"A","issuer":"did:web:issuer.example",` + subject + `}`,
		"no type":                     issuer11 + `,"vc":{` + subject + `}}`,
		"a type that is a number":     issuer11 + `,"vc":{"type":1,` + subject + `}}`,
		"no subject":                  issuer11 + `,"vc":{"type":"A"}}`,
		"a subject that is a text":    issuer11 + `,"vc":{"type":"A","credentialSubject":"x"}}`,
		"too many subjects":           v2(`"credentialSubject":[` + strings.Repeat(`{},`, 16) + `{}]`),
		"another issuer than the JWT": issuer11 + `,"vc":{"type":"A","issuer":"did:web:other.example",` + subject + `}}`,
		"no issuer":                   `{"vc":{"type":"A",` + subject + `}}`,
		"an issuer without id":        `{"vc":{"type":"A","issuer":{"name":"x"},` + subject + `}}`,
		"a day that is none":          v2(`"validUntil":"2026-02-30T00:00:00Z",` + subject),
		"a date without time":         v2(`"validUntil":"2026-02-20",` + subject),
		"an exp that is none":         issuer11 + `,"exp":-1,"vc":{"type":"A",` + subject + `}}`,
		"doubled names":               issuer11 + `,"iss":"did:web:other.example","vc":{"type":"A",` + subject + `}}`,
		"doubled names within":        v2(subject + `,` + subject),
		"a status not understood":     v2(subject + `,"credentialStatus":{"type":"RevocationList2020Status"}`),
		"a status of two bits":        v2(subject + `,"credentialStatus":{"type":"BitstringStatusListEntry","statusSize":2,"statusPurpose":"revocation","statusListIndex":"1","statusListCredential":"https://a.example/l"}`),
		"a status without purpose":    v2(subject + `,"credentialStatus":{"type":"BitstringStatusListEntry","statusListIndex":"1","statusListCredential":"https://a.example/l"}`),
		"a status with a bad index":   v2(subject + `,"credentialStatus":{"type":"BitstringStatusListEntry","statusPurpose":"revocation","statusListIndex":"-1","statusListCredential":"https://a.example/l"}`),
		"a status without a list":     v2(subject + `,"credentialStatus":{"type":"BitstringStatusListEntry","statusPurpose":"revocation","statusListIndex":"1"}`),
		"too many statuses":           v2(subject + `,"credentialStatus":[{},{},{},{},{},{},{},{},{}]`),
		"a schema without id":         v2(subject + `,"credentialSchema":{"type":"JsonSchema"}`),
	} {
		if got, err := vc.ParseCredential(sign(t, k, "", payload)); !errors.Is(err, fault.CredentialInvalid) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := vc.ParseCredential(sign(t, k, "vp+jwt", v2(subject))); !errors.Is(err, fault.CredentialInvalid) {
		t.Errorf("a presentation's type: %v", err)
	}
	if _, err := vc.ParseCredential(strings.Repeat("a", vc.MaxCredential+1)); !errors.Is(err, fault.CredentialInvalid) {
		t.Errorf("too large: %v", err)
	}
	for name, d := range map[string]vc.Draft{
		"nothing":  {},
		"no model": {Types: []string{"A"}, Issuer: "i", Subject: "s", ValidFrom: time.Now()},
		"too much": {Model: vc.VC20, Types: []string{"A"}, Issuer: "i", Subject: "s", ValidFrom: time.Now(), Claims: map[string]any{"x": strings.Repeat("x", vc.MaxCredential)}},
	} {
		if _, err := vc.Issue(rand.Reader, k, d); err == nil {
			t.Errorf("%s was issued", name)
		}
	}
}

func TestABitIsThatOfItsIndexAndNoOther(t *testing.T) {
	t.Parallel()
	k := newKey(t, issuerDID+"#1", jws.ES256)
	rapid.Check(t, func(t *rapid.T) {
		set := rapid.SliceOfN(rapid.Int64Range(0, vc.MinBits-1), 0, 5).Draw(t, "set")
		entry := rapid.SampledFrom([]string{vc.BitstringEntry, vc.StatusList2021}).Draw(t, "entry")
		bits := vc.NewBitstring(0)
		want := map[int64]bool{}
		for _, i := range set {
			bits.Set(i, true)
			want[i] = true
		}
		if len(set) > 0 && rapid.Bool().Draw(t, "clear") {
			bits.Set(set[0], false)
			want[set[0]] = false
		}
		now := time.Now()
		raw, err := vc.IssueStatusList(rand.Reader, k, vc.ListDraft{URL: "https://a.example/l", EntryType: entry, Issuer: issuerDID,
			Purpose: vc.Revocation, Bits: bits, ValidFrom: now, ValidUntil: now.Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		l, err := vc.ParseStatusList([]byte(raw))
		if err != nil || !l.Signed || l.Issuer != issuerDID || l.Bits.Len() != vc.MinBits {
			t.Fatalf("%+v, %v", l, err)
		}
		for _, i := range append(set, rapid.Int64Range(0, vc.MinBits-1).Draw(t, "other")) {
			if got, ok := l.Bits.Get(i); !ok || got != want[i] {
				t.Fatalf("bit %d is %v, want %v", i, got, want[i])
			}
		}
		for _, i := range []int64{-1, vc.MinBits} {
			if _, ok := l.Bits.Get(i); ok {
				t.Fatalf("there is a bit %d", i)
			}
		}
	})
	// Bit 0 is the most significant one of the first byte.
	b := vc.NewBitstring(0)
	b.Set(0, true)
	b.Set(-1, true)
	b.Set(vc.MinBits, true)
	if b[0] != 0x80 {
		t.Errorf("bit 0 makes the first byte %x", b[0])
	}
}

func FuzzCredential(f *testing.F) {
	w := newWorld(f, jws.ES256)
	for _, m := range models {
		f.Add(w.issue(f, w.draft(m)).Raw)
	}
	k := w.keys[issuerDID]
	f.Add(sign(f, k, "", issuer11+`,"exp":1,"vc":{"type":"A","credentialSubject":{}}}`))
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, in string) {
		c, err := vc.ParseCredential(in)
		if err == nil && (c.Issuer == "" || len(c.Types) == 0 || len(c.Subjects) == 0) {
			t.Fatalf("%q gives %+v", in, c)
		}
	})
}

func FuzzPresentation(f *testing.F) {
	w := newWorld(f, jws.ES256)
	for _, m := range models {
		f.Add(w.present(f, w.issue(f, w.draft(m)))[0])
	}
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, in string) {
		p, err := vc.ParsePresentation(in)
		if err == nil && (p.Holder == "" || len(p.Credentials) > vc.MaxShown) {
			t.Fatalf("%q gives %+v", in, p)
		}
	})
}

func FuzzStatusList(f *testing.F) {
	f.Add([]byte(unsignedList("u" + packed(16384))))
	f.Add([]byte(unsignedList("AAAA")))
	f.Add([]byte("e30.e30.e30"))
	f.Fuzz(func(t *testing.T, in []byte) {
		l, err := vc.ParseStatusList(in)
		if err == nil && (l.Issuer == "" || l.Bits.Len() == 0 || l.Bits.Len() > 4<<23) {
			t.Fatalf("%q gives a list of %d bits", in, l.Bits.Len())
		}
	})
}

// BenchmarkPresentation verifies a presentation of two credentials whose keys and
// status lists are known, on one core.
func BenchmarkPresentation(b *testing.B) {
	for _, alg := range []string{jws.ES256, jws.EdDSA} {
		for _, m := range models {
			b.Run(alg+"/"+m.String(), func(b *testing.B) {
				w := newWorld(b, alg)
				w.publishList(b, "/list", nil, 7)
				var creds []vc.Credential
				for i := range int64(2) {
					d := w.draft(m)
					d.Statuses = []vc.StatusEntry{{Type: vc.BitstringEntry, Purpose: vc.Revocation, List: w.server.URL + "/list", Index: i}}
					creds = append(creds, w.issue(b, d))
				}
				vp := w.present(b, creds...)[0]
				b.ReportAllocs()
				for b.Loop() {
					if _, err := w.verifier.Presentation(b.Context(), vp, verifierDID, holderDID); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
