package config

import (
	"errors"
	"strings"
	"testing"

	"kakehashi/internal/fault"
)

func TestTheAddressOfADatabaseIsCheckedAndNeverRepeated(t *testing.T) {
	t.Parallel()
	const secret = "k4k3h4sh1"
	for text, fine := range map[string]bool{
		"postgres://kakehashi@127.0.0.1:5432/kakehashi":                          true,
		"postgresql://kakehashi:" + secret + "@db.example/kakehashi":             true,
		"postgres:///kakehashi?host=/var/run/postgresql":                         true,
		"mysql://kakehashi:" + secret + "@db.example/kakehashi":                  false,
		"kakehashi:" + secret + "@db.example/kakehashi":                          false,
		"postgres://kakehashi:" + secret + "@db.example:port/kakehashi":          false,
		"postgres://kakehashi:" + secret + "%zz@db.example/kakehashi":            false,
		"postgres://kakehashi:" + secret + "@db.example/k?sslmode=sometimes":     false,
		"postgres://k@db.example/k?password=" + secret + "&sslrootcert=/nowhere": false,
		"host=db.example password=" + secret:                                     false,
	} {
		s, err := Load(Source{Flags: map[string]string{"development": "true", "store": text}})
		if fine != (err == nil) || fine && s.Store != text {
			t.Errorf("%s: %v %q", text, err, s.Store)
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, fault.SettingStore) {
			t.Errorf("%s: %v", text, err)
		}
		f := fault.Of(err)
		for _, said := range []string{err.Error(), f.What("en"), f.What("ja"), f.Remedy("en"), f.Remedy("ja")} {
			if strings.Contains(said, secret) {
				t.Errorf("the password is repeated: %s", said)
			}
		}
	}
}
