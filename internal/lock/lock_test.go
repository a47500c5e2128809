package lock

import (
	"errors"
	"path/filepath"
	"testing"
)

func TestOneHoldsTheLockAndItsNameStays(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.lock")
	first, err := Take(path)
	if err != nil {
		t.Fatal(err)
	}
	name, err := first.Name()
	if err != nil || name == "" {
		t.Fatalf("name %q, %v", name, err)
	}
	if again, err := first.Name(); err != nil || again != name {
		t.Errorf("name %q, then %q, %v", name, again, err)
	}
	if _, err := Take(path); !errors.Is(err, ErrHeld) {
		t.Errorf("a second one: %v", err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	second, err := Take(path)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Release()
	if again, err := second.Name(); err != nil || again != name {
		t.Errorf("name %q, then %q, %v", name, again, err)
	}
}
