package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	leases "kakehashi/replica"
	"kakehashi/store/postgres"
)

// check has the program look through the tables of a side, after all its replicas
// have ended. None of them may have left a lease.
func check(ctx context.Context, s *side) error {
	r := s.replicas[0]
	args := append([]string{"store", "check", "--lang", "en"}, r.args[1:]...)
	if out, err := exec.CommandContext(ctx, r.program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("the store of %s: %w\n%s", s.name, err, out)
	}
	if s.store == "" {
		return nil
	}
	db, err := postgres.Open(ctx, postgres.Config{URL: s.store, Conns: 1})
	if err != nil {
		return err
	}
	left, err := leases.Counters(ctx, db)
	if len(left) > 0 {
		err = errors.Join(err, fmt.Errorf("%s: leases are left: %v", s.name, left))
	}
	return errors.Join(err, db.Close())
}
