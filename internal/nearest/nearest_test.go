package nearest

import "testing"

func TestName(t *testing.T) {
	t.Parallel()
	known := []string{"listen", "admin_listen", "title", "public_url", "data", "data_url"}
	for _, c := range []struct{ word, want string }{
		{"lisen", "listen"},
		{"lsiten", "listen"},
		{"public-url", "public_url"},
		{"tilte", "title"},
		{"date", "data"},
		{"colour", ""},
		{"", ""},
		{string(make([]byte, 100)), ""},
	} {
		if got, ok := Name(c.word, known); got != c.want || ok != (c.want != "") {
			t.Errorf("Name(%q) = %q, %v; want %q", c.word, got, ok, c.want)
		}
	}
}
