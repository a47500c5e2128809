package participant

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"io"

	"kakehashi/internal/fault"
)

// Vault encrypts what is kept at rest: private keys and kept bodies. It is
// AES-256-GCM under the node's key with a random nonce of 96 bits in front,
// good for 2^32 seals under one key (NIST SP 800-38D section 8.3). It may be
// used from many goroutines.
type Vault struct {
	aead cipher.AEAD
	rand io.Reader
}

// NewVault makes a vault of a key of 32 bytes; another length is
// fault.VaultKey. A nil rand is crypto/rand; any other must be safe for
// concurrent use.
func NewVault(key []byte, random io.Reader) (*Vault, error) {
	if len(key) != 32 {
		return nil, fault.VaultKey.At("")
	}
	if random == nil {
		random = rand.Reader
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("open the vault: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("open the vault: %w", err)
	}
	return &Vault{aead: aead, rand: random}, nil
}

// Seal encrypts plain and binds it to aad, which says what and whose it is; only
// Open with the same aad gives it back.
func (v *Vault) Seal(plain, aad []byte) ([]byte, error) {
	n := v.aead.NonceSize()
	out := make([]byte, n, n+len(plain)+v.aead.Overhead())
	if _, err := io.ReadFull(v.rand, out); err != nil {
		return nil, fmt.Errorf("seal: read randomness: %w", err)
	}
	return v.aead.Seal(out, out, plain, aad), nil
}

// Open gives back what Seal encrypted. Another key, another aad or changed bytes
// are fault.VaultClosed.
func (v *Vault) Open(sealed, aad []byte) ([]byte, error) {
	n := v.aead.NonceSize()
	if len(sealed) < n+v.aead.Overhead() {
		return nil, fault.VaultClosed.At("")
	}
	plain, err := v.aead.Open(nil, sealed[:n], sealed[n:], aad)
	if err != nil {
		return nil, fault.VaultClosed.At("").Because(err)
	}
	return plain, nil
}
