package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// crowds are whole exchanges side by side, none of which may be lost.
var crowds = []test{
	{name: fmt.Sprintf("%d side by side, EDC consumes", sideBySide), run: func(ctx context.Context, b *bed) error {
		dataset, err := b.publish(ctx, "many", "", free)
		if err != nil {
			return err
		}
		return together(func() error {
			a, err := b.byEDC(ctx, dataset)
			if err != nil {
				return err
			}
			return b.wholePull(ctx, a, dataset)
		})
	}, crowd: true},
	{name: fmt.Sprintf("%d side by side, we consume", sideBySide), run: func(ctx context.Context, b *bed) error {
		asset, err := b.provide(ctx, "many", false, free)
		if err != nil {
			return err
		}
		return together(func() error {
			a, err := b.byUs(ctx, asset)
			if err != nil {
				return err
			}
			return b.wholePush(ctx, a, asset)
		})
	}, crowd: true},
}

// together does the same many times at once; the first few failures come back.
func together(f func() error) error {
	var mu sync.Mutex
	var failures []error
	var all sync.WaitGroup
	for range sideBySide {
		all.Go(func() {
			if err := f(); err != nil {
				mu.Lock()
				failures = append(failures, err)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if len(failures) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d were lost: %w", len(failures), sideBySide, errors.Join(failures[:min(3, len(failures))]...))
}
