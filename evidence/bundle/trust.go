package bundle

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

// Trust is what the verifier believes: keys that it got from their owners by a
// way of its own, never from a bundle. The zero Trust believes nobody.
type Trust struct {
	logs map[string][]logAnchor                 // by origin
	keys map[string]map[string]crypto.PublicKey // by DID, by key id
}

type logAnchor struct {
	vkey string
	v    note.Verifier
	did  string // whom the log speaks for; "": the DID that the origin is made of
}

const maxTrustLine = 64 << 10

// ParseTrust reads a trust file: one anchor a line, '#' starts a comment line.
//
//	log VKEY [DID]     key of a log (C2SP signed-note); with DID: whose log it is,
//	                   without: the DID whose name after "did:web:" or "did:" is the log's origin
//	key DID KID JWK    public key (EC P-256 or Ed25519) with which DID signs its messages
//
// An error is fault.BadTrust and names the line.
func ParseTrust(r io.Reader) (Trust, error) {
	t := Trust{logs: map[string][]logAnchor{}, keys: map[string]map[string]crypto.PublicKey{}}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxTrustLine)
	n := 0
	for sc.Scan() {
		n++
		line := strings.TrimSpace(sc.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := t.add(line); err != nil {
			return Trust{}, fault.BadTrust.At(fmt.Sprintf("line %d", n), "reason", err.Error())
		}
	}
	if err := sc.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return Trust{}, fault.BadTrust.At(fmt.Sprintf("line %d", n+1), "reason", "the line is too long")
		}
		return Trust{}, fmt.Errorf("read trust file: %w", err)
	}
	return t, nil
}

func (t *Trust) add(line string) error {
	what, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch what {
	case "log":
		f := strings.Fields(rest)
		if len(f) < 1 || len(f) > 2 {
			return errors.New("want: log VKEY [DID]")
		}
		v, err := note.NewVerifier(f[0])
		if err != nil {
			return errors.New("the vkey is not valid")
		}
		a := logAnchor{vkey: f[0], v: v}
		if len(f) == 2 {
			if a.did = f[1]; !strings.HasPrefix(a.did, "did:") {
				return fmt.Errorf("%q is not a DID", a.did)
			}
		}
		t.logs[v.Name()] = append(t.logs[v.Name()], a)
	case "key":
		f := strings.SplitN(rest, " ", 3)
		if len(f) != 3 {
			return errors.New("want: key DID KID JWK")
		}
		did, kid := f[0], f[1]
		if !strings.HasPrefix(did, "did:") {
			return fmt.Errorf("%q is not a DID", did)
		}
		pub, err := parseJWK([]byte(strings.TrimSpace(f[2])))
		if err != nil {
			return err
		}
		if t.keys[did] == nil {
			t.keys[did] = map[string]crypto.PublicKey{}
		}
		kid = fullKID(did, kid)
		if _, ok := t.keys[did][kid]; ok {
			return fmt.Errorf("key %s stands here twice", kid)
		}
		t.keys[did][kid] = pub
	default:
		return fmt.Errorf("%q is not a kind of anchor; want log or key", what)
	}
	return nil
}

// fullKID makes "k1" and "#k1" the absolute "did#k1".
func fullKID(did, kid string) string {
	if strings.Contains(kid, ":") {
		return kid
	}
	return did + "#" + strings.TrimPrefix(kid, "#")
}

// speaksFor tells whether the anchored log may speak for a DID.
func (a logAnchor) speaksFor(did string) bool {
	if a.did != "" {
		return a.did == did
	}
	return did == "did:"+a.v.Name() || did == "did:web:"+a.v.Name()
}

type jwk struct {
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y,omitempty"`
	D   string `json:"d,omitempty"`
}

func parseJWK(b []byte) (crypto.PublicKey, error) {
	var k jwk
	if err := strictjson.DecodeOpen(b, &k); err != nil {
		return nil, fmt.Errorf("the JWK is not valid: %w", err)
	}
	if k.D != "" {
		return nil, errors.New("the JWK holds a private key")
	}
	x, errX := base64.RawURLEncoding.DecodeString(k.X)
	y, errY := base64.RawURLEncoding.DecodeString(k.Y)
	switch {
	case errX != nil || errY != nil:
		return nil, errors.New("the JWK's coordinates are not base64url")
	case k.Kty == "EC" && k.Crv == "P-256" && len(x) == 32 && len(y) == 32:
		pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil {
			return nil, errors.New("the JWK is not a point of P-256")
		}
		return pub, nil
	case k.Kty == "OKP" && k.Crv == "Ed25519" && len(x) == ed25519.PublicKeySize:
		return ed25519.PublicKey(x), nil
	}
	return nil, errors.New("the JWK is neither EC P-256 nor OKP Ed25519")
}

func formatJWK(pub crypto.PublicKey) ([]byte, error) {
	k := jwk{}
	switch p := pub.(type) {
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() {
			return nil, errors.New("not a key of P-256")
		}
		b, err := p.Bytes()
		if err != nil {
			return nil, err
		}
		k = jwk{Kty: "EC", Crv: "P-256", X: base64.RawURLEncoding.EncodeToString(b[1:33]), Y: base64.RawURLEncoding.EncodeToString(b[33:])}
	case ed25519.PublicKey:
		k = jwk{Kty: "OKP", Crv: "Ed25519", X: base64.RawURLEncoding.EncodeToString(p)}
	default:
		return nil, fmt.Errorf("a %T cannot be an anchor", pub)
	}
	return strictjson.Encode(k)
}

// Anchors renders the lines of a trust file for one participant: the keys with
// which it signs messages, by key id, and the vkeys of its log.
func Anchors(did string, keys map[string]crypto.PublicKey, vkeys ...string) (string, error) {
	var b strings.Builder
	for _, vk := range vkeys {
		v, err := note.NewVerifier(vk)
		if err != nil {
			return "", fmt.Errorf("anchor of %s: %w", did, err)
		}
		fmt.Fprintf(&b, "log %s", vk)
		if !(logAnchor{v: v}).speaksFor(did) {
			fmt.Fprintf(&b, " %s", did)
		}
		b.WriteByte('\n')
	}
	for _, kid := range slices.Sorted(maps.Keys(keys)) {
		j, err := formatJWK(keys[kid])
		if err != nil {
			return "", fmt.Errorf("anchor %s: %w", kid, err)
		}
		fmt.Fprintf(&b, "key %s %s %s\n", did, fullKID(did, kid), j)
	}
	return b.String(), nil
}
