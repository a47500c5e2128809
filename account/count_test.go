package account_test

import (
	"context"

	"kakehashi/store"
)

func (c *counted) Update(ctx context.Context, fn func(store.Tx) error) error {
	c.mu.Lock()
	c.updates++
	c.mu.Unlock()
	return c.DB.Update(ctx, fn)
}

func (c *counted) View(ctx context.Context, fn func(store.Tx) error) error {
	c.mu.Lock()
	c.views++
	c.mu.Unlock()
	return c.DB.View(ctx, fn)
}
