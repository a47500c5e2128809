package participant

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"fmt"
	"io"

	"kakehashi/jws"
	"kakehashi/store"
)

// sealedKey is a private key as it is kept: PKCS#8 (RFC 5958), encrypted by the
// vault and bound to participant, purpose and key id.
type sealedKey struct {
	id       ID
	purpose  Purpose
	kid, alg string
	sealed   []byte
}

func (k sealedKey) aad() []byte {
	return fmt.Appendf(nil, "participant_keys\x00%s\x00%s\x00%s\x00%s", k.id, k.purpose, k.kid, k.alg)
}

func readKeys(tx store.Tx) ([]sealedKey, error) {
	rows, err := tx.Query(`SELECT participant, purpose, kid, alg, sealed FROM participant_keys`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var keys []sealedKey
	for rows.Next() {
		var k sealedKey
		var id, purpose string
		if err := rows.Scan(&id, &purpose, &k.kid, &k.alg, &k.sealed); err != nil {
			return nil, err
		}
		k.id, k.purpose = ID(id), Purpose(purpose)
		keys = append(keys, k)
	}
	return keys, rows.Err()
}

// makeKey makes the first key of a purpose.
func makeKey(p Participant, purpose Purpose, v *Vault, random io.Reader) (Key, sealedKey, error) {
	alg := jws.ES256
	if purpose == Log {
		alg = jws.EdDSA
	}
	return makeKeyOf(p, purpose, alg, 1, v, random)
}

// makeKeyOf makes the nth key of a purpose.
func makeKeyOf(p Participant, purpose Purpose, alg string, nth int, v *Vault, random io.Reader) (Key, sealedKey, error) {
	s := sealedKey{id: p.ID, purpose: purpose, alg: alg, kid: fmt.Sprintf("%s#%s-%d", p.DID, purpose, nth)}
	var signer crypto.Signer
	var err error
	switch alg {
	case jws.ES256:
		signer, err = ecdsa.GenerateKey(elliptic.P256(), random)
	case jws.ES384:
		signer, err = ecdsa.GenerateKey(elliptic.P384(), random)
	case jws.EdDSA:
		_, signer, err = ed25519.GenerateKey(random)
	default:
		err = fmt.Errorf("no key is made for %q", alg)
	}
	if err != nil {
		return Key{}, s, err
	}
	plain, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return Key{}, s, err
	}
	if s.sealed, err = v.Seal(plain, s.aad()); err != nil {
		return Key{}, s, err
	}
	return Key{KID: s.kid, Alg: s.alg, Signer: signer}, s, nil
}

func (k sealedKey) open(v *Vault) (Key, error) {
	plain, err := v.Open(k.sealed, k.aad())
	if err != nil {
		return Key{}, err
	}
	private, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return Key{}, fmt.Errorf("parse private key: %w", err)
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return Key{}, fmt.Errorf("a %T cannot sign", private)
	}
	return Key{KID: k.kid, Alg: k.alg, Signer: signer}, nil
}
