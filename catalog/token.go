package catalog

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"

	"kakehashi/internal/fault"
	"kakehashi/internal/strictjson"
)

const (
	// maxQuery bounds a query as a token carries it: tokens travel in headers
	// and addresses, which others read up to 8 KiB only.
	maxQuery = 4 << 10
	tokenSum = 6 // bytes of the digest that leads a token
)

// Token writes a cursor as text that is fit for an address and means nothing to
// its reader. A query that does not fit one is fault.CatalogFilter.
func (c Cursor) Token() (string, error) {
	b, err := strictjson.Encode(c)
	if err != nil {
		return "", err
	}
	if len(b) > maxQuery {
		return "", fault.CatalogFilter.At("/filter/0", "reason", "it is too long to be answered in pages")
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(append(sum[:tokenSum:tokenSum], b...)), nil
}

// ParseToken reads what Token wrote; what is cut or changed is fault.CatalogToken.
// A token is no right: what it leads to is judged anew for whoever shows it.
func ParseToken(s string) (Cursor, error) {
	var c Cursor
	damaged := fault.CatalogToken.At("cursor", "token", clip(s))
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) <= tokenSum || len(b) > maxQuery+tokenSum {
		return c, damaged
	}
	sum := sha256.Sum256(b[tokenSum:])
	if subtle.ConstantTimeCompare(sum[:tokenSum], b[:tokenSum]) != 1 {
		return c, damaged
	}
	if err := strictjson.Decode(b[tokenSum:], &c); err != nil || c.Skip < 0 || c.Skip > maxOffset {
		return Cursor{}, damaged
	}
	return c, nil
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}
