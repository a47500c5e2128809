package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"kakehashi/internal/fault"
)

var update = flag.Bool("update", false, "write docs/settings.md and docs/settings.ja.md anew")

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func env(pairs map[string]string) func(string) (string, bool) {
	return func(k string) (string, bool) { v, ok := pairs[k]; return v, ok }
}

func TestFlagBeforeEnvironmentBeforeFileBeforeDefault(t *testing.T) {
	t.Parallel()
	path := write(t, "development: true\nlisten: 127.0.0.1:1\nadmin_listen: 127.0.0.1:2\nretry_for: 3d\nfiles_roots: [here, /there]\n")
	s, err := Load(Source{
		Path:  path,
		Dir:   "/work",
		Env:   env(map[string]string{"KAKEHASHI_LISTEN": "127.0.0.1:3", "KAKEHASHI_ADMIN_LISTEN": "127.0.0.1:4", "KAKEHASHI_ALLOW_NETWORKS": "10.0.0.0/8, fd00::/8"}),
		Flags: map[string]string{"listen": "127.0.0.1:5", "tls_cert": ""},
	})
	if !errors.Is(err, fault.SettingEmpty) {
		t.Errorf("an empty flag was taken: %v", err)
	}
	s, err = Load(Source{
		Path:  path,
		Dir:   "/work",
		Env:   env(map[string]string{"KAKEHASHI_LISTEN": "127.0.0.1:3", "KAKEHASHI_ADMIN_LISTEN": "127.0.0.1:4", "KAKEHASHI_ALLOW_NETWORKS": "10.0.0.0/8, fd00::/8"}),
		Flags: map[string]string{"listen": "127.0.0.1:5", "master_key_file": "key"},
	})
	if err != nil {
		t.Fatal(err)
	}
	here := filepath.Dir(path)
	for what, pair := range map[string][2]any{
		"flag":                    {s.Listen, "127.0.0.1:5"},
		"environment":             {s.AdminListen, "127.0.0.1:4"},
		"file":                    {s.RetryFor, 72 * time.Hour},
		"default":                 {s.OutgoingTimeout, 30 * time.Second},
		"derived":                 {s.PublicURL, "http://127.0.0.1:5"},
		"derived twice":           {s.DataURL, "http://127.0.0.1:5"},
		"title":                   {s.Title, "main"},
		"default path":            {s.Data, filepath.Join(here, "data")},
		"path of a flag":          {s.MasterKeyFile, "/work/key"},
		"paths of the file":       {strings.Join(s.FilesRoots, " "), filepath.Join(here, "here") + " /there"},
		"list of the environment": {len(s.AllowNetworks), 2},
		"size":                    {s.MaxMessageBytes, Size(1 << 20)},
		"place of a flag":         {s.Place("listen"), "--listen"},
		"place of a variable":     {s.Place("admin_listen"), "KAKEHASHI_ADMIN_LISTEN"},
		"place in the file":       {s.Place("retry_for"), path + ":4"},
		"place of a default":      {s.Place("title"), ""},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}
}

func TestAllFaultsAtOnceEachWithItsPlace(t *testing.T) {
	t.Parallel()
	path := write(t, strings.Join([]string{
		"participant: Tokyo City", // 1
		"lisen: 127.0.0.1:1",
		"admin_listen: 8081",
		"title:",
		"files_roots: here",
		"retry_for: 30",
		"max_message_bytes: 1MB", // 7
		"retry_for: 1h",
		"log_level: [info]",
		"colour: red",
		"tls_cert: absent.pem",
		"development: yes", // 12
	}, "\n"))
	_, err := Load(Source{Path: path, Env: env(map[string]string{"KAKEHASHI_DATA_URL": "ftp://x"}), Flags: map[string]string{"log_format": "xml", "lissten": "x"}})
	var all Faults
	if !errors.As(err, &all) {
		t.Fatalf("%T %v", err, err)
	}
	got := map[string]string{}
	for _, f := range all {
		got[strings.TrimPrefix(f.Place, path+":")+" "+f.Args["name"]] = f.Kind.Code
	}
	want := map[string]string{
		"1 participant": "setting-name", "2 lisen": "setting-misspelt", "3 admin_listen": "setting-address", "4 title": "setting-empty",
		"5 files_roots": "setting-list", "6 retry_for": "setting-duration", "7 max_message_bytes": "setting-size", "8 retry_for": "setting-twice",
		"9 log_level": "setting-one-value", "10 colour": "setting-unknown", "11 tls_cert": "setting-tls-pair", "12 development": "setting-bool",
		"KAKEHASHI_DATA_URL data_url": "setting-url", "--log-format log_format": "setting-choice", "--lissten lissten": "setting-misspelt",
	}
	for k, code := range want {
		if got[k] != code {
			t.Errorf("%s: %q, want %s", k, got[k], code)
		}
		delete(got, k)
	}
	for k, code := range got {
		t.Errorf("beside: %s: %s", k, code)
	}
	if !errors.Is(err, fault.SettingTwice) {
		t.Error("errors.Is does not find a fault among many")
	}
}

func TestWhatDoesNotFitTogether(t *testing.T) {
	t.Parallel()
	pem := filepath.Join(t.TempDir(), "x.pem")
	if err := os.WriteFile(pem, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(long, []byte(strings.Repeat("k", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		flags map[string]string
		want  *fault.Kind
		place string
	}{
		{"nothing set", nil, fault.SettingNeedsHTTPS, "--public-url"},
		{"development alone", map[string]string{"development": "true"}, nil, ""},
		{"development, localhost", map[string]string{"development": "true", "public_url": "http://tokyo.localhost:8080/"}, nil, ""},
		{"development, public", map[string]string{"development": "true", "public_url": "https://node.example.org"}, fault.SettingDevelopment, "--public-url"},
		{"development, private", map[string]string{"development": "true", "public_url": "http://10.1.2.3"}, fault.SettingDevelopment, "--public-url"},
		{"public", map[string]string{"public_url": "https://node.example.org/tokyo"}, nil, ""},
		{"public by http", map[string]string{"public_url": "http://node.example.org"}, fault.SettingNeedsHTTPS, "--public-url"},
		{"data by http", map[string]string{"public_url": "https://node.example.org", "data_url": "http://node.example.org"}, fault.SettingNeedsHTTPS, "--data-url"},
		{"no did", map[string]string{"public_url": "https://[2001:db8::1]"}, fault.SettingNoDID, "--public-url"},
		{"every interface", map[string]string{"listen": ":8080"}, fault.SettingPublicURLMissing, "--public-url"},
		{"any port", map[string]string{"listen": "127.0.0.1:0", "development": "true"}, fault.SettingPublicURLMissing, "--public-url"},
		{"one listener", map[string]string{"development": "true", "admin_listen": "127.0.0.1:8080"}, fault.SettingSameAddress, "--admin-listen"},
		{"half of TLS", map[string]string{"public_url": "https://a.example", "tls_key": pem}, fault.SettingTLSPair, "--tls-key"},
		{"TLS", map[string]string{"listen": "node.example.org:443", "tls_key": pem, "tls_cert": pem}, nil, ""},
		{"a template in public", map[string]string{"public_url": "https://a.example", "identity_template": "Bearer x", "identity_template_caller": "x"}, fault.SettingTemplatePublic, "--identity-template"},
		{"a template on every interface", map[string]string{"development": "true", "listen": "0.0.0.0:8080", "public_url": "http://127.0.0.1:8080", "identity_template": "Bearer {self}"}, fault.SettingTemplatePublic, "--identity-template"},
		{"a template of nobody", map[string]string{"development": "true", "identity_template": "Bearer x"}, fault.SettingTemplate, "--identity-template"},
		{"a template", map[string]string{"development": "true", "identity_template": "{\"a\":\"{counterparty}\",\"c\":\"{self}\"}"}, nil, ""},
		{"a webhook without a key", map[string]string{"development": "true", "decision_webhook": "http://127.0.0.1:9000/ask"}, fault.SettingPair, "--decision-webhook"},
		{"a webhook elsewhere without TLS", map[string]string{"development": "true", "decision_webhook": "http://10.0.0.1/ask", "decision_webhook_key_file": long}, fault.SettingWebhook, "--decision-webhook"},
		{"a webhook with a short key", map[string]string{"development": "true", "decision_webhook": "https://flow.example/ask", "decision_webhook_key_file": pem}, fault.SettingWebhookKey, "--decision-webhook-key-file"},
		{"a webhook", map[string]string{"development": "true", "decision_webhook": "https://flow.example/ask", "decision_webhook_key_file": long}, nil, ""},
		{"TLS absent", map[string]string{"public_url": "https://a.example", "tls_key": pem, "tls_cert": pem + "x"}, fault.SettingFile, "--tls-cert"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(Source{Dir: "/work", Flags: c.flags})
			if c.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var all Faults
			if !errors.As(err, &all) || len(all) != 1 || all[0].Kind != c.want || all[0].Place != c.place {
				t.Errorf("%v; want %s alone at %s", err, c.want.Code, c.place)
			}
		})
	}
}

func TestFormOfTheFile(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]*fault.Kind{
		"":                                      nil,
		"# nothing\n":                           nil,
		"---\ntitle: a\n":                       nil,
		"title: 'a: b' # c\n":                   nil,
		"title: 0x10\n":                         nil,
		"title: a\n---\ntitle: b\n":             fault.ConfigForm,
		"- a\n":                                 fault.ConfigForm,
		"just text":                             fault.ConfigForm,
		"? [a]\n: b\n":                          fault.ConfigSyntax,
		"title: \"a\n":                          fault.ConfigSyntax,
		"title: a\n  listen: b\n":               fault.ConfigSyntax,
		"title: {a: b}\n":                       fault.SettingOneValue,
		"title: &x a\n":                         fault.SettingOneValue,
		"title: !!binary aGVsbG8=\n":            fault.SettingOneValue,
		"title: ~\n":                            fault.SettingEmpty,
		"files_roots: [a, [b]]\n":               fault.SettingList,
		"title: \"a\\u0007b\"\n":                fault.SettingText,
		"title: " + strings.Repeat("a", 201):    fault.SettingText,
		"data: \"a\\0b\"\n":                     fault.SettingPath,
		"allow_networks: [10.0.0.1/8]\n":        fault.SettingNetwork,
		"outgoing_timeout: 99999999999999d\n":   fault.SettingDuration,
		"max_message_bytes: 99999999999999\n":   fault.SettingSize,
		"max_message_bytes: -1\n":               fault.SettingSize,
		strings.Repeat("#", maxFile) + "\n#\n":  fault.ConfigUnreadable,
		"data_url: https://u:p@node.example\n":  fault.SettingURL,
		"data_url: https://node.example/#x\n":   fault.SettingURL,
		"listen: 127.0.0.1:99999\n":             fault.SettingAddress,
		"listen: \"exa mple:80\"\n":             fault.SettingAddress,
		"KAKEHASHI_LISTEN: 127.0.0.1:1\n":       fault.SettingUnknown,
		"public-url: https://node.example.org ": fault.SettingMisspelt,
	} {
		_, err := Load(Source{Path: write(t, text), Flags: map[string]string{"public_url": "https://node.example.org"}})
		if want == nil && err != nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%.60q: %v, want %v", text, err, want)
		}
	}
	if _, err := Load(Source{Path: "/nowhere/node.yaml"}); !errors.Is(err, fault.ConfigUnreadable) {
		t.Errorf("absent file: %v", err)
	}
}

func TestSampleIsReadAsWhatItWasMadeFrom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "node.yaml")
	for _, flags := range []map[string]string{
		{"development": "true"},
		{"public_url": "https://node.example.org", "title": "東京都: \"港湾\" #1\\", "retry_for": "36h", "max_message_bytes": "2097152", "data": "store",
			"files_roots": "open,/srv/data", "allow_networks": "10.0.0.0/8", "body_retention": "400d", "log_level": "debug", "outgoing_timeout": "1500ms"},
		{"public_url": "https://node.example.org", "title": "null"},
	} {
		made, err := Load(Source{Path: path, New: true, Dir: dir, Flags: flags})
		if err != nil {
			t.Fatal(err)
		}
		for _, lang := range []string{"en", "ja"} {
			text := Sample(lang, made, dir)
			if strings.Contains(string(text), dir) {
				t.Error("the file names its own folder: it could not be moved")
			}
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			read, err := Load(Source{Path: path, Dir: "/elsewhere"})
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			a, b := made, read
			a.places, b.places = nil, nil
			if !reflect.DeepEqual(a, b) {
				t.Errorf("%s: read %+v\nmade %+v", lang, b, a)
			}
			for _, f := range Fields() {
				if !strings.Contains(string(text), f.Doc(lang)) || !strings.Contains(string(text), f.Name+": ") {
					t.Errorf("%s: %s is not in the file", lang, f.Name)
				}
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEveryFieldIsDocumentedAndItsDefaultFits(t *testing.T) {
	t.Parallel()
	for _, f := range Fields() {
		if f.Name == "" || f.EN == "" || f.JA == "" || f.kind == "" {
			t.Errorf("%+v lacks something", f)
		}
		if f.Default == "" || f.derived() {
			continue
		}
		if _, wrong := f.one(f.Default, "/", ""); wrong != nil {
			t.Errorf("%s: default: %v", f.Name, wrong)
		}
	}
}

func TestDocumentsHoldTheReference(t *testing.T) {
	t.Parallel()
	for lang, name := range map[string]string{"en": "settings.md", "ja": "settings.ja.md"} {
		path := filepath.Join("..", "docs", name)
		if *update {
			if err := os.WriteFile(path, []byte(Reference(lang)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(path)
		if err != nil || string(b) != Reference(lang) {
			t.Errorf("%s is not what the settings say (%v); run: go test ./config -update", path, err)
		}
	}
}

func TestMasterKey(t *testing.T) {
	t.Parallel()
	text, err := NewMasterKey(strings.NewReader(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	file := func(text string, mode os.FileMode) string {
		path := filepath.Join(t.TempDir(), "master.key")
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct {
		path string
		env  map[string]string
		want *fault.Kind
	}{
		"file":            {file(text, 0o600), nil, nil},
		"environment":     {"/nowhere", map[string]string{MasterKeyEnv: text}, nil},
		"absent":          {"/nowhere", nil, fault.MasterKeyMissing},
		"others may read": {file(text, 0o644), nil, fault.MasterKeyOpen},
		"short":           {file(text[:20], 0o600), nil, fault.MasterKeyInvalid},
		"empty variable":  {file(text, 0o600), map[string]string{MasterKeyEnv: ""}, fault.MasterKeyInvalid},
	} {
		key, err := Settings{MasterKeyFile: c.path}.MasterKey(env(c.env))
		if c.want == nil && (err != nil || string(key) != strings.Repeat("k", 32)) || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %q, %v", name, key, err)
		}
	}
}

// FuzzFile: whatever a file holds, there are settings or faults with a place
// and a remedy in both languages, and what was read reads again from a sample.
func FuzzFile(f *testing.F) {
	f.Add([]byte("participant: tokyo\npublic_url: https://node.example.org\nfiles_roots: [a, b]\nretry_for: 3d\n"))
	f.Add([]byte("title: &a [*a]\n? x\n: y\n"))
	f.Add([]byte("lisen: 1\nlisten: 1\nlisten: 2\n---\n"))
	f.Add([]byte("title: \"\\u000a\"\ndata: |\n  x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, faults := parseFile(b, "node.yaml", "/base")
		for _, e := range faults {
			if e.Place == "" || e.What("ja") == "" || strings.Contains(e.What("en"), "{") && !strings.Contains(string(b), "{") {
				t.Errorf("fault %+v", e)
			}
		}
		for name, g := range got {
			if field(name).Name == "" || g.place == "" {
				t.Errorf("took %q: %+v", name, g)
			}
			for _, text := range g.texts {
				field(name).one(text, g.base, g.place)
			}
		}
	})
}
