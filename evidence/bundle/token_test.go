package bundle

import (
	"crypto/ed25519"
	"testing"
)

// FuzzToken reads any bytes as a kept token: what is taken never verifies with a
// key that did not sign it.
func FuzzToken(f *testing.F) {
	f.Add([]byte("eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJkaWQ6d2ViOmEiLCJhdWQiOlsiZGlkOndlYjpiIl0sImRpZ2VzdCI6InNoYTI1NjowMCJ9.AAAA"))
	f.Add([]byte("eyJhbGciOiJFZERTQSJ9.e30.AAAA"))
	f.Add([]byte("a.b"))
	pub, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := parseToken(b); err == nil && got.verify(pub) {
			t.Fatalf("%q verifies", b)
		}
	})
}
