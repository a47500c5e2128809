// Package bundle is the offline verifier of evidence: it reads one file
// (*.kh-evidence.zip) and the anchors that the verifier holds, and says who
// recorded what, when, which of it is proven and which is not.
//
// It needs no node, no database and no network, and believes no key that lies
// in a bundle. It also owns the formats that a log and its verifier share: the
// leaf, the checkpoint, the proof and the archive, specified in
// docs/evidence-format.md. It is not for making a log; package evidence does that.
package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Format is the version of the bundle that this package reads and writes.
const Format = "kh-evidence/1"

// Limits of a bundle. A file beyond one of them is refused before it is read.
const (
	MaxBundle   = 1 << 30  // bytes of the whole file
	MaxEntries  = 65_535   // files in it
	MaxBody     = 64 << 20 // bytes of one body
	MaxManifest = 4 << 20
	MaxKeyFile  = 1 << 20
	MaxProof    = 64 << 10
	MaxLeaf     = 16 << 10
	maxReadme   = 64 << 10
	maxToken    = 64 << 10
)

// Names of the files of a bundle.
const (
	ManifestName = "manifest.json"
	ReadmeName   = "README.txt"
	LogKeyName   = "keys/log.vkey"
)

// EventName is the file of the leaf at a position of the log.
func EventName(position int64) string { return fmt.Sprintf("events/%08d.json", position) }

// ProofName is the file of the inclusion proof of the leaf at a position.
func ProofName(position int64) string { return fmt.Sprintf("proofs/%08d.tlog-proof", position) }

// BodyName is the file of the body with a digest "sha256:<hex>".
func BodyName(digest string) string { return "bodies/" + strings.TrimPrefix(digest, "sha256:") }

// Digest is how the log names bytes: "sha256:" and the lower-case hex of their SHA-256.
func Digest(b []byte) string {
	s := sha256.Sum256(b)
	var out [7 + 64]byte
	copy(out[:], "sha256:")
	hex.Encode(out[7:], s[:])
	return string(out[:])
}

// IsDigest tells whether s has the form that Digest gives.
func IsDigest(s string) bool {
	h, ok := strings.CutPrefix(s, "sha256:")
	return ok && isHex64(h)
}

func isHex64(s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Manifest says what a bundle claims to be. Nothing in it is proven by itself:
// tenant and origin are compared with leaves and checkpoint, the rest is told
// as what the maker of the file wrote.
type Manifest struct {
	Format    string     `json:"format"`
	Tenant    string     `json:"tenant"`              // DID of the participant whose log it is
	Origin    string     `json:"origin"`              // origin line of its log
	Agreement string     `json:"agreement,omitempty"` // agreement that it was made for
	Made      string     `json:"made"`                // RFC 3339
	Withheld  []Withheld `json:"withheld,omitempty"`  // bodies of which only the digest is here, by digest
	Keys      []string   `json:"keys,omitempty"`      // further files below keys/, by name
}

// Withheld is a body that the maker keeps back, such as a message whose data
// plane token still opens something.
type Withheld struct {
	Digest string `json:"digest"`
	Class  string `json:"class"`
}

// Readme is README.txt as Export writes it.
const Readme = `This file is evidence of an exchange of data, made by a kakehashi node.
Check it without any node or network, with keys that you hold yourself:

    kakehashi verify THIS-FILE --trust TRUST-FILE

  manifest.json          what the maker of this file says it is
  events/N.json          what was put on record at position N of the log, exactly as hashed
  proofs/N.tlog-proof    proof that it is in the log, with the signed checkpoint
  bodies/HEX             messages, agreements and tokens; the name is the SHA-256
  keys/                  keys as the maker gave them; a verifier must not believe them

The format is described in docs/evidence-format.md of kakehashi.

このファイルは、kakehashi ノードが作成したデータ交換の証跡です。
検証には、ノードもネットワークも必要ありません。検証者自身が保有する鍵を使います。

    kakehashi verify このファイル --trust 信頼ファイル

keys/ にある鍵は作成者が添えたものであり、検証では信用しません。
`
