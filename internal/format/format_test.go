package format

import (
	"errors"
	"fmt"
	"testing"

	"kakehashi/internal/fault"
)

func TestOnlyANewerFormatIsRefused(t *testing.T) {
	t.Parallel()
	for body, newer := range map[string]bool{
		`{"v":1}`: false, `{}`: false, ``: false, `[`: false, `{"v":"x"}`: false, `{"v":0}`: false,
		fmt.Sprintf(`{"v":%d}`, Reads): false, fmt.Sprintf(`{"x":[1],"v":%d,"unheard":{}}`, Reads+1): true,
	} {
		err := Look("job", "a", []byte(body))
		if got, ok := Of(fmt.Errorf("read: %w", err)); ok != newer || newer && got != Reads+1 {
			t.Errorf("%s: %v", body, err)
		}
		if errors.Is(err, fault.NewerProgram) != newer {
			t.Errorf("%s: %v is not named", body, err)
		}
	}
}
