package odrl

import (
	"strings"
	"testing"
)

func TestOurPrefixIsWrittenInFullWhereItIsAnOperand(t *testing.T) {
	t.Parallel()
	in := `{"permission":[{"action":"use","constraint":[{"or":[{"leftOperand":"kh:credentialType","operator":"eq","rightOperand":"kh:x"},{"leftOperand":"purpose","operator":"eq","rightOperand":"y"}]}]}]}`
	got, err := Expand([]byte(in))
	if err != nil || !strings.Contains(string(got), `"leftOperand":"https://w3id.org/kakehashi/ns#credentialType"`) || !strings.Contains(string(got), `"rightOperand":"kh:x"`) {
		t.Errorf("%s, %v", got, err)
	}
	for _, same := range []string{`{"permission":[]}`, `kh: is no JSON`} {
		if got, err := Expand([]byte(same)); err != nil || string(got) != same {
			t.Errorf("%s becomes %s, %v", same, got, err)
		}
	}
}
