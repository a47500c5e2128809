package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Apart makes a new schema in the database at text and gives the URL of a store
// that has it to itself; drop removes it with all that is in it. It is for tests
// and benches, which must not touch what else the database holds.
func Apart(ctx context.Context, text string) (store string, drop func(context.Context) error, err error) {
	conf, err := Parse(text)
	if err != nil {
		return "", nil, err
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", nil, err // Parse took it: cannot be
	}
	name := "apart_" + strings.ToLower(rand.Text())
	run := func(ctx context.Context, statement string) error {
		c, err := pgconn.ConnectConfig(ctx, conf)
		if err != nil {
			return (&DB{place: place(conf)}).refusedEntry(err)
		}
		defer c.Close(ctx)
		if err := c.Exec(ctx, statement).Close(); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
		return nil
	}
	if err := run(ctx, "CREATE SCHEMA "+name); err != nil {
		return "", nil, err
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String(), func(ctx context.Context) error { return run(ctx, "DROP SCHEMA "+name+" CASCADE") }, nil
}
