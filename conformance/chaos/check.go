package main

import (
	"context"
	"fmt"
	"os/exec"
)

// check has the program look through the tables of a side, after all its replicas
// have ended.
func check(ctx context.Context, s *side) error {
	r := s.replicas[0]
	args := append([]string{"store", "check", "--lang", "en"}, r.args[1:]...)
	if out, err := exec.CommandContext(ctx, r.program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("the store of %s: %w\n%s", s.name, err, out)
	}
	return nil
}
