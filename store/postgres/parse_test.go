package postgres_test

import (
	"testing"

	"kakehashi/store/postgres"
)

func TestAServerElsewhereProvesItsNameUnlessTheURLSaysOtherwise(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	for text, want := range map[string]string{
		"postgres://k@db.example/k":                     "db.example",
		"postgres://k@db.example/k?sslmode=verify-full": "db.example",
		"postgres://k@db.example/k?sslmode=require":     "unchecked",
		"postgres://k@db.example/k?sslmode=disable":     "plain",
		"postgres://k@127.0.0.1/k":                      "either",
		"postgres://k@localhost/k":                      "either",
		"postgres:///k?host=/tmp":                       "plain",
	} {
		c, err := postgres.Parse(text)
		if err != nil {
			t.Fatal(text, err)
		}
		got := "plain"
		switch {
		case c.TLSConfig == nil:
		case len(c.Fallbacks) > 0 && c.Fallbacks[0].TLSConfig == nil:
			got = "either"
		case c.TLSConfig.InsecureSkipVerify:
			got = "unchecked"
		default:
			got = c.TLSConfig.ServerName
		}
		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestOnlyColumnsOfTextAreSortedByBytes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"CREATE TABLE a (x TEXT NOT NULL, y text)":    `CREATE TABLE a (x TEXT COLLATE "C" NOT NULL, y text COLLATE "C")`,
		"ALTER TABLE a ADD COLUMN z TEXT; -- as TEXT": `ALTER TABLE a ADD COLUMN z TEXT COLLATE "C"; -- as TEXT`,
		"/* TEXT\n TEXT */ x TEXT DEFAULT 'a TEXT'''": "/* TEXT\n TEXT */ x TEXT COLLATE \"C\" DEFAULT 'a TEXT'''",
		`UPDATE a SET x = CAST(n AS TEXT)`:            `UPDATE a SET x = CAST(n AS TEXT)`,
		`x TEXT COLLATE "C", context TEXTS`:           `x TEXT COLLATE "C", context TEXTS`,
	} {
		if got := postgres.Bytewise(in); got != want {
			t.Errorf("%s\n%s", got, want)
		}
	}
}
