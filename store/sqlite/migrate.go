package sqlite

import (
	"context"
	"fmt"
	"time"

	"kakehashi/store"
	"kakehashi/store/schema"
)

// migrate brings every schema up to date, forward only, each file once and in
// a transaction of its own.
func migrate(ctx context.Context, c *conn, schemas []store.Schema, now func() time.Time) error {
	if err := schema.Check(schemas); err != nil {
		return err
	}
	for _, s := range schemas {
		if err := migrateOne(ctx, c, s, now); err != nil {
			return fmt.Errorf("schema %s: %w", s.Owner, translate(err))
		}
	}
	return nil
}

func migrateOne(ctx context.Context, c *conn, s store.Schema, now func() time.Time) error {
	steps, err := schema.Read(s.Files)
	if err != nil {
		return err
	}
	if err := c.script(schema.Create(s.Owner)); err != nil {
		return err
	}
	t := &tx{c: c}
	applied, err := schema.Applied(t, s.Owner)
	t.finish()
	if err == nil {
		steps, err = schema.Missing(s.Owner, steps, applied)
	}
	if err != nil {
		return err
	}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := apply(c, s.Owner, step, now); err != nil {
			return fmt.Errorf("apply %s: %w", step.Name, err)
		}
	}
	return nil
}

func apply(c *conn, owner string, s schema.Step, now func() time.Time) error {
	if err := c.begin.run(); err != nil {
		return err
	}
	err := c.script(s.Text)
	if err == nil && c.idle() {
		return fmt.Errorf("the file ends the transaction it runs in")
	}
	t := &tx{c: c}
	if err == nil {
		err = t.Exec(schema.Insert(owner), s.Version, s.Name, s.Digest, now().UnixMicro())
	}
	t.finish()
	if err == nil {
		err = c.end.run()
	}
	if err != nil && !c.idle() {
		c.undo.run() // err is the reason; the connection is closed next
	}
	return err
}
