package odrl

import (
	"strings"

	"kakehashi/internal/strictjson"
)

// short is how people write our namespace at our own interfaces.
const short = "kh:"

// Expand writes operands of ours in full, which people may have shortened to kh:.
// It is for our own interfaces; what counterparts send is never changed.
func Expand(raw []byte) ([]byte, error) {
	if !strings.Contains(string(raw), short) {
		return raw, nil
	}
	var v any
	if err := strictjson.DecodeOpen(raw, &v); err != nil { // Parse says what is wrong with it
		return raw, nil
	}
	expand(v)
	return strictjson.Encode(v)
}

func expand(v any) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			expand(x)
		}
	case map[string]any:
		for name, x := range v {
			if s, ok := x.(string); ok && strings.TrimPrefix(name, "odrl:") == "leftOperand" {
				if rest, ok := strings.CutPrefix(s, short); ok {
					v[name] = Namespace + rest
				}
				continue
			}
			expand(x)
		}
	}
}
